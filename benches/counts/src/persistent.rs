//! `PersistentMap`, `PersistentVec` and `SnapshotMap`.

use crate::{ENTRIES, count, count_walk, hits, hits_once, keys, misses};
use hedgerow::{PersistentMap, PersistentVec, SnapshotMap};

pub(crate) fn all() {
    maps();
    sequences();
    snapshots();
}

fn maps() {
    let mut map = PersistentMap::<u64, u64>::new();
    let all: Vec<u64> = keys().collect();
    count("PersistentMap::insert, from empty", &all, |key| map.insert(key, key));
    count("PersistentMap::get, hit", &hits(), |key| map.get(&key).copied());
    count("PersistentMap::get, miss", &misses(), |key| map.get(&key).copied());
    count("PersistentMap::insert, present key", &hits(), |key| map.insert(key, 1));
    count("PersistentMap::clone, and its drop", &hits(), |_| map.clone());
    // Each insertion copies a path, because the version before it is kept; and drops the version before that.
    let mut kept = map.clone();
    count("PersistentMap::insert, present key, each version kept", &hits(), |key| {
        map.insert(key, 2);
        kept.clone_from(&map);
    });
    drop(kept);
    count_walk("PersistentMap::iter, an entry", map.iter(), ENTRIES as usize);
    count("PersistentMap::remove", &hits_once(), |key| map.remove(&key));
}

fn sequences() {
    let mut sequence = PersistentVec::<u64>::new();
    let all: Vec<u64> = keys().collect();
    count("PersistentVec::push", &all, |key| sequence.push(key));
    let indices: Vec<usize> = hits().into_iter().map(|key| (key % ENTRIES) as usize).collect();
    count("PersistentVec::get", &indices, |index| sequence.get(index).copied());
    count("PersistentVec::insert", &indices, |index| sequence.insert(index, 1));
    count("PersistentVec::split_off, then append", &indices[..256], |index| {
        let mut rest = sequence.split_off(index);
        sequence.append(&mut rest);
    });
}

fn snapshots() {
    let map: SnapshotMap<u64, u64> = keys().map(|key| (key, key)).collect();
    count("SnapshotMap::get_cloned, hit", &hits(), |key| map.get_cloned(&key));
    count("SnapshotMap::insert, present key", &hits(), |key| map.insert(key, 1));
    count("SnapshotMap::insert, new key", &misses(), |key| map.insert(key, 1));
    count("SnapshotMap::snapshot, and its drop", &hits(), |_| map.snapshot());
    let keys = hits();
    let (keys, _) = keys.as_chunks::<16>();
    count("SnapshotMap::write of 16, present keys", keys, |keys| {
        map.write(|map| keys.iter().for_each(|&key| _ = map.insert(key, 2)));
    });
}
