//! The goals for the map that compresses.

use super::{Results, Verdict, at_least, at_most, ratio};
use crate::cold::maps::{AllCold, Behind, Map, Moka, Ours, Plain, Quick, SomeHot};
use crate::cold::reads::Point;
use crate::cold::{HALF, Measurements};

/// The sets with their goals: the share of a plain map's memory, and the time of a look-up.
const SETS: [(&str, f64, Option<f64>); 3] =
    [("cities", 0.33, Some(400.0)), ("gloss", 0.45, None), ("emoji", 0.35, Some(500.0))];

/// Of sets that nobody tuned to "the same quality" is asked: that of the least of the others.
const OTHERS: f64 = 0.45;

/// Returns these goals with their figures; other sets only if they exist.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (name, memory, p50) in SETS {
        let set = results.cold.iter().find(|set| set.set == name);
        of_set(&mut verdicts, name, set, memory, p50);
    }
    for set in &results.cold {
        if !SETS.iter().any(|(name, ..)| *name == set.set) {
            of_set(&mut verdicts, &set.set, Some(set), OTHERS, None);
        }
    }
    verdicts
}

fn of_set(
    verdicts: &mut Vec<Verdict>,
    name: &str,
    set: Option<&Measurements>,
    memory: f64,
    p50: Option<f64>,
) {
    let mut most = |goal: &str, figure: Option<f64>, bound: f64| {
        verdicts.push(at_most(format!("{name}: {goal}"), figure, bound));
    };
    let ours = set.and_then(Measurements::coldest);
    most("memory at the least budget, of plain", ours.map(|point| point.memory), memory);
    let plain = set.and_then(|set| set.point(Plain::NAME, 1.0));
    if let Some(bound) = p50 {
        most("p50 of uniform look-ups there, ns", ours.map(|point| point.uniform.p50), bound);
    }
    let slower = ratio(ours.map(|point| point.uniform.p50), plain.map(|point| point.uniform.p50));
    most("the same, by plain's", slower, 3.5);
    let redis = set.and_then(|set| ratio(ours.map(|point| point.memory * set.plain), set.redis));
    most("memory at the least budget, of Redis's", redis, 0.4);
    let half = set.and_then(|set| set.point(Ours::NAME, HALF));
    let mean = |point: Option<&Point>| point.map(|point| point.zipf.mean);
    most("mean at half the memory (Zipf), by plain's", ratio(mean(half), mean(plain)), 2.0);
    let at = |kind: &str| format!("{name}: {kind}");
    let hits = half.map(|point| point.zipf.hits * 100.0);
    verdicts.push(at_least(at("hits at half the memory (Zipf), %"), hits, 80.0));
    for (rival, budget, bound) in [
        (Quick::NAME, HALF, 2.0),
        (Behind::NAME, HALF, 2.0),
        (Moka::NAME, HALF, 2.0),
        (AllCold::NAME, 1.0, 5.0),
        (SomeHot::NAME, 1.0, 5.0),
    ] {
        let theirs = set.and_then(|set| set.point(rival, budget));
        let goal = at(&format!("mean at half the memory (Zipf), against {rival}"));
        verdicts.push(at_least(goal, ratio(mean(theirs), mean(half)), bound));
    }
    let done = set.map(|set| set.deferred.done * 100.0);
    verdicts.push(at_least(at("changes at half the memory that have room, %"), done, 100.0));
    let goal = at("a change noted, against one made");
    let noted = set.and_then(|set| ratio(Some(set.deferred.updated), Some(set.deferred.noted)));
    verdicts.push(at_least(goal, noted, 10.0));
    let mut micros = |goal: &str, nanos: Option<f64>, bound: f64| {
        verdicts.push(at_most(at(goal), nanos.map(|ns| ns / 1e3), bound));
    };
    micros("a kibibyte compressed with a dictionary, µs", set.map(|set| set.codec.lz4), 1.0);
    micros("worst step of 4 KiB, µs", set.map(|set| set.steps.step.worst), 100.0);
    let worst = set.and_then(|set| {
        let ours = set.writes.iter().filter(|write| write.map == Ours::NAME);
        let worst = ours.map(|w| w.writes.insert.worst.max(w.writes.replace.worst));
        worst.reduce(f64::max)
    });
    micros("worst write, µs", worst, 100.0);
}
