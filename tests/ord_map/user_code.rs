//! builds: asan
//!
//! `OrdMap` with hostile user code: an `Ord` that is inconsistent or panics, a `Clone` or a `Drop` that panics or calls
//! the map, an inconsistent ranking. Answers may be wrong, but every operation ends, and everything is dropped once.

use crate::support;

use hedgerow::OrdMap;
use hedgerow::fence::{Op, Ranking};
use hedgerow::owned::pin;
use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use std::sync::{Arc, Weak};
use support::alone::alone;
use support::compare::{compare_by_cmp, meddle, meddling};
use support::fuse::{FUSE, burn};
use support::rng::{Rng, mix};
use support::tracked::Tracked;
use support::{ignore, panics, planned_panic, within};

thread_local! {
    static WIND: Cell<u64> = const { Cell::new(0) };
}

/// A key that compares and clones until the fuse has burnt down, and panics then.
struct FuseKey(Tracked);

impl Clone for FuseKey {
    fn clone(&self) -> Self {
        burn();
        Self(self.0.clone())
    }
}
impl Ord for FuseKey {
    fn cmp(&self, other: &Self) -> Ordering {
        burn();
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(FuseKey);

struct Coarse;
impl Ranking<FuseKey> for Coarse {
    fn rank(&self, key: &FuseKey) -> u64 {
        burn();
        key.0.value & !0xFF
    }
}

/// A panic in any call of user code leaves no lock taken, and every key, bound and value is dropped once.
#[test]
fn a_panic_in_user_code_leaves_the_map_intact() {
    within(120, "the map after panics", || {
        panics_at_each_step(OrdMap::new());
        panics_at_each_step(OrdMap::with_ranking(Coarse));
    });
}

fn panics_at_each_step<R: Ranking<FuseKey>>(map: OrdMap<FuseKey, Tracked, R>) {
    let alive = Arc::new(AtomicUsize::new(0));
    let new = |n| Tracked::new(n, &alive);
    let key = |n| FuseKey(Tracked::new(n, &alive));
    let mut rng = Rng::new(1);
    let mut count = 0;
    for step in 0..18_000u64 {
        let grows = step % 3_000 < 500;
        let number = rng.next() % 1_500;
        if step % 3_000 == 0 {
            (0..1_500).for_each(|n| ignore(map.insert(key(n), new(n))));
        }
        // Merges compare keys after the operation is done. The fuse should burn down there too.
        let fuse = match rng.below(6) {
            0 => rng.next() as u32 % 40,
            1 | 2 if !grows => 8 + rng.next() as u32 % 15,
            _ => u32::MAX,
        };
        let panicked = panics(|| {
            let (one, two) = (key(number), key(number + 3));
            FUSE.set(fuse);
            match rng.below(12) {
                0..=6 if grows => ignore(map.insert(one, new(step))),
                0..=6 => ignore(map.remove(&one)),
                7 if !grows => ignore(map.remove_range(&one..&two)),
                8 => ignore(map.update(&one, |value| new(value.value + 1))),
                9 if step % 400 == 0 => map.retain(|key, _| {
                    burn();
                    key.0.value % 50 != 0
                }),
                10 if step % 40 == 0 => {
                    let wanted = |key: &FuseKey| {
                        burn();
                        key.0.value.is_multiple_of(50)
                    };
                    ignore(map.extract_if(|key, _| wanted(key)).take(9).count());
                }
                10 => ignore(map.pop_last()),
                _ => {
                    let guard = pin();
                    ignore((
                        map.with_guard(&guard).floor(&one),
                        map.with_guard(&guard).range(&one..&two).count(),
                    ));
                }
            }
        });
        FUSE.set(u32::MAX);
        count += usize::from(panicked);
    }
    assert!(count > 100, "{count}");
    let guard = pin();
    assert_eq!(map.with_guard(&guard).iter().count(), map.len());
    assert!(map.with_guard(&guard).keys().map(|key| key.0.value).is_sorted_by(|a, b| a < b));
    for (key, value) in &map.with_guard(&guard) {
        assert!(map.with_guard(&guard).get(key).is_some_and(|other| other == value));
    }
    drop(guard);
    drop(map);
    assert_eq!(alive.load(Memory::Relaxed), 0, "keys or values leak");
}

/// A key that compares at random.
#[derive(Clone)]
struct Fickle(Tracked);

impl Ord for Fickle {
    fn cmp(&self, other: &Self) -> Ordering {
        WIND.set(WIND.get() + 1);
        assert!(!self.0.dropped && !other.0.dropped);
        match mix(WIND.get()) % 8 {
            0 => Ordering::Less,
            1 => Ordering::Greater,
            2 => Ordering::Equal,
            _ => self.0.cmp(&other.0),
        }
    }
}
compare_by_cmp!(Fickle);

/// A key whose clone is another key.
struct Changeling(Tracked);
impl Clone for Changeling {
    fn clone(&self) -> Self {
        let mut other = self.0.clone();
        other.value = mix(other.value) % 5_000;
        Self(other)
    }
}
impl Ord for Changeling {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(Changeling);

struct Liar;
impl<K: ?Sized> Ranking<K> for Liar {
    fn rank(&self, _: &K) -> u64 {
        WIND.set(WIND.get() + 1);
        mix(WIND.get())
    }
}

fn everything_ends<K: Clone + Ord, R: Ranking<K>>(
    map: OrdMap<K, Tracked, R>,
    key: impl Fn(Tracked) -> K,
) {
    let alive = Arc::new(AtomicUsize::new(0));
    let new = |n| Tracked::new(n, &alive);
    let mut rng = Rng::new(2);
    for step in 0..5_000 {
        let (one, two) = (key(new(rng.next() % 5_000)), key(new(rng.next() % 5_000)));
        let guard = pin();
        map.insert(one.clone(), new(step));
        match step % 100 {
            0 => ignore(
                map.with_guard(&guard).range(&one..&two).count()
                    + map.with_guard(&guard).range::<K, _>(..).len(),
            ),
            1 => ignore(map.remove_range(&one..=&two)),
            2 => map.retain(|_, value| value.value % 7 != 0),
            3..=12 => ignore((
                map.with_guard(&guard).first_key_value(),
                map.with_guard(&guard).last_key_value(),
                map.with_guard(&guard).floor(&one),
            )),
            13..=20 => ignore((map.pop_first(), map.pop_last())),
            21..=60 => ignore(map.remove(&two)),
            61 => ignore((
                map.with_guard(&guard).iter_range(&one..).count(),
                map.with_guard(&guard).iter_range(..&one).rev().count(),
            )),
            62 => ignore(map.with_guard(&guard).iter().all(|(_, value)| !value.dropped)),
            63 => ignore(map.update(&two, |value| new(value.value))),
            65 => ignore(map.range_len::<K, _>(..) + map.approximate_range_len(&one..&two)),
            64 => ignore(map.extract_if(|_, value| value.value % 11 == 0).take(50).count()),
            _ => ignore(map.with_guard(&guard).get(&two)),
        }
    }
    map.clear();
    assert_eq!(map.pin().range::<K, _>(..).len(), map.len());
    drop(map);
    assert_eq!(alive.load(Memory::Relaxed), 0, "keys or values leak");
}

#[test]
fn operations_end_with_inconsistent_keys() {
    within(300, "operations with an inconsistent order", || {
        everything_ends(OrdMap::<Fickle, _>::new(), Fickle);
        everything_ends(OrdMap::with_ranking(Liar), Fickle);
        everything_ends(OrdMap::with_ranking(Liar), |key| key);
        everything_ends(OrdMap::<Changeling, _>::new(), Changeling);
    });
}

/// A key that is equal to another at some comparisons, by their number.
#[derive(Clone)]
struct Turncoat {
    period: u64,
}

impl Ord for Turncoat {
    fn cmp(&self, _: &Self) -> Ordering {
        WIND.set(WIND.get() + 1);
        if WIND.get() % self.period < self.period / 2 { Ordering::Equal } else { Ordering::Less }
    }
}
compare_by_cmp!(Turncoat);

/// Each of its operations finds the entry or misses it, so none of them ends the chain for long.
#[test]
fn a_chain_ends_with_a_value_if_the_order_contradicts_itself() {
    within(60, "a chain with an order that contradicts itself", || {
        for (period, phase) in (1..12).flat_map(|period| (0..period).map(move |n| (period, n))) {
            let map = OrdMap::<Turncoat, u64>::new();
            map.insert(Turncoat { period }, 1);
            WIND.set(phase);
            let told = catch_unwind(AssertUnwindSafe(|| {
                *map.entry(Turncoat { period }).and_modify(|n| *n += 1).or_insert(1)
            }));
            assert!(matches!(told, Ok(1..)), "period {period}, phase {phase}: a chain panicked");
        }
    });
}

/// Closures run with nothing locked, so they may call the map, for other keys and for their own.
#[test]
fn closures_may_call_the_map() {
    within(60, "closures that call the map", || {
        let map: OrdMap<u64, String> = (0..1_000).map(|n| (n, n.to_string())).collect();
        let mut calls = 0;
        let done = map.compute(500, |value| {
            calls += 1;
            if calls < 3 {
                map.insert(500, calls.to_string());
            }
            let guard = pin();
            assert!(value.is_some() && map.with_guard(&guard).range(490..510).len() == 20);
            Op::Insert("done".into())
        });
        assert_eq!((done.before.as_deref().map(String::as_str), calls), (Some("2"), 3));
        let odd = map.extract_if(|key, _| {
            // If another entry has this key now, the closure was not called for it.
            ignore((key % 5 == 0).then(|| map.insert(*key, "again".into())));
            assert!(map.contains_key(key));
            key % 2 == 1
        });
        assert_eq!(odd.count(), 400);
        (0..500).for_each(|n| ignore(map.insert(2 * n + 1, String::new())));
        map.retain(|key, _| {
            assert!(map.contains_key(key) && map.pin().last_key_value().is_some());
            key % 2 == 0
        });
        assert_eq!(map.len(), 500);
        let pinned = map.pin();
        let made = pinned.get_or_insert_with(7, || map.get_cloned(&8).unwrap() + "!");
        assert_eq!(made, "8!");
    });
}

/// A key whose clones and drops call the map that it is in.
struct Nosy(u64, Weak<OrdMap<Nosy, Nosy>>);

impl Nosy {
    /// Clones do not insert: the split that needs the clone would start again, clone again, and never end.
    fn look(&self, inserts: bool) {
        let Some(map) = self.1.upgrade() else { return };
        ignore(map.contains_key(&self.0));
        if self.0.is_multiple_of(16) {
            ignore(map.remove(&(self.0 + 1)));
            if inserts {
                ignore(map.insert(Self(self.0 + 2, Weak::new()), Self(0, Weak::new())));
            }
        }
    }
}
impl Clone for Nosy {
    fn clone(&self) -> Self {
        self.look(false);
        Self(self.0, self.1.clone())
    }
}
impl Drop for Nosy {
    fn drop(&mut self) {
        self.look(true);
    }
}
impl std::borrow::Borrow<u64> for Nosy {
    fn borrow(&self) -> &u64 {
        &self.0
    }
}
impl Ord for Nosy {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl PartialOrd for Nosy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Nosy {}

/// A key that replaces an entry of the map at each comparison.
#[derive(Clone)]
struct Meddler(u64);
static MEDDLED_MAP: OrdMap<Meddler, u64> = OrdMap::new();

impl Ord for Meddler {
    fn cmp(&self, other: &Self) -> Ordering {
        meddle(|calls| ignore(MEDDLED_MAP.insert(Self(3), u64::from(calls))));
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(Meddler);

/// If a leaf changes each time it is read, an operation that must not wait fails.
#[test]
fn operations_that_must_not_wait_end_beside_endless_changes() {
    let map = &MEDDLED_MAP;
    (0..9).for_each(|n| ignore(map.insert(Meddler(n), n)));
    let guard = pin();
    assert!(meddling(|| map.with_guard(&guard).try_get(&Meddler(5)).is_err()));
    assert!(meddling(|| map.try_insert(Meddler(5), 0).is_err()));
    assert!(meddling(|| map.try_insert_if_absent(Meddler(20), 0).is_err()));
    assert!(meddling(|| map.try_remove(&Meddler(5)).is_err()));
    assert!(meddling(|| map.with_guard(&guard).try_get_or_insert_with(Meddler(20), || 0).is_err()));
    assert!(meddling(|| map.try_compute(Meddler(5), |_| Op::Remove).is_err()));
    assert_eq!((map.len(), map.with_guard(&guard).get(&Meddler(5))), (9, Some(&5)));
}

/// An operation that must not wait does not call a closure again that itself replaces the entry.
#[test]
fn a_closure_runs_once_in_an_operation_that_must_not_wait() {
    let map: OrdMap<u64, u64> = [(1, 0), (2, 0)].into();
    for (key, op) in [(1, Op::Insert(7)), (2, Op::Remove), (3, Op::Insert(7))] {
        let mut calls = 0;
        let refused = map.try_compute(key, |_| {
            calls += 1;
            assert!(calls < 1_000, "an operation that may not wait begins again and again");
            map.remove(&key);
            if calls % 2 == 1 {
                map.insert(key, calls);
            }
            op
        });
        let again = "an operation that may not wait begins again";
        assert!(refused.is_err() && calls == 1, "{again}: {calls} calls for key {key}");
    }
}

#[test]
fn clones_and_drops_may_call_the_map() {
    alone(|| {
        within(60, "clones and drops that call the map", || {
            let map = Arc::new(OrdMap::<Nosy, Nosy>::new());
            let mut rng = Rng::new(3);
            for step in 0..20_000 {
                let key = rng.next() % 2_000;
                if step / 5_000 % 2 == 0 {
                    let new = || Nosy(key, Arc::downgrade(&map));
                    ignore(map.insert(new(), new()));
                } else {
                    ignore(map.remove(&key));
                }
            }
            map.reclaim();
            map.clear();
            map.reclaim();
            assert!(map.pin().range(0u64..).len() == map.len());
        });
    });
}

/// `Drop` panics, for bounds too, in any operation that runs it: nothing else is lost or dropped twice.
#[test]
fn a_panicking_drop_harms_no_other_entry() {
    alone(|| {
        #[derive(Clone)]
        struct Bomb(Tracked);
        impl Drop for Bomb {
            fn drop(&mut self) {
                if self.0.value.is_multiple_of(97) && !std::thread::panicking() {
                    planned_panic();
                }
            }
        }
        impl Ord for Bomb {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.cmp(&other.0)
            }
        }
        impl PartialOrd for Bomb {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for Bomb {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }
        impl Eq for Bomb {}
        impl std::borrow::Borrow<u64> for Bomb {
            fn borrow(&self) -> &u64 {
                &self.0.value
            }
        }
        within(60, "panicking drops", || {
            let alive = Arc::new(AtomicUsize::new(0));
            let map = OrdMap::<Bomb, Bomb>::new();
            let mut rng = Rng::new(4);
            let mut count = 0;
            for step in 0..24_000 {
                let key = rng.next() % 2_000;
                let new = |n| Bomb(Tracked::new(n, &alive));
                count += usize::from(panics(|| match rng.below(40) {
                    0 => ignore(map.remove_range(key..key + 10)),
                    1 => map.reclaim(),
                    _ if step / 6_000 % 2 == 0 => ignore(map.insert(new(key), new(step))),
                    _ => ignore(map.remove(&key)),
                }));
            }
            assert!(count > 50, "{count}");
            // One call after the other, as many as needed: the last node of a dropped list may panic too.
            ignore(panics(move || drop(map)));
            assert_eq!(alive.load(Memory::Relaxed), 0, "keys or values leak");
        });
    });
}
