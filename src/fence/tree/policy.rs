//! A tree's policy for its keys: how to rank them, and how to handle keys that it removes or copies.
//!
//! For plain data only the ranks remain after compilation.
//!
//! # Owned keys
//! The bounds of leaves outlive their entries, hence `K: Clone` wherever a leaf may be split. Before a leaf is split,
//! its new bound is made ([`PendingBound`]): a clone in a node of its own, which is the upper bound of one leaf and the
//! lower bound of the next. When the two are merged and unlocked, the bound is retired. Bounds are retired apart from
//! entries, so no word in an entry has to tell the two apart. Bounds are few, because two leaves are merged only after
//! half a leaf of removals. A leaf's hints are relative to a key that is used for its rank alone. The rank is stored in
//! the word, so that key's entry may be gone.
//!
//! A removal gives the caller the removed entry before it merges leaves, because merging may run user code, which may
//! panic. A batch does so too: its new entries belong to the caller until all of them are in their leaves, and then it
//! reports the old ones before it does anything else.

use super::rank::{Ranking, to_word};
use crate::memory::AllocError;
use core::mem::ManuallyDrop;

/// Ranks a tree's keys, and owns what they refer to: entries that the tree removes by itself, and bounds of leaves.
///
/// The tree calls its methods with no leaf locked. Each bound is stored in two places: as the lower bound of a leaf and
/// as the upper bound of the leaf before it.
pub(crate) trait KeyPolicy<K: Copy> {
    /// Whether keys refer to memory, so that removed ones have to be retired.
    const OWNS: bool = false;

    /// Returns the rank of `key`, as far as it fits in a word.
    fn rank_word(&self, key: &K) -> usize;

    /// Drops a bound that was never stored.
    fn drop_bound(&self, bound: K) {
        let _ = bound;
    }

    /// Retires a bound that no leaf has any more. Lookups may still compare it. Runs no user code.
    fn retire_bound(&self, bound: K) {
        let _ = bound;
    }

    /// Retires an entry that the tree has removed by itself. Lookups may still read it. Runs no user code.
    fn retire_entry(&self, key: K) {
        let _ = key;
    }
}

/// A policy that can make bounds, for operations that split leaves. A tree of owned keys needs `K: Clone` for that
/// alone, so lookups and removals work without it.
pub(crate) trait BoundPolicy<K: Copy>: KeyPolicy<K> {
    /// Returns a copy of `key` that stays valid until it is dropped or retired as a bound. May run user code.
    fn clone_bound(&self, key: &K) -> Result<K, AllocError>;
}

impl<K: Copy, R: Ranking<K>> KeyPolicy<K> for R {
    #[inline(always)]
    fn rank_word(&self, key: &K) -> usize {
        to_word::<K>(self.rank(key))
    }
}

impl<K: Copy, R: Ranking<K>> BoundPolicy<K> for R {
    #[inline(always)]
    fn clone_bound(&self, key: &K) -> Result<K, AllocError> {
        Ok(*key)
    }
}

/// A bound that is not stored yet. Dropped with this, unless [`stored`](Self::stored) is called.
pub(crate) struct PendingBound<'a, K: Copy, R: KeyPolicy<K>> {
    policy: &'a R,
    key: K,
}

impl<'a, K: Copy, R: KeyPolicy<K>> PendingBound<'a, K, R> {
    pub(crate) fn new(policy: &'a R, key: &K) -> Result<Self, AllocError>
    where
        R: BoundPolicy<K>,
    {
        Ok(Self { policy, key: policy.clone_bound(key)? })
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// Leaves the bound to the tree, which has stored it.
    pub(crate) fn stored(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl<K: Copy, R: KeyPolicy<K>> Drop for PendingBound<'_, K, R> {
    fn drop(&mut self) {
        self.policy.drop_bound(self.key);
    }
}
