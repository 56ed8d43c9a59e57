//! Feature `serde`: serializes a map as a map, in key order, and deserializes one from a map.

use super::map::OrdMap;
use crate::api::serde::{Entries, Fill};
use crate::fence::tree::rank::Ranking;
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use alloc::vec::Vec;
use core::marker::PhantomData;

impl<K, V, R> Serialize for OrdMap<K, V, R>
where
    K: Ord + Clone + Serialize,
    V: Serialize,
    R: Ranking<K>,
{
    /// Serializes the entries that `iter` sees, under one guard.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Some formats write the number of entries first, so it must be right even if other threads write.
        serializer.collect_map(self.pin().iter().collect::<Vec<_>>())
    }
}

impl<'de, K, V, R> Deserialize<'de> for OrdMap<K, V, R>
where
    K: Ord + Clone + Deserialize<'de>,
    V: Deserialize<'de>,
    R: Ranking<K> + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K, V, R> Fill<'de> for OrdMap<K, V, R>
where
    K: Ord + Clone + Deserialize<'de>,
    V: Deserialize<'de>,
    R: Ranking<K> + Default,
{
    type Key = K;
    type Value = V;

    fn with_room(_: usize) -> Self {
        Self::default()
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        self.insert(key, value);
        Ok(())
    }
}
