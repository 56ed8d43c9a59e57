//! `OrdMap`'s operations that neither wait nor abort.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::OrdMap;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::refused;
use crate::reclaim::map::NodeMap;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::Mode;
use equivalent::Comparable;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// As [`insert`](Self::insert), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). If the key's `Clone` aborts because memory runs out, so does this.
    ///
    /// # Errors
    /// - [`TryInsertError::Busy`] if a writer is inside the key's leaf, or inside the lists that a new leaf comes from,
    ///   or if the leaf has changed 64 times while it was read;
    /// - [`TryInsertError::Alloc`] if there is no memory for the entry or a leaf;
    /// - [`TryInsertError::Stalled`] if too many entries wait to be dropped.
    ///
    /// Each hands key and value back and leaves the map as it was.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert_eq!(map.try_insert(7, "seven".into()), Ok(None));
    /// ```
    pub fn try_insert(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<Removed<'_, K, V>>, TryInsertError<K, V>> {
        let done = self.insert_by(self.non_blocking(), key, value);
        done.map(|before| before.map(Removed::new)).map_err(refused)
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). That the key has a value is no error.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, char>::new();
    /// assert_eq!(map.try_insert_if_absent(7, 'a'), Ok(Ok(())));
    /// assert_eq!(map.try_insert_if_absent(7, 'b').unwrap().unwrap_err().into_parts(), (7, 'b'));
    /// ```
    pub fn try_insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        self.insert_if_absent_by(self.non_blocking(), key, value).map_err(refused)
    }

    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's leaf, or has changed it 64 times while it was read, or if there is no
    /// memory for a guard.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_remove("rose").unwrap().as_deref(), Some(&1));
    /// ```
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<Removed<'_, K, V>>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let removed = self.remove_by(Mode::NonBlocking(Ok(())), key, |_, _| true);
        removed.map(|removed| removed.map(Removed::new))
    }

    /// As [`update`](Self::update), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). If the key's `Clone` aborts because memory runs out, so does this.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with the result of `f` if it was called. The error has no key,
    /// because the caller still owns it. The map is as it was. `f` runs at most once: if another thread has replaced
    /// the entry meanwhile, the error is `Busy`.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_update("rose", |count| count + 1).unwrap().as_deref(), Some(&2));
    /// assert_eq!(map.try_update("thorn", |count| count + 1), Ok(None));
    /// ```
    pub fn try_update<Q>(
        &self,
        key: &Q,
        f: impl FnMut(&V) -> V,
    ) -> Result<Option<Ref<'_, K, V>>, TryInsertError<(), Option<V>>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let mode = self.non_blocking();
        let done = self.update_by(mode, |map, guard| map.find_in(mode, key, guard), f);
        done.map_err(|(why, value)| why.of((), value))
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with the value if `make` was called.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<String, usize>::new();
    /// assert_eq!(map.try_get_or_insert_with("rose".into(), || 4).as_deref(), Ok(&4));
    /// ```
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<Ref<'_, K, V>, TryInsertError<K, Option<V>>> {
        self.get_or_insert_by(self.non_blocking(), key, |_| make()).map_err(refused)
    }

    /// As [`compute`](Self::compute), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit) if it inserts.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with the value if `f` has returned one that was not stored. The map
    /// is as it was. If another thread replaces or removes the entry while `f` runs, the error is `Busy`.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::OrdMap::<String, u32>::new();
    /// let count = |old: Option<&u32>| Op::Insert(old.map_or(1, |old| old + 1));
    /// assert!(map.try_compute("rose".into(), count).is_ok());
    /// assert_eq!(map.try_compute("rose".into(), count).unwrap().after.as_deref(), Some(&2));
    /// ```
    pub fn try_compute(
        &self,
        key: K,
        f: impl FnMut(Option<&V>) -> Op<V>,
    ) -> Result<Computed<Ref<'_, K, V>>, TryInsertError<K, Option<V>>> {
        self.compute_by(self.non_blocking(), key, f).map_err(refused)
    }
}
