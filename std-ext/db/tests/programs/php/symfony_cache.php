<?php
// Symfony's cache, with phpredis.

require __DIR__ . '/support.php';
require 'Symfony/Component/Cache/autoload.php';

use Symfony\Component\Cache\Adapter\RedisAdapter;
use Symfony\Component\Cache\Adapter\RedisTagAwareAdapter;
use Symfony\Contracts\Cache\ItemInterface;

$connection = RedisAdapter::createConnection('redis://' . HOST . ':' . PORT);

test('items', function () use ($connection) {
    $cache = new RedisAdapter($connection, 'app');
    $make = function (ItemInterface $item) {
        $item->expiresAfter(100);
        return ['x' => [1, 2]];
    };
    same($cache->get('a', $make), ['x' => [1, 2]]);
    same($cache->get('a', fn () => throw new Exception('it is there')), ['x' => [1, 2]]);
    same(client()->ttl('app:a') > 90, true);
    same($cache->hasItem('a'), true);
    same($cache->save($cache->getItem('b')->set('two')), true);
    $cache->saveDeferred($cache->getItem('c')->set(3));
    same($cache->commit(), true);
    $found = array_map(fn ($item) => $item->get(), iterator_to_array($cache->getItems(['a', 'b', 'none'])));
    same($found, ['a' => ['x' => [1, 2]], 'b' => 'two', 'none' => null]);
    same($cache->deleteItems(['a', 'none']), true);
    same($cache->hasItem('a'), false);
    $cache->save($cache->getItem('short')->set(1)->expiresAfter(1));
    eventually(fn () => !$cache->hasItem('short'));
    client()->set('others', 1);
    same($cache->clear(), true);
    same(client()->keys('*'), ['others']);
});

test('tags', function () use ($connection) {
    $cache = new RedisTagAwareAdapter($connection, 'tags');
    for ($n = 0; $n < 100; $n++) {
        $item = $cache->getItem("item$n")->set($n)->tag($n % 2 ? ['odd', 'all'] : ['even', 'all']);
        same($cache->saveDeferred($item), true);
    }
    same($cache->commit(), true);
    $there = fn () => count(array_filter(range(0, 99), fn ($n) => $cache->hasItem("item$n")));
    same($there(), 100);
    same($cache->deleteItem('item0'), true);
    same($cache->invalidateTags(['odd', 'none']), true);
    same($there(), 49);
    same($cache->getItem('item2')->get(), 2);
    same($cache->getItem('item2')->getMetadata()['tags'], ['even' => 'even', 'all' => 'all']);
    same($cache->invalidateTags(['all']), true);
    same($there(), 0);
});
