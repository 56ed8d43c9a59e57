//! builds: asan
//!
//! Memory that runs out under an `OrdMap`, and memory that it does not need.

mod support;

use hedgerow::OrdMap;
use hedgerow::error::TryInsertError;
use hedgerow::owned::pin;
use std::collections::BTreeMap;
use support::alloc::{Injected, counted, failing};
use support::rng::mix;

#[global_allocator]
static ALLOCATOR: Injected = Injected;

const FOR_EVER: u64 = u64::MAX;

fn same_as(map: &OrdMap<u64, u64>, model: &BTreeMap<u64, u64>) {
    let guard = pin();
    assert_eq!(map.len(), model.len());
    assert!(map.with_guard(&guard).iter().eq(model));
    assert!(model.iter().all(|(key, value)| map.with_guard(&guard).get(key) == Some(value)));
}

#[test]
fn an_empty_map_allocates_nothing() {
    let guard = pin();
    let ((), counts) = counted(|| {
        let map = OrdMap::<u64, u64>::new();
        assert_eq!(
            (map.with_guard(&guard).get(&1), map.with_guard(&guard).try_get(&1)),
            (None, Ok(None))
        );
        assert!(map.remove(&1).is_none() && map.pop_first().is_none() && map.pop_last().is_none());
        assert_eq!(
            (
                map.with_guard(&guard).first_key_value(),
                map.with_guard(&guard).last_key_value(),
                map.with_guard(&guard).floor(&1)
            ),
            (None, None, None)
        );
        assert_eq!(
            (map.with_guard(&guard).range(1..).len(), map.with_guard(&guard).iter().count()),
            (0, 0)
        );
        assert_eq!(map.remove_range(1..), 0);
        map.retain(|_, _| true);
        map.clear();
        map.reclaim();
        assert_eq!((map.stats().memory_bytes, map.into_iter().count()), (0, 0));
    });
    assert_eq!(counts.allocations, 0);
}

#[test]
fn lookups_and_removals_allocate_nothing() {
    let map: OrdMap<u64, u64> = (0..2_000).map(|n| (mix(n), n)).collect();
    let guard = pin();
    let ((), counts) = counted(|| {
        for n in 0..2_000 {
            assert_eq!(map.with_guard(&guard).get(&mix(n)), Some(&n));
            assert!(map.with_guard(&guard).ceiling(&mix(n)).is_some() && map.contains_key(&mix(n)));
            assert_eq!(map.remove(&mix(n)).as_deref(), Some(&n));
        }
    });
    assert_eq!(counts.allocations, 0);
}

/// While a map grows, each allocation fails, one in each round, once or for ever, those of bounds too. Refused entries
/// come back, the others are in the map, and the map grows on as soon as there is memory.
#[test]
fn an_insert_without_memory_hands_its_entry_back() {
    drop(pin());
    for doomed in [1, FOR_EVER] {
        for spared in (0..12).chain([127, 128, 129, 130, 131, 132, 133, 134, 400, 1_000]) {
            let (map, mut model) = (OrdMap::<u64, u64>::new(), BTreeMap::new());
            let mut stored = Vec::with_capacity(2_000);
            let ((), counts) = failing(spared, doomed, || {
                for n in 0..2_000 {
                    let key = if n % 2 == 0 { mix(n) } else { n };
                    match map.try_insert(key, n) {
                        Ok(old) => {
                            assert!(old.is_none());
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
            same_as(&map, &model);
            for n in 0..1_000 {
                let before = model.insert(mix(n) / 2, n);
                assert_eq!(map.insert(mix(n) / 2, n).as_deref().copied(), before);
            }
            same_as(&map, &model);
        }
    }
}
