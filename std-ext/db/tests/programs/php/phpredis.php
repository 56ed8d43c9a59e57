<?php
// phpredis, the client of most programs in PHP.

require __DIR__ . '/support.php';

test('values', function () {
    $redis = client();
    same($redis->set('a', '1', ['nx', 'ex' => 100]), true);
    same($redis->set('a', '2', ['nx', 'ex' => 100]), false);
    same($redis->ttl('a') > 90, true);
    same($redis->incrBy('a', 41), 42);
    same($redis->mSet(['b' => 'x', 'c' => 'y']), true);
    same($redis->mGet(['a', 'none', 'c']), ['42', false, 'y']);
    same($redis->setEx('short', 1, 'x'), true);
    eventually(fn () => $redis->get('short') === false);
    $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $found = [];
    for ($at = null; $keys = $redis->scan($at, '?');) {
        array_push($found, ...$keys);
    }
    sort($found);
    same($found, ['a', 'b', 'c']);
    $redis->setOption(Redis::OPT_PREFIX, 'app:');
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_IGBINARY);
    same($redis->set('it', ['x' => [1, 2]]), true);
    same($redis->get('it'), ['x' => [1, 2]]);
    same(client()->exists('app:it'), 1);
});

test('pipelines and transactions', function () {
    $redis = client();
    same($redis->pipeline()->set('n', 1)->incr('n')->get('n')->exec(), [true, 2, '2']);
    same($redis->multi()->incr('n')->expire('n', 100)->exec(), [3, true]);
    $redis->watch('n');
    client()->set('n', 'other');
    same($redis->multi()->set('n', 'mine')->exec(), false);
    same($redis->get('n'), 'other');
});

test('scripts', function () {
    $redis = client();
    $script = 'return redis.call("incrby", KEYS[1], ARGV[1])';
    same($redis->eval($script, ['n', 5], 1), 5);
    same($redis->evalSha($redis->script('load', $script), ['n', 2], 1), 7);
});

test('lists, sets and sorted sets', function () {
    $redis = client();
    same($redis->rPush('l', 'a', 'b', 'c'), 3);
    same($redis->lRange('l', 0, -1), ['a', 'b', 'c']);
    same($redis->rPopLPush('l', 'other'), 'c');
    same($redis->blPop(['none', 'l'], 1), ['l', 'a']);
    same($redis->brPop(['none'], 1), []);
    same($redis->sAdd('s', 'x', 'y', 'z'), 3);
    same($redis->sIsMember('s', 'x'), true);
    $members = $redis->sMembers('s');
    sort($members);
    same($members, ['x', 'y', 'z']);
    same($redis->sDiffStore('t', 's', 'none'), 3);
    same($redis->zAdd('z', 1, 'a', 2.5, 'b'), 2);
    same($redis->zIncrBy('z', 3, 'a'), 4.0);
    same($redis->zRange('z', 0, -1, true), ['b' => 2.5, 'a' => 4.0]);
    same($redis->zRangeByScore('z', '(2.5', '+inf', ['limit' => [0, 1]]), ['a']);
    same($redis->zPopMin('z'), ['b' => 2.5]);
    same($redis->sort('s', ['alpha' => true, 'sort' => 'desc', 'limit' => [0, 2]]), ['z', 'y']);
});

test('what is missing', function () {
    $redis = client();
    same($redis->rawCommand('LOLWUT'), false);
    same(str_contains($redis->getLastError(), "unknown command 'LOLWUT'"), true);
});

// Each process adds to a number in the session, and is slow about it. Without the lock, one would undo the other.
const VISIT = <<<'PHP'
    session_id($argv[1]);
    session_start();
    $visits = $_SESSION['visits'] ?? 0;
    usleep(20_000);
    $_SESSION['visits'] = $visits + 1;
    session_write_close();
    PHP;

test('sessions that are locked', function () {
    $settings = [
        'session.save_handler' => 'redis',
        'session.save_path' => 'tcp://' . HOST . ':' . PORT . '?prefix=sess:',
        'session.gc_maxlifetime' => 500,
        'session.use_cookies' => 0,
        'session.cache_limiter' => '',
        'redis.session.locking_enabled' => 1,
        'redis.session.lock_retries' => 1000,
        'redis.session.lock_wait_time' => 5000,
    ];
    $command = [PHP_BINARY];
    foreach ($settings as $name => $value) {
        array_push($command, '-d', "$name=\"$value\"");
    }
    array_push($command, '-r', VISIT, '--', 'rose');
    $visits = [];
    for ($n = 0; $n < 8; $n++) {
        $visits[] = proc_open($command, [], $pipes);
    }
    foreach ($visits as $visit) {
        same(proc_close($visit), 0);
    }
    $redis = client();
    same($redis->get('sess:rose'), 'visits|i:8;');
    same($redis->ttl('sess:rose') > 400, true);
    same($redis->keys('*LOCK*'), []);
});
