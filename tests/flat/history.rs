//! builds: narrow portable tsan
//!
//! `FlatMap` is linearizable key by key. Several threads operate on few keys while the map grows, and a checker finds a
//! sequential order for each recorded history. It refuses histories of maps that are broken on purpose.

use crate::support;

#[path = "../support/play.rs"]
mod play;

#[path = "../support/second_opinion.rs"]
mod second_opinion;

use hedgerow::FlatMap;
use hedgerow::error::{Busy, TryInsertError};
use hedgerow::flat::{Computed, Cursor, Op};
use play::{Maybe, Plan, Target, operate, play};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use support::check::check;
use support::hashers::{self, Mapped};
use support::history::{Answer, Call, Log, Value, of_key};
use support::rng::Rng;
use support::{ignore, rounds, seed, within};

/// The map's form of a value; wide forms show tearing.
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

struct Flat<P>(FlatMap<u64, P, Mapped>);

impl<P: Payload> Flat<P> {
    /// Whether to use the operations that do not wait. Any rule would do.
    fn may_not_wait(&self) -> bool {
        self.0.len().is_multiple_of(2)
    }
}

/// Calls `ask` until it succeeds. A call that fails has changed nothing.
fn retry<R, E>(mut ask: impl FnMut() -> Result<R, E>) -> R {
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(_) => thread::yield_now(),
        }
    }
}

impl<P: Payload> Target for Flat<P> {
    fn get(&self, key: u64, way: usize) -> Maybe {
        match way {
            0 => self.0.try_get(&key).map(|found| found.map(P::value)),
            1 => Ok(self.0.get_with(&key, |value| value.value())),
            2 => {
                // In a small map, `get_many` looks up one key after the other; this looks up windows.
                let mut found = self.0.get_each([!key, key, key ^ 1, key ^ 2, key ^ 3]);
                Ok(found.nth(1).and_then(|(_, value)| value).map(P::value))
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
        let new = P::of(value);
        if self.may_not_wait() {
            let done = retry(|| self.0.try_insert_if_absent(key, new));
            return done.err().map(|error| P::value(error.current));
        }
        self.0.insert_if_absent(key, new).err().map(|error| P::value(error.current))
    }

    fn remove(&self, key: u64) -> Option<Value> {
        if self.may_not_wait() {
            return retry(|| self.0.try_remove(&key)).map(P::value);
        }
        if key & 1 == 0 {
            return self.0.remove(&key).map(P::value);
        }
        let mut before = [None];
        self.0.remove_many(&[key], &mut before);
        before[0].map(P::value)
    }

    fn update(&self, key: u64, change: &mut dyn FnMut(Value) -> Value) -> Option<Value> {
        let mut change = |value: P| P::of(change(value.value()));
        if self.may_not_wait() {
            return retry(|| self.0.try_update(&key, &mut change)).map(P::value);
        }
        self.0.update(&key, change).map(P::value)
    }

    fn compute(&self, key: u64, decide: &mut dyn FnMut(Option<Value>) -> Op<Value>) -> Answer {
        let mut decide = |found: Option<P>| match decide(found.map(P::value)) {
            Op::Keep => Op::Keep,
            Op::Insert(value) => Op::Insert(P::of(value)),
            Op::Remove => Op::Remove,
        };
        let Computed { before, after, .. } = if self.may_not_wait() {
            retry(|| self.0.try_compute(key, &mut decide))
        } else {
            self.0.compute(key, decide)
        };
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

    fn grow_step(&self, budget: usize) {
        self.0.grow_step(budget);
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

/// Runs random plans on fresh maps for some seconds.
fn histories<P: Payload>(salt: u64) {
    support::histories(2_000, Duration::from_secs(5), |round| {
        let seed = seed() ^ salt << 56 ^ u64::from(round);
        within(60, &format!("the history of seed {seed}"), move || {
            let plan = Plan::new(&mut Rng::new(seed));
            let map = Flat::<P>(FlatMap::with_hasher(plan.hasher));
            if let Err(story) = play(&map, &plan, seed) {
                panic!("{story}");
            }
        });
    });
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

/// Faults that a concurrent map can have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// None: the wrapper itself does no harm.
    Sound,
    /// Every few lookups return the value before the last one.
    StaleRead,
    /// `update` reads, then writes.
    LostUpdate,
    /// `insert_if_absent` looks the key up, then inserts: two threads can succeed.
    TwoWinners,
    /// `remove` looks the key up, then removes it: two threads can get the same value.
    RemovedTwice,
    /// `insert` removes, then inserts: the key is absent in between.
    AwayWhileReplaced,
    /// Every few inserts have no effect.
    LostInsert,
}

/// A map with one fault.
struct Broken {
    inner: Flat<u64>,
    fault: Fault,
    turn: AtomicUsize,
    /// The value that each key had before.
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

/// Returns how many of at most `rounds` histories of a map with this fault pass before one is refused.
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

/// A torn wide value is noticed, even if the history is linearizable.
#[test]
#[should_panic(expected = "a torn value")]
fn torn_values_are_refused() {
    let mut torn = <[u64; 5]>::of(1);
    torn[4] = <[u64; 5]>::of(2)[4];
    let _ = torn.value();
}

/// Short histories of the real map are checked by both checkers.
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

/// A thread that sleeps in the middle of an operation, while others do thousands, makes its history no harder to check.
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
