// Draws the pictures of the documentation. Run it from anywhere after a change of this file or of BENCHMARKS.md:
//
//     node benches/pictures.mjs
//
// A picture is legible on a light and on a dark page. Inside a rustdoc page, which includes its text, it has the page's
// text colour. As an image it has a background of its own, light or dark by the reader's preference.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

const GREEN = "#2f9e6f";
const BLUE = "#3b82c4";
const ORANGE = "#d9742b";
const GREY = "#8a8a8a";

// Both rules apply only to a file that is shown by itself: in a page the root is not an `svg`.
const STYLE =
  "<style>svg:root{color:#24292f}svg:root>.paper{fill:#fff}" +
  "@media (prefers-color-scheme:dark){svg:root{color:#e6e6e6}svg:root>.paper{fill:#1c1f23}}</style>";

const escape = (words) => words.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

class Picture {
  constructor(width, height, title, description) {
    this.parts = [
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
        `style="min-width:620px;max-width:100%;height:auto" font-family="sans-serif" font-size="13" fill="currentColor" role="img">`,
      `<title>${escape(title)}</title>`,
      `<desc>${escape(description)}</desc>`,
      `${STYLE}<rect class="paper" width="${width}" height="${height}" rx="6" fill="none"/>`,
      `<defs>${[GREY, GREEN, BLUE, ORANGE].map((colour) => this.head(colour)).join("")}</defs>`,
    ];
  }

  head(colour) {
    // Names are unique in a page that has several pictures, because the shape is the same in each.
    return (
      `<marker id="hedgerow-${colour.slice(1)}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" ` +
      `markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="${colour}"/></marker>`
    );
  }

  // Words at a place. `anchor`: start, middle, end.
  text(x, y, words, { anchor = "start", size, bold, faint, mono } = {}) {
    const style =
      (size ? ` font-size="${size}"` : "") +
      (bold ? ' font-weight="bold"' : "") +
      (faint ? ' fill-opacity=".72"' : "") +
      (mono ? ' font-family="monospace"' : "");
    this.parts.push(`<text x="${x}" y="${y}" text-anchor="${anchor}"${style}>${escape(words)}</text>`);
    return this;
  }

  // A box with words in its middle, a line each.
  box(x, y, width, height, words = [], { colour = GREY, fill = 0.16, dashed, size, bold, mono } = {}) {
    this.parts.push(
      `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="3" fill="${colour}" fill-opacity="${fill}" ` +
        `stroke="${colour}" stroke-width="1.2"${dashed ? ' stroke-dasharray="4 3"' : ""}/>`,
    );
    const all = [words].flat();
    const step = (size ?? 13) + 3;
    const top = y + height / 2 + 4.5 - ((all.length - 1) * step) / 2;
    all.forEach((line, i) => this.text(x + width / 2, top + i * step, line, { anchor: "middle", size, bold, mono }));
    return this;
  }

  // A line through points, with an arrow at its end unless `plain`.
  path(points, { colour = GREY, dashed, plain, width = 1.4 } = {}) {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
    this.parts.push(
      `<path d="${d}" fill="none" stroke="${colour}" stroke-width="${width}"` +
        `${dashed ? ' stroke-dasharray="4 3"' : ""}${plain ? "" : ` marker-end="url(#hedgerow-${colour.slice(1)})"`}/>`,
    );
    return this;
  }

  save(path) {
    writeFileSync(join(root, path), `${this.parts.join("\n")}\n</svg>\n`);
  }
}

const bin = () => {
  const p = new Picture(
    760,
    330,
    "A segment of a FlatMap, and one of its bins",
    "A segment keeps the heads of its bins on one side of its address and their entries on the other. A head is a word " +
      "of tags and a word of state. An entry is a key and a value. Entries that do not fit are in overflow lines.",
  );
  p.text(20, 28, "A segment: up to 128 bins in one allocation", { size: 15, bold: true });
  const y = 48;
  p.text(20, y + 25, "…");
  p.box(40, y, 165, 40, "entries of bin 1", { colour: BLUE });
  p.box(205, y, 165, 40, "entries of bin 0", { colour: BLUE });
  p.box(370, y, 80, 40, "head 0", { colour: GREEN });
  p.box(450, y, 80, 40, "head 1", { colour: GREEN });
  p.box(530, y, 80, 40, "head 2", { colour: GREEN });
  p.text(620, y + 25, "…");
  p.path([[370, 118], [370, 92]]);
  p.text(370, 133, "address of the segment", { anchor: "middle", faint: true });
  p.text(640, 133, "four heads share a cache line", { anchor: "middle", faint: true });

  p.text(20, 178, "A bin of u64 → u64: 128 bytes", { size: 15, bold: true });
  const top = 196;
  p.text(20, top + 25, "head", { bold: true });
  for (let i = 0; i < 7; i += 1) {
    p.box(90 + i * 38, top, 38, 40, ["tag", String(i)], { colour: GREEN, size: 11 });
  }
  p.box(90 + 7 * 38, top, 52, 40, "depth", { colour: GREEN, size: 12 });
  p.box(430, top, 40, 40, "lock", { colour: ORANGE, size: 12 });
  p.box(470, top, 130, 40, "version", { colour: ORANGE });
  p.box(600, top, 140, 40, "number of first line", { colour: ORANGE, size: 12 });
  p.text(249, top + 57, "tags: 7 bits of each key's hash; the top bits are the filter", { anchor: "middle", faint: true, size: 12 });
  p.text(585, top + 57, "state: the seqlock's word", { anchor: "middle", faint: true, size: 12 });
  const low = 276;
  p.text(20, low + 24, "slots", { bold: true });
  for (let i = 0; i < 7; i += 1) {
    p.box(90 + i * 70, low, 70, 38, ["key, value"], { colour: BLUE, size: 12 });
  }
  p.box(632, low, 108, 38, ["overflow line", "1 to 4 entries"], { size: 11, dashed: true });
  p.path([[720, top + 40], [720, low]], { dashed: true });

  p.save("src/docs/pictures/bin.svg");
};

const leftRight = () => {
  const p = new Picture(
    760,
    295,
    "The two sides of a LeftRightMap",
    "Readers use the read side, the only writer changes the write side. A publish swaps the sides. The writer waits for " +
      "readers of the old side before it changes that side, and then copies the bins that differ.",
  );
  p.text(20, 28, "Before a publish", { size: 15, bold: true });
  p.text(400, 28, "After it", { size: 15, bold: true });
  const half = (x, left, right, swapped) => {
    p.box(x, 52, 90, 34, "reader A", { colour: GREEN });
    p.box(x + 110, 52, 90, 34, "reader B", { colour: GREEN });
    p.box(x + 240, 52, 90, 34, "writer", { colour: ORANGE });
    p.box(x, 140, 150, 96, [], left);
    p.box(x + 180, 140, 150, 96, [], right);
    for (let i = 0; i < 4; i += 1) {
      const dirty = i === 1 || i === 2;
      p.box(x + 12 + i * 32, 182, 28, 40, [], { colour: dirty && swapped ? GREY : left.colour, fill: 0.35, dashed: dirty && swapped });
      p.box(x + 192 + i * 32, 182, 28, 40, [], { colour: dirty ? ORANGE : right.colour, fill: dirty ? 0.7 : 0.35 });
    }
    p.text(x + 75, 165, swapped ? "write side" : "read side", { anchor: "middle", bold: true });
    p.text(x + 255, 165, swapped ? "read side" : "write side", { anchor: "middle", bold: true });
  };
  half(20, { colour: GREEN }, { colour: ORANGE }, false);
  p.path([[65, 86], [80, 138]], { colour: GREEN });
  p.path([[175, 86], [130, 138]], { colour: GREEN });
  p.path([[305, 86], [285, 138]], { colour: ORANGE });
  p.text(275, 254, "dirty bins", { anchor: "middle", faint: true });
  half(400, { colour: ORANGE }, { colour: GREEN }, true);
  p.path([[445, 86], [570, 150]], { colour: GREEN });
  p.path([[555, 86], [610, 138]], { colour: GREEN });
  p.path([[655, 86], [548, 146]], { colour: ORANGE, dashed: true });
  p.path([[640, 240], [640, 262], [475, 262], [475, 240]], { colour: ORANGE });
  p.text(557, 279, "copies of the dirty bins", { anchor: "middle", faint: true });
  p.path([[352, 190], [395, 190]], { width: 2 });
  p.text(373, 180, "swap", { anchor: "middle", size: 12 });

  p.save("src/docs/pictures/left_right.svg");
};

const fences = () => {
  const p = new Picture(
    760,
    355,
    "Root, fences and leaves of a FenceMap",
    "A root leads to fences, a fence leads to up to 256 leaves, a leaf holds up to 128 entries and the range of keys " +
      "that it answers for. A leaf that is in no fence yet is found through its left neighbour.",
  );
  p.text(20, 28, "Only leaves are authoritative; root and fences are hints", { size: 15, bold: true });
  p.box(230, 48, 300, 34, "root: the first rank of each fence", {});
  p.box(60, 128, 290, 40, ["fence: ranks of its leaves", "10   20   30"], { colour: GREEN, size: 12 });
  p.box(420, 128, 290, 40, ["fence: ranks of its leaves", "50"], { colour: GREEN, size: 12 });
  p.path([[330, 82], [220, 126]]);
  p.path([[430, 82], [560, 126]]);
  const leaves = [
    [20, "keys < 20", "v 8"],
    [168, "20 ≤ key < 30", "v 14"],
    [316, "30 ≤ key < 50", "v 6"],
    [464, "50 ≤ key < 60", "v 21"],
    [612, "60 ≤ key", "v 2"],
  ];
  leaves.forEach(([x, range, version], i) => {
    p.box(x, 228, 128, 92, [], { colour: i === 4 ? ORANGE : BLUE });
    p.text(x + 64, 248, range, { anchor: "middle", size: 12, bold: true });
    p.text(x + 64, 266, `seqlock, ${version}`, { anchor: "middle", size: 11, faint: true });
    for (let k = 0; k < 5; k += 1) {
      p.box(x + 8 + k * 23, 280, 20, 28, [], { colour: i === 4 ? ORANGE : BLUE, fill: 0.4 });
    }
    if (i < 4) p.path([[x + 128, 300], [x + 146, 300]]);
  });
  p.path([[140, 168], [84, 226]], { colour: GREEN });
  p.path([[205, 168], [230, 226]], { colour: GREEN });
  p.path([[270, 168], [370, 226]], { colour: GREEN });
  p.path([[520, 168], [526, 226]], { colour: GREEN });
  p.path([[600, 168], [600, 200], [556, 226]], { colour: ORANGE, dashed: true });
  p.path([[592, 262], [610, 262]], { colour: ORANGE, dashed: true });
  p.text(610, 196, "a lookup of 70", { size: 12, faint: true });
  p.text(676, 340, "split off, in no fence yet", { anchor: "middle", size: 12, faint: true });
  p.save("src/docs/pictures/fences.svg");
};

const segments = () => {
  const p = new Picture(
    760,
    316,
    "Index, hot and cold segments of a CompressedMap",
    "The index leads to records in segments. New and recently read records are plain, in hot segments. A sweep of the " +
      "oldest hot segment compresses records into cold segments and leaves the hot segment free.",
  );
  p.text(20, 28, "One budget for the index, plain records, compressed records and models", { size: 15, bold: true });
  p.box(20, 50, 130, 250, [], { colour: GREEN });
  p.text(85, 72, "index", { anchor: "middle", bold: true });
  p.text(85, 90, "36 bits an entry", { anchor: "middle", size: 12, faint: true });
  for (let i = 0; i < 4; i += 1) p.box(40, 106 + i * 46, 90, 30, ["bin"], { colour: GREEN, size: 12, fill: 0.3 });
  p.text(210, 66, "hot segments: plain records, a queue", { bold: true });
  const segment = (x, y, label, colour, marks) => {
    p.box(x, y, 150, 62, [], { colour });
    p.text(x + 75, y + 18, label, { anchor: "middle", size: 12 });
    marks.forEach(([at, width, fill, dashed]) => p.box(x + at, y + 28, width, 24, [], { colour, fill, dashed }));
  };
  segment(210, 80, "front: writers append", BLUE, [[10, 40, 0.5], [54, 46, 0.5]]);
  segment(380, 80, "…", BLUE, [[10, 42, 0.5], [56, 36, 0.5], [96, 44, 0.5]]);
  segment(550, 80, "oldest: swept next", BLUE, [[10, 50, 0.5], [64, 40, 0, true], [108, 32, 0.5]]);
  p.text(210, 226, "cold segments: compressed records", { bold: true });
  segment(210, 240, "", ORANGE, [[10, 22, 0.5], [36, 18, 0.5], [58, 24, 0.5], [86, 16, 0.5], [106, 30, 0.5]]);
  segment(380, 240, "", ORANGE, [[10, 20, 0.5], [34, 26, 0, true], [64, 16, 0.5], [84, 22, 0, true]]);
  p.box(550, 240, 150, 62, ["free segments", "one is kept for sweeps"], { dashed: true, size: 12 });
  p.path([[130, 121], [218, 121]], { colour: GREEN });
  p.path([[130, 259], [219, 275]], { colour: GREEN });
  p.path([[600, 142], [470, 238]], { colour: ORANGE });
  p.text(566, 186, "compress", { size: 12 });
  p.path([[675, 142], [675, 238]]);
  p.text(683, 206, "reuse", { size: 12 });
  p.path([[285, 238], [285, 144]], { colour: BLUE, dashed: true });
  p.text(293, 186, "a second read: promote", { size: 12 });
  p.save("src/docs/pictures/segments.svg");
};

const versions = () => {
  const p = new Picture(
    760,
    400,
    "Two versions of a PersistentMap, and the nodes that they share",
    "A clone was changed by inserting the key 32. The new version has a copy of the root, of one inner node and of one " +
      "leaf. All other nodes belong to both versions.",
  );
  p.text(20, 28, "let mut new = old.clone(); new.insert(32, …);", { size: 15, mono: true });
  const [old, both, copied] = [{ colour: BLUE }, { colour: GREEN }, { colour: ORANGE }];
  p.box(110, 48, 110, 34, "old", { bold: true });
  p.box(510, 48, 110, 34, "new", { bold: true });
  p.path([[165, 82], [165, 112]], { width: 2 });
  p.path([[565, 82], [565, 112]], { width: 2 });
  const node = (x, y, width, keys, whose) => p.box(x, y, width, 36, keys, { ...whose, fill: 0.3 });
  // From the bottom of one box to the top of another.
  const edge = (x, y, toX, toY, whose) => p.path([[x, y], [toX, toY]], whose);
  node(100, 114, 130, "30, 60", old);
  node(500, 114, 130, "30, 60", copied);
  node(30, 206, 130, "12", both);
  node(220, 206, 110, "41", old);
  node(415, 206, 110, "41", copied);
  node(600, 206, 130, "72", both);
  edge(120, 150, 90, 204, old);
  edge(175, 150, 265, 204, old);
  edge(215, 150, 625, 204, old);
  edge(515, 150, 135, 204, copied);
  edge(555, 150, 475, 204, copied);
  edge(610, 150, 675, 204, copied);
  const leaf = (x, keys, whose) => node(x, 296, keys.length > 6 ? 96 : 72, keys, whose);
  leaf(20, "3, 7", both);
  leaf(102, "12, 18", both);
  leaf(200, "30, 34", old);
  leaf(330, "41, 47", both);
  leaf(428, "30, 32, 34", copied);
  leaf(590, "60, 66", both);
  leaf(672, "72, 75", both);
  edge(70, 242, 56, 294, both);
  edge(120, 242, 138, 294, both);
  edge(250, 242, 236, 294, old);
  edge(300, 242, 355, 294, old);
  edge(445, 242, 380, 294, copied);
  edge(490, 242, 478, 294, copied);
  edge(640, 242, 626, 294, both);
  edge(690, 242, 708, 294, both);
  const legend = (x, words, whose) => {
    p.box(x, 364, 22, 16, [], { ...whose, fill: 0.3 });
    p.text(x + 30, 377, words, { size: 12 });
  };
  legend(20, "only in the old version", old);
  legend(270, "shared by both", both);
  legend(470, "copied for the new version", copied);
  p.save("src/docs/pictures/versions.svg");
};

const pathOfASet = () => {
  const p = new Picture(
    760,
    446,
    "The path of a SET through hedgerow-db",
    "A worker thread reads the request, the parser and the command table make a change of it, the shard applies it under " +
      "its lock and appends it to the log, readers see it after the publish, and the reply leaves when the log is durable.",
  );
  p.text(20, 28, "SET rose red, from the socket to the reply", { size: 15, bold: true });
  p.box(20, 52, 110, 46, ["client", "socket"], {});
  p.box(20, 140, 720, 130, [], { colour: BLUE, fill: 0.06 });
  p.text(90, 160, "one worker thread per core", { size: 12, faint: true });
  const steps = [
    [32, "input buffer", "many requests"],
    [176, "parse", "RESP, in place"],
    [320, "dispatch", "into a batch"],
    [464, "execute", "by shard"],
    [608, "reply queue", "waits for the log"],
  ];
  steps.forEach(([x, name, what], i) => {
    p.box(x, 182, 120, 60, [name, what], { colour: BLUE, size: 12, fill: 0.25 });
    if (i < 4) p.path([[x + 120, 212], [x + 142, 212]], { colour: BLUE });
  });
  p.path([[75, 98], [75, 180]], { colour: BLUE });
  p.text(84, 122, "1 read", { size: 12 });
  p.path([[690, 182], [690, 75], [132, 75]], { colour: GREEN });
  p.text(682, 66, "6 write: the replies whose changes are durable", { anchor: "end", size: 12 });
  p.box(248, 312, 352, 86, [], { colour: ORANGE, fill: 0.08 });
  p.text(260, 330, "under the shard's lock", { size: 12, faint: true });
  p.box(260, 340, 100, 46, ["apply", "to the record"], { colour: ORANGE, size: 12, fill: 0.25 });
  p.box(374, 340, 100, 46, ["append", "to the log"], { colour: ORANGE, size: 12, fill: 0.25 });
  p.box(488, 340, 100, 46, ["publish", "readers see it"], { colour: ORANGE, size: 12, fill: 0.25 });
  p.path([[360, 363], [373, 363]], { colour: ORANGE });
  p.path([[474, 363], [487, 363]], { colour: ORANGE });
  p.path([[524, 242], [440, 310]], { colour: ORANGE });
  p.text(470, 258, "2 one lock for all changes of a shard", { anchor: "end", size: 12 });
  p.box(20, 330, 150, 56, ["log, in memory", "one entry per lock"], { colour: GREEN, size: 12, fill: 0.25 });
  p.path([[424, 386], [424, 415], [95, 415], [95, 388]], { colour: GREEN });
  p.text(210, 410, "3 entry", { size: 12, anchor: "middle" });
  p.box(640, 330, 100, 56, ["disk", "fdatasync"], { colour: GREEN, size: 12, fill: 0.25 });
  p.path([[60, 386], [60, 432], [690, 432], [690, 388]], { colour: GREEN });
  p.text(500, 427, "4 commit: once for all connections that had requests", { anchor: "middle", size: 12 });
  p.path([[668, 328], [668, 244]], { colour: GREEN, dashed: true });
  p.text(676, 300, "5 durable", { size: 12 });
  p.save("std-ext/db/docs/path_of_a_set.svg");
};

// The front page's plot, from the first table of BENCHMARKS.md, so that the two cannot differ.
const front = () => {
  const rows = readFileSync(join(root, "BENCHMARKS.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.replaceAll("*", "").trim()));
  const names = rows.find((cells) => cells[2] === "FlatMap").slice(2, 9);
  const panels = [
    ["hit, 1 M", "2", "hits, two threads"],
    ["90/10, 1 M", "2", "90 % reads, two threads"],
    ["insert 0 → 1 M", "1", "inserts, one thread"],
  ];
  const p = new Picture(
    760,
    250,
    "FlatMap beside other maps, nanoseconds an operation",
    "Three groups of bars: FlatMap is the fastest for lookups and for a mix of reads and writes, and slower than some " +
      "locked maps for filling.",
  );
  p.text(20, 26, "A million u64 keys, nanoseconds an operation: shorter is better", { size: 15, bold: true });
  panels.forEach(([row, threads, label], n) => {
    const cells = rows.find((all) => all[0] === row && all[1] === threads).slice(2, 9);
    const x = 110 + n * 222;
    p.text(x, 52, label, { bold: true });
    cells.forEach((cell, i) => {
      const y = 64 + i * 22;
      const ns = parseFloat(cell);
      const most = 110;
      const width = Math.min(ns, most) * 1.35;
      if (n === 0) p.text(x - 8, y + 13, names[i].replaceAll("`", ""), { anchor: "end", bold: i === 0, size: 12 });
      p.box(x, y, width, 16, [], { colour: i === 0 ? GREEN : GREY, fill: i === 0 ? 0.85 : 0.45 });
      p.text(x + width + 5, y + 13, ns > most ? `→ ${cell}` : cell, { size: 12, bold: i === 0 });
    });
  });
  p.text(20, 238, "One CPU type: AMD EPYC (Zen 5), 2 cores. Tables and commands: BENCHMARKS.md", { size: 12, faint: true });
  p.save("benches/versus/figures/front.svg");
};

for (const draw of [bin, leftRight, fences, segments, versions, pathOfASet, front]) draw();
