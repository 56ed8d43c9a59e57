//! `FlatMap` and `FlatTable`.

use crate::{ENTRIES, add_one, count, count_walk, hits, hits_once, keys, misses};
use hedgerow::flat::FixedHashBuilder;
use hedgerow::{FlatMap, FlatTable};

type Map<V> = FlatMap<u64, V, FixedHashBuilder>;

pub(crate) fn all() {
    words();
    growth();
    large_values();
    fixed();
}

fn filled<V: hedgerow::flat::Plain>(value: impl Fn(u64) -> V) -> Map<V> {
    let map = Map::with_hasher(FixedHashBuilder);
    keys().for_each(|key| _ = map.insert(key, value(key)));
    // Growth goes on with each insert, and would be counted with the next operations.
    while map.grow_step(usize::MAX) {}
    map
}

fn words() {
    let map = filled(|key| key);
    count("FlatMap::get, hit", &hits(), |key| map.get(&key));
    count("FlatMap::get, miss", &misses(), |key| map.get(&key));
    let keys = hits();
    let (keys, _) = keys.as_chunks::<16>();
    count("FlatMap::get_many of 16", keys, |keys| {
        let mut values = [None; 16];
        map.get_many(&keys, &mut values);
        values
    });
    count("FlatMap::insert, present key", &hits(), |key| map.insert(key, 1));
    count("FlatMap::update", &hits(), |key| map.update(&key, |value| value + 1));
    count("FlatMap::compute", &hits(), |key| map.compute(key, add_one));
    count_walk("FlatMap::iter, an entry", map.iter(), ENTRIES as usize);
    count("FlatMap::remove", &hits_once(), |key| map.remove(&key));
}

fn growth() {
    let map = Map::with_hasher(FixedHashBuilder);
    let keys: Vec<u64> = keys().collect();
    count("FlatMap::insert, from empty", &keys, |key| map.insert(key, key));
    let map = Map::with_capacity_and_hasher(2 * ENTRIES as usize, FixedHashBuilder);
    count("FlatMap::insert, after reserve", &keys, |key| map.insert(key, key));
}

fn large_values() {
    let map = filled(|key| [key; 32]);
    count("FlatMap::get, 256-byte values", &hits(), |key| map.get(&key));
    count("FlatMap::insert, 256-byte values", &hits(), |key| map.insert(key, [key; 32]));
}

fn fixed() {
    let table = Box::new(FlatTable::<u64, u64, 1024>::new());
    let keys: Vec<u64> = keys().take(2048).collect();
    count("FlatTable::insert", &keys, |key| table.insert(key, key));
    count("FlatTable::get, hit", &keys, |key| table.get(&key));
    count("FlatTable::get, miss", &misses(), |key| table.get(&key));
    count("FlatTable::update", &keys, |key| table.update(&key, |value| value + 1));
    count("FlatTable::remove", &keys, |key| table.remove(&key));
}
