//! builds: tsan
//!
//! `OrdMap`'s batches: against `BTreeMap` by one thread, their atomicity with several threads, and drops.

mod support;

use hedgerow::OrdMap;
use hedgerow::fence::{Op, Ranking};
use hedgerow::owned::pin;
use std::cell::Cell;
use std::cmp::Ordering as Order;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use support::compare::compare_by_cmp;
use support::fuse::{FUSE, burn};
use support::quarantine::Quarantine;
use support::rng::{Rng, mix};
use support::tracked::Tracked;
use support::{Stop, ignore, joined_scope, panics, planned_panic, rounds, seed, within};

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

const MOMENT: Duration = Duration::from_millis(900);

/// Returns what a batch replaces or removes, and applies its changes to the model one by one.
fn model_answers(
    model: &mut BTreeMap<String, u64>,
    changes: &[(String, Op<u64>)],
) -> Vec<Option<u64>> {
    let one = |(key, op): &(String, Op<u64>)| match op {
        Op::Keep => None,
        Op::Insert(value) => model.insert(key.clone(), *value),
        Op::Remove => model.remove(key),
    };
    changes.iter().map(one).collect()
}

/// Gives the same rank to many neighbouring keys.
struct Coarse;
impl Ranking<str> for Coarse {
    fn rank(&self, key: &str) -> u64 {
        key.bytes().take(3).fold(0, |rank, byte| rank << 8 | u64::from(byte)) << 40
    }
}
impl Ranking<String> for Coarse {
    fn rank(&self, key: &String) -> u64 {
        self.rank(key.as_str())
    }
}

#[test]
fn a_batch_does_what_its_changes_do_one_by_one() {
    play(&OrdMap::new());
    play(&OrdMap::with_ranking(Coarse));
}

fn play<R: Ranking<String> + Ranking<str>>(map: &OrdMap<String, u64, R>) {
    let mut rng = Rng::new(seed());
    let mut model = BTreeMap::new();
    rounds(60, MOMENT, |_| {
        let len = [0, 1, 2, 3, 10, 60, 300, 2_000][rng.below(8)];
        let spread = [40, 1_000, 20_000][rng.below(3)];
        let start = rng.next() % 20_000;
        let ascends = rng.one_in(4);
        let removes = [1, 3, 8][rng.below(3)];
        let change = |n| {
            let number = start + if ascends { n } else { rng.next() % spread };
            let op = match rng.below(8) {
                0 => Op::Keep,
                n if n < removes => Op::Remove,
                _ => Op::Insert(rng.next()),
            };
            (format!("{number:06}"), op)
        };
        let changes: Vec<_> = (0..len).map(change).collect();
        let answers = map.apply_batch(changes.clone());
        let answers: Vec<_> = answers.iter().map(|had| had.as_deref().copied()).collect();
        assert_eq!(answers, model_answers(&mut model, &changes));
        assert_eq!(map.len(), model.len());
        let guard = pin();
        assert!(map.with_guard(&guard).iter().eq(model.iter()));
        let keys: Vec<&str> = changes.iter().map(|(key, _)| key.as_str()).collect();
        let values: Vec<_> = keys.iter().map(|key| model.get(*key)).collect();
        assert_eq!(map.with_guard(&guard).snapshot_many(&keys), values);
    });
    let guard = pin();
    assert!(
        model.iter().all(|(key, value)| map.with_guard(&guard).get(key.as_str()) == Some(value))
    );
}

/// Equal keys that the test can tell apart.
#[test]
fn the_last_of_equal_keys_stays() {
    #[derive(Clone)]
    struct Named(u32, char);
    impl Ord for Named {
        fn cmp(&self, other: &Self) -> Order {
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Named {
        fn partial_cmp(&self, other: &Self) -> Option<Order> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Named {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Named {}

    let map: OrdMap<Named, u32> = [(Named(1, 'a'), 0), (Named(2, 'a'), 0)].into();
    let had = map.apply_batch([
        (Named(1, 'b'), Op::Insert(1)),
        (Named(2, 'b'), Op::Remove),
        (Named(2, 'c'), Op::Insert(2)),
        (Named(3, 'd'), Op::Insert(3)),
        (Named(3, 'e'), Op::Insert(4)),
        (Named(3, 'f'), Op::Keep),
    ]);
    let had: Vec<_> = had.iter().flatten().map(|had| (had.key().1, **had)).collect();
    assert_eq!(had, [('a', 0), ('a', 0), ('d', 3)]);
    let guard = pin();
    let left: Vec<_> = map.with_guard(&guard).iter().map(|(key, value)| (key.1, *value)).collect();
    assert_eq!(left, [('b', 1), ('c', 2), ('e', 4)], "the last of equal keys stays");
}

/// Each batch writes one number to all of a set of keys, or removes all: readers always see the same everywhere.
#[test]
fn readers_see_all_of_a_batch_or_nothing() {
    let map: OrdMap<String, u64> = (0..16_000).map(|n| (format!("{n:05}"), 0)).collect();
    let keys: Vec<String> = (0..40).map(|n| format!("{:05}", n * 400)).collect();
    map.apply_batch(keys.iter().map(|key| (key.clone(), Op::Insert(1))));
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    let writer = |thread: u64| {
        let mut rng = Rng::new(seed() + thread);
        rounds(2_000, MOMENT, |round| {
            let mut keys = keys.clone();
            rng.shuffle(&mut keys);
            let mine = u64::from(round) * 2 + thread;
            let removes = rng.one_in(4);
            let op = || if removes { Op::Remove } else { Op::Insert(mine) };
            let had = map.apply_batch(keys.into_iter().map(|key| (key, op())));
            assert!(had.iter().all(|value| value.as_deref() == had[0].as_deref()));
            ignore(map.insert(format!("{:05}x", rng.next() % 16_000), 0));
        });
    };
    joined_scope(|scope| {
        let _stop = Stop(&done);
        for way in 0..2 {
            let (map, keys, done, seen) = (&map, &keys, &done, &seen);
            scope.spawn(move || {
                let names: Vec<&str> = keys.iter().map(String::as_str).collect();
                while !done.load(Ordering::Relaxed) {
                    let map = map.pin();
                    let values: Vec<_> = if way == 0 {
                        map.snapshot_many(&names)
                    } else {
                        let all: BTreeMap<_, _> = map.range::<str, _>(..).collect();
                        keys.iter().map(|key| all.get(key).copied()).collect()
                    };
                    assert!(values.iter().all(|value| *value == values[0]), "{way}: {values:?}");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| writer(0));
        writer(1);
    });
    assert!(seen.into_inner() > 0);
}

/// Threads whose batches overlap, of tracked keys and values: each of them is dropped once.
#[test]
fn every_key_and_value_of_a_batch_is_dropped_exactly_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let map = OrdMap::<Tracked, Tracked>::new();
    joined_scope(|scope| {
        for hand in 0..3 {
            let (map, alive) = (&map, &alive);
            let new = move |n| Tracked::new(n, alive);
            scope.spawn(move || {
                let mut rng = Rng::new(seed() + hand);
                for n in 0..support::effort(400) {
                    let len = rng.below(60) as u64;
                    let span = if rng.one_in(3) { 20 } else { 2_000 };
                    let changes = (0..len).map(|_| {
                        let key = rng.next() % span;
                        let op = match rng.below(if n / 100 % 2 == 0 { 9 } else { 3 }) {
                            0 | 1 => Op::Remove,
                            2 => Op::Keep,
                            _ => Op::Insert(new(key * 2)),
                        };
                        (new(key), op)
                    });
                    for had in map.apply_batch(changes.collect::<Vec<_>>()).iter().flatten() {
                        let alive = !had.dropped && !had.key().dropped;
                        assert!(alive, "a batch returns a dropped entry");
                        assert_eq!(had.value, had.key().value * 2);
                    }
                }
            });
        }
    });
    drop(map);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "keys or values of batches are never dropped");
}

thread_local! {
    /// Whether comparisons are inconsistent.
    static LIES: Cell<u32> = const { Cell::new(0) };
    /// A comparison panics once this map has this key.
    static DONE: Cell<Option<(Rc<Map>, FuseKey)>> = const { Cell::new(None) };
}

type Map = OrdMap<FuseKey, Tracked>;

fn panic_if_done() {
    // The lookup below compares keys too, and must not look up again.
    if let Some((map, key)) = DONE.take() {
        if map.contains_key(&key) {
            planned_panic();
        }
        DONE.set(Some((map, key)));
    }
}

struct FuseKey(Tracked);

impl Clone for FuseKey {
    fn clone(&self) -> Self {
        burn();
        Self(self.0.clone())
    }
}
impl Ord for FuseKey {
    fn cmp(&self, other: &Self) -> Order {
        burn();
        panic_if_done();
        let lies = LIES.get();
        if lies > 0 {
            LIES.set(lies + 1);
            if mix(u64::from(lies)).is_multiple_of(5) {
                return other.0.cmp(&self.0);
            }
        }
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(FuseKey);

/// A drop that panics.
impl Drop for FuseKey {
    fn drop(&mut self) {
        if !std::thread::panicking() && FUSE.get() < 8 {
            burn();
        }
    }
}

#[test]
fn a_panic_in_user_code_leaks_nothing_and_frees_nothing_twice() {
    within(120, "batches after panics", || {
        let alive = Arc::new(AtomicUsize::new(0));
        let key = |n| FuseKey(Tracked::new(n, &alive));
        let map = OrdMap::<FuseKey, Tracked>::new();
        let mut rng = Rng::new(1);
        let (mut panicked, mut used) = (0, 0);
        let rounds = support::effort(2_000);
        for round in 0..rounds {
            // When the map shrinks, leaves are merged after the stores. The panic should hit these comparisons too.
            let (shrinks, start) = (round % 8 >= 5, rng.next() % 900);
            let batch: Vec<_> = (0..200)
                .map(|n| {
                    let op = match rng.below(8) {
                        0..2 => Op::Remove,
                        2 => Op::Keep,
                        _ if shrinks => Op::Remove,
                        _ => Op::Insert(Tracked::new(n, &alive)),
                    };
                    // Neighbouring keys, so that leaves become empty.
                    let number = if shrinks { start + n } else { rng.next() };
                    (key(number % 900), op)
                })
                .collect();
            // At random, or near the end of the last batch that succeeded.
            let fuse = match round % 4 {
                0 => rng.next() as u32 % 4_000,
                1 | 3 => 1_000_000,
                _ => used - rng.next() as u32 % 100,
            };
            FUSE.set(fuse);
            if panics(|| ignore(map.apply_batch(batch))) {
                panicked += 1;
            } else {
                used = fuse - FUSE.get();
            }
            FUSE.set(u32::MAX);
        }
        assert!(panicked > rounds / 20, "{panicked}");
        let guard = pin();
        assert!(map.with_guard(&guard).iter().all(|(key, value)| !key.0.dropped && !value.dropped));
        assert!(map.try_remove(&key(5)).is_ok(), "nothing is locked");
        drop(guard);
        drop(map);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// After its stores a batch merges the leaves that it has emptied, and compares keys for that. A panic then finds the
/// batch done.
#[test]
fn a_panic_after_a_batch_finds_it_done() {
    let alive = Arc::new(AtomicUsize::new(0));
    let key = |n| FuseKey(Tracked::new(n, &alive));
    let insert = |n| (key(n), Op::Insert(Tracked::new(n, &alive)));
    let map = Rc::new(Map::new());
    let mut panicked = 0;
    for round in 0..20 {
        ignore(map.apply_batch((0..1_000).map(insert)));
        let start = 30 * round;
        let batch =
            (start..start + 300).map(|n| (key(n), Op::Remove)).chain([insert(2_000 + round)]);
        let batch: Vec<_> = batch.collect();
        DONE.set(Some((map.clone(), key(2_000 + round))));
        panicked += u32::from(panics(|| ignore(map.apply_batch(batch))));
        DONE.set(None);
        assert!(map.contains_key(&key(2_000 + round)) && !map.contains_key(&key(start)));
        assert_eq!(map.pin().iter().count() as u64, 1_000 - 300 + round + 1);
    }
    assert!(panicked > 10, "{panicked}");
    drop(map);
    assert_eq!(
        alive.load(Ordering::Relaxed),
        0,
        "an entry that a batch returned is lost or dropped twice"
    );
}

/// Inconsistent keys: answers may be wrong, and std's sort may panic, but every batch ends, no lock stays taken, and
/// nothing is dropped twice.
#[test]
fn batches_end_with_inconsistent_keys() {
    within(120, "batches by an order that lies", || {
        let alive = Arc::new(AtomicUsize::new(0));
        let key = |n| FuseKey(Tracked::new(n, &alive));
        for round in 0..support::effort(8) {
            let map = OrdMap::<FuseKey, u64>::new();
            (0..2_000).for_each(|n| ignore(map.insert(key(n), n)));
            LIES.set(1 + round * 1_000);
            for n in 0..20 {
                let op = |at| if at % 3 == 0 { Op::Remove } else { Op::Insert(at) };
                let changes: Vec<_> =
                    (0..100).map(|at| (key(mix(n * 100 + at) % 2_500), op(at))).collect();
                let run = || ignore(map.apply_batch(changes));
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            }
            LIES.set(0);
            (0..2_500).for_each(|n| assert!(map.try_remove(&key(n)).is_ok(), "locked"));
            drop(map);
        }
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}
