//! Maps take turns: one round each, in random order, until each has enough
//! rounds that count, and the median of those is its figure.

use std::time::{Duration, Instant};

use crate::keys::Rng;
use crate::options::short;
use crate::rivals::{Bench, Dash, Flat, Locked, Papaya, Scc, Yard};
use crate::round::{Holder, Job, Seat};
use crate::spin_locks::SpinLocks;
use crate::watchdog;
use crate::workload::{Stream, Workload};

/// A figure is made of at least this many rounds.
const FEWEST: usize = 3;

/// From this many keys on, only three maps are in memory at a time.
const CROWDED: usize = 8 * 1024 * 1024;

/// What one figure is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The work.
    pub workload: Workload,
    /// Keys in the map.
    pub n: usize,
    /// Threads that work on it.
    pub threads: usize,
}

/// One map's rounds in one row.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The map.
    pub name: &'static str,
    /// Nanoseconds an operation, one for each round that counts.
    pub costs: Vec<f64>,
    /// Rounds that did not count.
    pub dropped: usize,
}

impl Figure {
    /// The median of its rounds, if there are enough to call it that.
    pub fn cost(&self) -> Option<f64> {
        median(&self.costs).filter(|_| self.costs.len() >= FEWEST)
    }
}

/// A row and each map's figure in it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was measured.
    pub row: Row,
    /// The yard first, then ours, then its peers.
    pub figures: Vec<Figure>,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Rounds that must count.
    pub rounds: usize,
    /// Milliseconds a round for maps that fit into a core's own caches.
    pub short: u64,
    /// Milliseconds a round for larger ones, which warm up more slowly.
    pub long: u64,
    /// How long to repeat rounds that do not count, in each row.
    pub patience: Duration,
}

/// The median.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Every map, in the order of the tables: the yard, ours, the peers.
pub fn seats() -> Vec<Box<dyn Seat>> {
    vec![
        Box::new(Holder::<Yard>::new()),
        Box::new(Holder::<Flat>::new()),
        Box::new(Holder::<Papaya>::new()),
        Box::new(Holder::<Dash>::new()),
        Box::new(Holder::<Scc>::new()),
        Box::new(Holder::<Locked>::new()),
        Box::new(Holder::<SpinLocks>::new()),
    ]
}

/// Their names, in the same order.
pub const NAMES: [&str; 7] =
    [Yard::NAME, Flat::NAME, Papaya::NAME, Dash::NAME, Scc::NAME, Locked::NAME, SpinLocks::NAME];

/// Runs all `workloads` at `n` keys, on one and two threads as asked.
pub fn run(workloads: &[Workload], n: usize, threads: &[usize], pace: &Pace) -> Vec<Outcome> {
    let rows = |w: Workload| threads.iter().map(move |&threads| Row { workload: w, n, threads });
    let mut all = seats();
    if n < CROWDED {
        let groups = workloads.iter().flat_map(|&workload| {
            let rows: Vec<_> = rows(workload).collect();
            let apart = if workload.keeps_the_keys() { rows.len() } else { 1 };
            rows.chunks(apart).map(<[Row]>::to_vec).collect::<Vec<_>>()
        });
        return groups.flat_map(|rows| contest(&mut all, &rows, pace)).collect();
    }
    // The peers come one by one, each beside the yard and ours, which stay.
    let (stable, moving): (Vec<_>, Vec<_>) =
        workloads.iter().flat_map(|&w| rows(w)).partition(|row| row.workload.keeps_the_keys());
    let mut groups = vec![stable];
    groups.extend(moving.into_iter().map(|row| vec![row]));
    let mut outcomes = Vec::new();
    for rows in groups.iter().filter(|rows| !rows.is_empty()) {
        let mut merged: Vec<Outcome> = Vec::new();
        for peer in 2..all.len() {
            all.swap(2, peer);
            merge(&mut merged, contest(&mut all[..3], rows, pace));
            all.swap(2, peer);
        }
        outcomes.extend(merged);
    }
    outcomes
}

/// Adds the rounds of maps that are there already, and the maps that are not.
fn merge(into: &mut Vec<Outcome>, more: Vec<Outcome>) {
    if into.is_empty() {
        *into = more;
        return;
    }
    for (old, new) in into.iter_mut().zip(more) {
        for figure in new.figures {
            match old.figures.iter_mut().find(|f| f.name == figure.name) {
                Some(known) => {
                    known.costs.extend(figure.costs);
                    known.dropped += figure.dropped;
                }
                None => old.figures.push(figure),
            }
        }
    }
}

/// The same maps through all `rows`, which have one size and do not disturb
/// each other.
fn contest(seats: &mut [Box<dyn Seat>], rows: &[Row], pace: &Pace) -> Vec<Outcome> {
    let whole = |row: &Row| matches!(row.workload, Workload::Insert | Workload::Remove);
    if !rows.iter().all(whole) {
        for seat in &mut *seats {
            seat.build(rows[0].n);
        }
    }
    let outcomes = rows.iter().map(|&row| race(seats, row, pace)).collect();
    for seat in seats {
        seat.leave();
    }
    outcomes
}

fn race(seats: &mut [Box<dyn Seat>], row: Row, pace: &Pace) -> Outcome {
    eprintln!("{} at {}, threads: {}", row.workload.name(), short(row.n), row.threads);
    let streams = |threads| -> Vec<_> {
        (0..threads).map(|t| Stream::new(row.workload, row.n, t, threads)).collect()
    };
    let (alone, together) = (streams(1), streams(row.threads));
    let long = row.n > 256 * 1024;
    let (span, warm) = if long { (pace.long, pace.long / 2) } else { (pace.short, pace.short / 4) };
    let blank = |name| Figure { name, costs: vec![], dropped: 0 };
    let mut figures: Vec<_> = seats.iter().map(|seat| blank(seat.name())).collect();
    let mut rng = Rng::new(row.n as u64);
    let begin = Instant::now();
    for turn in 0.. {
        let mut turns: Vec<_> =
            (0..seats.len()).filter(|&i| figures[i].costs.len() < pace.rounds).collect();
        if turns.is_empty() || turn >= pace.rounds && begin.elapsed() > pace.patience {
            break;
        }
        rng.shuffle(&mut turns);
        for i in turns {
            watchdog::pat(format!("{} in {}", figures[i].name, row.workload.name()));
            // The yard runs alone in rows of two threads, for comparison.
            let streams = if seats[i].shared() { &together } else { &alone };
            let (warm, span) = (warm * 1_000_000, span * 1_000_000);
            match seats[i].round(&Job { workload: row.workload, streams, warm, span }) {
                Some(cost) => figures[i].costs.push(cost),
                None => figures[i].dropped += 1,
            }
        }
    }
    Outcome { row, figures }
}
