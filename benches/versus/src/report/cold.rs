//! Tables of maps that hold much data in little memory.

use super::{line, nanoseconds};
use crate::cold::Measurements;
use crate::cold::maps::{Map, Ours, Plain};
use crate::cold::reads::Reads;
use crate::worst::Pauses;

/// All sets.
pub fn all(text: &mut String, sets: &[Measurements]) {
    if sets.is_empty() {
        return;
    }
    text.push_str(
        "\n## Much data in little memory\n\nNanoseconds of a look-up that copies the value out, medians of \
         rounds; rows in random order, looked up evenly, or by Zipf's law with exponent 0.99. p50 and p99 \
         are of look-ups timed one by one, less the time of the clock. Memory is counted by the allocator, \
         as a share of a plain map of boxes, after some look-ups by Zipf's law. A hit of ours found its \
         row plain, a hit of a cache found it at all. A miss of a cache costs only the look-up or, with a \
         plain map behind, whose memory does not count, the look-up there and the insertion of the row.\n",
    );
    for set in sets {
        one(text, set);
    }
    beside(text, sets);
}

fn one(text: &mut String, set: &Measurements) {
    let (rows, mean) = (set.rows, set.text as f64 / set.rows as f64);
    let (each, asked) = (set.plain / rows as f64, set.asked / set.plain);
    line(
        text,
        format_args!(
            "\n### {}: {rows} rows of {mean:.0} bytes, key and value\n\nPlain: {each:.0} bytes a row, of \
             which it asked for {asked:.2}.\n\n\
             | map | may take | takes | hits | uniform: mean | p50 | p99 | hits | Zipf: mean | p50 | p99 |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            set.set
        ),
    );
    let mut plain = false;
    for point in &set.points {
        let (map, budget) = (point.map, point.budget);
        // It takes its turn among all, and is the same each time.
        if map == Plain::NAME && std::mem::replace(&mut plain, true) {
            continue;
        }
        let (uniform, zipf) = (reads(&point.uniform), reads(&point.zipf));
        let memory = point.memory;
        line(text, format_args!("| {map} | {budget:.2} | {memory:.3} | {uniform} | {zipf} |"));
    }
    line(
        text,
        format_args!(
            "\nNanoseconds of single writes: all rows inserted, then as many replaced, by Zipf's law.\n\n\
             | map | may take | insert: mean | median | p99 | p99.99, µs | worst, µs | replace: mean | \
             median | p99 | p99.99, µs | worst, µs |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        ),
    );
    for write in &set.writes {
        let budget = write.budget.map_or("–".into(), |budget| format!("{budget:.2}"));
        let w = &write.writes;
        let (insert, replace) = (pauses(&w.insert), pauses(&w.replace));
        let (inserted, replaced) = (nanoseconds(w.inserted), nanoseconds(w.replaced));
        let map = write.map;
        line(
            text,
            format_args!("| {map} | {budget} | {inserted} | {insert} | {replaced} | {replace} |"),
        );
    }
}

fn reads(reads: &Reads) -> String {
    let [mean, p50, p99] = [reads.mean, reads.p50, reads.p99].map(nanoseconds);
    format!("{:.0} % | {mean} | {p50} | {p99}", reads.hits * 100.0)
}

fn pauses(p: &Pauses) -> String {
    let (p9999, worst) = (p.p9999 / 1e3, p.worst / 1e3);
    format!("{:.0} | {:.0} | {p9999:.1} | {worst:.1}", p.median, p.p99)
}

/// Operations that only ours has, and Redis.
fn beside(text: &mut String, sets: &[Measurements]) {
    line(
        text,
        format_args!(
            "\n### {} by itself\n\nThe least budget that holds all rows. Steps of 4 KiB made ahead, one in \
             eight writes, and the writes between them, µs. A change of 24 bytes noted, and made by reading \
             and storing the value, ns each, at half of plain, and how many of these there was room for \
             before one was refused. A kibibyte of rows compressed by LZ4 with a dictionary and by the \
             small-text codec, ns, and its compressed share. Redis: its memory as a share of plain, and ours \
             as a share of Redis.\n\n\
             | rows | least | takes | step: p99 | p99.99 | worst | write: p99.99 | worst | noted | made | \
             × | had room | LZ4 | left | small text | left | Redis | ours of Redis |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            Ours::NAME
        ),
    );
    for set in sets {
        let least = set.least;
        let takes = set.coldest().map_or(f64::NAN, |point| point.memory);
        let (step, write) = (&set.steps.step, &set.steps.write);
        let [p99, p9999, worst] = [step.p99, step.p9999, step.worst].map(|ns| ns / 1e3);
        let [write, slowest] = [write.p9999, write.worst].map(|ns| ns / 1e3);
        let [noted, made] = [set.deferred.noted, set.deferred.updated];
        let [lz4, small] = [set.codec.lz4, set.codec.small].map(nanoseconds);
        let [lz4_left, small_left] = [set.codec.lz4_ratio, set.codec.small_ratio];
        let redis = set.redis.map_or("– | –".into(), |redis| {
            format!("{:.2} | {:.2}", redis / set.plain, takes * set.plain / redis)
        });
        line(
            text,
            format_args!(
                "| {} | {least:.2} | {takes:.3} | {p99:.1} | {p9999:.1} | {worst:.1} | {write:.1} | \
                 {slowest:.1} | {noted:.0} | {made:.0} | {:.1} | {:.0} % | {lz4} | {lz4_left:.2} | {small} | \
                 {small_left:.2} | {redis} |",
                set.set,
                made / noted,
                set.deferred.done * 100.0
            ),
        );
    }
}
