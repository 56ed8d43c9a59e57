// BullMQ: queues and workers, jobs by priority, later, and again after an error; its events, which wait for a stream.

import assert from "node:assert/strict";
import { Queue, QueueEvents, Worker } from "bullmq";
import { eventually, plain, port } from "./support.mjs";

const connection = { port, maxRetriesPerRequest: null };
const queue = new Queue("paint", { connection });
queue.on("error", () => {});
const events = new QueueEvents("paint", { connection });
const reported = [];
events.on("completed", ({ returnvalue }) => reported.push(returnvalue));
await events.waitUntilReady();
for (const n of [3, 1, 2]) await queue.add("named", { n }, { priority: n });
assert.equal((await queue.getJobCounts()).prioritized, 3);

const [done, failed] = [[], []];
let failures = 0;
const worker = new Worker("paint", async (job) => {
  if (job.data.fail && ++failures < 3) throw new Error("no rose");
  return job.data.n * 2;
}, { connection });
worker.on("completed", (job, value) => done.push([job.data.n, value]));
worker.on("failed", (job) => failed.push(job.attemptsMade));
await eventually(() => done.length === 3);
assert.deepEqual(done, [[1, 2], [2, 4], [3, 6]]);

await queue.add("late", { n: 4 }, { delay: 200 });
await queue.add("again", { n: 5, fail: true }, { attempts: 3, backoff: 20 });
await eventually(() => done.length === 5);
assert.deepEqual(done.slice(3).sort(), [[4, 8], [5, 10]]);
assert.deepEqual(failed, [1, 2]);
await queue.addBulk(Array.from({ length: 100 }, (_, n) => ({ name: "many", data: { n } })));
await eventually(() => done.length === 105);
assert.deepEqual((await queue.getJobCounts()).completed, 105);
await eventually(() => reported.length === 105);
assert.deepEqual(reported.slice(0, 3), [2, 4, 6]);
const job = await queue.add("waited", { n: 6 });
assert.equal(await job.waitUntilFinished(events), 12);
await worker.close();
await events.close();
await queue.close();
await plain.quit();
