//! Feature `serde`: serializes a map as a map, in key order, and deserializes one from a map.

use super::fence_map::FenceMap;
use crate::api::serde::{Entries, Fill};
use crate::fence::tree::rank::Ranking;
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use alloc::vec::Vec;
use core::marker::PhantomData;

impl<K, V, R> Serialize for FenceMap<K, V, R>
where
    K: Copy + Ord + Serialize,
    V: Copy + Serialize,
    R: Ranking<K>,
{
    /// Serializes the entries that `iter` sees.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Some formats write the number of entries first, so it must be right even if other threads write.
        serializer.collect_map(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, K, V, R> Deserialize<'de> for FenceMap<K, V, R>
where
    K: Copy + Ord + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    R: Ranking<K> + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K, V, R> Fill<'de> for FenceMap<K, V, R>
where
    K: Copy + Ord + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
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
