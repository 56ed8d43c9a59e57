//! `OrdMap` with a guard: operations that return plain references.

use super::iter::{PinnedOrdIter, PinnedOrdIterRange, PinnedOrdRange};
use super::map::OrdMap;
use super::nodes::read;
use super::raw::RawKey;
use crate::api::batch::same_length;
use crate::error::{Busy, TryInsertError};
use crate::fence::map::cursor::Cursor;
use crate::fence::tree::neighbour::Neighbour;
use crate::fence::tree::range::unbounded;
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::search::CompareKey;
use crate::reclaim::borrowed::Pinned;
use crate::reclaim::errors::into_error;
use crate::reclaim::guard::HasGuard;
use crate::reclaim::handle::OwnedGuard;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::{guard_methods, pinned_lookup_methods, pinned_methods};
use crate::reclaim::node::Live;
use crate::reclaim::pair::out_of_memory;
use crate::reclaim::retired::WaitMode;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::ops::{Bound, RangeBounds};
use equivalent::Comparable;

impl<K, V, R> OrdMap<K, V, R> {
    guard_methods!("OrdMap<&str, &str>");
}

impl<K: Ord, V, R: Ranking<K>, G: HasGuard> Pinned<'_, OrdMap<K, V, R>, G> {
    pinned_lookup_methods!(OrdMap, where [Q: Comparable<K> + ?Sized, R: Ranking<Q>]);

    fn borrow(&self, raw: RawKey<K>) -> (&K, &V) {
        OrdMap::<K, V, R>::live(raw, self.guard()).entry()
    }

    fn neighbour(&self, neighbour: Neighbour<impl CompareKey<RawKey<K>>>) -> Option<(&K, &V)> {
        self.map().neighbour(neighbour).map(|raw| self.borrow(raw))
    }

    /// As [`get`](Self::get), but never waits: for interrupt handlers, and for callers that must not spin.
    ///
    /// # Errors
    /// [`Busy`] if the key's leaf is being written, or has changed 64 times while it was read.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.pin().try_get("rose"), Ok(Some(&1)));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<&V>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let found = self.map().find_in(WaitMode::NON_BLOCKING, key, self.guard())?;
        Ok(found.map(Live::value))
    }

    /// Stores the value of each of `keys` in `values`. Same as a [`get`](Self::get) of each.
    ///
    /// Each lookup is an operation of its own: a batch is not atomic. [`snapshot_many`](Self::snapshot_many) is.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// let map = map.pin();
    /// let mut counts = [None; 2];
    /// map.get_many(&["thorn", "rose"], &mut counts);
    /// assert_eq!(counts, [None, Some(&1)]);
    /// ```
    pub fn get_many<'p, Q>(&'p self, keys: &[&Q], values: &mut [Option<&'p V>])
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        same_length(keys.len(), values.len());
        for (key, value) in keys.iter().zip(values) {
            *value = self.get(*key);
        }
    }

    /// Returns the values of all `keys` as a consistent snapshot.
    ///
    /// Takes no lock and writes no shared memory. Starts again if one of the leaves changes in the meantime, any number
    /// of times. Waits while one of the leaves is being written. Allocates a few words per key. Linearizes between the
    /// first read of the last leaf and the validation of all leaves.
    ///
    /// ```
    /// let stock: hedgerow::OrdMap<String, u32> = [("rose".into(), 1), ("hazel".into(), 2)].into();
    /// assert_eq!(stock.pin().snapshot_many(&["rose", "thorn", "hazel"]), [Some(&1), None, Some(&2)]);
    /// ```
    pub fn snapshot_many<Q>(&self, keys: &[&Q]) -> Vec<Option<&V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let target = keys.iter().map(|key| self.map().search_key(*key)).collect::<Vec<_>>();
        let found = self.map().tree().get_snapshot(&target, read, Backoff::spinning());
        let found = found.unwrap_or_else(out_of_memory::<K, V, _, _>);
        found.into_iter().map(|raw| raw.map(|raw| self.borrow(raw).1)).collect()
    }

    /// Returns the entry with the smallest key: see [`OrdMap::first_key_value`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// let map = map.pin();
    /// assert_eq!(map.first_key_value(), Some((&1, &'a')));
    /// ```
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.neighbour(Neighbour::From(unbounded::<RawKey<K>>()))
    }

    /// Returns the entry with the greatest key: see [`OrdMap::last_key_value`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// let map = map.pin();
    /// assert_eq!(map.last_key_value(), Some((&3, &'c')));
    /// ```
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.neighbour(Neighbour::UpTo(unbounded::<RawKey<K>>()))
    }

    /// Returns the entry with the greatest key that is not greater than `key`: see [`OrdMap::floor`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// let map = map.pin();
    /// assert_eq!(map.floor(&2), Some((&1, &'a')));
    /// ```
    pub fn floor<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::UpTo(Bound::Included(self.map().search_key(key))))
    }

    /// Returns the entry with the smallest key that is not less than `key`: see [`OrdMap::ceiling`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// let map = map.pin();
    /// assert_eq!(map.ceiling(&2), Some((&3, &'c')));
    /// ```
    pub fn ceiling<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::From(Bound::Included(self.map().search_key(key))))
    }

    /// Returns the entry with the greatest key that is less than `key`: see [`OrdMap::predecessor`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// let map = map.pin();
    /// assert_eq!(map.predecessor(&3), Some((&1, &'a')));
    /// ```
    pub fn predecessor<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::UpTo(Bound::Excluded(self.map().search_key(key))))
    }

    /// Returns the entry with the smallest key that is greater than `key`: see [`OrdMap::successor`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (3, 'c')].into();
    /// let map = map.pin();
    /// assert_eq!(map.successor(&1), Some((&3, &'c')));
    /// ```
    pub fn successor<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.neighbour(Neighbour::From(Bound::Excluded(self.map().search_key(key))))
    }

    /// Returns the entries within `bounds`, in key order, as a consistent snapshot: see [`OrdMap::range`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..100).map(|n| (n, n * n)).collect();
    /// assert_eq!(map.pin().range(50..).next_back(), Some((&99, &9801)));
    /// ```
    pub fn range<Q, B>(&self, bounds: B) -> PinnedOrdRange<'_, K, V, G>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        PinnedOrdRange::new(self.map().raws(bounds), self.holder())
    }

    /// Returns the entries within `bounds`, in key order, leaf by leaf: see [`OrdMap::iter_range`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert!(map.pin().iter_range(10..20).map(|(key, _)| *key).eq(10..20));
    /// ```
    pub fn iter_range<Q, B: RangeBounds<Q>>(
        &self,
        bounds: B,
    ) -> PinnedOrdIterRange<'_, Q, B, K, V, R, G>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        PinnedOrdIterRange::new(self.map(), bounds, self.holder())
    }

    /// Returns all entries, in key order: see [`OrdMap::iter`].
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.pin().iter().collect::<Vec<_>>(), [(&1, &'a'), (&2, &'b')]);
    /// ```
    pub fn iter(&self) -> PinnedOrdIter<'_, K, V, R, G> {
        PinnedOrdIter::new(self.map(), self.holder())
    }

    /// Returns all keys, in order, as [`iter`](Self::iter) sees them.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.pin().keys().collect::<Vec<_>>(), [&1, &2]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns all values, in the order of their keys, as [`iter`](Self::iter) sees them.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    /// assert_eq!(map.pin().values().collect::<String>(), "ab");
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Passes entries to `f`, in key order, from `cursor` on, until there were at least `budget` of them. Returns where
    /// to go on, or `None` at the end. Each call does at least one leaf, and each leaf is a consistent snapshot. The
    /// guard need not be held from one call to the next, because the cursor has a clone of a key.
    ///
    /// A key that stays in the map from the first call to the last is passed exactly once; a key that is inserted or
    /// removed meanwhile, at most once. `f` runs with nothing locked. Allocates a buffer for one leaf. Waits while a
    /// writer is inside a leaf.
    ///
    /// ```
    /// use hedgerow::fence::Cursor;
    ///
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let (mut keys, mut place) = (Vec::new(), Some(Cursor::default()));
    /// while let Some(cursor) = place {
    ///     place = map.pin().scan(cursor, 100, |key, _| keys.push(*key));
    ///     map.remove(&0);
    /// }
    /// assert!(keys.into_iter().eq(0..1000));
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as in the other maps, one goes in and one comes out"
    )]
    pub fn scan<'p>(
        &'p self,
        cursor: Cursor<K>,
        budget: usize,
        mut f: impl FnMut(&'p K, &'p V),
    ) -> Option<Cursor<K>>
    where
        K: Clone,
    {
        let (map, mut shown, mut some) = (self.map(), 0, Vec::new());
        let start = cursor.0.as_ref().map(|key| map.search_key(key));
        let next = map.tree().copy_first_leaf(start, unbounded(), &mut some);
        let mut next = next.unwrap_or_else(out_of_memory::<K, V, _, _>);
        loop {
            for (raw, ()) in some.drain(..) {
                let (key, value) = self.borrow(raw);
                f(key, value);
                shown += 1;
            }
            let place = next?;
            if shown >= budget {
                // SAFETY: a bound that was found under the guard.
                return Some(Cursor(place.from.map(|raw| unsafe { raw.key() }.clone())));
            }
            let done = map.tree().copy_next_leaf(place, unbounded(), &mut some);
            next = done.unwrap_or_else(out_of_memory::<K, V, _, _>);
        }
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>, G: HasGuard> Pinned<'_, OrdMap<K, V, R>, G> {
    pinned_methods!(OrdMap);
}

impl<'p, K, V, R, G> IntoIterator for &'p Pinned<'_, OrdMap<K, V, R>, G>
where
    K: Ord,
    R: Ranking<K>,
    G: HasGuard,
{
    type Item = (&'p K, &'p V);
    type IntoIter = PinnedOrdIter<'p, K, V, R, G>;

    fn into_iter(self) -> PinnedOrdIter<'p, K, V, R, G> {
        self.iter()
    }
}
