//! `HashMap`: operations on one key that neither wait nor abort.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::map::HashMap;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::refused;
use crate::reclaim::map::NodeMap;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::Mode;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// Stores `value` under `key` as [`insert`](Self::insert) does, but neither waits nor aborts, and respects the
    /// map's [limit](Self::set_pending_limit).
    ///
    /// It may call the allocator. Dropping the returned [`Removed`] takes a short lock, for which it waits.
    ///
    /// # Errors
    /// Each error returns `key` and `value` to the caller, and leaves the map unchanged.
    /// - [`TryInsertError::Busy`] if a writer is inside the key's bin.
    /// - [`TryInsertError::Alloc`] if there is no memory for the entry.
    /// - [`TryInsertError::Stalled`] if more entries are pending than the limit allows.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert_eq!(map.try_insert(7, "seven".into()), Ok(None));
    /// ```
    pub fn try_insert(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<Removed<'_, K, V>>, TryInsertError<K, V>> {
        let done = self.inner.insert_by(self.inner.non_blocking(), key, value);
        done.map(|before| before.map(Removed::new)).map_err(refused)
    }

    /// Stores `value` under `key` if the key is absent, as [`insert_if_absent`](Self::insert_if_absent) does, but
    /// neither waits nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// The outer error is one of [`try_insert`](Self::try_insert)'s. The inner one is an [`OccupiedError`]: the key has
    /// a value.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!(map.try_insert_if_absent(7, 'a'), Ok(Ok(())));
    /// assert_eq!(map.try_insert_if_absent(7, 'b').unwrap().unwrap_err().into_parts(), (7, 'b'));
    /// ```
    pub fn try_insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        let mode = self.inner.non_blocking();
        self.inner.insert_if_absent_by(mode, key, value).map_err(refused)
    }

    /// Removes `key` and returns its entry as [`remove`](Self::remove) does, but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's bin, or if there is no memory for a guard. The map is unchanged then.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_remove("rose").unwrap().as_deref(), Some(&1));
    /// assert_eq!(map.try_remove("rose"), Ok(None));
    /// ```
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<Removed<'_, K, V>>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let removed = self.inner.remove_by(Mode::NonBlocking(Ok(())), key, |_, _| true);
        removed.map(|removed| removed.map(Removed::new))
    }

    /// Replaces the value of `key` by the result of `f` as [`update`](Self::update) does, but neither waits nor aborts,
    /// and respects the map's [limit](Self::set_pending_limit). It cannot prevent that the key's `Clone` aborts if
    /// there is no memory.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did not
    /// store it, and no key, because the caller still has it. The map is unchanged. `f` runs at most once: if another
    /// thread replaces the entry meanwhile, the error is `Busy`.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_update("rose", |count| count + 1).unwrap().as_deref(), Some(&2));
    /// assert_eq!(map.try_update("thorn", |count| count + 1), Ok(None));
    /// ```
    pub fn try_update<Q>(
        &self,
        key: &Q,
        f: impl FnMut(&V) -> V,
    ) -> Result<Option<Ref<'_, K, V>>, TryInsertError<(), Option<V>>>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mode = self.inner.non_blocking();
        let done = self.inner.update_by(mode, |map, guard| map.find_in(mode, key, guard), f);
        done.map_err(|(why, value)| why.of((), value))
    }

    /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but neither
    /// waits nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `make` returned, if it ran.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, usize>::new();
    /// assert_eq!(map.try_get_or_insert_with("rose".into(), || 4).as_deref(), Ok(&4));
    /// ```
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<Ref<'_, K, V>, TryInsertError<K, Option<V>>> {
        let mode = self.inner.non_blocking();
        self.inner.get_or_insert_by(mode, key, |_| make()).map_err(refused)
    }

    /// Inserts, replaces, removes or keeps the entry of `key` as [`compute`](Self::compute) does, but neither waits nor
    /// aborts. If `f` decides to insert, it respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did not
    /// store it. The map is unchanged. `f` runs at most once: if another thread replaces the entry meanwhile, the error
    /// is `Busy`.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::HashMap::<String, u32>::new();
    /// let count = |old: Option<&u32>| Op::Insert(old.map_or(1, |old| old + 1));
    /// assert!(map.try_compute("rose".into(), count).is_ok());
    /// assert_eq!(map.try_compute("rose".into(), count).unwrap().after.as_deref(), Some(&2));
    /// ```
    pub fn try_compute(
        &self,
        key: K,
        f: impl FnMut(Option<&V>) -> Op<V>,
    ) -> Result<Computed<Ref<'_, K, V>>, TryInsertError<K, Option<V>>> {
        self.inner.compute_by(self.inner.non_blocking(), key, f).map_err(refused)
    }
}
