// ioredis: transactions, pipelines, scripts and messages.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Redis } from "ioredis";
import { between, eventually, lacks, plain, port } from "./support.mjs";

const it = new Redis({ port, keyPrefix: "app:" });

// A transaction, and one that a change of a watched key ends.
assert.deepEqual(await it.multi().set("rose", "red").incr("n").get("rose").exec(), [
  [null, "OK"],
  [null, 1],
  [null, "red"],
]);
assert.equal(await plain.get("app:rose"), "red");
await it.watch("n");
await plain.set("app:n", 5);
assert.equal(await it.multi().set("n", 2).exec(), null);
assert.equal(await it.get("n"), "5");

// A pipeline has a result of each command, errors included.
const results = await it.pipeline().set("a", "x").incr("a").mget("a", "n", "none").exec();
assert.equal(results[1][0].message, "ERR value is not an integer or out of range");
assert.deepEqual(results[2], [null, ["x", "5", null]]);
const many = it.pipeline();
for (let n = 0; n < 5000; n++) many.setex(`many:${n}`, 100, n);
assert((await many.exec()).every(([error, reply]) => error === null && reply === "OK"));
assert.equal(await plain.dbsize(), 5003);
between(await it.ttl("many:4999"), 90, 100);

// Commands that are made of scripts.
it.defineCommand("compareAndSet", {
  numberOfKeys: 1,
  lua: "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('set', KEYS[1], ARGV[2]) return 1 end return 0",
});
assert.deepEqual([await it.compareAndSet("a", "x", "y"), await it.compareAndSet("a", "x", "z")], [1, 0]);
assert.equal(await it.get("a"), "y");
await plain.script("FLUSH");
assert.equal(await it.compareAndSet("a", "y", "z"), 1);
assert.deepEqual(await it.pipeline().compareAndSet("a", "z", "end").get("a").exec(), [
  [null, 1],
  [null, "end"],
]);

// Streams of keys.
const found = new Set();
for await (const batch of plain.scanStream({ match: "app:many:1*", count: 500 })) {
  for (const key of batch) found.add(key);
}
assert.equal(found.size, 1111);

// Messages.
const subscriber = new Redis({ port });
assert.equal(await subscriber.subscribe("news", "weather"), 2);
assert.equal(await subscriber.psubscribe("news:*"), 3);
const message = once(subscriber, "message");
assert.equal(await plain.publish("news", "hello"), 1);
assert.deepEqual(await message, ["news", "hello"]);
const pattern = once(subscriber, "pmessage");
assert.equal(await plain.publish("news:1", Buffer.from("more")), 1);
assert.deepEqual(await pattern, ["news:*", "news:1", "more"]);
await subscriber.ssubscribe("shard");
const sharded = once(subscriber, "smessage");
assert.equal(await plain.spublish("shard", "hello"), 1);
assert.deepEqual(await sharded, ["shard", "hello"]);

// A connection that is lost comes back, with its subscriptions.
await plain.client("KILL", "TYPE", "pubsub");
await eventually(async () => (await plain.pubsub("NUMSUB", "news"))[1] === 1);
const again = once(subscriber, "message");
await plain.publish("news", "again");
assert.deepEqual(await again, ["news", "again"]);

// Lists, sets and sorted sets.
assert.equal(await it.rpush("list", 1, 2, 3), 3);
assert.deepEqual(await it.lrange("list", 0, -1), ["1", "2", "3"]);
assert.equal(await it.lmove("list", "other", "LEFT", "RIGHT"), "1");
const waiting = subscriber.duplicate();
const popped = waiting.blpop("app:queue", "app:more", 20);
await eventually(async () => /blocked_clients:1/.test(await plain.info("clients")));
assert.equal(await it.rpush("more", "item"), 1);
assert.deepEqual(await popped, ["app:more", "item"]);
assert.equal(await waiting.blpop("app:queue", 0.05), null);
assert.equal(await it.sadd("set", ["a", "b", "c"]), 3);
assert.deepEqual(await it.smismember("set", "a", "none"), [1, 0]);
assert.deepEqual(await it.sinter("set", "none"), []);
const members = [];
for await (const batch of it.sscanStream("set")) members.push(...batch);
assert.deepEqual(members.sort(), ["a", "b", "c"]);
assert.equal(await it.zadd("zset", 1, "a", 2.5, "b"), 2);
assert.equal(await it.zincrby("zset", 3, "a"), "4");
assert.deepEqual(await it.zrange("zset", 0, -1, "WITHSCORES"), ["b", "2.5", "a", "4"]);
assert.deepEqual(await it.zrangebyscore("zset", "(2.5", "+inf", "LIMIT", 0, 1), ["a"]);
assert.deepEqual(await it.zpopmin("zset"), ["b", "2.5"]);

assert.equal(await it.xadd("stream", "1-1", "colour", "red"), "1-1");
assert.deepEqual(await it.xrange("stream", "-", "+"), [["1-1", ["colour", "red"]]]);
await lacks("lolwut", it.lolwut());
await waiting.quit();
for (const client of [it, plain, subscriber]) await client.quit();
