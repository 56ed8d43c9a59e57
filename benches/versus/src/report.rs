//! The results as Markdown, losses as plain as wins, and every round as a table
//! of tab-separated values.

mod cold;
mod pairs;
mod versions;

use std::fmt::Write as _;

use crate::ancestor::{Trials, best_peer, cost};
use crate::contest::{Figure, Outcome};
use crate::goals::{Results, verdicts};
use crate::memory::Bytes;
use crate::options::short;
use crate::pins::Pins;
use crate::rivals::{Bench, Dash, Flat, Role, Yard};
use crate::solo::{ByMap, TAIL_KEYS, TEXT_TAIL_KEYS};
use crate::work::Suite;
use crate::worst::Pauses;

/// The lock file says which versions were measured.
const LOCK: &str = include_str!("../Cargo.lock");

/// The whole report.
pub fn markdown(results: &Results) -> String {
    let mut text = header();
    if !results.outcomes.is_empty() {
        text.push_str(
            "## Time\n\nNanoseconds an operation costs the thread that does it, medians of rounds. \
             hashbrown, or BTreeMap, is one thread without locks in every row, as the yard. Ratios are speeds: \
             above 1, ours is faster.\n",
        );
        for suite in Suite::ALL {
            speeds(&mut text, suite, &results.of(suite));
        }
        pairs::parts(&mut text, results);
        dropped(&mut text, &results.outcomes);
    }
    memory(&mut text, "u64 → u64; 16 bytes of an entry are key and value", &results.memory);
    memory(&mut text, "String → String of 16 to 64 characters each", &results.text_memory);
    worst(&mut text, "of one thread", &results.worst);
    worst(&mut text, "of two threads", &results.worst_of_two);
    tails(&mut text, "u64 → u64", TAIL_KEYS, &results.tails);
    tails(&mut text, "String → String", TEXT_TAIL_KEYS, &results.text_tails);
    memory(&mut text, "ordered maps, u64 → u64", &results.tree_memory);
    pins(&mut text, &results.pins);
    pairs::latencies(&mut text, results.latencies.as_ref());
    pairs::memory(&mut text, &results.pair_memory);
    versions::all(&mut text, results);
    cold::all(&mut text, &results.cold);
    ancestor(&mut text, &results.ancestor);
    text + &goals(results, false)
}

/// Every round that counts: one line a map and row.
pub fn rounds(results: &Results) -> String {
    let mut text =
        "suite\tworkload\tkeys\tthreads\tmap\tdropped\tns_per_operation_by_round\n".to_owned();
    for Outcome { row, figures } in &results.outcomes {
        let (suite, work) = (row.suite.file(), row.workload.name());
        let place = format!("{suite}\t{work}\t{}\t{}", row.n, row.threads);
        for figure in figures {
            let costs: Vec<_> = figure.costs.iter().map(|cost| format!("{cost:.3}")).collect();
            let (name, dropped, costs) = (figure.name, figure.dropped, costs.join(" "));
            line(&mut text, format_args!("{place}\t{name}\t{dropped}\t{costs}"));
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
    let maps = ["hashbrown", "papaya", "dashmap", "scc", "flurry", "leapfrog"];
    let pairs = ["left-right", "evmap", "flashmap", "arc-swap", "foldhash"];
    let trees =
        ["bbtree", "congee", "masstree", "concurrent-map", "crossbeam-skiplist", "imbl", "rpds"];
    let caches = ["quick_cache", "moka", "compressible-map", "lz4_flex"];
    let versions = [&maps[..], &pairs, &trees, &caches].concat().into_iter().map(version);
    let versions = versions.collect::<Vec<_>>().join(", ");
    format!(
        "# FlatMap and its family against other maps\n\n\
         {}, {cores} cores. {versions}; RwLock is std's around std's HashMap, 64 spin locks are \
         `src/rivals/spin_locks.rs`. Same hasher (foldhash fast, one seed), default capacity, random \
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

fn speeds(text: &mut String, suite: Suite, outcomes: &[&Outcome]) {
    let Some(first) = outcomes.first() else { return };
    line(text, format_args!("\n### {}\n", suite.title()));
    let names: Vec<_> = first.figures.iter().map(|f| f.name).collect();
    let ours: Vec<_> = first.figures.iter().filter(|f| f.role == Role::Ours).collect();
    let ratios: Vec<_> =
        ours.iter().map(|f| format!(" {0} of yard | {0} of best peer |", f.name)).collect();
    let ratios = ratios.concat();
    line(text, format_args!("| workload | keys | threads | {} |{ratios}", names.join(" | ")));
    let columns = "--:|".repeat(names.len()) + &"--:|---|".repeat(ours.len());
    line(text, format_args!("|---|--:|--:|{columns}"));
    for outcome in outcomes {
        let cell = |name: &&str| match outcome.figure(name) {
            Some(figure) if figure.kept_out() => "n/a".into(),
            figure => figure.and_then(Figure::cost).map_or("–".into(), nanoseconds),
        };
        let cells: Vec<_> = names.iter().map(cell).collect();
        let ratios: String = ours.iter().map(|f| compared(outcome, f.name)).collect();
        let (row, cells) = (&outcome.row, cells.join(" | "));
        let (work, n, threads) = (row.workload.name(), short(row.n), row.threads);
        line(text, format_args!("| {work} | {n} | {threads} | {cells} |{ratios}"));
    }
    line(text, format_args!("\n{}", suite.explanation()));
}

/// The cells that compare one of ours with the yard and with its best peer.
fn compared(outcome: &Outcome, ours: &str) -> String {
    let cost = outcome.cost(ours);
    let yard = outcome.yard().zip(cost).map(|(yard, ours)| format!("{:.2}", yard / ours));
    let peer = match outcome.best_peer().zip(cost).map(|((name, best), ours)| (name, best / ours)) {
        Some((name, ratio)) if ratio < 1.0 => format!("**{ratio:.2}, loss** to {name}"),
        Some((name, ratio)) => format!("{ratio:.2} ({name})"),
        None => "–".into(),
    };
    format!(" {} | {peer} |", yard.unwrap_or("–".into()))
}

fn nanoseconds(cost: f64) -> String {
    if cost < 99.95 { format!("{cost:.1}") } else { format!("{cost:.0}") }
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
    let blank = figures().filter(|(_, f)| f.cost().is_none() && !f.kept_out()).count();
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

fn memory(text: &mut String, of: &str, figures: &ByMap<Bytes>) {
    if figures.is_empty() {
        return;
    }
    line(
        text,
        format_args!(
            "\n## Memory: {of}\n\nBytes an entry taken from the allocator, its own overhead \
             included. Churn replaces every key four times by another.\n\n\
             | map | at 1 M | peak until there | mean from 1 M to 2 M | after churn | peak of \
             churn |\n|---|--:|--:|--:|--:|--:|"
        ),
    );
    for (name, b) in figures {
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

fn worst(text: &mut String, whose: &str, figures: &ByMap<Pauses>) {
    if figures.is_empty() {
        return;
    }
    line(
        text,
        format_args!(
            "\n## The worst insertion {whose}\n\nEach of 4 M insertions into a map that starts \
             empty, page faults included, in a process of its own.\n\n\
             | map | worst, ms | p99.99, µs | p99, µs | median, ns |\n|---|--:|--:|--:|--:|"
        ),
    );
    for (name, p) in figures {
        let (worst, p9999, p99) = (p.worst / 1e6, p.p9999 / 1e3, p.p99 / 1e3);
        let median = p.median;
        line(text, format_args!("| {name} | {worst:.2} | {p9999:.1} | {p99:.2} | {median:.0} |"));
    }
}

fn tails(text: &mut String, of: &str, keys: u64, figures: &ByMap<Pauses>) {
    if figures.is_empty() {
        return;
    }
    let (n, upserts) = (short(keys as usize), short(4 * keys as usize));
    line(
        text,
        format_args!(
            "\n## The slowest upserts: {of}\n\nNanoseconds of each of {upserts} upserts of random \
             keys into a map that has its {n} keys, one thread in a process of its own; the clock's \
             own cost is in all of them.\n\n\
             | map | median | p99 | p99.9 | p99.99 | worst, µs |\n|---|--:|--:|--:|--:|--:|"
        ),
    );
    for (name, p) in figures {
        let Pauses { worst, p9999, p999, p99, median } = p;
        let worst = worst / 1e3;
        line(
            text,
            format_args!(
                "| {name} | {median:.0} | {p99:.0} | {p999:.0} | {p9999:.0} | {worst:.1} |"
            ),
        );
    }
}

fn pins(text: &mut String, figures: &ByMap<Pins>) {
    if figures.is_empty() {
        return;
    }
    text.push_str(
        "\n## Guards\n\nNanoseconds of taking a guard and dropping it, and of hits among a thousand \
         numbers. With fences: the system call `membarrier` is forbidden to that process.\n\n\
         | map | guard alone | hit, each with a guard | hit, under one guard |\n|---|--:|--:|--:|\n",
    );
    for (name, pins) in figures {
        let cell = |ns: f64| if ns.is_nan() { "n/a".into() } else { format!("{ns:.2}") };
        let [alone, own, held] = [pins.alone, pins.own, pins.held].map(cell);
        line(text, format_args!("| {name} | {alone} | {own} | {held} |"));
    }
}

fn ancestor(text: &mut String, trials: &Trials) {
    let Some((_, widest)) = trials.first() else { return };
    let names: Vec<_> = widest.iter().map(|times| times.name).collect();
    text.push_str(
        "\n## The ancestor's benchmarks\n\nMicroseconds a run, medians; keys in sequence, capacity \
         8192 asked for, threads started within the run. With four threads it is the wall clock's \
         time, waiting included: only a quiet machine gives a figure. In brackets what the ancestor \
         of the same name published of itself; the ratios are speeds against hashbrown (it: std's \
         HashMap, which is hashbrown under another hasher) and dashmap.\n\n",
    );
    line(
        text,
        format_args!("| run | {} | of hashbrown | of dashmap | of best peer |", names.join(" | ")),
    );
    line(text, format_args!("|---|{}--:|--:|--:|", "--:|".repeat(names.len())));
    for &(trial, _) in trials {
        let cost = |name: &str| cost(trials, trial, name);
        let cell = |name: &&str| cost(name).map_or("–".into(), |time| format!("{time:.0}"));
        let cells: Vec<_> = names.iter().map(cell).collect();
        let ours = cost(Flat::<u64>::NAME);
        let against = |theirs: Option<f64>| {
            theirs.zip(ours).map_or("–".into(), |(theirs, ours)| format!("{:.2}", theirs / ours))
        };
        let (own, std, dash) = trial.published();
        let then = |theirs: Option<f64>| {
            theirs.map_or(String::new(), |theirs| format!(" ({:.2})", theirs / own))
        };
        let yard = against(cost(Yard::<u64, u64>::NAME)) + &then(std);
        let dash = against(cost(Dash::<u64, u64>::NAME)) + &then(Some(dash));
        let best = against(best_peer(trials, trial));
        let (name, cells) = (trial.name(), cells.join(" | "));
        line(text, format_args!("| {name} | {cells} | {yard} | {dash} | {best} |"));
    }
}

/// Returns the goals' tables; without `all`, only goals with a figure.
pub fn goals(results: &Results, all: bool) -> String {
    let mut text = String::new();
    for (stage, verdicts) in verdicts(results) {
        let shown: Vec<_> = verdicts.iter().filter(|v| all || v.reached().is_some()).collect();
        if shown.is_empty() {
            continue;
        }
        line(
            &mut text,
            format_args!("\n## Goals: {stage}\n\n| goal | bound | figure | |\n|---|--:|--:|---|"),
        );
        for v in &shown {
            let mark = match v.reached() {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "not measured",
            };
            let figure = v.figure().unwrap_or("–".into());
            line(&mut text, format_args!("| {} | {} | {figure} | {mark} |", v.goal, v.bound()));
        }
        let measured = shown.iter().filter(|v| v.reached().is_some()).count();
        let met = shown.iter().filter(|v| v.reached() == Some(true)).count();
        line(&mut text, format_args!("\n{met} of {measured} goals measured here are met."));
    }
    text
}
