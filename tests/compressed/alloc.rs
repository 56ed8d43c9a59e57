//! builds: asan
//!
//! `CompressedMap` reports the bytes that it has allocated, and fails cleanly if an allocation fails.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::StoreError;
use std::cell::RefCell;
use support::alloc::{counted, failing, hooked};
use support::nibbles::Nibbles;

fn text(n: usize) -> Vec<u8> {
    format!("{{\"name\": \"number {n}\", \"rank\": {}, \"kind\": \"number\"}}", n * 7).into_bytes()
}

#[test]
fn bytes_are_those_of_the_allocator() {
    for (budget, count) in [(64 << 10, 100), (64 << 10, 5000), (1 << 20, 3000), (4 << 20, 60_000)] {
        let (map, counts) = counted(|| {
            let map = CompressedMap::builder_without_codecs(budget).codec(Nibbles).build();
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
        // The map counts its own size, too.
        let live = counts.live.unsigned_abs() + size_of_val(&map);
        assert!(stats.memory_bytes <= budget, "{stats:?}");
        let off = stats.memory_bytes.abs_diff(live);
        assert!(off * 20 <= live, "{} said, {live} taken: {stats:?}", stats.memory_bytes);
        let ((), freed) = counted(|| drop(map));
        assert_eq!(freed.live, -counts.live, "not all of it was given back");
    }
}

#[test]
fn a_look_up_allocates_nothing() {
    let map = CompressedMap::builder_without_codecs(64 << 10).codec(Nibbles).build();
    let there = (0..400).filter(|n| map.insert(&n.to_string(), &text(*n)).is_ok()).count();
    let names: Vec<String> = (0..there).map(|n| n.to_string()).collect();
    let (found, counts) = counted(|| {
        let mut into = [0; 128];
        let found = |name: &&String| matches!(map.get_into(name, &mut into), Ok(Some(_)));
        let found = names.iter().filter(found).count();
        found + names.iter().filter(|name| map.contains_key(name)).count()
    });
    assert_eq!(found, 2 * there);
    assert_eq!(counts.allocations, 0, "a lookup allocates");
}

/// If any allocation fails, the map returns an error and keeps its entries.
#[test]
fn no_memory_is_an_error() {
    for spared in 0..60 {
        let map = CompressedMap::builder_without_codecs(256 << 10).segment_bytes(1 << 10).build();
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
            assert_eq!(map.get(&values[index].0), Ok(Some(values[index].1.clone())));
        }
        assert_eq!(map.len(), there.len());
    }
}

type Script = Vec<Box<dyn FnOnce()>>;

thread_local! {
    /// Changes by other threads in the middle of a call: one at each allocation, the last one first.
    static MEANWHILE: RefCell<Script> = const { RefCell::new(Vec::new()) };
}

/// Runs `work`, and the next change of `meanwhile` at each of its allocations. Returns how many changes were left.
fn beside<R>(mut meanwhile: Script, work: impl FnOnce() -> R) -> (R, usize) {
    meanwhile.reverse();
    MEANWHILE.set(meanwhile);
    let hook = || {
        if let Some(next) = MEANWHILE.with_borrow_mut(Vec::pop) {
            next();
        }
    };
    let done = hooked(hook, work);
    (done, MEANWHILE.take().len())
}

/// A stored value so long that a lookup has to allocate, and the changes that may happen during that allocation.
#[test]
fn a_value_may_change_its_length_while_it_is_read() {
    fn put(value: Vec<u8>) -> Box<dyn FnOnce()> {
        Box::new(move || {
            let done = MAP.with(|map| map.insert("key", &value));
            assert_eq!(done, Ok(true));
        })
    }
    thread_local! {
        static MAP: CompressedMap = {
            let append = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
                [value.unwrap_or_default(), &changes.concat()].concat()
            };
            CompressedMap::builder_without_codecs(1 << 20).codec(Nibbles).merge(append).build()
        };
    }
    let long = |n: usize| -> Vec<u8> { text(n).into_iter().cycle().take(6_000).collect() };
    let cold = |value: &[u8]| {
        MAP.with(|map| {
            map.insert("key", value).expect("there is room");
            // Pushes the value out of the hot front. Its compressed form takes more than 1 KiB.
            for n in 0..2_000 {
                map.insert(&n.to_string(), &long(n)).expect("there is room");
                map.remove(&n.to_string());
            }
            let mut codecs = map.stats().codecs.into_iter();
            assert!(codecs.any(|codec| codec.name == "nibbles" && codec.records > 0));
            // Marks the value as read, so that the next read promotes it.
            assert!(map.contains_key("key"));
        });
    };
    MAP.with(|map| {
        assert!(map.train(&[&long(1), &long(2)]));
        // The map has buffers for values of this length later, too.
        map.insert("key", &[7; 12_000]).expect("there is room");
    });
    let read = |len: usize| {
        let mut into = vec![0; len];
        move || {
            let len = MAP.with(|map| map.get_into("key", &mut into));
            len.map(|len| len.map(|len| into[..len].to_vec()))
        }
    };

    // Shorter than before, and than the buffer. The buffer has no room for the value before.
    cold(&long(3));
    let (got, left) = beside(vec![put(b"short".to_vec())], read(100));
    assert_eq!((got, left), (Ok(Some(b"short".to_vec())), 0), "a stale length was believed");

    // The value has become a chain of deferred changes.
    cold(&long(4));
    let defer: Box<dyn FnOnce()> = Box::new(|| {
        MAP.with(|map| {
            map.insert("key", "short").expect("there is room");
            map.modify_deferred("key", "er").expect("there is room");
        });
    });
    let (got, left) = beside(vec![defer], read(100));
    assert_eq!((got, left), (Ok(Some(b"shorter".to_vec())), 0), "a stale length was believed");

    // The value becomes longer, and longer again, before its memory is allocated.
    cold(&long(5));
    let longer: Vec<u8> = long(6).into_iter().cycle().take(12_000).collect();
    let (got, left) = beside(vec![put(longer.clone())], read(12_000));
    assert_eq!((got, left), (Ok(Some(longer)), 0), "a stale length was believed");

    // The value was removed.
    cold(&long(7));
    let remove: Box<dyn FnOnce()> = Box::new(|| assert!(MAP.with(|map| map.remove("key"))));
    assert_eq!(beside(vec![remove], read(100)), (Ok(None), 0));
}
