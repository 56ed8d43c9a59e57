//! builds: portable
//!
//! The features `serde` and `rayon` of the maps of owned data.

use crate::support;

use hedgerow::owned::pin;
use hedgerow::{BytesMap, HashMap, OrdMap};
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer};
use std::collections::HashMap as StdMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::alloc::counted;

type Map = HashMap<String, Vec<u64>>;

fn entry(n: u64) -> (String, Vec<u64>) {
    (n.to_string(), vec![n; n as usize % 5])
}

#[test]
fn a_map_is_written_and_read_as_a_map() {
    let map: Map = (0..1_000).map(entry).collect();
    let text = serde_json::to_string(&map).expect("a map can be written");
    let model: StdMap<String, Vec<u64>> = serde_json::from_str(&text).expect("it is a map");
    assert!(model.len() == 1_000 && (0..1_000).map(entry).all(|(k, v)| model[&k] == v));
    let back: Map = serde_json::from_str(&text).expect("a map can be read");
    let guard = pin();
    assert_eq!(back.len(), 1_000);
    assert!(back.with_guard(&guard).iter().all(|(key, value)| &model[key] == value));
    let none: Map = serde_json::from_str("{}").expect("an empty one too");
    assert!(none.is_empty());
    let twice: Map = serde_json::from_str("{\"a\": [1], \"a\": [2]}").expect("the last one stays");
    assert_eq!(twice.get_cloned("a"), Some(vec![2]));
    assert!(serde_json::from_str::<Map>("[1, 2]").is_err());
    assert!(serde_json::from_str::<Map>("{\"1\": \"x\"}").is_err());
}

#[test]
fn an_ordered_map_is_written_in_order() {
    let map: OrdMap<String, u32> = [("b".into(), 2), ("a".into(), 1)].into();
    let text = serde_json::to_string(&map).expect("a map can be written");
    assert_eq!(text, r#"{"a":1,"b":2}"#);
    let back: OrdMap<String, u32> = serde_json::from_str(&text).expect("a map can be read");
    assert!(back.into_iter().eq(map));
    assert!(serde_json::from_str::<OrdMap<String, u32>>("[1, 2]").is_err());
}

/// Strings of all kinds. Some are not valid UTF-8.
fn strings(but_text: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = |n: u32| (n.to_string().into(), "ß\n\"".repeat(n as usize % 7).into());
    let bytes = |n: u32| (n.to_le_bytes().into(), vec![n as u8 | 0x80; n as usize * 20]);
    let mut all: Vec<_> = (0..300).map(text).collect();
    all.push((Vec::new(), Vec::new()));
    if !but_text {
        all.extend((0..300).map(bytes));
    }
    all
}

fn same(map: &BytesMap, entries: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let guard = pin();
    let held = |(key, value): &(Vec<u8>, Vec<u8>)| map.with_guard(&guard).get(key) == Some(value);
    map.len() == entries.len() && entries.iter().all(held)
}

#[test]
fn strings_are_text_in_readable_formats_and_bytes_in_others() {
    let entries = strings(true);
    let map: BytesMap = entries.iter().map(|(k, v)| (k, v)).collect();
    let text = serde_json::to_string(&map).expect("a map can be written");
    let model: StdMap<String, String> = serde_json::from_str(&text).expect("it is text");
    assert!(entries.iter().all(|(k, v)| model[str::from_utf8(k).unwrap()].as_bytes() == v));
    assert!(same(&serde_json::from_str(&text).expect("it can be read"), &entries));
    // A reader offers no bytes to borrow, so the map must copy them.
    assert!(same(&serde_json::from_reader(text.as_bytes()).expect("it can be read"), &entries));

    let list: BytesMap =
        serde_json::from_str("{\"a\": [0, 255]}").expect("bytes, where JSON has none");
    assert!(same(&list, &[(b"a".into(), vec![0, 255])]));
    assert!(same(
        &serde_json::from_str(&serde_json::to_string(&list).expect("written as a list")).unwrap(),
        &[(b"a".into(), vec![0, 255])]
    ));
    assert!(serde_json::to_string(&BytesMap::from([([0xff], "no text, and a key")])).is_err());
    assert!(serde_json::from_str::<BytesMap>("{\"a\": [256]}").is_err());
    assert!(serde_json::from_str::<BytesMap>("{\"a\": {}}").is_err());

    let entries = strings(false);
    let map: BytesMap = entries.iter().map(|(k, v)| (k, v)).collect();
    let mut binary = Vec::new();
    ciborium::into_writer(&map, &mut binary).expect("a map can be written");
    let back: BytesMap = ciborium::from_reader(&*binary).expect("a map can be read");
    assert!(same(&back, &entries));
}

/// An iterator over one entry whose size hint is `usize::MAX`.
struct Boastful<T>(Option<T>);

impl<T> Iterator for Boastful<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.take()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, Some(usize::MAX))
    }
}

#[test]
fn a_hint_is_not_believed() {
    let ((), counts) = counted(|| {
        let input = MapDeserializer::<_, Error>::new(Boastful(Some((1_u64, 2_u64))));
        let map = HashMap::<u64, u64>::deserialize(input).expect("one entry");
        assert_eq!((map.len(), map.get_cloned(&1)), (1, Some(2)));
        assert!(map.stats().memory_bytes < 100_000, "a hint is believed");
        let input = MapDeserializer::<_, Error>::new(Boastful(Some(("rose", "red"))));
        let map = BytesMap::<hedgerow::owned::DefaultHashBuilder>::deserialize(input);
        let map = map.expect("one entry");
        assert!(
            same(&map, &[(b"rose".into(), b"red".into())]) && map.stats().memory_bytes < 100_000
        );
    });
    assert_eq!(counts.failures, 0, "a hint led to an allocation");
}

#[test]
fn all_cores_fill_a_map_and_walk_over_it() {
    for count in [0, 1, 5, 100, 50_000] {
        let map: HashMap<u64, String> =
            (0..count).into_par_iter().map(|n| (n, n.to_string())).collect();
        let strings: BytesMap =
            (0..count).into_par_iter().map(|n| (n.to_string(), n.to_le_bytes())).collect();
        assert_eq!((map.len() as u64, strings.len() as u64), (count, count));
        let guard = pin();
        let pinned = map.with_guard(&guard);
        let mut entries: Vec<(&u64, &String)> = pinned.par_iter().collect();
        entries.sort_unstable();
        let right =
            |(n, (key, value)): (u64, &(&u64, &String))| *key == &n && **value == n.to_string();
        assert!(entries.len() as u64 == count && (0..).zip(&entries).all(right));
        let mut numbers: Vec<u64> = strings
            .with_guard(&guard)
            .par_iter()
            .map(|(key, value)| {
                let n = u64::from_le_bytes(value.try_into().expect("eight bytes"));
                assert_eq!(key, n.to_string().as_bytes());
                n
            })
            .collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..count));
        let last = pinned.par_iter().find_any(|(key, _)| *key + 1 == count);
        assert_eq!(last.is_some(), count > 0);
    }
    let mut map: HashMap<u64, u64> = HashMap::with_capacity(10_000);
    map.par_extend((0..10_000).into_par_iter().map(|n| (n % 5_000, 7)));
    assert_eq!(map.pin().par_iter().map(|(_, value)| *value).sum::<u64>(), 35_000);
}

/// A value that counts the living values, and records whether it is alive itself.
struct Mortal<'a>(u64, bool, &'a AtomicUsize);

impl<'a> Mortal<'a> {
    fn new(n: u64, alive: &'a AtomicUsize) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(n, true, alive)
    }
}

impl Drop for Mortal<'_> {
    fn drop(&mut self) {
        self.1 = false;
        self.2.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All threads together visit each lasting key exactly once while the map grows. The visited entries stay alive as long
/// as the guard of the thread that started the walk, also while other threads replace entries and reclaim garbage.
#[test]
fn a_parallel_walk_visits_lasting_keys_once_and_keeps_their_entries_alive() {
    for lasting in [3, 30, 1_000] {
        let alive = AtomicUsize::new(0);
        let map: HashMap<u64, Mortal<'_>> =
            (0..lasting).map(|n| (n, Mortal::new(n, &alive))).collect();
        let done = AtomicBool::new(false);
        let walk = || {
            let pinned = map.pin();
            let mut met: Vec<(u64, &Mortal<'_>)> = pinned
                .par_iter()
                .map(|(key, value)| (*key, value))
                .filter(|&(key, _)| key < lasting)
                .collect();
            met.sort_unstable_by_key(|&(key, _)| key);
            map.reclaim();
            assert!(met.iter().all(|(key, value)| value.1 && value.0 % lasting == *key));
            assert!(met.into_iter().map(|(key, _)| key).eq(0..lasting));
        };
        // Without a writer first: the fewer bins there are, the likelier a split in the middle of the table.
        walk();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for key in lasting..50_000 {
                    map.insert(key, Mortal::new(key, &alive));
                    map.insert(key % lasting, Mortal::new(key, &alive));
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                walk();
            }
        });
        drop(map);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}
