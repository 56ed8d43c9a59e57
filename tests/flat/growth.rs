//! builds: asan narrow portable tsan
//!
//! Guarantees of the whole map while it grows: no key is lost or doubled, a walk meets each key that stays exactly
//! once, growth happens when it is due, and replacing entries takes no more memory.

use crate::support;

use hedgerow::FlatMap;
use std::cell::Cell;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use support::hashers::{self, Mapped};
use support::rng::{Rng, mix};
use support::{Stop, assert_consistent, effort, joined_scope, seed, within};

/// Far more seconds than any of these needs.
const TIME_LIMIT: u64 = 300;

/// Returns the value of `key` in tests that may choose it.
fn value_of(key: u64) -> u64 {
    mix(key)
}

/// Decrements a number of threads when it is dropped, also by a panic.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn fill<V: Copy>(
    map: &FlatMap<u64, V, Mapped>,
    keys: impl IntoIterator<Item = u64>,
    value: impl Fn(u64) -> V,
) {
    for key in keys {
        map.insert(key, value(key));
    }
}

/// Two writers insert keys of their own and publish how far they are. Two readers look up acknowledged keys, which they
/// always find, and keys that no thread inserts, which they never find.
fn disjoint_inserts(hasher: Mapped, size: u64) {
    const WRITERS: usize = 2;
    let map = FlatMap::with_hasher(hasher);
    let done = [const { AtomicU64::new(0) }; WRITERS];
    let writing = AtomicUsize::new(WRITERS);
    let key = |writer: usize, n: u64| n * 4 + writer as u64;
    let (found, missed) = (AtomicU64::new(0), AtomicU64::new(0));
    joined_scope(|scope| {
        for (writer, done) in done.iter().enumerate() {
            let (map, writing) = (&map, &writing);
            scope.spawn(move || {
                let _leave = Leave(writing);
                for n in 0..size {
                    let key = key(writer, n);
                    assert_eq!(map.insert(key, value_of(key)), None, "{key} was there before");
                    done.store(n + 1, Ordering::Release);
                }
            });
        }
        for reader in 0..2 {
            let (map, writing, done, key) = (&map, &writing, &done, &key);
            let (found, missed) = (&found, &missed);
            scope.spawn(move || {
                let mut rng = Rng::new(seed() ^ reader);
                let mut last = false;
                while !last {
                    last = writing.load(Ordering::SeqCst) == 0;
                    for _ in 0..64 {
                        let writer = rng.below(WRITERS);
                        let known = done[writer].load(Ordering::Acquire);
                        if known > 0 {
                            // Old keys, and the newest.
                            let n = [rng.next() % known, known - 1][rng.below(2)];
                            let key = key(writer, n);
                            assert_eq!(map.get(&key), Some(value_of(key)), "{key} lost");
                            found.fetch_add(1, Ordering::Relaxed);
                        }
                        let never = (rng.next() % (4 * size)) | 2;
                        assert_eq!(map.get(&never), None, "{never} was never inserted");
                        assert!(!map.contains_key(&never), "{never} was never inserted");
                        missed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(found.into_inner() > 0 && missed.into_inner() > 0, "the readers did nothing");
    let keys = assert_consistent(&map);
    assert_eq!(keys.len() as u64, WRITERS as u64 * size, "keys lost or doubled");
    for writer in 0..WRITERS {
        assert!((0..size).all(|n| keys.contains(&key(writer, n))), "a key of {writer} is lost");
    }
}

#[test]
fn disjoint_inserts_lose_and_double_nothing() {
    within(TIME_LIMIT, "disjoint inserts", || {
        for (hasher, size) in hashers::all_with_sizes() {
            println!("{}", hasher.name);
            // A bin moves quickly, and a small table is soon outgrown: so there are several rounds.
            for _ in 0..if size > 1_000 { 5 } else { 1 } {
                disjoint_inserts(hasher, size / 2);
            }
        }
    });
}

/// Readers walk the map again and again while a writer makes it grow: each walk meets keys that stay exactly once, new
/// ones at most once, and no wrong value.
fn iteration_through_growth(hasher: Mapped, size: u64) {
    let lasting = size / 8;
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
    for key in 0..lasting {
        map.insert(key, value_of(key));
    }
    let over = AtomicBool::new(false);
    let walks = AtomicU64::new(0);
    joined_scope(|scope| {
        let (map, over, walks) = (&map, &over, &walks);
        let walker = move || {
            loop {
                let last = over.load(Ordering::SeqCst);
                let mut met = HashSet::new();
                for (n, (key, value)) in map.iter().enumerate() {
                    assert_eq!(value, value_of(key), "a wrong value for {key}");
                    assert!(met.insert(key), "{key} came twice in one walk");
                    if n % 64 == 0 {
                        thread::yield_now();
                    }
                }
                for key in 0..lasting {
                    assert!(met.contains(&key), "{key} was there throughout and did not come");
                }
                walks.fetch_add(1, Ordering::Relaxed);
                if last {
                    return;
                }
            }
        };
        scope.spawn(walker);
        scope.spawn(walker);
        scope.spawn(move || {
            let _stop = Stop(over);
            let enough = walks.load(Ordering::Relaxed) + 4;
            let mut key = lasting;
            // Grows in steps, so that walks begin and end at all sizes.
            while key < size || walks.load(Ordering::Relaxed) < enough && key < 2 * size {
                for _ in 0..size.div_ceil(64) {
                    map.insert(key, value_of(key));
                    key += 1;
                }
                thread::yield_now();
            }
        });
    });
    assert!(map.len() as u64 >= size);
    assert_consistent(&map);
}

#[test]
fn iteration_meets_lasting_keys_exactly_once() {
    within(TIME_LIMIT, "iteration through growth", || {
        for (hasher, size) in hashers::all_with_sizes() {
            println!("{}", hasher.name);
            iteration_through_growth(hasher, size);
        }
    });
}

/// A hasher that walks the map whenever it hashes a stored key, as a split does before each bin. Half of a segment's
/// bins are split then, and the others are not.
#[derive(Clone, Copy)]
struct Walking;

thread_local! {
    static WALKED: Cell<Option<&'static FlatMap<u64, u64, Walking>>> = const { Cell::new(None) };
    static HASHES: Cell<u64> = const { Cell::new(0) };
}

impl BuildHasher for Walking {
    type Hasher = support::hashers::Folding;

    fn build_hasher(&self) -> Self::Hasher {
        HASHES.set(HASHES.get() + 1);
        if HASHES.get().is_multiple_of(13)
            && let Some(map) = WALKED.take()
        {
            let mut keys = Vec::new();
            if HASHES.get().is_multiple_of(2) {
                keys.extend(map.keys());
            } else {
                map.keys().for_each(|key| keys.push(key));
            }
            let distinct: HashSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len(), "a key came twice in one walk");
            assert_eq!(keys.len(), map.len(), "a key did not come");
            WALKED.set(Some(map));
        }
        hashers::GOOD.build_hasher()
    }
}

#[test]
fn walks_amid_splits_meet_every_key_once() {
    let map: &'static FlatMap<u64, u64, Walking> =
        Box::leak(Box::new(FlatMap::with_hasher(Walking)));
    WALKED.set(Some(map));
    for key in 0..3_000 {
        map.insert(key, value_of(key));
    }
    WALKED.set(None);
    // SAFETY: the pointer is from a box, and the reference in `WALKED` is gone.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(map).cast_mut()) });
}

/// `keys` and `values` walk as `iter` does.
#[test]
fn keys_and_values_agree_with_iter() {
    for (hasher, size) in hashers::all_with_sizes() {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
        for key in 0..size / 4 {
            map.insert(key, value_of(key));
        }
        let pairs: Vec<_> = map.iter().collect();
        assert!(map.keys().eq(pairs.iter().map(|&(key, _)| key)));
        assert!(map.values().eq(pairs.iter().map(|&(_, value)| value)));
        // The rest of an iterator that has begun, by a fold.
        for begun in [0, 1, 20, 700] {
            let mut iter = map.iter();
            let mut folded: Vec<_> = iter.by_ref().take(begun).collect();
            iter.for_each(|pair| folded.push(pair));
            assert_eq!(folded, pairs, "a fold meets other entries");
            let mut iter = map.clone().into_iter();
            let some = iter.by_ref().take(begun).count();
            assert_eq!(some + iter.count(), pairs.len(), "a fold meets other entries");
        }
    }
}

/// `retain` removes what it should while other keys come in, and `clear` removes all that was there before. No other
/// keys go.
#[test]
fn retain_and_clear_take_what_they_should() {
    within(TIME_LIMIT, "retain and clear", || {
        for (hasher, size) in hashers::all_with_sizes() {
            let size = size / 4;
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            // Odd keys are there before and must go; even ones are inserted meanwhile and must stay.
            fill(&map, (0..size).map(|n| 2 * n + 1), |_| 0);
            joined_scope(|scope| {
                scope.spawn(|| fill(&map, (0..size).map(|n| 2 * n), |key| key / 2));
                scope.spawn(|| {
                    for _ in 0..4 {
                        map.retain(|key, value| {
                            assert!(*value == 0 || *value == key / 2, "another key's value");
                            key % 2 == 0
                        });
                    }
                });
            });
            let keys = assert_consistent(&map);
            assert_eq!(keys.len() as u64, size, "{}: not the even keys", hasher.name);
            assert!(keys.iter().all(|key| key % 2 == 0), "{}: an odd key stayed", hasher.name);

            // Keys that are inserted after a `clear` has returned stay; those that were there before it go.
            let cleared = AtomicBool::new(false);
            joined_scope(|scope| {
                scope.spawn(|| {
                    map.clear();
                    cleared.store(true, Ordering::SeqCst);
                });
                scope.spawn(|| {
                    for n in 0..size {
                        map.insert(1_000_000 + n, n);
                    }
                    while !cleared.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    for n in 0..size {
                        map.insert(2_000_000 + n, n);
                    }
                });
            });
            let keys = assert_consistent(&map);
            assert!(keys.iter().all(|&key| key >= 1_000_000), "an old key survived the clear");
            let late = keys.iter().filter(|&&key| key >= 2_000_000).count();
            assert_eq!(late as u64, size, "a key that came after the clear is lost");
        }
    });
}

/// Reserving beside other threads changes no contents.
#[test]
fn reserving_beside_writers_and_readers() {
    within(TIME_LIMIT, "reserving", || {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::default();
        let over = AtomicBool::new(false);
        joined_scope(|scope| {
            let (map, over) = (&map, &over);
            for thread in 0..2 {
                scope.spawn(move || {
                    let _stop = Stop(over);
                    for n in 0..5_000 {
                        let key = n * 2 + thread;
                        assert_eq!(map.insert(key, value_of(key)), None);
                        assert_eq!(map.get(&key), Some(value_of(key)), "{key} lost");
                    }
                });
            }
            scope.spawn(move || {
                for more in [1, 10, 100, 1_000, 10_000, 40_000] {
                    map.grow_step(more % 4);
                    map.reserve(more);
                    map.try_reserve(more / 2).expect("there is memory");
                }
                while !over.load(Ordering::SeqCst) {
                    map.reserve(1);
                    thread::yield_now();
                }
            });
        });
        assert_eq!(assert_consistent(&map).len(), 10_000);
    });
}

/// If steps of growth are frequent enough, inserts grow the map hardly at all. A step does what its budget allows, and
/// does nothing if nothing is due.
#[test]
fn inserts_find_growth_done() {
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    let size = effort(60_000);
    let bins = || map.stats().bins;
    let (mut done_by_inserts, mut key) = (0, 0);
    while key < size {
        while map.grow_step(1) {}
        let before = bins();
        assert!(!map.grow_step(0) && !map.grow_step(9) && bins() == before);
        // As many as a map of this size has room for.
        for _ in 0..(key / 40).max(1) {
            map.insert(key, value_of(key));
            key += 1;
        }
        done_by_inserts += bins() - before;
    }
    // A thirty-second of a few entries rounds to zero.
    assert!(done_by_inserts <= 32, "inserts made {done_by_inserts} bins of {}", bins());
    assert_eq!(assert_consistent(&map).len() as u64, key);

    // Growth that is behind schedule: for example, because entries were inserted while there was no memory.
    let before = bins();
    map.grow_step(2);
    assert!(bins() <= before + 2 * 128);
    map.clear();
    let before = bins();
    assert!(!map.grow_step(9) && bins() == before, "an empty map grows");
}

/// One thread only grows the map, beside readers, and writers that remove as much as they insert.
#[test]
fn growing_beside_writers_and_readers() {
    within(TIME_LIMIT, "growing ahead", || {
        for (hasher, size) in hashers::all_with_sizes() {
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            let writing = AtomicUsize::new(2);
            joined_scope(|scope| {
                let (map, writing) = (&map, &writing);
                for thread in 0..2 {
                    scope.spawn(move || {
                        let _leave = Leave(writing);
                        for n in 0..size {
                            let key = n * 2 + thread;
                            assert_eq!(map.insert(key, value_of(key)), None);
                            assert_eq!(map.get(&key), Some(value_of(key)), "{key} lost");
                            if n % 4 == 3 {
                                assert_eq!(map.remove(&(key - 4)), Some(value_of(key - 4)));
                            }
                        }
                    });
                }
                scope.spawn(move || {
                    while writing.load(Ordering::SeqCst) > 0 {
                        map.grow_step(1);
                    }
                });
            });
            assert_eq!(assert_consistent(&map).len() as u64, 2 * (size - size / 4));
        }
    });
}

/// A table of tens of megabytes, whose segments come from extents if there are huge pages. Inserts and two growing
/// threads take them at the same time.
#[test]
#[cfg_attr(miri, ignore = "much memory")]
fn a_large_table_grows_beside_writers() {
    within(TIME_LIMIT, "a large table", || {
        const KEYS: u64 = 30_000;
        let map: FlatMap<u64, [u64; 120], Mapped> = FlatMap::with_hasher(hashers::GOOD);
        let writing = AtomicUsize::new(2);
        joined_scope(|scope| {
            let (map, writing) = (&map, &writing);
            for thread in 0..2 {
                scope.spawn(move || {
                    let _leave = Leave(writing);
                    for key in thread * KEYS..(thread + 1) * KEYS {
                        assert!(map.insert(key, [key; 120]).is_none());
                    }
                });
                scope.spawn(move || {
                    while writing.load(Ordering::SeqCst) > 0 {
                        map.grow_step(2);
                    }
                });
            }
        });
        assert!(map.stats().memory_bytes > 48 << 20);
        assert_eq!(assert_consistent(&map).len() as u64, 2 * KEYS);
        assert!((0..2 * KEYS).all(|key| map.get(&key) == Some([key; 120])));
    });
}

/// Replacing every key four times takes no more memory than the keys did at first.
#[test]
fn churn_takes_no_more_memory() {
    within(TIME_LIMIT, "churn", || {
        let size = effort(20_000);
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
        fill(&map, 0..size, |key| key);
        let before = map.stats();
        for key in 0..4 * size {
            assert_eq!(map.remove(&key), Some(key));
            map.insert(size + key, size + key);
        }
        let after = map.stats();
        assert_eq!(map.len() as u64, size);
        assert!(
            after.memory_bytes * 100 <= before.memory_bytes * 115,
            "{} bytes before, {} after",
            before.memory_bytes,
            after.memory_bytes
        );
        assert_consistent(&map);

        // In one bin, whose overflow lines alone can be reused.
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
        fill(&map, 0..60, |key| key);
        let before = map.stats();
        for key in 0..2_000 {
            assert_eq!(map.remove(&key), Some(key));
            map.insert(60 + key, 60 + key);
        }
        let after = map.stats();
        assert!(
            after.memory_bytes <= before.memory_bytes,
            "{} bytes before, {} after",
            before.memory_bytes,
            after.memory_bytes
        );
    });
}

/// The same with several threads at once, whose keys come and go at different times.
#[test]
fn churn_of_many_threads_takes_no_more_memory() {
    within(TIME_LIMIT, "churn of many", || {
        let size = 4_000;
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
        fill(&map, 0..3 * size, |key| key);
        let before = map.stats().memory_bytes;
        joined_scope(|scope| {
            for thread in 0..3 {
                let map = &map;
                scope.spawn(move || {
                    let mut old = thread * size;
                    for turn in 0..4 * size {
                        let new = ((thread + 1) << 32) + turn;
                        if turn == size {
                            old = (thread + 1) << 32;
                        }
                        assert!(map.remove(&old).is_some(), "{old} lost");
                        assert_eq!(map.insert(new, new), None);
                        old += 1;
                    }
                });
            }
        });
        let after = map.stats().memory_bytes;
        assert_eq!(assert_consistent(&map).len() as u64, 3 * size);
        assert!(after * 100 <= before * 125, "{before} bytes before, {after} after");
    });
}

/// A map that only `try_insert` fills grows too: its keys are in bins, not in one long list.
#[test]
fn a_map_grown_by_try_insert_alone_is_no_list() {
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    let usual: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    for key in 0..3_000 {
        assert!(map.try_insert(key, key).is_ok(), "no other thread is here");
        usual.insert(key, key);
    }
    let (lines, usual) = (map.stats().overflow_lines, usual.stats().overflow_lines);
    assert!(lines <= 2 * usual + 50, "{lines} overflow lines, {usual} after plain inserts");
    assert_eq!(assert_consistent(&map).len(), 3_000);
}

/// A line without keys is free again, after removals, clearing and growth.
/// A key that says, when it is hashed, whether it was ever inserted: keys are not 0, and the memory of empty slots is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Inserted(u64);

impl std::hash::Hash for Inserted {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        assert_ne!(self.0, 0, "the map hashed a key that was never inserted");
        self.0.hash(state);
    }
}

/// Splits distribute exactly the entries of a bin, those of its overflow lines too, and show no other key to the user's
/// `Hash`.
#[test]
fn a_split_hashes_keys_alone() {
    let map = FlatMap::with_hasher(hashers::GOOD);
    let keys = 20_000;
    for key in 1..=keys {
        map.insert(Inserted(key), key);
        // Leaves holes among the slots in use.
        if key % 3 == 0 {
            map.remove(&Inserted(key));
        }
    }
    let mut met: Vec<u64> = map.keys().map(|key| key.0).collect();
    met.sort_unstable();
    assert!(met.into_iter().eq((1..=keys).filter(|key| key % 3 != 0)), "keys were lost or doubled");
}

#[test]
fn overflow_lines_come_back() {
    let lines = |map: &FlatMap<u64, u64, Mapped>| map.stats().overflow_lines;
    let crowd = |hasher| {
        let map = FlatMap::with_hasher(hasher);
        fill(&map, 0..100, |key| key);
        assert!(lines(&map) > 0, "{}: nothing overflowed", hasher.name);
        map
    };
    let map = crowd(hashers::CONSTANT);
    (0..100).rev().for_each(|key| assert_eq!(map.remove(&key), Some(key)));
    assert_eq!(lines(&map), 0, "after removals");
    let map = crowd(hashers::LOW_ENTROPY);
    map.clear();
    assert_eq!(lines(&map), 0, "after a clear");
    let map = crowd(hashers::ALL_ONES);
    map.retain(|_, _| false);
    assert_eq!(lines(&map), 0, "after a retain");

    // Some bins overflow with three thousand keys, and none after room for a hundred times as many was reserved.
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    fill(&map, 0..3_000, |key| key);
    assert!(lines(&map) > 0, "three thousand keys and no bin full");
    map.reserve(300_000);
    assert_eq!(lines(&map), 0, "after growth");
    assert_eq!(assert_consistent(&map).len(), 3_000);
}
