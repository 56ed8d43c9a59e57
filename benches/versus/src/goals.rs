//! The project's goals for `FlatMap`, ground floor, as data, and whether they
//! are reached.

use crate::contest::Outcome;
use crate::memory::Bytes;
use crate::options::short;
use crate::rivals::{Bench, Dash, Flat, Papaya, Yard};
use crate::workload::Workload::{self, GetHit, GetMiss, Mix, Upsert};
use crate::worst::Pauses;

/// Everything that was measured.
pub struct Results {
    /// Speeds.
    pub outcomes: Vec<Outcome>,
    /// Bytes an entry, by map; empty if not measured.
    pub memory: Vec<(&'static str, Bytes)>,
    /// Pauses, by map; empty if not measured.
    pub worst: Vec<(&'static str, Pauses)>,
}

impl Results {
    /// Nanoseconds an operation of one map in one row.
    pub fn cost(&self, work: Workload, n: usize, threads: usize, name: &str) -> Option<f64> {
        let row = |o: &&Outcome| o.row.workload == work && o.row.n == n && o.row.threads == threads;
        let outcome = self.outcomes.iter().find(row)?;
        outcome.figures.iter().find(|f| f.name == name)?.cost()
    }
}

/// One line of the goals' table.
pub struct Verdict {
    /// What is asked for.
    pub goal: String,
    /// The bound, with its direction.
    pub bound: String,
    /// What was measured.
    pub figure: String,
    /// Whether it is within the bound.
    pub reached: bool,
}

const K1: usize = 1 << 10;
const K64: usize = 1 << 16;
const M1: usize = 1 << 20;
const M16: usize = 1 << 24;

/// How many times the speed of a rival ours must have: work, threads, the
/// rival, and the bound at each size.
type Speed = (Workload, usize, &'static str, &'static [(usize, f64)]);

const SPEEDS: [Speed; 7] = [
    (GetHit, 1, Yard::NAME, &[(K1, 0.45), (K64, 0.65), (M1, 0.6), (M16, 0.75)]),
    (GetHit, 1, Papaya::NAME, &[(K1, 3.0), (K64, 3.0), (M1, 1.6), (M16, 1.6)]),
    (GetMiss, 1, Papaya::NAME, &[(K1, 2.0), (K64, 2.0), (M1, 2.0), (M16, 2.0)]),
    (Upsert, 1, Papaya::NAME, &[(K1, 4.0), (K64, 4.0), (M1, 4.0), (M16, 4.0)]),
    (GetHit, 1, Dash::NAME, &[(K1, 1.0), (K64, 1.0), (M1, 1.0), (M16, 1.0)]),
    (GetHit, 2, Dash::NAME, &[(K1, 1.5), (K64, 1.5), (M1, 1.5), (M16, 1.5)]),
    (Mix(50), 2, Dash::NAME, &[(K1, 1.3), (K64, 1.3), (M1, 1.3)]),
];

/// With two threads each must keep this part of the speed of one.
const TOGETHER: f64 = 0.9;

/// The goals for which there is a figure.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (work, threads, rival, bounds) in SPEEDS {
        for &(n, bound) in bounds {
            let cost = |name| results.cost(work, n, threads, name);
            let Some((ours, theirs)) = cost(Flat::NAME).zip(cost(rival)) else { continue };
            let threads = if threads == 1 { "one thread" } else { "two threads" };
            let goal = format!("{} at {}, {threads}, against {rival}", work.name(), short(n));
            verdicts.push(at_least(goal, theirs / ours, bound));
        }
    }
    for n in [K1, K64, M1, M16] {
        let cost = |threads| results.cost(GetHit, n, threads, Flat::NAME);
        let Some((one, two)) = cost(1).zip(cost(2)) else { continue };
        let goal = format!("get-hit at {}, each of two readers against one alone", short(n));
        verdicts.push(at_least(goal, one / two, TOGETHER));
    }
    if let Some((_, pauses)) = results.worst.iter().find(|w| w.0 == Flat::NAME) {
        verdicts.push(at_most("worst insert, 0 to 4 M, in ms".into(), pauses.worst / 1e6, 1.0));
    }
    if let Some((_, bytes)) = results.memory.iter().find(|m| m.0 == Flat::NAME) {
        verdicts.push(at_most("bytes an entry at 1 M".into(), bytes.grown, 34.0));
        verdicts.push(at_most("peak while growing, against that".into(), bytes.peak, 1.15));
        verdicts.push(at_most("bytes an entry after churn of 4 n".into(), bytes.churned, 34.0));
    }
    verdicts
}

fn at_least(goal: String, figure: f64, bound: f64) -> Verdict {
    // As printed: 34.0001 bytes are 34.
    let reached = rounded(figure) >= bound;
    Verdict { goal, bound: format!("≥ {bound}"), figure: format!("{figure:.2}"), reached }
}

fn at_most(goal: String, figure: f64, bound: f64) -> Verdict {
    let reached = rounded(figure) <= bound;
    Verdict { goal, bound: format!("≤ {bound}"), figure: format!("{figure:.2}"), reached }
}

fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
