// ioredis's client for clusters. It writes new keys all the time, and goes on through failovers. Its arguments are the
// ports of the nodes. It answers the questions of `tests/failover/writers.rs` on the standard input, in a folder in
// which ioredis is installed.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
// The options that the documentation recommends.
import { OPTIONS } from "../../examples/cluster/ioredis.mjs";

const Redis = createRequire(join(process.cwd(), "package.json"))("ioredis");
const NAME = "ioredis";
// Keys that are read at once.
const CHUNK = 500;
// The milliseconds that a wrong read may be repeated: a replica may be behind.
const LIMIT = 30_000;

function connect(options = {}) {
  const nodes = process.argv.slice(2).map((port) => ({ host: "127.0.0.1", port: Number(port) }));
  const cluster = new Redis.Cluster(nodes, {
    ...OPTIONS,
    ...options,
  });
  // It says by an event, too, that no node answers. The commands have told us.
  cluster.on("error", () => {});
  return cluster;
}

const client = connect();
const keys = [];
let errors = 0, last = Date.now(), gap = 0, ending = false;

/** Writes, and never uses a key again that got no answer: it may be there or not. */
async function write() {
  for (let tries = 0; !ending; tries++) {
    const key = `${NAME}:${tries}`;
    try {
      await client.set(key, key);
      keys.push(key);
      const now = Date.now();
      [gap, last] = [Math.max(gap, now - last), now];
    } catch {
      errors++;
    }
    await sleep(5);
  }
}

/** Returns what was counted, and begins to measure the longest gap anew. */
function report() {
  const longest = Math.max(gap, Date.now() - last);
  gap = 0;
  return `${keys.length} ${errors} ${longest}`;
}

/** Returns how many keys are there, each of which has itself as value. */
async function count(client) {
  const end = Date.now() + LIMIT;
  let missing = keys;
  while (missing.length && Date.now() < end) {
    const left = [];
    for (let at = 0; at < missing.length; at += CHUNK) {
      const chunk = missing.slice(at, at + CHUNK);
      const values = await Promise.all(chunk.map((key) => client.get(key).catch(() => null)));
      left.push(...chunk.filter((key, place) => values[place] !== key));
    }
    missing = left;
  }
  return keys.length - missing.length;
}

const writing = write();
for await (const question of createInterface({ input: process.stdin })) {
  if (question === "report") {
    console.log(report());
  } else if (question === "stop") {
    ending = true;
    await writing;
    console.log(report());
  } else if (question === "read") {
    console.log(await count(client));
  } else {
    const replicas = connect({ scaleReads: "slave" });
    console.log(await count(replicas));
    replicas.disconnect();
  }
}
client.disconnect();
