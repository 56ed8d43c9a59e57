//! Tables for maps with one writer that others do not need.

use super::{line, nanoseconds};
use crate::clock;
use crate::contest::{Figure, Outcome};
use crate::goals::Results;
use crate::latency::{self, Latencies};
use crate::memory::PairBytes;
use crate::options::short;
use crate::solo::{ByMap, PAIR_SIZES};
use crate::work::pairs::Paired;
use crate::work::{Suite, Workload};
use crate::worst::Pauses;

/// Adds the times of a mix's two threads, and of the writes before a publish.
pub fn parts(text: &mut String, results: &Results) {
    let rows = results.of(Suite::LeftRight);
    let of = |wanted: fn(Paired) -> bool| -> Vec<&Outcome> {
        let paired = |o: &&&Outcome| matches!(o.row.workload, Workload::Pair(work) if wanted(work));
        let parted = |o: &&&Outcome| o.figures.iter().any(|f| !f.parts.is_empty());
        rows.iter().filter(paired).filter(parted).copied().collect()
    };
    let mixes = of(|work| matches!(work, Paired::Mix { .. }));
    table(text, &mixes, "Of two threads", ["the one that writes too", "the one that only reads"]);
    let publishes = of(|work| matches!(work, Paired::Publish(_)));
    let parts = ["a write before the publish", "a key, all in all"];
    table(text, &publishes, "Writes and publishes, a key", parts);
}

fn table(text: &mut String, rows: &[&Outcome], title: &str, parts: [&str; 2]) {
    let Some(first) = rows.first() else { return };
    let has = |name| rows.iter().filter_map(move |o| o.figure(name)).any(|f| !f.parts.is_empty());
    let names = first.figures.iter().map(|f| f.name);
    let names: Vec<_> = names.filter(|name| has(name)).collect();
    line(text, format_args!("\n#### {title}\n\n| work | threads | | {} |", names.join(" | ")));
    line(text, format_args!("|---|--:|---|{}", "--:|".repeat(names.len())));
    for outcome in rows {
        for (which, part) in parts.iter().enumerate() {
            let cell = |name: &&str| match outcome.figure(name) {
                Some(figure) if figure.kept_out() => "n/a".into(),
                figure => {
                    let parts = figure.and_then(Figure::parts);
                    parts.map_or("–".into(), |parts| nanoseconds(parts[which]))
                }
            };
            let cells: Vec<_> = names.iter().map(cell).collect();
            let (work, threads) = (outcome.row.workload.name(), outcome.row.threads);
            line(text, format_args!("| {work} | {threads} | {part} | {} |", cells.join(" | ")));
        }
    }
}

/// Look-ups timed one by one.
pub fn latencies(text: &mut String, latencies: Option<&Latencies>) {
    let Some(Latencies { clock: alone, maps }) = latencies else { return };
    line(
        text,
        format_args!(
            "\n## The slowest look-ups\n\nNanoseconds of single look-ups, each timed, keys by Zipf's law in \
             maps of {}: at rest, and while another thread changes {} keys ten times a second, and publishes \
             them where that is done. What the clock takes itself, {:.0} on average, is taken off; the first \
             row is that of the clock alone.\n\n\
             | map | median | p99 | p99.9 | p99.99 | worst, µs | beside a writer: median | p99 | p99.9 | \
             p99.99 | worst, µs | p99.99 against at rest |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            short(latency::KEYS),
            latency::CHANGED,
            clock::own(),
        ),
    );
    let none = "n/a | n/a | n/a | n/a | n/a";
    line(text, format_args!("| (the clock) | {} | {none} | |", cells(alone)));
    for (name, latency) in maps {
        let rest = cells(&latency.rest);
        let busy = latency.busy.as_ref().map_or(none.into(), cells);
        let slower = latency.busy.map(|busy| busy.p9999 / latency.rest.p9999);
        let slower = slower.map_or(String::new(), |slower| format!("{slower:.2}"));
        line(text, format_args!("| {name} | {rest} | {busy} | {slower} |"));
    }
}

fn cells(pauses: &Pauses) -> String {
    let Pauses { worst, p9999, p999, p99, median } = pauses;
    format!("{median:.0} | {p99:.0} | {p999:.0} | {p9999:.0} | {:.1}", worst / 1e3)
}

/// Adds the memory of maps with one writer.
pub fn memory(text: &mut String, all: &[ByMap<PairBytes>]) {
    let Some(widest) = all.first() else { return };
    let kinds = PAIR_SIZES.map(|(_, bytes, n)| {
        format!("values of {bytes} bytes, {} of them | peak until there", short(n as usize))
    });
    line(
        text,
        format_args!(
            "\n## Memory: maps with one writer\n\nBytes an entry taken from the allocator, its own overhead \
             included, with a key of 8 bytes, after everything was published and some keys were changed \
             again; the peak against that.\n\n| map | {} |\n|---|{}",
            kinds.join(" | "),
            "--:|".repeat(2 * kinds.len()),
        ),
    );
    for (name, _) in widest {
        let cell = |kind: &ByMap<PairBytes>| {
            let bytes = kind.iter().find(|(map, _)| map == name).map(|(_, bytes)| bytes);
            bytes.map_or("n/a | n/a".into(), |b| format!("{:.1} | × {:.2}", b.grown, b.peak))
        };
        let cells: Vec<String> = all.iter().map(cell).collect();
        line(text, format_args!("| {name} | {} |", cells.join(" | ")));
    }
}
