//! Twins that neither wait nor abort: for interrupt handlers, and for callers who may not run out of memory.
//!
//! Each hands back what it was given, and leaves the map as it was. Those of `Entry` are beside it.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::FlatMap;
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::sync::backoff::Backoff;
use crate::table::write::Altered;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    /// As [`insert`](Self::insert), but neither waits nor aborts. It may call the allocator.
    ///
    /// # Errors
    /// [`TryInsertError::Busy`] when a writer is inside the key's bin, [`TryInsertError::Alloc`] when there
    /// is no memory for the entry; either hands key and value back and leaves the map as it was.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!(map.try_insert(1, 'a'), Ok(None));
    /// ```
    #[inline]
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, TryInsertError<K, V>> {
        self.try_insert_hashed(self.hash(&key), key, value)
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert). If the key has a value, a lack of memory is no error.
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

    /// As [`insert_many`](Self::insert_many), but neither waits nor aborts: it ends at the first entry that
    /// cannot be inserted at once.
    ///
    /// # Errors
    /// The place of that entry, and why, as [`try_insert`](Self::try_insert) says it. The entries before it
    /// are in the map, and `before` has their answers; it is as it was from there on.
    ///
    /// # Panics
    /// When the slices differ in length.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// let entries = [(1, 'a'), (2, 'b'), (1, 'c')];
    /// let (mut before, mut done) = ([None; 3], 0);
    /// while let Err((at, _why)) = map.try_insert_many(&entries[done..], &mut before[done..]) {
    ///     done += at; // do something else, and go on from there
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

    /// As [`compute`](Self::compute), but neither waits nor aborts.
    ///
    /// Where the bin has changed since `f` was shown the value, trying again counts as waiting. `f` runs with
    /// nothing locked, and may run more than once all the same.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert), when `f` may or may not have run; what it wanted to be stored
    /// last, if anything, is handed back with the key. Removing and keeping need no memory.
    ///
    /// ```
    /// use hedgerow::{Op, error::TryInsertError};
    /// let map = hedgerow::FlatMap::<_, u32>::default();
    /// assert_eq!(map.try_compute("a", |_| Op::Insert(1)).map(|done| done.after), Ok(Some(1)));
    /// // Stands for a writer that is always inside the bin.
    /// let busy = map.try_compute("a", |_| { map.insert("a", 5); Op::Insert(2) });
    /// assert_eq!(busy, Err(TryInsertError::Busy { key: "a", value: Some(2) }));
    /// ```
    pub fn try_compute(
        &self,
        key: K,
        mut f: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Computed<V>, TryInsertError<K, Option<V>>> {
        let mut wanted = None;
        let decide = |old| {
            let op = f(old);
            wanted = if let Op::Insert(value) = op { Some(value) } else { None };
            op
        };
        self.try_alter(key, decide).map(Self::computed).map_err(|why| why.hand_back(key, wanted))
    }

    /// As [`compare_exchange`](Self::compare_exchange), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert), with `new` handed back: nothing was compared, or nothing came of
    /// it. The inner result is `compare_exchange`'s.
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

    /// As [`remove`](Self::remove), but never waits. Allocates nothing.
    ///
    /// # Errors
    /// [`Busy`] when a writer is inside the key's bin, or the key lies in a bin that has overflowed and
    /// somebody else has to do with overflow at this moment; the map is as it was.
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

    /// As [`update`](Self::update), but never waits. Allocates nothing.
    ///
    /// # Errors
    /// [`Busy`] when a writer is inside the key's bin, or was since `f` was shown the value; the value is
    /// as it was.
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
    ) -> Result<Altered<K, V, V>, Failure> {
        self.alter(self.hash(&key), key, Backoff::never(), decide)
    }
}
