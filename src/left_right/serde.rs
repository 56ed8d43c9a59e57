//! Feature `serde`: a snapshot is written as a map, as one published state; a writer, or a table of fixed size, is read
//! as a map, and publishes what it has read.

use super::fixed::{LeftRightTable, TableSnapshot};
use super::keep::Keep;
use super::map::LeftRightMap;
use super::snapshot::Snapshot;
use super::writer::WriteHandle;
use crate::api::serde::{Entries, Fill};
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

impl<K: Serialize, V: Serialize, S, P: Keep<K, V>> Serialize for Snapshot<'_, K, V, S, P> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K, V, S> Deserialize<'de> for WriteHandle<K, V, S>
where
    K: Eq + Hash + Deserialize<'de>,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    /// Reads a new map. [`reader`](WriteHandle::reader) makes the first reader of it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K, V, S> Fill<'de> for WriteHandle<K, V, S>
where
    K: Eq + Hash + Deserialize<'de>,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Key = K;
    type Value = V;

    fn with_room(entries: usize) -> Self {
        let (mut writer, _) = LeftRightMap::with_hasher(S::default());
        writer.reserve(entries);
        writer
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        self.insert(key, value);
        Ok(())
    }

    fn finish(&mut self) {
        self.publish();
    }
}

impl<K, V, const BUCKETS: usize, S> Serialize for TableSnapshot<'_, K, V, BUCKETS, S>
where
    K: Copy + Serialize,
    V: Copy + Serialize,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K, V, const BUCKETS: usize, const READERS: usize, S> Deserialize<'de>
    for LeftRightTable<K, V, BUCKETS, READERS, S>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    S: BuildHasher + Default,
{
    /// Fails if there is no room for an entry.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K, V, const BUCKETS: usize, const READERS: usize, S> Fill<'de>
    for LeftRightTable<K, V, BUCKETS, READERS, S>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Key = K;
    type Value = V;

    fn with_room(_: usize) -> Self {
        Self::default()
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        let stored = self.writer().and_then(|mut writer| writer.insert(key, value).ok());
        stored.map(drop).ok_or_else(|| E::custom("the table is full"))
    }

    fn finish(&mut self) {
        if let Some(mut writer) = self.writer() {
            writer.publish();
        }
    }
}
