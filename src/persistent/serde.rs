//! Feature `serde`: maps are serialized as maps, sets and sequences as sequences.

use super::map::PersistentMap;
use super::set::PersistentSet;
use super::vec::PersistentVec;
use crate::api::serde::{Elements, Entries, Fill};
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use core::marker::PhantomData;

impl<K: Serialize, V: Serialize> Serialize for PersistentMap<K, V> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Ord + Clone + Deserialize<'de>, V: Clone + Deserialize<'de>> Deserialize<'de>
    for PersistentMap<K, V>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K: Ord + Clone + Deserialize<'de>, V: Clone + Deserialize<'de>> Fill<'de>
    for PersistentMap<K, V>
{
    type Key = K;
    type Value = V;

    fn with_room(_: usize) -> Self {
        Self::new()
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        self.insert(key, value);
        Ok(())
    }
}

#[cfg(not(hedgerow_loom))]
impl<K: Serialize, V: Serialize> Serialize for super::SnapshotMap<K, V> {
    /// Serializes the current version.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.snapshot().serialize(serializer)
    }
}

#[cfg(not(hedgerow_loom))]
impl<'de, K: Ord + Clone + Deserialize<'de>, V: Clone + Deserialize<'de>> Deserialize<'de>
    for super::SnapshotMap<K, V>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PersistentMap::deserialize(deserializer).map(Self::from)
    }
}

/// Implements both traits for a collection of elements, which `$put` adds.
macro_rules! serde {
    ($collection:ident, [$($bounds:tt)*], $put:ident) => {
        impl<T: Serialize> Serialize for $collection<T> {
            fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                serializer.collect_seq(self)
            }
        }

        impl<'de, T: $($bounds)* + Deserialize<'de>> Deserialize<'de> for $collection<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_seq(Elements(PhantomData))
            }
        }

        impl<'de, T: $($bounds)* + Deserialize<'de>> Fill<'de> for $collection<T> {
            type Key = T;
            type Value = ();

            fn with_room(_: usize) -> Self {
                Self::new()
            }

            fn put<E: Error>(&mut self, element: T, (): ()) -> Result<(), E> {
                self.$put(element);
                Ok(())
            }
        }
    };
}

serde!(PersistentSet, [Ord + Clone], insert);
serde!(PersistentVec, [Clone], push);
