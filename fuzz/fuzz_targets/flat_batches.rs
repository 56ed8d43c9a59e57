//! Batches, cursors, entries and exchanges of `FlatMap<u64, u64>` against std's `HashMap`, under a hasher
//! that the input chooses.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::FlatMap;
use hedgerow::flat::Cursor;
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::collections::{HashMap, HashSet};

#[derive(Arbitrary, Debug)]
enum Action {
    GetMany(Vec<u8>),
    GetEach(Vec<u8>),
    InsertMany(Vec<(u8, u8)>),
    RemoveMany(Vec<u8>),
    /// A run of this many keys, further and further out, so that the table grows.
    Grow(u8),
    Entry(u8, Option<u8>, u8),
    Exchange(u8, Option<u8>, Option<u8>),
    FetchUpdate(u8, u8),
    /// Begins a scan.
    Scan,
    /// Moves the cursor by at least this many entries.
    Step(u8),
    /// A scan from a cursor that no scan returned.
    From(u64),
    Reserve(u8),
    /// Grows by this many segments ahead of demand.
    GrowStep(u8),
    Shrink,
}

#[derive(Arbitrary, Debug)]
struct Script {
    hashing: Hashing,
    actions: Vec<Action>,
}

type Model = HashMap<u64, u64>;

/// A scan that is put down between its steps.
struct Walk {
    place: Option<Cursor>,
    /// Keys that have been there since it began.
    lasting: HashSet<u64>,
    met: HashSet<u64>,
}

fuzz_target!(|script: Script| {
    let mut map: FlatMap<u64, u64, Hashing> = FlatMap::with_hasher(script.hashing);
    let (mut model, mut walk) = (Model::new(), None);
    let mut fresh = 256;
    // Long chains are slow.
    let most = if matches!(script.hashing, Hashing::Good) { 3_000 } else { 600 };
    for action in script.actions.iter().take(300) {
        match action {
            Action::Shrink => {
                map.shrink_to_fit();
                walk = None;
            }
            Action::Scan => {
                let lasting = model.keys().copied().collect();
                walk = Some(Walk { place: Some(Cursor::default()), lasting, met: HashSet::new() });
            }
            Action::Step(budget) => step(&map, &mut walk, (*budget).into()),
            Action::Grow(count) if fresh < most => {
                let run: Vec<_> =
                    (fresh..fresh + u64::from(*count)).map(|key| (key, key)).collect();
                let mut before = vec![Some(0); run.len()];
                map.insert_many(&run, &mut before);
                assert!(before.iter().all(Option::is_none));
                model.extend(run.iter().copied());
                fresh += u64::from(*count);
            }
            Action::Grow(_) => {}
            Action::Reserve(more) => map.reserve(4 * usize::from(*more)),
            Action::GrowStep(budget) => {
                map.grow_step((*budget).into());
            }
            _ => act(&map, &mut model, action),
        }
        if let Some(walk) = &mut walk {
            walk.lasting.retain(|key| model.contains_key(key));
        }
        assert_eq!(map.len(), model.len(), "how many entries there are");
    }
    assert_eq!(map.iter().collect::<Model>(), model);
});

fn step(map: &FlatMap<u64, u64, Hashing>, walk: &mut Option<Walk>, budget: usize) {
    let Some(now) = walk else { return };
    let Some(cursor) = now.place else { return };
    let met = &mut now.met;
    now.place = map.scan(cursor, budget, |key, _| assert!(met.insert(key), "{key} came twice"));
    if now.place.is_none() {
        assert!(now.lasting.is_subset(&now.met), "a lasting key did not come");
        *walk = None;
    }
}

fn act(map: &FlatMap<u64, u64, Hashing>, model: &mut Model, action: &Action) {
    let wide = |keys: &[u8]| keys.iter().map(|&key| key.into()).collect::<Vec<u64>>();
    match action {
        Action::GetMany(keys) => {
            let (keys, mut values) = (wide(keys), vec![Some(1 << 20); keys.len()]);
            map.get_many(&keys, &mut values);
            assert!(keys.iter().map(|key| model.get(key).copied()).eq(values));
        }
        Action::GetEach(keys) => {
            let keys = wide(keys);
            let each = map.get_each(keys.iter().copied());
            assert!(keys.iter().map(|key| (*key, model.get(key).copied())).eq(each));
        }
        Action::InsertMany(entries) => {
            let entries: Vec<(u64, u64)> =
                entries.iter().map(|&(key, value)| (key.into(), value.into())).collect();
            let mut before = vec![Some(1 << 20); entries.len()];
            if entries.len() % 2 == 0 {
                map.insert_many(&entries, &mut before);
            } else {
                let done = map.try_insert_many(&entries, &mut before);
                done.expect("nobody else is here, and there is memory");
            }
            assert!(entries.iter().map(|&(key, value)| model.insert(key, value)).eq(before));
        }
        Action::RemoveMany(keys) => {
            let (keys, mut before) = (wide(keys), vec![Some(1 << 20); keys.len()]);
            map.remove_many(&keys, &mut before);
            assert!(keys.iter().map(|key| model.remove(key)).eq(before));
        }
        Action::Entry(key, add, new) => {
            let (key, entry) = (u64::from(*key), map.entry((*key).into()));
            let (value, there) = match add {
                Some(add) => {
                    let add = u64::from(*add);
                    let value = entry.and_modify(|value| *value += add).or_insert((*new).into());
                    (value, model.entry(key).and_modify(|value| *value += add))
                }
                None => (entry.or_insert_with(|| (*new).into()), model.entry(key)),
            };
            assert_eq!(value, *there.or_insert((*new).into()));
        }
        Action::Exchange(key, current, new) => {
            let (key, current, new) = (u64::from(*key), current.map(u64::from), new.map(u64::from));
            let there = model.get(&key).copied();
            let done = map.compare_exchange(key, current, new);
            assert_eq!(done, if there == current { Ok(there) } else { Err(there) });
            if done.is_ok() {
                match new {
                    Some(new) => model.insert(key, new),
                    None => model.remove(&key),
                };
            }
        }
        Action::FetchUpdate(key, most) => {
            let key = u64::from(*key);
            let grow = |value: u64| (value < u64::from(*most)).then_some(value + 1);
            let there = model.get(&key).copied();
            let done = map.fetch_update(&key, grow);
            match there.and_then(grow) {
                Some(new) => {
                    assert_eq!(Some(done), there.map(Ok));
                    model.insert(key, new);
                }
                None => assert_eq!(done, Err(there)),
            }
        }
        Action::From(bits) => {
            let (mut place, mut met) = (Some(Cursor::from_bits(*bits)), HashSet::new());
            while let Some(cursor) = place {
                place = map.scan(cursor, 1, |key, value| {
                    assert!(met.insert(key) && model.get(&key) == Some(&value));
                });
            }
        }
        _ => unreachable!("done by the caller"),
    }
}
