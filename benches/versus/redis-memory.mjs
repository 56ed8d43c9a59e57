// What Redis takes for the rows that the suite `cold` is measured with: run it with node; it starts redis-server by
// itself, behind a socket in a folder of its own, once for each file of `target/rows` or of the folder named.
//
// It prints the bytes a row, one key a value, and in hashes of a hundred fields; the first is left beside the rows, in
// `NAME.redis`, where the suite finds it. Redis counts its memory itself (`used_memory`), before and after.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? join(here, "target/rows");

/// Keys and values as the suite reads them.
function* rows(file) {
    const bytes = readFileSync(file);
    const piece = Number(extname(file).slice(1));
    let number = 0;
    if (piece > 0) {
        for (let at = 0; at < bytes.length; at += piece) {
            yield [Buffer.from(`${number++}`), bytes.subarray(at, at + piece)];
        }
        return;
    }
    for (let at = 0; at < bytes.length; ) {
        const end = bytes.indexOf(10, at) < 0 ? bytes.length : bytes.indexOf(10, at);
        const line = bytes.subarray(at, end);
        const tab = line.indexOf(9);
        if (line.length > 0 && tab < 0) yield [Buffer.from(`${number}`), line];
        if (tab >= 0) yield [line.subarray(0, tab), line.subarray(tab + 1)];
        if (line.length > 0) number++;
        at = end + 1;
    }
}

/// A command as Redis reads it.
function command(...words) {
    const parts = words.flatMap((word) => [Buffer.from(`$${word.length}\r\n`), word, Buffer.from("\r\n")]);
    return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts]);
}

const word = (text) => Buffer.from(text);
const ways = {
    single: (key, value) => command(word("SET"), key, value),
    hashes: (key, value, number) => command(word("HSET"), word(`h${Math.floor(number / 100)}`), key, value),
};

/// Values of any length in the packed form of small hashes.
const packed = ["--hash-max-listpack-value", "65536", "--hash-max-listpack-entries", "128"];

async function measure(file, way) {
    const own = mkdtempSync(join(tmpdir(), "redis-memory-"));
    const socket = join(own, "socket");
    const kept = ["--save", "", "--appendonly", "no", "--dir", own];
    const options = ["--port", "0", "--unixsocket", socket, ...kept, ...packed];
    const server = spawn("redis-server", options, { stdio: "ignore" });
    try {
        const ask = (words, input) => execFileSync("redis-cli", ["-s", socket, ...words], {
            input, maxBuffer: 1 << 28, stdio: ["pipe", "pipe", "ignore"],
        });
        const used = () => Number(/used_memory:(\d+)/.exec(ask(["INFO", "memory"]).toString())[1]);
        for (let tries = 0; ; tries++) {
            try {
                if (ask(["PING"]).toString().trim() === "PONG") break;
            } catch (why) {
                if (tries === 100) throw why;
            }
            await new Promise((done) => setTimeout(done, 50));
        }
        const before = used();
        const all = [];
        for (const [key, value] of rows(file)) all.push(ways[way](key, value, all.length));
        for (let at = 0; at < all.length; at += 50_000) ask(["--pipe"], Buffer.concat(all.slice(at, at + 50_000)));
        return (used() - before) / all.length;
    } finally {
        server.kill();
        await new Promise((done) => server.once("exit", done));
        rmSync(own, { recursive: true });
    }
}

const files = readdirSync(folder).filter((file) => /\.(rows|\d+)$/.test(file)).sort();
for (const file of files.map((file) => join(folder, file))) {
    const [single, hashes] = [await measure(file, "single"), await measure(file, "hashes")];
    writeFileSync(file.slice(0, -extname(file).length) + ".redis", `${single.toFixed(1)}\n`);
    console.log(`${basename(file)}: ${single.toFixed(1)} bytes a row, ${hashes.toFixed(1)} in hashes of a hundred`);
}
