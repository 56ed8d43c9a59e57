//! A simulation of the whole group, by seed.
//!
//! The real [`Group`](super::Group) and the real bytes of batches run against a fake etcd, clocks, disks and links. A
//! seed determines a run: the requests of clients, how long everything takes, and all faults.
//!
//! | file | contents |
//! |---|---|
//! | `etcd`, `clock`, `disk`, `store` | the parts of the world that are not the group |
//! | `truth` | the committed entries; every transaction of etcd is checked here |
//! | `process`, `clients` | a start of a node's program, and the requests of clients |
//! | `check` | whether answers agree with the committed entries |
//! | `world`, `network`, `drive`, `workload` | the queue of all events, and the code that carries them out |
//! | `faults`, `run` | the faults; one run, and the shrinking of a failed one |
//! | `coverage` | the cases that the runs must meet |
//!
//! `HEDGEROW_SEEDS=A..B` chooses the seeds of the tests. A failed run prints its seed, the fewest faults that it needs,
//! and its trace.

mod check;
mod clients;
mod clock;
mod coverage;
mod disk;
mod drive;
mod etcd;
mod faults;
mod network;
mod process;
mod random;
mod run;
mod store;
mod truth;
mod workload;
mod world;

use coverage::Coverage;
use faults::Scenario;
use run::{run_seed, shrink};
use std::ops::Range;

/// Seeds that once broke a rule, beyond those that the tests run anyway.
const KEPT: &[(Scenario, &[u64])] = &[
    (Scenario::Faults, &[1469, 4749, 13_692]),
    (Scenario::LogReads, &[236, 5066]),
    (Scenario::Restore, &[2345, 4196, 5595, 9639]),
];

/// The seeds to run: those of `HEDGEROW_SEEDS`, or `default`.
fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HEDGEROW_SEEDS") else { return default };
    let range =
        text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.expect("HEDGEROW_SEEDS must be two numbers, such as 0..1000")
}

/// Runs seeds; fails with the shrunk trace of the first one that breaks a rule.
fn run_all(seeds: Range<u64>, scenario: Scenario) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in seeds {
        let run = run_seed(seed, scenario);
        coverage.add(&run.coverage);
        if let Some(why) = run.violation {
            let (faults, trace) = shrink(seed, scenario);
            panic!(
                "seed {seed} of {scenario:?}: {why}\n{trace}\nleast faults of seed {seed}: {faults:#?}\n{why}"
            );
        }
    }
    coverage
}

#[test]
fn nothing_acknowledged_is_lost() {
    let seeds = seeds(0..300);
    let enough = seeds.end - seeds.start >= 300;
    let coverage = run_all(seeds, Scenario::Faults);
    println!("{coverage:?}");
    let missing = coverage.missing();
    assert!(!enough || missing.is_empty(), "no run has met {missing:?}");
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
    assert!(!enough || coverage.0.contains_key(&coverage::Case::RestoreNoticed), "{coverage:?}");
}

/// Leases promise nothing to a machine whose clocks stop. A simulation that did not find that would find little else.
#[test]
fn stopped_clocks_make_lease_reads_old() {
    let violations = (0..400).filter_map(|seed| run_seed(seed, Scenario::StoppedClocks).violation);
    let mut allowed =
        violations.filter(|why| why.contains("both hold the lease") || why.contains("an old read"));
    assert!(allowed.next().is_some(), "no run has found a lease that a stopped clock keeps alive");
}

/// Lists all seeds that break a rule, and the cases that the runs have met.
///
/// Runs only if `HEDGEROW_SEEDS` chooses the seeds.
#[test]
fn survey() {
    if std::env::var_os("HEDGEROW_SEEDS").is_none() {
        return;
    }
    for scenario in [Scenario::Faults, Scenario::LogReads, Scenario::Restore] {
        let mut coverage = Coverage::default();
        for seed in seeds(0..1000) {
            let run = run_seed(seed, scenario);
            coverage.add(&run.coverage);
            if let Some(why) = run.violation {
                println!("{scenario:?} {seed}: {why}");
            }
        }
        println!("{scenario:?} met {:?}; missing {:?}", coverage.0, coverage.missing());
    }
}

/// A seed gives the same run each time.
#[test]
fn a_seed_repeats_its_run() {
    let trace = |seed| run::traced(seed, Scenario::Faults).trace;
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(5));
}
