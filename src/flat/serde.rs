//! Feature `serde`: a map is written as a map, and read as one.

use super::map::FlatMap;
use ::serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use ::serde::ser::{Serialize, Serializer};
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

/// The most entries that are made room for on the word of the input alone.
const TRUSTED: usize = 4096;

impl<K, V, S> Serialize for FlatMap<K, V, S>
where
    K: Copy + Serialize,
    V: Copy + Serialize,
{
    /// Writes the entries that `iter` sees.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Some formats write the number of entries first, and it must be right though others write.
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

struct Entries<M>(PhantomData<M>);

impl<'de, K, V, S> Visitor<'de> for Entries<FlatMap<K, V, S>>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Value = FlatMap<K, V, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let room = entries.size_hint().unwrap_or(0).min(TRUSTED);
        let map = FlatMap::with_capacity_and_hasher(room, S::default());
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}
