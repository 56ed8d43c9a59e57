//! builds: default
//!
//! `OrdMap` by one thread: every operation against `BTreeMap`, keys of many types, drops and their times, guards.

use crate::support;

use hedgerow::OrdMap;
use hedgerow::error::TryInsertError;
use hedgerow::fence::{Cursor, Op, Ranking};
use hedgerow::owned::{Removed, pin};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::alone::alone;
use support::ignore;
use support::rng::{Rng, mix};

use support::tracked::Tracked;
use support::walks::{every_fourth, meets_what_stays_once, same_from_both_ends};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
const _: () = {
    send::<OrdMap<String, Vec<u8>>>();
    sync::<OrdMap<String, Vec<u8>>>();
    // This map can be moved, but not shared, because only one thread may read its values.
    send::<OrdMap<u32, std::cell::Cell<u32>>>();
    unwind::<OrdMap<String, String>>();
    send::<hedgerow::fence::OrdIntoIter<String, String>>();
};

type Texts = OrdMap<String, String>;
type Model = BTreeMap<String, String>;

/// Asserts that map and model have the same entries, for any ranking.
fn same<K: Clone + Ord + Debug, V: PartialEq + Debug, R: Ranking<K>>(
    map: &OrdMap<K, V, R>,
    model: &BTreeMap<K, V>,
) {
    let guard = pin();
    assert_eq!(map.len(), model.len());
    assert!(map.with_guard(&guard).iter().eq(model), "in order, each once");
    assert!(map.with_guard(&guard).range::<K, _>(..).eq(model));
    for (key, value) in model {
        assert_eq!(map.with_guard(&guard).get(key), Some(value));
    }
}

fn some_bound(rng: &mut Rng, key: &str) -> Bound<String> {
    match rng.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key.into()),
        _ => Bound::Excluded(key.into()),
    }
}

fn is_range((from, to): (&Bound<String>, &Bound<String>)) -> bool {
    use Bound::{Excluded, Included};
    match (from, to) {
        (Excluded(a), Excluded(b)) => a < b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a <= b,
        _ => true,
    }
}

fn ask_about_order(rng: &mut Rng, map: &Texts, model: &Model, key: &str, other: &str) {
    let guard = pin();
    let (from, after) = (Bound::Included(key), Bound::Excluded(key));
    assert_eq!(map.with_guard(&guard).first_key_value(), model.first_key_value());
    assert_eq!(map.with_guard(&guard).last_key_value(), model.last_key_value());
    assert_eq!(
        map.with_guard(&guard).floor(key),
        model.range::<str, _>((Bound::Unbounded, from)).next_back()
    );
    assert_eq!(
        map.with_guard(&guard).predecessor(key),
        model.range::<str, _>((Bound::Unbounded, after)).next_back()
    );
    assert_eq!(
        map.with_guard(&guard).ceiling(key),
        model.range::<str, _>((from, Bound::Unbounded)).next()
    );
    assert_eq!(
        map.with_guard(&guard).successor(key),
        model.range::<str, _>((after, Bound::Unbounded)).next()
    );
    let bounds = (some_bound(rng, key), some_bound(rng, other));
    if is_range((&bounds.0, &bounds.1)) {
        assert!(
            map.with_guard(&guard).range(bounds.clone()).eq(model.range(bounds.clone())),
            "{bounds:?}"
        );
        assert!(
            map.with_guard(&guard)
                .range(bounds.clone())
                .rev()
                .eq(model.range(bounds.clone()).rev())
        );
        let pinned = map.with_guard(&guard);
        let scan = pinned.iter_range(bounds.clone());
        assert!(scan.clone().eq(scan));
        assert!(pinned.iter_range(bounds.clone()).eq(model.range(bounds.clone())));
        same_from_both_ends(rng, pinned.iter_range(bounds.clone()), model.range(bounds));
    } else {
        assert_eq!(map.with_guard(&guard).range(bounds.clone()).len(), 0);
        assert_eq!(map.with_guard(&guard).iter_range(bounds.clone()).count(), 0);
        assert_eq!(map.with_guard(&guard).iter_range(bounds.clone()).rev().count(), 0);
        assert_eq!(map.remove_range(bounds), 0);
    }
}

#[test]
fn a_walk_from_the_end_returns_each_key_once_while_leaves_change() {
    let map: OrdMap<u64, u64> = every_fourth().map(|n| (n, n)).collect();
    let pinned = map.pin();
    meets_what_stays_once(pinned.iter().rev().map(|(key, _)| *key), |key, stays| {
        if stays { drop(map.insert(key, key)) } else { drop(map.remove(&key)) }
    });
}

fn change_a_range(rng: &mut Rng, map: &Texts, model: &mut Model, key: &str, other: &str) {
    let bounds = (some_bound(rng, key), some_bound(rng, other));
    let pair = |removed: Option<Removed<'_, String, String>>| {
        removed.map(|entry| (entry.key().clone(), entry.value().clone()))
    };
    match rng.below(10) {
        0 if is_range((&bounds.0, &bounds.1)) && model.range(bounds.clone()).count() < 500 => {
            let gone: Vec<String> = model.range(bounds.clone()).map(|(k, _)| k.clone()).collect();
            assert_eq!(map.remove_range(bounds), gone.len());
            for key in &gone {
                model.remove(key);
            }
        }
        1 => assert_eq!(pair(map.pop_first()), model.pop_first()),
        2 => assert_eq!(pair(map.pop_last()), model.pop_last()),
        3 if rng.one_in(100) => {
            let keep =
                |key: &str| !mix(key.len() as u64 + u64::from(key.as_bytes()[0])).is_multiple_of(8);
            map.retain(|key, _| keep(key));
            model.retain(|key, _| keep(key));
        }
        4 if rng.one_in(200) => {
            map.clear();
            model.clear();
        }
        5 => {
            let there = model.get_mut(key).map(|value| {
                value.push('+');
                &*value
            });
            assert_eq!(map.update(key, |value| value.clone() + "+").as_deref(), there);
        }
        6 => {
            let there = model.contains_key(key);
            let done = map.insert_if_absent(key.into(), "new".into());
            assert_eq!(done.is_err(), there);
            model.entry(key.into()).or_insert("new".into());
        }
        7 => {
            let guard = pin();
            let pinned = map.with_guard(&guard);
            let got = pinned.get_or_insert_with(key.into(), || key.to_uppercase());
            assert_eq!(got, model.entry(key.into()).or_insert(key.to_uppercase()));
        }
        _ => {
            let step = |value: Option<&String>| match value {
                None => Op::Insert("1".to_string()),
                Some(value) if value.len() % 2 == 0 => Op::Remove,
                Some(value) => Op::Insert(value.clone() + "1"),
            };
            let before = model.get(key).cloned();
            match step(before.as_ref()) {
                Op::Insert(value) => ignore(model.insert(key.into(), value)),
                _ => ignore(model.remove(key)),
            }
            let done = map.compute(key.into(), step);
            let after = step(before.as_ref());
            assert_eq!(done.before.as_deref(), before.as_ref());
            let after = if let Op::Insert(value) = after { Some(value) } else { None };
            assert_eq!(done.after.as_deref(), after.as_ref());
        }
    }
}

/// Keys with different ranks, and keys with equal ones.
fn name(number: u64, alike: bool) -> String {
    if alike { format!("a common beginning {number}") } else { format!("{number:08x}") }
}

#[test]
fn random_operations_answer_as_a_btree_map() {
    for (seed, spread, alike) in
        [(1, 300, false), (2, 20_000, false), (3, u32::MAX.into(), false), (4, 5_000, true)]
    {
        let mut rng = Rng::new(seed);
        let (map, mut model) = (Texts::new(), Model::new());
        let mut grows = false;
        for step in 0..24_000u64 {
            if step % 8_000 == 0 {
                grows = !grows;
                same(&map, &model);
            }
            let number = rng.next() % spread;
            let (mut key, value) = (name(number, alike), step.to_string());
            if spread > 100_000 && !grows {
                // A key that is in the map.
                key = model.range(key.clone()..).next().map_or(key, |(k, _)| k.clone());
            }
            let other = name(number + rng.next() % 300, alike);
            match rng.below(16) {
                0 | 1 => {
                    assert_eq!(map.get_cloned(&*key), model.get(&key).cloned());
                    assert_eq!(map.contains_key(&*key), model.contains_key(&key));
                }
                2 => ask_about_order(&mut rng, &map, &model, &key, &other),
                3 => change_a_range(&mut rng, &map, &mut model, &key, &other),
                4..=6 if !grows => {
                    let before = model.insert(key.clone(), value.clone());
                    assert_eq!(map.insert(key, value).as_deref(), before.as_ref());
                }
                4..=13 if grows => {
                    let before = model.insert(key.clone(), value.clone());
                    assert_eq!(map.try_insert(key, value).unwrap().as_deref(), before.as_ref());
                }
                14 => {
                    assert_eq!(
                        map.try_remove(&*key).unwrap().as_deref(),
                        model.remove(&key).as_ref()
                    );
                }
                _ => assert_eq!(map.remove(&*key).as_deref(), model.remove(&key).as_ref()),
            }
        }
        same(&map, &model);
        assert!(map.into_iter().eq(model));
    }
}

/// Several fences, which are split as they grow and merged as they shrink, in several orders of keys.
#[test]
fn maps_are_filled_and_emptied() {
    const N: u64 = 60_000;
    type Order = fn(u64) -> u64;
    let orders: [(&str, Order); 2] = [("descending", |n| (N - 1 - n) * 10), ("random", mix)];
    // On 32 bits the test is slow, and the order makes no difference there.
    let some = if cfg!(target_pointer_width = "32") { &orders[1..] } else { &orders[..] };
    for &(name, order) in some {
        let map: OrdMap<u64, Box<u64>> = (0..N).map(|n| (order(n), Box::new(n))).collect();
        let model: BTreeMap<u64, Box<u64>> = (0..N).map(|n| (order(n), Box::new(n))).collect();
        same(&map, &model);
        let full = map.stats();
        assert!(full.fences >= 3, "{name}: {full:?}");
        map.rebalance_step(usize::MAX);
        let fences = map.fences();
        assert_eq!(fences.iter().map(|fence| fence.entries).sum::<usize>(), map.len());
        assert!(fences[0].low.is_none() && fences[1..].is_sorted_by_key(|fence| fence.low));
        for n in 0..N {
            assert_eq!(map.remove(&order(n)).as_deref(), Some(&Box::new(n)));
        }
        let guard = pin();
        assert_eq!(
            (
                map.len(),
                map.with_guard(&guard).first_key_value(),
                map.with_guard(&guard).last_key_value()
            ),
            (0, None, None),
            "{name}"
        );
        assert!(map.stats().fences <= 2, "{name}: {:?}", map.stats());
        for (key, value) in &model {
            map.insert(*key, value.clone());
        }
        same(&map, &model);
    }
}

/// Inserts, finds and removes all keys of a type that are worth a test, and looks up their borrowed forms.
fn all_of<K: Clone + Ord + Debug + Borrow<Q>, Q: Ord + ?Sized>(keys: impl IntoIterator<Item = K>) {
    let mut keys: Vec<K> = keys.into_iter().collect();
    let map = OrdMap::<K, usize>::new();
    let mut model = BTreeMap::new();
    for _ in 0..2 {
        for (n, key) in keys.iter().enumerate() {
            let before = model.insert(key.clone(), n);
            assert_eq!(map.insert(key.clone(), n).as_deref(), before.as_ref());
        }
        same(&map, &model);
        let guard = pin();
        for key in &keys {
            let q: &Q = key.borrow();
            assert_eq!(map.with_guard(&guard).get(q), model.get::<K>(key));
            assert_eq!(map.with_guard(&guard).ceiling(q), model.range::<K, _>(key..).next());
            assert_eq!(
                map.with_guard(&guard).predecessor(q),
                model.range::<K, _>(..key).next_back()
            );
        }
        for key in keys.iter().rev() {
            let q: &Q = key.borrow();
            assert_eq!(map.remove(q).as_deref(), model.remove::<K>(key).as_ref());
            assert_eq!(map.with_guard(&guard).get(q), None);
        }
        assert!(map.is_empty() && map.with_guard(&guard).iter().next().is_none());
        keys.reverse();
    }
}

/// A key type that `ByType` does not support.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl Borrow<String> for Name {
    fn borrow(&self) -> &String {
        &self.0
    }
}

#[test]
fn keys_of_many_types_by_what_they_are_borrowed_as() {
    let words = || (0..600u64).map(|n| name(mix(n) % 999, n % 2 == 0));
    all_of::<String, str>(words());
    all_of::<String, String>(words());
    all_of::<Box<str>, str>(words().map(Into::into));
    all_of::<Arc<str>, str>(words().map(Into::into));
    all_of::<Name, str>(words().map(Name));
    all_of::<Name, String>(words().map(Name));
    all_of::<Vec<u8>, [u8]>(words().map(Into::into));
    all_of::<Vec<u16>, [u16]>((0..600).map(|n| vec![n % 7, n]));
    all_of::<Box<[u8]>, [u8]>(words().map(|word| word.into_bytes().into()));
    all_of::<[u8; 8], [u8]>((0..600).map(|n| mix(n).to_be_bytes()));
    all_of::<[u8; 17], [u8]>((0..600).map(|n| [mix(n) as u8; 17]));
    all_of::<Box<u64>, u64>((0..600).map(|n| Box::new(mix(n))));
    all_of::<u64, u64>((0..600).map(mix));
    all_of::<i32, i32>((0..600).map(|n| mix(n) as i32));
    all_of::<(), ()>([()]);
    all_of::<Option<String>, Option<String>>(words().map(Some).chain([None]));
    let kept: Vec<String> = words().collect();
    all_of::<&str, str>(kept.iter().map(String::as_str));
    all_of::<&String, String>(kept.iter());
}

/// A borrowed form that `ByType` does not support, of a key type that it does: its rank cannot be computed.
#[test]
#[should_panic(expected = "no `Ranking` of this borrowed form")]
fn a_borrowed_form_that_cannot_be_ranked_is_refused() {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    #[repr(transparent)]
    struct Caseless(String);
    impl Borrow<Caseless> for String {
        fn borrow(&self) -> &Caseless {
            // SAFETY: `repr(transparent)` over the type that it is cast from.
            unsafe { &*std::ptr::from_ref(self).cast() }
        }
    }
    let map: OrdMap<String, u32> = [("rose".into(), 1)].into();
    map.contains_key(&Caseless("rose".into()));
}

/// Random operations; in the end everything was dropped exactly once, bounds too.
#[test]
fn every_key_bound_and_value_is_dropped_exactly_once() {
    alone(|| {
        let alive = Arc::new(AtomicUsize::new(0));
        let new = |n| Tracked::new(n, &alive);
        let splits = [1 << 61, 1 << 63].map(new);
        let map = OrdMap::<Tracked, Tracked>::new().with_splits(splits);
        assert_eq!(map.fences().len(), 3);
        assert_eq!(alive.load(Ordering::Relaxed), 2, "the bounds of leaves");
        let mut rng = Rng::new(support::seed());
        for n in 0..24_000 {
            // The map grows to some thousands and shrinks to nothing, so that leaves are split and merged.
            let grows = n / 6_000 % 2 == 0;
            let key = mix(rng.next() % 4_000);
            match rng.below(if grows { 16 } else { 40 }) {
                0 => ignore(map.insert_if_absent(new(key), new(n))),
                1 => ignore(map.compute(new(key), |_| Op::Remove)),
                2 => ignore(map.compute(new(key), |_| Op::Insert(new(n)))),
                3 => ignore(map.try_insert(new(key), new(n))),
                4 => ignore(map.update(&key, |value| new(value.value + 1))),
                5 => assert!(map.get_with(&key, |value| !value.dropped).unwrap_or(true)),
                6 if n % 500 == 0 => map.retain(|key, _| key.value % 9 > 0),
                7 => ignore((map.pop_first(), map.pop_last())),
                8 => ignore(map.remove_range(key..key + (1 << 53))),
                9 => ignore(map.try_insert_if_absent(new(key), new(n))),
                10 => ignore(map.remove(&key).map(Removed::try_into_owned)),
                11 => ignore(map.try_compute(new(key), |old| match old {
                    Some(_) => Op::Remove,
                    None => Op::Insert(new(n)),
                })),
                12 => ignore(map.pin().try_get_or_insert_with(new(key), || new(n))),
                13..16 if grows => ignore(map.insert(new(key), new(n))),
                _ => ignore(map.remove(&key)),
            }
        }
        // Each leaf except the first has a bound.
        let leaves: usize = map.fences().iter().map(|fence| fence.leaves).sum();
        map.reclaim();
        let bounds = alive.load(Ordering::Relaxed) - 2 * map.len();
        assert!(map.pending() == 0 && bounds < leaves, "{bounds} bounds of {leaves} leaves");
        drop(map);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn an_iterator_over_all_that_is_dropped_early_drops_the_rest() {
    let alive = Arc::new(AtomicUsize::new(0));
    let map: OrdMap<Tracked, Tracked> =
        (0..1000).map(|n| (Tracked::new(n, &alive), Tracked::new(n * n, &alive))).collect();
    drop(map.remove(&7));
    let mut all = map.into_iter();
    assert_eq!(all.len(), 999);
    assert!(all.by_ref().take(400).map(|(key, _)| key.value).eq((0..401).filter(|n| *n != 7)));
    drop(all);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// An entry that was found under a guard stays, even if other threads remove it from the map. So do the bounds of
/// merged leaves, from which an iterator goes on.
#[test]
fn a_guard_keeps_what_it_saw() {
    alone(|| {
        let map: OrdMap<String, String> =
            (0..1_000).map(|n| (name(n, false), n.to_string())).collect();
        let pinned = map.pin();
        let seen: Vec<(&String, &String)> = pinned.range::<str, _>(..).collect();
        let mut walk = pinned.iter();
        assert_eq!(walk.by_ref().take(200).count(), 200);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                map.clear();
                (0..10_000)
                    .for_each(|n| ignore(map.insert(name(n % 3_000, false), format!("new {n}"))));
                map.retain(|key, _| key.ends_with('7'));
            });
        });
        map.reclaim();
        assert!(map.pending() >= 1_000);
        assert!(map.stalled_readers().any(|stalled| stalled.reader == pinned.guard().reader_id()));
        map.insert(name(3, false), "and from this thread".into());
        map.reclaim();
        assert!(seen.iter().enumerate().all(|(n, (key, value))| {
            **key == name(n as u64, false) && **value == n.to_string()
        }));
        assert!(
            walk.all(
                |(key, value)| key.ends_with('7') && value.starts_with("new") || value.len() < 4
            )
        );
        drop(pinned);
    });
}

#[test]
fn a_limit_bounds_pending_entries() {
    alone(|| {
        let map: OrdMap<u64, u64> = [(0, 0)].into();
        map.set_pending_limit(Some(50));
        assert_eq!(map.clone().pending_limit(), Some(50));
        let guard = pin();
        let refused = (0..1_000).find_map(|n| map.try_insert(0, n).err());
        assert!(
            matches!(refused, Some(TryInsertError::Stalled { key: 0, value: 51, .. })),
            "{refused:?}"
        );
        assert_eq!(map.pending(), 51);
        drop(guard);
        assert!(map.try_insert(0, 7).is_ok());
    });
}

/// If another writer replaces an entry while a closure runs, the closure runs again. The rebalancer counts that as it
/// counts a failed attempt to lock a leaf.
#[test]
fn closures_that_run_again_count_as_conflicts() {
    let map: OrdMap<u64, u64> = [(1, 0)].into();
    let conflicts = || map.fences().iter().map(|fence| fence.conflicts).sum::<usize>();
    for op in [None, Some(Op::Insert(7)), Some(Op::Remove)] {
        let (before, mut calls) = (conflicts(), 0);
        let mut replace_once = || {
            calls += 1;
            if calls == 1 {
                map.insert(1, 5);
            }
        };
        match op {
            None => drop(map.update(&1, |_| (replace_once(), 6).1)),
            Some(op) => drop(map.compute(1, |_| (replace_once(), op).1)),
        }
        assert_eq!((calls, conflicts()), (2, before + 1), "a conflict of {op:?}");
    }
}

#[test]
fn a_scan_can_be_interrupted() {
    let map: Texts = (0..2_000).map(|n| (name(n, false), String::new())).collect();
    let (mut keys, mut place) = (Vec::new(), Some(Cursor::from(name(10, false))));
    while let Some(cursor) = place {
        place = map.pin().scan(cursor, 100, |key, _| keys.push(key.clone()));
        map.remove(&*name(keys.len() as u64 / 2, false));
        map.reclaim();
    }
    assert!(keys.into_iter().eq((10..2_000).map(|n| name(n, false))));
}

#[test]
fn many_are_found_as_one_by_one() {
    let map: OrdMap<String, u64> = (0..500).map(|n| (name(n * 2, false), n)).collect();
    let keys: Vec<String> = (0..40).map(|n| name(n, false)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let map = map.pin();
    let mut values = vec![None; 40];
    map.get_many(&keys, &mut values);
    assert!(values.iter().zip(&keys).all(|(value, key)| *value == map.get(*key)));
}

#[test]
fn the_traits_of_std() {
    let mut map: OrdMap<String, char> = [("b".into(), 'b'), ("a".into(), 'a')].into();
    map.extend([("c".into(), 'c')]);
    assert_eq!(format!("{map:?}"), r#"{"a": 'a', "b": 'b', "c": 'c'}"#);
    let copy = map.clone();
    map.clear();
    assert_eq!(copy.into_iter().map(|(_, c)| c).collect::<String>(), "abc");
    assert!(map.is_empty() && OrdMap::<u8, u8>::default().is_empty());
    let guard = pin();
    assert_eq!(map.with_guard(&guard).keys().count() + map.with_guard(&guard).values().count(), 0);
}
