//! builds: asan
//!
//! `HashMap` and `BytesMap` when memory runs out, and while a limit bounds their garbage. A failed operation returns
//! its arguments intact. All others take effect. A guard that is held for ever costs no more memory than the limit
//! allows.

mod support;

use hedgerow::error::TryInsertError;
use hedgerow::owned::{Op, pin, try_pin};
use hedgerow::{BytesMap, HashMap};
use std::collections::HashMap as StdMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::alloc::{Injected, failing};
use support::alone::alone;
use support::hashers::{self, Mapped};
use support::rng::mix;
use support::{effort, ignore, within};

#[global_allocator]
static ALLOCATOR: Injected = Injected;

const FOR_EVER: u64 = u64::MAX;

type Map = HashMap<u64, u64, Mapped>;
type Strings = BytesMap<Mapped>;
/// The result of an insertion: stored, or key and value returned.
type Refused<K, V> = Result<(), TryInsertError<K, V>>;

/// The number of methods that insert without aborting.
const WAYS: u64 = 4;

/// Inserts with the method that the key selects. Checks that an error returns the given key and value.
fn store(map: &Map, key: u64, value: u64) -> Refused<u64, u64> {
    let came_back = |error: TryInsertError<u64, Option<u64>>| match error {
        TryInsertError::Alloc { key, value } => TryInsertError::Alloc {
            key,
            value: value.expect("the error contains the value of the closure"),
        },
        other => panic!("no other thread is here: {other}"),
    };
    match key % WAYS {
        0 => map.try_insert(key, value).map(drop),
        1 => map.try_insert_if_absent(key, value).map(|done| assert!(done.is_ok())),
        2 => {
            let guard = pin();
            let map = map.with_guard(&guard);
            let made = map.try_get_or_insert_with(key, || value).map_err(came_back);
            made.map(|stored| assert!(*stored == value))
        }
        _ => {
            let done = map.try_compute(key, |_| Op::Insert(value)).map_err(came_back);
            done.map(|done| assert!(done.before.is_none()))
        }
    }
}

fn store_strings(map: &Strings, key: u64, value: u64) -> Refused<[u8; 8], [u8; 8]> {
    let (name, text) = (key.to_le_bytes(), value.to_le_bytes());
    match key % WAYS {
        0 => map.try_insert(name, text).map(drop),
        1 => map.try_insert_if_absent(name, text).map(|done| assert!(done.is_ok())),
        _ => match map.try_compute(name, |_| Op::Insert(text)) {
            Ok(done) => {
                assert!(done.before.is_none());
                Ok(())
            }
            Err(TryInsertError::Alloc { key, value }) => {
                let value = value.expect("the error contains the value of the closure");
                Err(TryInsertError::Alloc { key, value })
            }
            Err(other) => panic!("no other thread is here: {other}"),
        },
    }
}

/// Fills both maps while some allocations fail. The maps must contain exactly the entries whose insertion succeeded.
/// Returns the number of failed allocations.
fn fill_with_failures(hasher: Mapped, keys: u64, spared: u64, doomed: u64) -> u64 {
    let (map, strings) = (Map::with_hasher(hasher), Strings::with_hasher(hasher));
    let mut stored = StdMap::with_capacity(keys as usize);
    let mut stored_strings = StdMap::with_capacity(keys as usize);
    drop(pin());
    let ((), counts) = failing(spared, doomed, || {
        for key in 0..keys {
            let value = mix(key);
            match store(&map, key, value) {
                Ok(()) => assert!(stored.insert(key, value).is_none()),
                Err(TryInsertError::Alloc { key: same, value: given }) => {
                    assert!(same == key && given == value, "not what was given");
                }
                Err(other) => panic!("no other thread is here: {other}"),
            }
            match store_strings(&strings, key, value) {
                Ok(()) => assert!(stored_strings.insert(key, value).is_none()),
                Err(TryInsertError::Alloc { key: same, value: given }) => {
                    assert!(same == key.to_le_bytes() && given == value.to_le_bytes());
                }
                Err(other) => panic!("no other thread is here: {other}"),
            }
        }
    });
    let refused = 2 * keys as usize - stored.len() - stored_strings.len();
    assert!(refused as u64 <= counts.failures);
    assert!(doomed != FOR_EVER || counts.failures == 0 || refused > 0);
    let guard = pin();
    let all: StdMap<u64, u64> =
        map.with_guard(&guard).iter().map(|(key, value)| (*key, *value)).collect();
    assert_eq!((map.len(), all), (stored.len(), stored));
    assert_eq!(strings.len(), stored_strings.len());
    for (key, value) in stored_strings {
        assert_eq!(
            strings.with_guard(&guard).get(key.to_le_bytes()),
            Some(&value.to_le_bytes()[..])
        );
    }
    counts.failures
}

#[test]
fn failing_allocations_lose_nothing() {
    within(300, "failing allocations", || {
        let keys = [(hashers::GOOD, effort(500).max(250)), (hashers::CONSTANT, effort(80).max(60))];
        for (hasher, keys) in keys {
            for doomed in [1, 2, FOR_EVER] {
                let mut spared = 0;
                while fill_with_failures(hasher, keys, spared, doomed) > 0 {
                    spared += 1 + spared / 64;
                }
                assert!(spared > 2 * keys, "{}: only {spared} allocations", hasher.name);
            }
        }
    });
}

/// Operations that allocate no entry succeed without memory.
#[test]
fn operations_that_allocate_no_entry_succeed_without_memory() {
    let map: Map = HashMap::with_hasher(hashers::GOOD);
    let strings = Strings::with_hasher(hashers::GOOD);
    for key in 0..50_u64 {
        map.insert(key, key);
        strings.insert(key.to_le_bytes(), "");
    }
    let ((), counts) = failing(0, FOR_EVER, || {
        let guard = try_pin().expect("this thread has had one");
        for key in 0..50_u64 {
            assert!(
                map.try_insert_if_absent(key, 0).unwrap().unwrap_err().into_parts() == (key, 0)
            );
            assert!(map.with_guard(&guard).try_get_or_insert_with(key, || 0) == Ok(&key));
            assert!(map.try_compute(key, |_| Op::Keep).is_ok());
            assert!(map.try_compute(key, |_| Op::Remove).is_ok_and(|done| done.before.is_some()));
            let name = key.to_le_bytes();
            assert!(strings.try_insert_if_absent(name, "x").unwrap().is_err());
            assert!(strings.try_compute(name, |_| Op::<&str>::Keep).is_ok());
            let removed = strings.try_compute(name, |_| Op::<&str>::Remove);
            assert!(removed.is_ok_and(|done| done.before.is_some()));
        }
        assert!(Map::try_with_capacity_and_hasher(100, hashers::GOOD).is_err());
        assert!(Strings::try_with_capacity_and_hasher(100, hashers::GOOD).is_err());
    });
    assert!(counts.failures > 0 && map.is_empty() && strings.is_empty());
}

/// Calls each method that respects the limit, with a value equal to its key. Returns the key and value of each error.
fn attempts(map: &HashMap<u64, u64>, key: u64) -> [Result<(), (u64, u64)>; 4] {
    let guard = pin();
    let given = |error: TryInsertError<u64, Option<u64>>| {
        let (key, value) = error.into_parts();
        (key, value.unwrap_or(key))
    };
    let absent = map.try_insert_if_absent(key + 1, key + 1);
    [
        map.try_insert(key, key).map(drop).map_err(TryInsertError::into_parts),
        absent.map(ignore).map_err(TryInsertError::into_parts),
        map.with_guard(&guard)
            .try_get_or_insert_with(key + 2, || key + 2)
            .map(ignore)
            .map_err(given),
        map.try_compute(key + 3, |_| Op::Insert(key + 3)).map(drop).map_err(given),
    ]
}

/// A guard that is held for ever keeps `limit` removed entries and one more from being dropped.
#[test]
fn a_guard_that_is_held_for_ever_keeps_as_many_entries_as_the_limit_says() {
    alone(|| {
        let map = HashMap::<u64, u64>::new();
        assert_eq!(map.pending_limit(), None);
        map.set_pending_limit(Some(300));
        assert_eq!((map.pending_limit(), map.clone().pending_limit()), (Some(300), Some(300)));
        let guard = pin();
        let mut stored = 0;
        while map.try_insert(7, stored).is_ok() {
            stored += 1;
            assert!(map.pending() <= 301, "{} are pending, above the limit", map.pending());
        }
        assert_eq!((stored, map.pending()), (302, 301), "stored and pending at the limit");
        match map.try_insert(7, 1) {
            Err(TryInsertError::Stalled { key: 7, value: 1, readers, .. }) => assert!(readers > 0),
            other => panic!("{other:?}"),
        }
        // New keys fail too, because removing them again would add to the pending entries.
        for refused in attempts(&map, 1_000) {
            let (key, value) = refused.expect_err("there is no room");
            assert_eq!(key, value);
        }
        assert_eq!((map.len(), map.pending()), (1, 301));
        // Operations that allocate no entry succeed, and so do those that ignore the limit.
        assert_eq!(map.try_insert_if_absent(7, 0).unwrap().unwrap_err().into_parts(), (7, 0));
        assert_eq!(map.with_guard(&guard).try_get_or_insert_with(7, || 0), Ok(&301));
        assert!(map.try_compute(7, |_| Op::Keep).is_ok());
        assert!(map.try_compute(7, |_| Op::Remove).is_ok_and(|done| done.before.is_some()));
        (0..50).for_each(|n| ignore(map.insert(7, n)));
        assert_eq!(map.pending(), 351);
        drop(guard);
        let taken = attempts(&map, 1_000).iter().all(Result::is_ok);
        assert!(taken, "pending entries are not dropped after the guard");
        assert!(map.pending() <= 301);
        map.set_pending_limit(None);
        let _guard = pin();
        assert!((0..2_000).all(|n| map.try_insert(7, n).is_ok()));
    });
}

#[test]
fn a_limit_bounds_the_garbage_of_strings() {
    alone(|| {
        let map = BytesMap::new();
        map.set_pending_limit(Some(10));
        assert_eq!((map.pending_limit(), map.clone().pending_limit()), (Some(10), Some(10)));
        let guard = pin();
        let stored =
            (0..1_000_u64).take_while(|n| map.try_insert("a", n.to_le_bytes()).is_ok()).count();
        assert_eq!((stored, map.pending()), (12, 11), "strings stored and pending at the limit");
        let stalled = |error: &TryInsertError<&str, Option<&str>>| {
            matches!(error, TryInsertError::Stalled { key: "b", value: Some("v"), .. })
        };
        assert!(map.try_compute("b", |_| Op::Insert("v")).is_err_and(|why| stalled(&why)));
        match map.try_insert_if_absent("b", "v") {
            Err(TryInsertError::Stalled { key: "b", value: "v", readers, .. }) => {
                assert!(readers > 0);
            }
            other => panic!("{other:?}"),
        }
        assert!(map.try_insert_if_absent("a", "v").unwrap().is_err());
        assert!(map.insert("a", "v").is_some());
        drop(guard);
        assert!(map.try_insert("b", "v").is_ok());
        assert!(map.try_insert_if_absent("c", "v").is_ok());
        assert!(map.try_compute("d", |_| Op::Insert("v")).is_ok());
        assert_eq!(map.len(), 4);
    });
}

#[test]
fn errors_explain_themselves() {
    let map = HashMap::<u64, u64>::new();
    map.set_pending_limit(Some(0));
    let _guard = pin();
    (0..2).for_each(|n| ignore(map.insert(1, n)));
    let stalled = map.try_insert(1, 7).expect_err("a guard is held");
    let busy = TryInsertError::Busy { key: 1, value: 7 };
    let alloc = TryInsertError::Alloc { key: 1, value: 7 };
    let long = TryInsertError::TooLong { key: 1, value: 7 };
    let mut said: Vec<String> = [stalled, busy, alloc, long].map(|why| why.to_string()).into();
    assert!(said[0].contains("readers") && said.iter().all(|text| text.len() > 10));
    assert!([stalled, busy, alloc, long].iter().all(|why| why.into_parts() == (1, 7)));
    said.sort();
    said.dedup();
    assert_eq!(said.len(), 4);
}

/// One operation drops the entries above the limit, and at most two others.
#[test]
fn a_limit_drops_only_the_excess() {
    alone(|| {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let map = HashMap::<u64, Counted>::new();
        let guard = pin();
        (0..1_001).for_each(|_| ignore(map.insert(1, Counted(dropped.clone()))));
        assert_eq!((map.pending(), dropped.load(Ordering::Relaxed)), (1_000, 0));
        map.set_pending_limit(Some(900));
        drop(guard);
        assert!(map.try_insert(2, Counted(dropped.clone())).is_ok());
        // The insertion has dropped the excess.
        let left = map.pending();
        assert!((899..=900).contains(&left), "{left} are left");
        map.set_pending_limit(Some(0));
        assert!(map.try_insert(3, Counted(dropped.clone())).is_ok());
        assert_eq!((map.len(), map.pending()), (3, 0));
    });
}

/// While another thread holds a guard, each thread that inserts exceeds the limit by at most one entry.
#[test]
fn threads_exceed_the_limit_by_one_each() {
    alone(|| {
        let map = HashMap::<u64, u64>::new();
        map.set_pending_limit(Some(500));
        let _guard = pin();
        support::joined_scope(|scope| {
            for hand in 0..4 {
                let map = &map;
                scope.spawn(move || {
                    let refused =
                        (0..100_000).filter(|n| map.try_insert(hand, *n).is_err()).count();
                    assert!(refused > 90_000);
                });
            }
        });
        assert!((500..=504).contains(&map.pending()), "{}", map.pending());
    });
}

/// Threads that remove at the same time while there is no memory for a second bag, the list of removed entries: the
/// map drops every entry, for any allocation that fails.
#[test]
fn removed_entries_are_dropped_without_memory_for_bags() {
    const EACH: u64 = 5_000;
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    alone(|| {
        for spared in [0, 1] {
            let alive = Arc::new(AtomicUsize::new(4 * EACH as usize));
            let new = |key| (key, Counted(alive.clone()));
            let map: HashMap<u64, Counted> = (0..4 * EACH).map(new).collect();
            support::joined_scope(|scope| {
                for hand in 0..4 {
                    let map = &map;
                    scope.spawn(move || {
                        drop(pin());
                        failing(spared, FOR_EVER, || {
                            for key in hand * EACH..(hand + 1) * EACH {
                                assert!(map.remove(&key).is_some_and(|old| *old.key() == key));
                            }
                        });
                    });
                }
            });
            assert!(map.is_empty() && map.pending() == alive.load(Ordering::Relaxed));
            map.reclaim();
            assert_eq!((map.pending(), alive.load(Ordering::Relaxed)), (0, 0));
        }
    });
}
