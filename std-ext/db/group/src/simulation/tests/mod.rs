//! The runs of the group with [`PlainKeys`].

mod kept;

use super::keys::PlainKeys;
use super::*;
use kept::KEPT;

#[test]
fn nothing_acknowledged_is_lost() {
    run_covered::<PlainKeys>(seeds(0..300), Scenario::Faults, &[ALWAYS, CORE]);
}

#[test]
fn further_faults_lose_nothing() {
    run_covered::<PlainKeys>(some_seeds(0..300), Scenario::Wide, &[ALWAYS, CORE, WIDE]);
}

#[test]
fn reads_without_leases_survive_clocks_that_stop() {
    run_all::<PlainKeys>(seeds(0..60), Scenario::LogReads);
}

#[test]
fn seeds_that_once_failed_pass() {
    for (scenario, seeds) in KEPT {
        for seed in *seeds {
            run_all::<PlainKeys>(*seed..seed + 1, *scenario);
        }
    }
}

#[test]
fn a_restored_etcd_is_noticed() {
    let seeds = seeds(0..60);
    let enough = seeds.end - seeds.start >= 60;
    let coverage = run_all::<PlainKeys>(seeds, Scenario::Restore);
    let missing = coverage.missing(&[(Milestone::Case(Case::RestoreNoticed), 10)]);
    assert!(!enough || missing.is_empty(), "{coverage:?}");
}

#[test]
fn nobody_writes_over_entries_that_a_restored_etcd_lacks() {
    let seeds = some_seeds(0..300);
    let enough = seeds.end - seeds.start >= 60;
    let coverage = run_all::<PlainKeys>(seeds, Scenario::Lagging);
    let required = [(Case::Halted, 20), (Case::RestoreNoticed, 20)];
    let missing = coverage.missing(&required.map(|(case, least)| (Milestone::Case(case), least)));
    assert!(!enough || missing.is_empty(), "{missing:?}: {coverage:?}");
}

#[test]
fn a_primary_that_was_killed_takes_its_group_back() {
    let seeds = some_seeds(0..150);
    let enough = seeds.end - seeds.start >= 60;
    let coverage = run_all::<PlainKeys>(seeds, Scenario::Restarts);
    let required =
        [(Case::TakenBack, 100), (Case::LateTransactionOfTheDead, 20), (Case::Twins, 60)];
    let missing = coverage.missing(&required.map(|(case, least)| (Milestone::Case(case), least)));
    assert!(!enough || missing.is_empty(), "{missing:?}: {coverage:?}");
}

#[test]
fn a_lost_etcd_is_filled_again_from_the_folders() {
    let seeds = some_seeds(0..300);
    let enough = seeds.end - seeds.start >= 90;
    let coverage = run_all::<PlainKeys>(seeds, Scenario::Adopt);
    let required = [(Case::Adopted, 30), (Case::AdoptedWithLoss, 10), (Case::RestoreNoticed, 1)];
    let missing = coverage.missing(&required.map(|(case, least)| (Milestone::Case(case), least)));
    assert!(!enough || missing.is_empty(), "{missing:?}: {coverage:?}");
}

/// Leases promise nothing to a machine whose clocks stop. A simulation that did not find that would find little else.
#[test]
fn stopped_clocks_make_lease_reads_old() {
    let violations =
        (0..400).filter_map(|seed| run_seed::<PlainKeys>(seed, Scenario::StoppedClocks).violation);
    let mut allowed =
        violations.filter(|why| why.contains("both hold the lease") || why.contains("an old read"));
    assert!(allowed.next().is_some(), "no run has found a lease that a stopped clock keeps alive");
}

/// Plays many seeds of each scenario, and lists those that break a rule.
///
/// ```text
/// HEDGEROW_SEEDS=0..1000000 cargo test --release -p hedgerow-db-group --all-features many_seeds -- --nocapture
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
            violations += survey::<PlainKeys>(seeds(0..1000), scenario, required);
        }
    }
    assert_eq!(violations, 0, "seeds that break a rule");
}

/// A seed gives the same run each time.
#[test]
fn a_seed_repeats_its_run() {
    let trace = |seed| traced::<PlainKeys>(seed, Scenario::Faults).trace;
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(5));
}
