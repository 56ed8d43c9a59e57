//! builds: tsan
//!
//! `FenceMap` while its fences hand leaves over, are split and merged: only its figures may show that.

use crate::support;

use hedgerow::FenceMap;
use hedgerow::fence::{Op, Ranking};
use std::cmp::Ordering as Order;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::rng::{Rng, mix};
use support::{ignore, rounds, seed, within};

const MOMENT: Duration = Duration::from_millis(1500);
const ALL: usize = usize::MAX;

/// A value so large that eight fill a leaf, and some thousands make many fences.
type Wide = [u64; 64];

fn wide(n: u64) -> Wide {
    [n; 64]
}

/// Asserts that fences cover all keys, and list each leaf once. No thread may write meanwhile.
fn fences_are_whole<K: Copy + Ord + Debug, V: Copy, R: Ranking<K>>(map: &FenceMap<K, V, R>) {
    let fences = map.fences();
    let entries = fences.iter().map(|fence| fence.entries).sum::<usize>();
    assert_eq!(entries, map.len(), "fences list entries twice or not at all");
    assert_eq!(fences.len(), map.stats().fences);
    assert!(fences.iter().all(|fence| (1..=256).contains(&fence.leaves)), "{fences:?}");
    if let Some((first, others)) = fences.split_first() {
        assert_eq!(first.low, None);
        assert!(others.iter().all(|fence| fence.low.is_some()));
        assert!(others.is_sorted_by(|a, b| a.low < b.low), "{fences:?}");
        let keys: Vec<K> = map.keys().collect();
        for (at, fence) in fences.iter().enumerate() {
            let before =
                |low: Option<K>| keys.partition_point(|key| low.is_some_and(|low| *key < low));
            let end = fences.get(at + 1).map_or(keys.len(), |next| before(next.low));
            assert_eq!(end - before(fence.low), fence.entries, "fence {at}");
        }
    }
}

fn model_of<K: Copy + Ord, V: Copy>(map: &FenceMap<K, V>) -> BTreeMap<K, V> {
    map.iter().collect()
}

fn figures(map: &FenceMap<u64, Wide>) -> usize {
    let stats = map.stats();
    stats.moved_leaves + stats.splits + stats.joins
}

/// Writes to a hot range that moves, and to all other keys now and then.
fn play(rng: &mut Rng, map: &FenceMap<u64, Wide>, model: &mut BTreeMap<u64, Wide>, hot: u64) {
    for _ in 0..2_000 {
        let key = if rng.one_in(8) { rng.next() % 40_000 } else { hot + rng.next() % 1_500 };
        let value = wide(rng.next());
        match rng.below(8) {
            0 | 1 => assert_eq!(map.remove(&key), model.remove(&key)),
            2 => {
                let (old, new) = (model.get(&key).copied(), wide(1));
                assert_eq!(map.compute(key, |_| Op::Insert(new)).before, old);
                model.insert(key, new);
            }
            3 if rng.one_in(60) => {
                let gone: Vec<u64> = model.range(key..key + 300).map(|entry| *entry.0).collect();
                assert_eq!(map.remove_range(key..key + 300), gone.len());
                for key in &gone {
                    model.remove(key);
                }
            }
            4 => {
                assert_eq!(map.get(&key), model.get(&key).copied());
                let next = model.range(key..).next().map(|(k, v)| (*k, *v));
                assert_eq!(map.ceiling(&key), next);
            }
            _ => assert_eq!(map.insert(key, value), model.insert(key, value)),
        }
        if rng.one_in(300) {
            map.rebalance_step(*rng.pick(&[0, 1, 2, 5, ALL]));
        }
    }
}

#[test]
#[cfg_attr(hedgerow_int_words, ignore = "slow, and one thread's")]
fn a_map_that_is_rebalanced_at_random_is_a_btree_map() {
    let mut rng = Rng::new(seed());
    let (mut moved, mut split, mut joined) = (0, 0, 0);
    rounds(4, MOMENT * 3, |_| {
        let map: FenceMap<u64, Wide> = (0..10_000).map(|n| (n * 4, wide(n))).collect();
        let mut model = model_of(&map);
        for step in 0..support::effort(24).max(14) {
            // Another place each time, or the same for some rounds.
            let hot = if step % 8 < 4 { 20_000 } else { rng.next() % 40_000 };
            play(&mut rng, &map, &mut model, hot);
            fences_are_whole(&map);
            assert!(map.range(..).eq(model.iter().map(|(k, v)| (*k, *v))));
        }
        for (key, value) in &model {
            assert_eq!(map.get(key), Some(*value));
        }
        let stats = map.stats();
        moved += stats.moved_leaves;
        split += stats.splits;
        joined += stats.joins;
    });
    assert!(moved > 0 && split > 0 && joined > 0, "{moved} {split} {joined}");
}

#[test]
fn load_is_the_number_of_recent_writes() {
    let map: FenceMap<u64, Wide> = (0..6_000).map(|n| (n, wide(n))).collect();
    assert!(map.fences().iter().all(|fence| fence.load == 0), "no step has measured the load");
    let load = || map.fences().iter().map(|fence| fence.load).collect::<Vec<_>>();
    for _ in 0..40 {
        map.rebalance_step(ALL);
    }
    assert!(load().iter().all(|load| *load == 0), "load does not fade: {:?}", load());
    let before = map.fences();
    let last = before.last().unwrap().low.unwrap();
    (0..100).for_each(|n| ignore(map.insert(last + n % 10, wide(n))));
    (0..1_000).for_each(|n| assert!(map.get(&(n * 6)).is_some()));
    map.rebalance_step(ALL);
    assert_eq!(
        (load().iter().sum::<usize>(), load().last()),
        (100, Some(&100)),
        "reads are not counted"
    );
    map.rebalance_step(ALL);
    // The load is halved leaf by leaf, and rounded down.
    assert!((45..=50).contains(load().last().unwrap()));
    assert_eq!(figures(&map), 0, "so little is not worth a change");
    assert!(
        map.fences().iter().all(|fence| fence.conflicts == 0),
        "one thread causes no conflicts"
    );
}

#[test]
fn an_attempt_that_fails_counts_as_a_conflict() {
    let map: FenceMap<u64, Wide> = [(1, wide(1)), (2, wide(2))].into();
    let mut interferes = true;
    map.compute(1, |value| {
        // Another writer is faster: the leaf has changed since `value` was read.
        if std::mem::take(&mut interferes) {
            map.insert(2, wide(3));
        }
        Op::Insert(value.unwrap())
    });
    assert_eq!(map.fences()[0].conflicts, 1, "a failed attempt is a conflict");
    map.update(&1, |value| value);
    assert_eq!(map.fences()[0].conflicts, 1, "a successful attempt was counted");
}

#[test]
#[cfg_attr(any(target_pointer_width = "32", hedgerow_int_words), ignore = "slow, and one thread's")]
fn a_uniform_load_moves_nothing() {
    let map: FenceMap<u64, Wide> = (0..20_000).map(|n| (mix(n), wide(n))).collect();
    let mut rng = Rng::new(seed());
    let mut work =
        || (0..20_000).for_each(|n| ignore(map.insert(mix(rng.next() % 20_000), wide(n))));
    for _ in 0..10 {
        work();
        map.rebalance_step(ALL);
    }
    let balanced = figures(&map);
    for _ in 0..10 {
        work();
        map.rebalance_step(ALL);
    }
    assert_eq!(figures(&map), balanced, "{:?}", map.stats());
    fences_are_whole(&map);
}

/// Returns the greatest part of the load that one fence has, in percent.
fn greatest_share(map: &FenceMap<u64, Wide>) -> usize {
    let fences = map.fences();
    let all: usize = fences.iter().map(|fence| fence.load).sum();
    fences.iter().map(|fence| fence.load).max().unwrap_or(0) * 100 / all.max(1)
}

/// Counts rounds of 5,000 writes, not time.
#[test]
#[cfg_attr(any(target_pointer_width = "32", hedgerow_int_words), ignore = "slow, and one thread's")]
fn a_hot_range_that_moves_is_followed() {
    const ROUNDS: usize = 8;
    let map: FenceMap<u64, Wide> = (0..30_000).map(|n| (n, wide(n))).collect();
    map.rebalance_step(ALL);
    let mut rng = Rng::new(seed());
    let at_rest = map.stats().fences;
    for place in [0, 29_000, 14_000, 3_000, 20_000] {
        let write = |rng: &mut Rng| {
            (0..5_000).for_each(|n| ignore(map.insert(place + rng.next() % 1_000, wide(n))));
        };
        let mut shares = Vec::new();
        for _ in 0..ROUNDS {
            write(&mut rng);
            map.rebalance_step(ALL);
            shares.push(greatest_share(&map));
        }
        assert!(shares[ROUNDS - 1] <= 20, "the load is not spread at {place}: {shares:?}");
        fences_are_whole(&map);
        assert!(map.stats().fences <= at_rest * 4, "{}", map.stats().fences);
    }
    // Fences that were split for a load that has moved on are merged.
    let most = map.stats().fences;
    for _ in 0..40 {
        (0..5_000).for_each(|n| ignore(map.insert(rng.next() % 30_000, wide(n))));
        map.rebalance_step(ALL);
    }
    assert!(map.stats().joins > 0 && map.stats().fences < most, "{:?}", map.stats());
    fences_are_whole(&map);
}

#[test]
#[cfg_attr(hedgerow_int_words, ignore = "slow, and one thread's")]
fn keys_that_come_in_order_are_stored_as_fast_as_ever() {
    for descending in [false, true] {
        let map = FenceMap::<u64, Wide>::new();
        for n in 0..20_000 {
            let key = if descending { u64::MAX - n } else { n };
            assert_eq!(map.insert(key, wide(n)), None);
            if n % 500 == 0 {
                map.rebalance_step(2);
            }
        }
        fences_are_whole(&map);
        let stats = map.stats();
        assert!(stats.fences < 100, "{stats:?}");
    }
}

#[test]
fn rebalancing_is_invisible_to_writers_and_readers() {
    const WRITERS: u64 = 3;
    let changes = AtomicUsize::new(0);
    rounds(6, MOMENT * 2, |round| {
        let map: FenceMap<u64, Wide> = (0..8_000).map(|n| (n * 4 + 3, wide(0))).collect();
        let (done, writes) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let (map, done, writes, changes) = (&map, &done, &writes, &changes);
            for _ in 0..2 {
                scope.spawn(move || {
                    let mut next = 0;
                    while !done.load(Ordering::Relaxed) {
                        // Rebalancing too often would halve the load faster than slow threads write.
                        if writes.load(Ordering::Relaxed) < next {
                            std::thread::yield_now();
                            continue;
                        }
                        map.rebalance_step(3);
                        next = writes.load(Ordering::Relaxed) + 1_000;
                    }
                    changes.fetch_add(figures(map), Ordering::Relaxed);
                });
            }
            scope.spawn(move || {
                let mut rng = Rng::new(u64::from(round));
                while !done.load(Ordering::Relaxed) {
                    // No thread writes to these keys.
                    let key = rng.next() % 8_000 * 4 + 3;
                    assert_eq!(map.get(&key), Some(wide(0)));
                    assert_eq!(map.floor(&key).map(|entry| entry.0), Some(key));
                    let near = map.range(key..key + 200);
                    assert!(
                        near.filter(|(key, _)| key % 4 == 3).count()
                            >= 40.min((32_000 - key as usize) / 4)
                    );
                }
            });
            let writers = (0..WRITERS).map(|thread| {
                scope.spawn(move || write_and_check(map, writes, thread, u64::from(round)))
            });
            let writers: Vec<_> = writers.collect();
            let panics = writers.into_iter().filter_map(|writer| writer.join().err()).count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(panics, 0);
        });
        // A write to a leaf that could not be listed when it was split off lists it.
        let keys: Vec<u64> = map.keys().collect();
        for key in &keys {
            map.update(key, |value| value);
        }
        fences_are_whole(&map);
    });
    assert!(changes.into_inner() > 0);
}

/// Writes keys of its own, hot at one place after the other, and checks their values.
fn write_and_check(map: &FenceMap<u64, Wide>, writes: &AtomicUsize, thread: u64, round: u64) {
    let mut rng = Rng::new(seed() + round * 8 + thread);
    let mut mine = BTreeMap::new();
    for step in 0..12_000 {
        writes.fetch_add(1, Ordering::Relaxed);
        let hot = mix(step / 3_000 + round) % 7_000;
        let key = (hot + rng.next() % 800) * 4 + thread;
        match rng.below(4) {
            0 => assert_eq!(map.get(&key), mine.get(&key).copied()),
            1 => assert_eq!(map.remove(&key), mine.remove(&key)),
            _ => assert_eq!(map.insert(key, wide(step)), mine.insert(key, wide(step))),
        }
    }
    for (key, value) in &mine {
        assert_eq!(map.get(key), Some(*value));
    }
}

#[test]
fn fences_begin_at_the_given_keys() {
    let map = FenceMap::<u64, Wide>::new().with_splits([500, u64::MAX, 0, 500, 900]);
    let lows = |map: &FenceMap<u64, Wide>| map.fences().iter().map(|f| f.low).collect::<Vec<_>>();
    assert_eq!(lows(&map), [None, Some(0), Some(500), Some(900), Some(u64::MAX)]);
    assert_eq!((map.len(), map.first_key_value(), map.last_key_value()), (0, None, None));
    let mut model = BTreeMap::new();
    for n in [u64::MAX, 499, 500, 501, 0, 899, 900, u64::MAX - 1] {
        assert_eq!(map.insert(n, wide(n)), model.insert(n, wide(n)));
    }
    assert!(map.iter().eq(model));
    fences_are_whole(&map);
    // A map that has entries already; the bound is in the middle of a leaf.
    let map = (0..5_000).map(|n| (n * 2, wide(n))).collect::<FenceMap<u64, Wide>>();
    let before = model_of(&map);
    let map = map.with_splits([0, 33, 4_444, 9_000, 20_000]);
    for low in [33, 4_444, 9_000, 20_000] {
        assert!(lows(&map).contains(&Some(low)), "{low}");
    }
    assert!(map.iter().eq(before));
    fences_are_whole(&map);
    for _ in 0..4 {
        map.rebalance_step(ALL);
    }
    fences_are_whole(&map);
}

/// Ranks all keys the same, so that root and fences are searched by `Ord` alone.
struct Flat;
impl<K> Ranking<K> for Flat {
    fn rank(&self, _: &K) -> u64 {
        7
    }
}

#[test]
fn ranks_that_tie_are_no_hindrance() {
    let map = FenceMap::<u64, Wide, Flat>::with_ranking(Flat).with_splits([3_000, 1_000]);
    let mut rng = Rng::new(seed());
    for round in 0..12 {
        let hot = round % 3 * 1_500;
        for _ in 0..2_000 {
            let key = hot + rng.next() % 800;
            map.insert(key, wide(key));
            assert_eq!(map.get(&key), Some(wide(key)));
        }
        map.rebalance_step(ALL);
        fences_are_whole(&map);
    }
    assert!(map.stats().moved_leaves + map.stats().splits > 0);
}

/// An inconsistent order.
#[derive(Clone, Copy, Debug)]
struct Fickle(u64);
impl Ord for Fickle {
    fn cmp(&self, other: &Self) -> Order {
        mix(self.0 ^ other.0.rotate_left(32)).cmp(&(1 << 63))
    }
}
impl PartialOrd for Fickle {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Fickle {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}
impl Eq for Fickle {}

#[test]
fn no_lock_stays_taken_with_inconsistent_keys() {
    within(120, "rebalancing keys without order", || {
        let splits = (0..8).map(Fickle);
        let map = FenceMap::<Fickle, Wide, Flat>::with_ranking(Flat).with_splits(splits);
        let mut rng = Rng::new(seed());
        for n in 0..6_000 {
            map.insert(Fickle(rng.next() % 500), wide(n));
            if rng.one_in(50) {
                map.rebalance_step(ALL);
                map.remove(&Fickle(rng.next() % 500));
            }
        }
        let _ = map.fences();
    });
}

#[test]
fn a_map_without_entries_has_nothing_to_balance() {
    let map = FenceMap::<u64, Wide>::new();
    assert!(!map.rebalance_step(ALL) && map.fences().is_empty());
    map.insert(1, wide(1));
    for _ in 0..4 {
        assert!(!map.rebalance_step(ALL));
    }
    assert_eq!(map.fences().len(), 1);
    map.clear();
    assert!(!map.rebalance_step(ALL));
    fences_are_whole(&map);
}
