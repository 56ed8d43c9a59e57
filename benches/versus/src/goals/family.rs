//! The goals for the second stage: batches, owned data, and being the best.

use super::{At, K1, K64, M1, M16, Results, Verdict, at_least, at_most, of, ratio, threads};
use crate::ancestor::{self, Trial};
use crate::contest::Outcome;
use crate::options::short;
use crate::rivals::{Bench, Dash, Flat, Papaya, Singly, Yard};
use crate::work::Suite::{Batches, Strings, Words};
use crate::work::Workload::{
    self, GetHit, GetMany, GetMiss, Insert, InsertMany, Iterate, Mix, Remove, RemoveMany, Upsert,
};

/// The maps that ours must beat.
#[derive(Clone, Copy)]
enum Rival {
    Named(&'static str),
    /// Of all peers, the fastest in that row.
    Best,
}

impl Rival {
    fn cost(self, row: &Outcome) -> Option<f64> {
        match self {
            Self::Named(name) => row.cost(name),
            Self::Best => row.best_peer().map(|(_, cost)| cost),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Named(name) => name,
            Self::Best => "the best peer",
        }
    }
}

const YARD: Rival = Rival::Named(Yard::<u64, u64>::NAME);
const SINGLY: Rival = Rival::Named(Singly::NAME);
const PAPAYA: Rival = Rival::Named(Papaya::<u64, u64>::NAME);
const DASH: Rival = Rival::Named(Dash::<u64, u64>::NAME);

/// How many times a rival's speed ours must have, in which work, with how many
/// threads, at which sizes.
type Speed = (Workload, usize, Rival, &'static [(usize, f64)]);

/// The same bound at all the usual sizes.
macro_rules! all {
    ($bound:literal) => {
        &[(K1, $bound), (K64, $bound), (M1, $bound)]
    };
}

const SPEEDS: [Speed; 12] = [
    (GetHit, 1, YARD, &[(K1, 0.55), (K64, 0.75), (M1, 0.75), (M16, 0.95)]),
    (GetMiss, 1, YARD, &[(K1, 0.6), (K64, 0.9), (M1, 0.35), (M16, 0.6)]),
    (GetHit, 2, Rival::Best, &[(K1, 1.3), (K64, 1.3), (M1, 1.3), (M16, 1.3)]),
    (GetMiss, 2, Rival::Best, &[(K1, 1.3), (K64, 1.3), (M1, 1.3), (M16, 1.3)]),
    (Upsert, 2, Rival::Best, &[(K1, 1.3), (K64, 1.3), (M1, 1.3), (M16, 1.3)]),
    (Mix(90), 2, Rival::Best, all!(1.3)),
    (Mix(70), 2, Rival::Best, all!(1.3)),
    (Mix(50), 2, Rival::Best, all!(1.3)),
    (Insert, 2, Rival::Best, all!(1.0)),
    (Remove, 2, Rival::Best, all!(1.2)),
    (GetHit, 2, PAPAYA, &[(K1, 1.3), (K64, 1.3)]),
    (GetHit, 2, DASH, &[(K1, 4.0), (K64, 4.0)]),
];

const BATCHES: [Speed; 4] = [
    (GetMany(16), 1, YARD, &[(K64, 0.7), (M1, 1.2), (M16, 1.5)]),
    (GetMany(16), 1, Rival::Best, &[(M16, 3.0)]),
    (InsertMany(16), 1, SINGLY, &[(M16, 1.8)]),
    (RemoveMany(16), 1, SINGLY, &[(M16, 1.8)]),
];

/// As tables will call ours for text.
const ENTRIES: &str = "HashMap";
const TEXTS: &str = "BytesMap";

/// The same for text at 1 M, with two threads, ours by name.
const TEXT_SPEEDS: [(&str, Workload, Rival, f64); 11] = [
    (ENTRIES, GetHit, Rival::Best, 1.0),
    (ENTRIES, GetMiss, Rival::Best, 0.8),
    (ENTRIES, Mix(90), Rival::Best, 1.1),
    (ENTRIES, Upsert, Rival::Best, 0.9),
    (ENTRIES, GetHit, PAPAYA, 1.0),
    (ENTRIES, GetMiss, PAPAYA, 1.0),
    (ENTRIES, Mix(90), PAPAYA, 1.0),
    (ENTRIES, Upsert, PAPAYA, 2.0),
    (TEXTS, GetHit, Rival::Best, 1.2),
    (TEXTS, Mix(90), Rival::Best, 1.5),
    (TEXTS, Upsert, Rival::Best, 1.3),
];

/// Returns these goals with their figures.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let flat = Flat::<u64>::NAME;
    let suites = [(Words, &SPEEDS[..]), (Batches, &BATCHES[..])];
    for (suite, speeds) in suites {
        for &(work, many, rival, bounds) in speeds {
            for &(n, bound) in bounds {
                let at = At { work, n, threads: many };
                let row = results.row(suite, at);
                let figure = row.and_then(|row| ratio(rival.cost(row), row.cost(flat)));
                let goal = format!("{}, against {}", place(at), rival.name());
                verdicts.push(at_least(goal, figure, bound));
            }
        }
    }
    text(results, &mut verdicts);
    ancestor(results, &mut verdicts);
    let worst = of(&results.worst, flat).map(|pauses| pauses.worst / 1e3);
    verdicts.push(at_most("worst insert, 0 to 4 M, in µs".into(), worst, 300.0));
    let worst = of(&results.worst_of_two, flat).map(|pauses| pauses.worst / 1e3);
    verdicts.push(at_most("the same, two threads, in µs".into(), worst, 300.0));
    let bytes = of(&results.memory, flat).map(|b| b.grown);
    verdicts.push(at_most("bytes an entry at 1 M".into(), bytes, 30.0));
    verdicts
}

fn text(results: &Results, verdicts: &mut Vec<Verdict>) {
    for (ours, work, rival, bound) in TEXT_SPEEDS {
        let at = At { work, n: M1, threads: 2 };
        let row = results.row(Strings, at);
        let figure = row.and_then(|row| ratio(rival.cost(row), row.cost(ours)));
        let goal = format!("{ours}, {}, against {}", place(at), rival.name());
        verdicts.push(at_least(goal, figure, bound));
    }
    for ours in [ENTRIES, TEXTS] {
        let row = |work| results.row(Strings, At { work, n: M1, threads: 1 });
        let batch = ratio(
            row(GetHit).and_then(|row| row.cost(ours)),
            row(GetMany(16)).and_then(|row| row.cost(ours)),
        );
        let goal = format!("{ours}, batches of 16 at 1 M against single gets");
        verdicts.push(at_least(goal, batch, 2.0));
        let walk = row(Iterate).and_then(|row| ratio(Rival::Best.cost(row), row.cost(ours)));
        let goal = format!("{ours}, iterate at 1 M, one thread, against the best peer");
        verdicts.push(at_least(goal, walk, 1.0));
    }
    let bytes = of(&results.text_memory, TEXTS).map(|b| b.grown);
    verdicts.push(at_most(format!("{TEXTS}, bytes an entry at 1 M"), bytes, 135.0));
}

/// To be the best of all in each of its benchmarks, and better than it was.
fn ancestor(results: &Results, verdicts: &mut Vec<Verdict>) {
    let cost = |trial, name| ancestor::cost(&results.ancestor, trial, name);
    for trial in Trial::ALL {
        let ours = cost(trial, Flat::<u64>::NAME);
        let mut against = |whom: &str, theirs, bound: f64| {
            let goal = format!("the ancestor's {}, against {whom}", trial.name());
            // The bound as its table has it, to two places.
            let bound = (bound * 100.0).round() / 100.0;
            verdicts.push(at_least(goal, ratio(theirs, ours), bound));
        };
        let (own, std, dash) = trial.published();
        against("the best peer", ancestor::best_peer(&results.ancestor, trial), 1.0);
        against("dashmap", cost(trial, Dash::<u64, u64>::NAME), dash / own);
        if let Some(std) = std {
            against("hashbrown", cost(trial, Yard::<u64, u64>::NAME), std / own);
        }
    }
}

fn place(At { work, n, threads: many }: At) -> String {
    format!("{} at {}, {}", work.name(), short(n), threads(many))
}
