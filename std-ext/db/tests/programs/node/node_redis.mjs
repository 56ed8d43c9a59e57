// node-redis: transactions, scripts, messages, events, both protocols, and its cache in the client.

import assert from "node:assert/strict";
import { createClient, createClientPool, defineScript, WatchError } from "redis";
import { between, eventually, lacks, plain, url } from "./support.mjs";

const scripts = {
  add: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: "return redis.call('GET', KEYS[1]) + ARGV[1]",
    parseCommand(parser, key, value) {
      parser.pushKey(key);
      parser.push(value.toString());
    },
    transformReply: (reply) => reply,
  }),
};

for (const RESP of [2, 3]) {
  await plain.flushall();
  const it = createClient({ url, RESP, scripts });
  const events = [];
  for (const name of ["connect", "ready", "error", "reconnecting", "end"]) it.on(name, () => events.push(name));
  await it.connect();
  assert.deepEqual(events, ["connect", "ready"]);

  assert.equal(await it.set("rose", "red", { expiration: { type: "EX", value: 100 }, condition: "NX" }), "OK");
  assert.equal(await it.set("rose", "blue", { condition: "NX" }), null);
  between(await it.ttl("rose"), 90, 100);
  assert.deepEqual(await it.mGet(["rose", "none"]), ["red", null]);
  assert.equal(await it.getDel("rose"), "red");
  // Commands of one tick share a pipeline.
  const counted = await Promise.all(Array.from({ length: 1000 }, () => it.incr("n")));
  assert.deepEqual(counted, Array.from({ length: 1000 }, (_, n) => n + 1));
  const found = [];
  for await (const batch of it.scanIterator({ MATCH: "n*" })) found.push(...batch);
  assert.deepEqual(found, ["n"]);

  assert.deepEqual(await it.multi().set("a", 1..toString()).incrBy("a", 4).get("a").exec(), ["OK", 5, "5"]);
  // A pool gives a transaction with WATCH a connection of its own.
  const pool = createClientPool({ url, RESP });
  await pool.connect();
  await pool.execute(async (client) => {
    await client.watch("a");
    await it.set("a", "7");
    await assert.rejects(client.multi().set("a", "8").exec(), WatchError);
    await client.watch("a");
    assert.deepEqual(await client.multi().set("a", "8").exec(), ["OK"]);
  });
  pool.destroy();
  await assert.rejects(it.multi().set("b", "x").incr("b").exec(), (why) => {
    assert.match(why.replies[1].message, /not an integer/);
    return why.replies[0] === "OK";
  });

  assert.equal(await it.add("a", 2), 10);
  await plain.script("FLUSH");
  assert.equal(await it.add("a", 3), 11);
  assert.deepEqual(await it.multi().add("a", 1).exec(), [9]);

  const heard = [];
  const subscriber = it.duplicate();
  subscriber.on("error", () => {});
  await subscriber.connect();
  await subscriber.subscribe("news", (message, channel) => heard.push([channel, message]));
  await subscriber.pSubscribe("n?ws", (message, channel) => heard.push(["pattern", channel, message]));
  await subscriber.sSubscribe("shard", (message, channel) => heard.push(["shard", channel, message]));
  assert.equal(await it.publish("news", "hello"), 2);
  assert.equal(await it.sPublish("shard", "hello"), 1);
  await eventually(() => heard.length === 3);
  assert.deepEqual(heard.sort(), [
    ["news", "hello"],
    ["pattern", "news", "hello"],
    ["shard", "shard", "hello"],
  ]);
  // Events about keys.
  await it.configSet("notify-keyspace-events", "KEA");
  await subscriber.pSubscribe("__keyevent@0__:*", (key, channel) => heard.push([channel, key]));
  heard.length = 0;
  await it.set("event", "1", { expiration: { type: "PX", value: 30 } });
  await eventually(() => heard.length === 3);
  assert.deepEqual(
    heard.map(([channel]) => channel.split(":")[1]),
    ["set", "expire", "expired"],
  );
  await it.configSet("notify-keyspace-events", "");
  // The client connects again after its connection is lost, and subscribes again.
  await plain.client("KILL", "TYPE", "pubsub");
  await eventually(async () => (await it.pubSubNumSub("news")).news === 1);
  heard.length = 0;
  await it.publish("news", "again");
  await eventually(() => heard.length === 2);

  assert.equal(await it.hSet("tulip", { colour: "red", height: "2" }), 2);
  assert.deepEqual({ ...(await it.hGetAll("tulip")) }, { colour: "red", height: "2" });
  assert.equal(await it.rPush("list", ["a", "b", "c"]), 3);
  assert.deepEqual(await it.lRange("list", 0, -1), ["a", "b", "c"]);
  assert.equal(await it.lMove("list", "other", "LEFT", "RIGHT"), "a");
  const blocked = it.duplicate();
  await blocked.connect();
  const popped = blocked.blPop(["queue", "more"], 20);
  await eventually(async () => /blocked_clients:1/.test(await plain.info("clients")));
  await it.rPush("more", "item");
  assert.deepEqual({ ...(await popped) }, { key: "more", element: "item" });
  assert.equal(await blocked.bzPopMin("zset", 0.05), null);
  await blocked.close();
  assert.equal(await it.sAdd("set", ["x", "y"]), 2);
  assert.deepEqual([...(await it.sMembers("set"))].sort(), ["x", "y"]);
  assert.deepEqual(await it.smIsMember("set", ["x", "none"]), [1, 0]);
  const scores = [{ value: "b", score: 2.5 }, { value: "a", score: 1e20 }];
  assert.equal(await it.zAdd("zset", scores), 2);
  assert.deepEqual((await it.zRangeWithScores("zset", 0, -1)).map((one) => ({ ...one })), scores);
  assert.deepEqual({ ...(await it.zPopMax("zset")) }, scores[1]);
  assert.equal(await it.zIncrBy("zset", 1, "b"), 3.5);
  assert.equal(await it.xAdd("stream", "1-1", { colour: "red" }), "1-1");
  assert.equal(await it.xLen("stream"), 1);
  await lacks("lolwut", it.sendCommand(["lolwut"]));
  subscriber.destroy();
  await it.close();
  assert.deepEqual(events, ["connect", "ready", "end"]);
}

// The client keeps what it has read, until the server tells it that the key was changed.
const cached = createClient({ url, RESP: 3, clientSideCache: { ttl: 0, maxEntries: 0 } });
await cached.connect();
await plain.set("kept", "old");
await plain.config("RESETSTAT");
for (let n = 0; n < 3; n += 1) assert.equal(await cached.get("kept"), "old");
assert.match(await plain.info("commandstats"), /cmdstat_get:calls=1,/);
await plain.set("kept", "new");
await eventually(async () => (await cached.get("kept")) === "new");
await plain.flushall();
await eventually(async () => (await cached.get("kept")) === null);
cached.destroy();
await plain.quit();
