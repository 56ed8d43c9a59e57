//! Histories of long random schedules, with leaves of four entries and fences of four leaves. Loom's models explore one
//! operation at a time; here all of them run together.
//!
//! The scheduler does not simulate weak memory. Loom's models do.

use crate::facade::Unseen;
use crate::facade::atomic::Ordering;
use ::shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use ::shuttle::{Config, Runner, rand, thread};
use ordered_play::{Plan, Target, answer};
use plain::Plain;
use std::sync::Arc;
use support::check::{check, explain};
use support::ordered::{Call, KEYS, OrderedEvent};
use support::rng::Rng;

#[path = "../../../tests/support/ordered_play.rs"]
mod ordered_play;
#[path = "../../../tests/support/plain.rs"]
mod plain;
#[path = "../../../tests/support/mod.rs"]
mod support;

/// Counts calls and returns. The scheduler does not see it.
#[derive(Default)]
struct Clock(Unseen);

impl Clock {
    fn tick(&self) -> u64 {
        // relaxed: one thread runs at a time.
        self.0.fetch_add(1, Ordering::Relaxed) as u64
    }
}

const THREADS: u64 = 3;
const CALLS: u64 = 12;

fn work(
    map: &Plain<2>,
    plan: &Plan,
    rng: &mut Rng,
    clock: &Clock,
    first: u64,
) -> Vec<OrderedEvent> {
    let mut events = Vec::new();
    for n in 0..CALLS {
        let call = plan.call(rng, first + n, &[]);
        let called = clock.tick();
        let answer = answer(map, &call, rng.below(4)).expect("it has all operations");
        let returned = clock.tick();
        events.push(OrderedEvent { called, returned, call, answer });
        if rng.one_in(4) {
            map.rebalance();
        }
    }
    events
}

/// Plays one history: some keys to begin with, and three threads.
fn play() {
    let seed = rand::Rng::r#gen(&mut rand::thread_rng());
    let mut rng = Rng::new(seed);
    let plan = Arc::new(Plan::new(&mut rng));
    let (map, clock) = (Arc::new(Plain::<2>::default()), Arc::new(Clock::default()));
    let mut before = Vec::new();
    for key in (0..KEYS).filter(|_| rng.one_in(2)) {
        let (called, call) = (clock.tick(), Call::Insert(key, 1));
        let answer = answer(&*map, &call, 0).expect("as above");
        before.push(OrderedEvent { called, returned: clock.tick(), call, answer });
    }
    let workers: Vec<_> = (1..=THREADS)
        .map(|number| {
            let (map, plan, clock) = (map.clone(), plan.clone(), clock.clone());
            thread::spawn(move || {
                work(&map, &plan, &mut Rng::new(seed ^ number), &clock, number * 1_000)
            })
        })
        .collect();
    let mut logs: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    logs.push(before);
    if let Err(stuck) = check(&logs, [None; KEYS]) {
        panic!("seed {seed}: {}", explain(&logs, &stuck));
    }
}

fn explore(scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = ::shuttle::MaxSteps::FailAfter(10_000_000);
    Runner::new(scheduler, config).run(play);
}

#[test]
fn shuttle_histories_of_random_schedules() {
    explore(RandomScheduler::new_from_seed(support::seed(), support::effort(10_000_usize)));
}

/// Few switches at chosen points, which random schedules seldom have.
#[test]
fn shuttle_histories_of_few_switches() {
    explore(PctScheduler::new_from_seed(support::seed(), 3, support::effort(10_000_usize)));
}
