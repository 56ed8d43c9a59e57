//! Maps that return references, without slots of threads: each borrowed entry claims a slot.

use crate::HEAP;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included};
use hedgerow::entry::Entry;
use hedgerow::owned::Handle;
use hedgerow::{BytesMap, HashMap, Op, OrdMap};
use semihosting::println;

const KEYS: u32 = 40;

pub fn run() {
    let once = || {
        hashed();
        ordered();
        bytes();
        HEAP.used()
    };
    // The registry of readers keeps its slots' memory.
    let at_rest = once();
    assert_eq!(once(), at_rest, "a map that returns references has lost memory");
    println!("entries are borrowed: {at_rest} bytes at rest");
}

fn hashed() {
    let map: HashMap<u32, String> = (0..KEYS).map(|n| (n, n.to_string())).collect();
    let (seven, mut all) = (map.get(&7).expect("it is there"), map.iter());
    let first = all.next().expect("there are some");
    let number = *first.key();
    map.remove(&7);
    map.insert(number, String::new());
    map.reclaim();
    assert_eq!((seven.as_str(), first.as_str()), ("7", &*number.to_string()));
    // The walk goes on: it meets all others that are still there.
    assert!(all.count() + 2 >= KEYS as usize);
    drop((seven, first));

    map.insert(200, "a".into());
    let grown = map.update(&200, |old| old.clone() + "b").expect("it is there");
    let grow = |old: Option<&String>| old.map_or(Op::Keep, |old| Op::Insert(old.clone() + "c"));
    let done = map.compute(200, grow);
    let before = done.before.expect("it is there");
    assert_eq!((grown.as_str(), before.as_str()), ("ab", "ab"));
    assert_eq!(done.after.expect("it was stored").as_str(), "abc");
    match map.entry(100) {
        Entry::Vacant(entry) => {
            assert_eq!(*entry.insert("100".into()).expect("nobody else is there"), "100");
        }
        Entry::Occupied(_) => unreachable!("it is new"),
    }
    let handle = Handle::new();
    let guard = handle.pin();
    let pinned = map.with_guard(&guard);
    assert_eq!(pinned.try_get(&100), Ok(Some(&"100".into())));
    let odd: Vec<u32> = map.extract_if(|key, _| key % 2 == 1).map(|entry| *entry.key()).collect();
    assert!(odd.iter().all(|key| key % 2 == 1) && pinned.get(&9).is_none());
    let left = map.len();
    assert_eq!((map.drain().count(), map.len()), (left, 0));
}

fn ordered() {
    let map: OrdMap<String, u32> = (0..KEYS).map(|n| (n.to_string(), n)).collect();
    let (range, first) =
        (map.range::<str, _>((Included("1"), Excluded("2"))), map.first_key_value());
    assert_eq!(map.pop_first().map(|entry| *entry), first.as_deref().copied());
    assert_eq!(map.remove_range::<str, _>(..), KEYS as usize - 1);
    map.reclaim();
    let found: Vec<u32> = range.map(|entry| *entry).collect();
    assert_eq!(found, [1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(first.expect("it was there").key(), "0");
}

fn bytes() {
    let map: BytesMap = (0..KEYS).map(|n| (n.to_string(), n.to_le_bytes())).collect();
    let five = map.get("5").expect("it is there");
    map.clear();
    map.reclaim();
    assert_eq!((&*five, map.len(), map.pending()), (&5_u32.to_le_bytes()[..], 0, KEYS as usize));
    drop(five);
    map.reclaim();
    assert_eq!(map.pending(), 0);
}
