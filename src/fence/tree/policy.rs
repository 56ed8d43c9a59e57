//! What a tree asks about its keys: their ranks, and to keep those alive that it keeps.
//!
//! Of plain data there is nothing to keep, and nothing of this is left of it when it is compiled.

use super::rank::{Ranking, to_word};
use crate::table::memory::AllocError;
use core::mem::ManuallyDrop;

/// How a tree ranks its keys, and what becomes of those that it takes out by itself, or keeps as bounds of leaves.
///
/// Nothing of it is called with a leaf locked. A bound is stored once, as the lower bound of a leaf, and as the upper
/// one of the leaf before.
pub(crate) trait KeyPolicy<K: Copy> {
    /// Whether keys are more than plain data, so that something has to become of those that go.
    const OWNS: bool = false;

    /// The rank, as far as a word holds it.
    fn word(&self, key: &K) -> usize;

    /// A key like this one, which lasts until it is retired or forgotten. May run user code.
    fn clone_bound(&self, key: &K) -> Result<K, AllocError> {
        Ok(*key)
    }

    /// Ends a bound that was never stored.
    fn drop_bound(&self, bound: K) {
        let _ = bound;
    }

    /// Ends a bound that is no leaf's any more, though readers may still compare it. Runs no user code.
    fn retire_bound(&self, bound: K) {
        let _ = bound;
    }

    /// Ends an entry that the tree has removed by itself, though readers may still look at it. Runs no user code.
    fn retire_entry(&self, key: K) {
        let _ = key;
    }
}

impl<K: Copy, R: Ranking<K>> KeyPolicy<K> for R {
    #[inline(always)]
    fn word(&self, key: &K) -> usize {
        to_word::<K>(self.rank(key))
    }
}

/// A bound that is not stored yet; forgotten on drop.
pub(crate) struct PendingBound<'a, K: Copy, R: KeyPolicy<K>> {
    rule: &'a R,
    key: K,
}

impl<'a, K: Copy, R: KeyPolicy<K>> PendingBound<'a, K, R> {
    pub(crate) fn new(rule: &'a R, key: &K) -> Result<Self, AllocError> {
        Ok(Self { rule, key: rule.clone_bound(key)? })
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// The bound is stored: it is the tree's now.
    pub(crate) fn stored(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl<K: Copy, R: KeyPolicy<K>> Drop for PendingBound<'_, K, R> {
    fn drop(&mut self) {
        self.rule.drop_bound(self.key);
    }
}
