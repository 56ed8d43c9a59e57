// rate-limit-redis: the requests of an address, counted for express-rate-limit.

import assert from "node:assert/strict";
import express from "express";
import { rateLimit } from "express-rate-limit";
import { RedisStore } from "rate-limit-redis";
import { createClient } from "redis";
import { between, eventually, keys, plain, serve, url } from "./support.mjs";

const client = createClient({ url });
await client.connect();
const app = express();
const store = new RedisStore({ sendCommand: (...words) => client.sendCommand(words), prefix: "site:" });
app.use(rateLimit({ windowMs: 2000, limit: 2, standardHeaders: "draft-8", legacyHeaders: false, store }));
app.get("/", (_, response) => response.send("page"));
const [address, end] = await serve(app);
const get = async () => (await fetch(address)).status;
assert.deepEqual([await get(), await get(), await get()], [200, 200, 429]);
assert.deepEqual(await keys(), ["site:127.0.0.1"]);
const { totalHits, resetTime } = await store.get("127.0.0.1");
assert.equal(totalHits, 3);
between(resetTime - Date.now(), 0, 2000);
await eventually(async () => (await get()) === 200);
await store.decrement("127.0.0.1");
await store.resetKey("127.0.0.1");
assert.deepEqual(await keys(), []);

end();
await client.close();
await plain.quit();
