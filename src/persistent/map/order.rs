//! Operations by the order of keys, by index, and on whole trees.

use super::iter::{Range, RangeMut};
use super::ops::{PersistentMap, out_of_memory};
use core::borrow::Borrow;
use core::iter::FusedIterator;
use core::ops::{Bound, RangeBounds};

impl<K, V> PersistentMap<K, V> {
    /// Returns the entry with the smallest key. O(log n).
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.tree.get_index(0)
    }

    /// Returns the entry with the greatest key. O(log n).
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.tree.get_index(self.len().checked_sub(1)?)
    }

    /// Returns the entry with `index` entries before it, in order of the keys. O(log n).
    ///
    /// ```
    /// let map = hedgerow::persistent::PersistentMap::from([("a", 1), ("c", 3), ("b", 2)]);
    /// assert_eq!(map.get_index(1), Some((&"b", &2)));
    /// ```
    pub fn get_index(&self, index: usize) -> Option<(&K, &V)> {
        self.tree.get_index(index)
    }

    /// Returns how many keys are less than `key`, and whether the map has it: `Ok` if so. O(log n).
    ///
    /// This is the result of [`slice::binary_search`] on the sorted keys.
    ///
    /// ```
    /// let map = hedgerow::persistent::PersistentMap::from([(10, 'a'), (20, 'b')]);
    /// assert_eq!((map.rank(&20), map.rank(&15)), (Ok(1), Err(1)));
    /// ```
    ///
    /// # Errors
    /// The index at which the key would be, if it is absent.
    pub fn rank<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        match self.place(key) {
            Ok(place) => Ok(self.tree.index_of(&place)),
            Err(place) => Err(self.tree.index_of(&place)),
        }
    }

    /// Returns the entry with the greatest key that is not above `key`. O(log n).
    pub fn floor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        match self.rank(key) {
            Ok(index) => self.get_index(index),
            Err(index) => self.get_index(index.checked_sub(1)?),
        }
    }

    /// Returns the entry with the smallest key that is not below `key`. O(log n).
    pub fn ceiling<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (Ok(index) | Err(index)) = self.rank(key);
        self.get_index(index)
    }

    /// Returns the entry with the greatest key below `key`. O(log n).
    pub fn predecessor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (Ok(index) | Err(index)) = self.rank(key);
        self.get_index(index.checked_sub(1)?)
    }

    /// Returns the entry with the smallest key above `key`. O(log n).
    pub fn successor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        match self.rank(key) {
            Ok(index) => self.get_index(index + 1),
            Err(index) => self.get_index(index),
        }
    }

    /// Returns the indices of the keys in a range.
    ///
    /// # Panics
    /// If the range begins behind its end, or has two equal, excluded bounds.
    fn indices<Q: Ord + ?Sized, R: RangeBounds<Q>>(&self, range: &R) -> core::ops::Range<usize>
    where
        K: Borrow<Q>,
    {
        let (start, end) = (range.start_bound(), range.end_bound());
        if let (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) = (start, end)
        {
            let excluded = matches!((start, end), (Bound::Excluded(_), Bound::Excluded(_)));
            assert!(from <= to, "the range begins after its end");
            assert!(!(excluded && from == to), "both bounds of the range are excluded, and equal");
        }
        let index = |bound: Bound<&Q>, after_equal: bool, unbounded| match bound {
            Bound::Unbounded => unbounded,
            Bound::Included(key) | Bound::Excluded(key) => match self.rank(key) {
                Ok(index) => index + usize::from(after_equal),
                Err(index) => index,
            },
        };
        let from = index(start, matches!(start, Bound::Excluded(_)), 0);
        let to = index(end, matches!(end, Bound::Included(_)), self.len());
        // Keys that contradict themselves may have any ranks.
        from..to.max(from)
    }

    /// Returns an iterator over the entries with keys in a range, from both ends. O(log n).
    ///
    /// # Panics
    /// If the range begins after its end, or if both bounds are excluded and equal, as std's `range` does.
    ///
    /// ```
    /// let map = hedgerow::persistent::PersistentMap::from([(1, 'a'), (2, 'b'), (3, 'c')]);
    /// assert_eq!(map.range(2..).rev().map(|(key, _)| *key).collect::<Vec<_>>(), [3, 2]);
    /// ```
    pub fn range<Q: Ord + ?Sized, R: RangeBounds<Q>>(&self, range: R) -> Range<'_, K, V>
    where
        K: Borrow<Q>,
    {
        Range { entries: self.tree.entries(self.indices(&range)) }
    }

    /// Returns the number of keys in a range. O(log n): the entries are not visited.
    ///
    /// # Panics
    /// As [`range`](Self::range).
    pub fn range_len<Q: Ord + ?Sized, R: RangeBounds<Q>>(&self, range: R) -> usize
    where
        K: Borrow<Q>,
    {
        self.indices(&range).len()
    }
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// Returns an iterator over the entries with keys in a range, whose values can be changed, from both ends. First
    /// copies the nodes of the range that other versions share, and makes a list of its leaves: O(log n + r / 64) for
    /// `r` entries, and O(r) if they are shared.
    ///
    /// # Panics
    /// As [`range`](Self::range).
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::from([(1, 10), (2, 20), (3, 30)]);
    /// map.range_mut(2..).for_each(|(key, value)| *value += key);
    /// assert_eq!(map, [(1, 10), (2, 22), (3, 33)].into());
    /// ```
    pub fn range_mut<Q: Ord + ?Sized, R: RangeBounds<Q>>(&mut self, range: R) -> RangeMut<'_, K, V>
    where
        K: Borrow<Q>,
    {
        RangeMut { entries: self.entries_mut(self.indices(&range)) }
    }

    /// Returns an iterator that removes the entries of a range for which `pred` returns `true`, in order of the keys.
    /// O(log n) for each entry.
    ///
    /// Entries that the iterator has not come to when it is dropped stay, so use
    /// [`retain`](Self::retain) if you do not need the removed ones. Copies the nodes of the entries that it comes to
    /// if other versions share them, because `pred` may change values.
    ///
    /// # Panics
    /// As [`range`](Self::range).
    ///
    /// ```
    /// let mut map: hedgerow::persistent::PersistentMap<u32, u32> = (0..8).map(|n| (n, n)).collect();
    /// let even: Vec<u32> = map.extract_if(2.., |key, _| key % 2 == 0).map(|(key, _)| key).collect();
    /// assert_eq!(even, [2, 4, 6]);
    /// assert!(map.into_keys().eq([0, 1, 3, 5, 7]));
    /// ```
    pub fn extract_if<F, R>(&mut self, range: R, pred: F) -> ExtractIf<'_, K, V, F>
    where
        R: RangeBounds<K>,
        F: FnMut(&K, &mut V) -> bool,
    {
        ExtractIf { range: self.indices(&range), map: self, pred }
    }

    /// Removes the entry with the smallest key. O(log n).
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        self.remove_index(0)
    }

    /// Removes the entry with the greatest key. O(log n).
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        self.remove_index(self.len().checked_sub(1)?)
    }

    /// Removes the entry with `index` entries before it. O(log n).
    pub fn remove_index(&mut self, index: usize) -> Option<(K, V)> {
        (index < self.len()).then(|| self.remove_place(&self.tree.place_of(index)))
    }

    /// Returns a map of the entries with keys in a range, which shares their nodes. O(log n).
    ///
    /// # Panics
    /// As [`range`](Self::range).
    ///
    /// ```
    /// let map: hedgerow::persistent::PersistentMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let middle = map.slice(300..=400);
    /// assert_eq!((middle.len(), map.len()), (101, 1000));
    /// ```
    #[must_use]
    pub fn slice<Q: Ord + ?Sized, R: RangeBounds<Q>>(&self, range: R) -> Self
    where
        K: Borrow<Q>,
    {
        self.slice_at(self.indices(&range))
    }

    fn slice_at(&self, range: core::ops::Range<usize>) -> Self {
        Self { tree: self.tree.slice(range).unwrap_or_else(|why| out_of_memory(why)) }
    }

    /// Removes the entries from `key` on, and returns them. O(log n).
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::from([(1, 'a'), (2, 'b'), (3, 'c')]);
    /// let right = map.split_off(&2);
    /// assert_eq!((map.len(), right.len()), (1, 2));
    /// ```
    #[must_use = "`remove_range` drops the entries"]
    pub fn split_off<Q: Ord + ?Sized>(&mut self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        let (Ok(index) | Err(index)) = self.rank(key);
        let right = self.slice_at(index..self.len());
        *self = self.slice_at(0..index);
        right
    }

    /// Removes the entries with keys in a range, and returns how many there were. O(log n), and the destruction of what
    /// no other version shares.
    ///
    /// # Panics
    /// As [`range`](Self::range).
    pub fn remove_range<Q: Ord + ?Sized, R: RangeBounds<Q>>(&mut self, range: R) -> usize
    where
        K: Borrow<Q>,
    {
        let indices = self.indices(&range);
        if !indices.is_empty() {
            let right = self.slice_at(indices.end..self.len());
            *self = self.slice_at(0..indices.start).joined(&right);
        }
        indices.len()
    }

    /// Moves all entries of `other` into this map. Of keys that both have, `other`'s value remains, as in std.
    ///
    /// O(log n) if all keys of one map are less than those of the other; otherwise O(m log n) for `m` entries of
    /// `other`.
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::from([(1, 'a'), (2, 'b')]);
    /// map.append(&mut [(2, 'B'), (3, 'c')].into());
    /// assert_eq!(map, [(1, 'a'), (2, 'B'), (3, 'c')].into());
    /// ```
    pub fn append(&mut self, other: &mut Self) {
        let before = |a: &Self, b: &Self| match (a.last_key_value(), b.first_key_value()) {
            (Some((last, _)), Some((first, _))) => last < first,
            _ => true,
        };
        if before(self, other) {
            *self = self.joined(other);
        } else if before(other, self) {
            *self = other.joined(self);
        } else {
            other.iter().for_each(|(key, value)| drop(self.insert(key.clone(), value.clone())));
        }
        other.clear();
    }

    /// Returns this map's entries followed by those of `right`.
    fn joined(&self, right: &Self) -> Self {
        Self {
            tree: self.tree.join(&right.tree, K::clone).unwrap_or_else(|why| out_of_memory(why)),
        }
    }
}

/// Removes the entries of a range for which a predicate holds. Returned by
/// [`extract_if`](PersistentMap::extract_if).
#[must_use = "iterators are lazy and do nothing unless consumed; `retain` removes at once"]
pub struct ExtractIf<'a, K, V, F> {
    map: &'a mut PersistentMap<K, V>,
    /// The indices of the entries to come.
    range: core::ops::Range<usize>,
    pred: F,
}

impl<K: Ord + Clone, V: Clone, F: FnMut(&K, &mut V) -> bool> Iterator for ExtractIf<'_, K, V, F> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        while !self.range.is_empty() {
            let place = self.map.tree.place_of(self.range.start);
            let entry = self.map.tree.get_mut(&place);
            let (key, value) = entry.unwrap_or_else(|why| out_of_memory(why));
            if (self.pred)(key, value) {
                self.range.end -= 1;
                return Some(self.map.remove_place(&place));
            }
            self.range.start += 1;
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.range.len()))
    }
}

impl<K: Ord + Clone, V: Clone, F: FnMut(&K, &mut V) -> bool> FusedIterator
    for ExtractIf<'_, K, V, F>
{
}
