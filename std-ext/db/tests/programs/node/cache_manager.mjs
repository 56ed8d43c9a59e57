// cache-manager, whose store on Redis is that of keyv.

import assert from "node:assert/strict";
import { createKeyv } from "@keyv/redis";
import { createCache } from "cache-manager";
import { between, keys, plain, url } from "./support.mjs";

await plain.set("others", 1);
const cache = createCache({ stores: [createKeyv(url, { namespace: "cache" })], ttl: 60_000 });
assert.deepEqual(await cache.set("a", [1, 2]), [1, 2]);
assert.deepEqual(await cache.get("a"), [1, 2]);
await cache.mset([
  { key: "b", value: 1 },
  { key: "c", value: 2, ttl: 1000 },
]);
assert.deepEqual(await cache.mget(["b", "none", "c"]), [1, undefined, 2]);
let made = 0;
const make = () => ++made;
assert.deepEqual([await cache.wrap("d", make), await cache.wrap("d", make)], [1, 1]);
between((await cache.ttl("d")) - Date.now(), 50_000, 60_000);
await cache.del("d");
assert.equal(await cache.wrap("d", make), 2);
await cache.clear();
assert.deepEqual(await keys(), ["others"]);
await cache.disconnect();
await plain.quit();
