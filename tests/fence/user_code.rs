//! builds: asan
//!
//! `FenceMap` with hostile user code: an `Ord` that is inconsistent or panics, an inconsistent ranking, closures that
//! call the map. Answers may be wrong, but every operation ends, and the map is intact after it.

use crate::support;

use hedgerow::FenceMap;
use hedgerow::fence::{Op, Ranking};
use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::compare::{compare_by_cmp, meddle, meddling};
use support::rng::{Rng, mix};
use support::{ignore, planned_panic, within};

thread_local! {
    /// Number of comparisons until the planned panic.
    static FUSE: Cell<u32> = const { Cell::new(u32::MAX) };
}

fn burn() {
    let left = FUSE.get();
    if left == 0 {
        planned_panic();
    }
    FUSE.set(left - 1);
}

/// A key that orders by its number until the fuse has burnt down, and panics then.
#[derive(Clone, Copy, Debug)]
struct FuseKey(u64);

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
        key.0 & !0xFF
    }
}

/// A panic in any comparison or ranking leaves no lock taken and loses no entry.
#[test]
fn a_panic_in_user_code_leaves_the_map_intact() {
    within(120, "the map after panics", || {
        panics_at_each_step(&FenceMap::<FuseKey, u64>::new());
        panics_at_each_step(&FenceMap::with_ranking(Coarse));
    });
}

fn panics_at_each_step<R: Ranking<FuseKey>>(map: &FenceMap<FuseKey, u64, R>) {
    let mut rng = Rng::new(1);
    let mut count = 0;
    let mut panics = 0;
    for step in 0..6_000u64 {
        let key = FuseKey(rng.next() % 3_000);
        FUSE.set(rng.next() as u32 % 40);
        let done = catch_unwind(AssertUnwindSafe(|| match step % 8 {
            0..=3 => map.insert(key, key.0).is_none().into(),
            4 | 5 => -i64::from(map.remove(&key).is_some()),
            6 if step % 24 == 6 => {
                let taken = map.extract_if(|key, _| key.0 % 50 == 0).take(5).count();
                -(taken.cast_signed() as i64)
            }
            6 => -(map.remove_range(key..FuseKey(key.0 + 3)).cast_signed() as i64),
            _ => {
                map.floor(&key);
                map.range(key..).len();
                0
            }
        }));
        FUSE.set(u32::MAX);
        if let Ok(change) = done {
            count += change;
        } else {
            // The change was made, if the panic came in the merge after it.
            count = i64::try_from(map.len()).unwrap();
            panics += 1;
        }
        assert_eq!(i64::try_from(map.len()).unwrap(), count);
    }
    assert!(panics > 100, "{panics}");
    assert_eq!(map.iter().count(), map.len());
    assert!(map.keys().map(|key| key.0).is_sorted_by(|a, b| a < b));
    for (key, value) in map {
        assert_eq!((key.0, map.get(&key)), (value, Some(value)));
    }
}

/// A key whose number 5,003 is less than all even ones, but greater than the odd ones before it.
#[derive(Clone, Copy, Debug)]
struct Misplaced(u64);

impl Ord for Misplaced {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (5_003, even) if even % 2 == 0 => Ordering::Less,
            (even, 5_003) if even % 2 == 0 => Ordering::Greater,
            (one, other) => one.cmp(&other),
        }
    }
}
compare_by_cmp!(Misplaced);

/// The first leaf of the batch is done when the keys of a later one turn out to contradict each other.
#[test]
fn no_change_of_a_batch_is_made_twice() {
    let map = FenceMap::<Misplaced, u64>::new();
    (0..5_000).for_each(|n| ignore(map.insert(Misplaced(2 * n), n)));
    let odd = (0..10).map(|n| 2 * n + 1).chain([5_001, 5_003]);
    let changes: Vec<_> = odd.map(|n| (Misplaced(n), Op::Insert(n))).collect();
    let answers = map.apply_each(&changes);
    assert_eq!(answers[..10], [None; 10], "keys were found that were not there before the batch");
}

/// A key that compares at random.
#[derive(Clone, Copy, Debug)]
struct Fickle(u64);

thread_local! {
    static WIND: Cell<u64> = const { Cell::new(0) };
}

impl Ord for Fickle {
    fn cmp(&self, other: &Self) -> Ordering {
        WIND.set(WIND.get() + 1);
        match mix(WIND.get()) % 8 {
            0 => Ordering::Less,
            1 => Ordering::Greater,
            2 => Ordering::Equal,
            _ => self.0.cmp(&other.0),
        }
    }
}
compare_by_cmp!(Fickle);

struct Liar;
impl<K> Ranking<K> for Liar {
    fn rank(&self, _: &K) -> u64 {
        WIND.set(WIND.get() + 1);
        mix(WIND.get())
    }
}

fn everything_ends<K: Copy + Ord, R: Ranking<K>>(
    map: &FenceMap<K, u64, R>,
    key: impl Fn(u64) -> K,
) {
    let mut rng = Rng::new(2);
    for step in 0..6_000 {
        let (one, two) = (key(rng.next() % 5_000), key(rng.next() % 5_000));
        map.insert(one, step);
        match step % 100 {
            0 => support::ignore(map.range(one..two).count() + map.range(..).len()),
            1 => support::ignore(map.remove_range(one..=two)),
            2 => map.retain(|_, v| *v % 7 != 0),
            3..=12 => support::ignore((
                map.first_key_value(),
                map.last_key_value(),
                map.floor(&one),
                map.successor(&two),
            )),
            13..=20 => support::ignore((map.pop_first(), map.pop_last())),
            21..=60 => support::ignore(map.remove(&two)),
            61 => support::ignore(map.iter_range(one..).count()),
            62 => support::ignore(map.keys().count() + map.iter_range(..two).rev().count()),
            64 => support::ignore(map.range_len(one..) + map.approximate_range_len(one..two)),
            63 => support::ignore(map.extract_if(|_, value| value % 11 == 0).take(50).count()),
            _ => support::ignore(map.get(&two)),
        }
    }
    support::ignore(map.drain().take(1_000).count());
    map.clear();
    assert_eq!(map.range(..).len(), map.len());
}

#[test]
fn operations_end_with_inconsistent_keys_or_ranks() {
    within(300, "operations with an inconsistent order", || {
        everything_ends(&FenceMap::<Fickle, u64>::new(), Fickle);
        everything_ends(&FenceMap::<Fickle, u64, Liar>::with_ranking(Liar), Fickle);
        everything_ends(&FenceMap::<u64, u64, Liar>::with_ranking(Liar), |key| key);
    });
}

/// Ranks in reverse order: wrong, but consistent.
struct Reversed;
impl Ranking<u64> for Reversed {
    fn rank(&self, key: &u64) -> u64 {
        !*key
    }
}

#[test]
fn operations_end_with_a_reversed_ranking() {
    within(300, "operations with ranks upside down", || {
        everything_ends(&FenceMap::<u64, u64, Reversed>::with_ranking(Reversed), |key| key);
    });
}

/// Closures run with nothing locked, so they may call the map, for other keys and for their own.
#[test]
fn closures_may_call_the_map() {
    within(60, "closures that call the map", || {
        let map: FenceMap<u64, u64> = (0..1_000).map(|n| (n, n)).collect();
        let mut calls = 0;
        let done = map.compute(500, |value| {
            calls += 1;
            if calls < 3 {
                map.insert(501, calls);
            }
            assert_eq!((map.get(&500), map.range(490..510).len()), (value, 20));
            Op::Insert(1)
        });
        assert_eq!((done.before, done.after, calls), (Some(500), Some(1), 3));
        map.retain(|key, _| {
            map.get(key);
            map.last_key_value();
            key % 2 == 0
        });
        assert_eq!(map.len(), 500);
        assert_eq!(map.get_with(&500, |value| map.get(&502).unwrap() + value), Some(503));
    });
}

thread_local! {
    /// The answers of a [`Turncoat`], repeated; if empty, the right ones.
    static ANSWERS: Cell<&'static [Ordering]> = const { Cell::new(&[]) };
}

/// A key that is consistent while the map is filled. Later it equals no key, and its order repeats some answers.
#[derive(Clone, Copy, Debug)]
struct Turncoat(u64);

impl Ord for Turncoat {
    fn cmp(&self, other: &Self) -> Ordering {
        let answers = ANSWERS.get();
        WIND.set(WIND.get() + 1);
        let next = answers.get(WIND.get() as usize % answers.len().max(1));
        next.copied().unwrap_or_else(|| self.0.cmp(&other.0))
    }
}
impl PartialOrd for Turncoat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Turncoat {
    fn eq(&self, other: &Self) -> bool {
        ANSWERS.get().is_empty() && self.0 == other.0
    }
}
impl Eq for Turncoat {}

/// A walk goes from leaf to leaf without comparing inconsistent keys with the bound of the next one.
#[test]
fn walks_end_with_keys_that_become_inconsistent() {
    use Ordering::{Equal, Greater, Less};
    const ANSWER: [&[Ordering]; 7] = [
        &[Less],
        &[Equal],
        &[Greater],
        &[Less, Greater],
        &[Greater, Less, Less],
        &[Greater, Greater, Less],
        &[Less, Equal, Greater, Greater],
    ];
    for answers in ANSWER {
        within(60, "a walk over keys that contradict themselves", move || {
            let map: FenceMap<Turncoat, u64> = (0..2_000).map(|n| (Turncoat(n), n)).collect();
            ANSWERS.set(answers);
            assert_eq!(map.iter().count(), 2_000, "a walk ends, and meets all: {answers:?}");
            assert_eq!(map.iter().rev().count(), 2_000, "so does one from the end: {answers:?}");
            assert_eq!(map.keys().fold(0, |count, _| count + 1), 2_000, "{answers:?}");
            let mut asked = 0;
            map.retain(|_, _| {
                asked += 1;
                true
            });
            assert_eq!(asked, 2_000, "retain asks about all: {answers:?}");
            map.clear();
            ANSWERS.set(&[]);
            assert_eq!(map.iter().count(), 0, "clear leaves nothing: {answers:?}");
        });
    }
}

/// A key that replaces an entry of the map at each comparison.
#[derive(Clone, Copy)]
struct Meddler(u64);
static MEDDLED_MAP: FenceMap<Meddler, u64> = FenceMap::new();

impl Ord for Meddler {
    fn cmp(&self, other: &Self) -> Ordering {
        meddle(|calls| _ = MEDDLED_MAP.insert(Self(3), u64::from(calls)));
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(Meddler);

/// If a leaf changes each time it is read, an operation that must not wait fails.
#[test]
fn operations_that_must_not_wait_end_beside_endless_changes() {
    let map = &MEDDLED_MAP;
    (0..9).for_each(|n| _ = map.insert(Meddler(n), n));
    assert!(meddling(|| map.try_get(&Meddler(5)).is_err()));
    assert!(meddling(|| map.try_insert(Meddler(5), 0).is_err()));
    assert!(meddling(|| map.try_insert_if_absent(Meddler(20), 0).is_err()));
    assert!(meddling(|| map.try_remove(&Meddler(5)).is_err()));
    assert!(meddling(|| map.try_update(&Meddler(5), |n| n).is_err()));
    assert!(meddling(|| map.try_compute(Meddler(5), |_| Op::Remove).is_err()));
    assert!(meddling(|| map.try_range_into(Meddler(2).., &mut Vec::new()).is_err()));
    let changes = [(Meddler(1), Op::Remove), (Meddler(5), Op::Remove)];
    assert!(meddling(|| map.try_apply_batch(&changes).is_err()));
    assert_eq!((map.len(), map.get(&Meddler(5))), (9, Some(5)));
}
