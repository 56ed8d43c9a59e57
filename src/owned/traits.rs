//! The traits of std that `HashMap` and `BytesMap` implement.

use super::bytes_iter::{BytesIntoIter, BytesIter};
use super::bytes_map::BytesMap;
use super::iter::{IntoIter, Iter};
use super::map::HashMap;
use crate::api::hasher::DefaultHashBuilder;
use crate::reclaim::borrowed::Ref;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

impl<K, V, S: Default> Default for HashMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for HashMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pin().iter()).finish()
    }
}

impl<K, V, S> Clone for HashMap<K, V, S>
where
    K: Clone + Eq + Hash,
    V: Clone,
    S: BuildHasher + Clone,
{
    /// Returns a map with clones of the entries that `iter` returns, and with the same collector and the same limit of
    /// pending entries.
    fn clone(&self) -> Self {
        let mut copy = Self::with_capacity_and_hasher(self.len(), self.hasher().clone());
        copy.set_readers(self.readers());
        copy.set_pending_limit(self.pending_limit());
        copy.extend_shared(self.pin().iter().map(|(key, value)| (key.clone(), value.clone())));
        copy
    }
}

impl<K, V, S> FromIterator<(K, V)> for HashMap<K, V, S>
where
    K: Eq + Hash,
    S: BuildHasher + Default,
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let map = Self::with_capacity_and_hasher(entries.size_hint().0, S::default());
        map.extend_shared(entries);
        map
    }
}

impl<K: Eq + Hash, V, const N: usize> From<[(K, V); N]> for HashMap<K, V, DefaultHashBuilder> {
    fn from(entries: [(K, V); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for HashMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for &HashMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<'a, K, V, S> Extend<(&'a K, &'a V)> for HashMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend_shared(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K, V, S> IntoIterator for HashMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter::new(self.inner.into_nodes())
    }
}

impl<'a, K, V, S> IntoIterator for &'a HashMap<K, V, S> {
    type Item = Ref<'a, K, V>;
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K, V, S> PartialEq for HashMap<K, V, S>
where
    K: Eq + Hash,
    V: PartialEq,
    S: BuildHasher,
{
    /// Returns `true` if both maps have equal entries. If other threads write in the meantime, the result does not
    /// describe a single point in time.
    fn eq(&self, other: &Self) -> bool {
        let (these, those) = (self.pin(), other.pin());
        self.len() == other.len() && these.iter().all(|(key, value)| those.get(key) == Some(value))
    }
}

impl<K: Eq + Hash, V: Eq, S: BuildHasher> Eq for HashMap<K, V, S> {}

impl<S: Default> Default for BytesMap<S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<S> fmt::Debug for BytesMap<S> {
    /// Formats keys and values as text, and escapes bytes that are not printable ASCII.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Text<'a>(&'a [u8]);
        impl fmt::Debug for Text<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.0.escape_ascii())
            }
        }
        let map = self.pin();
        f.debug_map().entries(map.iter().map(|(k, v)| (Text(k), Text(v)))).finish()
    }
}

impl<S: BuildHasher, K: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(K, V)> for BytesMap<S> {
    /// Stores copies of the entries, as [`insert`](BytesMap::insert) does.
    ///
    /// # Panics
    /// If a key or a value is longer than `u32::MAX` bytes. The entries before it are stored.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<S: BuildHasher, K: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(K, V)> for &BytesMap<S> {
    /// Stores copies of the entries, as [`insert`](BytesMap::insert) does.
    ///
    /// # Panics
    /// If a key or a value is longer than `u32::MAX` bytes. The entries before it are stored.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<S, K, V> FromIterator<(K, V)> for BytesMap<S>
where
    S: BuildHasher + Default,
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    /// Creates a map with copies of the entries.
    ///
    /// # Panics
    /// If a key or a value is longer than `u32::MAX` bytes.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut map = Self::with_capacity_and_hasher(entries.size_hint().0, S::default());
        map.extend(entries);
        map
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, const N: usize> From<[(K, V); N]> for BytesMap {
    /// Creates a map with copies of the entries.
    ///
    /// # Panics
    /// If a key or a value is longer than `u32::MAX` bytes.
    fn from(entries: [(K, V); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl<'a, S> IntoIterator for &'a BytesMap<S> {
    type Item = Ref<'a, [u8], [u8]>;
    type IntoIter = BytesIter<'a>;

    fn into_iter(self) -> BytesIter<'a> {
        self.iter()
    }
}

impl<S> IntoIterator for BytesMap<S> {
    type Item = (Vec<u8>, Vec<u8>);
    type IntoIter = BytesIntoIter;

    fn into_iter(self) -> BytesIntoIter {
        BytesIntoIter::new(self.inner.into_nodes())
    }
}

impl<S: BuildHasher> PartialEq for BytesMap<S> {
    /// Returns `true` if both maps have equal entries. If other threads write in the meantime, the result does not
    /// describe a single point in time.
    fn eq(&self, other: &Self) -> bool {
        let (these, those) = (self.pin(), other.pin());
        self.len() == other.len() && these.iter().all(|(key, value)| those.get(key) == Some(value))
    }
}

impl<S: BuildHasher> Eq for BytesMap<S> {}

impl<S: BuildHasher + Clone> Clone for BytesMap<S> {
    /// Returns a map with clones of the entries that `iter` returns, and with the same collector and the same limit of
    /// pending entries.
    fn clone(&self) -> Self {
        let mut copy = Self::with_hasher(self.hasher().clone());
        copy.set_readers(self.readers());
        copy.set_pending_limit(self.pending_limit());
        copy.reserve(self.len());
        copy.extend(self.pin().iter());
        copy
    }
}
