//! One run, and the shrinking of a failed one.

use super::coverage::Coverage;
use super::faults::{Fault, Scenario, plan};
use super::random::Random;
use super::world::{World, nodes_of};

/// The outcome of a run.
pub(super) struct Run {
    pub(super) violation: Option<String>,
    pub(super) coverage: Coverage,
    pub(super) trace: String,
}

fn faults_of(seed: u64, scenario: Scenario) -> Vec<Fault> {
    plan(&mut Random::new(seed, 5), scenario, nodes_of(seed))
}

fn run(seed: u64, scenario: Scenario, faults: Vec<Fault>, traced: bool) -> Run {
    let mut world = World::new(seed, scenario, faults, traced);
    world.run();
    Run { violation: world.violation, coverage: world.coverage, trace: world.trace }
}

pub(super) fn run_seed(seed: u64, scenario: Scenario) -> Run {
    run(seed, scenario, faults_of(seed, scenario), false)
}

pub(super) fn traced(seed: u64, scenario: Scenario) -> Run {
    run(seed, scenario, faults_of(seed, scenario), true)
}

/// The first words of a violation without numbers: a shrunk run must break the same rule.
fn kind_of(why: &str) -> String {
    why.chars().filter(|letter| letter.is_alphabetic()).take(24).collect()
}

/// Drops faults one by one, as long as the run still fails. Returns the faults that are left, and their trace.
pub(super) fn shrink(seed: u64, scenario: Scenario) -> (Vec<Fault>, String) {
    let mut faults = faults_of(seed, scenario);
    let wanted = run(seed, scenario, faults.clone(), false).violation.map(|why| kind_of(&why));
    let mut at = 0;
    while at < faults.len() {
        let mut fewer = faults.clone();
        fewer.remove(at);
        let found = run(seed, scenario, fewer.clone(), false).violation.map(|why| kind_of(&why));
        if found.is_some() && found == wanted {
            faults = fewer;
            at = 0;
        } else {
            at += 1;
        }
    }
    let trace = run(seed, scenario, faults.clone(), true).trace;
    // The end of a long trace says most.
    let lines: Vec<_> = trace.lines().collect();
    let last = lines[lines.len().saturating_sub(400)..].join("\n");
    (faults, last)
}
