// connect-redis: the sessions of express.

import assert from "node:assert/strict";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { between, keys, plain, serve, url } from "./support.mjs";

const client = createClient({ url });
await client.connect();
const store = new RedisStore({ client, prefix: "app:" });
const app = express();
app.use(session({ store, resave: false, saveUninitialized: false, secret: "secret", cookie: { maxAge: 600_000 } }));
app.get("/count", (request, response) => {
  request.session.count = (request.session.count ?? 0) + 1;
  response.json(request.session.count);
});
app.get("/end", (request, response) => request.session.destroy(() => response.json("ended")));
const [address, end] = await serve(app);

/** A browser with a cookie. */
class Browser {
  async get(path) {
    const response = await fetch(address + path, { headers: this.cookie ? { cookie: this.cookie } : {} });
    this.cookie ??= response.headers.get("set-cookie").split(";")[0];
    return response.json();
  }
}

const [one, other] = [new Browser(), new Browser()];
assert.deepEqual([await one.get("/count"), await one.get("/count"), await other.get("/count")], [1, 2, 1]);
assert.equal((await keys()).length, 2);
assert.equal(await store.length(), 2);
const [id] = await store.ids();
between(await plain.ttl(`app:${id}`), 590, 600);
assert.deepEqual((await store.all()).map((session) => session.count).sort(), [1, 2]);
// A request that changes nothing makes the session live longer.
await plain.expire(`app:${id}`, 10);
const cookie = { expires: new Date(Date.now() + 600_000) };
await store.touch(id, { cookie });
between(await plain.ttl(`app:${id}`), 590, 600);
assert.equal(await one.get("/end"), "ended");
assert.equal((await keys()).length, 1);
assert.equal(await one.get("/count"), 1);
await store.clear();
assert.deepEqual(await keys(), []);

end();
await client.close();
await plain.quit();
