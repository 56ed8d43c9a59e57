//! Feature `serde`: a map is written as a map, in key order, and read as one.

use super::super::rank::Ranking;
use super::map::OrdMap;
use ::serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use ::serde::ser::{Serialize, Serializer};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

impl<K, V, R> Serialize for OrdMap<K, V, R>
where
    K: Ord + Clone + Serialize,
    V: Serialize,
    R: Ranking<K>,
{
    /// Writes the entries that `iter` sees, under one guard.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Some formats write the number of entries first, and it must be right though others write.
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

struct Entries<M>(PhantomData<M>);

impl<'de, K, V, R> Visitor<'de> for Entries<OrdMap<K, V, R>>
where
    K: Ord + Clone + Deserialize<'de>,
    V: Deserialize<'de>,
    R: Ranking<K> + Default,
{
    type Value = OrdMap<K, V, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let map = OrdMap::default();
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}
