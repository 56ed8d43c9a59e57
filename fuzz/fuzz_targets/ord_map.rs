//! `OrdMap` against std's `BTreeMap`: every operation, keys that lie close and far apart, with ranks that tell
//! them apart, that tie or say nothing; with guards that stay, borrowed entries that must not change, walks that
//! continue while the map changes, and entries that are kept after their removal. The map drops each key, bound and
//! value exactly once.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::OrdMap;
use hedgerow::fence::{Cursor, Op, Ranking};
use hedgerow::owned::{Ref, Removed, pin};
use hedgerow_fuzz::hashing::mix;
use libfuzzer_sys::fuzz_target;
use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

/// More entries than this make a run slow.
const MOST: usize = 3_000;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Limit {
    None,
    With(u16),
    Without(u16),
}

#[derive(Arbitrary, Debug)]
enum Action {
    Insert(u16, u8),
    InsertMany(u16, u8),
    TryInsert(u16, u8),
    InsertIfAbsent(u16, u8),
    GetOrInsert(u16, u8),
    Update(u16, u8),
    Compute(u16, Option<u8>),
    Remove(u16),
    RemoveMany(u16, u8),
    RemoveRange(Limit, Limit),
    /// Removes and tries to own.
    Take(u16),
    /// Removes, and keeps the removed entry until the end.
    Keep(u16),
    PopFirst,
    PopLast,
    Get(u16),
    Near(u16),
    Range(Limit, Limit),
    Scan(u16, u8),
    /// A walk that continues after this many keys from one on were removed.
    Walk(u8, u16, u16),
    /// Takes a guard, and holds it and the entries that it sees.
    Pin,
    Unpin,
    Retain(u8),
    Clear,
    Collect,
    Rebalance,
    /// An atomic batch of this many changes of keys from one on, which wrap round.
    Batch(u16, u8, u8),
}

/// How far ranks go.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Ranks {
    Exact,
    Coarse,
    None,
}

#[derive(Arbitrary, Debug)]
struct Script {
    ranks: Ranks,
    sparse: bool,
    actions: Vec<Action>,
    /// Whether the end consumes the map by an iterator, and how far.
    into_iter: Option<u8>,
}

impl Ranking<Counted> for Ranks {
    fn rank(&self, key: &Counted) -> u64 {
        self.rank(&*key.0)
    }
}
impl Ranking<u64> for Ranks {
    fn rank(&self, key: &u64) -> u64 {
        match self {
            Self::Exact => *key,
            Self::Coarse => *key & !0x3F,
            Self::None => 0,
        }
    }
}

thread_local!(static ALIVE: Cell<usize> = const { Cell::new(0) });

/// On the heap, so that a sanitizer sees a read after free and a double free.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted(Box<u64>);

impl Counted {
    fn new(value: impl Into<u64>) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(Box::new(value.into()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

impl Borrow<u64> for Counted {
    fn borrow(&self) -> &u64 {
        &self.0
    }
}
impl Default for Counted {
    fn default() -> Self {
        Self::new(0_u64)
    }
}
impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(*self.0)
    }
}

type Map = OrdMap<Counted, Counted, Ranks>;
type Model = BTreeMap<u64, u64>;

fuzz_target!(|script: Script| {
    {
        let map = Map::with_ranking(script.ranks);
        let mut model = Model::new();
        play(&map, &mut model, &script);
        map.reclaim();
        assert_eq!((map.pending(), map.len()), (0, model.len()));
        // A bound for each leaf but the first.
        let leaves: usize = map.fences().iter().map(|fence| fence.leaves).sum();
        assert!(ALIVE.get() - 2 * map.len() <= leaves.saturating_sub(1));
        assert!(map.pin().iter().map(plain).eq(model.iter().map(|(k, v)| (*k, *v))));
        assert!(map.clone() == map);
        match script.into_iter {
            Some(count) => {
                let taken = map.into_iter().take(count.into());
                assert!(taken.map(|(k, v)| (*k.0, *v.0)).eq(model.into_iter().take(count.into())));
            }
            None => drop(map),
        }
    }
    assert_eq!(ALIVE.get(), 0);
});

fn plain((key, value): (&Counted, &Counted)) -> (u64, u64) {
    (*key.0, *value.0)
}

fn number_of(entry: Option<Ref<'_, Counted, Counted>>) -> Option<u64> {
    entry.map(|entry| *entry.value().0)
}

fn value_of(removed: Option<Removed<'_, Counted, Counted>>) -> Option<u64> {
    removed.map(|entry| *entry.value().0)
}

fn is_range(from: Bound<u64>, to: Bound<u64>) -> bool {
    use Bound::{Excluded, Included};
    match (from, to) {
        (Excluded(a), Excluded(b)) => a < b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a <= b,
        _ => true,
    }
}

fn play(map: &Map, model: &mut Model, script: &Script) {
    let place = |number: u16| {
        if script.sparse { mix(number.into()) } else { u64::from(number) }
    };
    let bound = |limit: Limit| match limit {
        Limit::None => Bound::Unbounded,
        Limit::With(number) => Bound::Included(place(number)),
        Limit::Without(number) => Bound::Excluded(place(number)),
    };
    let new = |value: u64| Counted::new(value);
    let mut kept = Vec::new();
    let (mut held, mut held_entries) = (None, None);
    for action in script.actions.iter().take(300) {
        match action {
            // Entries with guards of their own, which outlive the iterator.
            Action::Pin if model.len() % 2 == 1 => {
                let entries: Vec<_> = map.range::<u64, _>(..).collect();
                assert!(
                    entries.iter().map(|e| plain(e.pair())).eq(model.iter().map(|(k, v)| (*k, *v)))
                );
                check_entries(held_entries.replace((entries, model.clone())));
            }
            Action::Pin => {
                let guard = pin();
                let seen: Vec<_> = map
                    .with_guard(&guard)
                    .iter()
                    .map(|(k, v)| (&raw const *k, &raw const *v, *k.0, *v.0))
                    .collect();
                check(held.replace((guard, seen)));
            }
            Action::Unpin => {
                check(held.take());
                check_entries(held_entries.take());
            }
            Action::Keep(key) => {
                let removed = map.remove(&place(*key));
                assert_eq!(removed.as_ref().map(|old| *old.value().0), model.remove(&place(*key)));
                kept.extend(removed);
            }
            Action::InsertMany(key, count) if model.len() < MOST => {
                for n in 0..u16::from(*count) {
                    let key = place(key.wrapping_add(n));
                    assert_eq!(value_of(map.insert(new(key), new(key))), model.insert(key, key));
                }
            }
            Action::InsertMany(..) => {}
            Action::Walk(shown, key, count) => {
                let pinned = map.pin();
                let mut walk: Box<dyn Iterator<Item = (u64, u64)>> = if shown % 2 == 0 {
                    Box::new(pinned.iter().map(plain))
                } else {
                    Box::new(map.iter().map(|entry| plain(entry.pair())))
                };
                let before: Vec<_> = walk.by_ref().take((*shown).into()).collect();
                for n in 0..(*count).min(400) {
                    let key = place(key.wrapping_add(n));
                    assert_eq!(value_of(map.remove(&key)), model.remove(&key));
                }
                map.reclaim();
                let after: Vec<_> = walk.collect();
                assert!(before.iter().chain(&after).is_sorted_by(|a, b| a.0 < b.0));
                let is_shown = |entry: &(u64, u64)| before.contains(entry) || after.contains(entry);
                assert!(model.len() > 500 || model.iter().all(|(k, v)| is_shown(&(*k, *v))));
            }
            Action::RemoveMany(key, count) => {
                for n in 0..u16::from(*count) {
                    let key = place(key.wrapping_add(n));
                    assert_eq!(value_of(map.remove(&key)), model.remove(&key));
                }
            }
            Action::RemoveRange(from, to) => {
                let (from, to) = (bound(*from), bound(*to));
                let before = model.len();
                if is_range(from, to) {
                    let gone: Vec<u64> = model.range((from, to)).map(|(k, _)| *k).collect();
                    for key in gone {
                        model.remove(&key);
                    }
                }
                assert_eq!(map.remove_range((from, to)), before - model.len());
            }
            Action::Batch(key, count, salt) if model.len() < MOST => {
                batch(map, model, |n| place(key.wrapping_add(n)), u64::from(*count), *salt);
            }
            Action::Batch(..) => {}
            _ => one(map, model, action, place, bound),
        }
        assert_eq!(map.len(), model.len());
    }
    check(held);
    check_entries(held_entries);
}

/// Keys that come twice, out of order; a third of them is removed, some are kept.
fn batch(map: &Map, model: &mut Model, key: impl Fn(u16) -> u64, count: u64, salt: u8) {
    let kind = |n: u64| mix(n << 8 | u64::from(salt));
    let number = |n: u64| key((kind(n) % (count / 2 + 1)) as u16);
    let changes = (0..count).map(|n| {
        let op = match kind(n) >> 32 & 7 {
            0 => Op::Keep,
            1..3 => Op::Remove,
            _ => Op::Insert(Counted::new(n)),
        };
        (Counted::new(number(n)), op)
    });
    let had = map.apply_batch(changes);
    for (n, had) in (0..count).zip(had) {
        let before = match kind(n) >> 32 & 7 {
            0 => None,
            1..3 => model.remove(&number(n)),
            _ => model.insert(number(n), n),
        };
        assert_eq!(value_of(had), before);
    }
    let keys: Vec<u64> = (0..count).map(number).collect();
    let asked: Vec<&u64> = keys.iter().collect();
    let pinned = map.pin();
    let seen = pinned.snapshot_many(&asked);
    assert!(seen.iter().zip(&keys).all(|(value, key)| value.map(|v| &*v.0) == model.get(key)));
}

type Seen = Vec<(*const Counted, *const Counted, u64, u64)>;

/// Checks that entries seen under a guard have not changed.
fn check(held: Option<(hedgerow::owned::Guard<'_>, Seen)>) {
    let Some((guard, seen)) = held else { return };
    for (key, value, k, v) in seen {
        // SAFETY: met under the guard, which is still there.
        assert_eq!(unsafe { (*(*key).0, *(*value).0) }, (k, v));
    }
    drop(guard);
}

/// Checks that borrowed entries have not changed, even if the map has replaced or removed them.
fn check_entries(held: Option<(Vec<Ref<'_, Counted, Counted>>, Model)>) {
    for (entry, (key, value)) in held.iter().flat_map(|(entries, model)| entries.iter().zip(model))
    {
        assert_eq!(plain(Ref::clone(entry).pair()), (*key, *value));
    }
}

fn one(
    map: &Map,
    model: &mut Model,
    action: &Action,
    place: impl Fn(u16) -> u64,
    bound: impl Fn(Limit) -> Bound<u64>,
) {
    let new = |value: u64| Counted::new(value);
    match *action {
        Action::Insert(key, value) => {
            let (key, value) = (place(key), u64::from(value));
            assert_eq!(value_of(map.insert(new(key), new(value))), model.insert(key, value));
        }
        Action::TryInsert(key, value) => {
            let (key, value) = (place(key), u64::from(value));
            let done = map.try_insert(new(key), new(value)).unwrap();
            assert_eq!(value_of(done), model.insert(key, value));
        }
        Action::InsertIfAbsent(key, value) => {
            let (key, value) = (place(key), u64::from(value));
            let done = map.insert_if_absent(new(key), new(value)).is_ok();
            assert_eq!(done, !model.contains_key(&key));
            model.entry(key).or_insert(value);
        }
        Action::GetOrInsert(key, value) => {
            let (key, value) = (place(key), u64::from(value));
            let there = *model.entry(key).or_insert(value);
            let make = || new(value);
            let got = match value % 5 {
                0 => *map.pin().get_or_insert_with(new(key), make).0,
                1 => *map.get_or_insert_with(new(key), make).0,
                2 => *map.get_or_insert(new(key), make()).0,
                3 => {
                    let failed = map.get_or_try_insert_with(new(key), || Err(value));
                    assert!(failed.err().is_none_or(|error| error == value));
                    let done = map.get_or_try_insert_with(new(key), || Ok::<_, ()>(make()));
                    *done.expect("it makes one").0
                }
                _ => *map.pin().try_get_or_insert_with(new(key), make).expect("nobody is there").0,
            };
            assert_eq!(got, there);
        }
        Action::Update(key, more) => {
            let (key, more) = (place(key), u64::from(more));
            let after = number_of(map.update(&key, |value| new(*value.0 ^ more)));
            model.entry(key).and_modify(|value| *value ^= more);
            assert_eq!(after, model.get(&key).copied());
        }
        Action::Compute(key, value) => {
            let key = place(key);
            let value = value.map(u64::from);
            let done = map.compute(new(key), |_| value.map_or(Op::Remove, |n| Op::Insert(new(n))));
            let before = match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
            assert_eq!((number_of(done.before), number_of(done.after)), (before, value));
        }
        Action::Remove(key) => {
            assert_eq!(value_of(map.remove(&place(key))), model.remove(&place(key)));
        }
        Action::Take(key) => {
            let there = model.remove(&place(key));
            match map.remove(&place(key)).map(Removed::try_into_owned) {
                None => assert_eq!(there, None),
                Some(Ok((_, value))) => assert_eq!(there, Some(*value.0)),
                Some(Err(entry)) => assert_eq!(there, Some(*entry.value().0)),
            }
        }
        Action::PopFirst => {
            let popped = map.pop_first().map(|entry| plain((entry.key(), entry.value())));
            assert_eq!(popped, model.pop_first());
        }
        Action::PopLast => {
            let popped = map.pop_last().map(|entry| plain((entry.key(), entry.value())));
            assert_eq!(popped, model.pop_last());
        }
        Action::Retain(n) => {
            let n = u64::from(n) + 2;
            map.retain(|key, _| !mix(*key.0).is_multiple_of(n));
            model.retain(|key, _| !mix(*key).is_multiple_of(n));
        }
        Action::Clear => {
            map.clear();
            model.clear();
        }
        Action::Collect => map.reclaim(),
        Action::Rebalance => _ = map.rebalance_step(4),
        _ => ask(map, model, action, place, bound),
    }
}

fn ask(
    map: &Map,
    model: &Model,
    action: &Action,
    place: impl Fn(u16) -> u64,
    bound: impl Fn(Limit) -> Bound<u64>,
) {
    let pinned = map.pin();
    let borrowed =
        |entry: Option<Ref<'_, Counted, Counted>>| entry.map(|entry| plain(entry.pair()));
    let own = |entry: Option<(&u64, &u64)>| entry.map(|(k, v)| (*k, *v));
    match *action {
        Action::Get(key) => {
            let key = place(key);
            let there = model.get(&key).copied();
            assert_eq!(pinned.get(&key).map(|value| *value.0), there);
            assert_eq!(number_of(map.get(&key)), there);
            assert_eq!(number_of(map.try_get(&key).expect("nobody is in the way")), there);
            assert_eq!(map.get_cloned(&key).map(|value| *value.0), there);
            assert_eq!(*map.get_or_default(&key).0, there.unwrap_or(0));
            assert_eq!(map.contains_key(&key), there.is_some());
        }
        Action::Near(key) => {
            let key = place(key);
            let behind = (Bound::Excluded(key), Bound::Unbounded);
            let there = [
                model.first_key_value(),
                model.last_key_value(),
                model.range(..=key).next_back(),
                model.range(..key).next_back(),
                model.range(key..).next(),
                model.range(behind).next(),
            ];
            let found = [
                pinned.first_key_value(),
                pinned.last_key_value(),
                pinned.floor(&key),
                pinned.predecessor(&key),
                pinned.ceiling(&key),
                pinned.successor(&key),
            ];
            assert_eq!(found.map(|entry| entry.map(plain)), there.map(own));
            let found = [
                map.first_key_value(),
                map.last_key_value(),
                map.floor(&key),
                map.predecessor(&key),
                map.ceiling(&key),
                map.successor(&key),
            ];
            assert_eq!(found.map(borrowed), there.map(own));
        }
        Action::Range(from, to) => {
            let bounds = (bound(from), bound(to));
            let range = pinned.range::<u64, _>(bounds).map(plain);
            assert!(range.clone().eq(pinned.iter_range::<u64, _>(bounds).map(plain)));
            let entries = map.iter_range::<u64, _>(bounds);
            assert!(range.clone().eq(entries.map(|entry| plain(entry.pair()))));
            let entries = map.range::<u64, _>(bounds).rev();
            assert!(range.clone().rev().eq(entries.map(|entry| plain(entry.pair()))));
            if is_range(bounds.0, bounds.1) {
                assert!(range.eq(model.range(bounds).map(|(k, v)| (*k, *v))));
            } else {
                assert_eq!(range.count(), 0);
            }
        }
        Action::Scan(from, budget) => {
            let from = place(from);
            let mut shown = Vec::new();
            let mut next = Some(Cursor::from(Counted::new(from)));
            while let Some(cursor) = next {
                next = pinned.scan(cursor, budget.into(), |k, v| shown.push(plain((k, v))));
            }
            assert!(shown.into_iter().eq(model.range(from..).map(|(k, v)| (*k, *v))));
        }
        _ => {}
    }
}
