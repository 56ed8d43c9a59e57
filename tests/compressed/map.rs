//! builds: asan narrow portable
//!
//! `CompressedMap` against std's `HashMap`, under budgets so small that sweeps, folding and eviction all happen.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::Corrupt;
use hedgerow::compressed::{Policy, ReadError, StoreError, TypedMap};
use std::collections::HashMap;
use std::panic::{RefUnwindSafe, UnwindSafe};
use support::nibbles::Nibbles;
use support::rng::Rng;

const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
const _: () = unwind::<CompressedMap>();
const _: () = unwind::<TypedMap<String, Vec<u8>>>();

fn append(_: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
    [value.unwrap_or_default(), &operands.concat()].concat()
}

fn key(n: usize) -> Vec<u8> {
    format!("key-{n}").into_bytes()
}

/// Returns text that the codec compresses, or noise that it does not.
fn value(rng: &mut Rng, most: usize) -> Vec<u8> {
    let len = rng.below(most + 1);
    if rng.below(8) == 0 {
        return (0..len).map(|_| rng.below(256) as u8).collect();
    }
    (0..len).map(|_| b"etaoin shrdlu,.\"{}"[rng.below(18)]).collect()
}

/// The index takes more bytes than these entries do, so the index must respect the budget.
#[test]
fn entries_of_next_to_nothing_stay_within_the_budget() {
    for budget in [32 << 10, 64 << 10, 200 << 10] {
        let map = CompressedMap::builder_without_codecs(budget)
            .codec(Nibbles)
            .segment_bytes(1 << 10)
            .build();
        let refused = (0..100_000u32).find(|n| {
            let stored = map.insert(&n.to_le_bytes()[..3], "");
            let stats = map.stats();
            assert!(stats.memory_bytes <= budget, "over budget: {stats:?}");
            stored.is_err()
        });
        let refused = refused.expect("the map fills up") as usize;
        assert!(refused > budget / 100, "{refused} of {budget}: {:?}", map.stats());
    }
}

#[test]
fn a_builder_compresses_unless_it_is_told_not_to() {
    let names = |map: &CompressedMap| -> Vec<_> {
        map.stats().codecs.iter().map(|codec| codec.name).filter(|name| *name != "none").collect()
    };
    let map = CompressedMap::builder(1 << 20).policy(Policy::Evict).build();
    assert!(names(&map).contains(&"small-text"), "a map with a policy does not compress");
    let map = CompressedMap::builder(1 << 20).codec(Nibbles).build();
    assert_eq!(names(&map).len(), 1, "the default codecs stay");
    let map = CompressedMap::builder_without_codecs(1 << 20).build();
    assert_eq!(names(&map), [""; 0]);
}

#[test]
fn values_come_back_after_any_move() {
    support::rounds(20, std::time::Duration::from_secs(20), |round| {
        let mut rng = Rng::new(support::seed() + u64::from(round));
        let budget = [32 << 10, 64 << 10, 200 << 10, 1 << 20][rng.below(4)];
        // The index takes its memory from the largest segments.
        let segment = match budget {
            ..=0xFFFF => [1 << 10, 4 << 10][rng.below(2)],
            _ => [1 << 10, 4 << 10, 16 << 10][rng.below(3)],
        };
        let policy = if rng.below(2) == 0 { Policy::Refuse } else { Policy::Evict };
        let map = CompressedMap::builder_without_codecs(budget)
            .codec(Nibbles)
            .policy(policy)
            .segment_bytes(segment)
            .merge(append)
            .build();
        let mut model = HashMap::<Vec<u8>, Vec<u8>>::new();
        let keys = [50, 400, 3000][rng.below(3)];
        let (mut refused, mut stored) = (0, 0);
        for _ in 0..30_000 {
            let key = key(rng.below(keys));
            // An evicted entry is absent, and all others are unchanged.
            let there = map.get(&key).expect("it is whole");
            match (&there, model.get(&key)) {
                (None, Some(_)) if policy == Policy::Evict => drop(model.remove(&key)),
                (there, expected) => assert_eq!(there.as_ref(), expected),
            }
            match rng.below(10) {
                0..4 => {
                    let value = value(&mut rng, 200);
                    match map.insert(&key, &value) {
                        Ok(_) => {
                            stored += 1;
                            model.insert(key, value);
                        }
                        Err(StoreError::BudgetExceeded) => refused += 1,
                        Err(other) => panic!("{other}"),
                    }
                }
                4 => {
                    let removed = map.remove(&key);
                    assert!(removed == model.remove(&key).is_some() || policy == Policy::Evict);
                }
                5 => {
                    let more = value(&mut rng, 8);
                    let done = map.update(&key, |mut value| {
                        value.truncate(100);
                        value.extend_from_slice(&more);
                        Some(value)
                    });
                    if let (Ok(true), Some(value)) = (done, model.get_mut(&key)) {
                        value.truncate(100);
                        value.extend_from_slice(&more);
                    }
                }
                6 if model.get(&key).is_none_or(|value| value.len() < 300) => {
                    let more = value(&mut rng, 8);
                    if map.modify_deferred(&key, &more).is_ok() {
                        if policy == Policy::Evict && !map.contains_key(&key) {
                            continue;
                        }
                        // Making room for the change may have evicted the value.
                        let whole = map.get(&key).expect("it is whole");
                        let value = model.entry(key).or_default();
                        value.extend_from_slice(&more);
                        if policy == Policy::Evict {
                            *value = whole.expect("it was there just now");
                        }
                    }
                }
                7 => drop(map.compress_step(rng.below(4096))),
                _ => {}
            }
            let stats = map.stats();
            assert!(stats.memory_bytes <= budget, "over budget: {stats:?}");
        }
        let stats = map.stats();
        assert!(stored > 0, "all {refused} refused: {stats:?}");
        if policy == Policy::Refuse {
            assert_eq!(map.len(), model.len());
            let whole = |(key, value): (_, Result<_, _>)| (key, value.expect("it is whole"));
            let all: HashMap<_, _> = map.iter().map(whole).collect();
            assert_eq!(all, model);
        }
        map.clear();
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
        let counted = stats.codecs.iter().any(|codec| (codec.records, codec.stored) != (0, 0));
        assert!(!counted, "an empty map counts records: {stats:?}");
    });
}

#[test]
fn values_without_room_are_refused_and_nothing_is_lost() {
    let map = CompressedMap::builder_without_codecs(64 << 10).codec(Nibbles).build();
    let text = |n: usize| format!("{{\"the number\": {n:080}}}").into_bytes();
    let mut there = Vec::new();
    for n in 0.. {
        match map.insert(&key(n), &text(n)) {
            Ok(false) => there.push(n),
            Ok(true) => unreachable!("no key comes twice"),
            Err(error) => {
                assert_eq!(error, StoreError::BudgetExceeded);
                break;
            }
        }
    }
    let stats = map.stats();
    assert!(there.len() > 450, "{} entries: {stats:?}", there.len());
    for &n in &there {
        assert_eq!(map.get(&key(n)), Ok(Some(text(n))));
    }
    // Removals make room, which new entries take.
    for &n in &there[..there.len() / 2] {
        assert!(map.remove(&key(n)));
    }
    let again = (0..there.len() / 3).filter(|&n| map.insert(&key(n), &text(n)).is_ok()).count();
    assert_eq!(again, there.len() / 3, "{:?}", map.stats());
}

#[test]
fn the_longest_value_is_told_and_taken() {
    let map = CompressedMap::builder_without_codecs(1 << 20)
        .segment_bytes(4 << 10)
        .codec(Nibbles)
        .build();
    let Err(StoreError::ValueTooLarge { most }) = map.insert("k", &vec![1; 5000]) else {
        panic!("taken")
    };
    assert!(most > 3000);
    let long = vec![7; most - 1];
    assert_eq!(map.insert("k", &long), Ok(false));
    assert_eq!(map.get("k"), Ok(Some(long.clone())));
    let mut into = vec![0; most];
    assert_eq!(map.get_into("k", &mut into), Ok(Some(most - 1)));
    assert_eq!(into[..most - 1], long);
    let small = map.get_into("k", &mut into[..most - 2]);
    assert_eq!(small, Err(ReadError::BufferTooSmall { need: most - 1 }));
    assert_eq!(map.insert("", ""), Ok(false));
    assert_eq!(map.get(""), Ok(Some(Vec::new())));
}

/// A function that stores and reads has one error.
#[test]
fn errors_of_reads_are_errors_of_writes() {
    fn copied(map: &CompressedMap, from: &str, to: &str) -> Result<bool, StoreError> {
        match map.get(from)? {
            Some(value) => map.insert(to, &value),
            None => Ok(false),
        }
    }
    let map = CompressedMap::with_budget(1 << 20);
    map.insert("rose", "red").unwrap();
    assert_eq!(copied(&map, "rose", "briar"), Ok(false));
    assert_eq!(map.get("briar"), Ok(Some(b"red".to_vec())));
    let of_read: fn(Corrupt) -> ReadError = From::from;
    assert_eq!(of_read(Corrupt::new()), ReadError::Corrupt);
}
