//! builds: asan portable tsan
//!
//! `FenceMap` while several threads write: conditions that hold at any time, and the entries that must be left in the
//! end.

use crate::support;

use hedgerow::FenceMap;
use hedgerow::fence::{Op, Ranking};
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::rng::{Rng, mix};
use support::{rounds, seed};

const MOMENT: Duration = Duration::from_millis(1500);

/// Each thread writes keys of its own, between those of the others, and checks all their values.
#[test]
fn each_thread_finds_its_own_keys_as_it_left_them() {
    const THREADS: u64 = 4;
    rounds(20, MOMENT, |round| {
        let map = FenceMap::<u64, u64>::new();
        let spread = [500, 5_000, 100_000][round as usize % 3];
        let barrier = Barrier::new(THREADS as usize);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (map, barrier) = (&map, &barrier);
                scope.spawn(move || {
                    let mut rng = Rng::new(seed() + u64::from(round) * THREADS + thread);
                    let mut mine = BTreeMap::new();
                    barrier.wait();
                    for step in 0..support::effort(20_000) {
                        let key = (rng.next() % spread) * THREADS + thread;
                        match rng.below(6) {
                            0 | 1 => assert_eq!(map.get(&key), mine.get(&key).copied()),
                            2 | 3 => assert_eq!(map.insert(key, step), mine.insert(key, step)),
                            _ if step % 4_000 < 2_000 => {
                                assert_eq!(map.insert(key, step), mine.insert(key, step));
                            }
                            _ => assert_eq!(map.remove(&key), mine.remove(&key)),
                        }
                    }
                    for (key, value) in &mine {
                        assert_eq!(map.get(key), Some(*value));
                    }
                    let left = map.iter().filter(|(key, _)| key % THREADS == thread);
                    assert!(left.eq(mine.iter().map(|(k, v)| (*k, *v))));
                });
            }
        });
        assert_eq!(map.iter().count(), map.len());
        assert!(map.keys().is_sorted_by(|a, b| a < b));
    });
}

/// A key of several words, which are all equal unless it is torn.
#[derive(Clone, Copy, Debug)]
struct Many<const N: usize>([u64; N]);

impl<const N: usize> Many<N> {
    fn new(number: u64) -> Self {
        Self([number; N])
    }

    fn number(&self) -> u64 {
        assert!(
            self.0.iter().all(|word| *word == self.0[0]),
            "a torn key was compared: {:?}",
            self.0
        );
        self.0[0]
    }
}
impl<const N: usize> Ord for Many<N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number().cmp(&other.number())
    }
}
impl<const N: usize> PartialOrd for Many<N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<const N: usize> PartialEq for Many<N> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<const N: usize> Eq for Many<N> {}

/// `Ord` and `Ranking` never get a key that a writer is changing: neither keys of two words, nor large keys, which are
/// compared one by one.
#[test]
fn no_torn_key_is_shown_to_user_code() {
    struct ByNumber;
    impl<const N: usize> Ranking<Many<N>> for ByNumber {
        fn rank(&self, key: &Many<N>) -> u64 {
            // All keys of a leaf have the same rank.
            key.number() / 1_000
        }
    }
    fn play<const N: usize>(calls: u64) {
        let map = FenceMap::<Many<N>, u64, _>::with_ranking(ByNumber);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let map = &map;
                scope.spawn(move || {
                    let mut rng = Rng::new(seed() + thread);
                    for _ in 0..support::effort(calls) {
                        let key = Many::<N>::new(rng.next() % 300);
                        match rng.below(12) {
                            0..=3 => _ = map.insert(key, key.number()),
                            4..=6 => _ = map.remove(&key),
                            7 => {
                                assert!(map.predecessor(&key).is_none_or(|(k, v)| k.number() == v));
                            }
                            8 => assert!(map.pop_last().is_none_or(|(k, v)| k.number() == v)),
                            9 => assert!(map.range(key..).take(9).all(|(k, v)| k.number() == v)),
                            _ => assert!(map.get(&key).is_none_or(|v| v == key.number())),
                        }
                    }
                });
            }
        });
    }
    /// One thread lets leaves split and merge all the time, so that the keys change where they begin and end.
    fn waves<const N: usize>(waves: u64) {
        let map = FenceMap::<Many<N>, u64, _>::with_ranking(ByNumber);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (map, done) = (&map, &done);
                scope.spawn(move || {
                    let mut rng = Rng::new(seed() + thread);
                    while !done.load(Ordering::Relaxed) {
                        let key = Many::<N>::new(rng.next() % 1_000);
                        assert!(map.get(&key).is_none_or(|v| v == key.number()));
                        assert!(map.predecessor(&key).is_none_or(|(k, v)| k.number() == v));
                    }
                });
            }
            for _ in 0..support::effort(waves) {
                for n in (0..1_000).rev() {
                    map.insert(Many::new(n), n);
                }
                (0..1_000).for_each(|n| _ = map.remove(&Many::new(n)));
            }
            done.store(true, Ordering::Relaxed);
        });
    }
    play::<2>(20_000);
    play::<150>(1_500);
    waves::<2>(20);
    waves::<150>(4);
}

/// crossbeam-skiplist's `get` returned None for a key that was being replaced, although it was in the map all the time.
#[test]
fn a_key_that_is_replaced_or_moved_is_there_all_the_time() {
    let map = FenceMap::<u64, u64>::new();
    let done = AtomicBool::new(false);
    let stay: Vec<u64> = (0..64).map(|n| n * 1_000).collect();
    for &key in &stay {
        map.insert(key, 1);
    }
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (map, done, stay) = (&map, &done, &stay);
            scope.spawn(move || {
                let mut rng = Rng::new(reader);
                while !done.load(Ordering::Relaxed) {
                    let key = *rng.pick(stay);
                    assert!(map.get(&key).is_some());
                    assert_eq!(map.floor(&key).map(|entry| entry.0), Some(key));
                    assert_eq!(map.ceiling(&key).map(|entry| entry.0), Some(key));
                    assert!(map.successor(&key).is_none_or(|entry| entry.0 > key));
                    let mut values = [None; 8];
                    map.get_many(&stay[..8], &mut values);
                    assert!(values.iter().all(Option::is_some));
                    let seen = map.keys().filter(|key| key % 1_000 == 0).count();
                    assert_eq!(seen, stay.len());
                }
            });
        }
        let mut rng = Rng::new(seed());
        rounds(200, MOMENT, |_| {
            for &key in &stay {
                assert!(map.insert(key, rng.next()).is_some());
            }
            // Insertions and removals around the keys move them from leaf to leaf.
            let others: Vec<u64> =
                (0..6_000).map(|_| rng.next() % 64_000).filter(|key| key % 1_000 != 0).collect();
            for &key in &others {
                map.insert(key, 0);
            }
            if rng.one_in(2) {
                for key in &others {
                    map.remove(key);
                }
            } else {
                map.retain(|key, _| key % 1_000 == 0);
            }
            assert_eq!(map.len(), stay.len());
        });
        done.store(true, Ordering::Relaxed);
    });
}

/// A token moves from key to key by steps that leave one or two of them, never none. A range without a token, or with a
/// sum that never existed, is no consistent snapshot.
#[test]
fn a_range_is_a_snapshot() {
    const KEYS: u64 = 2_000;
    let map: FenceMap<u64, u64> = (0..KEYS).map(|n| (n * 2, 0)).collect();
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut entries = Vec::new();
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    map.range_into(.., &mut entries);
                    let main = entries.iter().filter(|(key, _)| key % 2 == 0);
                    assert_eq!(main.clone().count() as u64, KEYS);
                    // The writer raises the values from left to right. So they never rise in that direction, and are
                    // those of two successive rounds at most.
                    assert!(main.clone().is_sorted_by(|a, b| a.1 >= b.1));
                    let (most, least) = (entries[0].1, main.clone().next_back().unwrap().1);
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
                map.insert(key * 2, value);
                if rng.one_in(4) {
                    let odd = rng.next() % KEYS * 2 + 1;
                    if map.remove(&odd).is_none() {
                        map.insert(odd, 0);
                    }
                }
            }
            map.retain(|key, _| key % 2 == 0 || key % 3 == 0);
        });
        done.store(true, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed) > 0);
}

/// Entries that move from one end to the other and back in atomic steps are counted once each.
#[test]
fn a_range_is_counted_as_a_snapshot() {
    const KEYS: u64 = 2_000;
    let map: FenceMap<u64, u64> = (0..KEYS).map(|n| (n * 2, 0)).collect();
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(map.range_len(..) as u64, KEYS, "an entry is missed, or counted twice");
                assert!(map.approximate_range_len(100..) as u64 <= KEYS + 1);
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        rounds(10_000, MOMENT, |_| {
            for key in 0..KEYS / 4 {
                let (left, right) = (key * 2, (KEYS - key) * 2 + 1);
                map.apply_batch(&[(left, Op::Remove), (right, Op::Insert(1))]);
                map.apply_batch(&[(left, Op::Insert(0)), (right, Op::Remove)]);
            }
        });
        done.store(true, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed) > 0);
}

/// A run of keys is inserted from right to left, and is whole once its first key is there. `remove_range` removes all
/// of it or nothing.
#[test]
fn a_range_is_removed_atomically() {
    const RUN: u64 = 600;
    let map: FenceMap<u64, u64> = (0..RUN).map(|n| (n * 3, n)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let there = map.range(1_000_000..2_000_000).len() as u64;
                assert!(there == 0 || map.range(..1_000_000).len() as u64 == RUN);
                let run: Vec<u64> = map.range(1_000_000..).map(|(key, _)| key).collect();
                // Wherever it begins, it has all keys up to its right end.
                assert!(run.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{run:?}");
                assert!(run.last().is_none_or(|&key| key == 1_000_000 + RUN - 1));
            }
        });
        rounds(10_000, MOMENT, |_| {
            (0..RUN).rev().for_each(|n| assert_eq!(map.insert(1_000_000 + n, n), None));
            assert_eq!(map.remove_range(1_000_000..), RUN as usize);
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(map.len() as u64, RUN);
}

/// One thread inserts, and two threads remove from either end: each entry is removed once.
#[test]
fn each_entry_is_popped_once() {
    rounds(10, MOMENT, |round| {
        const N: u64 = 20_000;
        let map = FenceMap::<u64, u64>::new();
        let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for first in [true, false] {
                let (map, sum, count) = (&map, &sum, &count);
                scope.spawn(move || {
                    while count.load(Ordering::Relaxed) < N {
                        let popped = if first { map.pop_first() } else { map.pop_last() };
                        if let Some((key, value)) = popped {
                            assert_eq!(key, mix(value));
                            sum.fetch_add(value, Ordering::Relaxed);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            (0..N).for_each(|n| assert_eq!(map.insert(mix(n), n), None, "round {round}"));
        });
        assert_eq!((sum.into_inner(), map.len()), (N * (N - 1) / 2, 0));
    });
}

/// Ranks all keys the same, so that they are found by `Ord` alone.
struct Flat;
impl Ranking<u64> for Flat {
    fn rank(&self, _: &u64) -> u64 {
        0
    }
}

#[test]
fn counters_lose_nothing() {
    const EACH: u64 = 20_000;
    let map = FenceMap::<u64, u64, Flat>::with_ranking(Flat);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let map = &map;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for _ in 0..EACH {
                    map.compute(rng.next() % 1_000, |n| Op::Insert(n.unwrap_or(0) + 1));
                }
            });
        }
    });
    assert_eq!(map.values().sum::<u64>(), 3 * EACH);
}
