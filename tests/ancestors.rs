//! builds: default
//!
//! Faults of the ancestors and the rivals, each as a test of ours with its name.

mod support;

use hedgerow::FlatMap;
use hedgerow::flat::Op;
use std::hash::{BuildHasher, Hash};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::hashers::{self, Mapped, Watched};
use support::rng::{Rng, mix};
use support::{effort, ignore, joined_scope, rounds, seed, within};

const TIME_LIMIT: u64 = 120;

/// Sets the flag when dropped, by a panic too, so that a failure ends the test.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// FlatMap's ancestor freed the old table while readers were in it. Readers look, walk and count
/// while fresh maps grow from nothing, again and again; sanitizers see what a test cannot.
#[test]
fn flat_map_read_a_freed_table_during_resize() {
    within(TIME_LIMIT, "reading during resize", || {
        rounds(60, Duration::from_secs(3), |round| {
            let map: FlatMap<u64, [u64; 2]> = FlatMap::new();
            let over = AtomicBool::new(false);
            let known = AtomicU64::new(0);
            joined_scope(|scope| {
                let (map, over, known) = (&map, &over, &known);
                for reader in 0..2 {
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed() ^ u64::from(round) << 8 ^ reader);
                        while !over.load(Ordering::SeqCst) {
                            let known = known.load(Ordering::Acquire);
                            if known > 0 {
                                let key = rng.next() % known;
                                assert_eq!(map.get(&key), Some([key, !key]), "{key} is lost");
                            }
                            assert_eq!(map.get(&(rng.next() | 1 << 63)), None);
                            if rng.one_in(64) {
                                assert!(map.iter().all(|(key, value)| value == [key, !key]));
                            }
                        }
                    });
                }
                let _over = Over(over);
                for key in 0..3_000 {
                    map.insert(key, [key, !key]);
                    known.store(key + 1, Ordering::Release);
                }
            });
        });
    });
}

/// FlatMap's ancestor cloned values while a writer was changing them, and its reader lacked a
/// fence: a copy could be half old and half new.
#[test]
fn flat_map_returned_torn_values() {
    within(TIME_LIMIT, "torn values", || {
        for hasher in [hashers::GOOD, hashers::CONSTANT] {
            let map: FlatMap<u64, [u64; 8], Mapped> = FlatMap::with_hasher(hasher);
            // If all keys share a bin, the last of them is in an overflow line.
            for key in 0..12 {
                map.insert(key, [0; 8]);
            }
            let over = AtomicBool::new(false);
            let seen = AtomicU64::new(0);
            joined_scope(|scope| {
                let (map, over, seen) = (&map, &over, &seen);
                for _ in 0..2 {
                    scope.spawn(move || {
                        let mut last = [0; 12];
                        while !over.load(Ordering::SeqCst) {
                            for key in 0..12 {
                                let value = map.get(&key).expect("it is always there");
                                assert!(value.iter().all(|&word| word == value[0]), "{value:?}");
                                let last = &mut last[key as usize];
                                assert!(*last <= value[0], "went back");
                                *last = value[0];
                            }
                            seen.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                let _over = Over(over);
                let end = Instant::now() + effort(Duration::from_millis(500));
                for n in 1.. {
                    for key in 0..12 {
                        map.insert(key, [n; 8]);
                    }
                    if Instant::now() > end && seen.load(Ordering::Relaxed) > 0 {
                        break;
                    }
                }
            });
        }
    });
}

/// FlatMap's ancestor had a short cut for integer keys that ignored the map's own hasher.
#[test]
fn flat_map_bypassed_custom_hashers_for_integers() {
    fn crowded<K: Copy + Eq + Hash>(make: impl Fn(u8) -> K) {
        let hasher = Watched::new(hashers::CONSTANT);
        let probe = hasher.clone();
        let map: FlatMap<K, u8, Watched> = FlatMap::with_hasher(hasher);
        for n in 0..100 {
            map.insert(make(n), n);
        }
        assert!(probe.uses() >= 100, "the hasher was not asked");
        assert!(map.stats().overflow_lines > 0, "equal hashes did not meet in one bin");
        let before = probe.uses();
        for n in 0..100 {
            assert_eq!(map.get(&make(n)), Some(n));
        }
        assert!(probe.uses() >= before + 100, "a look-up did not ask the hasher");
    }
    crowded(|n| n);
    crowded(u16::from);
    crowded(u32::from);
    crowded(u64::from);
    crowded(u128::from);
    crowded(usize::from);
    crowded(u8::cast_signed);
    crowded(i16::from);
    crowded(i32::from);
    crowded(i64::from);
    crowded(i128::from);
    crowded(|n| n as isize);
}

/// FenceMap's ancestor panicked on the largest key, having computed the one after it.
#[test]
fn fence_map_panicked_on_the_largest_key() {
    fn ends<S: BuildHasher>(map: &FlatMap<u64, u64, S>) {
        let keys = [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
        for round in 0..2 {
            for key in keys {
                assert_eq!(map.insert(key, !key), (round == 1).then_some(!key));
            }
        }
        // Growth moves them, too.
        for key in 0..500 {
            map.insert(1_000 + mix(key) / 4, key);
        }
        for key in keys {
            assert_eq!(map.get(&key), Some(!key));
            assert_eq!(map.iter().filter(|&(found, _)| found == key).count(), 1);
            assert_eq!(map.remove(&key), Some(!key));
            assert_eq!(map.get(&key), None);
        }
    }
    ends(&FlatMap::<_, _>::new());
    for hasher in hashers::ALL {
        ends(&FlatMap::with_hasher(hasher));
    }
    let small: FlatMap<u8, u8, Mapped> = FlatMap::with_hasher(hashers::IDENTITY);
    for key in 0..=u8::MAX {
        small.insert(key, key);
    }
    assert!((0..=u8::MAX).all(|key| small.get(&key) == Some(key)));
    assert_eq!(small.len(), 256);
}

/// leapfrog never came back when two threads inserted into a small map.
#[test]
fn leapfrog_hung_when_two_threads_inserted_into_a_small_map() {
    within(TIME_LIMIT, "two threads inserting into a small map", || {
        rounds(400, Duration::from_secs(3), |round| {
            let map: FlatMap<u64, u64> = FlatMap::with_capacity(round as usize % 4);
            let begin = Barrier::new(2);
            joined_scope(|scope| {
                for thread in 0..2 {
                    let (map, begin) = (&map, &begin);
                    scope.spawn(move || {
                        begin.wait();
                        for n in 0..200 {
                            // Half of the keys are both threads' own, half are shared.
                            let key = if n % 2 == 0 { n } else { n | (thread + 1) << 32 };
                            map.insert(key, n);
                        }
                    });
                }
            });
            assert_eq!(map.len(), 300);
            assert_eq!(map.iter().count(), 300);
        });
    });
}

/// dashmap and scc deadlock when a thread that holds a reference writes to the map. Here nothing
/// is held: not by a closure, not by an iterator.
#[test]
fn dashmap_deadlocked_under_a_held_reference() {
    within(TIME_LIMIT, "writing while reading", || {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
        for key in 0..20 {
            map.insert(key, key);
        }
        for key in 0..20 {
            let old = map.get_with(&key, |value| {
                assert_eq!(map.remove(&key), Some(*value));
                map.insert(key, value + 1);
                *value
            });
            assert_eq!((old, map.get(&key)), (Some(key), Some(key + 1)));
        }
        for (key, value) in &map {
            map.insert(key, value + 1);
            map.insert(key + 100, 0);
            map.remove(&(key + 100));
        }
        assert!((0..20).all(|key| map.get(&key) == Some(key + 2)));
        let walk = map.iter();
        map.clear();
        drop(walk);

        // Another thread writes the key whose value this one is looking at, and this one waits.
        map.insert(7, 1);
        let (asked, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let wait_for = |flag: &AtomicBool| {
            while !flag.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        joined_scope(|scope| {
            scope.spawn(|| {
                wait_for(&asked);
                map.insert(7, 2);
                map.retain(|_, value| {
                    *value += 1;
                    true
                });
                done.store(true, Ordering::Release);
            });
            let held = map.get_with(&7, |value| {
                asked.store(true, Ordering::Release);
                wait_for(&done);
                *value
            });
            assert_eq!((held, map.get(&7)), (Some(1), Some(3)));
        });
    });
}

/// crossbeam's skip list answers None while another thread replaces the key (its issue 1023).
#[test]
fn crossbeam_lost_a_key_while_it_was_replaced() {
    within(TIME_LIMIT, "replacing a key", || {
        for hasher in [hashers::GOOD, hashers::CONSTANT] {
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            map.insert(7, 0);
            let over = AtomicBool::new(false);
            let asked = AtomicU64::new(0);
            joined_scope(|scope| {
                let (map, over, asked) = (&map, &over, &asked);
                for _ in 0..2 {
                    scope.spawn(move || {
                        while !over.load(Ordering::SeqCst) {
                            assert!(map.get(&7).is_some(), "get lost it");
                            assert!(map.contains_key(&7), "contains_key lost it");
                            assert!(map.get_with(&7, |_| ()).is_some(), "get_with lost it");
                            if let Ok(found) = map.try_get(&7) {
                                assert!(found.is_some(), "try_get lost it");
                            }
                            assert!(map.iter().any(|(key, _)| key == 7), "iter lost it");
                            assert!(map.insert_if_absent(7, 0).is_err(), "absent for a moment");
                            asked.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                let _over = Over(over);
                let end = Instant::now() + effort(Duration::from_millis(500));
                let others = if hasher.name == "good" { 3_000 } else { 60 };
                let mut rng = Rng::new(seed());
                while Instant::now() < end || asked.load(Ordering::Relaxed) == 0 {
                    for n in 0..32 {
                        ignore(map.insert(7, n));
                        ignore(map.update(&7, |value| value + 1));
                        ignore(map.compute(7, |_| Op::Insert(n)));
                        // Its neighbours come and go; it may move, and never away.
                        let other = 100 + rng.next() % others;
                        if map.remove(&other).is_none() {
                            map.insert(other, 0);
                        }
                    }
                    map.retain(|&key, value| {
                        *value += 1;
                        key == 7 || key % 2 == 0
                    });
                }
            });
        }
    });
}

/// scc's HashIndex misses a key that is always there, while others beside it come and go.
#[test]
fn hash_index_missed_a_key_that_was_always_there() {
    within(TIME_LIMIT, "keys that are always there", || {
        for hasher in [hashers::GOOD, hashers::CONSTANT, hashers::LOW_ENTROPY] {
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            for key in 0..10 {
                // In the bin and in its lines.
                for between in 0..3 {
                    map.insert(1_000 + key * 3 + between, 0);
                }
                map.insert(key, key);
            }
            let over = AtomicBool::new(false);
            joined_scope(|scope| {
                let (map, over) = (&map, &over);
                scope.spawn(move || {
                    let _over = Over(over);
                    let mut rng = Rng::new(seed());
                    let end = Instant::now() + effort(Duration::from_millis(300));
                    while Instant::now() < end {
                        for _ in 0..64 {
                            let key = 1_000 + rng.next() % 60;
                            if map.remove(&key).is_none() {
                                map.insert(key, 0);
                            }
                        }
                    }
                });
                for _ in 0..2 {
                    scope.spawn(move || {
                        while !over.load(Ordering::SeqCst) {
                            for key in 0..10 {
                                assert_eq!(map.get(&key), Some(key), "{key} was missed");
                            }
                        }
                    });
                }
            });
        }
    });
}

/// egomap's delete stored a zero.
#[test]
fn egomap_deleted_by_storing_zero() {
    let map: FlatMap<u64, u64> = FlatMap::new();
    map.insert(1, 5);
    assert_eq!(map.remove(&1), Some(5));
    assert_eq!((map.get(&1), map.contains_key(&1), map.len()), (None, false, 0));
    assert_eq!(map.iter().next(), None);
    map.insert(1, 0);
    assert_eq!((map.get(&1), map.len()), (Some(0), 1));
    assert_eq!(map.insert_if_absent(1, 7).unwrap_err().current, 0, "a zero is a value");
}

/// The page that lists the ancestors' plans names the test of each, as `binary::module::name`.
#[test]
fn the_page_of_the_ancestors_names_tests_that_exist() {
    let page = include_str!("../src/docs/ancestors.md");
    let words = page.split('`').filter(|word| word.split("::").count() > 1);
    let tests: Vec<_> = words
        .filter(|word| word.chars().all(|c| c.is_alphanumeric() || "_:".contains(c)))
        .collect();
    let mut missing = Vec::new();
    for test in &tests {
        let (file, name) = test.rsplit_once("::").unwrap();
        let file = format!("{}/tests/{}.rs", env!("CARGO_MANIFEST_DIR"), file.replace("::", "/"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if !text.contains(&format!("fn {name}(")) {
            missing.push(test);
        }
    }
    assert!(missing.is_empty(), "src/docs/ancestors.md names tests that are gone: {missing:?}");
    assert!(tests.len() > 20, "the page names {} tests", tests.len());
}
