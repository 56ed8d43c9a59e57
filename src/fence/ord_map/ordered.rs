//! What an `OrdMap` does about the order of its keys: neighbours, ends, ranges, walks.

use super::iter::{OrdExtractIf, OrdIter, OrdIterRange, OrdRange};
use super::map::OrdMap;
use super::ops::out_of_memory;
use super::raw::{NodeQuery, Raw};
use crate::fence::tree::neighbour::Neighbour;
use crate::fence::tree::range::{Bounds, unbounded};
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::search::CompareKey;
use crate::reclaim::borrowed::{KeyRef, Ref};
use crate::reclaim::guard::pin;
use crate::reclaim::removed::Removed;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::ops::{Bound, RangeBounds};
use equivalent::Comparable;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// The caller has a guard.
    pub(super) fn neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<Raw<K>>>,
    ) -> Option<Raw<K>> {
        let found = self.tree().neighbour(neighbour, Backoff::spinning());
        found.unwrap_or_else(out_of_memory::<K, V, _, _>).map(|(raw, ())| raw)
    }

    fn remove_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<Raw<K>>>,
    ) -> Option<Removed<'_, K, V>> {
        self.then_free_bounds(pin(), |_| {
            let mut removed = None;
            let taken = |raw| removed = Some(Removed::new(self.unlinked(raw)));
            let done = self.tree().remove_neighbour(neighbour, Backoff::spinning(), taken);
            done.unwrap_or_else(out_of_memory::<K, V, _, _>);
            removed
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

    /// Returns the entry with the least key, borrowed with a guard of its own.
    ///
    /// Takes no lock and writes no shared memory. Waits while a writer is inside the first leaf. Looks at one leaf, and
    /// at more only if leaves are empty: then it linearizes when all of them are looked at once more, and a thread that
    /// inserts one key and then looks up another needs a fence in between to agree with it about their order
    /// ([`docs::ordering`](crate::docs::ordering)).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.first_key_value().unwrap().pair(), (&1, &'a'));
    /// ```
    pub fn first_key_value(&self) -> Option<Ref<'_, K, V>> {
        let guard = pin();
        let found = self.neighbour(Neighbour::From(unbounded::<Raw<K>>()))?;
        // SAFETY: met under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entry with the greatest key, borrowed with a guard of its own.
    ///
    /// Waits and linearizes as [`first_key_value`](Self::first_key_value) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// assert_eq!(map.last_key_value().unwrap().pair(), (&3, &'c'));
    /// ```
    pub fn last_key_value(&self) -> Option<Ref<'_, K, V>> {
        let guard = pin();
        let found = self.neighbour(Neighbour::UpTo(unbounded::<Raw<K>>()))?;
        // SAFETY: met under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entry with the greatest key that is not greater than `key`, borrowed with a guard of its own.
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
        let guard = pin();
        let found = self.neighbour(Neighbour::UpTo(Bound::Included(self.search_key(key))))?;
        // SAFETY: met under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entry with the least key that is not less than `key`, borrowed with a guard of its own.
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
        let guard = pin();
        let found = self.neighbour(Neighbour::From(Bound::Included(self.search_key(key))))?;
        // SAFETY: met under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entry with the greatest key that is less than `key`, borrowed with a guard of its own.
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
        let guard = pin();
        let found = self.neighbour(Neighbour::UpTo(Bound::Excluded(self.search_key(key))))?;
        // SAFETY: met under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entry with the least key that is greater than `key`, borrowed with a guard of its own.
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
        let guard = pin();
        let found = self.neighbour(Neighbour::From(Bound::Excluded(self.search_key(key))))?;
        // SAFETY: met under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entries within `bounds`, in key order, all as they were at one moment. The iterator has a guard of
    /// its own, and goes both ways.
    ///
    /// Their pointers are copied at once, into memory that is allocated for them; [`iter_range`](Self::iter_range)
    /// needs a leaf's worth, but sees each leaf as of another moment. Bounds that are the wrong way round hold nothing.
    ///
    /// As in `BTreeMap`, bounds may be of any borrowed form of the key; if the compiler has to be told which, it is
    /// told so: `range::<str>((Bound::Included("a"), Bound::Unbounded))`.
    ///
    /// Takes no lock and writes no shared memory, unless writers change some leaf of the range eight times in a row
    /// while it is being copied: then the range's leaves are locked for the time of a copy. Waits while a writer is
    /// inside one of the leaves. Linearizes between the first and the second look at each leaf, or when the last one is
    /// locked.
    ///
    /// ```
    /// use std::ops::Bound::{Excluded, Included};
    ///
    /// let map: hedgerow::OrdMap<String, u32> = ('a'..='e').map(|c| (c.to_string(), c as u32)).collect();
    /// let some = map.range::<str>((Included("b"), Excluded("d")));
    /// assert!(some.map(|entry| entry.key().clone()).eq(["b", "c"]));
    /// assert_eq!(map.range("c".to_string()..).rev().next().unwrap().key(), "e");
    /// ```
    pub fn range<Q>(&self, bounds: impl RangeBounds<Q>) -> OrdRange<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let guard = pin();
        OrdRange::new(self.raws(bounds), guard)
    }

    /// Returns the number of entries within `bounds`, as of one moment; see
    /// [`FenceMap::range_len`](crate::FenceMap::range_len).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (2, 'b'), (9, 'z')].into();
    /// assert_eq!((map.range_len(2..), map.range_len(..9), map.range_len(3..9)), (2, 2, 0));
    /// ```
    pub fn range_len<Q>(&self, bounds: impl RangeBounds<Q>) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let _guard = pin();
        let len = self.tree().range_len(self.bounds(&bounds), Backoff::spinning());
        len.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Returns about the number of entries within `bounds`, without a look at what lies between them; see
    /// [`FenceMap::approximate_range_len`](crate::FenceMap::approximate_range_len).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
    /// let about = map.approximate_range_len(2_000..6_000);
    /// assert!((3_000..5_000).contains(&about));
    /// ```
    pub fn approximate_range_len<Q>(&self, bounds: impl RangeBounds<Q>) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let _guard = pin();
        let len = self.tree().approximate_range_len(self.bounds(&bounds));
        len.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Copies the pointers of a range. The caller has a guard.
    pub(super) fn raws<Q>(&self, bounds: impl RangeBounds<Q>) -> Vec<(Raw<K>, ())>
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

    /// Returns the entries within `bounds`, in key order, leaf by leaf: weakly consistent, and lazy. The iterator has a
    /// guard of its own, and goes both ways.
    ///
    /// Each leaf's entries are as they were at one moment, but that of one leaf is earlier than that of the next. So
    /// this may return an entry that was inserted after another one was, and not that other one. A key that is present
    /// from the iterator's beginning to its end is returned exactly once; one that comes or goes meanwhile at most
    /// once. [`range`](Self::range) is the one without such exceptions.
    ///
    /// Takes no lock. Allocates a buffer for one leaf, and another one for entries from the end. Waits while a writer
    /// is inside the next leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert!(map.iter_range(10..20).map(|entry| *entry.key()).eq(10..20));
    /// assert_eq!(map.iter_range(..500).next_back().as_deref(), Some(&499));
    /// ```
    pub fn iter_range<Q, B: RangeBounds<Q>>(&self, bounds: B) -> OrdIterRange<'_, Q, B, K, V, R>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        OrdIterRange::new(self, bounds)
    }

    /// Returns all entries, in key order, as [`iter_range`](Self::iter_range) sees them.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert!(map.iter().map(|entry| *entry.key()).eq([1, 2]));
    /// ```
    pub fn iter(&self) -> OrdIter<'_, K, V, R> {
        OrdIter::new(self)
    }

    /// Returns all keys, in order, as [`iter`](Self::iter) sees them. The iterator has a guard of its own, as each key
    /// that it returns.
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

    /// Removes the entry with the least key and returns it: the map as a queue by priority.
    ///
    /// No two callers get the same entry. Blocks while another writer is inside its leaf, and linearizes when that is
    /// locked. Then a compare-and-swap confirms each empty leaf on the way to it; if one has changed, the removal
    /// begins again. So a thread that inserts a lesser key, which this removal has not seen, does not find the removed
    /// entry after that. If the map is empty, this writes nothing and linearizes as
    /// [`first_key_value`](Self::first_key_value) does. Allocates nothing, unless many leaves are empty.
    ///
    /// ```
    /// let jobs: hedgerow::OrdMap<u32, String> = [(3, "late".into()), (1, "early".into())].into();
    /// assert_eq!(*jobs.pop_first().unwrap(), "early");
    /// assert_eq!(jobs.len(), 1);
    /// ```
    pub fn pop_first(&self) -> Option<Removed<'_, K, V>> {
        self.remove_neighbour(Neighbour::From(unbounded::<Raw<K>>()))
    }

    /// Removes the entry with the greatest key and returns it. As [`pop_first`](Self::pop_first) in all else.
    ///
    /// ```
    /// let jobs: hedgerow::OrdMap<u32, String> = [(3, "late".into()), (1, "early".into())].into();
    /// assert_eq!(*jobs.pop_last().unwrap(), "late");
    /// ```
    pub fn pop_last(&self) -> Option<Removed<'_, K, V>> {
        self.remove_neighbour(Neighbour::UpTo(unbounded::<Raw<K>>()))
    }

    /// Keeps the entries for which `keep` says true, leaf by leaf.
    ///
    /// `keep` runs with nothing locked, in key order; where a leaf changes between its being asked and the removal, the
    /// leaf's entries are asked about again; a `keep` that writes to that leaf each time never ends. Allocates a
    /// buffer for one leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// map.retain(|key, _| key % 2 == 0);
    /// assert_eq!(map.len(), 5);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let guard = pin();
        let keep = |raw: &Raw<K>, (): &mut ()| {
            let (key, value) = Self::pair_of(*raw, &guard);
            keep(key, value)
        };
        self.tree().retain(keep).unwrap_or_else(out_of_memory::<K, V, _, _>);
        drop(guard);
        self.free_some();
    }

    /// Returns an iterator that removes the entries for which `wanted` returns true, one by one as it is asked for
    /// them, in key order. What it was not asked for stays in the map.
    ///
    /// `wanted` runs with nothing locked. If an entry is replaced or removed after `wanted` was called for it, this
    /// skips it. Each removal is atomic by itself. It goes from entry to entry as [`iter`](Self::iter) does. Blocks
    /// while another writer is inside an entry's leaf. Allocates a buffer for one leaf. The iterator holds one guard
    /// until it is dropped, so nothing that is removed from any map meanwhile is dropped before it.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// let odd = map.extract_if(|key, _| key % 2 == 1).map(|removed| *removed.value());
    /// assert!(odd.eq([1, 9, 25, 49, 81]) && map.len() == 5);
    /// ```
    pub fn extract_if<F: FnMut(&K, &V) -> bool>(&self, wanted: F) -> OrdExtractIf<'_, K, V, R, F> {
        OrdExtractIf::new(self, wanted)
    }

    /// Returns an iterator that removes all entries, one by one as it is asked for them, in key order. An entry that is
    /// inserted meanwhile may stay; so do all that it was not asked for. Blocks and allocates as
    /// [`extract_if`](Self::extract_if) does, and holds a guard as long.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert!(map.drain().map(|removed| *removed.key()).eq([1, 2]));
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Removed<'_, K, V>> + use<'_, K, V, R> {
        self.extract_if(|_, _| true)
    }

    /// Removes every entry, leaf by leaf; keeps the leaves, for entries to come.
    ///
    /// An entry inserted meanwhile may stay. Blocks while another writer is inside a leaf. Allocates a buffer for one
    /// leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a')].into();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// Removes the entries within `bounds`, all at one moment; says how many there were.
    ///
    /// Locks all leaves of the range for the time that it takes to move what stays in the first and the last; readers
    /// of the range wait so long. Begins again if a leaf changes before it is locked. Allocates a word an entry, and
    /// running out of memory is handled as in std's collections. Linearizes when the last leaf is locked.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert_eq!(map.remove_range(100..900), 800);
    /// assert_eq!(map.len(), 200);
    /// ```
    pub fn remove_range<Q>(&self, bounds: impl RangeBounds<Q>) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let guard = pin();
        let removed = self.tree().remove_range(self.bounds(&bounds));
        let removed = removed.unwrap_or_else(out_of_memory::<K, V, _, _>);
        drop(guard);
        self.free_some();
        removed
    }

    /// Frees as much garbage as a removal of one entry does. The caller holds no guard of its own.
    fn free_some(&self) {
        self.owner().entries.free_share();
        self.free_bounds();
    }
}
