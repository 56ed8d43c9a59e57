//! `OrdMap`'s operations on the order of its keys: neighbours, ends, ranges, iterators.

use super::iter::{OrdExtractIf, OrdIter, OrdIterRange, OrdRange};
use super::map::OrdMap;
use super::raw::{NodeQuery, RawKey};
use crate::fence::tree::neighbour::Neighbour;
use crate::fence::tree::range::{Bounds, unbounded};
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::search::CompareKey;
use crate::reclaim::borrowed::{KeyRef, Ref};
use crate::reclaim::pair::out_of_memory;
use crate::reclaim::removed::Removed;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::ops::{Bound, RangeBounds};
use equivalent::Comparable;

impl<K: Ord, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Finds an entry. The caller holds a guard.
    pub(super) fn neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<RawKey<K>>>,
    ) -> Option<RawKey<K>> {
        let found = self.tree().neighbour(neighbour, Backoff::spinning());
        found.unwrap_or_else(out_of_memory::<K, V, _, _>).map(|(raw, ())| raw)
    }

    fn borrow_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<RawKey<K>>>,
    ) -> Option<Ref<'_, K, V>> {
        let guard = self.readers.pin();
        let found = self.neighbour(neighbour)?;
        // SAFETY: found under the guard.
        Some(unsafe { Ref::of(found.ptr(), guard) })
    }

    fn remove_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<RawKey<K>>>,
    ) -> Option<Removed<'_, K, V>> {
        self.then_free_bounds(self.readers.pin(), |_| {
            let mut removed = None;
            let taken = |raw| removed = Some(self.unlinked(raw));
            let done = self.tree().remove_neighbour(neighbour, Backoff::spinning(), taken);
            done.unwrap_or_else(out_of_memory::<K, V, _, _>);
            removed.map(Removed::new)
        })
    }

    pub(super) fn bounds<'q, Q>(&self, bounds: &'q impl RangeBounds<Q>) -> Bounds<NodeQuery<'q, Q>>
    where
        Q: Ord + ?Sized + 'q,
        R: Ranking<Q>,
    {
        let target = |key| self.search_key(key);
        (bounds.start_bound().map(target), bounds.end_bound().map(target))
    }

    /// Returns the entry with the smallest key, borrowed with its own guard.
    ///
    /// Takes no lock and writes no shared memory. Waits while the first leaf is being written. If leaves are empty, it
    /// reads several, and linearizes when all of them are validated together. A thread that inserts one key and then
    /// looks up another must then execute a fence in between to agree with this operation on their order
    /// ([`docs::ordering`](crate::docs::ordering)).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.first_key_value().unwrap().pair(), (&1, &'a'));
    /// ```
    pub fn first_key_value(&self) -> Option<Ref<'_, K, V>> {
        self.borrow_neighbour(Neighbour::From(unbounded::<RawKey<K>>()))
    }

    /// Returns the entry with the greatest key, borrowed with its own guard.
    ///
    /// Waits and linearizes as [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.last_key_value().unwrap().pair(), (&3, &'c'));
    /// ```
    pub fn last_key_value(&self) -> Option<Ref<'_, K, V>> {
        self.borrow_neighbour(Neighbour::UpTo(unbounded::<RawKey<K>>()))
    }

    /// Returns the entry with the greatest key that is not greater than `key`, borrowed with its own guard.
    ///
    /// Waits and linearizes as [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.floor(&2).unwrap().pair(), (&1, &'a'));
    /// ```
    pub fn floor<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.borrow_neighbour(Neighbour::UpTo(Bound::Included(self.search_key(key))))
    }

    /// Returns the entry with the smallest key that is not less than `key`, borrowed with its own guard.
    ///
    /// Waits and linearizes as [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.ceiling(&2).unwrap().pair(), (&3, &'c'));
    /// ```
    pub fn ceiling<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.borrow_neighbour(Neighbour::From(Bound::Included(self.search_key(key))))
    }

    /// Returns the entry with the greatest key that is less than `key`, borrowed with its own guard.
    ///
    /// Waits and linearizes as [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.predecessor(&3).unwrap().pair(), (&1, &'a'));
    /// ```
    pub fn predecessor<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.borrow_neighbour(Neighbour::UpTo(Bound::Excluded(self.search_key(key))))
    }

    /// Returns the entry with the smallest key that is greater than `key`, borrowed with its own guard.
    ///
    /// Waits and linearizes as [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.successor(&1).unwrap().pair(), (&3, &'c'));
    /// ```
    pub fn successor<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.borrow_neighbour(Neighbour::From(Bound::Excluded(self.search_key(key))))
    }

    /// Returns the entries within `bounds`, in key order, as a consistent snapshot: all as of a single point in time.
    /// The iterator is double-ended and holds its own guard.
    ///
    /// Copies pointers to the entries into a new allocation before it returns; [`iter_range`](Self::iter_range) is
    /// lazy, and needs memory for one leaf, but is no snapshot. If the bounds are in the wrong order, there are no
    /// entries. As in `BTreeMap`, bounds may be of any borrowed form of the key. If the compiler cannot infer it, name
    /// it: `range::<str, _>((Bound::Included("a"), Bound::Unbounded))`.
    ///
    /// Takes no lock and writes no shared memory, unless writers change a leaf of the range during eight copies in a
    /// row; then the range's leaves are locked while they are copied. Waits while one of the leaves is being written.
    /// Linearizes between the first read of the last leaf and the validation of all leaves, or when the last leaf is
    /// locked.
    ///
    /// ```
    /// use std::ops::Bound::{Excluded, Included};
    ///
    /// let map: hedgerow::OrdMap<String, u32> = ('a'..='e').map(|c| (c.to_string(), c as u32)).collect();
    /// let some = map.range::<str, _>((Included("b"), Excluded("d")));
    /// assert!(some.map(|entry| entry.key().clone()).eq(["b", "c"]));
    /// assert_eq!(map.range("c".to_string()..).rev().next().unwrap().key(), "e");
    /// ```
    pub fn range<Q, B>(&self, bounds: B) -> OrdRange<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        let guard = self.readers.pin();
        OrdRange::new(self.raws(bounds), guard)
    }

    /// Returns the number of entries within `bounds`, as of a single point in time. See
    /// [`FenceMap::range_len`](crate::FenceMap::range_len).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (2, 'b'), (9, 'z')].into();
    /// assert_eq!((map.range_len(2..), map.range_len(..9), map.range_len(3..9)), (2, 2, 0));
    /// ```
    pub fn range_len<Q, B>(&self, bounds: B) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        let _guard = self.readers.pin();
        let len = self.tree().range_len(self.bounds(&bounds), Backoff::spinning());
        len.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Returns an estimate of the number of entries within `bounds`, without reading the leaves between them. See
    /// [`FenceMap::approximate_range_len`](crate::FenceMap::approximate_range_len).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
    /// let about = map.approximate_range_len(2_000..6_000);
    /// assert!((3_000..5_000).contains(&about));
    /// ```
    pub fn approximate_range_len<Q, B>(&self, bounds: B) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        let _guard = self.readers.pin();
        let len = self.tree().approximate_range_len(self.bounds(&bounds));
        len.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Copies the pointers of a range. The caller holds a guard.
    pub(super) fn raws<Q>(&self, bounds: impl RangeBounds<Q>) -> Vec<(RawKey<K>, ())>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let mut raws = Vec::new();
        let done = self.tree().range(self.bounds(&bounds), &mut raws, Backoff::spinning());
        done.unwrap_or_else(out_of_memory::<K, V, _, _>);
        raws
    }

    /// Returns a lazy, double-ended iterator over the entries within `bounds`, in key order. It is weakly consistent,
    /// and holds its own guard.
    ///
    /// It reads one leaf at a time, so it may return an entry and miss another one that was inserted earlier. A key
    /// that stays in the map from the first call to the last is returned exactly once; a key that is inserted or
    /// removed concurrently at most once. For a snapshot use [`range`](Self::range).
    ///
    /// Takes no lock. Allocates a buffer for one leaf, and another one for entries from the end. Waits while the next
    /// leaf is being written.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert!(map.iter_range(10..20).map(|entry| *entry.key()).eq(10..20));
    /// assert_eq!(map.iter_range(..500).next_back().as_deref(), Some(&499));
    /// ```
    ///
    /// All keys with a prefix:
    ///
    /// ```
    /// use std::ops::Bound::{Included, Unbounded};
    ///
    /// let map: hedgerow::OrdMap<String, u32> = ["hay", "hazel", "heath", "hedge"].map(|k| (k.into(), 1)).into();
    /// let from = map.iter_range::<str, _>((Included("ha"), Unbounded));
    /// assert_eq!(from.take_while(|entry| entry.key().starts_with("ha")).count(), 2);
    /// ```
    pub fn iter_range<Q, B>(&self, bounds: B) -> OrdIterRange<'_, Q, B, K, V, R>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        OrdIterRange::new(self, bounds)
    }

    /// Returns all entries, in key order, as [`iter_range`](Self::iter_range) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert!(map.iter().map(|entry| *entry.key()).eq([1, 2]));
    /// ```
    pub fn iter(&self) -> OrdIter<'_, K, V, R> {
        OrdIter::new(self)
    }

    /// Returns all keys, in order, as [`iter`](Self::iter) sees them. The iterator holds its own guard, and so does
    /// each key that it returns.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert!(map.keys().map(|key| *key).eq([1, 2]));
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = KeyRef<'_, K>> + use<'_, K, V, R> {
        self.iter().map(Ref::into_key)
    }

    /// Returns all values, in the order of their keys, as [`iter`](Self::iter) sees them: a `Ref` dereferences to the
    /// value.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.values().map(|value| *value).collect::<String>(), "ab");
    /// ```
    pub fn values(&self) -> OrdIter<'_, K, V, R> {
        self.iter()
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
    /// let jobs: hedgerow::OrdMap<u32, String> = [(3, "late".into()), (1, "early".into())].into();
    /// assert_eq!(*jobs.pop_first().unwrap(), "early");
    /// assert_eq!(jobs.len(), 1);
    /// ```
    pub fn pop_first(&self) -> Option<Removed<'_, K, V>> {
        self.remove_neighbour(Neighbour::From(unbounded::<RawKey<K>>()))
    }

    /// Removes the entry with the greatest key and returns it. Otherwise like [`pop_first`](Self::pop_first).
    ///
    /// ```
    /// let jobs: hedgerow::OrdMap<u32, String> = [(3, "late".into()), (1, "early".into())].into();
    /// assert_eq!(*jobs.pop_last().unwrap(), "late");
    /// ```
    pub fn pop_last(&self) -> Option<Removed<'_, K, V>> {
        self.remove_neighbour(Neighbour::UpTo(unbounded::<RawKey<K>>()))
    }

    /// Keeps the entries for which `keep` returns true, leaf by leaf. To learn how many are removed, count what
    /// [`extract_if`](Self::extract_if) returns.
    ///
    /// `keep` runs while nothing is locked, in key order. If another thread changes a leaf before its entries are
    /// removed, `keep` is called for them again. A `keep` that itself writes to that leaf each time never ends.
    /// Allocates a buffer for one leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// map.retain(|key, _| key % 2 == 0);
    /// assert_eq!(map.len(), 5);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let guard = self.readers.pin();
        let keep = |raw: &RawKey<K>, (): &mut ()| {
            let node = Self::live(*raw, &guard);
            keep(node.key(), node.value())
        };
        self.tree().retain(keep).unwrap_or_else(out_of_memory::<K, V, _, _>);
        drop(guard);
        drop(self.free_some());
    }

    /// Returns an iterator that removes the entries for which `wanted` returns true, in key order, one by one as it is
    /// advanced. Entries that it does not reach stay in the map.
    ///
    /// `wanted` runs while nothing is locked. If another thread replaces or removes an entry after `wanted` was called
    /// for it, the iterator skips it. Each removal is atomic by itself. The iterator visits entries as
    /// [`iter`](Self::iter) does. Blocks while another thread writes to an entry's leaf. Allocates a buffer for one
    /// leaf. The iterator holds one guard until it is dropped, so entries that are removed from any map in the meantime
    /// stay alive until then.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// let odd = map.extract_if(|key, _| key % 2 == 1).map(|removed| *removed.value());
    /// assert!(odd.eq([1, 9, 25, 49, 81]) && map.len() == 5);
    /// ```
    pub fn extract_if<F: FnMut(&K, &V) -> bool>(&self, wanted: F) -> OrdExtractIf<'_, K, V, R, F> {
        OrdExtractIf::new(self, wanted)
    }

    /// Returns an iterator that removes all entries, in key order, one by one as it is advanced. Entries that it does
    /// not reach stay in the map, and so may those that are inserted concurrently. Blocks and allocates as
    /// [`extract_if`](Self::extract_if) does, and holds a guard for as long.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert!(map.drain().map(|removed| *removed.key()).eq([1, 2]));
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Removed<'_, K, V>> + use<'_, K, V, R> {
        self.extract_if(|_, _| true)
    }

    /// Removes every entry, leaf by leaf. Keeps the leaves for entries to come.
    ///
    /// An entry that is inserted concurrently may stay. Blocks while another thread writes to a leaf. Allocates a
    /// buffer for one leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a')].into();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// Removes the entries within `bounds`, all as of a single point in time, and returns their number.
    ///
    /// Locks all leaves of the range while the remaining entries of the first and the last leaf are moved. Readers of
    /// the range wait that long. Starts again if a leaf changes before it is locked. Allocates a word an entry, and
    /// running out of memory is handled as in std's collections. Linearizes when the last leaf is locked.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert_eq!(map.remove_range(100..900), 800);
    /// assert_eq!(map.len(), 200);
    /// ```
    pub fn remove_range<Q, B>(&self, bounds: B) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        let guard = self.readers.pin();
        let removed = self.tree().remove_range(self.bounds(&bounds));
        let removed = removed.unwrap_or_else(out_of_memory::<K, V, _, _>);
        drop(guard);
        drop(self.free_some());
        removed
    }
}
