// Bee-Queue: jobs, retries, delayed jobs, and jobs of workers that have died.

import assert from "node:assert/strict";
import { once } from "node:events";
import Queue from "bee-queue";
import { eventually, plain, port } from "./support.mjs";

const make = (more) => new Queue("paint", { redis: { port }, stallInterval: 200, nearTermWindow: 1000, ...more });
const sender = make({ isWorker: false });
const workers = [make({ activateDelayedJobs: true }), make({ activateDelayedJobs: true })];
const results = new Map();
sender.on("job succeeded", (id, result) => results.set(id, result));
await sender.ready();

// A worker took this one, and died.
const stalled = await sender.createJob({ n: 1000 }).save();
await plain.brpoplpush("bq:paint:waiting", "bq:paint:active", 1);

let failures = 0;
const seen = [];
for (const worker of workers) {
  worker.process(4, async (job) => {
    if (job.data.fail && ++failures < 3) throw new Error("no rose");
    seen.push(job.data.n);
    return job.data.n * 2;
  });
  worker.checkStalledJobs(100);
}
const jobs = await Promise.all(Array.from({ length: 100 }, (_, n) => sender.createJob({ n }).save()));
await eventually(() => jobs.every((job) => results.get(job.id) === job.data.n * 2));
await eventually(() => results.get(stalled.id) === 2000);
assert.deepEqual(seen.sort((a, b) => a - b), [...Array.from({ length: 100 }, (_, n) => n), 1000]);

const retried = sender.createJob({ n: 3, fail: true }).retries(2).backoff("fixed", 20);
const succeeded = once(retried, "succeeded");
await retried.save();
assert.deepEqual(await succeeded, [6]);
failures = -100;
const failed = sender.createJob({ fail: true });
const error = once(failed, "failed");
await failed.save();
assert.equal((await error)[0].message, "no rose");

const begin = Date.now();
const late = sender.createJob({ n: 4 }).delayUntil(begin + 300);
const ran = once(late, "succeeded");
await late.save();
assert.deepEqual(await ran, [8]);
assert(Date.now() - begin >= 300);

const { succeeded: count, failed: others, waiting, active } = await sender.checkHealth();
assert.deepEqual([count, others, waiting, active], [103, 1, 0, 0]);
for (const worker of workers) await worker.close();
await sender.destroy();
assert.deepEqual(await plain.keys("*"), []);
await sender.close();
await plain.quit();
