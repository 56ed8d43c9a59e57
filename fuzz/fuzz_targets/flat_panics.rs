//! Hashers, comparisons and closures that panic as the input says. After each panic the map has the
//! state before or after the operation, and works.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::FlatMap;
use hedgerow::flat::Op;
use hedgerow_fuzz::fuse::{Fused as Key, step, survives};
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;

/// Steps that a fuse of the input stands for: mostly few, as most operations take; some as many as growth.
fn steps(fuse: u8) -> u64 {
    match fuse {
        0..200 => u64::from(fuse % 5),
        _ => u64::from(fuse - 200) * 4,
    }
}

/// Runs `work`, which panics when its `fuse` has burnt down; returns whether it panicked.
fn panics(fuse: Option<u8>, work: impl FnOnce()) -> bool {
    survives(fuse.map(steps), work).is_none()
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Get(u8),
    GetWith(u8),
    Insert(u8, u16),
    InsertIfAbsent(u8, u16),
    Remove(u8),
    Update(u8, u16),
    Compute(u8, Option<u16>),
    /// Keeps those whose key has none of these bits; with the new value, if there is one.
    Retain(u8, Option<u16>),
    Reserve(u8),
    GrowStep(u8),
    Shrink,
    Extend(u8),
}

#[derive(Arbitrary, Debug)]
struct Script {
    hashing: Hashing,
    /// The step of each operation that panics.
    actions: Vec<(Action, Option<u8>)>,
}

type Map = FlatMap<Key, u16, Hashing>;
type Model = HashMap<u16, u16>;

fuzz_target!(|script: Script| {
    let mut map: Map = FlatMap::with_hasher(script.hashing);
    let mut model = Model::new();
    let mut fresh = 1_000;
    for &(action, fuse) in script.actions.iter().take(300) {
        if let Action::Shrink = action {
            panics(fuse, || map.shrink_to_fit());
            compare(&map, &model);
        } else {
            act(&map, &mut model, action, fuse, &mut fresh);
        }
        assert_eq!(map.len(), model.len());
    }
    compare(&map, &model);
    // No bin is locked.
    for (&key, &value) in &model {
        assert_eq!(map.insert(Key(key), value), Some(value));
        assert_eq!(map.remove(&Key(key)), Some(value));
    }
    assert!(map.is_empty() && map.iter().next().is_none());
});

/// Runs an operation on both. After a panic the model follows the map, if the map's state is one that the operation may
/// leave.
fn act(map: &Map, model: &mut Model, action: Action, fuse: Option<u8>, fresh: &mut u16) {
    match action {
        Action::Get(key) => {
            let mut found = None;
            let panicked = panics(fuse, || found = map.get(&Key(key.into())));
            assert!(panicked || found == model.get(&key.into()).copied());
        }
        Action::GetWith(key) => {
            let mut found = None;
            let panicked = panics(fuse, || {
                found = map.get_with(&Key(key.into()), |value| {
                    step();
                    *value
                });
            });
            assert!(panicked || found == model.get(&key.into()).copied());
        }
        Action::Insert(key, new) => {
            one(map, model, key, fuse, Some(new), || map.insert(Key(key.into()), new));
        }
        Action::InsertIfAbsent(key, new) => {
            let after = model.get(&key.into()).copied().or(Some(new));
            one(map, model, key, fuse, after, || {
                map.insert_if_absent(Key(key.into()), new).err().map(|error| error.current)
            });
        }
        Action::Remove(key) => one(map, model, key, fuse, None, || map.remove(&Key(key.into()))),
        Action::Update(key, new) => {
            let before = model.get(&key.into()).copied();
            one(map, model, key, fuse, before.and(Some(new)), || {
                let after = map.update(&Key(key.into()), |value| {
                    step();
                    assert_eq!(Some(value), before);
                    new
                });
                assert_eq!(after, before.and(Some(new)));
                before
            });
        }
        Action::Compute(key, new) => one(map, model, key, fuse, new, || {
            let done = map.compute(Key(key.into()), |_| {
                step();
                new.map_or(Op::Remove, Op::Insert)
            });
            assert_eq!(done.after, new);
            done.before
        }),
        Action::Retain(bits, new) => retain(map, model, bits.into(), new, fuse),
        Action::Reserve(more) => {
            panics(fuse, || map.reserve(more.into()));
            compare(map, model);
        }
        Action::GrowStep(budget) => {
            panics(fuse, || {
                map.grow_step(budget.into());
            });
            compare(map, model);
        }
        Action::Extend(count) => {
            for _ in 0..=count % 32 {
                let key = *fresh;
                *fresh = fresh.wrapping_add(1).max(1_000);
                if panics(fuse, || assert_eq!(map.insert(Key(key), key), None)) {
                    adopt(map, model, key, Some(key));
                } else {
                    model.insert(key, key);
                }
            }
        }
        Action::Shrink => unreachable!("needs the map for itself"),
    }
}

/// Checks an operation on one key: its old value is right, and it leaves `after`.
fn one(
    map: &Map,
    model: &mut Model,
    key: u8,
    fuse: Option<u8>,
    after: Option<u16>,
    work: impl FnOnce() -> Option<u16>,
) {
    let key = key.into();
    let mut before = None;
    if panics(fuse, || before = work()) {
        adopt(map, model, key, after);
        return;
    }
    assert_eq!(before, model.get(&key).copied());
    match after {
        Some(after) => model.insert(key, after),
        None => model.remove(&key),
    };
    assert_eq!(map.get(&Key(key)), after);
}

/// Checks that after a panic the key has its old or its new state, and copies that to the model.
fn adopt(map: &Map, model: &mut Model, key: u16, after: Option<u16>) {
    let before = model.get(&key).copied();
    let found = map.get(&Key(key));
    assert!(found == before || found == after, "{key}: {found:?}, not {before:?} or {after:?}");
    match found {
        Some(value) => model.insert(key, value),
        None => model.remove(&key),
    };
    compare(map, model);
}

fn retain(map: &Map, model: &mut Model, bits: u16, new: Option<u16>, fuse: Option<u8>) {
    let left = |key: u16, value: u16| (key & bits == 0).then_some(new.unwrap_or(value));
    let panicked = panics(fuse, || {
        map.retain(|key, value| {
            step();
            let left = left(key.0, *value);
            *value = left.unwrap_or(0);
            left.is_some()
        });
    });
    let before = std::mem::take(model);
    for (key, value) in before {
        let (found, left) = (map.get(&Key(key)), left(key, value));
        assert!(found == left || panicked && found == Some(value), "{key}: {found:?}");
        found.map(|value| model.insert(key, value));
    }
    compare(map, model);
}

fn compare(map: &Map, model: &Model) {
    let mut count = 0;
    for (key, value) in map {
        assert_eq!(model.get(&key.0), Some(&value), "{key:?}");
        count += 1;
    }
    assert_eq!(count, model.len(), "a key is lost, or there twice");
    for (&key, &value) in model {
        assert_eq!(map.get(&Key(key)), Some(value), "{key}");
    }
    assert_eq!(map.len(), count);
}
