//! Feature `serde`: a map is serialized as a map, and read as one.

use super::fixed::FlatTable;
use super::map::FlatMap;
use crate::api::serde::{Entries, Fill};
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

impl<K, V, S> Serialize for FlatMap<K, V, S>
where
    K: Copy + Serialize,
    V: Copy + Serialize,
{
    /// Serializes the entries that `iter` returns.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Some formats write the number of entries first, which has to be right even if other threads write meanwhile.
        serializer.collect_map(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, K, V, S> Deserialize<'de> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    S: BuildHasher + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K, V, S> Fill<'de> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Key = K;
    type Value = V;

    fn with_room(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, S::default())
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        self.insert(key, value);
        Ok(())
    }
}

impl<K, V, const BINS: usize, S> Serialize for FlatTable<K, V, BINS, S>
where
    K: Copy + Serialize,
    V: Copy + Serialize,
{
    /// Serializes the entries that `iter` returns.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Collected first, as for a `FlatMap`.
        serializer.collect_map(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, K, V, const BINS: usize, S> Deserialize<'de> for FlatTable<K, V, BINS, S>
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

impl<'de, K, V, const BINS: usize, S> Fill<'de> for FlatTable<K, V, BINS, S>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Key = K;
    type Value = V;

    fn with_room(_: usize) -> Self {
        Self::with_hasher(S::default())
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        self.insert(key, value).map(drop).map_err(|_| E::custom("the table is full"))
    }
}
