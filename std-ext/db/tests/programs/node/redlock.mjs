// redlock: locks on most of three servers.

import assert from "node:assert/strict";
import { Redis } from "ioredis";
import Redlock from "redlock";
import { alone, between, keys, plain, ports } from "./support.mjs";

const clients = ports.map((port) => new Redis({ port }));
const options = { retryCount: 0 };
const [one, other] = [new Redlock(clients, options), new Redlock(clients, options)];
const patient = new Redlock(clients, { retryCount: 400, retryDelay: 20, retryJitter: 10 });

let lock = await one.lock("door", 20_000);
await assert.rejects(other.lock("door", 20_000), Redlock.LockError);
between(await plain.pttl("door"), 10_000, 20_000);
lock = await lock.extend(60_000);
between(await plain.pttl("door"), 50_000, 60_000);
await lock.unlock();
assert.deepEqual(await keys(), []);
// A lock on one of the servers hinders nobody; on two it does.
await clients[0].set("door", "taken");
await (await other.lock("door", 10_000)).unlock();
await clients[1].set("door", "taken");
await assert.rejects(other.lock("door", 1000), Redlock.LockError);
await Promise.all(clients.map((client) => client.flushall()));
// Several keys at once, and a lock that expires.
lock = await one.lock(["a", "b"], 1000);
await assert.rejects(other.lock("b", 1000), Redlock.LockError);
await (await patient.lock("b", 10_000)).unlock();
await assert.rejects(lock.extend(1000), Redlock.LockError);
await alone(async () => {
  const lock = await patient.lock("door", 10_000);
  return () => lock.unlock();
});
for (const client of [...clients, plain]) await client.quit();
