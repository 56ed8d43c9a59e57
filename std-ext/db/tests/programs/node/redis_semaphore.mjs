// redis-semaphore: its mutexes are strings, its semaphores sorted sets.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { MultiSemaphore, Mutex, RedlockMutex, RedlockSemaphore, Semaphore, TimeoutError } from "redis-semaphore";
import { alone, keys, plain, ports } from "./support.mjs";

const clients = ports.map((port) => new Redis({ port }));
for (const [Kind, client] of [[Mutex, plain], [RedlockMutex, clients]]) {
  const make = (acquireTimeout) => new Kind(client, "door", { retryInterval: 5, acquireTimeout });
  await alone(async () => {
    const mutex = make(20_000);
    await mutex.acquire();
    return () => mutex.release();
  });
  const [one, other] = [make(20_000), make(50)];
  assert.equal(await one.tryAcquire(), true);
  assert.equal(await other.tryAcquire(), false);
  await one.release();
  assert.deepEqual(await keys(), []);
}

for (const [Kind, client] of [[Semaphore, plain], [MultiSemaphore, plain], [RedlockSemaphore, clients]]) {
  const make = (acquireTimeout) => {
    const options = { retryInterval: 5, acquireTimeout };
    // A MultiSemaphore takes several permits at once.
    return Kind === MultiSemaphore ? new Kind(client, "hall", 4, 2, options) : new Kind(client, "hall", 2, options);
  };
  let [inside, most] = [0, 0];
  async function work() {
    const semaphore = make(20_000);
    await semaphore.acquire();
    most = Math.max(most, ++inside);
    await sleep(10);
    inside--;
    await semaphore.release();
  }
  await Promise.all(Array.from({ length: 8 }, work));
  assert.equal(most, 2);
  const [one, other, third] = [make(20_000), make(20_000), make(50)];
  await one.acquire();
  await other.acquire();
  await assert.rejects(third.acquire(), TimeoutError);
  await one.release();
  assert.equal(await third.tryAcquire(), true);
  await other.release();
  await third.release();
  assert.deepEqual(await keys(), []);
}

// A semaphore that is held longer than its time to live extends it.
const long = new Semaphore(plain, "long", 1, { lockTimeout: 200, refreshInterval: 40 });
await long.acquire();
await sleep(500);
assert.equal(await new Semaphore(plain, "long", 1, { acquireTimeout: 50 }).tryAcquire(), false);
await long.release();
for (const client of [...clients, plain]) await client.quit();
