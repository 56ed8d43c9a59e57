//! `HashMap` and `BytesMap`.

use crate::{ENTRIES, count, count_walk, hits, hits_once, keys, misses};
use hedgerow::flat::FixedHashBuilder;
use hedgerow::{BytesMap, HashMap};

pub(crate) fn all() {
    strings();
    numbers();
    bytes();
}

fn text(key: u64) -> String {
    format!("{key:020}")
}

/// The texts of these keys, for an operation that borrows them.
fn texts(keys: &[u64]) -> Vec<String> {
    keys.iter().map(|&key| text(key)).collect()
}

fn as_strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn strings() {
    let map = HashMap::<String, String, _>::with_hasher(FixedHashBuilder);
    keys().for_each(|key| drop(map.insert(text(key), text(key))));
    let (hit, miss, once) = (texts(&hits()), texts(&misses()), texts(&hits_once()));
    count("HashMap<String, String>::get, hit", &as_strs(&hit), |key| map.get(key).is_some());
    count("HashMap<String, String>::get, miss", &as_strs(&miss), |key| map.get(key).is_some());
    count("HashMap<String, String>::insert, present key", &as_strs(&hit), |key| {
        map.insert(key.to_owned(), key.to_owned()).is_some()
    });
    count("HashMap<String, String>::insert, new key", &as_strs(&miss), |key| {
        map.insert(key.to_owned(), key.to_owned()).is_some()
    });
    count("HashMap<String, String>::update", &as_strs(&hit), |key| {
        map.update(key, Clone::clone).is_some()
    });
    let len = map.len();
    count_walk("HashMap<String, String>::iter, an entry", map.pin().iter(), len);
    count("HashMap<String, String>::remove", &as_strs(&once), |key| map.remove(key).is_some());
}

fn numbers() {
    let map = HashMap::<u64, u64, _>::with_hasher(FixedHashBuilder);
    keys().for_each(|key| drop(map.insert(key, key)));
    let pinned = map.pin();
    count("HashMap<u64, u64>::get, hit, pinned", &hits(), |key| pinned.get(&key));
}

fn bytes() {
    let map = BytesMap::with_hasher(FixedHashBuilder);
    keys().for_each(|key| drop(map.insert(text(key), text(key))));
    let (hit, once) = (texts(&hits()), texts(&hits_once()));
    count("BytesMap::get, hit", &as_strs(&hit), |key| map.get(key).is_some());
    count("BytesMap::insert, present key", &as_strs(&hit), |key| map.insert(key, key).is_some());
    assert_eq!(map.len(), ENTRIES as usize);
    count("BytesMap::remove", &as_strs(&once), |key| map.remove(key).is_some());
}
