//! `BytesMap`: `try_remove` and `try_update`, which neither wait nor abort.
//!
//! The other `try_` methods are beside the operations that wait, in `bytes_map` and `bytes_get_or_insert`.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::bytes_map::BytesMap;
use super::removed_bytes::RemovedBytes;
use crate::api::op::Op;
use crate::error::{Busy, TryInsertError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::map::NodeMap;
use crate::reclaim::retired::WaitMode;
use core::hash::BuildHasher;

impl<S: BuildHasher> BytesMap<S> {
    /// Removes `key` and returns its entry as [`remove`](Self::remove) does, but never waits.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written, or if there is no memory for a guard. The map is unchanged then.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.try_remove("rose").unwrap().unwrap().value(), b"red");
    /// assert!(map.try_remove("rose").unwrap().is_none());
    /// ```
    pub fn try_remove(&self, key: impl AsRef<[u8]>) -> Result<Option<RemovedBytes<'_>>, Busy> {
        let mode = WaitMode::NON_BLOCKING;
        let removed = self.inner.remove_by(mode, key.as_ref(), |_, _| true);
        // As in `remove_if`: before the return value is made.
        drop(key);
        removed.map(|removed| removed.map(RemovedBytes))
    }

    /// Replaces the value of `key` by the result of `f` as [`update`](Self::update) does, but neither waits, nor
    /// panics, nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did not
    /// store it, and no key, because the caller still has it. The map is unchanged. `f` runs at most once: if another
    /// thread replaces the entry in the meantime, the error is `Busy`.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// let darker = |colour: &[u8]| [b"dark ", colour].concat();
    /// assert_eq!(map.try_update("rose", darker).unwrap().as_deref(), Some(&b"dark red"[..]));
    /// assert_eq!(map.try_update("thorn", darker), Ok(None));
    /// ```
    pub fn try_update<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(&[u8]) -> V,
    ) -> Result<Option<Ref<'_, [u8], [u8]>>, TryInsertError<(), Option<V>>> {
        let mode = self.inner.non_blocking();
        // Owns `f`, so `compute_by` drops it. If the destructor of `f` panicked after the return value is made, the
        // guard of the return value would leak.
        let decide = move |old: Option<&[u8]>| old.map_or(Op::Keep, |old| Op::Insert(f(old)));
        let done = self.inner.compute_by(mode, key.as_ref(), decide);
        let after = done.map_err(|(why, _, value)| why.hand_back((), value))?.after;
        // As in `get`: before the return value is made.
        drop(key);
        Ok(after)
    }
}
