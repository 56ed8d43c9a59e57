// ioredis on the cluster that `run` starts: writes twice a second, and prints each failure and each pause. Kill the
// primary with SIGKILL, or freeze it with SIGSTOP, and look how long that takes.
//
// Usage, in a directory in which ioredis is installed (npm install ioredis@5):
//
//     node .../examples/cluster/ioredis.mjs [PORT...]

import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

// A primary whose process or machine hangs keeps its connections open. Without `commandTimeout`, commands wait for it
// until TCP gives up. And without `slotsRefreshInterval`, ioredis asks for the slots again only after a redirection or
// when a connection breaks, so it keeps sending commands to that node although another one is the primary.
export const OPTIONS = {
  slotsRefreshInterval: 1000,
  slotsRefreshTimeout: 500,
  redisOptions: { commandTimeout: 500, connectTimeout: 500 },
};

async function main(ports) {
  const Redis = createRequire(join(process.cwd(), "package.json"))("ioredis");
  const cluster = new Redis.Cluster(ports.map((port) => ({ host: "127.0.0.1", port })), OPTIONS);
  // Without a listener, the process would end when no node answers.
  cluster.on("error", (error) => console.log(`cluster: ${error.message}`));
  for (let last = Date.now(); ; await sleep(500)) {
    try {
      await cluster.set("rose", new Date().toISOString());
      const pause = Date.now() - last;
      if (pause > 1000) console.log(`the first write after ${pause} ms`);
      last = Date.now();
    } catch (error) {
      // A write that timed out may have been done.
      console.log(`set: ${error.message}`);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const ports = process.argv.slice(2).map(Number);
  await main(ports.length ? ports : [7001, 7002, 7003]);
}
