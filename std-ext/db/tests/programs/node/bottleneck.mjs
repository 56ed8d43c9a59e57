// Bottleneck: limits that several clients share.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import Bottleneck from "bottleneck";
import Redis from "ioredis";
import { plain, port } from "./support.mjs";

const limiters = [];
async function make(id, options) {
  const limiter = new Bottleneck({ id, datastore: "ioredis", Redis, clientOptions: { port }, ...options });
  limiters.push(limiter);
  await limiter.ready();
  return limiter;
}
const pair = (id, options) => Promise.all([make(id, options), make(id, options)]);

// Both together run two jobs at once, and each job once.
const concurrent = await pair("concurrent", { maxConcurrent: 2 });
let [inside, most] = [0, 0];
const work = async (n) => {
  most = Math.max(most, ++inside);
  await sleep(10);
  inside--;
  return n;
};
const jobs = Array.from({ length: 20 }, (_, n) => concurrent[n % 2].schedule(() => work(n)));
assert.deepEqual(await Promise.all(jobs), Array.from({ length: 20 }, (_, n) => n));
assert.equal(most, 2);
assert.equal(await concurrent[0].done(), 20);
assert.equal(await concurrent[1].running(), 0);

// Between the starts of two jobs is some time, whichever client runs them.
const slow = await pair("slow", { minTime: 50 });
const starts = await Promise.all(Array.from({ length: 6 }, (_, n) => slow[n % 2].schedule(async () => Date.now())));
assert(Math.max(...starts) - Math.min(...starts) >= 200, String(starts));

// A reservoir is empty for all, until one fills it.
const [one, other] = await pair("reservoir", { reservoir: 3 });
for (let n = 0; n < 3; n++) await one.schedule(async () => n);
assert.equal(await other.currentReservoir(), 0);
let ran = false;
const late = other.schedule(async () => (ran = true));
await sleep(200);
assert.equal(ran, false);
assert.equal(await one.incrementReservoir(1), 1);
await late;

// A job that would wait too long in the queue is dropped.
const [full] = await pair("full", { maxConcurrent: 1, highWater: 0, strategy: Bottleneck.strategy.OVERFLOW });
const held = full.schedule(() => sleep(100));
await assert.rejects(full.schedule(async () => 1), Bottleneck.BottleneckError);
await held;

for (const limiter of limiters) await limiter.disconnect(false);
await plain.quit();
