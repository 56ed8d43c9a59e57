//! A view of many keys at once.

use super::bin::Hashed;
use super::reader::ReadHandle;
use super::side::{Entries, View};
use super::storage::{Boxed, Storage};
use crate::api::hasher::DefaultHashBuilder;
use core::array;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ptr::NonNull;
use equivalent::Equivalent;

/// One published state of a map, for as long as it is held. From [`ReadHandle::enter`].
pub struct Snapshot<'a, K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    handle: &'a ReadHandle<K, V, S, P>,
    view: View<P::Entry>,
}

impl<K, V, S, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    /// Returns a snapshot for reading many keys: all reads see one published state.
    ///
    /// Wait-free; allocates nothing. A read of a snapshot costs what a read of a plain hash table costs. While the
    /// snapshot is held, the writer can publish once. It defers later changes
    /// ([`WriteHandle::stalled_readers`](super::WriteHandle::stalled_readers)).
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
    /// The number of entries. O(1).
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert_eq!(r.enter().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.view.len
    }

    /// Whether there are no entries. O(1).
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(r.enter().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many publishes there were up to this state.
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

    /// All entries, in no order.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([(1, 'a'), (2, 'b')]);
    /// w.publish();
    /// assert_eq!(r.enter().iter().map(|(key, _)| key).sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, P> {
        // SAFETY: the handle looks as long as `self` lives, which the iterator borrows.
        Iter { entries: unsafe { self.view.entries() }, pairs: PhantomData }
    }

    /// All keys, in no order.
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

    /// All values, in no order.
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
    /// Visits a few entries, in the order of a hash of their keys, and tells where to go on: a walk that can be put
    /// down between two snapshots, however the map has changed and grown. None is where it ends, 0 where it begins.
    ///
    /// An entry that is there all the time is visited; one that comes or goes meanwhile may be. As long as the map has
    /// as many bins none is visited twice. Wait-free, if `each` is; allocates nothing; O(1) expected, and O(n / k)
    /// calls for a walk, where about k = 5 entries are visited by one. Calls the hasher for each of them, and for some
    /// others.
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
        // SAFETY: the handle looks as long as `self` lives, so nothing that the view leads to changes or goes.
        unsafe {
            // What a node knows of its hash is the writer's, who may have taken it out of the other side.
            let key = |entry: &P::Entry| P::pair(NonNull::from(entry)).0;
            let hash = |entry: &P::Entry| self.handle.shared().hash(key(entry));
            self.view.visit(Hashed(from), hash, |entry| {
                let (key, value) = P::pair(NonNull::from(entry));
                each(key, value);
            })
        }
    }

    #[inline(always)]
    fn find<Q>(&self, hash: Hashed, key: &Q) -> Option<(&K, &V)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        // SAFETY: the handle looks as long as `self` lives, so nothing that the view leads to changes or goes.
        unsafe {
            let is = move |entry: &P::Entry| key.equivalent(P::pair(NonNull::from(entry)).0);
            self.view.find(hash, is).map(|entry| P::pair(NonNull::from(entry)))
        }
    }

    /// The key's value. O(1) expected.
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

    /// The entry's key and value. O(1) expected.
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

    /// Begins a look-up that [`end_lookup`](Self::end_lookup) ends: hashes the key, and has the processor fetch what
    /// the hash leads to. Whoever begins several before the first is ended waits for memory once.
    ///
    /// [`get_many`](Self::get_many) does that for keys of one map. This is for those of several maps, or in several
    /// stages: a look-up may be ended in a later snapshot of the same map than it was begun in.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([("rose", "red"), ("daisy", "white")]);
    /// w.publish();
    /// let begun = ["rose", "daisy"].map(|key| (key, r.enter().begin_lookup(key)));
    /// // What the keys' entries refer to can be fetched as well.
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

    /// Visits entries that the key of a look-up may have: the one that it has, if there is one and it lies in its own
    /// place, and hardly ever another. To fetch what they refer to; [`end_lookup`](Self::end_lookup) says which it is.
    #[inline]
    pub fn likely(&self, lookup: Lookup, mut each: impl FnMut(&K, &V)) {
        // SAFETY: the handle looks as long as `self` lives, so nothing that the view leads to changes or goes.
        unsafe {
            self.view.likely(lookup.0, |entry| {
                let (key, value) = P::pair(NonNull::from(entry));
                each(key, value);
            });
        }
    }

    /// The key and value of the entry whose look-up was begun with an equal key; with another it may be none. O(1)
    /// expected.
    #[inline]
    pub fn end_lookup<Q>(&self, lookup: Lookup, key: &Q) -> Option<(&K, &V)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.find(lookup.0, key)
    }

    /// Whether there is an entry for `key`. O(1) expected.
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

    /// The value of each of `keys`: as [`get`](Self::get) of each in turn, but the waits for memory overlap, so
    /// that a table larger than the caches answers sooner.
    ///
    /// Sixteen keys at a time gain most of it.
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

/// A look-up that was begun: what [`Snapshot::begin_lookup`] found of its key.
#[derive(Clone, Copy, Debug)]
pub struct Lookup(Hashed);

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

/// The entries of a [`Snapshot`], in no order.
pub struct Iter<'s, K, V, P: Storage<K, V> = Boxed> {
    entries: Entries<'s, P::Entry>,
    pairs: PhantomData<&'s (K, V)>,
}

impl<'s, K, V, P: Storage<K, V>> Iterator for Iter<'s, K, V, P> {
    type Item = (&'s K, &'s V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (_, entry) = self.entries.next()?;
        // SAFETY: the iterator borrows the snapshot, whose handle looks.
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
