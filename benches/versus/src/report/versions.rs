//! Tables for maps whose clones are versions, and for snapshots beside writers.

use super::line;
use crate::goals::Results;
use crate::options::short;
use crate::solo::ByMap;
use crate::versions::apart::{DROPPED, KEYS, WRITERS};
use crate::worst::Pauses;

/// All of them, as far as they were measured.
pub(super) fn all(text: &mut String, results: &Results) {
    for (of, figures) in ["u64 → u64", "String → u64"].into_iter().zip(&results.version_memory)
    {
        memory(text, of, figures);
    }
    let (upserts, drops) = &results.version_pauses;
    pauses(text, upserts, drops);
    crowd(text, &results.crowd);
}

fn memory(text: &mut String, of: &str, figures: &ByMap<[f64; 4]>) {
    line(
        text,
        format_args!(
            "\n## Memory of versions: {of}\n\nBytes taken from the allocator, its own overhead included, of a map with \
             {} entries; and what each version takes that is kept, by the number of random upserts between it and the \
             next. BTreeMap copies all entries.\n\n\
             | map | an entry | a version, 1 upsert | 100 upserts | 10,000 upserts |\n|---|--:|--:|--:|--:|",
            short(KEYS as usize)
        ),
    );
    for (name, [entry, one, hundred, many]) in figures {
        line(text, format_args!("| {name} | {entry:.1} | {one:.0} | {hundred:.0} | {many:.0} |"));
    }
}

fn pauses(text: &mut String, upserts: &ByMap<Pauses>, drops: &ByMap<f64>) {
    if upserts.is_empty() {
        return;
    }
    line(
        text,
        format_args!(
            "\n## Pauses with versions\n\nEach of {0} upserts of random keys into a map of {0} entries, of which a \
             version was kept a hundred upserts ago at most; and dropping the only version of {1} M entries.\n\n\
             | map | median, ns | p99, µs | p99.99, µs | worst, µs | drop, ms |\n|---|--:|--:|--:|--:|--:|",
            short(KEYS as usize),
            DROPPED / 1_000_000
        ),
    );
    for ((name, p), (_, drop)) in upserts.iter().zip(drops) {
        let (median, p99, p9999, worst) = (p.median, p.p99 / 1e3, p.p9999 / 1e3, p.worst / 1e3);
        line(
            text,
            format_args!(
                "| {name} | {median:.0} | {p99:.1} | {p9999:.1} | {worst:.0} | {drop:.0} |"
            ),
        );
    }
}

fn crowd(text: &mut String, figures: &ByMap<(f64, Pauses)>) {
    if figures.is_empty() {
        return;
    }
    line(
        text,
        format_args!(
            "\n## Snapshots beside {WRITERS} writers\n\nUpserts of random keys among {} by {WRITERS} threads, while \
             another thread takes a snapshot, visits all its entries, and begins again a millisecond later. \
             Pauses include the time that a thread had no core, since there are more threads than cores. \
             RwLock is locked for the visit.\n\n\
             | map | million upserts a second | median, ns | p99, µs | p99.99, ms | worst, ms |\n\
             |---|--:|--:|--:|--:|--:|",
            short(KEYS as usize)
        ),
    );
    for (name, (rate, p)) in figures {
        let (median, p99, p9999, worst) = (p.median, p.p99 / 1e3, p.p9999 / 1e6, p.worst / 1e6);
        line(
            text,
            format_args!(
                "| {name} | {:.2} | {median:.0} | {p99:.1} | {p9999:.1} | {worst:.1} |",
                rate / 1e6
            ),
        );
    }
}
