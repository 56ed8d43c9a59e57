//! A read set: the leaves that an operation has read, with their versions, to be validated together.
//!
//! # Synchronization
//! - `[RA-1]` a snapshot validates each of its leaves once more, after it has read the last one. If none has changed,
//!   all of them were as they were read at some point between the last first read and the first validation, and each
//!   was the right neighbour of the one before it. The sequentially consistent fence before the validation makes two
//!   snapshots agree about the order of two independent writes.

use super::leaf::{LeafRef, LeafVersion, VersionedLeaf};
use crate::api::failure::Failure;
use crate::facade::atomic::{self, Ordering};
use alloc::vec::Vec;

/// Leaves that a read set holds without an allocation.
const INLINE: usize = 6;

/// Leaves with the versions under which they were read.
pub(crate) struct ReadSet<'a, K, V> {
    inline: [Option<VersionedLeaf<'a, K, V>>; INLINE],
    more: Vec<VersionedLeaf<'a, K, V>>,
    len: usize,
}

impl<'a, K: Copy, V: Copy> ReadSet<'a, K, V> {
    pub(crate) fn new() -> Self {
        Self { inline: [None; INLINE], more: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        self.more.clear();
        self.len = 0;
    }

    /// Allocates memory for this many leaves in all.
    pub(crate) fn reserve(&mut self, leaves: usize) -> Result<(), Failure> {
        let more = leaves.saturating_sub(INLINE);
        let missing = more.saturating_sub(self.more.len());
        self.more.try_reserve(missing).map_err(|_| Failure::Alloc)
    }

    pub(crate) fn push(
        &mut self,
        leaf: LeafRef<'a, K, V>,
        version: LeafVersion,
    ) -> Result<(), Failure> {
        if let Some(slot) = self.inline.get_mut(self.len) {
            *slot = Some((leaf, version));
        } else {
            self.reserve(self.len + 1)?;
            self.more.push((leaf, version));
        }
        self.len += 1;
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = VersionedLeaf<'a, K, V>> {
        self.inline[..self.len.min(INLINE)].iter().flatten().chain(&self.more).copied()
    }

    /// Returns whether all leaves are unchanged. If so, the data read of them is a consistent snapshot.
    pub(crate) fn validate_all(&self) -> bool {
        // The caller has validated each leaf when it read it. That is enough for one leaf.
        if self.len < 2 {
            return true;
        }
        // [RA-1] sequentially consistent fence: pairs with the same fence in other snapshots. Without it, one snapshot
        // could see a first write and miss a second one, while another snapshot sees the second and misses the first.
        atomic::fence(Ordering::SeqCst);
        self.iter().all(|(leaf, version)| leaf.validate(version))
    }

    /// Returns whether all leaves but `locked` are unchanged. The caller has locked that one after it read it.
    ///
    /// Swaps each leaf's state for itself, because a load is not enough: a thread that writes to one of these leaves,
    /// and then reads the locked one, could miss the lock while the load misses its write [SL-7].
    pub(crate) fn confirm_all_but(&self, locked: LeafRef<'a, K, V>) -> bool {
        self.iter().all(|(leaf, version)| leaf == locked || leaf.confirm(version))
    }

    /// Unlocks all leaves. The caller has locked them and written nothing.
    pub(crate) fn unlock_unchanged(&mut self) {
        self.iter().for_each(|(leaf, version)| leaf.unlock_unchanged(version));
        self.clear();
    }
}
