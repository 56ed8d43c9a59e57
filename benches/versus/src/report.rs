//! The results as Markdown, losses as plain as wins, and every round as a table
//! of tab-separated values.

use std::fmt::Write as _;

use crate::contest::{NAMES, Outcome};
use crate::goals::{Results, Verdict, verdicts};
use crate::options::short;
use crate::rivals::{Bench, Flat, Yard};

/// The lock file says which versions were measured.
const LOCK: &str = include_str!("../Cargo.lock");

/// The whole report.
pub fn markdown(results: &Results) -> String {
    let mut text = header();
    if !results.outcomes.is_empty() {
        speeds(&mut text, &results.outcomes);
        dropped(&mut text, &results.outcomes);
    }
    memory(&mut text, results);
    worst(&mut text, results);
    goals(&mut text, &verdicts(results));
    text
}

/// Every round that counts: one line a map and row.
pub fn rounds(results: &Results) -> String {
    let mut text = "workload\tkeys\tthreads\tmap\tdropped\tns_per_operation_by_round\n".to_owned();
    for Outcome { row, figures } in &results.outcomes {
        for figure in figures {
            let costs: Vec<_> = figure.costs.iter().map(|cost| format!("{cost:.3}")).collect();
            let (name, dropped, costs) = (figure.name, figure.dropped, costs.join(" "));
            let (work, n, threads) = (row.workload.name(), row.n, row.threads);
            line(&mut text, format_args!("{work}\t{n}\t{threads}\t{name}\t{dropped}\t{costs}"));
        }
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments) {
    writeln!(text, "{line}").expect("a string takes what is written to it");
}

fn header() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let versions = ["hashbrown", "papaya", "dashmap", "scc", "foldhash"].map(version).join(", ");
    format!(
        "# FlatMap<u64, u64> against other maps\n\n\
         {}, {cores} cores. {versions}; RwLock is std's around std's HashMap, 64 spin locks are \
         `src/spin_locks.rs`. Same hasher (foldhash fast, one seed), default capacity, random \
         keys. k = 1024, M = 1024 k.\n\n",
        model.map_or("Unknown processor", |m| m.1),
    )
}

/// A crate may be locked at several versions, one of them a rival's own; the
/// newest is ours.
fn version(name: &str) -> String {
    let head = format!("name = \"{name}\"\nversion = \"");
    let rest = LOCK.rsplit_once(&head).map_or("?", |(_, rest)| rest);
    format!("{name} {}", rest.split('"').next().unwrap_or("?"))
}

fn speeds(text: &mut String, outcomes: &[Outcome]) {
    text.push_str(
        "## Time\n\nNanoseconds an operation costs the thread that does it, medians of rounds. \
         hashbrown is one thread without locks in every row, as the yard. Ratios are speeds: \
         above 1, FlatMap is faster.\n\n",
    );
    let columns = NAMES.join(" | ");
    line(text, format_args!("| workload | keys | threads | {columns} | of yard | of best peer |"));
    line(text, format_args!("|---|--:|--:|{}--:|---|", "--:|".repeat(NAMES.len())));
    for outcome in outcomes {
        let row = &outcome.row;
        let cost = |name: &str| outcome.figures.iter().find(|f| f.name == name)?.cost();
        let cells = NAMES.map(|name| cost(name).map_or("–".into(), nanoseconds)).join(" | ");
        let yard = ratio(cost(Yard::NAME), cost(Flat::NAME));
        let yard = yard.map_or("–".into(), |ratio| format!("{ratio:.2}"));
        let best = best_peer(outcome);
        let peer = best.zip(cost(Flat::NAME)).map(|((name, best), ours)| (name, best / ours));
        let peer = match peer {
            Some((name, ratio)) if ratio < 1.0 => format!("**{ratio:.2}, loss** to {name}"),
            Some((name, ratio)) => format!("{ratio:.2} ({name})"),
            None => "–".into(),
        };
        let (work, n, threads) = (row.workload.name(), short(row.n), row.threads);
        line(text, format_args!("| {work} | {n} | {threads} | {cells} | {yard} | {peer} |"));
    }
    text.push_str(
        "\nMixes: of what is not a get, half are upserts and half insert or remove, keeping the \
         size; 15 in 16 gets hit. update makes a value of the old one; upsert does not look.\n",
    );
}

fn nanoseconds(cost: f64) -> String {
    if cost < 99.95 { format!("{cost:.1}") } else { format!("{cost:.0}") }
}

fn ratio(theirs: Option<f64>, ours: Option<f64>) -> Option<f64> {
    Some(theirs? / ours?)
}

/// The fastest map in a row that is neither ours nor the yard.
pub fn best_peer(outcome: &Outcome) -> Option<(&'static str, f64)> {
    let peers = outcome.figures.iter().filter(|f| ![Yard::NAME, Flat::NAME].contains(&f.name));
    peers.filter_map(|f| Some((f.name, f.cost()?))).min_by(|a, b| a.1.total_cmp(&b.1))
}

fn dropped(text: &mut String, outcomes: &[Outcome]) {
    let figures = || outcomes.iter().flat_map(|o| o.figures.iter().map(move |f| (o.row, f)));
    let dropped: usize = figures().map(|(_, f)| f.dropped).sum();
    let kept: usize = figures().map(|(_, f)| f.costs.len()).sum();
    line(
        text,
        format_args!(
            "\nTime without a core is taken out, and time in which one of two threads had none does \
             not count; of {} rounds {dropped} had too little left, were dropped and repeated.",
            kept + dropped
        ),
    );
    let blank = figures().filter(|(_, f)| f.cost().is_none()).count();
    if blank > 0 {
        line(
            text,
            format_args!(
                "For {blank} figures too few rounds were left: the machine was busy with other \
                 work. `rounds.tsv` has the counts.",
            ),
        );
    }
}

fn memory(text: &mut String, results: &Results) {
    if results.memory.is_empty() {
        return;
    }
    text.push_str(
        "\n## Memory\n\nBytes an entry taken from the allocator, its own overhead included; \
         16 of them are key and value. Churn \
         replaces every key four times by another.\n\n\
         | map | at 1 M | peak until there | mean from 1 M to 2 M | after churn | peak of churn |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for (name, b) in &results.memory {
        let (grown, mean, churned) = (b.grown, b.mean, b.churned);
        let (peak, all) = (b.peak, b.churned_peak);
        line(
            text,
            format_args!(
                "| {name} | {grown:.1} | × {peak:.2} | {mean:.1} | {churned:.1} | × {all:.2} |"
            ),
        );
    }
}

fn worst(text: &mut String, results: &Results) {
    if results.worst.is_empty() {
        return;
    }
    text.push_str(
        "\n## The worst insertion\n\nEach of 4 M insertions into a map that starts empty, page \
         faults included, in a process of its own.\n\n\
         | map | worst, ms | p99.99, µs | p99, µs | median, ns |\n|---|--:|--:|--:|--:|\n",
    );
    for (name, p) in &results.worst {
        let (worst, p9999, p99) = (p.worst / 1e6, p.p9999 / 1e3, p.p99 / 1e3);
        let median = p.median;
        line(text, format_args!("| {name} | {worst:.2} | {p9999:.1} | {p99:.2} | {median:.0} |"));
    }
}

fn goals(text: &mut String, verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    text.push_str("\n## Goals\n\n| goal | bound | figure | |\n|---|--:|--:|---|\n");
    for v in verdicts {
        let mark = if v.reached { "reached" } else { "**missed**" };
        line(text, format_args!("| {} | {} | {} | {mark} |", v.goal, v.bound, v.figure));
    }
    let reached = verdicts.iter().filter(|v| v.reached).count();
    line(text, format_args!("\n{reached} of {} goals measured here are reached.", verdicts.len()));
}
