//! A simulation of the whole group, by seed.
//!
//! The real [`Group`](super::Group) and the real bytes of batches run against a fake etcd, clocks, disks and links. A
//! seed determines a run: the requests of clients, how long everything takes, and all faults.
//!
//! Runs of [`Scenario::Whole`] also have the real state of each node: shards, roles, expirations, and the log that
//! decides when an answer leaves. A map that applies the same entries says what the state must contain.
//!
//! | file | contents |
//! |---|---|
//! | `etcd`, `clock`, `disk`, `store` | the parts of the world that are not the group |
//! | `truth` | the committed entries; every transaction of etcd is checked here |
//! | `process`, `clients` | a start of a node's program, and the requests of clients |
//! | `database` | the real state of a process |
//! | `check` | whether answers agree with the committed entries |
//! | `world`, `network`, `drive`, `workload` | the queue of all events, and the code that carries them out |
//! | `faults`, `run` | the faults; one run, and the shrinking of a failed one |
//! | `coverage` | the cases that the runs must meet, and how often |
//! | `kept` | seeds that once failed |
//!
//! `HEDGEROW_SEEDS=A..B` chooses the seeds of the tests. A failed run prints its seed, the fewest faults that it needs,
//! and its trace. Then its seed goes to `kept`.

mod check;
mod clients;
mod clock;
mod coverage;
mod database;
mod disk;
mod drive;
mod etcd;
mod faults;
mod kept;
mod network;
mod process;
mod random;
mod run;
mod store;
mod truth;
mod workload;
mod world;

pub(in crate::cluster) use database::local_log;
pub(in crate::cluster) use random::Random;

use crate::effort::rounds;
use coverage::{ALWAYS, CORE, Case, Coverage, Milestone, WHOLE, WIDE};
use faults::Scenario;
use kept::KEPT;
use run::{run_seed, shrink};
use std::ops::Range;
use std::time::{Duration, Instant};

/// The seeds to run: those of `HEDGEROW_SEEDS`, or `default`.
pub(in crate::cluster) fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HEDGEROW_SEEDS") else { return default };
    let range =
        text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.expect("HEDGEROW_SEEDS must be two numbers, such as 0..1000")
}

/// The seeds to run, as `seeds` says. By default the part of them that `HEDGEROW_TEST_EFFORT` wants.
fn some_seeds(default: Range<u64>) -> Range<u64> {
    seeds(default.start..default.start + rounds(default.end - default.start, 0))
}

/// Runs seeds; fails with the shrunk trace of the first one that breaks a rule.
fn run_all(seeds: Range<u64>, scenario: Scenario) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in seeds {
        let run = run_seed(seed, scenario);
        coverage.add(&run.coverage);
        if let Some(why) = run.violation {
            let (plan, trace) = shrink(seed, scenario);
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
    let part = |(met, least): (Milestone, u64)| (met, least * count / coverage::SEEDS);
    required.concat().into_iter().map(part).collect()
}

/// Runs seeds, and fails if they have not met the cases that their number must meet.
fn run_covered(seeds: Range<u64>, scenario: Scenario, required: &[&[(Milestone, u64)]]) {
    let required = required_of(&seeds, required);
    let coverage = run_all(seeds, scenario);
    println!("{coverage:?}");
    let missing = coverage.missing(&required);
    assert!(missing.is_empty(), "the runs of {scenario:?} have met too seldom: {missing:?}");
}

#[test]
fn nothing_acknowledged_is_lost() {
    run_covered(seeds(0..300), Scenario::Faults, &[ALWAYS, CORE]);
}

#[test]
fn further_faults_lose_nothing() {
    run_covered(some_seeds(0..300), Scenario::Wide, &[ALWAYS, CORE, WIDE]);
}

/// The whole state. Two tests have a half each, so that two processors share the work.
#[test]
fn the_state_is_what_the_log_says() {
    run_covered(some_seeds(0..500), Scenario::Whole, &[ALWAYS, WIDE, WHOLE]);
}

#[test]
fn the_state_is_what_the_log_says_for_further_seeds() {
    run_covered(some_seeds(500..1000), Scenario::Whole, &[ALWAYS, WIDE, WHOLE]);
}

#[test]
fn reads_without_leases_survive_clocks_that_stop() {
    run_all(seeds(0..60), Scenario::LogReads);
}

#[test]
fn seeds_that_once_failed_pass() {
    for (scenario, seeds) in KEPT {
        for seed in *seeds {
            run_all(*seed..seed + 1, *scenario);
        }
    }
}

#[test]
fn a_restored_etcd_is_noticed() {
    let seeds = seeds(0..60);
    let enough = seeds.end - seeds.start >= 60;
    let coverage = run_all(seeds, Scenario::Restore);
    let missing = coverage.missing(&[(Milestone::Case(Case::RestoreNoticed), 10)]);
    assert!(!enough || missing.is_empty(), "{coverage:?}");
}

#[test]
fn nobody_writes_over_entries_that_a_restored_etcd_lacks() {
    let seeds = some_seeds(0..300);
    let enough = seeds.end - seeds.start >= 60;
    let coverage = run_all(seeds, Scenario::Lagging);
    let required = [(Case::Halted, 20), (Case::RestoreNoticed, 20)];
    let missing = coverage.missing(&required.map(|(case, least)| (Milestone::Case(case), least)));
    assert!(!enough || missing.is_empty(), "{missing:?}: {coverage:?}");
}

#[test]
fn a_primary_that_was_killed_takes_its_group_back() {
    let seeds = some_seeds(0..150);
    let enough = seeds.end - seeds.start >= 60;
    let coverage = run_all(seeds, Scenario::Restarts);
    let required =
        [(Case::TakenBack, 100), (Case::LateTransactionOfTheDead, 20), (Case::Twins, 60)];
    let missing = coverage.missing(&required.map(|(case, least)| (Milestone::Case(case), least)));
    assert!(!enough || missing.is_empty(), "{missing:?}: {coverage:?}");
}

#[test]
fn a_lost_etcd_is_filled_again_from_the_folders() {
    let seeds = some_seeds(0..300);
    let enough = seeds.end - seeds.start >= 90;
    let coverage = run_all(seeds, Scenario::Adopt);
    let required = [(Case::Adopted, 30), (Case::AdoptedWithLoss, 10), (Case::RestoreNoticed, 1)];
    let missing = coverage.missing(&required.map(|(case, least)| (Milestone::Case(case), least)));
    assert!(!enough || missing.is_empty(), "{missing:?}: {coverage:?}");
}

/// Leases promise nothing to a machine whose clocks stop. A simulation that did not find that would find little else.
#[test]
fn stopped_clocks_make_lease_reads_old() {
    let violations = (0..400).filter_map(|seed| run_seed(seed, Scenario::StoppedClocks).violation);
    let mut allowed =
        violations.filter(|why| why.contains("both hold the lease") || why.contains("an old read"));
    assert!(allowed.next().is_some(), "no run has found a lease that a stopped clock keeps alive");
}

/// Plays many seeds of each scenario, and lists those that break a rule.
///
/// ```text
/// HEDGEROW_SEEDS=0..1000000 cargo test --release -p hedgerow-db --features cluster --lib many_seeds -- --nocapture
/// ```
/// `HEDGEROW_SCENARIO=Wide` chooses one scenario. Without `HEDGEROW_SEEDS`, the test does nothing.
#[test]
fn many_seeds() {
    if std::env::var_os("HEDGEROW_SEEDS").is_none() {
        return;
    }
    let all = [
        (Scenario::Faults, &[ALWAYS, CORE][..]),
        (Scenario::Wide, &[ALWAYS, CORE, WIDE][..]),
        (Scenario::Whole, &[ALWAYS, WIDE, WHOLE][..]),
        (Scenario::LogReads, &[][..]),
        (Scenario::Restore, &[][..]),
        (Scenario::Lagging, &[][..]),
        (Scenario::Adopt, &[][..]),
        (Scenario::Restarts, &[][..]),
    ];
    let wanted = std::env::var("HEDGEROW_SCENARIO").ok();
    let mut violations = 0;
    for (scenario, required) in all {
        if wanted.as_ref().is_none_or(|wanted| *wanted == format!("{scenario:?}")) {
            violations += survey(seeds(0..1000), scenario, required);
        }
    }
    assert_eq!(violations, 0, "seeds that break a rule");
}

/// Runs seeds to the last one, and prints the progress each minute. Returns the number of violations.
fn survey(seeds: Range<u64>, scenario: Scenario, required: &[&[(Milestone, u64)]]) -> u64 {
    let (mut coverage, mut violations) = (Coverage::default(), 0);
    let mut told = Instant::now();
    for seed in seeds.clone() {
        let run = run_seed(seed, scenario);
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

/// A seed gives the same run each time.
#[test]
fn a_seed_repeats_its_run() {
    let trace = |seed| run::traced(seed, Scenario::Faults).trace;
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(5));
    let whole = |seed| run::traced(seed, Scenario::Whole).trace;
    assert_eq!(whole(3), whole(3));
}
