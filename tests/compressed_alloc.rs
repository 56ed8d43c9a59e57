//! builds: asan
//!
//! What a `CompressedMap` says that it takes is what it took, and what happens where there is no memory.

mod support;

use hedgerow::CompressedMap;
use hedgerow::compressed::StoreError;
use support::alloc::{Injected, counted, failing};
use support::nibbles::Nibbles;

#[global_allocator]
static ALLOCATOR: Injected = Injected;

fn text(n: usize) -> Vec<u8> {
    format!("{{\"name\": \"number {n}\", \"rank\": {}, \"kind\": \"number\"}}", n * 7).into_bytes()
}

#[test]
fn bytes_are_those_of_the_allocator() {
    for (budget, count) in [(64 << 10, 100), (64 << 10, 5000), (1 << 20, 3000), (4 << 20, 60_000)] {
        let (map, counts) = counted(|| {
            let map = CompressedMap::builder(budget).codec(Nibbles).build();
            for n in 0..count {
                let key = n.to_string();
                let _ = map.insert(&key, &text(n));
                if n % 3 == 0 {
                    map.get_into(&key, &mut [0; 128]).expect("there is room");
                }
            }
            map
        });
        let stats = map.stats();
        // It counts itself, too.
        let live = counts.live.unsigned_abs() + size_of_val(&map);
        assert!(stats.bytes <= budget, "{stats:?}");
        let off = stats.bytes.abs_diff(live);
        assert!(off * 20 <= live, "{} said, {live} taken: {stats:?}", stats.bytes);
        let ((), freed) = counted(|| drop(map));
        assert_eq!(freed.live, -counts.live, "not all of it was given back");
    }
}

#[test]
fn a_look_up_allocates_nothing() {
    let map = CompressedMap::builder(64 << 10).codec(Nibbles).build();
    let there = (0..400).filter(|n| map.insert(&n.to_string(), &text(*n)).is_ok()).count();
    let names: Vec<String> = (0..there).map(|n| n.to_string()).collect();
    let (found, counts) = counted(|| {
        let mut into = [0; 128];
        let found = |name: &&String| matches!(map.get_into(name, &mut into), Ok(Some(_)));
        let found = names.iter().filter(found).count();
        found + names.iter().filter(|name| map.contains_key(name)).count()
    });
    assert_eq!((found, counts.allocations), (2 * there, 0));
}

/// Whatever allocation fails, the map refuses and goes on with what it has.
#[test]
fn no_memory_is_an_error() {
    for spared in 0..60 {
        let map = CompressedMap::builder(256 << 10).segment_bytes(1 << 10).build();
        let mut there = Vec::new();
        let values: Vec<_> = (0..400).map(|n| (n.to_string(), text(n))).collect();
        let mut refused = 0;
        for (index, (key, value)) in values.iter().enumerate() {
            let doomed = if index == spared { 20 } else { 0 };
            let (done, _) = failing(0, doomed, || map.insert(key, value));
            match done {
                Ok(_) => there.push(index),
                Err(StoreError::Alloc | StoreError::BudgetExceeded) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused <= 1, "{refused} refused for want of memory once");
        for &index in &there {
            assert_eq!(map.get(&values[index].0).as_ref(), Some(&values[index].1));
        }
        assert_eq!(map.len(), there.len());
    }
}
