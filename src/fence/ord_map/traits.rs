//! The std traits that `OrdMap` implements.

use super::iter::{OrdIntoIter, OrdIter};
use super::map::OrdMap;
use crate::fence::tree::rank::{ByType, Ranking};
use crate::reclaim::borrowed::Ref;
use core::fmt;

impl<K, V, R: Default> Default for OrdMap<K, V, R> {
    fn default() -> Self {
        Self::with_ranking(R::default())
    }
}

impl<K, V, R> fmt::Debug for OrdMap<K, V, R>
where
    K: Ord + fmt::Debug,
    V: fmt::Debug,
    R: Ranking<K>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pin().iter()).finish()
    }
}

impl<K: Ord + Clone, V: Clone, R: Ranking<K> + Clone> Clone for OrdMap<K, V, R> {
    /// Returns a map of the entries that `iter` sees, with the same collector and the same limit.
    fn clone(&self) -> Self {
        let mut copy = Self::with_ranking(self.ranking().clone());
        copy.set_readers(self.readers());
        copy.set_pending_limit(self.pending_limit());
        copy.extend_shared(self.pin().iter().map(|(key, value)| (key.clone(), value.clone())));
        copy
    }
}

impl<K: Ord + Clone, V, R: Ranking<K> + Default> FromIterator<(K, V)> for OrdMap<K, V, R> {
    /// Aborts if memory runs out, as std's collections do. `try_insert` does not.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let map = Self::default();
        map.extend_shared(entries);
        map
    }
}

impl<K: Ord + Clone, V, const N: usize> From<[(K, V); N]> for OrdMap<K, V, ByType> {
    fn from(entries: [(K, V); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> Extend<(K, V)> for OrdMap<K, V, R> {
    /// Inserts the entries in order, so that of two with the same key the later stays.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> Extend<(K, V)> for &OrdMap<K, V, R> {
    /// As through `&mut OrdMap`.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<'a, K: Copy + Ord, V: Copy, R: Ranking<K>> Extend<(&'a K, &'a V)> for OrdMap<K, V, R> {
    /// As for entries by value.
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend_shared(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K, V, R> IntoIterator for OrdMap<K, V, R> {
    type Item = (K, V);
    type IntoIter = OrdIntoIter<K, V>;

    /// Returns the entries, in key order.
    fn into_iter(self) -> OrdIntoIter<K, V> {
        OrdIntoIter::new(self)
    }
}

impl<'a, K: Ord, V, R: Ranking<K>> IntoIterator for &'a OrdMap<K, V, R> {
    type Item = Ref<'a, K, V>;
    type IntoIter = OrdIter<'a, K, V, R>;

    fn into_iter(self) -> OrdIter<'a, K, V, R> {
        self.iter()
    }
}

impl<K: Ord, V: PartialEq, R: Ranking<K>> PartialEq for OrdMap<K, V, R> {
    /// Returns whether both have equal entries in the same order. If other threads write in the meantime, the answer is
    /// not about a single point in time.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.pin().iter().eq(other.pin().iter())
    }
}

impl<K: Ord, V: Eq, R: Ranking<K>> Eq for OrdMap<K, V, R> {}
