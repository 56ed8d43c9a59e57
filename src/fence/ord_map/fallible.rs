//! `OrdMap`'s operations that neither wait nor abort.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::OrdMap;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::into_error;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::non_blocking_methods;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::WaitMode;
use equivalent::Comparable;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    non_blocking_methods!(OrdMap, where [Q: Comparable<K> + ?Sized, R: Ranking<Q>]);

    /// As [`insert`](Self::insert), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). If the key's `Clone` aborts because memory runs out, so does this.
    ///
    /// # Errors
    /// - [`TryInsertError::Busy`] if the key's leaf, or a list that a new leaf comes from, is being written, or if the
    ///   leaf has changed 64 times while it was read;
    /// - [`TryInsertError::Alloc`] if there is no memory for the entry or a leaf;
    /// - [`TryInsertError::Stalled`] if too many entries wait to be dropped.
    ///
    /// Each hands key and value back and leaves the map unchanged.
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
        let mode = self.non_blocking();
        let (rank, mut freed) = self.begin(mode, &key);
        let done = self.insert_by(mode, rank, key, value, &mut freed);
        freed.resume();
        done.map(|before| before.map(Removed::new)).map_err(into_error)
    }
}

impl<K: Ord, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if the key's leaf is being written, or has changed 64 times while it was read, or if there is no memory
    /// for a guard.
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
        let removed = self.remove_by(WaitMode::NON_BLOCKING, key, |_, _| true);
        removed.map(|removed| removed.map(Removed::new))
    }
}
