//! `HashMap`: operations on one key that neither wait nor abort.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::map::HashMap;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::into_error;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::non_blocking_methods;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::WaitMode;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    non_blocking_methods!(HashMap.inner, where [Q: Hash + Equivalent<K> + ?Sized]);

    /// Stores `value` under `key` as [`insert`](Self::insert) does, but neither waits nor aborts, and respects the
    /// map's [limit](Self::set_pending_limit).
    ///
    /// It may call the allocator. Dropping the returned [`Removed`] takes a short lock, for which it waits.
    ///
    /// # Errors
    /// Each error returns `key` and `value` to the caller, and leaves the map unchanged.
    /// - [`TryInsertError::Busy`] if the key's bin is being written.
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
        let mode = self.inner.non_blocking();
        let (hash, mut freed) = self.inner.begin(mode, &key);
        let done = self.inner.insert_by(mode, hash, key, value, &mut freed);
        freed.resume();
        done.map(|before| before.map(Removed::new)).map_err(into_error)
    }

    /// Removes `key` and returns its entry as [`remove`](Self::remove) does, but never waits.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written, or if there is no memory for a guard. The map is unchanged then.
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
        let removed = self.inner.remove_by(WaitMode::NON_BLOCKING, key, |_, _| true);
        removed.map(|removed| removed.map(Removed::new))
    }
}
