//! The goals for the map with one writer.

use super::{At, K1, K64, M1, Results, Verdict, at_least, at_most, of, ratio, threads};
use crate::contest::Outcome;
use crate::options::short;
use crate::pairs::{LeftRight, OURS, Pair};
use crate::rivals::{Bench, Leapfrog, Yard};
use crate::work::pairs::{How, Paired};
use crate::work::{Suite, Workload};

const YARD: &str = Yard::<u64, u64>::NAME;
const LEFT_RIGHT: &str = <LeftRight<u64> as Pair<u64>>::NAME;
const LEAPFROG: &str = Leapfrog::NAME;

/// How many times a rival's speed ours must have in look-ups of one kind, at
/// which sizes.
type Speed = (How, &'static str, &'static [(usize, f64)]);

const SPEEDS: [Speed; 5] = [
    (How::Single, YARD, &[(K1, 0.7), (K64, 0.7), (M1, 0.8)]),
    (How::Held, YARD, &[(K1, 0.95), (K64, 0.95), (M1, 0.95)]),
    (How::Many, YARD, &[(M1, 1.2)]),
    (How::Single, LEFT_RIGHT, &[(K1, 4.0), (K64, 4.0), (M1, 1.5)]),
    (How::Single, LEAPFROG, &[(K1, 2.0), (K64, 2.0), (M1, 1.1)]),
];

/// Returns these goals with their figures.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (how, rival, bounds) in SPEEDS {
        for &(n, bound) in bounds {
            let (goal, row) = find(results, Paired::Gets { how, zipf: n == M1 }, n, 1);
            let figure = row.and_then(|row| ratio(row.cost(rival), row.cost(OURS)));
            verdicts.push(at_least(format!("{goal}, against {rival}"), figure, bound));
        }
    }
    mixes(results, &mut verdicts);
    for keys in [1, 100, 10_000] {
        for threads in [1, 2] {
            let (goal, row) = find(results, Paired::Publish(keys), M1, threads);
            let figure = row.and_then(|row| ratio(row.cost(OURS), row.cost(LEFT_RIGHT)));
            verdicts.push(at_most(format!("{goal}, time of {LEFT_RIGHT}'s"), figure, 0.25));
        }
    }
    let latency = results.latencies.as_ref().and_then(|all| of(&all.maps, OURS));
    let slower = latency.and_then(|l| ratio(l.busy.map(|busy| busy.p9999), Some(l.rest.p9999)));
    let goal = "slowest look-ups (p99.99) beside a writer, against at rest";
    verdicts.push(at_most(goal.into(), slower, 1.3));
    memory(results, &mut verdicts);
    verdicts
}

fn mixes(results: &Results, verdicts: &mut Vec<Verdict>) {
    for every in [100_000, 10_000, 1000, 100] {
        let (goal, row) = find(results, Paired::Mix { every, by: 1 }, M1, 2);
        let best = |row: &Outcome| row.best_peer().map(|(_, cost)| cost);
        let figure = row.and_then(|row| ratio(best(row), row.cost(OURS)));
        verdicts.push(at_least(format!("{goal}, against the best peer"), figure, 1.0));
    }
    for (by, threads) in [(1, 1), (1, 2), (100, 1), (100, 2)] {
        let (goal, row) = find(results, Paired::Mix { every: 2, by }, M1, threads);
        // Of two threads, the one that writes.
        let cost = |row: &Outcome, name| match threads {
            1 => row.cost(name),
            _ => row.figure(name)?.parts().map(|[writer, _]| writer),
        };
        let figure = row.and_then(|row| ratio(cost(row, LEFT_RIGHT), cost(row, OURS)));
        let whose = if threads == 1 { "" } else { " (the writer)" };
        verdicts.push(at_least(format!("{goal}{whose}, against {LEFT_RIGHT}"), figure, 2.0));
    }
}

fn memory(results: &Results, verdicts: &mut Vec<Verdict>) {
    // As its table has them: logs and handles are no part of an entry.
    let round = |bytes: f64| (bytes * 10.0).round() / 10.0;
    let bytes = |kind: usize, name| Some(round(of(results.pair_memory.get(kind)?, name)?.grown));
    verdicts.push(at_most("bytes an entry of u64 → u64".into(), bytes(0, OURS), 68.0));
    let part = ratio(bytes(2, OURS), bytes(2, YARD));
    let goal = format!("bytes an entry of 1 KiB, against {YARD}'s");
    verdicts.push(at_most(goal, part, 0.6));
}

/// A row, and what to call it.
fn find(results: &Results, work: Paired, n: usize, many: usize) -> (String, Option<&Outcome>) {
    let at = At { work: Workload::Pair(work), n, threads: many };
    let goal = format!("{} at {}, {}", work.name(), short(n), threads(many));
    (goal, results.row(Suite::LeftRight, at))
}
