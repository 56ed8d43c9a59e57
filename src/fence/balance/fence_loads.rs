//! The public statistics of a map's fences: their first keys, entries and loads.

use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::fence::Fence;
use crate::fence::tree::leaf::{LeafChanged, LeafRef};
use crate::fence::tree::policy::KeyPolicy;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;

/// A fence of a [`FenceMap`](crate::FenceMap), from [`FenceMap::fences`](crate::FenceMap::fences).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FenceLoad<K> {
    /// The least key that belongs to the fence. None for the first fence, which has no lower bound.
    pub low: Option<K>,
    /// Number of its leaves.
    pub leaves: usize,
    /// Number of its entries, without those of a leaf that was split off a moment ago and is not listed yet.
    pub entries: usize,
    /// Its load, as [`FenceMap::rebalance_step`](crate::FenceMap::rebalance_step) measured it last.
    pub load: usize,
    /// Failed attempts to lock one of its leaves, since the fence was made. In an [`OrdMap`](crate::OrdMap) also
    /// closures that ran again because another thread had replaced the entry.
    pub conflicts: usize,
    /// Leaves that it gave to neighbours or got from them, since the fence was made.
    pub moved_leaves: usize,
}

impl<K> FenceLoad<K> {
    /// Converts the key, for a map whose tree has other keys than its user.
    #[cfg(not(hedgerow_loom))]
    pub(crate) fn with_low<L>(self, low: impl FnOnce(K) -> L) -> FenceLoad<L> {
        let Self { low: from, leaves, entries, load, conflicts, moved_leaves } = self;
        FenceLoad { low: from.map(low), leaves, entries, load, conflicts, moved_leaves }
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    pub(crate) fn fence_loads(&self) -> Vec<FenceLoad<K>> {
        let Some(table) = self.root.table() else { return Vec::new() };
        let fences = (0..table.count()).filter_map(|at| table.fence(at));
        fences.map(|fence| self.load_of(fence)).collect()
    }

    fn load_of(&self, fence: &Fence) -> FenceLoad<K> {
        let leaves = fence.count();
        let listed = || (0..leaves).filter_map(|at| self.leaf_of(fence, at));
        FenceLoad {
            low: listed().next().and_then(Self::low_of),
            leaves,
            entries: listed().map(|leaf| leaf.begin().meta.count()).sum(),
            load: fence.counters.load(),
            conflicts: fence.counters.conflicts(),
            moved_leaves: fence.counters.moved(),
        }
    }

    /// Returns the lower bound of a leaf. Waits while that leaf is being written.
    fn low_of(leaf: LeafRef<'_, K, V>) -> Option<K> {
        let mut backoff = Backoff::spinning();
        loop {
            let version = leaf.begin();
            if !version.is_locked() {
                match leaf.lo(version) {
                    Ok(lo) => return lo,
                    Err(LeafChanged) => continue,
                }
            }
            backoff.wait().expect("a spinning backoff always waits");
        }
    }
}
