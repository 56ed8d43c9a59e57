// hedgerow-db beside redis-server, both asked by redis-benchmark: requests a second, the server's processor time for
// each, and the 99th percentile of answers, in turns.
//
//     cargo build --release -p hedgerow-db
//     node benches/redis.mjs [--rounds 5] [--fsync everysec|always|no] [--seconds 2] [--ours PATH]
//         [--theirs PATH] [--client-threads 1] [--memory FILE.rows] [--programs] [--collections]
//
// Needs redis-server and redis-benchmark. `--theirs` names another server, such as valkey-server. `--memory` loads rows
// (a key, a tab and a value a line; without a tab the line's number is the key) into both instead, and tells what memory
// each takes of them, and how long each takes to start again. `--programs` measures transactions, scripts and messages
// instead, and `--collections` commands of hashes, lists, sets and sorted sets, and the memory of these.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";

const option = (name, other) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? other : process.argv[at + 1];
};
const rounds = Number(option("rounds", 5));
const fsync = option("fsync", "everysec");
const seconds = Number(option("seconds", 2));
// One thread of redis-benchmark is itself busy nearly all the time at one request at a time.
const clientThreads = Number(option("client-threads", 1));
const oursAt = option("ours", "target/release/hedgerow-db");
const theirsAt = option("theirs", "redis-server");
const TICKS = Number(execFileSync("getconf", ["CLK_TCK"]));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Processor time of a process so far, in microseconds.
const cpu = (pid) => {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS;
};

const resident = (pid) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;

const answers = (port) =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.on("data", (data) => (socket.destroy(), done(data.toString().startsWith("+PONG"))));
    socket.on("error", () => done(false));
  });

// Starts a server, and waits until it answers; milliseconds that took.
const start = async (server) => {
  const began = performance.now();
  const [program, ...args] = server.command;
  server.process = spawn(program, args, { stdio: "ignore" });
  while (!(await answers(server.port))) {
    if (server.process.exitCode !== null) throw new Error(`${server.name} does not start`);
    await sleep(2);
  }
  return performance.now() - began;
};

const stop = (server) =>
  new Promise((done) => {
    server.process.on("exit", done);
    server.process.kill("SIGTERM");
  });

const servers = (extra) => {
  const folder = () => mkdtempSync(join(tmpdir(), "versus-redis-"));
  const [theirs, ours] = [folder(), folder()];
  const redis = [theirsAt, "--port", "7801", "--save", "", "--appendonly", "yes"];
  return [
    {
      name: theirsAt.split("/").at(-1),
      port: 7801,
      folder: theirs,
      command: [...redis, "--appendfsync", fsync, "--dir", theirs, "--protected-mode", "no"],
    },
    {
      name: "hedgerow-db",
      port: 7802,
      folder: ours,
      command: [oursAt, "--port", "7802", "--dir", ours, "--appendfsync", fsync, ...extra],
    },
  ];
};

// `test` is the name of a test, or the words of a command.
const benchmark = (server, test, depth, requests, keys = 100000) => {
  const before = cpu(server.process.pid);
  const out = execFileSync("redis-benchmark", [
    ...["-p", server.port, "-n", requests, "-r", keys, "-d", 64, "-P", depth],
    ...["-c", 50, "--csv", ...(clientThreads > 1 ? ["--threads", clientThreads] : [])],
    ...(Array.isArray(test) ? test : ["-t", test]),
  ]).toString();
  const line = out.trim().split("\n").at(-1).split(",");
  const field = (at) => Number(line[at].replaceAll('"', ""));
  // Columns: test, rps, average, min, p50, p95, p99, max latency.
  const each = (cpu(server.process.pid) - before) / requests;
  return { rps: field(1), p50: field(4), p99: field(6), cpu: each };
};

const median = (all) => {
  const sorted = [...all].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

// Measures both servers in turns, `measure(at)` each. Returns the median of a figure of a server, and the median of the
// rounds' ratios of a figure.
const inTurns = async (measure) => {
  const found = [[], []];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 ? [1, 0] : [0, 1];
    for (const at of order) found[at].push(await measure(at));
  }
  return {
    of: (at, what) => median(found[at].map((one) => one[what])),
    ratio: (what) => median(found[1].map((one, round) => one[what] / found[0][round][what])).toFixed(2),
  };
};

const GOALS = { 1: { get: 1, set: 1 }, 16: { get: 1.5, set: 1.3 }, 64: { get: 2.3, set: 2 } };

const speed = async () => {
  const both = servers([]);
  for (const server of both) await start(server);
  const version = execFileSync(theirsAt, ["--version"]).toString().trim();
  console.log(`${cpus()[0].model}, ${cpus().length} cores. ${version}. appendfsync ${fsync}, ${rounds} rounds, `);
  console.log(`${clientThreads} client threads, 50 clients, values of 64 bytes, 100,000 keys. Medians; ratios are medians of the rounds' ratios.\n`);
  console.log("| | redis/s | ours/s | ratio | goal | CPU µs: redis | ours | ratio | p99 ms: redis | ours | ratio |");
  console.log("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
  for (const depth of [1, 16, 64]) {
    for (const test of ["get", "set"]) {
      const sizes = both.map((server) => {
        const { rps } = benchmark(server, test, depth, 20000 * depth);
        return Math.ceil((rps * seconds) / 1000) * 1000;
      });
      const { of, ratio } = await inTurns((at) => benchmark(both[at], test, depth, sizes[at]));
      const cells = [
        `${test.toUpperCase()}, P = ${depth}`,
        Math.round(of(0, "rps")),
        Math.round(of(1, "rps")),
        `**${ratio("rps")}**`,
        GOALS[depth][test],
        of(0, "cpu").toFixed(2),
        of(1, "cpu").toFixed(2),
        ratio("cpu"),
        of(0, "p99").toFixed(2),
        of(1, "p99").toFixed(2),
        ratio("p99"),
      ];
      console.log(`| ${cells.join(" | ")} |`);
    }
  }
  for (const server of both) await stop(server);
  both.forEach((server) => rmSync(server.folder, { recursive: true }));
};

// Stores rows by pipelines, and waits until all are answered.
const load = (port, rows) =>
  new Promise((done, failed) => {
    const socket = connect(port, "127.0.0.1");
    let answered = 0;
    let sent = 0;
    const send = () => {
      const part = rows.slice(sent, sent + 1000);
      sent += part.length;
      const bytes = part.flatMap(([key, value]) => [
        Buffer.from(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n`),
        key,
        Buffer.from(`\r\n$${value.length}\r\n`),
        value,
        Buffer.from("\r\n"),
      ]);
      socket.write(Buffer.concat(bytes));
    };
    socket.on("error", failed);
    socket.on("data", (data) => {
      for (const byte of data) answered += byte === 10;
      if (answered < sent) return;
      if (sent < rows.length) return send();
      socket.destroy();
      done();
    });
    send();
  });

const memory = async (file) => {
  const lines = readFileSync(file, "latin1").split("\n").filter(Boolean);
  const rows = lines.map((line, number) => {
    const at = line.indexOf("\t");
    if (at < 0) return [Buffer.from(`${number}`), Buffer.from(line, "latin1")];
    return [Buffer.from(line.slice(0, at), "latin1"), Buffer.from(line.slice(at + 1), "latin1")];
  });
  const payload = rows.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  console.log(`${file}: ${rows.length} rows, ${(payload / rows.length).toFixed(0)} bytes each.\n`);
  console.log("| | bytes an entry, without the empty server | of redis | start again, ms |");
  console.log("|---|--:|--:|--:|");
  let first = 0;
  const compressed = option("compressed", String(Math.round(payload * 0.6)));
  const some = [...servers([]), { ...servers(["--compressed", compressed])[1], name: `with ${compressed} compressed` }];
  for (const server of some) {
    await start(server);
    const empty = resident(server.process.pid);
    await load(server.port, rows);
    await sleep(3000);
    const each = (resident(server.process.pid) - empty) / rows.length;
    first ||= each;
    await stop(server);
    const again = await start(server);
    console.log(`| ${server.name} | ${each.toFixed(0)} | ${(each / first).toFixed(2)} | ${again.toFixed(0)} |`);
    await stop(server);
    rmSync(server.folder, { recursive: true });
  }
};

// Opens connections.
const sockets = (port, count) =>
  Promise.all(
    Array.from({ length: count }, () => new Promise((done, failed) => {
      const socket = connect(port, "127.0.0.1", () => done(socket));
      socket.on("error", failed);
    })),
  );

// Calls `each` whenever a socket has got this many lines.
const onLines = (socket, lines, each) => {
  let got = 0;
  socket.on("data", (data) => {
    for (const byte of data) got += byte === 10;
    for (; got >= lines; got -= lines) each();
  });
};

const command = (...words) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;

// Has 50 clients send a request `depth` times, wait for the replies, and go on for some seconds. `request` makes the
// request of a key, and its replies have `lines` lines. Returns requests a second, and the server's time for each.
const drive = async (server, { request, lines }, depth) => {
  const all = await sockets(server.port, 50);
  const before = cpu(server.process.pid);
  const began = performance.now();
  let [answered, key, waiting] = [0, 0, all.length];
  await new Promise((done) => {
    for (const socket of all) {
      const send = () => {
        if (performance.now() - began >= seconds * 1000) return --waiting || done();
        socket.write(Array.from({ length: depth }, () => request(`key:${(key = (key + 7919) % 100000)}`)).join(""));
      };
      onLines(socket, lines * depth, () => {
        answered += depth;
        send();
      });
      send();
    }
  });
  const took = (performance.now() - began) / 1000;
  const found = { rps: answered / took, cpu: (cpu(server.process.pid) - before) / answered };
  all.forEach((socket) => socket.destroy());
  return found;
};

// Publishes messages to subscribers until all have got all. Returns messages a second, and the server's time for each.
const publish = async (server, subscribers) => {
  const messages = Math.ceil((seconds * 100000) / (subscribers + 1));
  const all = await sockets(server.port, subscribers);
  const [publisher] = await sockets(server.port, 1);
  await Promise.all(all.map((socket) => new Promise((done) => {
    onLines(socket, 6, done);
    socket.write(command("SUBSCRIBE", "news"));
  })));
  const before = cpu(server.process.pid);
  const began = performance.now();
  let waiting = subscribers;
  await new Promise((done) => {
    for (const socket of all) {
      let got = 0;
      socket.removeAllListeners("data");
      onLines(socket, 7, () => ++got === messages && (--waiting || done()));
    }
    // A message at a time would measure the client, and all at once the memory for what waits.
    let sent = 0;
    const send = () => {
      const part = Math.min(64, messages - sent);
      sent += part;
      if (part) publisher.write(command("PUBLISH", "news", "v".repeat(64)).repeat(part));
    };
    let answered = 0;
    onLines(publisher, 1, () => ++answered === sent && send());
    send();
  });
  const took = (performance.now() - began) / 1000;
  const found = { rps: messages / took, cpu: (cpu(server.process.pid) - before) / messages };
  [...all, publisher].forEach((socket) => socket.destroy());
  return found;
};

const RELEASE = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";
const TRANSACTION = {
  request: (key) =>
    command("MULTI") + Array.from({ length: 10 }, (_, n) => command("SET", `${key}:${n}`, "v".repeat(64))).join("") + command("EXEC"),
  lines: 22,
};
const SCRIPT = { request: (key) => command("SET", key, "me") + command("EVAL", RELEASE, "1", key, "me"), lines: 2 };
const PROGRAMS = [
  ["MULTI, 10 SETs, EXEC", (server) => drive(server, TRANSACTION, 1)],
  ["the same, 8 in a pipeline", (server) => drive(server, TRANSACTION, 8)],
  ["a lock is taken, and released by EVAL", (server) => drive(server, SCRIPT, 1)],
  ["the same, 16 in a pipeline", (server) => drive(server, SCRIPT, 16)],
  ...[1, 100, 1000].map((count) => [`PUBLISH to ${count}`, (server) => publish(server, count)]),
];

const programs = async () => {
  const both = servers([]);
  for (const server of both) await start(server);
  console.log(`${cpus()[0].model}, ${cpus().length} cores, appendfsync ${fsync}, ${rounds} rounds. Medians; the client has one thread.\n`);
  console.log("| | redis/s | ours/s | ratio | CPU µs: redis | ours | ratio |");
  console.log("|---|--:|--:|--:|--:|--:|--:|");
  for (const [name, measure] of PROGRAMS) {
    const { of, ratio } = await inTurns((at) => measure(both[at]));
    const cells = [
      ...[name, Math.round(of(0, "rps")), Math.round(of(1, "rps")), `**${ratio("rps")}**`],
      ...[of(0, "cpu").toFixed(2), of(1, "cpu").toFixed(2), ratio("cpu")],
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
  for (const server of both) await stop(server);
  both.forEach((server) => rmSync(server.folder, { recursive: true }));
};

const VALUE = "v".repeat(64);
// Commands in the order in which they are measured, each with its part of the requests. The first ones of a type fill
// what the others read and take.
const COLLECTIONS = [
  ["HSET, a field of one hash", 1, "HSET hash field:__rand_int__", VALUE],
  ["HGET", 1, "HGET hash field:__rand_int__"],
  ["HSET, hashes of one field", 1, "HSET hash:__rand_int__ field", VALUE],
  ["HGETALL, ten fields", 1, "HGETALL ten"],
  ["LPUSH, one list", 1, "LPUSH list value:__rand_int__"],
  ["LINDEX, in the middle", 1, "LINDEX list 20000"],
  ["LRANGE, 100 elements", 0.2, "LRANGE list 0 99"],
  ["RPOP", 0.9, "RPOP list"],
  ["RPUSH, lists of one element", 1, "RPUSH list:__rand_int__ value"],
  ["SADD, one set", 1, "SADD set member:__rand_int__"],
  ["SISMEMBER", 1, "SISMEMBER set member:__rand_int__"],
  ["SPOP", 0.5, "SPOP set"],
  ["ZADD, one sorted set", 1, "ZADD sorted __rand_int__ member:__rand_int__"],
  ["ZSCORE", 1, "ZSCORE sorted member:__rand_int__"],
  ["ZRANK", 1, "ZRANK sorted member:__rand_int__"],
  ["ZRANGE, ten in the middle", 1, "ZRANGE sorted 10000 10009"],
  ["ZINCRBY", 1, "ZINCRBY sorted 3 member:__rand_int__"],
  ["ZPOPMIN", 0.5, "ZPOPMIN sorted"],
];
const REQUESTS = { 1: 40000, 16: 400000, 64: 800000 };

// Sends commands one after the other, and returns the replies' text.
const ask = (server, ...commands) =>
  new Promise((done) => {
    const socket = connect(server.port, "127.0.0.1");
    let text = "";
    socket.on("data", (data) => (text += data));
    socket.on("close", () => done(text));
    socket.write([...commands, ["QUIT"]].map((words) => command(...words)).join(""));
  });

const collections = async () => {
  const both = servers([]);
  for (const server of both) await start(server);
  console.log(`${cpus()[0].model}, ${cpus().length} cores, appendfsync ${fsync}, ${rounds} rounds. Medians; ratios are medians of the rounds' ratios.\n`);
  console.log("| | theirs/s | ours/s | ratio | CPU µs: theirs | ours | ratio |");
  console.log("|---|--:|--:|--:|--:|--:|--:|");
  for (const depth of [1, 16, 64]) {
    const rows = await inTurns(async (at) => {
      const ten = Array.from({ length: 10 }, (_, n) => [`field:${n}`, VALUE]).flat();
      await ask(both[at], ["FLUSHALL"], ["HSET", "ten", ...ten]);
      const found = {};
      for (const [name, part, text, ...more] of COLLECTIONS) {
        const words = [...text.split(" "), ...more];
        const { rps, cpu } = benchmark(both[at], words, depth, Math.round(REQUESTS[depth] * part), 1e6);
        found[`${name} rps`] = rps;
        found[`${name} cpu`] = cpu;
      }
      return found;
    });
    for (const [name] of COLLECTIONS) {
      const rps = [0, 1].map((at) => Math.round(rows.of(at, `${name} rps`)));
      const used = [0, 1].map((at) => rows.of(at, `${name} cpu`).toFixed(2));
      const cells = [...rps, `**${rows.ratio(`${name} rps`)}**`, ...used, rows.ratio(`${name} cpu`)];
      console.log(`| ${[`${name}, P = ${depth}`, ...cells].join(" | ")} |`);
    }
  }
  for (const server of both) await stop(server);
  both.forEach((server) => rmSync(server.folder, { recursive: true }));
  await collectionsMemory();
};

// What 100,000 collections of ten entries take, and one of a million: bytes an entry.
const collectionsMemory = async () => {
  console.log("\n| bytes an entry | theirs | ours | ratio |\n|---|--:|--:|--:|");
  const ten = (make) => Array.from({ length: 10 }, (_, n) => make(n)).flat();
  // What stores entries in a collection, how many, and what counts the collections or the entries.
  const many = (verb, make) => [[verb, "key:__rand_int__", ...ten(make)], 10, ["DBSIZE"]];
  const one = (count, verb, ...entry) => [[verb, "one", ...entry], 1, [count, "one"]];
  const rows = {
    "hashes of ten": many("HSET", (n) => [`field:${n}`, "value:1234"]),
    "lists of ten": many("RPUSH", (n) => [`value:${n}234`]),
    "sets of ten": many("SADD", (n) => [`member:${n}234`]),
    "sorted sets of ten": many("ZADD", (n) => [`${n}234`, `member:${n}`]),
    "one hash": one("HLEN", "HSET", "field:__rand_int__", "value:1234"),
    "one list": one("LLEN", "RPUSH", "value:__rand_int__"),
    "one set": one("SCARD", "SADD", "member:__rand_int__"),
    "one sorted set": one("ZCARD", "ZADD", "__rand_int__", "member:__rand_int__"),
  };
  for (const [name, [words, each, count]] of Object.entries(rows)) {
    const bytes = [];
    for (const server of servers([])) {
      await start(server);
      const empty = resident(server.process.pid);
      benchmark(server, words, 64, 1500000 / each, 1e6 / each);
      const entries = parseInt((await ask(server, count)).slice(1)) * each;
      bytes.push((resident(server.process.pid) - empty) / entries);
      await stop(server);
      rmSync(server.folder, { recursive: true });
    }
    console.log(`| ${name} | ${bytes.map((one) => one.toFixed(1)).join(" | ")} | ${(bytes[1] / bytes[0]).toFixed(2)} |`);
  }
};

const file = option("memory");
const has = (name) => process.argv.includes(`--${name}`);
await (file ? memory(file) : has("programs") ? programs() : has("collections") ? collections() : speed());
