//! builds: asan
//!
//! Memory that runs out, and memory that is not needed. `try_` methods report a lack of memory and hand everything
//! back; growth that finds no memory costs speed and loses no entry; an empty map allocates nothing; all memory is
//! freed; and an allocator may itself use the map.

use crate::support;

use hedgerow::FlatMap;
use hedgerow::error::{TryInsertError, TryReserveError};
use hedgerow::flat::Op;
use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;
use support::alloc::{counted, failing, hooked};
use support::hashers::{self, Mapped};
use support::rng::mix;
use support::{ignore, within};

const FOR_EVER: u64 = u64::MAX;

fn same_as(map: &FlatMap<u64, u64, Mapped>, model: &HashMap<u64, u64>) {
    assert_eq!(map.len(), model.len(), "entries were lost, or are there twice");
    assert_eq!(&map.iter().collect::<HashMap<_, _>>(), model);
    assert_eq!(map.iter().count(), model.len(), "a key is there twice");
    for (key, value) in model {
        assert_eq!(map.get(key), Some(*value));
    }
}

/// The injected failures happen: without them, these tests would check nothing.
#[test]
fn the_allocator_fails_when_told_to() {
    let ((first, second), counts) = failing(1, 1, || {
        let mut first: Vec<u8> = Vec::new();
        let mut second: Vec<u8> = Vec::new();
        (first.try_reserve(1).is_ok(), second.try_reserve(1).is_ok())
    });
    assert!(first && !second);
    assert_eq!((counts.allocations, counts.failures, counts.live), (2, 1, 0));
}

#[test]
fn an_empty_map_allocates_nothing() {
    let ((), counts) = counted(|| {
        let mut map: FlatMap<u64, u64> = FlatMap::new();
        for map in [&map, &FlatMap::default(), &FlatMap::with_capacity(0)] {
            assert_eq!(map.get(&1), None);
            assert!(map.try_get(&1).is_ok_and(|found| found.is_none()));
            assert_eq!(map.get_with(&1, |value| *value), None);
            assert!(!map.contains_key(&1));
            assert_eq!(map.remove(&1), None);
            assert_eq!(map.update(&1, |value| value), None);
            assert!(map.compute(1, |_| Op::Keep).after.is_none());
            assert!(map.compute(1, |_| Op::Remove).after.is_none());
            map.retain(|_, _| true);
            map.clear();
            map.reserve(0);
            assert!(map.try_reserve(0).is_ok());
            assert!(!map.grow_step(8));
            assert_eq!(map.iter().next(), None);
            assert_eq!(map.keys().next(), None);
            assert_eq!(map.values().next(), None);
            assert_eq!((map.len(), map.is_empty()), (0, true));
            assert_eq!((map.stats().len, map.stats().memory_bytes), (0, 0));
        }
        map.shrink_to_fit();
        map.extend(std::iter::empty::<(u64, u64)>());
        let copy = map.clone();
        let collected: FlatMap<u64, u64> = std::iter::empty().collect();
        let hashed = FlatMap::<u64, u64, Mapped>::with_hasher(hashers::GOOD);
        black_box((&map, &copy, &collected, &hashed));
    });
    assert_eq!(counts.allocations, 0);
    assert!(size_of::<FlatMap<u64, u64, Mapped>>() <= 256, "a map struct is small");
}

#[test]
fn lookups_and_removals_allocate_nothing() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
        for key in 0..200 {
            map.insert(key, key);
        }
        let ((), counts) = counted(|| {
            for key in 0..400 {
                ignore(map.get(&key));
                ignore(map.try_get(&key));
                ignore(map.get_with(&key, |value| *value));
                ignore(map.update(&key, |value| value + 1));
                if key < 200 {
                    ignore(map.insert(key, key));
                    ignore(map.insert_if_absent(key, key));
                    ignore(map.compute(key, |_| Op::Insert(key)));
                }
            }
            for key in 0..400 {
                ignore(map.remove(&key));
            }
            map.clear();
        });
        assert_eq!(counts.allocations, 0, "{}", hasher.name);
    }
}

/// All memory is freed in the end, and `stats` reports how much the map has.
#[test]
fn memory_is_counted_and_given_back() {
    for hasher in [hashers::GOOD, hashers::CONSTANT, hashers::IDENTITY] {
        let ((), counts) = counted(|| {
            let mut map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            let keys = if hasher.name == "constant" { 300 } else { 20_000 };
            let mut before = 0;
            let mut check = |map: &FlatMap<u64, u64, Mapped>, live: isize| {
                before += live;
                let stats = map.stats();
                let (said, is) = (stats.memory_bytes.cast_signed(), before);
                assert!(
                    (is - said).abs() <= 64 + is / 50,
                    "{}: stats say {said} bytes for {} keys, the allocator {is}",
                    hasher.name,
                    stats.len
                );
            };
            for key in 0..keys {
                let (_, counts) = counted(|| map.insert(key, key));
                check(&map, counts.live);
            }
            let ((), counts) = counted(|| map.retain(|key, _| key % 10 == 0));
            check(&map, counts.live);
            let ((), counts) = counted(|| map.shrink_to_fit());
            check(&map, counts.live);
            let ((), counts) = counted(|| map.reserve(1_000));
            check(&map, counts.live);
            let (copy, counts) = counted(|| map.clone());
            let copied = copy.stats().memory_bytes.cast_signed();
            assert!(counts.live <= copied + copied / 50 + 64);
        });
        assert_eq!(counts.live, 0, "{}: bytes are lost", hasher.name);
    }
}

/// Large reservations come in one block if the system has huge pages: `stats` is as exact, all memory is freed, and an
/// allocation that fails costs only speed.
#[test]
#[cfg_attr(miri, ignore = "much memory")]
fn much_room_is_counted_and_given_back() {
    const KEYS: u64 = 20_000;
    type Map = FlatMap<u64, [u64; 80], Mapped>;
    let fill = |map: &Map| (0..KEYS).for_each(|key| ignore(map.insert(key, [mix(key); 80])));
    let whole = |map: &Map| {
        map.len() as u64 == KEYS && (0..KEYS).all(|key| map.get(&key) == Some([mix(key); 80]))
    };
    let count = |work: &dyn Fn() -> Map| {
        let (map, counts) = counted(work);
        let (said, is) = (map.stats().memory_bytes.cast_signed(), counts.live);
        assert!((is - said).abs() <= 64 + is / 50, "stats say {said} bytes, the allocator {is}");
        let pieces = cfg!(all(feature = "std-ext", target_os = "linux"));
        assert!(said > 16 << 20 && (!pieces || counts.allocations < 500), "{counts:?}");
        map
    };
    let ((), counts) = counted(|| {
        let mut map = count(&|| {
            let map = FlatMap::with_hasher(hashers::GOOD);
            map.insert(KEYS, [0; 80]);
            map.reserve(KEYS as usize);
            assert_eq!(map.remove(&KEYS), Some([0; 80]));
            map
        });
        fill(&map);
        assert!(whole(&map));
        let copy = count(&|| FlatMap::with_capacity_and_hasher(KEYS as usize, hashers::GOOD));
        fill(&copy);
        copy.retain(|key, _| *key < 10);
        map.retain(|key, _| *key < 10);
        map.shrink_to_fit();
        assert!(map.iter().all(|(key, value)| copy.get(&key) == Some(value)));
        assert!(map.len() == 10 && map.stats().memory_bytes < 1 << 20);
        // Each of the first allocations fails once; later ones suffice.
        for spared in 0..12 {
            let map = FlatMap::with_hasher(hashers::GOOD);
            let (_, counts) = failing(spared, 1, || map.try_reserve(KEYS as usize));
            assert_eq!(counts.failures, 1);
            fill(&map);
            assert!(whole(&map));
        }
    });
    assert_eq!(counts.live, 0, "bytes are lost");
}

/// If a directory cannot be allocated, the segment for it returns to the extent that it came from.
#[test]
#[cfg_attr(miri, ignore = "much memory")]
fn a_refused_reservation_uses_up_no_piece() {
    const KEYS: usize = 20_000;
    let new = || {
        let map: FlatMap<u64, [u64; 80], Mapped> = FlatMap::with_hasher(hashers::GOOD);
        map.insert(0, [0; 80]);
        map
    };
    let at_once = new();
    at_once.reserve(KEYS);
    let least = at_once.stats().memory_bytes;
    // At first the extent is available and the directory is not; then mostly only the directory is needed.
    for first in 3..6 {
        let map = new();
        ignore(failing(first, FOR_EVER, || map.try_reserve(KEYS)));
        for spared in 0..first {
            for _ in 0..500 {
                if failing(spared, FOR_EVER, || map.try_reserve(KEYS)).0.is_ok() {
                    break;
                }
            }
        }
        map.reserve(KEYS);
        let bytes = map.stats().memory_bytes;
        assert!(
            bytes <= least + least / 50,
            "refused reservations lost memory: {bytes} bytes, not {least}"
        );
    }
}

/// Inserts all keys by `try_insert` with some allocations failing. Refused entries come back whole, accepted ones are
/// in the map, and when there is memory again the others go in.
fn insert_with_failures(hasher: Mapped, keys: u64, spared: u64, doomed: u64) -> u64 {
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
    let mut model = HashMap::with_capacity(keys as usize);
    let mut refused = Vec::with_capacity(keys as usize);
    let ((), counts) = failing(spared, doomed, || {
        for key in 0..keys {
            let value = mix(key);
            match map.try_insert(key, value) {
                Ok(old) => {
                    assert!(old.is_none());
                    model.insert(key, value);
                }
                Err(TryInsertError::Alloc { key: same, value: given, .. }) => {
                    assert!(same == key && given == value, "not what was given");
                    assert!(map.get(&key).is_none(), "refused and there all the same");
                    refused.push(key);
                }
                Err(other) => panic!("no other thread is here: {other}"),
            }
            assert!(map.len() == model.len());
        }
    });
    same_as(&map, &model);
    assert!(refused.is_empty() || counts.failures > 0);
    for &key in &refused {
        assert!(map.try_insert(key, key).is_ok_and(|old| old.is_none()));
        model.insert(key, key);
    }
    for key in keys..2 * keys {
        map.insert(key, key);
        model.insert(key, key);
    }
    same_as(&map, &model);
    counts.failures
}

#[test]
fn one_failing_allocation_loses_nothing() {
    within(300, "one failure", || {
        for (hasher, keys) in
            [(hashers::GOOD, 2_000), (hashers::CONSTANT, 200), (hashers::LOW_ENTROPY, 300)]
        {
            let mut spared = 0;
            // Each allocation fails once.
            while insert_with_failures(hasher, keys, spared, 1) > 0 {
                spared += 1;
            }
            println!("{}: {spared} allocations", hasher.name);
            assert!(spared > 4, "{}: only {spared} allocations", hasher.name);
        }
    });
}

#[test]
fn memory_that_runs_out_loses_nothing() {
    within(300, "no more memory", || {
        for (hasher, keys) in
            [(hashers::GOOD, 2_000), (hashers::CONSTANT, 200), (hashers::LOW_ENTROPY, 300)]
        {
            let mut spared = 0;
            while insert_with_failures(hasher, keys, spared, FOR_EVER) > 0 {
                spared += 1;
            }
        }
    });
}

/// Operations that need no memory work without: all on present keys, and inserts into free slots.
#[test]
fn without_memory_the_rest_goes_on() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
        for key in 0..90 {
            map.insert(key, key);
        }
        let (full, counts) = failing(0, FOR_EVER, || {
            for key in 0..90 {
                assert!(map.get(&key) == Some(key));
                assert!(map.insert(key, key + 1) == Some(key));
                assert!(map.insert_if_absent(key, 0).is_err_and(|error| error.current == key + 1));
                assert!(map.update(&key, |value| value + 1) == Some(key + 2));
                assert!(map.compute(key, |_| Op::Insert(key)).before == Some(key + 2));
                // The room that a removal makes is usable at once.
                assert!(map.remove(&key) == Some(key));
                assert!(map.try_insert(key, key).is_ok());
            }
            // Growth cannot happen, so inserts fill the existing slots.
            let mut added = 0_u64;
            while map.try_insert(1_000 + added, 0).is_ok() {
                added += 1;
            }
            assert!(map.try_reserve(10_000) == Err(TryReserveError::Alloc));
            assert!(map.get(&(1_000 + added)).is_none());
            for key in 0..added {
                assert!(map.remove(&(1_000 + key)) == Some(0));
            }
            added
        });
        assert!(full > 0 && counts.failures > 0, "{}: {full} more went in", hasher.name);
        assert_eq!(map.len(), 90);
        map.clear();
        assert!(map.is_empty());
    }
}

/// A refused reservation changes nothing but perhaps the capacity, and can be repeated.
#[test]
fn a_refused_reservation_loses_nothing() {
    within(300, "reservations", || {
        let mut spared = 0;
        let mut refused = 0;
        loop {
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
            let mut model = HashMap::new();
            for key in 0..spared % 60 {
                map.insert(key, key);
                model.insert(key, key);
            }
            let (result, counts) = failing(spared, FOR_EVER, || map.try_reserve(3_000));
            same_as(&map, &model);
            assert_eq!(result.is_err(), counts.failures > 0);
            if result.is_ok() {
                break;
            }
            assert_eq!(result, Err(TryReserveError::Alloc));
            refused += 1;
            map.try_reserve(3_000).expect("there is memory again");
            for key in 0..3_000 {
                map.insert(key, key);
                model.insert(key, key);
            }
            same_as(&map, &model);
            spared += 1;
        }
        assert!(refused > 2, "only {refused} refusals");
    });
}

/// A capacity that cannot be allocated returns the hasher, and leaks nothing.
#[test]
fn a_refused_capacity_gives_the_hasher_back() {
    let mut spared = 0;
    loop {
        let ((), counts) = counted(|| {
            let (made, _) = failing(spared, FOR_EVER, || {
                FlatMap::<u64, u64, Mapped>::try_with_capacity_and_hasher(3_000, hashers::EVEN_BITS)
            });
            match made {
                Ok(map) => {
                    spared = FOR_EVER;
                    map.insert(1, 2);
                }
                Err((why, hasher)) => {
                    assert_eq!(why, TryReserveError::Alloc);
                    assert_eq!(hasher.name, hashers::EVEN_BITS.name);
                }
            }
        });
        assert_eq!(counts.live, 0, "bytes are lost");
        if spared == FOR_EVER {
            break;
        }
        spared += 1;
    }
}

/// `shrink_to_fit` without memory for the smaller table keeps the larger one, for a failure of any allocation.
#[test]
fn shrinking_without_memory_loses_nothing() {
    let model: HashMap<u64, u64> = (0..700).map(|key| (key, key)).collect();
    for doomed in [1, FOR_EVER] {
        let (mut spared, mut kept) = (0, 0);
        loop {
            let mut map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CLUSTERED);
            for key in 0..3_000 {
                map.insert(key, key);
            }
            map.retain(|key, _| *key < 700);
            let before = map.stats().memory_bytes;
            let ((), counts) = failing(spared, doomed, || map.shrink_to_fit());
            same_as(&map, &model);
            let after = map.stats().memory_bytes;
            assert!(after < before || after == before && counts.failures > 0);
            if counts.failures == 0 {
                break;
            }
            kept += u32::from(after == before);
            spared += 1;
        }
        assert!(kept > 4, "the larger table was kept {kept} times in {spared}");
    }
}

/// Reserved room exists: as many entries go in without another allocation, for any size, into an empty map or one with
/// entries; and of keys that collide, as many as bins have slots.
#[test]
fn reserved_room_needs_no_more_memory() {
    let insert = |map: &FlatMap<u64, u64, Mapped>, keys: std::ops::Range<u64>| {
        let (accepted, counts) =
            failing(0, FOR_EVER, || keys.filter(|&key| map.try_insert(key, key).is_ok()).count());
        (accepted, counts.allocations)
    };
    let sizes =
        (1..=200).chain((9..16).map(|bits| 1 << bits)).chain([3_000, 5_000, 10_000, 99_999]);
    for size in sizes {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
        map.reserve(size as usize);
        let bins = map.stats().bins;
        assert_eq!(insert(&map, 0..size), (size as usize, 0), "{size} keys, empty map");
        map.try_reserve(size as usize).unwrap();
        assert_eq!(insert(&map, size..2 * size), (size as usize, 0), "{size} keys more");
        assert!(bins <= map.stats().bins);
        let map: FlatMap<u64, u64, Mapped> =
            FlatMap::with_capacity_and_hasher(size as usize, hashers::GOOD);
        assert_eq!(insert(&map, 0..size), (size as usize, 0), "a capacity of {size}");
    }
    // Keys of one hash form a list, which takes only the lines that exist.
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
    map.reserve(10_000);
    let before = map.stats().bins;
    let (accepted, _) = insert(&map, 0..2_000);
    assert!(accepted >= 200, "only {accepted} of 2,000 keys of one hash");
    assert_eq!(map.stats().bins, before);
}

/// Overflow lines that other threads have set aside are used before an insert fails for want of memory.
#[test]
fn without_memory_the_lines_of_other_threads_are_used() {
    // Keys of one hash take nothing but lines.
    let fill = |map: &FlatMap<u64, u64, Mapped>| {
        let keys = 1_000_000..1_005_000;
        failing(0, FOR_EVER, || keys.filter(|&key| map.try_insert(key, key).is_ok()).count()).0
    };
    let map = || {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
        // Enough bins for lists of each thread's own.
        map.reserve(10_000);
        map
    };
    let all = fill(&map());
    let shared = map();
    let everybody_is_here = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (shared, everybody_is_here) = (&shared, &everybody_is_here);
            scope.spawn(move || {
                let keys = || 100 * thread..100 * thread + 60;
                keys().for_each(|key| ignore(shared.insert(key, key)));
                // A thread that ends would give its list to the next one.
                everybody_is_here.wait();
                keys().for_each(|key| ignore(shared.remove(&key)));
            });
        }
    });
    assert_eq!(shared.len(), 0);
    let accepted = fill(&shared);
    assert!(accepted >= all, "{accepted} keys instead of {all}: lines are out of reach");
}

/// The allocator is user code: it may use the map that calls it.
#[test]
fn an_allocator_may_use_the_map() {
    static MAP: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::LOW_ENTROPY);
    thread_local! {
        /// The number of writes that are left. An operation restarts if its bin is written while it allocates, so
        /// without an end to the writes it would restart for ever.
        static WRITES: Cell<u64> = const { Cell::new(0) };
        static CALLS: Cell<u64> = const { Cell::new(0) };
    }
    fn hook() {
        CALLS.set(CALLS.get() + 1);
        for key in 0..40 {
            ignore(MAP.get(&key));
            ignore(MAP.try_get(&key));
        }
        if WRITES.get() > 0 {
            WRITES.set(WRITES.get() - 1);
            // Only keys that are present, so this needs no memory itself.
            for key in 0..40 {
                ignore(MAP.update(&key, |value| value));
            }
            ignore(MAP.update(&0, |value| value + 1));
            ignore(MAP.remove(&(1 << 40)));
        }
    }
    within(120, "an allocator that calls back", || {
        MAP.insert(0, 0);
        hooked(hook, || {
            for key in 1..600 {
                WRITES.set(key % 4);
                assert!(MAP.insert(key, key).is_none());
                assert!(MAP.get(&key) == Some(key));
            }
            WRITES.set(5);
            MAP.reserve(20_000);
        });
        assert_eq!(MAP.len(), 600);
        assert!((1..600).all(|key| MAP.get(&key) == Some(key)));
        assert!(MAP.get(&0).is_some_and(|calls| calls > 4), "the allocator was hardly called");
        assert!(CALLS.get() > 10, "the allocator was hardly called");
    });
}
