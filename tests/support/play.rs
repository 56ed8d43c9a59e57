//! Plays random plans of concurrent operations on a map, and records and checks the history of each key.

use crate::support::check::{check, explain};
use crate::support::hashers::{self, Mapped};
use crate::support::history::{Answer, Call, Log, Rule, Value, of_key};
use crate::support::ignore;
use crate::support::rng::Rng;
use hedgerow::error::Busy;
use hedgerow::flat::Op;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// The value that an operation found, or [`Busy`] if it did nothing.
pub(crate) type Maybe = Result<Option<Value>, Busy>;

/// The operations under test, over plain values.
pub(crate) trait Target: Sync {
    fn get(&self, key: u64, way: usize) -> Maybe;
    fn contains(&self, key: u64) -> bool;
    fn insert(&self, key: u64, value: Value, way: usize) -> Maybe;
    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value>;
    fn remove(&self, key: u64) -> Option<Value>;
    fn update(&self, key: u64, change: &mut dyn FnMut(Value) -> Value) -> Option<Value>;
    fn compute(&self, key: u64, decide: &mut dyn FnMut(Option<Value>) -> Op<Value>) -> Answer;
    fn retain(&self, keep: &mut dyn FnMut(u64, &mut Value) -> bool);
    /// Whether `retain` also rewrites values.
    fn rewrites(&self) -> bool {
        true
    }
    fn clear(&self);
    /// Grows the map ahead of demand, if the map can.
    fn grow_step(&self, _budget: usize) {}
    fn visit(&self, see: &mut dyn FnMut(u64, Value));
}

/// The kinds of operations; a plan has a weight for each.
const KINDS: usize = 11;

/// One round: the keys, and the operations of each thread.
pub(crate) struct Plan {
    pub(crate) hasher: Mapped,
    pub(crate) threads: usize,
    pub(crate) operations: usize,
    pub(crate) keys: Vec<u64>,
    /// The number of keys that are inserted before, so that the table is about to grow.
    pub(crate) before: Vec<u64>,
    /// Whether other keys come and go, so that bins split and overflow lines are recycled.
    pub(crate) others: Vec<u64>,
    /// Whether one more thread does nothing but growth.
    pub(crate) grower: bool,
    pub(crate) weights: [usize; KINDS],
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let hasher = *rng.pick(&hashers::ALL);
        let spread = matches!(hasher.name, "good" | "clustered");
        // A table of 32 bins of seven is outgrown at 138 keys, one of 128 at 552.
        let before = if spread { [0, 0, 120, 500, 1_000][rng.below(5)] } else { 0 };
        let grown = if spread { 300 } else { 90 };
        let step = match hasher.name {
            // Neighbours, so that they share their bin with some of the others.
            "clustered" => 1,
            _ => [1, 1 << rng.below(24), rng.next() | 1][rng.below(3)],
        };
        let key = |n: u64| n.wrapping_mul(step);
        let count = 1 + rng.below(4) as u64;
        let others = rng.below(grown) as u64;
        let mut weights = [0; KINDS];
        for weight in &mut weights[..7] {
            *weight = [0, 4, 16, 64][rng.below(4)];
        }
        // Look-ups always; operations on the whole map seldom.
        weights[0] = weights[0].max(8);
        if rng.one_in(2) {
            for weight in &mut weights[7..] {
                *weight = rng.below(3);
            }
        }
        Self {
            hasher,
            threads: 2 + rng.below(3),
            operations: 40 + rng.below(160),
            keys: (0..count).map(key).collect(),
            others: (count..count + others).map(key).collect(),
            before: (1_000..1_000 + before).map(key).collect(),
            grower: spread && rng.one_in(2),
            weights,
        }
    }

    fn kind(&self, rng: &mut Rng) -> usize {
        let mut left = rng.below(self.weights.iter().sum());
        for (kind, &weight) in self.weights.iter().enumerate() {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        unreachable!("the weights add up")
    }
}

/// Yields to other threads at a critical place.
pub(crate) fn stumble(rng: &mut Rng, seldom: usize) {
    if rng.one_in(seldom) {
        thread::yield_now();
    }
}

/// One operation of a random kind on a random key, recorded.
pub(crate) fn operate<T: Target>(
    map: &T,
    plan: &Plan,
    log: &mut Log<'_>,
    rng: &mut Rng,
    new: Value,
) {
    let index = rng.below(plan.keys.len());
    let key = plan.keys[index];
    let called = log.now();
    let (call, answer) = match plan.kind(rng) {
        0 => match map.get(key, rng.below(4)) {
            Ok(found) => (Call::Get, Answer::found(found)),
            Err(Busy) => return,
        },
        1 => match map.insert(key, new, rng.below(4)) {
            Ok(old) => (Call::Insert(new), Answer::found(old)),
            Err(Busy) => return,
        },
        2 => (Call::InsertIfAbsent(new), Answer::found(map.insert_if_absent(key, new))),
        3 => (Call::Remove, Answer::found(map.remove(key))),
        4 => {
            let mut saw = None;
            let after = map.update(key, &mut |value| {
                saw = Some(value);
                stumble(rng, 4);
                new
            });
            // If the change failed, another thread removed the value that the closure saw.
            (Call::Update(new), Answer { before: after.and(saw), after })
        }
        5 => {
            let rule = *rng.pick(&[Rule::Keep, Rule::Insert, Rule::Remove, Rule::Toggle]);
            let mut saw = None;
            let answer = map.compute(key, &mut |found| {
                saw = found;
                stumble(rng, 4);
                match (rule, found) {
                    (Rule::Keep, _) => Op::Keep,
                    (Rule::Insert, _) | (Rule::Toggle, None) => Op::Insert(new),
                    (Rule::Remove, _) | (Rule::Toggle, Some(_)) => Op::Remove,
                }
            });
            assert_eq!(saw, answer.before, "compute reports another value than its closure saw");
            (Call::Compute(rule, new), answer)
        }
        6 => (Call::Contains, Answer::found(map.contains(key).then_some(0))),
        whole => return operate_on_all(whole, map, plan, log, rng, called, new),
    };
    log.push(index, called, call, answer);
}

/// An operation on the whole map, recorded as one operation on each of the keys.
fn operate_on_all<T: Target>(
    kind: usize,
    map: &T,
    plan: &Plan,
    log: &mut Log<'_>,
    rng: &mut Rng,
    called: u64,
    new: Value,
) {
    let index = |key: u64| plan.keys.iter().position(|&tracked| tracked == key);
    let mut met = vec![false; plan.keys.len()];
    match kind {
        7 => {
            map.clear();
            for key in 0..plan.keys.len() {
                log.push(key, called, Call::Clear, Answer::default());
            }
        }
        8 => {
            let mut last = vec![None; plan.keys.len()];
            map.retain(&mut |key, value| {
                let Some(key) = index(key) else { return true };
                let saw = *value;
                stumble(rng, 4);
                let left = match rng.below(if map.rewrites() { 3 } else { 2 }) {
                    0 => Some(saw),
                    1 => None,
                    _ => Some(new),
                };
                last[key] = Some((saw, left));
                *value = left.unwrap_or(saw);
                left.is_some()
            });
            for (key, last) in last.into_iter().enumerate() {
                match last {
                    Some((saw, left)) => {
                        log.push(key, called, Call::Retain(saw, left), Answer::default());
                    }
                    None => log.push(key, called, Call::Get, Answer::found(None)),
                }
            }
        }
        _ => {
            map.visit(&mut |key, value| {
                stumble(rng, 64);
                if let Some(key) = index(key) {
                    met[key] = true;
                    log.push(key, called, Call::Get, Answer::found(Some(value)));
                }
            });
            for (key, met) in met.into_iter().enumerate() {
                // `retain` meets every key that is present throughout, so this key was absent at some time.
                if !met {
                    log.push(key, called, Call::Get, Answer::found(None));
                }
            }
        }
    }
}

/// Lets the other keys come, and some of them go again, until all came.
fn grow<T: Target>(map: &T, plan: &Plan, rng: &mut Rng) {
    for (n, &key) in plan.others.iter().enumerate() {
        ignore(map.insert(key, 0, 1));
        if n % 3 == 2 {
            map.remove(plan.others[rng.below(n)]);
        }
        stumble(rng, 64);
    }
}

/// A flag that is raised when it is dropped, also by a panic.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Plays the plan and checks the history of each key.
pub(crate) fn play<T: Target>(map: &T, plan: &Plan, seed: u64) -> Result<(), String> {
    let clock = AtomicU64::new(0);
    let mut first = Log::new(&clock, plan.keys.len());
    let mut rng = Rng::new(seed);
    for (n, &key) in plan.keys.iter().enumerate() {
        if rng.one_in(2) {
            let new = 1 + n as Value;
            first.record(n, || {
                (Call::Insert(new), Answer::found(map.insert(key, new, 1).unwrap_or(None)))
            });
        }
    }
    for &key in &plan.before {
        ignore(map.insert(key, 0, 1));
    }
    let begin = Barrier::new(plan.threads + 1);
    let done = AtomicBool::new(false);
    let mut logs: Vec<Log<'_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let (begin, clock) = (&begin, &clock);
                scope.spawn(move || {
                    let mut rng = Rng::new(seed ^ (thread as u64 + 1) << 32);
                    let mut log = Log::new(clock, plan.keys.len());
                    begin.wait();
                    for n in 0..plan.operations {
                        let new = (thread + 1) * 1_000_000 + n;
                        operate(map, plan, &mut log, &mut rng, new as Value);
                        stumble(&mut rng, 32);
                    }
                    log
                })
            })
            .collect();
        let _done = Flag(&done);
        if plan.grower {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    map.grow_step(1);
                    thread::yield_now();
                }
            });
        }
        begin.wait();
        grow(map, plan, &mut rng);
        workers.into_iter().map(|worker| worker.join().expect("the worker panicked")).collect()
    });
    // The value of a key at rest is the result of its last operation.
    for (n, &key) in plan.keys.iter().enumerate() {
        first.record(n, || (Call::Get, Answer::found(map.get(key, 2).unwrap_or(None))));
    }
    logs.push(first);
    for (n, key) in plan.keys.iter().enumerate() {
        let history = of_key(&logs, n);
        if let Err(stuck) = check(&history, None) {
            let story = explain(&history, &stuck);
            return Err(format!("seed {seed}, hasher {}, key {key}: {story}", plan.hasher.name));
        }
    }
    Ok(())
}
