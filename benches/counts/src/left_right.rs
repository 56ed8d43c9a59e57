//! `LeftRightMap`.

use crate::{count, hits, hits_once, keys, misses};
use hedgerow::LeftRightMap;
use hedgerow::flat::FixedHashBuilder;

/// Changes between two publishes.
const CHANGES: usize = 100;

pub(crate) fn all() {
    inline();
    boxed();
}

fn inline() {
    let (mut writer, reader) = LeftRightMap::inline_with_hasher(FixedHashBuilder);
    keys().for_each(|key| _ = writer.insert(key, key));
    writer.publish();
    count("LeftRightMap::get_copied, inline, hit", &hits(), |key| reader.get_copied(&key));
    count("LeftRightMap::get_copied, inline, miss", &misses(), |key| reader.get_copied(&key));
    let snapshot = reader.enter();
    count("LeftRightMap::get, inline, of a snapshot", &hits(), |key| snapshot.get(&key).copied());
    drop(snapshot);
    // The first change after growth copies the whole table, which is no part of an operation.
    writer.wait_for_readers();
    count("LeftRightMap::insert, inline, each published", &hits()[..256], |key| {
        writer.insert(key, 1);
        writer.publish();
    });
    writer.publish_every(CHANGES);
    count("LeftRightMap::insert, inline, 100 a publish", &hits(), |key| writer.insert(key, 2));
    let mut batch = writer.batch();
    count("LeftRightMap::batch, inline, 100 a publish", &hits(), |key| {
        batch.insert(key, 3);
    });
    drop(batch);
    count("LeftRightMap::remove, inline, 100 a publish", &hits_once(), |key| writer.remove(&key));
}

fn boxed() {
    let (mut writer, reader) = LeftRightMap::with_hasher(FixedHashBuilder);
    keys().for_each(|key| _ = writer.insert(key, key));
    writer.publish();
    count("LeftRightMap::get_copied, boxed, hit", &hits(), |key| reader.get_copied(&key));
    writer.wait_for_readers();
    count("LeftRightMap::insert, boxed, each published", &hits()[..256], |key| {
        writer.insert(key, 1);
        writer.publish();
    });
    writer.publish_every(CHANGES);
    count("LeftRightMap::insert, boxed, 100 a publish", &hits(), |key| writer.insert(key, 2));
    let mut batch = writer.batch();
    count("LeftRightMap::batch, boxed, 100 a publish", &hits(), |key| {
        batch.insert(key, 3);
    });
    drop(batch);
    count("LeftRightMap::remove, boxed, 100 a publish", &hits_once(), |key| writer.remove(&key));
}
