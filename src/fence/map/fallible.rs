//! Operations that neither wait nor abort, for interrupt handlers and for callers that must survive a lack of memory.
//!
//! On failure, each hands back its arguments and leaves the map's entries as they were.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::fence_map::FenceMap;
use crate::api::failure::Failure;
use crate::api::op::{Altered, Computed, Op, noting};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::fence::tree::rank::Ranking;
use crate::sync::backoff::Backoff;
use equivalent::Comparable;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// As [`insert`](Self::insert), but neither waits nor aborts.
    ///
    /// # Errors
    /// [`TryInsertError::Busy`] if the key's leaf, or a list that a new leaf comes from, is being written, or if the
    /// leaf has changed 64 times while it was read; [`TryInsertError::Alloc`] if there is no memory for a leaf. Either
    /// hands key and value back.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<_, _>::default();
    /// assert_eq!(map.try_insert(1, 'a'), Ok(None));
    /// ```
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, TryInsertError<K, V>> {
        self.try_alter(key, |_| Op::Insert(value))
            .map(|(old, _)| old)
            .map_err(|why| why.hand_back(key, value))
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert). A lack of memory is no error if the key has a value.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<_, _>::default();
    /// assert_eq!(map.try_insert_if_absent(1, 'a'), Ok(Ok(())));
    /// assert_eq!(map.try_insert_if_absent(1, 'b').unwrap().unwrap_err().current, 'a');
    /// ```
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

    /// As [`compute`](Self::compute), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert), with the value that `f` has returned, if any.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::FenceMap::<_, _>::default();
    /// let done = map.try_compute("a", |n: Option<u32>| Op::Insert(n.unwrap_or(0) + 1)).unwrap();
    /// assert_eq!((done.before, done.after), (None, Some(1)));
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

    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if the key's leaf is being written, or has changed 64 times while it was read.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert_eq!(map.try_remove(&"a"), Ok(Some(1)));
    /// ```
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        // A removal allocates nothing, so `Busy` is the only failure.
        self.alter_there(key, Backoff::never(), |_| Op::Remove)
            .map(|(old, _)| old)
            .map_err(|_| Busy)
    }

    /// As [`update`](Self::update), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if the key's leaf is being written, or has changed 64 times while it was read.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert_eq!(map.try_update(&"a", |n| n + 1), Ok(Some(2)));
    /// ```
    pub fn try_update<Q>(&self, key: &Q, f: impl FnMut(V) -> V) -> Result<Option<V>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.alter_there(key, Backoff::never(), Self::updating(f))
            .map(Self::updated)
            .map_err(|_| Busy)
    }

    /// Changes the entry of `key` as `decide` says, but neither waits nor aborts.
    pub(super) fn try_alter(
        &self,
        key: K,
        decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Altered<K, V>, Failure> {
        self.alter(&key, Backoff::never(), decide)
    }
}
