// keyv with @keyv/redis: values in a namespace.

import assert from "node:assert/strict";
import KeyvRedis from "@keyv/redis";
import { Keyv } from "keyv";
import { between, eventually, keys, plain, url } from "./support.mjs";

const it = new Keyv(new KeyvRedis(url), { namespace: "users", useKeyPrefix: false });
assert.equal(await it.set("rose", { colour: "red" }, 100_000), true);
assert.deepEqual(await it.get("rose"), { colour: "red" });
assert.equal(await it.get("none"), undefined);
assert.deepEqual(await keys(), ["users::rose"]);
between(await plain.pttl("users::rose"), 90_000, 100_000);
await it.setMany([
  { key: "a", value: 1 },
  { key: "b", value: "two" },
]);
assert.deepEqual(await it.getMany(["a", "none", "b"]), [1, undefined, "two"]);
assert.deepEqual([await it.has("a"), await it.has("none")], [true, false]);
assert.deepEqual([await it.delete("a"), await it.delete("a")], [true, false]);
const found = [];
for await (const [key, value] of it.iterator("users")) found.push([key, value]);
assert.deepEqual(found.sort(), [
  ["b", "two"],
  ["rose", { colour: "red" }],
]);
await it.set("short", 1, 50);
await eventually(async () => (await plain.exists("users::short")) === 0);
// Only the keys of its namespace go.
await plain.set("others", 1);
await it.clear();
assert.deepEqual(await keys(), ["others"]);
await it.disconnect();
await plain.quit();
