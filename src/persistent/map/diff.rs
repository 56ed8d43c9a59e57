//! `diff`: what has changed from one version to another.

use super::ops::{Pairs, PersistentMap};
use crate::persistent::diff::{Differences, Side};
use core::fmt;
use core::iter::FusedIterator;

/// A change from one version of a map to another.
#[derive(Debug, PartialEq, Eq)]
pub enum DiffItem<'a, K, V> {
    /// Only the second map has the key.
    Added(&'a K, &'a V),
    /// Only the first map has the key.
    Removed(&'a K, &'a V),
    /// Both maps have the key, with different values.
    Changed {
        /// The first map's key.
        key: &'a K,
        /// The value in the first map.
        old: &'a V,
        /// The value in the second map.
        new: &'a V,
    },
}

impl<K, V> Clone for DiffItem<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for DiffItem<'_, K, V> {}

#[cfg(any(not(hedgerow_loom), all(test, not(hedgerow_shuttle))))]
impl<'a, K, V> DiffItem<'a, K, V> {
    /// Returns the key, and the value that it has in the second map.
    pub(crate) fn outcome(self) -> (&'a K, Option<&'a V>) {
        match self {
            Self::Added(key, new) | Self::Changed { key, new, .. } => (key, Some(new)),
            Self::Removed(key, _) => (key, None),
        }
    }
}

/// Iterates over the changes from one map to another, in order of the keys.
pub struct Diff<'a, K, V> {
    differences: Differences<'a, Pairs<K, V>>,
}

impl<K, V> Clone for Diff<'_, K, V> {
    fn clone(&self) -> Self {
        Self { differences: self.differences.clone() }
    }
}

impl<K: Ord + fmt::Debug, V: PartialEq + fmt::Debug> fmt::Debug for Diff<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl<K: Ord, V: PartialEq> PersistentMap<K, V> {
    /// Returns an iterator over the changes that lead from this map to `newer`, in order of the keys.
    ///
    /// Nodes that both maps share are skipped. So the difference of two versions with `d` changes between them takes
    /// O(d log n), however large they are. Maps that were built independently share nothing, and are compared entry by
    /// entry.
    ///
    /// ```
    /// use hedgerow::persistent::{DiffItem, PersistentMap};
    ///
    /// let mut map: PersistentMap<u32, char> = (0..10_000).map(|n| (n, 'a')).collect();
    /// let before = map.clone();
    /// map.insert(5000, 'b');
    /// map.remove(&7000);
    /// let changes: Vec<_> = before.diff(&map).collect();
    /// let changed = DiffItem::Changed { key: &5000, old: &'a', new: &'b' };
    /// assert_eq!(changes, [changed, DiffItem::Removed(&7000, &'a')]);
    /// ```
    pub fn diff<'a>(&'a self, newer: &'a Self) -> Diff<'a, K, V> {
        Diff { differences: Differences::new(&self.tree, &newer.tree) }
    }
}

impl<'a, K: Ord, V: PartialEq> Iterator for Diff<'a, K, V> {
    type Item = DiffItem<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.differences.next()? {
            Side::Left(key, old) => DiffItem::Removed(key, old),
            Side::Right(key, new) => DiffItem::Added(key, new),
            Side::Both(key, old, new) => DiffItem::Changed { key, old, new },
        })
    }
}

impl<K: Ord, V: PartialEq> FusedIterator for Diff<'_, K, V> {}
