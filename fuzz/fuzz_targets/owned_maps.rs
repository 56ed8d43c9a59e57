//! `HashMap` and `BytesMap` against std's `StdMap`, under a hasher that the input chooses: with guards that
//! stay, borrowed values that must not change, and entries that are kept after their removal. Each key and
//! value is dropped exactly once.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::entry::Entry;
use hedgerow::error::TryInsertError;
use hedgerow::owned::{Guard, Op, Ref, Removed, RemovedBytes, pin};
use hedgerow::{BytesMap, HashMap};
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashMap as StdMap;
use std::hash::{Hash, Hasher};

#[derive(Arbitrary, Debug)]
enum Action {
    Insert(u8, u8),
    TryInsert(u8, u8),
    InsertIfAbsent(u8, u8),
    GetOrInsert(u8, u8),
    Update(u8, u8),
    Compute(u8, Option<u8>),
    Remove(u8),
    /// Removes and tries to own.
    Take(u8),
    /// Removes, and keeps the removed entry until the end.
    Keep(u8),
    Get(u8),
    GetMany(Vec<u8>),
    /// Takes a guard, and holds it and the entries that it sees.
    Pin,
    Unpin,
    Retain(u8),
    Clear,
    Collect,
    Grow(u8),
    Shrink,
}

#[derive(Arbitrary, Debug)]
struct Script {
    hashing: Hashing,
    actions: Vec<Action>,
    /// Whether the end consumes the map by an iterator, and how far.
    into_iter: Option<u8>,
}

thread_local!(static ALIVE: Cell<usize> = const { Cell::new(0) });

/// On the heap, so that a sanitizer sees a read after free and a double free.
#[derive(Debug)]
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

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Counted {}
impl Hash for Counted {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
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

type Model = StdMap<u64, u64>;
type Map = HashMap<Counted, Counted, Hashing>;

/// A string of any length for a number, and the same for the same one.
fn text(value: u64) -> Vec<u8> {
    let length = (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize;
    value.to_le_bytes().iter().copied().chain(std::iter::repeat_n(value as u8, length)).collect()
}

fuzz_target!(|script: Script| {
    let strings: BytesMap<Hashing> = BytesMap::with_hasher(script.hashing);
    {
        let mut map: Map = HashMap::with_hasher(script.hashing);
        let mut model = Model::new();
        // `shrink_to_fit` borrows mutably: no borrow may outlive the chunk before it.
        for actions in script.actions.chunk_by(|_, next| !matches!(next, Action::Shrink)).take(20) {
            play(&map, &strings, &mut model, actions);
            map.shrink_to_fit();
            assert_eq!((map.pending(), map.len()), (0, model.len()));
            assert_eq!(ALIVE.get(), 2 * map.len());
        }
        match script.into_iter {
            Some(count) => {
                let taken = map.into_iter().take(count.into());
                assert!(taken.map(|(k, v)| (*k.0, *v.0)).all(|(k, v)| model[&k] == v));
            }
            None => drop(map),
        }
    }
    assert_eq!(ALIVE.get(), 0);
});

fn play(map: &Map, strings: &BytesMap<Hashing>, model: &mut Model, actions: &[Action]) {
    let (mut kept, mut kept_strings) = (Vec::new(), Vec::new());
    let mut fresh = 256 + model.len() as u64;
    let (mut held, mut held_entries) = (None, None);
    for action in actions.iter().take(200) {
        match action {
            // Entries with guards of their own, which outlive the iterator.
            Action::Pin if model.len() % 2 == 1 => {
                let entries: Vec<_> = map.iter().collect();
                let seen = entries.iter().map(|entry| (*entry.key().0, *entry.value().0)).collect();
                check_entries(held_entries.replace((entries, seen)));
            }
            Action::Pin => {
                let guard = pin();
                let seen = map
                    .with_guard(&guard)
                    .iter()
                    .map(|(_, value)| (&raw const *value, *value.0))
                    .collect();
                check(held.replace((guard, seen)));
            }
            Action::Unpin => {
                check(held.take());
                check_entries(held_entries.take());
            }
            // Between two plays.
            Action::Shrink => {}
            Action::Keep(key) => {
                let (key, there) = (u64::from(*key), model.remove(&u64::from(*key)));
                kept.extend(map.remove(&key));
                kept_strings.extend(strings.remove(text(key)));
                assert!(there.is_none() || kept.last().map(|old| *old.value().0) == there);
            }
            Action::Grow(count) => {
                for key in fresh..fresh + u64::from(*count).min(3_000 - fresh.min(3_000)) {
                    let before = map.insert(Counted::new(key), Counted::new(key));
                    strings.insert(text(key), text(key));
                    assert_eq!(before.map(|old| *old.0), model.insert(key, key));
                }
                fresh += u64::from(*count);
            }
            action => act(map, strings, model, action),
        }
        assert_eq!((map.len(), strings.len()), (model.len(), model.len()));
    }
    let all: Model = map.pin().iter().map(|(key, value)| (*key.0, *value.0)).collect();
    assert_eq!(&all, model);
    assert!(map.clone() == *map);
    let pinned = strings.pin();
    let all: StdMap<&[u8], &[u8]> = pinned.iter().collect();
    assert!(all.len() == model.len());
    assert!(model.iter().all(|(key, value)| all[&*text(*key)] == text(*value)));
    let entries = strings.iter();
    assert_eq!(entries.map(|entry| assert_eq!(all[entry.key()], &*entry)).count(), all.len());
    check(held);
    check_entries(held_entries);
}

/// Checks that borrowed entries have not changed, even if the map has replaced or removed them.
fn check_entries(held: Option<(Vec<Ref<'_, Counted, Counted>>, Vec<(u64, u64)>)>) {
    for (entry, numbers) in held.iter().flat_map(|(entries, seen)| entries.iter().zip(seen)) {
        let entry = Ref::clone(entry);
        assert_eq!((*entry.key().0, *entry.value().0), *numbers);
    }
}

/// Checks that entries which a guard saw exist as long as it is held.
fn check(held: Option<(Guard<'static>, Vec<(*const Counted, u64)>)>) {
    for (value, number) in held.iter().flat_map(|(_, seen)| seen) {
        // SAFETY: the guard protects the value. This test proves it.
        assert_eq!(unsafe { *(**value).0 }, *number);
    }
}

/// Inserts by a method that may refuse and, if it does, inserts the returned entry by one that does not. Returns the
/// old value.
fn try_insert(map: &Map, key: u64, value: u64) -> Option<u64> {
    let (k, v) = (Counted::new(key), Counted::new(value));
    let done = if key % 2 == 0 {
        let done = map.try_insert(k, v).map_err(TryInsertError::into_parts);
        done.map(|before| before.map(|before| *before.0))
    } else {
        let mut v = Some(v);
        let done = map.try_compute(k, |_| Op::Insert(v.take().expect("asked once")));
        let done = done.map_err(|why| {
            let (key, value) = why.into_parts();
            (key, value.expect("it was asked"))
        });
        done.map(|done| {
            assert_eq!(done.after.map(|after| *after.0), Some(value));
            done.before.map(|before| *before.0)
        })
    };
    done.unwrap_or_else(|(k, v)| {
        assert!((*k.0, *v.0) == (key, value) && Some(map.pending()) > map.pending_limit());
        map.insert(k, v).map(|before| *before.0)
    })
}

fn try_insert_string(map: &BytesMap<Hashing>, key: u64, value: u64) -> Option<RemovedBytes<'_>> {
    let done = map.try_insert(text(key), text(value)).map_err(TryInsertError::into_parts);
    done.unwrap_or_else(|(k, v)| {
        assert!((&k, &v) == (&text(key), &text(value)));
        map.insert(k, v)
    })
}

/// Returns the value that is there, or is made, by one of the calls for that.
fn get_or_insert(map: &Map, key: u64, value: u64) -> u64 {
    let (k, make) = (Counted::new(key), || Counted::new(value));
    match value % 7 {
        0 => *map.pin().get_or_insert_with(k, make).0,
        1 => *map.get_or_insert_with(k, make).0,
        2 => *map.get_or_insert(k, make()).0,
        3 => {
            let failed = map.get_or_try_insert_with(Counted::new(key), || Err(value));
            assert!(failed.err().is_none_or(|error| error == value));
            *map.get_or_try_insert_with(k, || Ok::<_, ()>(make())).expect("it makes one").0
        }
        4 => *map.entry(k).or_insert_with(make).0,
        5 => match map.entry(k) {
            Entry::Occupied(entry) => {
                assert_eq!(*entry.key().0, key);
                *entry.into_value().0
            }
            Entry::Vacant(entry) => *entry.insert(make()).expect("nobody else is there").0,
        },
        _ => {
            map.set_pending_limit(None);
            *map.pin().try_get_or_insert_with(k, make).expect("nobody else is there").0
        }
    }
}

/// Every lookup of a key finds what is there.
fn get(map: &Map, strings: &BytesMap<Hashing>, key: u64, there: Option<u64>) {
    assert_eq!(map.pin().get(&key).map(|value| *value.0), there);
    assert_eq!(map.get(&key).map(|entry| *entry.0), there);
    assert_eq!(map.try_get(&key).expect("nobody else is there").map(|entry| *entry.0), there);
    assert_eq!(map.get_cloned(&key).map(|value| *value.0), there);
    assert_eq!(*map.get_or_default(&key).0, there.unwrap_or(0));
    assert_eq!(map.contains_key(&key), there.is_some());
    let there = there.map(text);
    assert_eq!(strings.pin().get(text(key)).map(<[u8]>::to_vec), there);
    assert_eq!(strings.get(text(key)).map(|value| value.to_vec()), there);
    assert_eq!(strings.get_cloned(text(key)), there);
    assert_eq!(strings.get_or_default(text(key)), there.unwrap_or_default());
}

fn act(map: &Map, strings: &BytesMap<Hashing>, model: &mut Model, action: &Action) {
    let wide = |n: &u8| u64::from(*n);
    let value_of = |old: Option<Removed<'_, Counted, Counted>>| old.map(|old| *old.value().0);
    let number_of = |entry: Option<Ref<'_, Counted, Counted>>| entry.map(|entry| *entry.value().0);
    let new = |n: u64| Counted::new(n);
    match action {
        Action::Insert(key, value) | Action::TryInsert(key, value) => {
            let (key, value) = (wide(key), wide(value));
            let (old, string) = if matches!(action, Action::Insert(..)) {
                let old = value_of(map.insert(new(key), new(value)));
                (old, strings.insert(text(key), text(value)))
            } else {
                // Sometimes under a limit, at which a guard may make the map refuse for a while.
                let limit = (value % 2 == 1).then_some(value as usize);
                map.set_pending_limit(limit);
                strings.set_pending_limit(limit);
                (try_insert(map, key, value), try_insert_string(strings, key, value))
            };
            let there = model.insert(key, value);
            assert_eq!(string.map(|old| old.value().to_vec()), there.map(text));
            assert_eq!(old, there);
        }
        Action::InsertIfAbsent(key, value) => {
            let (key, value) = (wide(key), wide(value));
            let done = if value % 2 == 1 {
                map.set_pending_limit(None);
                map.try_insert_if_absent(new(key), new(value)).expect("nobody else is there")
            } else {
                map.insert_if_absent(new(key), new(value))
            };
            assert_eq!(strings.insert_if_absent(text(key), text(value)).is_ok(), done.is_ok());
            assert_eq!(done.is_ok(), !model.contains_key(&key));
            model.entry(key).or_insert(value);
        }
        Action::GetOrInsert(key, value) => {
            let (key, value) = (wide(key), wide(value));
            let _ = strings.insert_if_absent(text(key), text(value));
            let there = *model.entry(key).or_insert(value);
            assert_eq!(get_or_insert(map, key, value), there);
        }
        Action::Update(key, add) => {
            let (key, add) = (wide(key), wide(add));
            let change = |value: &Counted| new(*value.0 + add);
            let after = if add % 2 == 0 {
                number_of(map.update(&key, change))
            } else {
                match map.entry(new(key)) {
                    entry @ Entry::Occupied(_) => {
                        let changed = entry.and_modify(|value| *value = change(value));
                        Some(*changed.or_insert_with(|| unreachable!("it is there")).0)
                    }
                    Entry::Vacant(entry) => {
                        assert_eq!(*entry.into_key().0, key);
                        None
                    }
                }
            };
            let string = strings.update(text(key), |_| text(model[&key] + add));
            model.entry(key).and_modify(|value| *value += add);
            assert_eq!(after, model.get(&key).copied());
            assert_eq!(string.map(|value| value.to_vec()), after.map(text));
        }
        Action::Compute(key, value) => {
            let (key, value) = (wide(key), value.as_ref().map(wide));
            let done = map.compute(new(key), |old| {
                assert_eq!(old.map(|old| *old.0), model.get(&key).copied());
                value.map_or(Op::Remove, |value| Op::Insert(new(value)))
            });
            let op = |_: Option<&[u8]>| value.map_or(Op::Remove, |v| Op::Insert(text(v)));
            let string = strings.compute(text(key), op);
            let there = match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
            assert_eq!((number_of(done.before), number_of(done.after)), (there, value));
            assert_eq!(string.before.map(|value| value.to_vec()), there.map(text));
            assert_eq!(string.after.map(|value| value.to_vec()), value.map(text));
        }
        Action::Remove(key) | Action::Take(key) => {
            let (key, old) = (wide(key), map.remove(&wide(key)));
            strings.remove(text(key));
            let there = model.remove(&key);
            let old = match old.map(|old| {
                if matches!(action, Action::Take(_)) { old.try_into_owned() } else { Err(old) }
            }) {
                None => None,
                Some(Ok((same, value))) => {
                    assert_eq!(*same.0, key);
                    Some(*value.0)
                }
                Some(Err(old)) => Some(*old.value().0),
            };
            assert_eq!(old, there);
        }
        Action::Get(key) => {
            let key = wide(key);
            get(map, strings, key, model.get(&key).copied());
        }
        Action::GetMany(keys) => {
            let pinned = map.pin();
            let keys: Vec<u64> = keys.iter().map(wide).collect();
            let mut values = vec![None; keys.len()];
            pinned.get_many(&keys.iter().collect::<Vec<_>>(), &mut values);
            let values = values.iter().map(|value| value.map(|value| *value.0));
            assert!(keys.iter().map(|key| model.get(key).copied()).eq(values));
        }
        Action::Retain(rest) => {
            let wanted = |key: u64| key % 7 != u64::from(*rest) % 7;
            if rest % 2 == 0 {
                map.retain(|key, _| wanted(*key.0));
            } else {
                let gone: Vec<_> = map.extract_if(|key, _| !wanted(*key.0)).collect();
                assert!(gone.iter().all(|entry| model[&*entry.key().0] == *entry.value().0));
            }
            strings
                .retain(|key, _| wanted(u64::from_le_bytes(key[..8].try_into().expect("8 bytes"))));
            model.retain(|key, _| wanted(*key));
        }
        Action::Clear => {
            if model.len() % 2 == 0 {
                map.clear();
            } else {
                assert_eq!(
                    map.drain().map(|entry| (*entry.key().0, *entry.value().0)).collect::<Model>(),
                    *model
                );
            }
            strings.clear();
            model.clear();
        }
        Action::Collect => {
            map.reclaim();
            strings.reclaim();
        }
        Action::Pin | Action::Unpin | Action::Keep(_) | Action::Grow(_) | Action::Shrink => {
            unreachable!("done before")
        }
    }
}
