//! Each map under a model checker: two threads with two operations each have all the outcomes that the order of the
//! operations can bring about, and no other.
#![cfg(any(loom, shuttle))]

use hedgerow::left_right::SharedWriteHandle;
use hedgerow::*;
use hedgerow_modelled::model::{both, explore};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What `contains` is asked for after another key was inserted: by the first thread, and by the second.
type Met = (bool, bool);

/// Each thread inserts a key, and then looks for the other's. In a model they never both miss, because it has one order
/// of all operations. (The maps promise that only if both threads execute a fence in between.)
fn insert_and_look<M: Send + Sync + 'static>(
    new: impl Fn() -> M + Send + Sync + 'static,
    insert: fn(&M, u64),
    contains: fn(&M, u64) -> bool,
) {
    let (met, executions) = explore(move || {
        let map = Arc::new(new());
        let shared = map.clone();
        let one = || {
            insert(&map, 1);
            contains(&map, 2)
        };
        let other = move || {
            insert(&shared, 2);
            contains(&shared, 1)
        };
        both(one, other)
    });
    let name = std::any::type_name::<M>();
    println!("{executions:6} executions of {name}");
    let expected: BTreeSet<Met> = [(false, true), (true, false), (true, true)].into();
    assert_eq!(met, expected, "{name}");
}

/// The maps whose operations have the same names.
macro_rules! each_map {
    ($($test:ident: $map:ty = $new:expr, $insert:expr, $contains:expr;)*) => {$(
        #[test]
        fn $test() {
            insert_and_look::<$map>(|| $new, $insert, $contains);
        }
    )*};
}

each_map! {
    hash_map: HashMap<u64, String> = HashMap::new(),
        |map, key| drop(map.insert(key, key.to_string())), |map, key| map.contains_key(&key);
    bytes_map: BytesMap = BytesMap::new(),
        |map, key| drop(map.insert(key.to_be_bytes(), b"value")), |map, key| map.contains_key(key.to_be_bytes());
    flat_map: FlatMap<u64, (u8, u32)> = FlatMap::new(),
        |map, key| _ = map.insert(key, (1, 2)), |map, key| map.contains_key(&key);
    flat_table: FlatTable<u64, (u8, u32), 8> = FlatTable::new(),
        |map, key| _ = map.insert(key, (1, 2)), |map, key| map.contains_key(&key);
    ord_map: OrdMap<u64, String> = OrdMap::new(),
        |map, key| drop(map.insert(key, key.to_string())), |map, key| map.contains_key(&key);
    fence_map: FenceMap<u64, (u8, u32)> = FenceMap::new(),
        |map, key| _ = map.insert(key, (1, 2)), |map, key| map.contains_key(&key);
    compressed_map: CompressedMap = CompressedMap::with_budget(1 << 16),
        |map, key| _ = map.insert(&key.to_be_bytes(), b"value"), |map, key| map.contains_key(&key.to_be_bytes());
    hash_set: HashSet<u64> = HashSet::new(),
        |set, key| assert!(set.insert(key)), |set, key| set.contains(&key);
    flat_set: FlatSet<u64> = FlatSet::new(),
        |set, key| assert!(set.insert(key)), |set, key| set.contains(&key);
    ord_set: OrdSet<u64> = OrdSet::new(),
        |set, key| assert!(set.insert(key)), |set, key| set.contains(&key);
    fence_set: FenceSet<u64> = FenceSet::new(),
        |set, key| assert!(set.insert(key)), |set, key| set.contains(&key);
}

/// How a reader's view of two keys can be, while another thread inserts the first and then the second of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum View {
    Neither,
    First,
    Both,
    /// No map was ever in this state.
    SecondAlone,
}
use View::{Both, First, Neither, SecondAlone};

/// Returns all views of a walk over keys 1 to 9, while another thread inserts the first and the last of them, in this
/// order or in the other.
fn views_while_two_are_inserted<M: Send + Sync + 'static>(
    new: fn() -> M,
    insert: fn(&M, u64),
    walk: fn(&M) -> Vec<u64>,
) -> Vec<View> {
    let explore_order = |first, second| {
        let (seen, executions) = explore(move || {
            let map = Arc::new(new());
            (2..9).for_each(|key| insert(&map, key));
            let shared = map.clone();
            let inserts = move || {
                insert(&shared, first);
                insert(&shared, second);
            };
            let seen = both(|| walk(&map), inserts).0;
            assert!((2..9).all(|key| seen.contains(&key)), "a key that stayed is missing");
            match (seen.contains(&first), seen.contains(&second)) {
                (false, false) => Neither,
                (true, false) => First,
                (true, true) => Both,
                (false, true) => SecondAlone,
            }
        });
        println!("{executions:6} executions of a walk over {}", std::any::type_name::<M>());
        seen
    };
    explore_order(1, 9).union(&explore_order(9, 1)).copied().collect()
}

#[test]
fn a_walk_is_no_snapshot() {
    let all = [Neither, First, Both, SecondAlone];
    let keys = |map: &FlatTable<u64, u64, 64>| map.keys().collect();
    let seen =
        views_while_two_are_inserted(FlatTable::new, |map, key| _ = map.insert(key, 0), keys);
    assert_eq!(seen, all, "FlatTable");
    let keys = |map: &FlatMap<u64, u64>| map.keys().collect();
    let seen = views_while_two_are_inserted(FlatMap::new, |map, key| _ = map.insert(key, 0), keys);
    assert_eq!(seen, all, "FlatMap");
    let keys = |map: &HashMap<u64, u64>| map.pin().keys().copied().collect();
    let seen =
        views_while_two_are_inserted(HashMap::new, |map, key| drop(map.insert(key, 0)), keys);
    assert_eq!(seen, all, "HashMap");
    let keys = |map: &FenceMap<u64, u64>| map.keys().collect();
    let seen = views_while_two_are_inserted(FenceMap::new, |map, key| _ = map.insert(key, 0), keys);
    assert_eq!(seen, all, "FenceMap");
    let keys = |map: &OrdMap<u64, u64>| map.pin().keys().copied().collect();
    let seen = views_while_two_are_inserted(OrdMap::new, |map, key| drop(map.insert(key, 0)), keys);
    assert_eq!(seen, all, "OrdMap");
}

#[test]
fn a_range_of_an_ordered_map_is_a_snapshot() {
    let all = [Neither, First, Both];
    let keys = |map: &FenceMap<u64, u64>| map.range(..).map(|(key, _)| key).collect();
    let seen = views_while_two_are_inserted(FenceMap::new, |map, key| _ = map.insert(key, 0), keys);
    assert_eq!(seen, all, "FenceMap");
    let keys = |map: &OrdMap<u64, u64>| map.pin().range(..).map(|(key, _)| *key).collect();
    let seen = views_while_two_are_inserted(OrdMap::new, |map, key| drop(map.insert(key, 0)), keys);
    assert_eq!(seen, all, "OrdMap");
}

#[test]
fn many_lookups_are_no_snapshot() {
    let found = |map: &FlatMap<u64, u64>| {
        let keys: [u64; 9] = core::array::from_fn(|at| at as u64 + 1);
        let mut values = [None; 9];
        map.get_many(&keys, &mut values);
        keys.into_iter().zip(values).filter_map(|(key, value)| value.map(|_| key)).collect()
    };
    let seen = views_while_two_are_inserted(FlatMap::new, |map, key| _ = map.insert(key, 0), found);
    assert_eq!(seen, [Neither, First, Both, SecondAlone]);
}

#[test]
fn readers_of_a_left_right_map_see_what_was_published() {
    let (seen, executions) = explore(|| {
        let (mut writer, reader) = LeftRightMap::new();
        let changes = move || {
            writer.insert(1, String::from("a"));
            writer.publish();
            // Waits for the reader, if that may be in the old state.
            writer.insert(2, String::from("b"));
            writer.remove(&1);
            writer.publish();
        };
        let reads = || {
            let first = reader.get(&1).map(|value| value.clone());
            let state = reader.enter();
            (first, state.get(&1).cloned(), state.get(&2).cloned())
        };
        both(reads, changes).0
    });
    println!("{executions:6} executions of LeftRightMap");
    let (none, a, b) = (None, Some(String::from("a")), Some(String::from("b")));
    let expected = [
        (none.clone(), none.clone(), none.clone()),
        (none.clone(), a.clone(), none.clone()),
        (none.clone(), none.clone(), b.clone()),
        (a.clone(), a.clone(), none.clone()),
        (a, none, b),
    ];
    assert_eq!(seen, expected.into());
}

#[test]
fn two_writers_share_a_left_right_map() {
    let (seen, executions) = explore(|| {
        let (writer, reader) = LeftRightMap::<u64, u64>::new();
        let writer = SharedWriteHandle::new(writer);
        let shared = writer.clone();
        let publish = |writer: &SharedWriteHandle<u64, u64>, key| {
            writer.insert(key, key);
            writer.publish();
        };
        both(|| publish(&writer, 1), move || publish(&shared, 2));
        reader.enter().len()
    });
    println!("{executions:6} executions of SharedWriteHandle");
    assert_eq!(seen, [2].into());
}

#[test]
fn a_fixed_left_right_table_has_one_writer() {
    let (seen, executions) = explore(|| {
        let table = Arc::new(LeftRightTable::<u64, u64, 2, 2>::new());
        let shared = table.clone();
        let write = |table: &LeftRightTable<u64, u64, 2, 2>, key| {
            let Some(mut writer) = table.writer() else { return false };
            writer.insert(key, key).unwrap();
            writer.publish();
            true
        };
        let wrote = both(|| write(&table, 1), move || write(&shared, 2));
        (wrote, table.reader().unwrap().enter().len())
    });
    println!("{executions:6} executions of LeftRightTable");
    assert_eq!(seen, [((true, true), 2), ((true, false), 1), ((false, true), 1)].into());
}

#[test]
fn a_batch_is_atomic() {
    let (seen, executions) = explore(|| {
        let map = Arc::new(FenceMap::<u64, u64>::new());
        let shared = map.clone();
        let batch = move || _ = shared.apply_batch(&[(1, Op::Insert(1)), (9, Op::Insert(9))]);
        both(|| (map.get(&1), map.get(&9)), batch).0
    });
    println!("{executions:6} executions of a batch");
    assert_eq!(seen, [(None, None), (None, Some(9)), (Some(1), Some(9))].into());
}

#[test]
fn a_value_is_computed_once() {
    let (seen, executions) = explore(|| {
        let cache = Arc::new(CompressedMap::with_budget(1 << 16));
        let made = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (shared, also_made) = (cache.clone(), made.clone());
        let get = |cache: &CompressedMap, made: &std::sync::atomic::AtomicUsize| {
            let make = || {
                made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // Others may run here.
                hedgerow_modelled::model::thread::yield_now();
                b"value".to_vec()
            };
            cache.get_or_insert_with(b"key", make).unwrap()
        };
        let values = both(|| get(&cache, &made), move || get(&shared, &also_made));
        assert_eq!(values, (b"value".to_vec(), b"value".to_vec()));
        made.load(std::sync::atomic::Ordering::Relaxed)
    });
    println!("{executions:6} executions of a computation");
    assert_eq!(seen, [1].into());
}

#[test]
fn a_closure_may_use_its_map() {
    let (seen, executions) = explore(|| {
        let map = Arc::new(HashMap::<u64, u64>::new());
        let shared = map.clone();
        let update = |map: &HashMap<u64, u64>| {
            map.compute(1, |n| {
                map.insert(2, 2);
                Op::Insert(n.unwrap_or(&0) + 1)
            });
        };
        both(|| update(&map), move || update(&shared));
        (map.get(&1).as_deref().copied(), map.len())
    });
    println!("{executions:6} executions of a closure");
    assert_eq!(seen, [(Some(2), 2)].into());
}

#[test]
fn a_map_of_another_execution_is_refused() {
    let map = Arc::new(HashMap::<u64, u64>::new());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        explore(move || {
            let shared = map.clone();
            both(|| drop(map.insert(1, 1)), move || drop(shared.insert(2, 2)));
        });
    }));
    let panic = *result.unwrap_err().downcast::<&str>().unwrap();
    assert!(panic.contains("was used in another execution"), "{panic}");
}

/// What loom knows about memory: data that one thread reaches through a map comes after what the other did to it.
#[cfg(loom)]
mod happens_before {
    use super::*;
    use loom::cell::UnsafeCell;

    /// Data without an order of its own.
    struct Plain(UnsafeCell<u64>);
    // SAFETY: loom checks that the accesses of threads are in some order.
    unsafe impl Send for Plain {}
    // SAFETY: as above.
    unsafe impl Sync for Plain {}

    impl Plain {
        fn new(value: u64) -> Self {
            let plain = Self(UnsafeCell::new(0));
            plain.set(value);
            plain
        }

        fn set(&self, value: u64) {
            // SAFETY: loom checks that no other thread accesses it meanwhile.
            self.0.with_mut(|cell| unsafe { *cell = value });
        }

        fn get(&self) -> u64 {
            // SAFETY: loom checks that no thread writes meanwhile.
            self.0.with(|cell| unsafe { *cell })
        }
    }

    impl Drop for Plain {
        fn drop(&mut self) {
            self.set(0);
        }
    }

    #[test]
    fn values_that_closures_make() {
        let (seen, executions) = explore(|| {
            let map = Arc::new(HashMap::<u64, Plain>::new());
            let shared = map.clone();
            let get = |map: &HashMap<u64, Plain>, value| {
                map.get_or_insert_with(1, || Plain::new(value)).get()
            };
            both(|| get(&map, 1), move || get(&shared, 2))
        });
        println!("{executions:6} executions");
        assert_eq!(seen, [(1, 1), (2, 2)].into());
    }

    #[test]
    fn what_a_closure_does_before_its_entry_is_stored() {
        let (seen, executions) = explore(|| {
            // The map says which cells are filled.
            let map = Arc::new(FlatMap::<u64, usize>::new());
            let cells = Arc::new([Plain::new(0), Plain::new(0)]);
            let (shared, filled) = (map.clone(), cells.clone());
            let fill = move || {
                shared.compute(1, |_| {
                    // An operation within another: others see its effect before the outer one ends.
                    shared.compute(2, |_| {
                        filled[1].set(2);
                        Op::Insert(1)
                    });
                    shared.get(&2);
                    filled[0].set(1);
                    Op::Insert(0)
                });
            };
            let look = || [1, 2].map(|key| map.get(&key).map(|cell| cells[cell].get()));
            both(look, fill).0
        });
        println!("{executions:6} executions");
        let (one, two) = (Some(1), Some(2));
        assert_eq!(seen, [[None, None], [None, two], [one, two]].into());
    }

    #[test]
    fn values_that_a_writer_replaces_behind_its_readers() {
        let (seen, executions) = explore(|| {
            let (mut writer, reader) = LeftRightMap::new();
            writer.insert(1, Plain::new(1));
            writer.publish();
            let changes = move || {
                writer.insert(1, Plain::new(2));
                writer.publish();
                // Drops the old value, when no reader can see it any more.
                writer.wait_for_readers();
            };
            both(|| reader.get(&1).unwrap().get(), changes).0
        });
        println!("{executions:6} executions");
        assert_eq!(seen, [1, 2].into());
    }

    #[test]
    fn a_removed_value_outlives_its_guards() {
        let (seen, executions) = explore(|| {
            let map = Arc::new(HashMap::<u64, Plain>::new());
            map.insert(1, Plain::new(1));
            let shared = map.clone();
            let remove = move || drop(shared.remove(&1));
            both(|| map.get(&1).map(|value| value.get()), remove).0
        });
        println!("{executions:6} executions");
        assert_eq!(seen, [None, Some(1)].into());
    }
}
