// rate-limiter-flexible, with both clients.

import assert from "node:assert/strict";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { createClient } from "redis";
import { between, plain, url } from "./support.mjs";

const client = createClient({ url });
await client.connect();

for (const options of [{ storeClient: plain }, { storeClient: client, useRedisPackage: true }]) {
  await plain.flushall();
  const it = new RateLimiterRedis({ ...options, points: 3, duration: 60, blockDuration: 100, keyPrefix: "limit" });
  const left = [];
  for (let n = 0; n < 3; n++) left.push((await it.consume("rose")).remainingPoints);
  assert.deepEqual(left, [2, 1, 0]);
  between(await plain.ttl("limit:rose"), 50, 60);
  await assert.rejects(it.consume("rose"), (why) => why.remainingPoints === 0 && why.msBeforeNext > 90_000);
  assert.equal((await it.get("rose")).consumedPoints, 4);
  assert.equal((await it.consume("violet", 2)).remainingPoints, 1);
  assert.equal((await it.reward("violet", 1)).remainingPoints, 2);
  assert.equal((await it.penalty("violet", 1)).remainingPoints, 1);
  assert.equal(await it.delete("rose"), true);
  assert.equal(await it.get("rose"), null);
  await it.block("rose", 50);
  await assert.rejects(it.consume("rose"), (why) => why.msBeforeNext > 40_000);
  // Many at once get no more than there is.
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => it.consume("many")));
  assert.equal(all.filter((result) => result.status === "fulfilled").length, 3);
}

await client.close();
await plain.quit();
