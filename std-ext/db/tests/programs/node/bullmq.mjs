// BullMQ, which cannot run: its jobs are hashes, and its queues lists, sorted sets and streams.

import { Queue } from "bullmq";
import { plain, port, scriptLacks } from "./support.mjs";

const queue = new Queue("paint", { connection: { port, maxRetriesPerRequest: 1 } });
queue.on("error", () => {});
await scriptLacks(queue.add("rose", { colour: "red" }));
await queue.close();
await plain.quit();
