// redis-semaphore: its mutexes are strings. Its semaphores are sorted sets, and cannot run.

import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { Mutex, RedlockMutex, Semaphore } from "redis-semaphore";
import { alone, keys, plain, ports, scriptLacks } from "./support.mjs";

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

await scriptLacks(new Semaphore(plain, "semaphore", 2).acquire());
for (const client of [...clients, plain]) await client.quit();
