//! Traits of std.

use super::SnapshotMap;
use crate::persistent::PersistentMap;
use crate::persistent::map::IntoIter;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

// A panic in user code leaves the map as it was.
impl<K, V> UnwindSafe for SnapshotMap<K, V> {}
impl<K, V> RefUnwindSafe for SnapshotMap<K, V> {}

impl<K, V> Default for SnapshotMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SnapshotMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pin().fmt(f)
    }
}

impl<K, V> Clone for SnapshotMap<K, V> {
    /// Returns another map that begins with the current version. O(1): the maps share all entries until one changes
    /// them. The clone has no [collector](SnapshotMap::with_collector).
    fn clone(&self) -> Self {
        self.snapshot().into()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SnapshotMap<K, V> {
    /// Compares the current versions.
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.snapshot(), other.snapshot());
        one == other
    }
}

impl<K: Eq, V: Eq> Eq for SnapshotMap<K, V> {}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SnapshotMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        entries.into_iter().collect::<PersistentMap<K, V>>().into()
    }
}

impl<K: Ord + Clone, V: Clone, const N: usize> From<[(K, V); N]> for SnapshotMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        PersistentMap::from(entries).into()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SnapshotMap<K, V> {
    /// Stores all entries, as one step.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for &SnapshotMap<K, V> {
    /// Stores all entries, as one step, after the iterator has ended.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let entries = entries.into_iter().collect::<PersistentMap<K, V>>();
        if !entries.is_empty() {
            self.write(|map| map.append(&mut entries.clone()));
        }
    }
}

impl<'a, K: Ord + Copy, V: Copy> Extend<(&'a K, &'a V)> for SnapshotMap<K, V> {
    /// Stores copies of all entries, as one step.
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K: Ord + Clone, V: Clone> IntoIterator for SnapshotMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    /// Returns the entries of the last version, in order of the keys.
    fn into_iter(self) -> IntoIter<K, V> {
        self.into_inner().into_iter()
    }
}
