// What the programs' tests share. `run` gives the port of the server in `PORT`, and of two more in `PORTS`.

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";

export const port = Number(process.env.PORT);
export const ports = [port, ...process.env.PORTS.split(" ").map(Number)];
export const url = `redis://127.0.0.1:${port}`;

/** A client to look at what a program has stored. The servers are empty at the beginning. */
export const plain = new Redis({ port });
for (const other of ports) {
  const client = new Redis({ port: other });
  await client.flushall();
  client.disconnect();
}

export async function keys() {
  return (await plain.keys("*")).sort();
}

/** Waits until `what` returns something true, and returns it. */
export async function eventually(what, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; ; await sleep(10)) {
    const got = await what();
    if (got) return got;
    assert(Date.now() < end, `it does not happen within ${seconds} s`);
  }
}

export function between(got, low, high) {
  assert(low < got && got <= high, `${got} is not between ${low} and ${high}`);
}

/** Expects the error of a command that does not exist here. */
export async function lacks(command, promise) {
  await assert.rejects(promise, (why) => {
    assert(`${why.message} ${why.cause?.message}`.toLowerCase().includes(`unknown command '${command}'`), String(why));
    return true;
  });
}

/** Expects the error of a script that uses a type that does not exist here. */
export async function scriptLacks(promise) {
  await assert.rejects(promise, /Unknown Redis command called from script/);
}

/** Serves an application on a free port. Returns its address, and a function that ends it. */
export async function serve(app) {
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const end = () => {
    server.closeAllConnections();
    server.close();
  };
  return [`http://127.0.0.1:${server.address().port}`, end];
}

/** Enters and leaves from several tasks, and expects that no two are inside at once. */
export async function alone(enter) {
  let inside = 0;
  async function work() {
    const leave = await enter();
    assert.equal(++inside, 1);
    await sleep(5);
    inside--;
    await leave();
  }
  await Promise.all(Array.from({ length: 8 }, work));
}
