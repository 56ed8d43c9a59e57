//! Feature `serde`. A snapshot is serialized as a map. A writer is deserialized from a map, and publishes the entries.

use super::map::LeftRightMap;
use super::snapshot::Snapshot;
use super::storage::Storage;
use super::writer::WriteHandle;
use crate::api::serde::{Entries, Fill};
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

impl<K: Serialize, V: Serialize, S, P: Storage<K, V>> Serialize for Snapshot<'_, K, V, S, P> {
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
    /// Reads a new map. [`read_handle`](WriteHandle::read_handle) makes the first reader of it.
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
