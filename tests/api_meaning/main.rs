//! builds: default
//!
//! The same calls mean the same on all maps that have them: one text, compiled for each map. `api.rs` is about types,
//! this is about answers. Maps differ in the type of a value, so the tests turn answers into numbers before they
//! compare them.

mod equivalent_keys;
#[path = "../support/from_entries.rs"]
mod from_entries;
mod numbers;
mod snapshots;

use hedgerow::compressed::TypedMap;
use hedgerow::entry::Entry;
use hedgerow::error::TryInsertError;
use hedgerow::owned::{Ref, pin};
use hedgerow::sets::ElementRef;
use hedgerow::{
    BytesMap, CompressedMap, FenceMap, FenceSet, FlatMap, FlatSet, FlatTable, HashMap, HashSet,
    LeftRightMap, LeftRightTable, Op, OrdMap, OrdSet, SnapshotMap,
};
use numbers::{Number, Pair, Stored, Whole, both, numbers, sorted};
use std::ops::Bound;
use std::sync::Barrier;

/// The content of a value in a map of numbers, and in one of bytes.
fn plain(n: u64) -> u64 {
    n
}

fn bytes(n: u64) -> [u8; 8] {
    n.to_le_bytes()
}

/// Operations that every map with many writers has.
macro_rules! common {
    ($map:expr, $of:path) => {{
        let (map, of) = ($map, $of);
        assert!(map.is_empty());
        assert_eq!(numbers(map.get(&of(1))), None);
        assert_eq!(numbers(map.insert(of(1), of(10)).stored()), None);
        assert_eq!(numbers(map.insert(of(1), of(11)).stored()), Some(10), "what it replaces");
        assert_eq!(numbers(map.get(&of(1))), Some(11));
        assert_eq!(map.get_with(&of(1), |value| value.number()), Some(11));
        assert!(map.contains_key(&of(1)) && !map.contains_key(&of(2)));

        assert!(map.insert_if_absent(of(2), of(20)).stored().is_ok(), "Ok has inserted");
        let occupied = map.insert_if_absent(of(2), of(21)).stored().expect_err("there is one");
        assert_eq!((occupied.key, occupied.value), (of(2), of(21)), "both come back");
        assert_eq!(numbers(map.get(&of(2))), Some(20), "and nothing is replaced");

        let add_one = |value: u64| of(value + 1);
        assert_eq!(numbers(map.update(&of(2), |v| add_one(v.number()))), Some(21), "the new value");
        assert_eq!(numbers(map.update(&of(3), |v| add_one(v.number()))), None);
        assert!(!map.contains_key(&of(3)), "an update stores nothing where nothing is");

        let step = |value: Option<u64>| match value {
            None => Op::Insert(of(1)),
            Some(1) => Op::Insert(of(2)),
            Some(2) => Op::Keep,
            Some(_) => Op::Remove,
        };
        let compute =
            |key: u64| both(map.compute(of(key), |v| step(v.map(|v| v.number()))).stored());
        assert_eq!(compute(3), (None, Some(1)));
        assert_eq!(compute(3), (Some(1), Some(2)));
        assert_eq!(compute(3), (Some(2), Some(2)), "kept");
        assert_eq!(compute(1), (Some(11), None), "removed");
        assert_eq!(map.len(), 2);

        assert_eq!(numbers(map.remove(&of(3))), Some(2), "what is removed");
        assert_eq!(numbers(map.remove(&of(3))), None);
        map.insert(of(4), of(40)).stored();
        map.retain(|_, value| value.number() == 40);
        assert_eq!((map.len(), numbers(map.get(&of(4)))), (1, Some(40)));
        map.clear();
        assert!(map.len() == 0 && map.is_empty());
    }};
}

/// Twins that neither wait nor abort: they answer as the others do.
macro_rules! fallible {
    ($map:expr, $of:path) => {{
        let (map, of) = ($map, $of);
        assert_eq!(map.iter().count(), 0);
        assert_eq!(numbers(map.try_insert(of(1), of(10)).expect("nobody is there")), None);
        assert_eq!(numbers(map.try_get(&of(1)).expect("nobody writes")), Some(10));
        assert_eq!(numbers(map.try_insert(of(1), of(11)).expect("nobody is there")), Some(10));
        assert!(map.try_insert_if_absent(of(2), of(20)).expect("nobody is there").is_ok());
        let occupied = map.try_insert_if_absent(of(2), of(21)).expect("nobody is there");
        assert_eq!(occupied.expect_err("there is one").into_parts(), (of(2), of(21)));
        let add_one = |value: Option<u64>| Op::Insert(of(value.unwrap_or(0) + 1));
        let computed = map.try_compute(of(2), |v| add_one(v.map(|v| v.number())));
        assert_eq!(both(computed.expect("nobody is there")), (Some(20), Some(21)));
        let updated = map.try_update(&of(2), |value| of(value.number() + 1));
        assert_eq!(numbers(updated.expect("nobody is there")), Some(22), "the new value");
        let updated = map.try_update(&of(3), |value| of(value.number() + 1));
        assert_eq!(numbers(updated.expect("nobody is there")), None);
        let removed = map.try_remove(&of(2)).expect("nobody is there");
        assert_eq!(numbers(removed), Some(22), "what is removed");
        assert_eq!(numbers(map.try_remove(&of(2)).expect("nobody is there")), None);
        assert!(!map.contains_key(&of(3)) && map.len() == 1, "an update stores nothing new");
        let tried = |key, value| map.try_get_or_insert_with(of(key), || of(value));
        assert_eq!(tried(1, 12).map(|value| value.number()).ok(), Some(11), "not another one");
        assert_eq!(tried(2, 21).map(|value| value.number()).ok(), Some(21));
    }};
}

/// Operations that find a value or store one.
macro_rules! stores {
    ($map:expr, $of:path) => {{
        let (map, of) = ($map, $of);
        assert_eq!(map.get_or_insert(of(1), of(10)).number(), 10);
        assert_eq!(map.get_or_insert(of(1), of(11)).number(), 10, "the value that is there");
        let mut calls = 0;
        let mut make = |n| {
            calls += 1;
            of(n)
        };
        assert_eq!(map.get_or_insert_with(of(1), || make(12)).number(), 10, "not another one");
        let refused = map
            .get_or_try_insert_with(of(2), || if map.is_empty() { Ok(make(0)) } else { Err("no") });
        assert_eq!(refused.err(), Some("no"));
        assert!(!map.contains_key(&of(2)), "an error inserts nothing");
        let made = map.get_or_try_insert_with(of(2), || Ok::<_, ()>(make(20)));
        assert_eq!(made.map(|value| value.number()), Ok(20));
        assert!(map.remove_if(&of(2), |_, value| value.number() == 21).is_none());
        let removed = map.remove_if(&of(2), |_, value| value.number() == 20);
        assert_eq!(numbers(removed), Some(20));
        assert_eq!(map.get_or_insert_with(of(2), || make(21)).number(), 21);
        assert_eq!(map.get_or_insert_with(of(3), || make(30)).number(), 30);
        assert_eq!((calls, map.len()), (3, 3), "an entry is made only if the key has none");
    }};
}

/// Tests of `entry`.
macro_rules! entries {
    ($map:expr) => {{
        let map = $map;
        map.insert(1, 10);
        assert_eq!(map.entry(1).or_insert(11).number(), 10, "the value that is there");
        assert_eq!(map.entry(3).or_insert_with_key(|key| key * 10).number(), 30);
        assert_eq!(map.entry(4).or_default().number(), 0);
        let Entry::Occupied(there) = map.entry(3) else { panic!("the key has a value") };
        assert_eq!((*there.key(), *there.get()), (3, 30));
        assert_eq!(numbers(there.insert(31)), Some(30), "what it replaces");
        let Entry::Occupied(there) = map.entry(3) else { panic!("the key has a value") };
        map.insert(3, 32);
        assert_eq!(*there.get(), 31, "the value when `entry` was called");
        assert_eq!(numbers(there.remove()), Some(32), "the present value");
        let Entry::Vacant(absent) = map.entry(3) else { panic!("the key has no value") };
        map.insert(3, 33);
        let Err(refused) = absent.insert(34) else { panic!("another thread was first") };
        assert_eq!(refused.into_parts(), (3, 34), "the error returns the entry");
        assert_eq!(map.get(&3).map(|found| found.number()), Some(33), "the other's value stays");
        let Entry::Vacant(absent) = map.entry(7) else { panic!("the key has no value") };
        assert_eq!(absent.insert(70).ok().map(|found| found.number()), Some(70));
        assert_eq!(*map.entry(7).insert_entry(71).get(), 71, "it replaces a value");
        let doubled = |n: &mut u64| *n *= 2;
        assert_eq!(map.entry(3).and_modify(doubled).or_insert(1).number(), 66, "the new value");
        assert_eq!(map.entry(5).and_modify(doubled).or_insert(1).number(), 1);
        let Entry::Vacant(absent) = map.entry(6) else { panic!("the key has no value") };
        assert_eq!((absent.into_key(), map.contains_key(&6)), (6, false));

        // Each key is new to both threads at once.
        let (map, keys, together) = (&map, 100..1_100, Barrier::new(2));
        let count = || {
            for key in keys.clone() {
                together.wait();
                map.entry(key).and_modify(|n| *n += 1).or_insert(1);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(count);
            scope.spawn(count);
        });
        let lost = keys.clone().filter(|key| map.get_or_default(key) != 2).count();
        assert_eq!(lost, 0, "a chain is one atomic step");
    }};
}

/// Operations that take out entries one by one, and those of whole maps.
macro_rules! takes {
    ($map:ty, $of:path) => {{
        let of = $of;
        let all = |keys: std::ops::Range<u64>| keys.map(|n| (n, n * 10));
        let filled = || all(0..100).map(|(key, value)| (of(key), of(value))).collect::<$map>();
        let (map, copy) = (filled(), filled());
        assert!(map == copy, "equal entries make equal maps");
        assert_eq!(sorted(&map), all(0..100).collect::<Vec<_>>());
        assert_eq!(sorted(map.clone()), all(0..100).collect::<Vec<_>>());
        assert_eq!(map.keys().map(|key| key.number()).sum::<u64>(), 4_950, "all keys");
        assert_eq!(map.values().map(|value| value.number()).sum::<u64>(), 49_500, "all values");
        assert_eq!(map.get_key_value(&of(7)).map(|entry| entry.numbers()), Some((7, 70)));
        assert!(map.get_key_value(&of(100)).is_none());
        copy.insert(of(7), of(71));
        assert!(map != copy, "another value makes another map");
        copy.insert(of(7), of(70));
        copy.remove(&of(8));
        assert!(map != copy && copy != map, "so does an entry less");
        copy.insert(of(108), of(80));
        assert!(map != copy, "so does another key");

        let odd = sorted(map.extract_if(|key, _| key.number() % 2 == 1));
        assert_eq!(odd, all(0..100).filter(|(key, _)| key % 2 == 1).collect::<Vec<_>>(), "taken");
        assert_eq!(sorted(&map), all(0..100).filter(|(key, _)| key % 2 == 0).collect::<Vec<_>>());
        let taken = sorted(map.drain().take(3));
        assert_eq!((taken.len(), map.len()), (3, 47), "the other entries stay");
        assert!(taken.iter().all(|(key, _)| !map.contains_key(&of(*key))));
        let (mut map, mut others) = (filled(), 0);
        let kept = sorted(map.extract_if(|key, value| {
            // Somebody else replaces the value while this decides to take it.
            if value.number() % 10 == 0 && key.number() < 50 {
                map.insert(of(key.number()), of(value.number() + 1));
                others += 1;
            }
            value.number() % 10 == 0
        }));
        assert_eq!((others, kept), (50, all(50..100).collect()), "replaced entries stay");
        assert!(sorted(&map).iter().all(|(_, value)| value % 10 == 1));
        map.extend([(of(1), of(5)), (of(200), of(6))]);
        assert_eq!((numbers(map.get(&of(1))), map.len()), (Some(5), 51), "the later value stays");
        (&map).extend([(of(202), of(7)), (of(203), of(8)), (of(202), of(9))]);
        assert_eq!(
            (numbers(map.get(&of(202))), map.len()),
            (Some(9), 53),
            "as through a reference"
        );
        assert_eq!(sorted(map.drain()).len(), 53);
        assert!(map.is_empty() && map == <$map>::default());
        assert_eq!(sorted(map.drain()), []);
    }};
}

/// Room, and the memory that it takes.
macro_rules! rooms {
    ($map:expr, $of:path) => {{
        let (mut map, of) = ($map, $of);
        assert_eq!(
            (map.capacity(), map.stats().memory_bytes),
            (0, 0),
            "an empty map has no memory"
        );
        map.reserve(1_000);
        let (most, bins) = (map.capacity() as u64, map.stats().bins);
        assert!((1_000..3_000).contains(&most), "{most}");
        (0..most).for_each(|n| assert!(map.insert(of(n), of(n)).is_none()));
        let full = map.stats();
        assert_eq!((full.len as u64, full.bins), (most, bins), "the room of the table");
        assert!(full.memory_bytes > 0);
        (most..2 * most).for_each(|n| assert!(map.insert(of(n), of(n)).is_none()));
        assert!(map.stats().bins > bins && map.capacity() as u64 >= 2 * most, "it has grown");
        map.clear();
        map.shrink_to_fit();
        assert!(map.capacity() < 100 && map.stats().memory_bytes < full.memory_bytes);
    }};
}

/// Reads of a value or of the default value; `$of` makes a key or a value, and the map has the value of 1 only.
macro_rules! defaults {
    ($map:expr, $of:path, $one:expr, $default:expr) => {{
        let (map, of) = ($map, $of);
        assert_eq!(map.get_or_default(&of(1)).whole(), $one, "the value that is there");
        assert_eq!(map.get_or_default(&of(2)).whole(), $default, "else the default");
        assert!(!map.contains_key(&of(2)) && map.len() == 1, "the default is not inserted");
    }};
}

/// Operations that never wait hand back what they did not store.
macro_rules! refuses {
    ($map:expr, $of:path) => {{
        let (map, of) = ($map, $of);
        map.insert(of(1), of(10));
        let mut calls = 0;
        // Another writer comes in between.
        let refused = map.try_update(&of(1), |value| {
            calls += 1;
            if calls == 1 {
                map.insert(of(1), of(11));
            }
            of(value.number() + 5)
        });
        let Err(TryInsertError::Busy { key: (), value }) = refused else {
            panic!("it was replaced meanwhile")
        };
        assert_eq!(numbers(value), Some(15), "the value that was made comes back");
        assert_eq!((calls, numbers(map.get(&of(1)))), (1, Some(11)), "it is made once");
        // The map can drop no replaced entry, so it refuses to replace more.
        let guard = pin();
        map.set_pending_limit(Some(0));
        map.insert(of(1), of(12));
        let refused = map.try_update(&of(1), |value| of(value.number() + 5));
        assert!(matches!(refused, Err(TryInsertError::Stalled { key: (), .. })), "the limit");
        let mut calls = 0;
        let mut make = || {
            calls += 1;
            of(20)
        };
        let found = map.try_get_or_insert_with(of(1), &mut make);
        assert_eq!(numbers(found.ok()), Some(12), "a lookup needs no room");
        let refused = map.try_get_or_insert_with(of(2), &mut make).map(drop);
        assert!(matches!(refused, Err(TryInsertError::Stalled { value: None, .. })), "no room");
        assert_eq!(calls, 0, "no value is made at the limit");
        let removed = map.try_remove(&of(1)).expect("a removal needs no room");
        assert_eq!(numbers(removed), Some(12));
        drop(guard);
    }};
}

/// Operations of maps of owned data of any type.
macro_rules! owned {
    ($map:expr) => {{
        let map = $map;
        map.insert(1, 10);
        let found = map.get(&1).expect("it is there");
        let pinned = map.pin();
        let same = pinned.get(&1).expect("it is there");
        assert_eq!(numbers(map.remove(&1)), Some(10));
        assert_eq!((*found, *same), (10, 10), "a borrowed entry outlives its removal");
        assert!(pinned.get(&1).is_none());
        let (mut keys, mut values) = {
            map.insert(2, 20);
            // These have guards of their own, and so has what they return.
            (map.keys(), map.values())
        };
        let (key, value) = (keys.next().expect("it is there"), values.next().expect("so is it"));
        drop((keys, values));
        map.clear();
        assert_eq!((key.number(), key.clone().number(), *value), (2, 2, 20));
    }};
}

/// Operations on neighbours, ends and ranges of keys; `$entry` makes a pair of their result.
macro_rules! neighbours {
    ($map:expr, $entry:expr) => {{
        let map = $map;
        for (key, value) in [(1, 10), (3, 30), (5, 50)] {
            map.insert(key, value);
        }
        assert_eq!(map.first_key_value().map($entry), Some((1, 10)));
        assert_eq!(map.last_key_value().map($entry), Some((5, 50)));
        assert_eq!(
            (map.floor(&3).map($entry), map.floor(&2).map($entry)),
            (Some((3, 30)), Some((1, 10)))
        );
        assert_eq!(
            (map.ceiling(&3).map($entry), map.ceiling(&2).map($entry)),
            (Some((3, 30)), Some((3, 30)))
        );
        assert_eq!(
            (map.predecessor(&3).map($entry), map.predecessor(&1).map($entry)),
            (Some((1, 10)), None)
        );
        assert_eq!(
            (map.successor(&3).map($entry), map.successor(&5).map($entry)),
            (Some((5, 50)), None)
        );
        assert_eq!((map.range_len(2..), map.range_len(..5), map.range_len(..)), (2, 2, 3));
        for wrong in [
            (Bound::Excluded(5), Bound::Excluded(1)),
            (Bound::Excluded(3), Bound::Excluded(3)),
            (Bound::Included(5), Bound::Included(3)),
        ] {
            assert_eq!((map.range_len(wrong), map.remove_range(wrong)), (0, 0), "no panic");
        }
        assert_eq!(map.remove_range(2..4), 1, "how many it has removed");
        assert!(map.pop_first().is_some() && map.pop_last().is_some() && map.pop_first().is_none());
    }};
}

/// Walks in the order of keys.
macro_rules! ordered {
    ($map:expr, $entry:expr) => {{
        let map = $map;
        let all = [(1, 10), (3, 30), (5, 50)];
        for (key, value) in all {
            map.insert(key, value);
        }
        assert!(map.iter().map($entry).eq(all));
        assert!(map.range(2..).map($entry).eq([(3, 30), (5, 50)]));
        assert!(
            map.range(..).rev().map($entry).eq([(5, 50), (3, 30), (1, 10)]),
            "ranges go both ways"
        );
        assert!(map.iter_range(..5).map($entry).eq([(1, 10), (3, 30)]));
        let about = (map.approximate_range_len(2..), map.approximate_range_len(..=1));
        assert_eq!(about, (2, 1), "within one leaf it is exact");
        let wrong = (Bound::Excluded(5), Bound::Excluded(1));
        assert_eq!(map.approximate_range_len(wrong), 0);
    }};
}

#[test]
fn operations_on_one_key_mean_the_same_on_every_map() {
    common!(HashMap::<u64, u64>::new(), plain);
    common!(OrdMap::<u64, u64>::new(), plain);
    common!(SnapshotMap::<u64, u64>::new(), plain);
    common!(BytesMap::new(), bytes);
    common!(FlatMap::<u64, u64>::new(), plain);
    common!(FlatTable::<u64, u64, 4>::new(), plain);
    common!(FenceMap::<u64, u64>::new(), plain);
}

#[test]
fn operations_that_never_wait_answer_as_those_that_do() {
    fallible!(HashMap::<u64, u64>::new(), plain);
    fallible!(OrdMap::<u64, u64>::new(), plain);
    fallible!(BytesMap::new(), bytes);
    fallible!(FlatMap::<u64, u64>::new(), plain);
    fallible!(FlatTable::<u64, u64, 4>::new(), plain);
    fallible!(FenceMap::<u64, u64>::new(), plain);
}

#[test]
fn operations_that_never_wait_hand_back_what_they_made() {
    refuses!(HashMap::<u64, u64>::new(), plain);
    refuses!(OrdMap::<u64, u64>::new(), plain);
    refuses!(BytesMap::new(), bytes);
}

#[test]
fn operations_that_find_or_store_mean_the_same() {
    stores!(HashMap::<u64, u64>::new(), plain);
    stores!(OrdMap::<u64, u64>::new(), plain);
    stores!(SnapshotMap::<u64, u64>::new(), plain);
    stores!(BytesMap::new(), bytes);
    stores!(FlatMap::<u64, u64>::new(), plain);
    stores!(FenceMap::<u64, u64>::new(), plain);
    entries!(HashMap::<u64, u64>::new());
    entries!(OrdMap::<u64, u64>::new());
    entries!(FlatMap::<u64, u64>::new());
    entries!(FenceMap::<u64, u64>::new());
}

#[test]
fn whole_maps_are_compared_and_taken_apart_alike() {
    takes!(HashMap::<u64, u64>, plain);
    takes!(OrdMap::<u64, u64>, plain);
    takes!(BytesMap, bytes);
    takes!(FlatMap::<u64, u64>, plain);
    takes!(FenceMap::<u64, u64>, plain);
}

#[test]
fn room_and_memory_mean_the_same() {
    rooms!(HashMap::<u64, u64>::new(), plain);
    rooms!(BytesMap::new(), bytes);
    rooms!(FlatMap::<u64, u64>::new(), plain);
    let map: OrdMap<u64, u64> = (0..1_000).map(|n| (n, n)).collect();
    assert!(map.stats().len == 1_000 && map.stats().memory_bytes >= 8_000);
    let map: FenceMap<u64, u64> = (0..1_000).map(|n| (n, n)).collect();
    assert!(map.stats().len == 1_000 && map.stats().memory_bytes >= 16_000);
    let (mut writer, _reader) = LeftRightMap::<u64, u64>::inline();
    writer.extend((0..1_000).map(|n| (n, n)));
    assert!(writer.stats().len == 1_000 && writer.stats().memory_bytes >= 16_000);
    let map = CompressedMap::with_budget(1 << 20);
    map.insert("key", "value").expect("there is room");
    assert!(map.stats().len == 1 && map.stats().memory_bytes <= 1 << 20);
}

#[test]
fn the_default_of_an_absent_value_means_the_same_on_every_map() {
    defaults!(HashMap::<u64, u64>::from([(1, 10)]), plain, 10, 0);
    defaults!(OrdMap::<u64, u64>::from([(1, 10)]), plain, 10, 0);
    defaults!(SnapshotMap::<u64, u64>::from([(1, 10)]), plain, 10, 0);
    defaults!(BytesMap::from([(bytes(1), bytes(10))]), bytes, bytes(10), []);
    defaults!(FlatMap::<u64, u64>::from([(1, 10)]), plain, 10, 0);
    defaults!(FenceMap::<u64, u64>::from([(1, 10)]), plain, 10, 0);
    let (mut writer, reader) = LeftRightMap::<u64, u64>::new();
    writer.insert(1, 10);
    writer.publish();
    defaults!(&reader, plain, 10, 0);
    defaults!(reader.enter(), plain, 10, 0);
    let map = CompressedMap::with_budget(1 << 20);
    map.insert(&bytes(1), &bytes(10)).expect("there is room");
    assert!(map.keys().eq([bytes(1)]), "keys are no values");
    assert!(map.values().eq([Ok(bytes(10).to_vec())]), "values are no keys");
    defaults!(&map, bytes, bytes(10), []);
    let map = TypedMap::<u64, u64>::new(map);
    defaults!(map, plain, 10, 0);
}

#[test]
fn clones_of_values_mean_the_same() {
    macro_rules! cloned {
        ($map:expr, $of:path, $one:expr) => {{
            let (map, of) = ($map, $of);
            assert_eq!((map.get_cloned(&of(1)), map.get_cloned(&of(2))), (Some($one), None));
        }};
    }
    cloned!(HashMap::<u64, u64>::from([(1, 10)]), plain, 10);
    cloned!(OrdMap::<u64, u64>::from([(1, 10)]), plain, 10);
    cloned!(SnapshotMap::<u64, u64>::from([(1, 10)]), plain, 10);
    cloned!(BytesMap::from([(bytes(1), bytes(10))]), bytes, bytes(10).to_vec());
    let (mut writer, reader) = LeftRightMap::<u64, u64>::new();
    writer.insert(1, 10);
    writer.publish();
    cloned!(&reader, plain, 10);
}

#[test]
fn tables_of_fixed_size_find_and_extend_alike() {
    let table = FlatTable::<u64, u64, 4>::new();
    assert_eq!(table.get_or_default(&1), 0);
    assert!(!table.contains_key(&1), "a lookup inserts nothing");
    assert_eq!(table.try_extend([(1, 10), (2, 20), (1, 11)]), Ok(()));
    assert_eq!((table.get_or_default(&1), table.len()), (11, 2), "the later value");
    let sorted = |all: &mut dyn Iterator<Item = u64>| {
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    };
    assert_eq!(sorted(&mut table.keys()), [1, 2], "keys");
    assert_eq!(sorted(&mut table.values()), [11, 20], "values");
    let sides = LeftRightTable::<u64, u64, 1, 1>::new();
    let (mut writer, reader) = (sides.writer().unwrap(), sides.reader().unwrap());
    assert_eq!(writer.try_extend([(1, 10), (2, 20), (1, 11)]), Ok(()));
    assert_eq!(reader.get_or_default(&1), 0, "not published");
    writer.publish();
    assert_eq!((reader.get_or_default(&1), reader.get_or_default(&3)), (11, 0));
    let seen = reader.enter();
    assert_eq!(sorted(&mut seen.keys().copied()), [1, 2], "keys");
    assert_eq!(sorted(&mut seen.values().copied()), [11, 20], "values");
    drop(seen);

    // The error returns the refused entry, and the entries behind it stay in the iterator.
    let table = FlatTable::<u64, u64, 1>::new();
    let mut entries = (0..20).map(|n| (n, n));
    let room = table.capacity() as u64;
    let refused = table.try_extend(&mut entries).expect_err("it is small");
    assert_eq!((refused.into_parts(), entries.next()), ((room, room), Some((room + 1, room + 1))));
    assert_eq!(table.len() as u64, room, "those before it are stored");
    let mut entries = (10..30).map(|n| (n, n));
    let room = 10 + sides.capacity() as u64 - 2;
    let refused = writer.try_extend(&mut entries).expect_err("it is small");
    assert!(matches!(refused, TryInsertError::Full { .. }));
    assert_eq!((refused.into_parts(), entries.next()), ((room, room), Some((room + 1, room + 1))));
}

#[test]
fn maps_of_owned_data_lend_alike() {
    owned!(HashMap::<u64, u64>::new());
    owned!(OrdMap::<u64, u64>::new());
}

#[test]
fn ordered_maps_order_alike() {
    neighbours!(OrdMap::<u64, u64>::new(), |entry: Ref<'_, u64, u64>| (*entry.key(), *entry));
    neighbours!(SnapshotMap::<u64, u64>::new(), |entry: Ref<'_, u64, u64>| (*entry.key(), *entry));
    neighbours!(FenceMap::<u64, u64>::new(), |entry: (u64, u64)| entry);
    ordered!(OrdMap::<u64, u64>::new(), |entry: Ref<'_, u64, u64>| (*entry.key(), *entry));
    ordered!(FenceMap::<u64, u64>::new(), |entry: (u64, u64)| entry);
}

macro_rules! sets {
    ($set:ty, $taken:expr) => {{
        let set = <$set>::default();
        assert!(set.is_empty() && !set.contains(&1));
        assert!(set.insert(1), "true has inserted");
        assert!(!set.insert(1), "an element that is there stays");
        assert_eq!(set.try_insert(2), Ok(true));
        assert_eq!((set.len(), set.contains(&2)), (2, true));
        let mut elements: Vec<u64> = set.iter().map($taken).collect();
        elements.sort_unstable();
        assert_eq!(elements, [1, 2]);
        let more: $set = [3, 2, 1].into();
        assert!(set.is_subset(&more) && more.is_superset(&set) && set != more);
        assert!(!more.is_subset(&set) && !set.is_disjoint(&more));
        let (copy, none) = (more.clone(), <$set>::from([8, 9]));
        assert!(copy == more && none.is_disjoint(&more));
        (&none).extend([7, 8]);
        assert_eq!((none.len(), none.contains(&7)), (3, true), "sets grow through a reference");
        assert!(set.remove(&1), "true has removed");
        assert!(!set.remove(&1));
        more.retain(|n| n % 2 == 1);
        assert!(more.contains(&1) && !more.contains(&2) && more.len() == 2);
        assert_eq!(format!("{set:?}"), "{2}");
        assert_eq!(set.as_map().len(), 1);
        assert_eq!((more.drain().count(), more.len()), (2, 0));
        set.clear();
        assert!(set.is_empty());
    }};
}

#[test]
fn sets_mean_the_same() {
    sets!(FlatSet<u64>, |n| n);
    sets!(FenceSet<u64>, |n| n);
    sets!(HashSet<u64>, |n: ElementRef<'_, u64>| *n);
    sets!(OrdSet<u64>, |n: ElementRef<'_, u64>| *n);
}
