//! builds: asan
//!
//! Memory that runs out under persistent collections, and memory that they do not need.

mod support;

use hedgerow::error::TryInsertError;
use hedgerow::persistent::{PersistentMap, PersistentVec};
use std::collections::BTreeMap;
use support::alloc::{Injected, counted, failing};
use support::rng::Rng;

#[global_allocator]
static ALLOCATOR: Injected = Injected;

#[test]
fn empty_collections_and_clones_allocate_nothing() {
    let map: PersistentMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    let ((), counts) = counted(|| {
        drop((PersistentMap::<u32, u32>::new(), PersistentVec::<u32>::new()));
        let version = map.clone();
        assert!(version.contains_key(&7) && version.iter().count() == 1000);
    });
    assert_eq!((counts.allocations, counts.live), (0, 0));
}

/// Each allocation of each change fails once. The change is refused, and nothing has changed.
#[test]
fn a_change_without_memory_changes_nothing() {
    let mut rng = Rng::new(5);
    for entries in [0_u64, 1, 8, 62, 500, 4000] {
        let base: PersistentMap<u64, u64> = (0..entries).map(|n| (2 * n, n)).collect();
        let model: BTreeMap<u64, u64> = (0..entries).map(|n| (2 * n, n)).collect();
        for round in 0..8 {
            let key = rng.below(2 * entries as usize + 1) as u64;
            for spared in 0.. {
                let mut map = base.clone();
                if round % 2 == 1 {
                    map.insert(0, 0);
                }
                let (mut model, before) = (model.clone(), map.clone());
                if round % 2 == 1 {
                    model.insert(0, 0);
                }
                let inserts = round < 4;
                let (done, counts) = failing(spared, 1, || {
                    if inserts {
                        map.try_insert(key, 7).map_err(|why| match why {
                            TryInsertError::Alloc { key: back, value } => {
                                assert_eq!((back, value), (key, 7));
                            }
                            _ => unreachable!("memory is all that can lack"),
                        })
                    } else {
                        map.try_remove_entry(&key)
                            .map(|entry| entry.map(|(_, value)| value))
                            .map_err(drop)
                    }
                });
                if let Ok(old) = done {
                    assert_eq!(
                        old,
                        if inserts { model.insert(key, 7) } else { model.remove(&key) }
                    );
                    assert!(map.iter().eq(&model));
                } else {
                    assert_eq!(counts.failures, 1);
                    assert_eq!(map, before, "a change without memory has changed something");
                }
                if counts.failures == 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn an_element_without_memory_comes_back() {
    let mut elements: PersistentVec<u64> = (0..1000).collect();
    let version = elements.clone();
    let (refused, _) = failing(0, u64::MAX, || elements.try_insert(500, 7));
    assert_eq!(refused, Err(7));
    assert_eq!(elements, version);
    assert_eq!(elements.try_insert(500, 7), Ok(()));
    assert_eq!((elements[500], elements.len(), version.len()), (7, 1001, 1000));
}

/// All that a map takes from the allocator goes back.
#[test]
fn all_memory_is_given_back() {
    let ((), counts) = counted(|| {
        let mut rng = Rng::new(9);
        let (mut map, mut versions) = (PersistentMap::new(), Vec::new());
        for step in 0..20_000_u64 {
            let key = rng.below(5000) as u64;
            match rng.below(10) {
                0..6 => drop(map.insert(key, Box::new(step))),
                6..9 => drop(map.remove(&key)),
                _ if step % 50 == 0 => {
                    let mut right = map.split_off(&key);
                    map.append(&mut right);
                    versions.push(map.clone());
                    if versions.len() > 10 {
                        versions.swap_remove(rng.below(10));
                    }
                }
                _ => drop(map.pop_first()),
            }
        }
    });
    assert_eq!(counts.live, 0, "memory is left");
}
