//! Plays random plans of concurrent operations on an ordered map, and records and checks the history of all keys.

use super::support::Stop;
use super::support::check::{check, explain};
use super::support::history::Value;
use super::support::ordered::{Answer, Call, KEYS, Near, OrderedEvent};
use super::support::rng::Rng;
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// The keys of the fillers are between the keys of two numbers.
pub(crate) const STEP: u64 = 1 << 33;
/// Fillers between two keys, so that a handful of keys has leaves of its own.
const FILLERS: u64 = 12;

/// The operations under test, over plain keys and values. They return `None` if the map lacks the operation.
pub(crate) trait Target: Sync {
    fn get(&self, key: u64, way: usize) -> Option<Value>;
    fn insert(&self, key: u64, value: Value) -> Option<Value>;
    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value>;
    fn remove(&self, key: u64) -> Option<Value>;
    /// Inserts or removes the key, and returns its old value.
    fn toggle(&self, key: u64, value: Value) -> Option<Value>;
    fn compare_exchange(&self, key: u64, from: Value, to: Value) -> Option<Value>;
    fn near(&self, near: Near, key: u64) -> Option<(u64, Value)>;
    /// In any order.
    fn range(&self, from: u64, to: u64, way: usize) -> Vec<(u64, Value)>;
    fn remove_range(&self, from: u64, to: u64) -> usize;
    fn batch(&self, changes: &[(u64, Option<Value>)]) -> Option<Vec<Option<Value>>>;
    fn snapshot(&self, keys: &[u64]) -> Option<Vec<Option<Value>>>;
    fn rebalance(&self);
    /// Changes keys, each at most once, in a version that may be old, and commits it.
    fn commit(&self, _changes: &[(u64, Option<Value>)]) -> Option<Committed> {
        None
    }
}

/// What a commit has found.
pub(crate) struct Committed {
    /// The values that the keys had in the version that was changed.
    pub(crate) from: Vec<Option<Value>>,
    /// The keys that others had changed since, with their values.
    pub(crate) conflicts: Vec<(u64, Option<Value>)>,
}

/// One round: the number of threads, and the number of operations of each.
pub(crate) struct Plan {
    threads: usize,
    operations: usize,
    /// Whether other keys come and go in between. Operations that would see them are then left out.
    fillers: bool,
    weights: [usize; 11],
    /// The weight of commits, which most maps lack.
    pub(crate) commits: usize,
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut weights = [0; 11];
        for weight in &mut weights {
            *weight = [0, 1, 4, 16][rng.below(4)];
        }
        // Every plan writes, and reads ranges.
        weights[1] = weights[1].max(4);
        weights[7] = weights[7].max(4);
        let fillers = rng.one_in(2);
        if fillers {
            (weights[6], weights[8]) = (0, 0);
        }
        Self {
            threads: 2 + rng.below(3),
            operations: 20 + rng.below(100),
            fillers,
            weights,
            commits: 0,
        }
    }

    pub(crate) fn call(&self, rng: &mut Rng, new: Value, seen: &[Value]) -> Call {
        let weights = || self.weights.iter().chain([&self.commits]);
        let mut left = rng.below(weights().sum());
        let kind = weights().position(|&weight| {
            let is_it = left < weight;
            left = left.wrapping_sub(weight);
            is_it
        });
        let key = rng.below(KEYS);
        let to = key + rng.below(KEYS - key);
        match kind.expect("the weights add up") {
            0 => Call::Get(key),
            1 => Call::Insert(key, new),
            2 => Call::InsertIfAbsent(key, new),
            3 => Call::Remove(key),
            4 => Call::Toggle(key, new),
            5 => Call::CompareExchange(key, seen.get(key).copied().unwrap_or(0), new),
            6 => Call::Near(*rng.pick(&Near::ALL), key),
            7 => Call::Range(key, to),
            8 => Call::RemoveRange(key, to),
            9 => {
                let some = 1 + rng.below(4);
                let change = |n| (rng.below(KEYS), (!rng.one_in(3)).then_some(new + (n << 48)));
                Call::Batch((0..some as u64).map(change).collect())
            }
            10 => {
                let some = 1 + rng.below(4);
                Call::Snapshot((0..some).map(|_| rng.below(KEYS)).collect())
            }
            _ => {
                let some = 1 + rng.below(4);
                let changes: BTreeMap<_, _> = (0..some as u64)
                    .map(|n| (rng.below(KEYS), (!rng.one_in(3)).then_some(new + (n << 48))))
                    .collect();
                Call::Commit(changes.into_iter().map(|(key, to)| (key, None, to)).collect())
            }
        }
    }
}

fn key_of(number: usize) -> u64 {
    (number as u64 + 1) * STEP
}

/// The number of a key that is no filler.
fn number_of(key: u64) -> Option<usize> {
    key.is_multiple_of(STEP).then(|| (key / STEP - 1) as usize)
}

/// Runs the call; returns `None` if the map lacks the operation.
pub(crate) fn answer(map: &impl Target, call: &Call, way: usize) -> Option<Answer> {
    let one = |key: usize, found: Option<Value>| vec![found.map(|value| (key, value))];
    let numbered = |(key, value)| number_of(key).map(|number| (number, value));
    Some(match call {
        &Call::Get(key) => one(key, map.get(key_of(key), way)),
        &Call::Insert(key, value) => one(key, map.insert(key_of(key), value)),
        &Call::InsertIfAbsent(key, value) => one(key, map.insert_if_absent(key_of(key), value)),
        &Call::Remove(key) => one(key, map.remove(key_of(key))),
        &Call::Toggle(key, value) => one(key, map.toggle(key_of(key), value)),
        &Call::CompareExchange(key, from, to) => {
            one(key, map.compare_exchange(key_of(key), from, to))
        }
        &Call::Near(near, key) => vec![map.near(near, key_of(key)).and_then(numbered)],
        &Call::Range(from, to) => {
            let all = map.range(key_of(from), key_of(to), way);
            let mut all: Answer = all.into_iter().filter_map(numbered).map(Some).collect();
            all.sort_unstable();
            all
        }
        &Call::RemoveRange(from, to) => {
            vec![Some((map.remove_range(key_of(from), key_of(to)), 0))]
        }
        Call::Batch(changes) => {
            let asked: Vec<_> = changes.iter().map(|&(key, value)| (key_of(key), value)).collect();
            let before = map.batch(&asked)?;
            changes.iter().zip(before).flat_map(|(&(key, _), had)| one(key, had)).collect()
        }
        Call::Snapshot(keys) => {
            let asked: Vec<_> = keys.iter().map(|&key| key_of(key)).collect();
            let found = map.snapshot(&asked)?;
            keys.iter().zip(found).flat_map(|(&key, found)| one(key, found)).collect()
        }
        Call::Commit(_) => return None,
    })
}

/// Commits, and notes from which values. Keys that have no value before and after are not part of the commit.
fn commit(map: &impl Target, call: &mut Call) -> Option<Answer> {
    let Call::Commit(changes) = call else { return None };
    let asked: Vec<_> = changes.iter().map(|&(key, _, to)| (key_of(key), to)).collect();
    let Committed { from, conflicts } = map.commit(&asked)?;
    changes.iter_mut().zip(from).for_each(|(change, from)| change.1 = from);
    changes.retain(|(_, from, to)| from != to);
    let numbered = |(key, value): (u64, Option<Value>)| Some((number_of(key)?, value.unwrap_or(0)));
    Some(conflicts.into_iter().map(numbered).collect())
}

/// One thread's part of a history.
struct Log<'a> {
    clock: &'a AtomicU64,
    events: Vec<OrderedEvent>,
}

impl Log<'_> {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn record(&mut self, map: &impl Target, mut call: Call, way: usize) {
        let called = self.now();
        let answer = match call {
            Call::Commit(_) => commit(map, &mut call),
            _ => answer(map, &call, way),
        };
        let Some(answer) = answer else { return };
        let returned = self.now();
        self.events.push(OrderedEvent { called, returned, call, answer });
    }
}

/// Inserts and removes fillers, and balances fences, until the other threads are done.
fn churn(map: &impl Target, fillers: bool, rng: &mut Rng, is_done: impl Fn() -> bool) {
    while !is_done() {
        if fillers {
            let gap = rng.below(KEYS) as u64 * STEP;
            let comes = rng.one_in(2);
            for n in 1..=FILLERS {
                if comes {
                    map.insert(gap + n * (STEP / 64), 0);
                } else {
                    map.remove(gap + n * (STEP / 64));
                }
            }
        }
        map.rebalance();
        thread::yield_now();
    }
}

/// Plays the plan and checks the history of the whole map.
pub(crate) fn play(map: &impl Target, plan: &Plan, seed: u64) -> Result<(), String> {
    let clock = AtomicU64::new(0);
    let mut rng = Rng::new(seed);
    let mut first = Log { clock: &clock, events: Vec::new() };
    for key in 0..KEYS {
        if rng.one_in(2) {
            first.record(map, Call::Insert(key, 1 + key as Value), 0);
        }
    }
    let begin = Barrier::new(plan.threads);
    let done = AtomicBool::new(false);
    let mut logs: Vec<Vec<OrderedEvent>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads as u64)
            .map(|thread| {
                let (begin, clock) = (&begin, &clock);
                scope.spawn(move || work(map, plan, thread, seed, clock, begin))
            })
            .collect();
        let stop = Stop(&done);
        let churner =
            scope.spawn(|| churn(map, plan.fillers, &mut rng, || done.load(Ordering::Acquire)));
        let logs = workers.into_iter().map(|worker| worker.join().expect("a worker panicked"));
        let logs = logs.collect();
        drop(stop);
        churner.join().expect("the churner panicked");
        logs
    });
    first.record(map, Call::Range(0, KEYS - 1), 0);
    logs.push(first.events);
    check(&logs, [None; KEYS]).map_err(|stuck| format!("seed {seed}: {}", explain(&logs, &stuck)))
}

fn work(
    map: &impl Target,
    plan: &Plan,
    thread: u64,
    seed: u64,
    clock: &AtomicU64,
    begin: &Barrier,
) -> Vec<OrderedEvent> {
    let mut rng = Rng::new(seed ^ (thread + 1) << 32);
    let mut log = Log { clock, events: Vec::new() };
    let mut seen = BTreeMap::new();
    begin.wait();
    for n in 0..plan.operations as u64 {
        let new = (thread + 1) * 1_000_000 + n;
        let known: Vec<Value> = (0..KEYS).map(|key| *seen.get(&key).unwrap_or(&0)).collect();
        log.record(map, plan.call(&mut rng, new, &known), rng.below(4));
        let found = log.events.last().into_iter().flat_map(|event| &event.answer);
        seen.extend(found.copied().flatten().filter(|(key, _)| *key < KEYS));
        if rng.one_in(16) {
            thread::yield_now();
        }
    }
    log.events
}
