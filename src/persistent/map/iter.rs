//! Iterators of a map.

use super::ops::{Pairs, PersistentMap, out_of_memory};
use crate::persistent::iter::{EntriesMut, into_iterator, iterator, iterator_mut};
use crate::persistent::take::{IntoEntries, teardown};
use core::ops;

iterator! {
    /// Iterates over the entries of a map in order of the keys, from both ends. Skipping with `nth` is O(log n).
    Iter<K, V>, Pairs<K, V>, (key, value) => (key, value), (&'a K, &'a V)
}
iterator! {
    /// Iterates over the entries with keys in a range. It knows their number.
    Range<K, V>, Pairs<K, V>, (key, value) => (key, value), (&'a K, &'a V)
}
iterator! {
    /// Iterates over the keys of a map in their order.
    Keys<K, V>, Pairs<K, V>, (key, _) => key, &'a K
}
iterator! {
    /// Iterates over the values of a map in order of the keys.
    Values<K, V>, Pairs<K, V>, (_, value) => value, &'a V
}
iterator_mut! {
    /// Iterates over the entries of a map, whose values can be changed.
    IterMut<K, V>, Pairs<K, V>, (key, value) => (key, value), (&'a K, &'a mut V)
}
iterator_mut! {
    /// Iterates over the values of a map, which can be changed.
    ValuesMut<K, V>, Pairs<K, V>, (_, value) => value, &'a mut V
}
iterator_mut! {
    /// Iterates over the entries with keys in a range, whose values can be changed.
    RangeMut<K, V>, Pairs<K, V>, (key, value) => (key, value), (&'a K, &'a mut V)
}

into_iterator! {
    /// Iterates over the entries of a map by value. Entries that other versions share are cloned.
    IntoIter<K, V>, Pairs<K, V>, (key, value) => (key, value), (K, V)
}
into_iterator! {
    /// Iterates over the keys of a map by value. Those that other versions share are cloned.
    IntoKeys<K, V>, Pairs<K, V>, (key, _) => key, K
}
into_iterator! {
    /// Iterates over the values of a map by value, in order of the keys. Those that other versions share are cloned.
    IntoValues<K, V>, Pairs<K, V>, (_, value) => value, V
}

impl<K, V> PersistentMap<K, V> {
    /// Returns an iterator over the entries in order of the keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { entries: self.tree.entries(0..self.len()) }
    }

    /// Returns an iterator over the keys in their order.
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys { entries: self.tree.entries(0..self.len()) }
    }

    /// Returns an iterator over the values in order of the keys.
    pub fn values(&self) -> Values<'_, K, V> {
        Values { entries: self.tree.entries(0..self.len()) }
    }
}

impl<K: Clone, V: Clone> PersistentMap<K, V> {
    /// Returns an iterator over the entries whose values can be changed. First copies all nodes that other versions
    /// share: O(n) then.
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::from([(1, 10), (2, 20)]);
    /// map.iter_mut().for_each(|(key, value)| *value += key);
    /// assert_eq!(map, [(1, 11), (2, 22)].into());
    /// ```
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut { entries: self.entries_mut(0..self.len()) }
    }

    /// Returns an iterator over the values for changes, as [`iter_mut`](Self::iter_mut) does.
    pub fn values_mut(&mut self) -> ValuesMut<'_, K, V> {
        ValuesMut { entries: self.entries_mut(0..self.len()) }
    }

    pub(super) fn entries_mut(&mut self, range: ops::Range<usize>) -> EntriesMut<'_, Pairs<K, V>> {
        self.tree.entries_mut(range).unwrap_or_else(|why| out_of_memory(why))
    }

    /// Returns an iterator over the keys by value, in their order. The values are dropped.
    ///
    /// ```
    /// let map = hedgerow::persistent::PersistentMap::from([(2, 'b'), (1, 'a')]);
    /// assert!(map.into_keys().eq([1, 2]));
    /// ```
    pub fn into_keys(self) -> IntoKeys<K, V> {
        IntoKeys { entries: IntoEntries::new(self.tree) }
    }

    /// Returns an iterator over the values by value, in order of the keys. The keys are dropped.
    ///
    /// ```
    /// let map = hedgerow::persistent::PersistentMap::from([(2, 'b'), (1, 'a')]);
    /// assert!(map.into_values().eq(['a', 'b']));
    /// ```
    pub fn into_values(self) -> IntoValues<K, V> {
        IntoValues { entries: IntoEntries::new(self.tree) }
    }
}

impl<K: Clone, V: Clone> IntoIterator for PersistentMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter { entries: IntoEntries::new(self.tree) }
    }
}

impl<'a, K, V> IntoIterator for &'a PersistentMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<'a, K: Clone, V: Clone> IntoIterator for &'a mut PersistentMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> IterMut<'a, K, V> {
        self.iter_mut()
    }
}

teardown!(PersistentMap, Teardown<K, V>, Pairs<K, V>, tree);
