//! Maps take turns: one round each, in random order, until each has enough
//! rounds that count, and the median of those is its figure.

use std::time::{Duration, Instant};

use crate::keys::Rng;
use crate::options::short;
use crate::rivals::Role;
use crate::run::{Cost, Job, Runner};
use crate::watchdog;
use crate::work::{Row, Workload};

/// A figure is made of at least this many rounds.
const FEWEST: usize = 3;

/// From this many keys on, only three maps are in memory at a time.
pub const CROWDED: usize = 8 * 1024 * 1024;

/// One map's rounds in one row.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The map.
    pub name: &'static str,
    /// Its role in the comparison.
    pub role: Role,
    /// Nanoseconds an operation, one for each round that counts.
    pub costs: Vec<f64>,
    /// The same of its two parts, where the row has such.
    pub parts: Vec<[f64; 2]>,
    /// Rounds that did not count.
    pub dropped: usize,
}

impl Figure {
    /// The median of its rounds, if there are enough to call it that.
    pub fn cost(&self) -> Option<f64> {
        median(&self.costs).filter(|_| self.costs.len() >= FEWEST)
    }

    /// The medians of both parts, in rows that have them.
    pub fn parts(&self) -> Option<[f64; 2]> {
        let part = |which: usize| self.parts.iter().map(|parts| parts[which]).collect::<Vec<_>>();
        let [one, other] = [0, 1].map(|which| median(&part(which)));
        Some([one?, other?]).filter(|_| self.parts.len() >= FEWEST)
    }

    /// Whether the map does not do such work.
    pub fn kept_out(&self) -> bool {
        self.costs.is_empty() && self.dropped == 0
    }
}

/// A row and each map's figure in it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The measured row.
    pub row: Row,
    /// The yard first, then ours, then its peers.
    pub figures: Vec<Figure>,
}

impl Outcome {
    /// The rounds of one map.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.name == name)
    }

    /// Nanoseconds an operation of one map.
    pub fn cost(&self, name: &str) -> Option<f64> {
        self.figure(name)?.cost()
    }

    /// The fastest peer.
    pub fn best_peer(&self) -> Option<(&'static str, f64)> {
        let peers = self.figures.iter().filter(|f| f.role == Role::Peer);
        peers.filter_map(|f| Some((f.name, f.cost()?))).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The yard.
    pub fn yard(&self) -> Option<f64> {
        self.figures.iter().find(|f| f.role == Role::Yard)?.cost()
    }
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
    pub time: Duration,
}

impl Pace {
    /// Nanoseconds of a round that count, and before that some to warm up.
    fn of(&self, row: &Row) -> (u64, u64) {
        if row.n > 256 * 1024 || row.workload == Workload::Iterate {
            (self.long * 1_000_000, self.long * 500_000)
        } else {
            (self.short * 1_000_000, self.short * 250_000)
        }
    }
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

/// The maps of a suite, in the order of the tables: the yard, ours, the others.
pub type Runners<S> = Vec<Box<dyn Runner<S>>>;

/// Runs `rows`, all at `n` keys, between `all`; `stream` says what a thread does.
pub fn run<S>(
    mut all: Runners<S>,
    rows: &[Row],
    n: usize,
    pace: &Pace,
    stream: fn(&Row, usize) -> S,
) -> Vec<Outcome> {
    // Rows that do not disturb the next row's work use the same maps as the next.
    let (stable, moving): (Vec<Row>, Vec<Row>) =
        rows.iter().partition(|row| row.workload.keeps_the_keys());
    let mut groups = vec![stable];
    groups.extend(moving.into_iter().map(|row| vec![row]));
    let mut outcomes = Vec::new();
    for rows in groups.iter().filter(|rows| !rows.is_empty()) {
        if n < CROWDED {
            outcomes.extend(contest(&mut all, rows, pace, stream));
            continue;
        }
        // The peers come one by one, each beside the yard and ours, which stay.
        let mut merged: Vec<Outcome> = Vec::new();
        for peer in 2..all.len() {
            if rows.iter().any(|row| all[peer].can(row)) {
                all.swap(2, peer);
                merge(&mut merged, contest(&mut all[..3], rows, pace, stream));
                all.swap(2, peer);
            }
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
                    known.parts.extend(figure.parts);
                    known.dropped += figure.dropped;
                }
                None => old.figures.push(figure),
            }
        }
    }
}

/// The same maps through all `rows`, which have one size and do not disturb
/// each other.
fn contest<S>(
    runners: &mut [Box<dyn Runner<S>>],
    rows: &[Row],
    pace: &Pace,
    stream: fn(&Row, usize) -> S,
) -> Vec<Outcome> {
    if !rows.iter().all(|row| row.workload.is_whole()) {
        for runner in &mut *runners {
            watchdog::pat(format!("{} growing", runner.name()));
            runner.build(rows[0].n);
        }
    }
    let outcomes = rows.iter().map(|&row| race(runners, row, pace, stream)).collect();
    for runner in runners {
        runner.leave();
    }
    outcomes
}

fn race<S>(
    runners: &mut [Box<dyn Runner<S>>],
    row: Row,
    pace: &Pace,
    stream: fn(&Row, usize) -> S,
) -> Outcome {
    let (suite, work, keys) = (row.suite.title(), row.workload.name(), short(row.n));
    eprintln!("{suite}: {work} at {keys}, threads: {}", row.threads);
    // The yard runs alone in rows of two threads, for comparison.
    let lone = Row { threads: 1, ..row };
    let streams = |row: Row| -> Vec<_> { (0..row.threads).map(|t| stream(&row, t)).collect() };
    let together = streams(row);
    let alone = if row.threads == 1 { vec![] } else { streams(lone) };
    let (span, warm) = pace.of(&row);
    let blank = |runner: &dyn Runner<S>| Figure {
        name: runner.name(),
        role: runner.role(),
        costs: vec![],
        parts: vec![],
        dropped: 0,
    };
    let mut figures: Vec<_> = runners.iter().map(|runner| blank(&**runner)).collect();
    let mut rng = Rng::new(row.n as u64);
    let begin = Instant::now();
    for turn in 0.. {
        let mut turns: Vec<_> = (0..runners.len())
            .filter(|&i| figures[i].costs.len() < pace.rounds && runners[i].can(&row))
            .collect();
        if turns.is_empty() || turn >= pace.rounds && begin.elapsed() > pace.time {
            break;
        }
        rng.shuffle(&mut turns);
        for i in turns {
            watchdog::pat(format!("{} in {work}", figures[i].name));
            let single = runners[i].role() == Role::Yard && row.threads > 1;
            let job = if single {
                Job { row: lone, streams: &alone, warm, span }
            } else {
                Job { row, streams: &together, warm, span }
            };
            match runners[i].round(&job) {
                Some(Cost { whole, parts }) => {
                    figures[i].costs.push(whole);
                    figures[i].parts.extend(parts);
                }
                None => figures[i].dropped += 1,
            }
        }
    }
    Outcome { row, figures }
}
