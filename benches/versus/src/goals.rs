//! The project's goals for `FlatMap` and its family, as data, and whether they
//! are reached.

mod cold;
mod family;
mod ground;
mod left_right;
mod trees;

use crate::ancestor::Trials;
use crate::cold::Measurements;
use crate::cold::maps::{Map, Ours};
use crate::contest::Outcome;
use crate::latency::Latencies;
use crate::memory::{Bytes, PairBytes};
use crate::pairs;
use crate::pins::Pins;
use crate::solo::ByMap;
use crate::trees::{Fence, Tree};
use crate::work::{Suite, Workload};
use crate::worst::Pauses;

/// Everything that was measured.
#[derive(Default)]
pub struct Results {
    /// Speeds.
    pub outcomes: Vec<Outcome>,
    /// Bytes an entry of numbers, by map; empty if not measured.
    pub memory: ByMap<Bytes>,
    /// Bytes an entry of text, by map; empty if not measured.
    pub text_memory: ByMap<Bytes>,
    /// The ancestor's benchmarks; empty if not measured.
    pub ancestor: Trials,
    /// Pauses of growth, by map; empty if not measured.
    pub worst: ByMap<Pauses>,
    /// The same while two threads insert; empty if not measured.
    pub worst_of_two: ByMap<Pauses>,
    /// Pauses of upserts at rest, of numbers; empty if not measured.
    pub tails: ByMap<Pauses>,
    /// Pauses of upserts at rest, of text; empty if not measured.
    pub text_tails: ByMap<Pauses>,
    /// The time of guards; empty if not measured.
    pub pins: ByMap<Pins>,
    /// Bytes an entry of maps behind two handles, by size of value and map; empty
    /// if not measured.
    pub pair_memory: Vec<ByMap<PairBytes>>,
    /// The time of single look-ups of maps with one writer, if measured.
    pub latencies: Option<Latencies>,
    /// Bytes an entry of ordered maps, by map; empty if not measured.
    pub tree_memory: ByMap<Bytes>,
    /// Bytes an entry and a version, with numbers and with text as keys; empty if not measured.
    pub version_memory: Vec<ByMap<[f64; 4]>>,
    /// Pauses of upserts while versions are kept, and milliseconds of a drop; empty if not measured.
    pub version_pauses: (ByMap<Pauses>, ByMap<f64>),
    /// Upserts in a second of many threads while snapshots are taken, and their pauses; empty if not measured.
    pub crowd: ByMap<(f64, Pauses)>,
    /// Much data in little memory, by set of rows; empty if not measured.
    pub cold: Vec<Measurements>,
}

impl Results {
    /// One row.
    pub fn row(&self, suite: Suite, at: At) -> Option<&Outcome> {
        self.outcomes.iter().map(|o| (o, o.row)).find_map(|(outcome, row)| {
            let here = At { work: row.workload, n: row.n, threads: row.threads };
            (row.suite == suite && here == at).then_some(outcome)
        })
    }

    /// The outcomes of one suite.
    pub fn of(&self, suite: Suite) -> Vec<&Outcome> {
        self.outcomes.iter().filter(|o| o.row.suite == suite).collect()
    }
}

/// A row, within a suite.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The work.
    pub work: Workload,
    /// Keys in the map.
    pub n: usize,
    /// Threads that work on it.
    pub threads: usize,
}

/// One line of the goals' table.
pub struct Verdict {
    /// The goal in words.
    pub goal: String,
    /// The figure that would do.
    bound: f64,
    /// Whether more than that is better.
    more: bool,
    /// The measured figure, if there is one.
    figure: Option<f64>,
}

impl Verdict {
    /// The bound, with its direction.
    pub fn bound(&self) -> String {
        format!("{} {}", if self.more { "≥" } else { "≤" }, self.bound)
    }

    /// Returns the measured figure as text.
    pub fn figure(&self) -> Option<String> {
        self.figure.map(|figure| format!("{figure:.2}"))
    }

    /// Whether it is within the bound, as printed: 34.0001 bytes are 34.
    pub fn reached(&self) -> Option<bool> {
        let figure = (self.figure? * 100.0).round() / 100.0;
        Some(if self.more { figure >= self.bound } else { figure <= self.bound })
    }
}

/// The goals of each stage of the project, with their figures.
pub fn verdicts(results: &Results) -> [(&'static str, Vec<Verdict>); 5] {
    [
        ("ground floor", ground::verdicts(results)),
        ("family", family::verdicts(results)),
        (pairs::OURS, left_right::verdicts(results)),
        (Fence::NAME, trees::verdicts(results)),
        (Ours::NAME, cold::verdicts(results)),
    ]
}

fn at_least(goal: String, figure: Option<f64>, bound: f64) -> Verdict {
    Verdict { goal, bound, more: true, figure }
}

fn at_most(goal: String, figure: Option<f64>, bound: f64) -> Verdict {
    Verdict { goal, bound, more: false, figure }
}

fn ratio(theirs: Option<f64>, ours: Option<f64>) -> Option<f64> {
    Some(theirs? / ours?)
}

/// The figure of one map.
fn of<'a, T>(figures: &'a ByMap<T>, name: &str) -> Option<&'a T> {
    figures.iter().find(|(map, _)| *map == name).map(|(_, figure)| figure)
}

fn threads(n: usize) -> &'static str {
    if n == 1 { "one thread" } else { "two threads" }
}

const K1: usize = 1 << 10;
const K64: usize = 1 << 16;
const M1: usize = 1 << 20;
const M16: usize = 1 << 24;
