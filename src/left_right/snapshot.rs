//! Snapshots: reads of many keys in one published state.

use super::bin::MixedHash;
use super::reader::ReadHandle;
use super::side::{SideEntries, SideView};
use super::storage::{Boxed, Storage};
use crate::api::hasher::DefaultHashBuilder;
use core::array;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ptr::NonNull;
use equivalent::Equivalent;

/// One published state of a map, for as long as the snapshot is held. Made by [`ReadHandle::enter`].
pub struct Snapshot<'a, K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    handle: &'a ReadHandle<K, V, S, P>,
    view: SideView<P::Entry>,
}

impl<K, V, S, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    /// Returns a snapshot for reading many keys: all reads see one published state.
    ///
    /// Wait-free; allocates nothing. Reads of a snapshot cost as much as those of a plain hash table. While the
    /// snapshot is held, the writer can publish once more; after that its changes are deferred
    /// ([`WriteHandle::stalled_readers`](super::WriteHandle::stalled_readers)).
    ///
    /// # Panics
    /// If this handle already has 4,095 guards and snapshots (255 on 32-bit targets), leaked ones included.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([("from", 1), ("to", 2)]);
    /// w.publish();
    /// let snapshot = r.enter();
    /// assert_eq!((snapshot.get("from"), snapshot.get("to")), (Some(&1), Some(&2)));
    /// ```
    #[inline(always)]
    pub fn enter(&self) -> Snapshot<'_, K, V, S, P> {
        Snapshot { view: self.begin_read(), handle: self }
    }
}

impl<K, V, S, P: Storage<K, V>> Snapshot<'_, K, V, S, P> {
    /// Returns the number of entries. O(1).
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert_eq!(r.enter().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.view.len
    }

    /// Returns true if there are no entries. O(1).
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(r.enter().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of publishes up to this state.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// let before = r.enter().generation();
    /// w.insert(1, 'a');
    /// w.publish();
    /// assert_eq!(r.enter().generation(), before + 1);
    /// ```
    pub fn generation(&self) -> u64 {
        self.view.generation
    }

    /// Returns an iterator over all entries, in no particular order.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([(1, 'a'), (2, 'b')]);
    /// w.publish();
    /// assert_eq!(r.enter().iter().map(|(key, _)| key).sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, P> {
        // SAFETY: the read section lasts as long as `self`, which the iterator borrows.
        Iter { entries: unsafe { self.view.entries() }, pairs: PhantomData }
    }

    /// Returns an iterator over all keys, in no particular order.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// w.publish();
    /// assert_eq!(r.enter().keys().collect::<Vec<_>>(), [&1]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns an iterator over all values, in no particular order.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// w.publish();
    /// assert_eq!(r.enter().values().collect::<Vec<_>>(), [&'a']);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> Snapshot<'_, K, V, S, P> {
    /// Visits a few entries, in the order of a hash of their keys, and returns where to continue. A scan starts with 0
    /// and ends when `None` is returned. Each call may use another snapshot, even if the map has changed and grown in
    /// between.
    ///
    /// A scan visits each entry that is present throughout, and may visit entries that are inserted or removed
    /// concurrently. It visits an entry twice only if the number of bins changes. Wait-free, if `each` is; allocates
    /// nothing; O(1) expected. A call visits one bin, which has about five entries in a full table, so a scan takes
    /// O(capacity) calls. Calls the hasher for each of the entries, and for some others.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend((0..100).map(|key| (key, ())));
    /// w.publish();
    /// let (mut from, mut seen) = (Some(0), vec![]);
    /// while let Some(at) = from {
    ///     from = r.enter().scan(at, |key, ()| seen.push(*key));
    /// }
    /// seen.sort();
    /// assert!(seen.into_iter().eq(0..100));
    /// ```
    pub fn scan(&self, from: u64, mut each: impl FnMut(&K, &V)) -> Option<u64> {
        // SAFETY: the read section lasts as long as `self`, so the entries of the view neither change nor are freed.
        unsafe {
            // The hash in a node belongs to the writer, which may have overwritten it with a link.
            let key = |entry: &P::Entry| P::pair(NonNull::from(entry)).0;
            let hash = |entry: &P::Entry| self.handle.shared().hash(key(entry));
            self.view.visit(MixedHash(from), hash, |entry| {
                let (key, value) = P::pair(NonNull::from(entry));
                each(key, value);
            })
        }
    }

    #[inline(always)]
    fn find<Q>(&self, hash: MixedHash, key: &Q) -> Option<(&K, &V)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        // SAFETY: the read section lasts as long as `self`, so the entries of the view neither change nor are freed.
        unsafe {
            let is = move |entry: &P::Entry| key.equivalent(P::pair(NonNull::from(entry)).0);
            self.view.find(hash, is).map(|entry| P::pair(NonNull::from(entry)))
        }
    }

    /// Returns the value of `key`. O(1) expected.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", "red");
    /// w.publish();
    /// assert_eq!(r.enter().get("rose"), Some(&"red"));
    /// ```
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(self.handle.shared().hash(key), key).map(|(_, value)| value)
    }

    /// Returns the stored key and value of `key`. O(1) expected.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", "red");
    /// w.publish();
    /// assert_eq!(r.enter().get_key_value("rose"), Some((&"rose", &"red")));
    /// ```
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(self.handle.shared().hash(key), key)
    }

    /// Returns a clone of the value of `key`, or the default value. O(1) expected.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 1);
    /// w.publish();
    /// let snapshot = r.enter();
    /// assert_eq!((snapshot.get_or_default(&7), snapshot.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone + Default,
    {
        self.get(key).cloned().unwrap_or_default()
    }

    /// Begins a lookup that [`end_lookup`](Self::end_lookup) ends: hashes the key and prefetches its bin.
    ///
    /// If you begin several lookups before you end the first, their cache misses overlap. [`get_many`](Self::get_many)
    /// does that for the keys of one map; use this for keys of several maps, or for lookups in several stages. A lookup
    /// may be ended in a later snapshot of the same map.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([("rose", "red"), ("daisy", "white")]);
    /// w.publish();
    /// let begun = ["rose", "daisy"].map(|key| (key, r.enter().begin_lookup(key)));
    /// // This is the time to prefetch what the entries point to.
    /// for (_, lookup) in &begun {
    ///     r.enter().likely(*lookup, |_, _| ());
    /// }
    /// let snapshot = r.enter();
    /// let found = begun.map(|(key, lookup)| snapshot.end_lookup(lookup, key));
    /// assert_eq!(found, [Some((&"rose", &"red")), Some((&"daisy", &"white"))]);
    /// ```
    #[inline]
    pub fn begin_lookup<Q>(&self, key: &Q) -> Lookup
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.handle.shared().hash(key);
        self.view.prefetch(hash);
        Lookup(hash)
    }

    /// Visits the entries that may belong to a lookup, so that the caller can prefetch what they point to. It visits
    /// the entry of the key, if that is in its home bin, and hardly ever another. [`end_lookup`](Self::end_lookup)
    /// returns the right one.
    #[inline]
    pub fn likely(&self, lookup: Lookup, mut each: impl FnMut(&K, &V)) {
        // SAFETY: the read section lasts as long as `self`, so the entries of the view neither change nor are freed.
        unsafe {
            self.view.likely(lookup.0, |entry| {
                let (key, value) = P::pair(NonNull::from(entry));
                each(key, value);
            });
        }
    }

    /// Returns the stored key and value of `key`, if the lookup was begun with an equal key. With another key it may
    /// return `None`. O(1) expected.
    #[inline]
    pub fn end_lookup<Q>(&self, lookup: Lookup, key: &Q) -> Option<(&K, &V)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.find(lookup.0, key)
    }

    /// Returns true if there is an entry for `key`. O(1) expected.
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(!r.enter().contains_key(&7));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key).is_some()
    }

    /// Returns the values of `keys`, as [`get`](Self::get) does for each of them. Cache misses overlap, so this is
    /// faster if the table is larger than the caches. Sixteen keys at a time gain most of it.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([(1, 'a'), (2, 'b')]);
    /// w.publish();
    /// assert_eq!(r.enter().get_many([&2, &3, &1]), [Some(&'b'), None, Some(&'a')]);
    /// ```
    #[inline]
    pub fn get_many<Q, const N: usize>(&self, keys: [&Q; N]) -> [Option<&V>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashes = keys.map(|key| {
            let hash = self.handle.shared().hash(key);
            self.view.prefetch(hash);
            hash
        });
        array::from_fn(|at| self.find(hashes[at], keys[at]).map(|(_, value)| value))
    }
}

/// A lookup that [`Snapshot::begin_lookup`] has begun.
#[derive(Clone, Copy, Debug)]
pub struct Lookup(MixedHash);

impl<K, V, S, P: Storage<K, V>> Drop for Snapshot<'_, K, V, S, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.handle.end_read();
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S, P: Storage<K, V>> fmt::Debug for Snapshot<'_, K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'s, K, V, S, P: Storage<K, V>> IntoIterator for &'s Snapshot<'_, K, V, S, P> {
    type Item = (&'s K, &'s V);
    type IntoIter = Iter<'s, K, V, P>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a [`Snapshot`], in no particular order.
pub struct Iter<'s, K, V, P: Storage<K, V> = Boxed> {
    entries: SideEntries<'s, P::Entry>,
    pairs: PhantomData<&'s (K, V)>,
}

impl<'s, K, V, P: Storage<K, V>> Iterator for Iter<'s, K, V, P> {
    type Item = (&'s K, &'s V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (_, entry) = self.entries.next()?;
        // SAFETY: the iterator borrows the snapshot, whose read section has not ended.
        Some(unsafe { P::pair(NonNull::from(entry)) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl<K, V, P: Storage<K, V>> ExactSizeIterator for Iter<'_, K, V, P> {}
impl<K, V, P: Storage<K, V>> FusedIterator for Iter<'_, K, V, P> {}

impl<K, V, P: Storage<K, V>> Clone for Iter<'_, K, V, P> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), pairs: PhantomData }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, P: Storage<K, V>> fmt::Debug for Iter<'_, K, V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}
