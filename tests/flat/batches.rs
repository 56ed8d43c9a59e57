//! builds: tsan
//!
//! Batches, cursors, and the operations on one entry that are built on `compute`.

use crate::support;

use hedgerow::FlatMap;
use hedgerow::entry::Entry;
use hedgerow::flat::Cursor;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::{ignore, joined_scope, message, seed};

type Map = FlatMap<u64, u64, Mapped>;

/// Batches of every length, in maps that grow meanwhile, do what one operation after the other does.
#[test]
fn batches_equal_their_elements_in_order() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        let (map, mut model) = (Map::with_hasher(hasher), HashMap::new());
        let mut rng = Rng::new(seed());
        for _ in 0..400 {
            let len = rng.below(40);
            let keys: Vec<u64> = (0..len).map(|_| rng.next() % 700).collect();
            let mut answers = vec![Some(1 << 40); len];
            let expected: Vec<Option<u64>> = match rng.below(4) {
                0 | 1 => {
                    let entries: Vec<_> = keys.iter().map(|&key| (key, rng.next())).collect();
                    map.insert_many(&entries, &mut answers);
                    entries.into_iter().map(|(key, value)| model.insert(key, value)).collect()
                }
                2 => {
                    map.remove_many(&keys, &mut answers);
                    keys.iter().map(|key| model.remove(key)).collect()
                }
                _ => {
                    map.get_many(&keys, &mut answers);
                    let each: Vec<_> = map.get_each(keys.iter().copied()).collect();
                    assert!(each.iter().map(|&(key, _)| key).eq(keys.iter().copied()));
                    assert!(each.iter().map(|&(_, value)| value).eq(answers.iter().copied()));
                    keys.iter().map(|key| model.get(key).copied()).collect()
                }
            };
            assert_eq!(answers, expected);
            assert_eq!(map.len(), model.len());
        }
    }
}

#[test]
fn batches_of_no_keys_and_in_empty_maps() {
    let map = FlatMap::<u64, u64>::new();
    map.get_many::<u64>(&[], &mut []);
    map.insert_many(&[], &mut []);
    map.remove_many::<u64>(&[], &mut []);
    let mut answers = [Some(1); 20];
    map.get_many(&[3; 20], &mut answers);
    assert_eq!(answers, [None; 20]);
    answers = [Some(1); 20];
    map.remove_many(&[3; 20], &mut answers);
    assert_eq!(answers, [None; 20]);
    assert_eq!(map.get_each([1, 2]).collect::<Vec<_>>(), [(1, None), (2, None)]);
    assert_eq!(map.get_each([1, 2]).size_hint(), (2, Some(2)));
    assert_eq!(map.stats().memory_bytes, 0, "lookups allocate nothing");
    map.insert_many(&[(7, 1), (7, 2)], &mut answers[..2]);
    assert_eq!((answers[..2].to_vec(), map.get(&7)), (vec![None, Some(1)], Some(2)));
}

#[test]
fn a_batch_without_room_for_its_answers_is_refused_and_does_nothing() {
    let map = FlatMap::<u64, u64>::new();
    let refused = |work: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it is not refused");
        assert!(message(&*panic).contains("room for"));
    };
    refused(&|| map.get_many(&[1, 2], &mut [None]));
    refused(&|| map.insert_many(&[(1, 1)], &mut [None; 2]));
    refused(&|| map.remove_many(&[1], &mut []));
    assert!(map.is_empty());
}

/// Every batch finds the keys that stay, with whole values, while the table grows and other threads write.
#[test]
fn batches_find_lasting_keys_through_growth() {
    let map = FlatMap::<u64, [u64; 3]>::new();
    (0..500).for_each(|key| ignore(map.insert(key, [key; 3])));
    let end = 1_000 + support::effort(2_000) * 50;
    let done = AtomicBool::new(false);
    joined_scope(|scope| {
        let (map, done) = (&map, &done);
        scope.spawn(move || {
            let mut before = [None; 50];
            for base in (1_000..end).step_by(50) {
                let entries: Vec<_> = (base..base + 50).map(|key| (key, [key; 3])).collect();
                map.insert_many(&entries, &mut before);
                assert_eq!(before, [None; 50]);
                let again: Vec<_> = (0..50).map(|key| (key, [base; 3])).collect();
                map.insert_many(&again, &mut before);
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(move || {
            let (keys, mut values) = ((0..500).collect::<Vec<u64>>(), vec![None; 500]);
            while !done.load(Ordering::Acquire) {
                map.get_many(&keys, &mut values);
                for (key, value) in keys.iter().zip(&values) {
                    let value = value.expect("a key that stayed was missed");
                    assert_eq!(value, [value[0]; 3], "torn");
                    assert!(value[0] == *key || *key < 50);
                }
            }
        });
    });
    assert_eq!(map.len() as u64, 500 + end - 1_000);
}

/// A scan is interrupted and continued with every budget, while the map grows a hundredfold.
#[test]
fn a_scan_meets_lasting_keys_exactly_once_through_growth() {
    for budget in [0, 1, 7, 100, usize::MAX] {
        let map: FlatMap<u64, u64> = (0..1_000).map(|key| (key, key)).collect();
        let (mut met, mut place, mut fresh) = (vec![0; 1_000], Some(Cursor::default()), 1_000);
        while let Some(cursor) = place {
            let stored = cursor.to_bits();
            place = map.scan(Cursor::from_bits(stored), budget, |key, value| {
                assert_eq!(key, value);
                if let Some(times) = met.get_mut(key as usize) {
                    *times += 1;
                }
            });
            assert!(place != Some(cursor), "a scan goes forward");
            for _ in 0..if fresh < 100_000 { 300 } else { 0 } {
                map.insert(fresh, fresh);
                fresh += 1;
            }
        }
        assert_eq!(met, [1; 1_000], "with budget {budget}");
    }
}

#[test]
fn a_scan_from_anywhere_ends() {
    let map: FlatMap<u64, u64> = (0..5_000).map(|key| (key, key)).collect();
    let mut rng = Rng::new(seed());
    for bits in [0, 1, u64::MAX, 1 << 63].into_iter().chain((0..100).map(|_| rng.next())) {
        let (mut place, mut seen) = (Some(Cursor::from_bits(bits)), Vec::new());
        while let Some(cursor) = place {
            place = map.scan(cursor, 10, |key, _| seen.push(key));
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all, "a key was shown twice");
        assert!(bits != 0 || all == 5_000);
    }
    assert_eq!(FlatMap::<u64, u64>::new().scan(Cursor::default(), 1, |_, _| {}), None);
}

/// Threads that count with any of these operations lose no step.
#[test]
fn counting_by_any_operation_loses_nothing() {
    let map = FlatMap::<&str, u64>::new();
    joined_scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..5_000 {
                    map.entry("entry").and_modify(|count| *count += 1).or_insert(1);
                    if map.entry("inserted").or_insert_with(|| n) != n {
                        map.update("inserted", |count| count);
                    }
                    while map.fetch_update("fetched", |count| Some(count + 1)).is_err() {
                        map.entry("fetched").or_default();
                    }
                    let mut current = map.get("exchanged");
                    let next = |current: Option<u64>| Some(current.unwrap_or(0) + 1);
                    while let Err(found) = map.compare_exchange("exchanged", current, next(current))
                    {
                        current = found;
                    }
                }
            });
        }
    });
    let counts = ["entry", "fetched", "exchanged"].map(|key| map.get(key));
    assert_eq!(counts, [Some(10_000); 3]);
}

/// Operations that insert only absent keys leave present ones alone.
#[test]
fn or_insert_writes_only_where_there_is_nothing() {
    let map: FlatMap<u64, u64> = [(1, 1)].into();
    assert_eq!(map.entry(1).or_insert_with(|| unreachable!()), 1);
    assert!(matches!(map.entry(1), Entry::Occupied(entry) if *entry.get() == 1));
    assert!(matches!(map.entry(2), Entry::Vacant(_)));
    let mut asked = 0;
    let made = map.entry(2).and_modify(|_| unreachable!()).or_insert_with_key(|key| {
        asked += 1;
        key * 10
    });
    assert_eq!((made, asked, map.get(&2)), (20, 1, Some(20)));
    drop(map.entry(1).and_modify(|_| unreachable!("the chain has no end")));
    assert_eq!(map.len(), 2);
    assert_eq!(map.compare_exchange(3, None, None), Ok(None));
    assert_eq!(map.compare_exchange(1, None, Some(5)), Err(Some(1)));
    assert_eq!(map.get(&1), Some(1), "an exchange that was refused stored its value");
}
