//! `FenceMap` and `OrdMap`.

use crate::{ENTRIES, add_one, count, count_walk, hits, hits_once, keys, misses};
use hedgerow::{FenceMap, OrdMap};

/// Entries in a range.
const RANGE: usize = 100;

pub(crate) fn all() {
    words();
    strings();
}

fn words() {
    let map = FenceMap::<u64, u64>::new();
    let all: Vec<u64> = keys().collect();
    count("FenceMap::insert, from empty", &all, |key| map.insert(key, key));
    count("FenceMap::get, hit", &hits(), |key| map.get(&key));
    count("FenceMap::get, miss", &misses(), |key| map.get(&key));
    count("FenceMap::insert, present key", &hits(), |key| map.insert(key, 1));
    count("FenceMap::compute", &hits(), |key| map.compute(key, add_one));
    count("FenceMap::ceiling", &misses(), |key| map.ceiling(&key));
    let mut into = Vec::with_capacity(2 * RANGE);
    let width = u64::MAX / ENTRIES * RANGE as u64;
    count("FenceMap::range_into, about 100 entries", &hits()[..64], |key| {
        into.clear();
        map.range_into(key..key.saturating_add(width), &mut into);
        into.len()
    });
    count_walk("FenceMap::iter, an entry", map.iter(), ENTRIES as usize);
    count("FenceMap::remove", &hits_once(), |key| map.remove(&key));
    let map = FenceMap::<u64, u64>::new();
    let ascending: Vec<u64> = (0..ENTRIES).collect();
    count("FenceMap::insert, ascending keys", &ascending, |key| map.insert(key, key));
}

fn strings() {
    let text = |key: u64| format!("{key:020}");
    let map = OrdMap::<String, String>::new();
    keys().for_each(|key| drop(map.insert(text(key), text(key))));
    let texts = |keys: Vec<u64>| keys.into_iter().map(text).collect::<Vec<_>>();
    let (hit, miss) = (texts(hits()), texts(misses()));
    let strs = |texts: &'static [String]| texts.iter().map(String::as_str).collect::<Vec<_>>();
    // Left to the end of the program.
    let (hit, miss) = (strs(hit.leak()), strs(miss.leak()));
    count("OrdMap<String, String>::get, hit", &hit, |key| map.get(key).is_some());
    count("OrdMap<String, String>::insert, present key", &hit, |key| {
        map.insert(key.to_owned(), key.to_owned()).is_some()
    });
    count("OrdMap<String, String>::insert, new key", &miss, |key| {
        map.insert(key.to_owned(), key.to_owned()).is_some()
    });
    count("OrdMap<String, String>::remove", &miss, |key| map.remove(key).is_some());
}
