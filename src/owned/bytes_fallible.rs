//! What is done to a `BytesMap` without waiting and without aborting, beside what its twin that waits is next to.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::bytes_map::BytesMap;
use super::inline_node::InlineNode;
use super::removed_bytes::RemovedBytes;
use crate::api::op::Op;
use crate::error::{Busy, TryInsertError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::Why;
use crate::reclaim::guard::try_pin;
use crate::reclaim::node::Live;
use crate::reclaim::retired::Way;
use core::hash::BuildHasher;

impl<S: BuildHasher> BytesMap<S> {
    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's bin, or if there is no memory for a guard; the map is as it was.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.try_remove("rose").unwrap().unwrap().value(), b"red");
    /// assert!(map.try_remove("rose").unwrap().is_none());
    /// ```
    pub fn try_remove(&self, key: impl AsRef<[u8]>) -> Result<Option<RemovedBytes<'_>>, Busy> {
        let guard = try_pin().map_err(|_| Busy)?;
        let key = key.as_ref();
        let same = |node: Live<'_, InlineNode>| node.key() == key;
        let mode = Way::Trying(Ok(()));
        let removed = self.nodes().remove(self.hash(key), same, |_| true, mode, &guard)?;
        Ok(removed.map(RemovedBytes))
    }

    /// As [`update`](Self::update), but neither waits, nor panics, nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert): with the value, if `f` has made one that was not stored; the key was
    /// only lent. The map is as it was. `f` runs once at most: if the entry was replaced meanwhile, the answer is
    /// `Busy`.
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
        let mode = self.nodes().retired().trying();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of((), None)) };
        // Owns `f`, which is gone before what is returned holds a guard.
        let decide = move |old: Option<&[u8]>| old.map_or(Op::Keep, |old| Op::Insert(f(old)));
        let done = self.compute_by(mode, key.as_ref(), decide, &guard);
        let (_, after) = done.map_err(|(why, value)| why.of((), value))?;
        let after = after.map(Live::shared);
        drop(key);
        // SAFETY: put there under the guard.
        Ok(after.map(|node| unsafe { Ref::of_bytes(node, guard) }))
    }
}
