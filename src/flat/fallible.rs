//! Operations that neither wait nor abort: for interrupt handlers, and for callers that must not run out of memory.
//!
//! If they fail, they hand back what they were given, and leave the map as it was. `or_insert_methods` writes
//! `try_get_or_insert_with`.
#![allow(clippy::type_complexity)] // Results name all that they hand back.

use super::map::FlatMap;
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::api::op::{Computed, Op, noting};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::sync::backoff::Backoff;
use crate::table::write::Altered;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    /// Does what [`insert`](Self::insert) does, but neither waits nor aborts. It may call the allocator.
    ///
    /// # Errors
    /// [`TryInsertError::Busy`] if the key's bin is being written, [`TryInsertError::Alloc`] if there is no memory for
    /// the entry. Both hand key and value back, and leave the map unchanged.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!(map.try_insert(1, 'a'), Ok(None));
    /// ```
    #[inline]
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, TryInsertError<K, V>> {
        self.try_insert_hashed(self.hash(&key), key, value)
    }

    /// Does what [`insert_if_absent`](Self::insert_if_absent) does, but neither waits nor aborts.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). If the key has a value, a lack of memory is no error.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!(map.try_insert_if_absent(1, 'a'), Ok(Ok(())));
    /// assert_eq!(map.try_insert_if_absent(1, 'b').unwrap().unwrap_err().current, 'a');
    /// ```
    #[inline]
    pub fn try_insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V, V>>, TryInsertError<K, V>> {
        let decide = |old: Option<V>| if old.is_none() { Op::Insert(value) } else { Op::Keep };
        self.try_alter(key, decide)
            .map(|(old, _)| OccupiedError::unless_absent(old, key, value))
            .map_err(|why| why.hand_back(key, value))
    }

    /// Does what [`insert_many`](Self::insert_many) does, but neither waits nor aborts: it ends at the first entry that
    /// cannot be inserted at once.
    ///
    /// # Errors
    /// The number of that entry in the slice, with its error of [`try_insert`](Self::try_insert). The entries before it
    /// are in the map, and `before` has their answers; the rest of `before` is as it was.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// let entries = [(1, 'a'), (2, 'b'), (1, 'c')];
    /// let (mut before, mut done) = ([None; 3], 0);
    /// while let Err((at, _why)) = map.try_insert_many(&entries[done..], &mut before[done..]) {
    ///     done += at; // do something else, and continue there
    /// }
    /// assert_eq!(before, [None, None, Some('a')]);
    /// ```
    pub fn try_insert_many(
        &self,
        entries: &[(K, V)],
        before: &mut [Option<V>],
    ) -> Result<(), (usize, TryInsertError<K, V>)> {
        self.alter_many(
            entries,
            before,
            |(key, _)| self.hash(key),
            |hash, &(key, value)| self.try_insert_hashed(hash, key, value),
        )
    }

    /// Does what [`compute`](Self::compute) does, but neither waits nor aborts.
    ///
    /// If the bin has changed since `f` ran, another attempt would count as waiting, so this returns the error. `f`
    /// runs while nothing is locked, and may run more than once all the same.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert); `f` may or may not have run. The error hands back the key, and the
    /// value that `f` wanted to store last, if any. Removing and keeping need no memory.
    ///
    /// ```
    /// use hedgerow::{Op, error::TryInsertError};
    /// let map = hedgerow::FlatMap::<_, u32>::default();
    /// assert_eq!(map.try_compute("a", |_| Op::Insert(1)).map(|done| done.after), Ok(Some(1)));
    /// // As if another writer were always inside the bin.
    /// let busy = map.try_compute("a", |_| { map.insert("a", 5); Op::Insert(2) });
    /// assert_eq!(busy, Err(TryInsertError::Busy { key: "a", value: Some(2) }));
    /// ```
    pub fn try_compute(
        &self,
        key: K,
        f: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Computed<V>, TryInsertError<K, Option<V>>> {
        let mut wanted = None;
        let done = self.try_alter(key, noting(f, &mut wanted));
        done.map(Self::computed).map_err(|why| why.hand_back(key, wanted))
    }

    /// Does what [`compare_exchange`](Self::compare_exchange) does, but neither waits nor aborts.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with `new` handed back: nothing was compared, or nothing was stored.
    /// The inner result is `compare_exchange`'s.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// assert_eq!(map.try_compare_exchange(1, Some('a'), Some('b')), Ok(Ok(Some('a'))));
    /// assert_eq!(map.try_compare_exchange(1, Some('a'), Some('c')), Ok(Err(Some('b'))));
    /// ```
    pub fn try_compare_exchange(
        &self,
        key: K,
        current: Option<V>,
        new: Option<V>,
    ) -> Result<Result<Option<V>, Option<V>>, TryInsertError<K, Option<V>>>
    where
        V: PartialEq,
    {
        let mut same = false;
        let decide = |old| Self::exchange(old, current, new, &mut same);
        self.try_alter(key, decide)
            .map(|(before, _)| if same { Ok(before) } else { Err(before) })
            .map_err(|why| why.hand_back(key, new))
    }

    /// Does what [`remove`](Self::remove) does, but never waits. Allocates nothing.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written, or if the bin has overflowed and another thread holds the lock of
    /// overflow lines. The map is unchanged.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.try_remove("a"), map.try_remove("a")), (Ok(Some(1)), Ok(None)));
    /// ```
    #[inline]
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.try_alter_hashed(self.hash(key), key, Backoff::never(), |_| Op::Remove)
            .map(|done| done.map(|(value, _)| value))
            .map_err(|_| Busy)
    }

    /// Does what [`update`](Self::update) does, but never waits. Allocates nothing.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written, or has been written since `f` ran. The value is unchanged.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert_eq!(map.try_update("a", |n| n + 1), Ok(Some(2)));
    /// assert_eq!(map.try_update("b", |n| n + 1), Ok(None));
    /// ```
    #[inline]
    pub fn try_update<Q>(&self, key: &Q, mut f: impl FnMut(V) -> V) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let decide = |value| Op::Insert(f(value));
        match self.try_alter_hashed(self.hash(key), key, Backoff::never(), decide) {
            Ok(Some((_, Op::Insert(new)))) => Ok(Some(new)),
            Ok(_) => Ok(None),
            Err(_) => Err(Busy),
        }
    }

    #[inline]
    fn try_insert_hashed(
        &self,
        hash: KeyHash,
        key: K,
        value: V,
    ) -> Result<Option<V>, TryInsertError<K, V>> {
        self.alter(hash, key, Backoff::never(), |_| Op::Insert(value))
            .map(|(old, _)| old)
            .map_err(|why| why.hand_back(key, value))
    }

    /// Changes the entry of `key` as `decide` says, but neither waits nor aborts.
    #[inline]
    pub(super) fn try_alter(
        &self,
        key: K,
        decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Altered<K, V>, Failure> {
        self.alter(self.hash(&key), key, Backoff::never(), decide)
    }
}
