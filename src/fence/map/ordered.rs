//! `FenceMap`'s operations on the order of its keys: neighbours, ends, ranges, iterators.

use super::fence_map::FenceMap;
use super::iter::{ExtractIf, Iter, Keys, Range, Values};
use crate::api::op::EntryChange;
use crate::error::TryError;
use crate::fence::tree::leaf::LeafRef;
use crate::fence::tree::neighbour::Neighbour;
use crate::fence::tree::range::Bounds;
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::search::CompareKey;
use crate::sync::backoff::Backoff;
use crate::sync::words::both;
use alloc::vec::Vec;
use core::ops::{Bound, RangeBounds};
use equivalent::Comparable;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    fn neighbour(&self, neighbour: Neighbour<impl CompareKey<K>>) -> Option<(K, V)> {
        self.finish(self.tree().neighbour(neighbour, Backoff::spinning()))
    }

    fn bounds<'q>(&self, bounds: &'q impl RangeBounds<K>) -> Bounds<&'q K> {
        let tree = self.tree();
        (tree.bound(bounds.start_bound()), tree.bound(bounds.end_bound()))
    }

    fn remove_neighbour(&self, neighbour: Neighbour<&K>) -> Option<(K, V)> {
        self.finish(self.tree().remove_neighbour(neighbour, Backoff::spinning(), |_| ()))
    }

    /// Returns the entry with the smallest key.
    ///
    /// Takes no lock and writes no shared memory. Waits while the first leaf is being written. If leaves are empty, it
    /// reads several, and linearizes when all of them are validated together. A thread that inserts one key and then
    /// looks up another must then execute a fence in between to agree with this operation on their order
    /// ([`docs::ordering`](crate::docs::ordering)).
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// assert_eq!(map.first_key_value(), Some((1, 'a')));
    /// ```
    pub fn first_key_value(&self) -> Option<(K, V)> {
        self.neighbour(Neighbour::<&K>::From(Bound::Unbounded))
    }

    /// Returns the entry with the greatest key. Otherwise like [`first_key_value`](Self::first_key_value).
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// assert_eq!(map.last_key_value(), Some((2, 'b')));
    /// ```
    pub fn last_key_value(&self) -> Option<(K, V)> {
        self.neighbour(Neighbour::<&K>::UpTo(Bound::Unbounded))
    }

    /// Removes the entry with the smallest key and returns it, as from a priority queue.
    ///
    /// No two callers get the same entry, and a thread that inserts a smaller key that this call has missed does not
    /// find the removed entry afterwards. Blocks while another thread writes to the entry's leaf, and linearizes when
    /// that leaf is locked. Starts again if an empty leaf before it has changed. If the map is empty, it writes nothing
    /// and linearizes as [`first_key_value`](Self::first_key_value) does. Allocates nothing, unless many leaves are
    /// empty.
    ///
    /// ```
    /// let jobs: hedgerow::FenceMap<_, _> = [(3, "late"), (1, "early")].into();
    /// assert_eq!(jobs.pop_first(), Some((1, "early")));
    /// assert_eq!(jobs.len(), 1);
    /// ```
    pub fn pop_first(&self) -> Option<(K, V)> {
        self.remove_neighbour(Neighbour::From(Bound::Unbounded))
    }

    /// Removes the entry with the greatest key and returns it. Otherwise like [`pop_first`](Self::pop_first).
    ///
    /// ```
    /// let jobs: hedgerow::FenceMap<_, _> = [(3, "late"), (1, "early")].into();
    /// assert_eq!(jobs.pop_last(), Some((3, "late")));
    /// ```
    pub fn pop_last(&self) -> Option<(K, V)> {
        self.remove_neighbour(Neighbour::UpTo(Bound::Unbounded))
    }

    /// Returns the entry with the greatest key that is not greater than `key`. Waits and linearizes as
    /// [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let rates: hedgerow::FenceMap<u32, f32> = [(0, 0.0), (10_000, 0.2), (50_000, 0.4)].into();
    /// assert_eq!(rates.floor(&49_999), Some((10_000, 0.2)));
    /// assert_eq!(rates.floor(&50_000), Some((50_000, 0.4)));
    /// ```
    pub fn floor<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::UpTo(Bound::Included(self.search_key(key))))
    }

    /// Returns the entry with the smallest key that is not less than `key`. Waits and linearizes as
    /// [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!((map.ceiling(&2), map.ceiling(&3), map.ceiling(&4)), (Some((3, 'c')), Some((3, 'c')), None));
    /// ```
    pub fn ceiling<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::From(Bound::Included(self.search_key(key))))
    }

    /// Returns the entry with the greatest key that is less than `key`. Waits and linearizes as
    /// [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!((map.predecessor(&3), map.predecessor(&1)), (Some((1, 'a')), None));
    /// ```
    pub fn predecessor<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::UpTo(Bound::Excluded(self.search_key(key))))
    }

    /// Returns the entry with the smallest key that is greater than `key`. Waits and linearizes as
    /// [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!((map.successor(&1), map.successor(&3)), (Some((3, 'c')), None));
    /// ```
    pub fn successor<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::From(Bound::Excluded(self.search_key(key))))
    }

    /// Returns the entries within `bounds`, in key order, as a consistent snapshot: all as of a single point in time.
    ///
    /// Copies the entries into a new allocation before it returns. [`range_into`](Self::range_into) uses the caller's
    /// memory instead; [`iter_range`](Self::iter_range) is lazy and needs none, but is no snapshot. If the bounds are
    /// in the wrong order, there are no entries.
    ///
    /// Takes no lock and writes no shared memory, unless writers change a leaf of the range during eight copies in a
    /// row; then the range's leaves are locked while they are copied. Waits while one of the leaves is being written.
    /// Linearizes between the first read of the last leaf and the validation of all leaves, or when the last leaf is
    /// locked.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..100).map(|n| (n, n * n)).collect();
    /// assert_eq!(map.range(3..=5).collect::<Vec<_>>(), [(3, 9), (4, 16), (5, 25)]);
    /// assert_eq!(map.range(..).len(), 100);
    /// assert_eq!(map.range(90..10).next(), None);
    /// ```
    pub fn range(&self, bounds: impl RangeBounds<K>) -> Range<K, V> {
        let mut entries = Vec::new();
        self.range_into(bounds, &mut entries);
        Range::new(entries)
    }

    /// As [`range`](Self::range), into a vector, whose old entries are dropped and whose memory is used.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, char> = [(1, 'a'), (2, 'b'), (9, 'z')].into();
    /// let mut entries = Vec::new();
    /// map.range_into(2.., &mut entries);
    /// assert_eq!(entries, [(2, 'b'), (9, 'z')]);
    /// ```
    pub fn range_into(&self, bounds: impl RangeBounds<K>, into: &mut Vec<(K, V)>) {
        self.finish(self.tree().range(self.bounds(&bounds), into, Backoff::spinning()));
    }

    /// As [`range_into`](Self::range_into), but neither waits nor locks nor aborts.
    ///
    /// # Errors
    /// [`TryError::Busy`] if one of the leaves is being written, or if a leaf changed eight times in a row;
    /// [`TryError::Alloc`] if memory runs out. The vector's entries are unspecified then.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// let mut entries = Vec::new();
    /// assert_eq!(map.try_range_into(2.., &mut entries), Ok(()));
    /// assert_eq!(entries, [(2, 'b')]);
    /// ```
    pub fn try_range_into(
        &self,
        bounds: impl RangeBounds<K>,
        into: &mut Vec<(K, V)>,
    ) -> Result<(), TryError> {
        self.tree().range(self.bounds(&bounds), into, Backoff::never()).map_err(TryError::from)
    }

    /// Returns the number of entries within `bounds`, as of a single point in time.
    ///
    /// Visits each leaf of the range, without copying entries; a leaf has up to 128 of them. Takes no lock and writes
    /// no shared memory, unless writers change a leaf of the range during eight counts in a row. Then it falls back to
    /// [`range`](Self::range), which copies the entries and may lock the leaves. Waits and linearizes as `range` does.
    /// Allocates a few words per leaf if there are more than six.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, char> = [(1, 'a'), (2, 'b'), (9, 'z')].into();
    /// assert_eq!((map.range_len(2..), map.range_len(..9), map.range_len(3..9)), (2, 2, 0));
    /// ```
    pub fn range_len(&self, bounds: impl RangeBounds<K>) -> usize {
        self.finish(self.tree().range_len(self.bounds(&bounds), Backoff::spinning()))
    }

    /// Returns an estimate of the number of entries within `bounds`, without reading the leaves between them.
    ///
    /// Counts the entries in the leaves where the range begins and ends, and assumes the map's mean for each leaf in
    /// between. The result is exact if there is no leaf in between and no concurrent write. Most leaves are between
    /// half full and full.
    ///
    /// Costs two searches, and reads a few words of each fence, which covers up to 32,768 entries. Takes no lock,
    /// writes no shared memory, allocates nothing. Waits while one of the two leaves is being written.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    /// let about = map.approximate_range_len(20_000..60_000);
    /// assert!((30_000..50_000).contains(&about));
    /// ```
    pub fn approximate_range_len(&self, bounds: impl RangeBounds<K>) -> usize {
        self.finish(self.tree().approximate_range_len(self.bounds(&bounds)))
    }

    /// Returns a lazy, double-ended iterator over the entries within `bounds`, in key order. It is weakly consistent.
    ///
    /// It reads up to eight neighbouring entries at a time, so it may return an entry and miss another one that was
    /// inserted earlier. A key that stays in the map from the first call to the last is returned exactly once; a key
    /// that is inserted or removed concurrently at most once. For a snapshot use [`range`](Self::range).
    ///
    /// Takes no lock. Allocates nothing, except a buffer for one leaf if it is called from the end. Waits while the
    /// next leaf is being written.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert!(map.iter_range(10..20).map(|(key, _)| key).eq(10..20));
    /// assert_eq!(map.iter_range(..500).next_back(), Some((499, 499)));
    /// ```
    pub fn iter_range(&self, bounds: impl RangeBounds<K>) -> Iter<'_, K, V, R> {
        Iter::new(self, bounds.start_bound().cloned(), bounds.end_bound().cloned())
    }

    /// Returns all entries, in key order, as [`iter_range`](Self::iter_range) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.iter().collect::<Vec<_>>(), [(1, 'a'), (2, 'b')]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, R> {
        self.iter_range(..)
    }

    /// Returns all keys, in order, as [`iter`](Self::iter) sees them.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.keys().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V, R> {
        Keys(self.iter())
    }

    /// Returns all values, in the order of their keys, as [`iter`](Self::iter) sees them.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.values().collect::<String>(), "ab");
    /// ```
    pub fn values(&self) -> Values<'_, K, V, R> {
        Values(self.iter())
    }

    /// Removes every entry, leaf by leaf. Keeps the memory for entries to come.
    ///
    /// An entry that is inserted concurrently may stay. Blocks while another thread writes to a leaf. Allocates
    /// nothing. [`remove_range`](Self::remove_range) with `..` removes all entries as of a single point in time.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a')].into();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.finish(self.tree().clear());
    }

    /// Keeps the entries for which `keep` returns true, with the values as it leaves them, leaf by leaf. To learn
    /// how many are removed, count what [`extract_if`](Self::extract_if) returns.
    ///
    /// `keep` runs while nothing is locked, in key order. If another thread changes a leaf before its entries are
    /// removed, `keep` is called for them again. A `keep` that itself writes to that leaf each time never ends.
    /// Allocates a buffer for one leaf.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..10).map(|n| (n, n)).collect();
    /// map.retain(|k, v| { *v *= 2; k % 2 == 0 });
    /// assert_eq!((map.len(), map.get(&4), map.get(&5)), (5, Some(8), None));
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.finish(self.tree().retain(keep));
    }

    /// Returns an iterator that removes the entries for which `wanted` returns true, in key order, one by one as it is
    /// advanced. Entries that it does not reach stay in the map.
    ///
    /// Each removal is atomic by itself, as [`remove_if`](Self::remove_if) is: `wanted` runs while nothing is locked,
    /// and again if another thread has changed anything in the key's leaf in the meantime. The iterator visits entries
    /// as [`iter`](Self::iter) does. Blocks while another thread writes to an entry's leaf. Allocates nothing.
    /// [`remove_range`](Self::remove_range) removes all entries as of a single point in time.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// assert!(map.extract_if(|key, _| key % 2 == 1).eq([(1, 1), (3, 9), (5, 25), (7, 49), (9, 81)]));
    /// assert_eq!(map.len(), 5);
    /// ```
    pub fn extract_if<F: FnMut(&K, &V) -> bool>(&self, wanted: F) -> ExtractIf<'_, K, V, R, F> {
        ExtractIf::new(self, wanted)
    }

    /// Returns an iterator that removes all entries, in key order, one by one as it is advanced. Entries that it does
    /// not reach stay in the map, and so may those that are inserted concurrently. Blocks as
    /// [`extract_if`](Self::extract_if) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.drain().collect::<Vec<_>>(), [(1, 'a'), (2, 'b')]);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = (K, V)> + use<'_, K, V, R> {
        self.extract_if(|_, _| true)
    }

    /// Removes the entry of `key` if `wanted` returns true for it. Returns the entry as it was in the map.
    pub(super) fn take_if(
        &self,
        key: &K,
        mut wanted: impl FnMut(&K, &V) -> bool,
    ) -> Option<(K, V)> {
        let read = |leaf: LeafRef<'_, K, V>, at| both(leaf.fetch_key(at), leaf.fetch_value(at));
        let decide = |found: Option<&(K, V)>| match found {
            Some((key, value)) if wanted(key, value) => EntryChange::Remove,
            _ => EntryChange::Keep,
        };
        let (target, backoff) = (self.tree().search_key(key), Backoff::spinning());
        match self.finish(self.tree().alter(target, read, backoff, decide, |_| ())) {
            (taken, EntryChange::Remove) => taken,
            _ => None,
        }
    }

    /// Removes the entries within `bounds`, all as of a single point in time, and returns their number.
    ///
    /// Locks all leaves of the range while the remaining entries of the first and the last leaf are moved; readers of
    /// the range wait that long. Starts again if a leaf changes before it is locked, which may happen any number of
    /// times, although each time some other write has succeeded. Allocates a few words per leaf, and running out of
    /// memory is handled as in std's collections. Linearizes when the last leaf is locked.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert_eq!(map.remove_range(100..900), 800);
    /// assert_eq!((map.len(), map.successor(&99)), (200, Some((900, 900))));
    /// ```
    pub fn remove_range(&self, bounds: impl RangeBounds<K>) -> usize {
        self.finish(self.tree().remove_range(self.bounds(&bounds)))
    }
}
