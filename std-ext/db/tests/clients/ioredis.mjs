// ioredis, used as programs use it. Called by `run` with the port and the program, in a folder in which ioredis is
// installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const Redis = createRequire(join(process.cwd(), "package.json"))("ioredis");
const port = Number(process.env.PORT);
const program = process.env.PROGRAM;

const it = new Redis({ port });
beforeEach(() => it.flushall());
after(() => it.quit());

/** One that no connection takes for its own end, also while the server is away. */
async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const free = createServer().listen(port, "127.0.0.1");
    const [taken] = await Promise.race([once(free, "listening"), once(free, "error")]).catch((why) => [why]);
    if (taken) continue;
    free.close();
    await once(free, "close");
    return port;
  }
}

/** Another server, which a test may end and start again. */
class Server {
  constructor(...flags) {
    this.folder = mkdtempSync(join(tmpdir(), "hedgerow-"));
    this.flags = flags;
  }

  async start() {
    this.port ??= await freePort();
    const flags = ["--port", this.port, "--dir", this.folder, "--threads", 2, "--loglevel", "warning", ...this.flags];
    this.process = spawn(program, flags.map(String), { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    for await (const part of this.process.stdout) {
      said += part;
      if (said.endsWith("Press Ctrl-C to stop.\n")) return this;
    }
    throw new Error(`it did not start: ${said}`);
  }

  async end(how = "SIGTERM") {
    const gone = once(this.process, "exit");
    this.process.kill(how);
    return (await gone)[0];
  }

  async remove() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.end("SIGKILL");
    rmSync(this.folder, { recursive: true });
  }
}

test("values", async () => {
  assert.equal(await it.set("rose", "red"), "OK");
  assert.equal(await it.get("rose"), "red");
  assert.equal(await it.get("violet"), null);
  assert.equal(await it.append("rose", "dish"), 7);
  assert.equal(await it.getrange("rose", -4, -1), "dish");
  assert.equal(await it.set("rose", "pink", "GET"), "reddish");
  assert.equal(await it.set("rose", "blue", "NX"), null);
  assert.equal(await it.set("violet", "blue", "XX"), null);
  assert.equal(await it.getdel("rose"), "pink");
  assert.equal(await it.exists("rose"), 0);
  await it.set("straße", "Grüße, 世界");
  assert.equal(await it.get("straße"), "Grüße, 世界");
});

test("bytes and big values", async () => {
  const odd = Buffer.concat([Buffer.from([...Array(256).keys()]), Buffer.from("\r\n$-1\r\n\0")]);
  await it.set(odd, odd);
  assert.deepEqual(await it.getBuffer(odd), odd);
  const big = randomBytes(5 << 20);
  await it.set("big", big);
  const all = await Promise.all(Array.from({ length: 4 }, () => it.getBuffer("big")));
  for (const one of all) assert.ok(one.equals(big));
});

test("counters", async () => {
  assert.deepEqual(await Promise.all([it.incr("n"), it.incrby("n", 41), it.decrby("n", 2)]), [1, 42, 40]);
  assert.equal(await it.incrbyfloat("n", 0.25), "40.25");
  await assert.rejects(it.incr("n"), { message: "ERR value is not an integer or out of range" });
  await it.set("most", "9223372036854775807");
  await assert.rejects(it.incr("most"), { message: "ERR increment or decrement would overflow" });
});

test("ends", async () => {
  const end = Math.floor(Date.now() / 1000) + 1000;
  await it.set("until", 1, "EXAT", end);
  assert.equal(await it.expiretime("until"), end);
  await it.set("until", 2, "KEEPTTL");
  assert.equal(await it.expiretime("until"), end);
  assert.equal(await it.getex("until", "PX", 50_000), "2");
  const left = await it.pttl("until");
  assert.ok(left > 49_000 && left <= 50_000);
  assert.equal(await it.persist("until"), 1);
  assert.equal(await it.ttl("until"), -1);
  assert.equal(await it.expire("until", 10, "XX"), 0);
  await it.set("soon", 1, "PX", 30);
  await sleep(60);
  assert.equal(await it.get("soon"), null);
  assert.equal(await it.ttl("soon"), -2);
  await assert.rejects(it.set("a", 1, "EX", 0), { message: "ERR invalid expire time in 'set' command" });
});

test("many keys", async () => {
  await it.mset(new Map(Array.from({ length: 1000 }, (_, n) => [`key:${n}`, n])));
  assert.deepEqual(await it.mget("key:1", "none", "key:999"), ["1", null, "999"]);
  assert.equal(await it.msetnx("key:1", 0, "new", 0), 0);
  const met = new Set();
  for await (const keys of it.scanStream({ match: "key:?5?", count: 10 })) keys.forEach((key) => met.add(key));
  assert.deepEqual([...met].sort(), Array.from({ length: 100 }, (_, n) => `key:${(n / 10) | 0}5${n % 10}`)
    .filter((key) => key[4] !== "0").sort());
  let all = new Set(), from = "0";
  do {
    const [next, keys] = await it.scan(from, "COUNT", 100);
    keys.forEach((key) => all.add(key));
    from = next;
  } while (from !== "0");
  assert.equal(all.size, 1000);
  assert.equal(await it.rename("key:1", "one"), "OK");
  await assert.rejects(it.rename("none", "other"), { message: "ERR no such key" });
  assert.equal(await it.del("one", "key:2", "none"), 2);
  assert.equal(await it.dbsize(), 998);
});

test("pipelines", async () => {
  const pipe = it.pipeline();
  for (let n = 0; n < 10_000; n++) pipe.set(`key:${n}`, n).incr("sum");
  const answers = await pipe.exec();
  assert.equal(answers.length, 20_000);
  answers.forEach(([why, answer], place) => {
    assert.equal(why, null);
    assert.equal(answer, place % 2 ? (place + 1) / 2 : "OK");
  });
  const [one, two, three] = await it.pipeline().get("key:7").lolwut().get("key:8").exec();
  assert.deepEqual([one, three], [[null, "7"], [null, "8"]]);
  assert.match(two[0].message, /^ERR unknown command 'lolwut'/);
  // All that is asked in one turn goes as one pipeline, unasked.
  const eager = new Redis({ port, enableAutoPipelining: true });
  const sums = await Promise.all(Array.from({ length: 1000 }, () => eager.incr("eager")));
  assert.deepEqual(sums, Array.from({ length: 1000 }, (_, n) => n + 1));
  await eager.quit();
});

test("transactions", async () => {
  assert.deepEqual(await it.multi().set("multi", 1).incr("multi").exec(), [[null, "OK"], [null, 2]]);
});

test("channels", async () => {
  const listener = it.duplicate();
  const heard = [];
  const all = new Promise((done) => {
    const hear = (...words) => {
      heard.push(words);
      if (heard.length === 3) done();
    };
    listener.on("message", hear);
    listener.on("pmessage", hear);
  });
  assert.equal(await listener.subscribe("news", "sport"), 2);
  assert.equal(await listener.psubscribe("n*"), 3);
  assert.equal(await it.publish("news", "rain"), 2);
  assert.equal(await it.publish("sport", "1:0"), 1);
  await all;
  assert.deepEqual(heard, [["news", "rain"], ["n*", "news", "rain"], ["sport", "1:0"]]);
  await assert.rejects(listener.get("a"), /subscriber mode/);
  assert.equal(await listener.unsubscribe("news", "sport"), 1);
  assert.equal(await listener.punsubscribe("n*"), 0);
  assert.equal(await listener.get("none"), null);
  assert.equal(await it.publish("news", "none"), 0);
  listener.disconnect();
});

test("databases", async () => {
  const third = new Redis({ port, db: 3 });
  await it.set("rose", "red");
  assert.equal(await third.get("rose"), null);
  await third.set("rose", "white");
  assert.equal(await it.get("rose"), "red");
  assert.equal(await it.move("rose", 3), 0);
  await it.swapdb(0, 3);
  assert.equal(await it.get("rose"), "white");
  await third.quit();
});

test("scripts", async () => {
  it.defineCommand("release", {
    numberOfKeys: 1,
    lua: "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
  });
  await it.set("lock", "mine");
  assert.equal(await it.release("lock", "other"), 0);
  assert.equal(await it.release("lock", "mine"), 1);
  await it.script("FLUSH");
  assert.equal(await it.release("lock", "mine"), 0);
  assert.deepEqual(await it.multi().set("lock", "mine").release("lock", "mine").exec(), [[null, "OK"], [null, 1]]);
  assert.deepEqual(await it.eval("return {1, 'a', {ok = 'fine'}, false}", 0), [1, "a", "fine", null]);
});

test("hashes", async () => {
  assert.equal(await it.hset("rose", { colour: "red", height: 2 }), 2);
  assert.deepEqual(await it.hgetall("rose"), { colour: "red", height: "2" });
  assert.deepEqual(await it.hmget("rose", "none", "colour"), [null, "red"]);
  assert.deepEqual(await it.multi().hincrby("rose", "height", 3).hgetall("rose").hgetall("none").exec(), [
    [null, 5],
    [null, { colour: "red", height: "5" }],
    [null, {}],
  ]);
  assert.equal(await it.hdel("rose", "colour", "none"), 1);
  assert.deepEqual(await it.hscan("rose", 0), ["0", ["height", "5"]]);
  await assert.rejects(it.get("rose"), { message: /^WRONGTYPE / });
});

test("what there is not", async () => {
  await assert.rejects(it.lolwut(), { message: /^ERR unknown command 'lolwut'/ });
  await assert.rejects(it.multi().lolwut().set("a", 1).exec(), { message: /EXECABORT/ });
  await assert.rejects(it.function("LOAD", "#!lua name=roses"), { message: /functions are not supported/ });
  await assert.rejects(it.select(16), { message: "ERR DB index is out of range" });
  await assert.rejects(it.call("GET", "a", "b"), { message: "ERR wrong number of arguments for 'get' command" });
  assert.equal(await it.ping(), "PONG");
});

test("the server", async () => {
  await it.set("a", 1, "EX", 100);
  const info = Object.fromEntries((await it.info()).split("\r\n").filter((line) => line.includes(":"))
    .map((line) => line.split(/:(.*)/s)));
  assert.equal(info.role, "master");
  assert.equal(info.loading, "0");
  assert.equal(info.tcp_port, String(port));
  assert.equal(info.db0, "keys=1,expires=1,avg_ttl=0");
  assert.deepEqual(await it.config("GET", "appendfsync"), ["appendfsync", "everysec"]);
  assert.ok((await it.command("COUNT")) > 50);
  assert.equal(await it.echo("hello"), "hello");
  assert.equal((await it.time()).length, 2);
});

test("clients", async () => {
  const one = new Redis({ port, connectionName: "the-one" });
  assert.equal(await one.client("GETNAME"), "the-one");
  const id = await one.client("ID");
  const list = await it.client("LIST");
  assert.match(list, new RegExp(`id=${id} .* name=the-one `));
  await one.quit();
});

test("many connections", async () => {
  const many = Array.from({ length: 200 }, () => new Redis({ port }));
  await Promise.all(many.map((one, n) => one.set(`key:${n}`, n).then(() => one.incr("n"))));
  assert.equal(await it.get("n"), "200");
  assert.deepEqual(await Promise.all(many.map((one, n) => one.get(`key:${199 - n}`))),
    Array.from({ length: 200 }, (_, n) => String(199 - n)));
  await Promise.all(many.map((one) => one.quit()));
});

test("a password", async () => {
  const server = await new Server("--requirepass", "open sesame").start();
  try {
    const one = new Redis({ port: server.port, password: "open sesame" });
    assert.equal(await one.set("rose", "red"), "OK");
    const two = new Redis(`redis://default:open%20sesame@127.0.0.1:${server.port}`);
    assert.equal(await two.get("rose"), "red");
    for (const [more, wanted] of [[{}, /NOAUTH/], [{ password: "mellon" }, /WRONGPASS|NOAUTH/]]) {
      const other = new Redis({ port: server.port, retryStrategy: null, ...more });
      other.on("error", () => {});
      await assert.rejects(other.get("rose"), { message: wanted });
      other.disconnect();
    }
    one.disconnect(), two.disconnect();
  } finally {
    await server.remove();
  }
});

test("it is found again", async () => {
  const server = await new Server("--appendfsync", "always").start();
  const one = new Redis({ port: server.port, maxRetriesPerRequest: null });
  one.on("error", () => {});
  try {
    await one.mset("a", 1, "b", 2);
    for (const how of ["SIGTERM", "SIGKILL"]) {
      const code = await server.end(how);
      assert.equal(code, how === "SIGTERM" ? 0 : null);
      // Waits in the client until there is a server.
      const waits = one.mget("a", "b");
      await server.start();
      assert.deepEqual(await waits, ["1", "2"]);
    }
  } finally {
    one.disconnect();
    await server.remove();
  }
});
