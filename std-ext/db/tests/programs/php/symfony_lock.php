<?php
// Symfony's locks and semaphores, which are sorted sets, with phpredis.

require __DIR__ . '/support.php';
require 'Symfony/Component/Lock/autoload.php';
require 'Symfony/Component/Semaphore/autoload.php';

use Symfony\Component\Lock\LockFactory;
use Symfony\Component\Lock\Store\RedisStore as LockStore;
use Symfony\Component\Semaphore\SemaphoreFactory;
use Symfony\Component\Semaphore\Store\RedisStore as SemaphoreStore;

test('locks', function () {
    $factory = new LockFactory(new LockStore(client()));
    [$one, $two, $three] = array_map(fn () => $factory->createLock('door', 20), [1, 2, 3]);
    same($one->acquire(), true);
    same($two->acquire(), false);
    same($two->acquireRead(), false);
    $one->refresh(50);
    same(client()->ttl('door') > 40, true);
    $one->release();
    same($one->isAcquired(), false);
    // Several may read. One of them may write once the others have left.
    same($two->acquireRead(), true);
    same($three->acquireRead(), true);
    same($one->acquire(), false);
    same($two->acquire(), false);
    $three->release();
    same($two->acquire(), true);
    same($three->acquireRead(), false);
    same($two->acquireRead(), true);
    same($three->acquireRead(), true);
    $two->release();
    $three->release();
    same(client()->keys('*'), []);
    $short = $factory->createLock('short', 0.1, false);
    same($short->acquire(), true);
    eventually(fn () => $factory->createLock('short')->acquire());
});

test('semaphores', function () {
    $factory = new SemaphoreFactory(new SemaphoreStore(client()));
    [$one, $two, $three] = array_map(fn () => $factory->createSemaphore('hall', 2), [1, 2, 3]);
    same($one->acquire(), true);
    same($two->acquire(), true);
    same($three->acquire(), false);
    $two->refresh(50);
    $one->release();
    same($three->acquire(), true);
    same($two->isAcquired(), true);
    $two->release();
    $three->release();
    same($three->isAcquired(), false);
});
