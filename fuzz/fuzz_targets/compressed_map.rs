//! Sequences of operations on a `CompressedMap` of few segments against std's `HashMap`, with compaction, training
//! and budget pressure wherever the input has them.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::CompressedMap;
use hedgerow::compressed::codec::SmallText;
use hedgerow::compressed::{Policy, StoreError};
use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;

#[derive(Arbitrary, Debug)]
enum Action {
    Insert(u8, u8, u16),
    Remove(u8),
    Update(u8, u8),
    Defer(u8, u8),
    Look(u8),
    /// A run of new keys.
    Fill(u8, u16),
    Step(u16),
    Train(u8),
    Retain(u8),
    Compare,
    Clear,
    Shrink,
}

#[derive(Arbitrary, Debug)]
struct Script {
    kibibytes: u8,
    evict: bool,
    actions: Vec<Action>,
}

fn append(_: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
    [value.unwrap_or_default(), &operands.concat()].concat()
}

fn value(n: u8, len: u16) -> Vec<u8> {
    let word = format!("{{\"key\": {n}, \"of\": \"it\"}},");
    word.bytes().cycle().take(usize::from(len % 900)).collect()
}

fuzz_target!(|script: Script| {
    let budget = 24 * 1024 + usize::from(script.kibibytes) * 512;
    let policy = if script.evict { Policy::Evict } else { Policy::Refuse };
    let builder = CompressedMap::builder_without_codecs(budget).segment_bytes(1024).policy(policy);
    let mut map = builder.codec(SmallText::new()).merge(append).build();
    let mut model = HashMap::<Vec<u8>, Vec<u8>>::new();
    let mut next = 0u32;
    // An evicted entry is absent; all others are unchanged.
    let check = |map: &CompressedMap, model: &mut HashMap<Vec<u8>, Vec<u8>>, key: &[u8]| {
        let there = map.get(key).expect("it is whole");
        if there.is_none() && script.evict {
            model.remove(key);
        }
        assert_eq!(there.as_ref(), model.get(key));
    };
    let refused = |error| assert!(error == StoreError::BudgetExceeded, "{error}");
    for action in script.actions {
        match action {
            Action::Insert(n, of, len) => match map.insert(&[n], &value(of, len)) {
                Ok(_) => drop(model.insert(vec![n], value(of, len))),
                Err(error) => refused(error),
            },
            Action::Remove(n) => {
                check(&map, &mut model, &[n]);
                assert_eq!(map.remove(&[n]), model.remove(&vec![n]).is_some());
            }
            Action::Update(n, by) => {
                check(&map, &mut model, &[n]);
                let change = |mut value: Vec<u8>| {
                    value.push(by);
                    (value.len() < 950).then_some(value)
                };
                match map.update(&[n], change) {
                    Ok(true) => {
                        let value = model.remove(&vec![n]).expect("it was there");
                        change(value).map(|value| model.insert(vec![n], value));
                    }
                    Ok(false) => drop(model.remove(&vec![n])),
                    Err(error) => refused(error),
                }
            }
            Action::Defer(n, by) => {
                if model.get(&vec![n]).is_some_and(|value| value.len() > 900) {
                    continue;
                }
                check(&map, &mut model, &[n]);
                match map.modify_deferred(&[n], &[by]) {
                    // The map may have evicted the entry to make room for its new value.
                    Ok(()) if script.evict => {
                        let there = map.get(&[n]).expect("it is whole");
                        there.map(|value| model.insert(vec![n], value));
                    }
                    Ok(()) => model.entry(vec![n]).or_default().push(by),
                    Err(error) => refused(error),
                }
            }
            Action::Look(n) => check(&map, &mut model, &[n]),
            Action::Fill(count, len) => {
                for _ in 0..count {
                    next += 1;
                    let (key, mut value) = (next.to_le_bytes(), value(next as u8, len));
                    // Some values contain their key.
                    if next.is_multiple_of(2) {
                        let at = value.len() / usize::from(next as u8 | 1);
                        value.splice(at..at, key);
                    }
                    if map.insert(&key, &value).is_ok() {
                        model.insert(key.to_vec(), value);
                    }
                }
            }
            Action::Step(bytes) => drop(map.compress_step(bytes.into())),
            Action::Train(n) => {
                let samples: Vec<Vec<u8>> = (0..n).map(|n| value(n, 300)).collect();
                map.train(&samples.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            Action::Retain(n) => {
                let keep = |key: &[u8]| key[0] % 7 != n % 7;
                map.retain(|key, _| keep(key));
                model.retain(|key, _| keep(key));
            }
            Action::Compare => {
                let whole = |(key, value): (_, Result<_, _>)| (key, value.expect("it is whole"));
                let all: HashMap<_, _> = map.iter().map(whole).collect();
                assert_eq!(all.len(), map.len());
                if script.evict {
                    model.retain(|key, _| all.contains_key(key));
                }
                assert_eq!(all, model);
            }
            Action::Clear => {
                map.clear();
                model.clear();
            }
            Action::Shrink => map.shrink(),
        }
        let stats = map.stats();
        assert!(stats.memory_bytes <= budget, "{stats:?}");
    }
    map.clear();
    let stats = map.stats();
    assert_eq!((stats.len, stats.raw, stats.hot, stats.cold), (0, 0, 0, 0), "{stats:?}");
});
