//! `FlatMap` is linearizable key by key: histories of several threads over few keys, recorded
//! while the map grows beside them, are explained by a sequential map; maps that are broken on
//! purpose are refused.

mod support;

#[path = "support/second_opinion.rs"]
mod second_opinion;

use hedgerow::FlatMap;
use hedgerow::flat::{Busy, Computed, Cursor, Op, TryInsertError};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use support::check::{check, explain};
use support::hashers::{self, Mapped};
use support::history::{Answer, Call, Log, Rule, Value, of_key};
use support::rng::Rng;
use support::{ignore, rounds, seed, within};

/// What the map stores for a value: wide ones show when they are torn.
trait Payload: Copy + Send + Sync + 'static {
    fn of(value: Value) -> Self;
    fn value(self) -> Value;
}

impl Payload for u64 {
    fn of(value: Value) -> Self {
        value
    }

    fn value(self) -> Value {
        self
    }
}

impl Payload for [u64; 5] {
    fn of(value: Value) -> Self {
        [value, !value, value << 7, value, value.swap_bytes()]
    }

    fn value(self) -> Value {
        assert_eq!(self, Self::of(self[0]), "a torn value");
        self[0]
    }
}

/// With padding, and smaller than two words.
impl Payload for (u8, u32) {
    fn of(value: Value) -> Self {
        let low = u32::try_from(value).expect("values of a history are small");
        (low as u8, low)
    }

    fn value(self) -> Value {
        assert_eq!(self, Self::of(self.1.into()), "a torn value");
        self.1.into()
    }
}

/// What an operation found, or that it was busy and did nothing.
type Maybe = Result<Option<Value>, Busy>;

/// The operations under test, over plain values.
trait Target: Sync {
    fn get(&self, key: u64, way: usize) -> Maybe;
    fn contains(&self, key: u64) -> bool;
    fn insert(&self, key: u64, value: Value, way: usize) -> Maybe;
    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value>;
    fn remove(&self, key: u64) -> Option<Value>;
    fn update(&self, key: u64, change: &mut dyn FnMut(Value) -> Value) -> Option<Value>;
    fn compute(&self, key: u64, decide: &mut dyn FnMut(Option<Value>) -> Op<Value>) -> Answer;
    fn retain(&self, keep: &mut dyn FnMut(u64, &mut Value) -> bool);
    fn clear(&self);
    fn visit(&self, see: &mut dyn FnMut(u64, Value));
}

struct Flat<P>(FlatMap<u64, P, Mapped>);

impl<P: Payload> Target for Flat<P> {
    fn get(&self, key: u64, way: usize) -> Maybe {
        match way {
            0 => self.0.try_get(&key).map(|found| found.map(P::value)),
            1 => Ok(self.0.get_with(&key, |value| value.value())),
            2 => {
                let mut found = [None; 3];
                self.0.get_many(&[!key, key, key ^ 1], &mut found);
                Ok(found[1].map(P::value))
            }
            _ => Ok(self.0.get(&key).map(P::value)),
        }
    }

    fn contains(&self, key: u64) -> bool {
        self.0.contains_key(&key)
    }

    fn insert(&self, key: u64, value: Value, way: usize) -> Maybe {
        if way == 1 {
            let mut before = [None];
            self.0.insert_many(&[(key, P::of(value))], &mut before);
            return Ok(before[0].map(P::value));
        }
        if way > 1 {
            return Ok(self.0.insert(key, P::of(value)).map(P::value));
        }
        match self.0.try_insert(key, P::of(value)) {
            Ok(old) => Ok(old.map(P::value)),
            Err(TryInsertError::Busy { key: same, value: given, .. }) => {
                assert_eq!((same, given.value()), (key, value), "not what was given");
                Err(Busy)
            }
            Err(why) => panic!("there is memory: {why}"),
        }
    }

    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value> {
        self.0.insert_if_absent(key, P::of(value)).map(P::value)
    }

    fn remove(&self, key: u64) -> Option<Value> {
        if key & 1 == 0 {
            return self.0.remove(&key).map(P::value);
        }
        let mut before = [None];
        self.0.remove_many(&[key], &mut before);
        before[0].map(P::value)
    }

    fn update(&self, key: u64, change: &mut dyn FnMut(Value) -> Value) -> Option<Value> {
        self.0.update(&key, |value| P::of(change(value.value()))).map(P::value)
    }

    fn compute(&self, key: u64, decide: &mut dyn FnMut(Option<Value>) -> Op<Value>) -> Answer {
        let Computed { before, after, .. } =
            self.0.compute(key, |found| match decide(found.map(P::value)) {
                Op::Keep => Op::Keep,
                Op::Insert(value) => Op::Insert(P::of(value)),
                Op::Remove => Op::Remove,
            });
        Answer { before: before.map(P::value), after: after.map(P::value) }
    }

    fn retain(&self, keep: &mut dyn FnMut(u64, &mut Value) -> bool) {
        self.0.retain(|&key, payload| {
            let mut value = payload.value();
            let kept = keep(key, &mut value);
            *payload = P::of(value);
            kept
        });
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn visit(&self, see: &mut dyn FnMut(u64, Value)) {
        let mut seen = 0;
        let mut see = |key, payload: P| {
            seen += 1;
            assert!(seen < 100_000, "a walk without end");
            see(key, payload.value());
        };
        if self.0.len().is_multiple_of(2) {
            return self.0.iter().for_each(|(key, payload)| see(key, payload));
        }
        let mut place = Some(Cursor::default());
        while let Some(cursor) = place {
            place = self.0.scan(cursor, 20, &mut see);
        }
    }
}

/// The kinds of operations; a plan has a weight for each.
const KINDS: usize = 11;

/// One round: who does what to which keys.
struct Plan {
    hasher: Mapped,
    threads: usize,
    operations: usize,
    keys: Vec<u64>,
    /// Keys that are there before, so that the table is about to grow, large or small.
    before: Vec<u64>,
    /// Other keys, which come and go so that bins split and overflow lines are recycled.
    others: Vec<u64>,
    weights: [usize; KINDS],
}

impl Plan {
    fn new(rng: &mut Rng) -> Self {
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

/// Gives other threads a chance where it hurts.
fn stumble(rng: &mut Rng, seldom: usize) {
    if rng.one_in(seldom) {
        thread::yield_now();
    }
}

/// One operation of a random kind on a random key, recorded.
fn operate<T: Target>(map: &T, plan: &Plan, log: &mut Log<'_>, rng: &mut Rng, new: Value) {
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
            // A closure that ran in vain saw something that was removed before the change.
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
                let left = match rng.below(3) {
                    0 => Some(saw),
                    1 => Some(new),
                    _ => None,
                };
                last[key] = Some((saw, left));
                *value = left.unwrap_or(new);
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
                // A key that is there throughout is met, so this one was away at some moment.
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

/// Plays the plan and checks the history of each key.
fn play<T: Target>(map: &T, plan: &Plan, seed: u64) -> Result<(), String> {
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
        begin.wait();
        grow(map, plan, &mut rng);
        workers.into_iter().map(|worker| worker.join().expect("the worker panicked")).collect()
    });
    // What is there at rest is the last thing that happened.
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

/// Plays random plans on fresh maps for some seconds.
fn histories<P: Payload>(salt: u64) {
    let played = rounds(2_000, Duration::from_secs(5), |round| {
        let seed = seed() ^ salt << 56 ^ u64::from(round);
        within(60, &format!("the history of seed {seed}"), move || {
            let plan = Plan::new(&mut Rng::new(seed));
            let map = Flat::<P>(FlatMap::with_hasher(plan.hasher));
            if let Err(story) = play(&map, &plan, seed) {
                panic!("{story}");
            }
        });
    });
    println!("{played} histories");
}

#[test]
fn histories_of_words_are_linearizable() {
    histories::<u64>(1);
}

#[test]
fn histories_of_wide_values_are_linearizable() {
    histories::<[u64; 5]>(2);
}

#[test]
fn histories_of_padded_values_are_linearizable() {
    histories::<(u8, u32)>(3);
}

/// Mistakes that a concurrent map can make.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// None: the wrapper itself does no harm.
    Sound,
    /// Every few look-ups answer with the value before the last one.
    StaleRead,
    /// `update` reads, then writes.
    LostUpdate,
    /// `insert_if_absent` looks, then inserts: two can win.
    TwoWinners,
    /// `remove` looks, then removes: two can get the same value.
    RemovedTwice,
    /// `insert` removes, then inserts: the key is away in between.
    AwayWhileReplaced,
    /// Every few inserts are forgotten.
    LostInsert,
}

/// A map with one fault.
struct Broken {
    inner: Flat<u64>,
    fault: Fault,
    turn: AtomicUsize,
    /// What each key had before.
    replaced: FlatMap<u64, Value, Mapped>,
}

impl Broken {
    fn now(&self, fault: Fault, every: usize) -> bool {
        self.fault == fault && self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
    }
}

impl Target for Broken {
    fn get(&self, key: u64, way: usize) -> Maybe {
        if self.now(Fault::StaleRead, 8)
            && let Some(value) = self.replaced.get(&key)
        {
            return Ok(Some(value));
        }
        self.inner.get(key, way)
    }

    fn contains(&self, key: u64) -> bool {
        self.inner.contains(key)
    }

    fn insert(&self, key: u64, value: Value, way: usize) -> Maybe {
        if self.now(Fault::LostInsert, 64) {
            return self.inner.get(key, 2);
        }
        if self.now(Fault::AwayWhileReplaced, 1) {
            let old = self.inner.remove(key);
            thread::yield_now();
            ignore(self.inner.insert(key, value, 1));
            return Ok(old);
        }
        let old = self.inner.insert(key, value, way);
        if self.fault == Fault::StaleRead
            && let Ok(Some(old)) = old
        {
            self.replaced.insert(key, old);
        }
        old
    }

    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value> {
        if !self.now(Fault::TwoWinners, 1) {
            return self.inner.insert_if_absent(key, value);
        }
        if let Ok(Some(found)) = self.inner.get(key, 2) {
            return Some(found);
        }
        thread::yield_now();
        ignore(self.inner.insert(key, value, 1));
        None
    }

    fn remove(&self, key: u64) -> Option<Value> {
        if !self.now(Fault::RemovedTwice, 1) {
            return self.inner.remove(key);
        }
        let found = self.inner.get(key, 2).unwrap_or(None)?;
        thread::yield_now();
        self.inner.remove(key);
        Some(found)
    }

    fn update(&self, key: u64, change: &mut dyn FnMut(Value) -> Value) -> Option<Value> {
        if !self.now(Fault::LostUpdate, 1) {
            return self.inner.update(key, change);
        }
        let new = change(self.inner.get(key, 2).unwrap_or(None)?);
        thread::yield_now();
        ignore(self.inner.insert(key, new, 1));
        Some(new)
    }

    fn compute(&self, key: u64, decide: &mut dyn FnMut(Option<Value>) -> Op<Value>) -> Answer {
        self.inner.compute(key, decide)
    }

    fn retain(&self, keep: &mut dyn FnMut(u64, &mut Value) -> bool) {
        self.inner.retain(keep);
    }

    fn clear(&self) {
        self.inner.clear();
    }

    fn visit(&self, see: &mut dyn FnMut(u64, Value)) {
        self.inner.visit(see);
    }
}

/// How many of at most `rounds` histories of a map with this fault pass before one is refused.
fn passed(fault: Fault, rounds: u64) -> Option<u64> {
    (0..rounds).find(|&round| {
        let seed = seed() ^ 9 << 56 ^ round;
        let mut rng = Rng::new(seed);
        let mut plan = Plan::new(&mut rng);
        plan.weights = [16, 16, 8, 8, 8, 8, 8, 0, 0, 0, 0];
        plan.keys.truncate(2);
        let map = Broken {
            inner: Flat(FlatMap::with_hasher(plan.hasher)),
            fault,
            turn: AtomicUsize::new(1),
            replaced: FlatMap::default(),
        };
        play(&map, &plan, seed).is_err()
    })
}

#[test]
fn broken_maps_are_refused() {
    within(120, "broken maps", || {
        for fault in [
            Fault::StaleRead,
            Fault::LostUpdate,
            Fault::TwoWinners,
            Fault::RemovedTwice,
            Fault::AwayWhileReplaced,
            Fault::LostInsert,
        ] {
            let before = passed(fault, 400);
            println!("{fault:?}: {before:?} histories passed before one was refused");
            assert!(before.is_some(), "{fault:?} was never noticed");
        }
        assert_eq!(passed(Fault::Sound, 10), None, "a sound map behind the wrapper was refused");
    });
}

/// A torn wide value is noticed whatever the history says.
#[test]
#[should_panic(expected = "a torn value")]
fn torn_values_are_refused() {
    let mut torn = <[u64; 5]>::of(1);
    torn[4] = <[u64; 5]>::of(2)[4];
    let _ = torn.value();
}

/// Short histories of the real map go through both checkers, too.
#[test]
fn both_checkers_agree_on_the_map() {
    within(60, "small histories", || {
        rounds(300, Duration::from_secs(3), |round| {
            let clock = AtomicU64::new(0);
            let map = FlatMap::with_hasher(hashers::CONSTANT);
            let map = Flat::<u64>(map);
            let mut plan = Plan::new(&mut Rng::new(seed() ^ u64::from(round)));
            plan.keys.truncate(1);
            plan.weights = [8, 8, 4, 8, 4, 4, 4, 0, 0, 0, 0];
            let begin = Barrier::new(3);
            let logs: Vec<Log<'_>> = thread::scope(|scope| {
                let worker = |thread: u64| {
                    let (map, plan, begin, clock) = (&map, &plan, &begin, &clock);
                    scope.spawn(move || {
                        let mut rng = Rng::new(u64::from(round) << 8 ^ thread);
                        let mut log = Log::new(clock, 1);
                        begin.wait();
                        for n in 0..3 {
                            operate(map, plan, &mut log, &mut rng, thread * 100 + n);
                        }
                        log
                    })
                };
                let workers: Vec<_> = (0..3).map(worker).collect();
                workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
            });
            let history = of_key(&logs, 0);
            assert!(
                check(&history, None).is_ok() && second_opinion::verdict(&history),
                "{history:#?}"
            );
        });
    });
}

/// A thread that sleeps in the middle of an operation while others do thousands of them is no
/// harder to check.
#[test]
fn a_wide_history_is_checked_quickly() {
    let stop = AtomicBool::new(false);
    let clock = AtomicU64::new(0);
    let map = Flat::<u64>(FlatMap::with_hasher(hashers::GOOD));
    let mut sleeper = Log::new(&clock, 1);
    let logs = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut log = Log::new(&clock, 1);
            for n in 0..20_000 {
                log.record(0, || {
                    (Call::Insert(n), Answer::found(map.insert(1, n, 1).unwrap_or(None)))
                });
            }
            stop.store(true, Ordering::SeqCst);
            log
        });
        sleeper.record(0, || {
            let found = map.get(1, 2).unwrap_or(None);
            while !stop.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            (Call::Get, Answer::found(found))
        });
        vec![writer.join().expect("no panic"), sleeper]
    });
    assert!(check(&of_key(&logs, 0), None).is_ok());
}
