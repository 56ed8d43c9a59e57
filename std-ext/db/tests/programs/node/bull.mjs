// Bull: queues, workers, delayed and repeated jobs, and messages about jobs.

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import Queue from "bull";
import { between, eventually, plain, port } from "./support.mjs";

const options = { redis: { port }, settings: { stalledInterval: 100, lockDuration: 300, guardInterval: 100 } };
const [queue, other] = [new Queue("paint", options), new Queue("paint", options)];
queue.setMaxListeners(0);
const done = (job) => Promise.race([job.finished(), sleep(20_000, null, { ref: false }).then(() => assert.fail("late"))]);

// Jobs before there is a worker, by priority.
const order = [];
const jobs = await Promise.all([3, 1, 2].map((n) => queue.add("named", { n }, { priority: n })));
assert.deepEqual(await queue.getJobCounts(), { waiting: 3, active: 0, completed: 0, failed: 0, delayed: 0, paused: 0 });
other.process("named", async (job) => order.push(job.data.n));
await Promise.all(jobs.map(done));
assert.deepEqual(order, [1, 2, 3]);

// Many, of which each runs once, at the worker of any client.
const seen = [];
let failures = 0;
const work = async (job) => {
  if (job.data.fail && ++failures < 3) throw new Error("no rose");
  await job.progress(50);
  seen.push(job.data.n);
  return job.data.n * 2;
};
queue.process(4, work);
other.process(4, work);
const progress = once(queue, "global:progress");
const many = await queue.addBulk(Array.from({ length: 200 }, (_, n) => ({ data: { n } })));
assert.deepEqual(await Promise.all(many.map(done)), Array.from({ length: 200 }, (_, n) => n * 2));
assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 200 }, (_, n) => n));
assert.equal((await progress)[1], 50);
assert.equal((await queue.getJob(many[7].id)).returnvalue, 14);

// Later, again after an error, and at most so often.
const begin = Date.now();
assert.equal(await done(await queue.add({ n: 1 }, { delay: 300 })), 2);
between(Date.now() - begin, 250, 10_000);
assert.equal(await done(await queue.add({ n: 2, fail: true }, { attempts: 3, backoff: 20 })), 4);
failures = -100;
const failed = await queue.add({ fail: true });
await assert.rejects(done(failed), /no rose/);
assert.equal(await failed.getState(), "failed");
failures = 10;
await failed.retry();
await eventually(async () => (await failed.getState()) === "completed");
await queue.add({ n: 1000 }, { repeat: { every: 100, limit: 3 } });
await eventually(() => seen.filter((n) => n === 1000).length === 3);

// A queue that is paused waits everywhere.
await queue.pause();
const paused = await other.add({ n: 5 });
await sleep(200);
assert.equal(await paused.getState(), "paused");
await other.resume();
assert.equal(await done(paused), 10);

// A job whose worker has died runs at another.
const stalled = await new Queue("stalled", options).add({ n: 6 });
await plain.lmove("bull:stalled:wait", "bull:stalled:active", "RIGHT", "LEFT");
const second = new Queue("stalled", options);
second.process(work);
assert.equal(await done(stalled), 12);

await queue.clean(0, "completed");
await queue.obliterate({ force: true });
// The clients may look for stalled jobs again, and note that.
assert.deepEqual((await plain.keys("bull:paint:*")).filter((key) => key !== "bull:paint:stalled-check"), []);
await Promise.all([queue, other, stalled.queue, second].map((it) => it.close()));
await plain.quit();
