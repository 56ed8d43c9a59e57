//! One run, and the shrinking of a failed one.

use super::coverage::Coverage;
use super::faults::{Plan, Scenario, plan};
use super::random::Random;
use super::service::{Program, Service};
use super::world::{MOST_CLIENTS, World, nodes_of};

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The rule that it broke, if it broke one.
    pub violation: Option<String>,
    /// What it has met.
    pub coverage: Coverage,
    /// What happened, one event a line. Empty unless the run was [`traced`].
    pub trace: String,
}

fn plan_of(seed: u64, scenario: Scenario) -> Plan {
    let faults = plan(&mut Random::new(seed, 5), scenario, nodes_of(seed));
    Plan { faults, clients: MOST_CLIENTS, healed: scenario.healed() }
}

fn run<S: Service>(seed: u64, scenario: Scenario, plan: Plan, traced: bool) -> Run {
    let mut world = World::<S>::new(seed, scenario, plan, traced);
    world.run();
    S::Program::end_run();
    Run { violation: world.violation, coverage: world.coverage, trace: world.trace }
}

/// Plays a seed.
pub fn run_seed<S: Service>(seed: u64, scenario: Scenario) -> Run {
    run::<S>(seed, scenario, plan_of(seed, scenario), false)
}

/// Plays a seed, and writes down what happens.
pub fn traced<S: Service>(seed: u64, scenario: Scenario) -> Run {
    run::<S>(seed, scenario, plan_of(seed, scenario), true)
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
pub(super) fn shrink<S: Service>(seed: u64, scenario: Scenario) -> (Plan, String) {
    let breaks = |plan: &Plan| {
        run::<S>(seed, scenario, plan.clone(), false).violation.map(|why| kind_of(&why))
    };
    let mut plan = plan_of(seed, scenario);
    let wanted = breaks(&plan);
    while let Some(less) = smaller(&plan).into_iter().find(|less| breaks(less) == wanted) {
        plan = less;
    }
    let trace = run::<S>(seed, scenario, plan.clone(), true).trace;
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
