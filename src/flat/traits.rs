//! The traits of std that a map implements.

use super::iter::{IntoIter, Iter};
use super::map::FlatMap;
use crate::api::hasher::DefaultHashBuilder;
use core::fmt;
use core::hash::{BuildHasher, Hash};

impl<K, V, S> Default for FlatMap<K, V, S>
where
    K: Copy,
    V: Copy,
    S: Default,
{
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V, S> fmt::Debug for FlatMap<K, V, S>
where
    K: Copy + fmt::Debug,
    V: Copy + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V, S> Clone for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher + Clone,
{
    /// Returns a map of the entries that `iter` returns.
    fn clone(&self) -> Self {
        let copy = Self::with_capacity_and_hasher(self.len(), self.hasher().clone());
        copy.extend_shared(self.iter());
        copy
    }
}

impl<K, V, S> FromIterator<(K, V)> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher + Default,
{
    /// Does what std's collections do if memory runs out. `try_with_capacity_and_hasher` and `try_insert` return an
    /// error instead.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let map = Self::with_capacity_and_hasher(entries.size_hint().0, S::default());
        map.extend_shared(entries);
        map
    }
}

impl<K, V, const N: usize> From<[(K, V); N]> for FlatMap<K, V, DefaultHashBuilder>
where
    K: Copy + Eq + Hash,
    V: Copy,
{
    fn from(entries: [(K, V); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl<K, V, S> Extend<(K, V)> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Inserts one entry after the other. Of two with the same key the later stays. If memory may run out, call
    /// `try_insert` for each.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<K, V, S> Extend<(K, V)> for &FlatMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Inserts as through `&mut FlatMap`.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<'a, K, V, S> Extend<(&'a K, &'a V)> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Inserts as for entries by value.
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend_shared(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<'a, K: Copy, V: Copy, S> IntoIterator for &'a FlatMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Copy, V: Copy, S> IntoIterator for FlatMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter::new(self.into_table())
    }
}

impl<K, V, S> PartialEq for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy + PartialEq,
    S: BuildHasher,
{
    /// Whether both have equal entries. If other threads write in the meantime, the answer holds for no single point in
    /// time.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(&key) == Some(value))
    }
}

impl<K: Copy + Eq + Hash, V: Copy + Eq, S: BuildHasher> Eq for FlatMap<K, V, S> {}
