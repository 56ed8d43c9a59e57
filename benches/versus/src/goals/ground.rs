//! The goals for the first stage: the hash table by itself.

use super::{At, K1, K64, M1, M16, Results, Verdict, at_least, at_most, of, ratio, threads};
use crate::options::short;
use crate::rivals::{Bench, Dash, Flat, Papaya, Yard};
use crate::work::Suite;
use crate::work::Workload::{self, GetHit, GetMiss, Mix, Upsert};

/// How many times the speed of a rival ours must have: work, threads, the
/// rival, and the bound at each size.
type Speed = (Workload, usize, &'static str, &'static [(usize, f64)]);

const YARD: &str = Yard::<u64, u64>::NAME;
const PAPAYA: &str = Papaya::<u64, u64>::NAME;
const DASH: &str = Dash::<u64, u64>::NAME;
const FLAT: &str = Flat::<u64>::NAME;

const SPEEDS: [Speed; 7] = [
    (GetHit, 1, YARD, &[(K1, 0.45), (K64, 0.65), (M1, 0.6), (M16, 0.75)]),
    (GetHit, 1, PAPAYA, &[(K1, 3.0), (K64, 3.0), (M1, 1.6), (M16, 1.6)]),
    (GetMiss, 1, PAPAYA, &[(K1, 2.0), (K64, 2.0), (M1, 2.0), (M16, 2.0)]),
    (Upsert, 1, PAPAYA, &[(K1, 4.0), (K64, 4.0), (M1, 4.0), (M16, 4.0)]),
    (GetHit, 1, DASH, &[(K1, 1.0), (K64, 1.0), (M1, 1.0), (M16, 1.0)]),
    (GetHit, 2, DASH, &[(K1, 1.5), (K64, 1.5), (M1, 1.5), (M16, 1.5)]),
    (Mix(50), 2, DASH, &[(K1, 1.3), (K64, 1.3), (M1, 1.3)]),
];

/// With two threads each must keep this part of the speed of one.
const TOGETHER: f64 = 0.9;

/// Returns these goals with their figures.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (work, many, rival, bounds) in SPEEDS {
        for &(n, bound) in bounds {
            let row = results.row(Suite::Words, At { work, n, threads: many });
            let figure = row.and_then(|row| ratio(row.cost(rival), row.cost(FLAT)));
            let (work, size) = (work.name(), short(n));
            let goal = format!("{work} at {size}, {}, against {rival}", threads(many));
            verdicts.push(at_least(goal, figure, bound));
        }
    }
    for n in [K1, K64, M1, M16] {
        let cost = |threads| results.row(Suite::Words, At { work: GetHit, n, threads })?.cost(FLAT);
        let goal = format!("get-hit at {}, each of two readers against one alone", short(n));
        verdicts.push(at_least(goal, ratio(cost(1), cost(2)), TOGETHER));
    }
    let worst = of(&results.worst, FLAT).map(|pauses| pauses.worst / 1e6);
    verdicts.push(at_most("worst insert, 0 to 4 M, in ms".into(), worst, 1.0));
    let bytes = of(&results.memory, FLAT);
    let mut memory = |goal: &str, figure: Option<f64>, bound| {
        verdicts.push(at_most(goal.into(), figure, bound));
    };
    memory("bytes an entry at 1 M", bytes.map(|b| b.grown), 34.0);
    memory("peak while growing, against that", bytes.map(|b| b.peak), 1.15);
    memory("bytes an entry after churn of 4 n", bytes.map(|b| b.churned), 34.0);
    verdicts
}
