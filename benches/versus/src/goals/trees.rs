//! The goals for the ordered map.

use super::{At, K64, M1, Results, Verdict, at_least, at_most, of, ratio, threads};
use crate::options::short;
use crate::trees::{AtOnce, Fence, Tree};
use crate::work::Suite;
use crate::work::Workload::{
    self, Ascend, GetHit, GetMany, Hot, Insert, Mix, Moving, Remove, Scan, ScanHot,
};

const OURS: &str = Fence::NAME;

/// How many times the best peer's speed ours must have: work, threads, sizes.
type Speed = (Workload, usize, &'static [usize], f64);

const BOTH: &[usize] = &[K64, M1];
const LARGE: &[usize] = &[M1];

const SPEEDS: [Speed; 19] = [
    (GetHit, 1, BOTH, 1.6),
    (GetMany(16), 1, BOTH, 1.8),
    (Scan, 1, BOTH, 1.5),
    (Remove, 1, LARGE, 1.4),
    (Mix(90), 1, BOTH, 1.4),
    (Mix(50), 1, BOTH, 1.4),
    (Ascend, 1, LARGE, 1.4),
    (Insert, 1, LARGE, 1.0),
    (Moving(90), 1, LARGE, 1.3),
    (GetHit, 2, BOTH, 1.6),
    (GetMany(16), 2, BOTH, 1.8),
    (Scan, 2, BOTH, 1.5),
    (Mix(90), 2, BOTH, 1.3),
    (Mix(50), 2, BOTH, 1.3),
    (Ascend, 2, LARGE, 1.1),
    (Insert, 2, LARGE, 1.1),
    (Hot(90), 2, &[K64], 1.1),
    (Hot(50), 2, &[K64], 1.1),
    (Moving(90), 2, LARGE, 1.3),
];

/// Returns these goals with their figures.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let row = |work, n, threads| results.row(Suite::Ordered, At { work, n, threads });
    for (work, many, sizes, bound) in SPEEDS {
        for &n in sizes {
            let figure = row(work, n, many)
                .and_then(|row| ratio(row.best_peer().map(|(_, cost)| cost), row.cost(OURS)));
            let (name, size) = (work.name(), short(n));
            let goal = format!("{name} at {size}, {}, against the best peer", threads(many));
            verdicts.push(at_least(goal, figure, bound));
        }
    }
    for n in [K64, M1] {
        let figure =
            row(ScanHot, n, 2).and_then(|row| ratio(row.cost(OURS), row.cost(AtOnce::NAME)));
        let goal = format!("consistent scans at {}, beside a writer, against weak ones", short(n));
        verdicts.push(at_least(goal, figure, 0.8));
    }
    let bytes = of(&results.tree_memory, OURS);
    verdicts.push(at_most("bytes an entry at 1 M".into(), bytes.map(|b| b.grown), 25.0));
    verdicts.push(at_most("after churn of 4 n".into(), bytes.map(|b| b.churned), 25.0));
    verdicts
}
