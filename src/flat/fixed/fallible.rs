//! `FlatTable`'s operations that never wait, on one entry and the value before it.
#![allow(clippy::type_complexity)] // Results name all that they hand back.

use super::table::FlatTable;
use crate::api::op::{Computed, Op, noting};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::sync::backoff::Backoff;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K, V, const BINS: usize, S> FlatTable<K, V, BINS, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Stores `value` under `key` if the key is absent, as [`insert_if_absent`](Self::insert_if_absent) does, but never
    /// waits.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). Within `Ok`, [`OccupiedError`] if the key has a value.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// assert_eq!(table.try_insert_if_absent(1, 'a'), Ok(Ok(())));
    /// assert_eq!(table.try_insert_if_absent(1, 'b').unwrap().unwrap_err().current, 'a');
    /// ```
    #[inline]
    pub fn try_insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V, V>>, TryInsertError<K, V>> {
        let decide = |old: Option<V>| if old.is_none() { Op::Insert(value) } else { Op::Keep };
        self.try_alter(key, Backoff::never(), decide)
            .map(|(old, _)| OccupiedError::unless_absent(old, key, value))
            .map_err(|why| why.hand_back(key, value))
    }

    /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but never waits.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error hands back the key, and the value that `make` returned, if
    /// it ran.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, usize, 4>::new();
    /// assert_eq!(table.try_get_or_insert_with(7, || 4), Ok(4));
    /// assert_eq!(table.try_get_or_insert_with(7, || unreachable!()), Ok(4));
    /// ```
    #[inline]
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<V, TryInsertError<K, Option<V>>> {
        match self.try_get(&key) {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(Busy) => return Err(TryInsertError::Busy { key, value: None }),
        }
        let made = make();
        match self.try_insert_if_absent(key, made) {
            // Another thread may have inserted the key while `make` ran.
            Ok(done) => Ok(done.map_or_else(|taken| taken.current, |()| made)),
            Err(TryInsertError::Full { .. }) => {
                Err(TryInsertError::Full { key, value: Some(made) })
            }
            Err(_) => Err(TryInsertError::Busy { key, value: Some(made) }),
        }
    }

    /// Replaces the value of `key` by the result of `f` as [`update`](Self::update) does, but never waits: for
    /// interrupt handlers, which would wait forever for the code that they have interrupted.
    ///
    /// # Errors
    /// [`Busy`] if a bin that may hold the key is being written, or has been written since `f` ran. The value is
    /// unchanged. `f` runs at most once.
    ///
    /// ```
    /// static HITS: hedgerow::FlatTable<u8, u32, 4> = hedgerow::FlatTable::new();
    /// assert_eq!(HITS.insert(7, 1), Ok(None)); // main loop
    /// assert_eq!(HITS.try_update(&7, |hits| hits + 1), Ok(Some(2))); // interrupt handler
    /// assert_eq!(HITS.try_update(&8, |hits| hits + 1), Ok(None));
    /// ```
    #[inline]
    pub fn try_update<Q>(&self, key: &Q, mut f: impl FnMut(V) -> V) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.alter_present(key, Backoff::never(), |value| Op::Insert(f(value)))? {
            Some((_, Op::Insert(new))) => Ok(Some(new)),
            _ => Ok(None),
        }
    }

    /// Changes `key`'s entry as `f` decides from its value, as [`compute`](Self::compute) does, but never waits: for
    /// interrupt handlers.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error hands back the key, and the value that `f` wanted to store.
    /// The table is unchanged. `f` runs at most once.
    ///
    /// ```
    /// use hedgerow::{Op, error::TryInsertError};
    /// let table = hedgerow::FlatTable::<_, u32, 4>::new();
    /// let count = |n: Option<u32>| Op::Insert(n.unwrap_or(0) + 1);
    /// assert_eq!(table.try_compute('a', count).unwrap().after, Some(1));
    /// // As if another writer came in between.
    /// let busy = table.try_compute('a', |n| {
    ///     table.insert('a', 5).unwrap();
    ///     count(n)
    /// });
    /// assert_eq!(busy, Err(TryInsertError::Busy { key: 'a', value: Some(2) }));
    /// ```
    #[inline]
    pub fn try_compute(
        &self,
        key: K,
        f: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Computed<V>, TryInsertError<K, Option<V>>> {
        let mut wanted = None;
        let done = self.try_alter(key, Backoff::never(), noting(f, &mut wanted));
        done.map(Self::computed).map_err(|why| why.hand_back(key, wanted))
    }
}
