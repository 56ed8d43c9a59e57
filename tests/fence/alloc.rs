//! builds: asan
//!
//! Memory that runs out, and memory that is not needed: `try_` operations return their arguments, an empty map
//! allocates nothing, removed entries make room for new ones, and all memory is freed.

use crate::support;

use hedgerow::FenceMap;
use hedgerow::error::{TryError, TryInsertError};
use hedgerow::fence::Op;
use std::cell::Cell;
use std::collections::BTreeMap;
use support::alloc::{counted, failing, hooked};
use support::rng::mix;
use support::within;

const FOR_EVER: u64 = u64::MAX;

fn same_as(map: &FenceMap<u64, u64>, model: &BTreeMap<u64, u64>) {
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter().map(|(k, v)| (*k, *v))));
    for (key, value) in model {
        assert_eq!(map.get(key), Some(*value));
    }
}

#[test]
fn an_empty_map_allocates_nothing() {
    let ((), counts) = counted(|| {
        let map: FenceMap<u64, u64> = FenceMap::new();
        for map in [&map, &FenceMap::default(), &map.clone()] {
            assert_eq!((map.get(&1), map.try_get(&1), map.remove(&1)), (None, Ok(None), None));
            assert_eq!(
                (map.first_key_value(), map.last_key_value(), map.pop_first(), map.pop_last()),
                (None, None, None, None)
            );
            assert_eq!((map.floor(&1), map.successor(&1)), (None, None));
            assert!(map.compute(1, |_| Op::Keep).after.is_none());
            assert_eq!((map.range(..).len(), map.iter().count(), map.remove_range(..)), (0, 0, 0));
            map.get_many(&[1, 2, 3, 4, 5], &mut [None; 5]);
            map.retain(|_, _| true);
            map.clear();
            assert_eq!(map.stats().memory_bytes, 0);
        }
    });
    assert_eq!(counts.allocations, 0);
}

/// While a map grows, each allocation fails, one in each round, once or for ever. Refused entries come back, the others
/// are in the map, and the map grows on as soon as there is memory.
#[test]
fn an_insert_without_memory_hands_its_entry_back() {
    for doomed in [1, FOR_EVER] {
        for spared in 0..12 {
            let (map, mut model) = (FenceMap::<u64, u64>::new(), BTreeMap::new());
            let mut stored = Vec::with_capacity(4_000);
            let ((), counts) = failing(spared, doomed, || {
                for n in 0..4_000 {
                    let key = if n % 2 == 0 { mix(n) } else { n };
                    match map.try_insert(key, n) {
                        Ok(old) => {
                            assert_eq!(old, None);
                            stored.push((key, n));
                        }
                        Err(TryInsertError::Alloc { key: back, value }) => {
                            assert_eq!((back, value), (key, n));
                        }
                        Err(why) => panic!("nobody else is here: {why}"),
                    }
                }
            });
            model.extend(stored);
            assert!(counts.failures > 0, "{spared}");
            for n in 0..500 {
                assert_eq!(map.insert(mix(n) / 2, n), model.insert(mix(n) / 2, n));
            }
            same_as(&map, &model);
        }
    }
}

#[test]
fn a_range_that_finds_no_memory_says_so() {
    let map: FenceMap<u64, u64> = (0..5_000).map(|n| (n, n)).collect();
    for spared in 0..4 {
        let mut entries = Vec::new();
        let (done, counts) = failing(spared, FOR_EVER, || map.try_range_into(.., &mut entries));
        assert_eq!((done, counts.failures), (Err(TryError::Alloc), 1));
    }
    let mut entries = Vec::with_capacity(5_000);
    let (done, counts) = failing(0, FOR_EVER, || map.try_range_into(1_000..1_200, &mut entries));
    assert_eq!((done, counts.allocations, entries.len()), (Ok(()), 0, 200));
}

#[test]
fn lookups_and_removals_allocate_nothing() {
    let map: FenceMap<u64, u64> = (0..8_000).map(|n| (mix(n), n)).collect();
    let ((), counts) = counted(|| {
        for n in 0..8_000 {
            let key = mix(n);
            assert_eq!((map.get(&key), map.try_get(&key)), (Some(n), Ok(Some(n))));
            assert!(map.floor(&key).is_some() && map.ceiling(&key).is_some());
            map.predecessor(&key);
            assert_eq!(map.update(&key, |value| value), Some(n));
            assert_eq!(map.insert(key, n), Some(n));
        }
        for n in 0..8_000 {
            assert_eq!(map.remove(&mix(n)), Some(n));
        }
    });
    assert_eq!(counts.allocations, 0);
}

#[test]
fn all_memory_is_freed() {
    let ((), counts) = counted(|| {
        let map: FenceMap<u64, [u64; 3]> = (0..16_000).map(|n| (mix(n), [n; 3])).collect();
        let bytes = map.stats().memory_bytes;
        for round in 0..3 {
            map.retain(|key, _| key % 3 == round);
            let many = map.range(u64::MAX / 2..).len();
            assert_eq!(map.remove_range(u64::MAX / 2..), many);
            for n in 0..16_000 {
                map.insert(mix(n), [n; 3]);
            }
            assert!(map.stats().memory_bytes < bytes + bytes / 5, "removed entries make room");
        }
    });
    assert_eq!(counts.live, 0);
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// An allocator that itself uses the map finds nothing locked.
#[test]
fn an_allocator_may_use_the_map() {
    within(60, "an allocator that uses the map", || {
        static MAP: FenceMap<u64, u64> = FenceMap::new();
        MAP.insert(0, 0);
        let hook = || {
            CALLS.set(CALLS.get() + 1);
            assert_eq!(MAP.get(&0), Some(0));
            MAP.insert(u64::MAX - CALLS.get() % 50, 1);
            assert!(MAP.last_key_value().is_some() && MAP.remove(&(u64::MAX / 2)).is_none());
        };
        hooked(hook, || {
            for n in 1..3_000 {
                MAP.insert(mix(n), n);
                MAP.insert(n, n);
            }
            assert!(MAP.range(..).len() >= 5_000);
        });
        assert!(CALLS.get() > 20);
    });
}
