//! builds: default
//!
//! The operations of `FlatMap` that neither wait nor abort. If they cannot be done at once, they hand their arguments
//! back and have done nothing; else they do what the waiting operations do.

use crate::support;

use hedgerow::FlatMap;
use hedgerow::error::{Busy, TryInsertError, TryReserveError};
use hedgerow::flat::Op;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use support::alloc::{failing, stop_failing};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::{ignore, rounds, seed, within};

const FOR_EVER: u64 = u64::MAX;

type Map<K = u64> = FlatMap<K, u64, Mapped>;

/// Returns the error of each operation for `key`, for which each would store 5.
fn refusals<K: Copy + Eq + Hash + Debug>(map: &Map<K>, key: K) -> [TryInsertError<K, u64>; 6] {
    let given = |error: TryInsertError<K, Option<u64>>| match error {
        // The closure may not have run.
        TryInsertError::Busy { key, value } => {
            TryInsertError::Busy { key, value: value.unwrap_or(5) }
        }
        TryInsertError::Alloc { key, value: Some(value) } => TryInsertError::Alloc { key, value },
        _ => {
            stop_failing();
            panic!("the value was not handed back")
        }
    };
    let mut before = [Some(77)];
    let many = map.try_insert_many(&[(key, 5)], &mut before).expect_err("many");
    assert_eq!((many.0, before), (0, [Some(77)]));
    [
        map.try_insert(key, 5).expect_err("insert"),
        map.try_insert_if_absent(key, 5).expect_err("insert_if_absent"),
        many.1,
        given(map.try_compute(key, |_| Op::Insert(5)).expect_err("compute")),
        given(map.try_compare_exchange(key, None, Some(5)).expect_err("compare_exchange")),
        given(map.try_get_or_insert_with(key, || 5).expect_err("get_or_insert")),
    ]
}

/// Fills the existing slots, without another allocation; returns the next key.
fn fill_up(map: &Map) -> u64 {
    (0..1_000).find(|&key| map.try_insert(key, key).is_err()).expect("memory ends")
}

#[test]
fn without_memory_the_arguments_come_back() {
    for (hasher, keys) in [(hashers::GOOD, 0), (hashers::GOOD, 90), (hashers::CONSTANT, 90)] {
        let map = Map::with_hasher(hasher);
        (0..keys).for_each(|key| ignore(map.insert(key, key)));
        let (key, _) = failing(0, FOR_EVER, || fill_up(&map));
        assert!(key >= keys);
        let (refused, counts) = failing(0, FOR_EVER, || refusals(&map, key));
        assert!(refused.iter().all(|why| *why == TryInsertError::Alloc { key, value: 5 }));
        assert!(counts.failures as usize >= refused.len(), "an operation did not try to allocate");
        assert_eq!((map.len() as u64, map.get(&key)), (key, None));
        let present = |key: u64| {
            assert!(
                map.try_insert_if_absent(key, 5).unwrap().is_err_and(|error| error.current == key)
            );
            assert!(map.try_compute(key, |_| Op::Keep).is_ok_and(|done| done.after == Some(key)));
            assert!(map.try_compare_exchange(key, None, Some(5)) == Ok(Err(Some(key))));
            assert!(map.try_compare_exchange(key, Some(key), Some(5)) == Ok(Ok(Some(key))));
            let add = |n: Option<_>| Op::Insert(n.map_or(0, |n| n + 1));
            assert_eq!(map.try_compute(key, add).map(|done| done.after), Ok(Some(6)));
            assert!(map.try_update(&key, |n| n * 2) == Ok(Some(12)));
            assert!(map.try_remove(&key) == Ok(Some(12)));
            assert!(map.try_get_or_insert_with(key, || key) == Ok(key));
        };
        failing(0, FOR_EVER, || (0..key).for_each(present));
        assert!((0..key).all(|key| map.get(&key) == Some(key)));
        assert_eq!(map.try_get_or_insert_with(key, || 5), Ok(5), "there is memory again");
    }
    let (made, _) = failing(0, 1, || FlatMap::<u64, u64>::try_with_capacity(1_000).err());
    assert_eq!(made, Some(TryReserveError::Alloc));
}

/// Of a batch, the entries before the refused one are stored, and their answers too; the rest is not.
#[test]
fn a_batch_tells_how_far_it_came() {
    let map = Map::with_hasher(hashers::GOOD);
    (0..50).for_each(|key| ignore(map.insert(key, key)));
    let (next, _) = failing(0, FOR_EVER, || fill_up(&map));
    for good in [0, 3, 16, 37] {
        let mut entries: Vec<_> = (0..good).map(|key| (key, key + 1_000)).collect();
        entries.extend([(next, 1), (0, 9)]);
        let mut before = vec![Some(77); entries.len()];
        let (done, _) = failing(0, FOR_EVER, || map.try_insert_many(&entries, &mut before));
        let why = TryInsertError::Alloc { key: next, value: 1 };
        assert_eq!(done, Err((good as usize, why)), "how far the batch came");
        for key in 0..good {
            assert_eq!((before[key as usize], map.get(&key)), (Some(key), Some(key + 1_000)));
            map.insert(key, key);
        }
        assert_eq!((&before[good as usize..], map.get(&0)), (&[Some(77); 2][..], Some(0)));
    }
}

/// A key whose comparison writes to the map in `MAP`: the bin is never the same twice.
#[derive(Clone, Copy, Debug)]
struct Meddler(u64);

thread_local! {
    static MAP: RefCell<Option<Rc<Map<Meddler>>>> = const { RefCell::new(None) };
    static TURN: Cell<u64> = const { Cell::new(0) };
}

impl PartialEq for Meddler {
    fn eq(&self, other: &Self) -> bool {
        if let Some(map) = MAP.take() {
            TURN.set(TURN.get() + 1);
            map.insert(Self(0), TURN.get());
            MAP.set(Some(map));
        }
        self.0 == other.0
    }
}

impl Eq for Meddler {}

impl Hash for Meddler {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// An operation that finds its bin changed before it could store returns an error instead of trying again.
#[test]
fn operations_that_would_wait_hand_their_arguments_back() {
    within(20, "operations that do not wait", || {
        for others in [1, 3, 40] {
            let map: Rc<Map<Meddler>> = Rc::new(FlatMap::with_hasher(hashers::CONSTANT));
            (0..others).for_each(|key| ignore(map.insert(Meddler(key), key)));
            MAP.set(Some(Rc::clone(&map)));
            let key = Meddler(1_000);
            let refused = refusals(&map, key);
            let last = Meddler(others - 1);
            let removed = map.try_remove(&last);
            let updated = map.try_update(&last, |_| 5);
            MAP.set(None);
            assert_eq!((removed, updated), (Err(Busy), Err(Busy)));
            assert!(refused.iter().all(|why| *why == TryInsertError::Busy { key, value: 5 }));
            assert_eq!((map.len() as u64, map.get(&key)), (others, None));
            assert!(map.get(&last).is_some_and(|value| others == 1 || value == others - 1));
        }
    });
}

/// Random operations with and without memory: each does what the model does, or hands back and does nothing.
#[test]
fn refused_operations_change_nothing() {
    within(300, "random operations", || {
        let played = rounds(200, std::time::Duration::from_secs(4), |round| {
            let mut rng = Rng::new(seed() ^ u64::from(round));
            let map = Map::with_hasher(*rng.pick(&hashers::ALL));
            let mut model = HashMap::with_capacity(1_000);
            let mut refused = 0;
            for _ in 0..1_000 {
                let (key, new) = (rng.below(300) as u64, rng.next());
                let found = model.get(&key).copied();
                let (kind, spared) = (rng.below(8), rng.below(3) as u64);
                let (done, _) = failing(spared, 2, || one(&map, kind, key, new, found));
                match done {
                    Some(Some(after)) => drop(model.insert(key, after)),
                    Some(None) => drop(model.remove(&key)),
                    None => refused += 1,
                }
                assert_eq!(map.get(&key), model.get(&key).copied());
                assert_eq!(map.len(), model.len());
            }
            assert!(refused > 0, "memory never ran out");
            assert_eq!(map.iter().collect::<HashMap<_, _>>(), model);
        });
        println!("{played} rounds");
    });
}

/// Does one operation on `key`, whose value is `found`. Returns the key's value after it, None if the operation was
/// refused.
#[allow(clippy::option_option)] // Refused; done and absent; done and present.
fn one(map: &Map, kind: usize, key: u64, new: u64, found: Option<u64>) -> Option<Option<u64>> {
    match kind {
        0 => map.try_insert(key, new).ok().map(|before| {
            assert_eq!(before, found);
            Some(new)
        }),
        1 => map.try_insert_if_absent(key, new).ok().map(|done| {
            let before = done.err().map(|error| error.current);
            assert_eq!(before, found);
            found.or(Some(new))
        }),
        2 => {
            let mut before = [None];
            map.try_insert_many(&[(key, new)], &mut before).ok()?;
            assert_eq!(before, [found]);
            Some(Some(new))
        }
        3 => {
            let toggle = |old: Option<u64>| old.map_or(Op::Insert(new), |_| Op::Remove);
            let done = map.try_compute(key, toggle).ok()?;
            assert_eq!(done.before, found);
            Some(done.after)
        }
        4 => {
            let current = if new.is_multiple_of(4) { None } else { found };
            let done = map.try_compare_exchange(key, current, Some(new)).ok()?;
            assert_eq!(done, if current == found { Ok(found) } else { Err(found) });
            Some(if current == found { Some(new) } else { found })
        }
        5 => {
            assert_eq!(map.try_remove(&key), Ok(found));
            Some(None)
        }
        6 => {
            let after = found.map(|n| n ^ new);
            assert_eq!(map.try_update(&key, |n| n ^ new), Ok(after));
            Some(after)
        }
        _ => {
            let change = |n: Option<_>| Op::Insert(n.map_or(new, |n| n ^ new));
            let after = map.try_compute(key, change).ok()?.after?;
            assert_eq!(after, found.map_or(new, |n| n ^ new));
            Some(Some(after))
        }
    }
}

/// Entries that leave overflow lines return the lines to the pool, whether the operation waits or not.
#[test]
fn removing_without_waiting_gives_lines_back() {
    let map = Map::with_hasher(hashers::CONSTANT);
    (0..100).for_each(|key| ignore(map.insert(key, key)));
    assert!(map.stats().overflow_lines > 20);
    for key in 0..50 {
        assert_eq!(map.try_remove(&key), Ok(Some(key)));
        assert_eq!(map.try_compute(99 - key, |_| Op::Remove).map(|done| done.after), Ok(None));
    }
    assert_eq!((map.len(), map.stats().overflow_lines), (0, 0));
}
