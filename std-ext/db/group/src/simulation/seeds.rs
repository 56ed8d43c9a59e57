//! Many runs.

use super::coverage::{Coverage, Milestone, SEEDS};
use super::faults::Scenario;
use super::run::{run_seed, shrink};
use super::service::Service;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The seeds to run: those of `HEDGEROW_SEEDS`, or `default`.
pub fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HEDGEROW_SEEDS") else { return default };
    let range =
        text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.expect("HEDGEROW_SEEDS must be two numbers, such as 0..1000")
}

/// The seeds to run, as `seeds` says. By default the part of them that `HEDGEROW_TEST_EFFORT` wants.
pub fn some_seeds(default: Range<u64>) -> Range<u64> {
    seeds(default.start..default.start + rounds(default.end - default.start))
}

/// Runs seeds; fails with the shrunk trace of the first one that breaks a rule.
pub fn run_all<S: Service>(seeds: Range<u64>, scenario: Scenario) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in seeds {
        let run = run_seed::<S>(seed, scenario);
        coverage.add(&run.coverage);
        if let Some(why) = run.violation {
            let (plan, trace) = shrink::<S>(seed, scenario);
            panic!(
                "seed {seed} of {scenario:?}: {why}\n{trace}\nthe least that seed {seed} needs: {plan:#?}\n{why}"
            );
        }
    }
    coverage
}

/// Returns how often these seeds must meet each thing.
fn required_of(seeds: &Range<u64>, required: &[&[(Milestone, u64)]]) -> Vec<(Milestone, u64)> {
    let count = seeds.end - seeds.start;
    let part = |(met, least): (Milestone, u64)| (met, least * count / SEEDS);
    required.concat().into_iter().map(part).collect()
}

/// Runs seeds, and fails if they have not met the cases that their number must meet.
pub fn run_covered<S: Service>(
    seeds: Range<u64>,
    scenario: Scenario,
    required: &[&[(Milestone, u64)]],
) {
    let required = required_of(&seeds, required);
    let coverage = run_all::<S>(seeds, scenario);
    println!("{coverage:?}");
    let missing = coverage.missing(&required);
    assert!(missing.is_empty(), "the runs of {scenario:?} have met too seldom: {missing:?}");
}

/// Runs seeds to the last one, and prints the progress each minute. Returns the number of violations.
pub fn survey<S: Service>(
    seeds: Range<u64>,
    scenario: Scenario,
    required: &[&[(Milestone, u64)]],
) -> u64 {
    let (mut coverage, mut violations) = (Coverage::default(), 0);
    let mut told = Instant::now();
    for seed in seeds.clone() {
        let run = run_seed::<S>(seed, scenario);
        coverage.add(&run.coverage);
        if let Some(why) = run.violation {
            violations += 1;
            println!("{scenario:?} {seed}: {why}");
        }
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!("{scenario:?}: seeds up to {seed} of {seeds:?}, {violations} violations");
        }
    }
    let missing = coverage.missing(&required_of(&seeds, required));
    println!("{scenario:?}: seeds {seeds:?}, {violations} violations; met {:?}", coverage.0);
    println!("{scenario:?}: met too seldom {missing:?}");
    violations
}

/// Returns the part of some rounds that `HEDGEROW_TEST_EFFORT`, a factor up to 1, wants.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // Some thousands, and no fewer than none.
fn rounds(usual: u64) -> u64 {
    let factor = std::env::var("HEDGEROW_TEST_EFFORT").ok();
    let factor = factor.map_or(1.0, |text| text.parse::<f64>().expect("a factor, such as 0.3"));
    (usual as f64 * factor.min(1.0)) as u64
}
