// Bottleneck, which cannot run: its state is hashes and sorted sets.

import Bottleneck from "bottleneck";
import Redis from "ioredis";
import { plain, port, scriptLacks } from "./support.mjs";

const limiter = new Bottleneck({ datastore: "ioredis", Redis, clientOptions: { port }, maxConcurrent: 1 });
limiter.on("error", () => {});
await scriptLacks(limiter.ready());
await limiter.disconnect(false);
await plain.quit();
