//! One run, and the shrinking of a failed one.

use super::coverage::Coverage;
use super::faults::{Plan, Scenario, plan};
use super::random::Random;
use super::world::{MOST_CLIENTS, World, nodes_of};
use crate::cluster::clock::manual;

/// The outcome of a run.
pub(super) struct Run {
    pub(super) violation: Option<String>,
    pub(super) coverage: Coverage,
    pub(super) trace: String,
}

fn plan_of(seed: u64, scenario: Scenario) -> Plan {
    let faults = plan(&mut Random::new(seed, 5), scenario, nodes_of(seed));
    Plan { faults, clients: MOST_CLIENTS, healed: scenario.healed() }
}

fn run(seed: u64, scenario: Scenario, plan: Plan, traced: bool) -> Run {
    let mut world = World::new(seed, scenario, plan, traced);
    world.run();
    manual::clear();
    Run { violation: world.violation, coverage: world.coverage, trace: world.trace }
}

pub(super) fn run_seed(seed: u64, scenario: Scenario) -> Run {
    run(seed, scenario, plan_of(seed, scenario), false)
}

pub(super) fn traced(seed: u64, scenario: Scenario) -> Run {
    run(seed, scenario, plan_of(seed, scenario), true)
}

/// The first words of a violation without numbers: a shrunk run must break the same rule.
fn kind_of(why: &str) -> String {
    why.chars().filter(|letter| letter.is_alphabetic()).take(24).collect()
}

/// Plans with less in them: without one fault, with fewer clients, or shorter.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let without = |at: usize| {
        let mut faults = plan.faults.clone();
        faults.remove(at);
        Plan { faults, ..plan.clone() }
    };
    let mut plans: Vec<_> = (0..plan.faults.len()).map(without).collect();
    if plan.clients > 1 {
        plans.push(Plan { clients: plan.clients - 1, ..plan.clone() });
    }
    let last = plan.faults.last().map_or(0, |fault| fault.at);
    let healed = (plan.healed * 3 / 4).max(last + 1);
    if healed < plan.healed {
        plans.push(Plan { healed, ..plan.clone() });
    }
    plans
}

/// Makes a failing run smaller for as long as it breaks the same rule. Returns the plan that is left, and its trace.
pub(super) fn shrink(seed: u64, scenario: Scenario) -> (Plan, String) {
    let breaks =
        |plan: &Plan| run(seed, scenario, plan.clone(), false).violation.map(|why| kind_of(&why));
    let mut plan = plan_of(seed, scenario);
    let wanted = breaks(&plan);
    while let Some(less) = smaller(&plan).into_iter().find(|less| breaks(less) == wanted) {
        plan = less;
    }
    let trace = run(seed, scenario, plan.clone(), true).trace;
    // The end of a long trace says most.
    let lines: Vec<_> = trace.lines().collect();
    let last = lines[lines.len().saturating_sub(400)..].join("\n");
    (plan, last)
}

#[test]
fn a_smaller_plan_has_less_of_something() {
    let plan = plan_of(7, Scenario::Wide);
    let plans = smaller(&plan);
    assert_eq!(plans.len(), plan.faults.len() + 2);
    for less in plans {
        let parts = |plan: &Plan| (plan.faults.len(), plan.clients, plan.healed);
        let (a, b) = (parts(&less), parts(&plan));
        assert!(a.0 <= b.0 && a.1 <= b.1 && a.2 <= b.2 && a != b, "{less:?}");
    }
}
