//! The std traits that `FenceMap` implements.

use super::fence_map::FenceMap;
use super::iter::{Iter, Range};
use crate::fence::tree::rank::{ByType, Ranking};
use core::fmt;

impl<K: Copy, V: Copy, R: Default> Default for FenceMap<K, V, R> {
    fn default() -> Self {
        Self::with_ranking(R::default())
    }
}

impl<K, V, R> fmt::Debug for FenceMap<K, V, R>
where
    K: Copy + Ord + fmt::Debug,
    V: Copy + fmt::Debug,
    R: Ranking<K>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K> + Clone> Clone for FenceMap<K, V, R> {
    /// Returns a map of the entries that `iter` sees.
    fn clone(&self) -> Self {
        let copy = Self::with_ranking(self.ranking().clone());
        copy.extend_shared(self.iter());
        copy
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K> + Default> FromIterator<(K, V)> for FenceMap<K, V, R> {
    /// Aborts if memory runs out, as std's collections do. `try_insert` does not.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let map = Self::default();
        map.extend_shared(entries);
        map
    }
}

impl<K: Copy + Ord, V: Copy, const N: usize> From<[(K, V); N]> for FenceMap<K, V, ByType> {
    fn from(entries: [(K, V); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Extend<(K, V)> for FenceMap<K, V, R> {
    /// Inserts the entries in order, so that of two with the same key the later stays. Aborts if memory runs out.
    /// `try_insert` does not.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Extend<(K, V)> for &FenceMap<K, V, R> {
    /// As through `&mut FenceMap`.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.extend_shared(entries);
    }
}

impl<'a, K: Copy + Ord, V: Copy, R: Ranking<K>> Extend<(&'a K, &'a V)> for FenceMap<K, V, R> {
    /// As for entries by value.
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend_shared(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<'a, K: Copy + Ord, V: Copy, R: Ranking<K>> IntoIterator for &'a FenceMap<K, V, R> {
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V, R>;

    fn into_iter(self) -> Iter<'a, K, V, R> {
        self.iter()
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> IntoIterator for FenceMap<K, V, R> {
    type Item = (K, V);
    type IntoIter = Range<K, V>;

    /// Returns copies of all entries, in key order, in a new allocation. The map is freed before this returns.
    fn into_iter(self) -> Range<K, V> {
        self.range(..)
    }
}

impl<K: Copy + Ord, V: Copy + PartialEq, R: Ranking<K>> PartialEq for FenceMap<K, V, R> {
    /// Returns whether both have equal entries in the same order. If other threads write in the meantime, the answer is
    /// not about a single point in time.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Copy + Ord, V: Copy + Eq, R: Ranking<K>> Eq for FenceMap<K, V, R> {}
