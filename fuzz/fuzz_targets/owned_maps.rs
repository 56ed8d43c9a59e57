//! `HashMap` and `BytesMap` against std's `StdMap`, under a hasher that the input chooses: with guards that
//! stay, borrowed values that must not change, and entries that are kept after their removal. Each key and
//! value is dropped exactly once.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::error::TryInsertError;
use hedgerow::owned::{Guard, Op, Removed, RemovedBytes, pin};
use hedgerow::{HashMap, BytesMap};
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
    /// Removes, and keeps what was removed until the end.
    Keep(u8),
    Get(u8),
    GetMany(Vec<u8>),
    /// From here on a guard is held, and so is what it sees.
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
    /// Whether the map is iterated to pieces at the end, and how far.
    into_iter: Option<u8>,
}

thread_local!(static ALIVE: Cell<usize> = const { Cell::new(0) });

/// On the heap, so that a sanitizer sees what is looked at too late or freed twice.
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
        // What is shrunk borrows mutably: nothing may be kept over it.
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
    let mut held = None;
    for action in actions.iter().take(200) {
        match action {
            Action::Pin => {
                let guard = pin();
                let seen =
                    map.with_guard(&guard).iter().map(|(_, value)| (&raw const *value, *value.0)).collect();
                check(held.replace((guard, seen)));
            }
            Action::Unpin => check(held.take()),
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
    let guard = pin();
    let all: Model = map.with_guard(&guard).iter().map(|(key, value)| (*key.0, *value.0)).collect();
    assert_eq!(&all, model);
    let all: StdMap<&[u8], &[u8]> = strings.with_guard(&guard).iter().collect();
    assert!(all.len() == model.len());
    assert!(model.iter().all(|(key, value)| all[&*text(*key)] == text(*value)));
    check(held);
}

/// What a guard saw is there as long as it is held.
fn check(held: Option<(Guard<'static>, Vec<(*const Counted, u64)>)>) {
    for (value, number) in held.iter().flat_map(|(_, seen)| seen) {
        // SAFETY: what is to be proved.
        assert_eq!(unsafe { *(**value).0 }, *number);
    }
}

/// Inserts by a method that may refuse; if it does, what it gives back by one that does not.
fn try_insert(map: &Map, key: u64, value: u64) -> Option<Removed<'_, Counted, Counted>> {
    let (k, v) = (Counted::new(key), Counted::new(value));
    let done = if key % 2 == 0 {
        map.try_insert(k, v).map_err(TryInsertError::into_parts)
    } else {
        let mut v = Some(v);
        map.try_compute(k, |_| Op::Insert(v.take().expect("asked once"))).map_err(|why| {
            let (key, value) = why.into_parts();
            (key, value.expect("it was asked"))
        })
    };
    done.unwrap_or_else(|(k, v)| {
        assert!((*k.0, *v.0) == (key, value) && Some(map.pending()) > map.pending_limit());
        map.insert(k, v)
    })
}

fn try_insert_string(map: &BytesMap<Hashing>, key: u64, value: u64) -> Option<RemovedBytes<'_>> {
    let done = map.try_insert(text(key), text(value)).map_err(TryInsertError::into_parts);
    done.unwrap_or_else(|(k, v)| {
        assert!((&k, &v) == (&text(key), &text(value)));
        map.insert(k, v)
    })
}

fn act(map: &Map, strings: &BytesMap<Hashing>, model: &mut Model, action: &Action) {
    let wide = |n: &u8| u64::from(*n);
    let value_of = |old: Option<Removed<'_, Counted, Counted>>| old.map(|old| *old.value().0);
    let new = |n: u64| Counted::new(n);
    match action {
        Action::Insert(key, value) | Action::TryInsert(key, value) => {
            let (key, value) = (wide(key), wide(value));
            let (old, string) = if matches!(action, Action::Insert(..)) {
                (map.insert(new(key), new(value)), strings.insert(text(key), text(value)))
            } else {
                // Under a limit now and then, which a guard may make them refuse: not for ever.
                let limit = (value % 2 == 1).then_some(value as usize);
                map.set_pending_limit(limit);
                strings.set_pending_limit(limit);
                (try_insert(map, key, value), try_insert_string(strings, key, value))
            };
            let there = model.insert(key, value);
            assert_eq!(string.map(|old| old.value().to_vec()), there.map(text));
            assert_eq!(value_of(old), there);
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
            let (key, value, guard) = (wide(key), wide(value), pin());
            let there = map.with_guard(&guard).get_or_insert_with(new(key), || new(value));
            let _ = strings.insert_if_absent(text(key), text(value));
            assert_eq!(*there.0, *model.entry(key).or_insert(value));
        }
        Action::Update(key, add) => {
            let (key, add) = (wide(key), wide(add));
            let old = map.update(&key, |value| new(*value.0 + add));
            strings.compute(text(key), |old| match old {
                Some(_) => Op::Insert(text(model[&key] + add)),
                None => Op::Keep,
            });
            assert_eq!(value_of(old), model.get(&key).copied());
            model.entry(key).and_modify(|value| *value += add);
        }
        Action::Compute(key, value) => {
            let (key, value) = (wide(key), value.as_ref().map(wide));
            let old = map.compute(new(key), |old| {
                assert_eq!(old.map(|old| *old.0), model.get(&key).copied());
                value.map_or(Op::Remove, |value| Op::Insert(new(value)))
            });
            strings.compute(text(key), |_| value.map_or(Op::Remove, |v| Op::Insert(text(v))));
            let there = match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
            assert_eq!(value_of(old), there);
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
            let (key, guard) = (wide(key), pin());
            assert_eq!(map.with_guard(&guard).get(&key).map(|value| *value.0), model.get(&key).copied());
            let string = strings.with_guard(&guard).get(text(key)).map(<[u8]>::to_vec);
            assert_eq!(string, model.get(&key).map(|value| text(*value)));
        }
        Action::GetMany(keys) => {
            let guard = pin();
            let keys: Vec<u64> = keys.iter().map(wide).collect();
            let mut values = vec![None; keys.len()];
            map.with_guard(&guard).get_many(&keys.iter().collect::<Vec<_>>(), &mut values);
            let values = values.iter().map(|value| value.map(|value| *value.0));
            assert!(keys.iter().map(|key| model.get(key).copied()).eq(values));
        }
        Action::Retain(rest) => {
            let wanted = |key: u64| key % 7 != u64::from(*rest) % 7;
            map.retain(|key, _| wanted(*key.0));
            strings
                .retain(|key, _| wanted(u64::from_le_bytes(key[..8].try_into().expect("8 bytes"))));
            model.retain(|key, _| wanted(*key));
        }
        Action::Clear => {
            map.clear();
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
