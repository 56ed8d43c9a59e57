//! builds: asan tsan
//!
//! `OrdMap` while several threads write: conditions that hold at any time, the entries that must be left in the end,
//! and drops.

use crate::support;

use hedgerow::OrdMap;
use hedgerow::fence::{Op, Ranking};
use hedgerow::owned::Removed;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use support::rng::{Rng, mix};
use support::tracked::Tracked;
use support::{Stop, ignore, joined_scope, rounds, seed};

const MOMENT: Duration = Duration::from_millis(700);

fn name(number: u64) -> String {
    format!("{number:06}")
}

/// Each thread's keys are between those of the others.
#[test]
fn each_thread_finds_its_own_keys_as_it_left_them() {
    const HANDS: u64 = 3;
    let map = OrdMap::<String, u64>::new();
    joined_scope(|scope| {
        for hand in 0..HANDS {
            let map = &map;
            scope.spawn(move || {
                let mut rng = Rng::new(seed() + hand);
                let mut model = BTreeMap::new();
                for step in 0..support::effort(15_000) {
                    let grows = step / 4_000 % 2 == 0;
                    let key = name(rng.next() % 1_500 * HANDS + hand);
                    match rng.below(10) {
                        0 | 1 => assert_eq!(map.get_cloned(&*key), model.get(&key).copied()),
                        2 if grows => {
                            model.entry(key.clone()).and_modify(|n| *n += 1).or_insert(1);
                            let count = |n: Option<&u64>| Op::Insert(n.map_or(1, |n| n + 1));
                            map.compute(key, count);
                        }
                        3..=6 if grows => {
                            let before = model.insert(key.clone(), step);
                            assert_eq!(map.insert(key, step).as_deref().copied(), before);
                        }
                        _ => {
                            let before = model.remove(&key);
                            assert_eq!(map.remove(&*key).as_deref().copied(), before);
                        }
                    }
                }
                let pinned = map.pin();
                let all = pinned.range::<str, _>(..);
                let ours = all.filter(|(key, _)| key.parse::<u64>().unwrap() % HANDS == hand);
                assert!(ours.eq(&model));
            });
        }
    });
}

/// A writer raises the values from left to right: a range in which they rise in that direction is no snapshot.
#[test]
fn a_range_is_a_snapshot() {
    const KEYS: u64 = 1_000;
    let map: OrdMap<String, u64> = (0..KEYS).map(|n| (name(n * 2), 0)).collect();
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    joined_scope(|scope| {
        let _stop = Stop(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let pinned = map.pin();
                    let all = pinned.range::<str, _>(..);
                    let main: Vec<u64> = all
                        .filter(|(key, _)| !key.ends_with('x'))
                        .map(|(_, value)| *value)
                        .collect();
                    assert_eq!(main.len() as u64, KEYS);
                    assert!(main.is_sorted_by(|a, b| a >= b));
                    let (most, least) = (main[0], main[main.len() - 1]);
                    assert!(most - least <= 1 && least >= last, "{most} {least} {last}");
                    last = least;
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut rng = Rng::new(seed());
        let mut value = 0;
        rounds(10_000, MOMENT, |_| {
            value += 1;
            for key in 0..KEYS {
                map.insert(name(key * 2), value);
                if rng.one_in(2) {
                    map.insert(name(rng.next() % KEYS * 2) + "x", 0);
                }
            }
            map.retain(|key, _| !key.ends_with("4x"));
            map.remove_range((Bound::Excluded(name(500)), Bound::Included(name(500) + "x")));
            while map.len() > 2 * KEYS as usize {
                let some = map
                    .pin()
                    .range("001".to_string()..)
                    .find(|(key, _)| key.ends_with('x'))
                    .unwrap()
                    .0
                    .clone();
                map.remove(&*some);
            }
        });
    });
    assert!(seen.load(Ordering::Relaxed) > 0);
}

/// One thread inserts, and two threads remove from either end: each entry is removed once.
#[test]
fn each_entry_is_popped_once() {
    const N: u64 = 10_000;
    let map = OrdMap::<String, u64>::new();
    let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
    joined_scope(|scope| {
        for first in [true, false] {
            let (map, sum, count) = (&map, &sum, &count);
            scope.spawn(move || {
                while count.load(Ordering::Relaxed) < N {
                    let popped = if first { map.pop_first() } else { map.pop_last() };
                    if let Some(entry) = popped {
                        assert_eq!(*entry.key(), mix(*entry.value()).to_string());
                        sum.fetch_add(*entry, Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        (0..N).for_each(|n| assert!(map.insert(mix(n).to_string(), n).is_none()));
    });
    assert_eq!((sum.into_inner(), map.len()), (N * (N - 1) / 2, 0));
}

/// Ranks all keys the same, so that they are found by `Ord`, which follows every pointer that it compares.
struct Flat;
impl<K: ?Sized> Ranking<K> for Flat {
    fn rank(&self, _: &K) -> u64 {
        0
    }
}

/// All operations together, on few and on many keys, with and without ranks; in the end everything was dropped once.
#[test]
fn every_key_bound_and_value_is_dropped_exactly_once() {
    drops(OrdMap::<Tracked, Tracked>::new());
    drops(OrdMap::with_ranking(Flat));
}

fn drops<R: Ranking<Tracked> + Ranking<u64> + Send + Sync>(map: OrdMap<Tracked, Tracked, R>) {
    let alive = Arc::new(AtomicUsize::new(0));
    joined_scope(|scope| {
        for hand in 0..3 {
            let (map, alive) = (&map, &alive);
            let new = move |n| Tracked::new(n, alive);
            scope.spawn(move || {
                let mut rng = Rng::new(seed() + hand);
                for n in 0..support::effort(6_000) {
                    let grows = n / 1_500 % 2 == 0;
                    let key = rng.next() % 1_500;
                    match rng.below(if grows { 16 } else { 40 }) {
                        0 => ignore(map.insert_if_absent(new(key), new(n))),
                        1 => ignore(map.compute(new(key), |_| Op::Remove)),
                        2 => ignore(map.compute(new(key), |_| Op::Insert(new(n)))),
                        3 => ignore(map.try_insert(new(key), new(n))),
                        4 => ignore(map.update(&key, |value| new(value.value + 1))),
                        5 => {
                            let pinned = map.pin();
                            let range = pinned.range(key..key + 300);
                            assert!(range.map(|(key, _)| key).is_sorted());
                            assert!(
                                pinned
                                    .iter()
                                    .take(300)
                                    .all(|(key, value)| !key.dropped && !value.dropped)
                            );
                        }
                        6 if n % 100 == 0 => map.retain(|key, _| key.value % 9 > 0),
                        7 => ignore((map.pop_first(), map.pop_last())),
                        8 => ignore(map.remove_range(key..key + 20)),
                        9 => ignore(map.try_insert_if_absent(new(key), new(n))),
                        10 => ignore(map.remove(&key).map(Removed::try_into_owned)),
                        11..16 if grows => ignore(map.insert(new(key), new(n))),
                        _ => ignore(map.remove(&key)),
                    }
                }
            });
        }
    });
    drop(map);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// A guard is held for ever while other threads write: entries found under it stay, and no thread waits for it.
#[test]
fn a_guard_that_stays_blocks_no_thread() {
    let map: OrdMap<String, String> = (0..800).map(|n| (name(n), name(n))).collect();
    let pinned = map.pin();
    let seen: Vec<_> = pinned.range::<str, _>(..).collect();
    joined_scope(|scope| {
        for hand in 0..2 {
            let map = &map;
            scope.spawn(move || {
                let mut rng = Rng::new(seed() + hand);
                for round in 0..4 {
                    for _ in 0..4_000 {
                        let key = name(rng.next() % 1_600);
                        if round % 2 == 0 {
                            ignore(map.insert(key.clone(), key));
                        } else {
                            ignore(map.remove(&*key));
                        }
                    }
                    map.reclaim();
                }
            });
        }
    });
    assert!(map.pending() > 800);
    assert!(seen.iter().enumerate().all(|(n, entry)| *entry == (&name(n as u64), &name(n as u64))));
    assert!(pinned.iter().all(|(key, value)| key == value));
}
