//! Feature `serde`. A snapshot is serialized as a map. A table is deserialized from a map, and publishes the entries.

use super::reader::TableSnapshot;
use super::table::LeftRightTable;
use crate::api::serde::{Entries, Fill};
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

impl<K, V, const BINS: usize, S> Serialize for TableSnapshot<'_, K, V, BINS, S>
where
    K: Copy + Serialize,
    V: Copy + Serialize,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K, V, const BINS: usize, const READERS: usize, S> Deserialize<'de>
    for LeftRightTable<K, V, BINS, READERS, S>
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

impl<'de, K, V, const BINS: usize, const READERS: usize, S> Fill<'de>
    for LeftRightTable<K, V, BINS, READERS, S>
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
