//! Figures about a tree as a whole.

use super::descent::FenceTree;
use super::leaf::LeafLayout;
use super::policy::KeyPolicy;
use super::root::RootTable;

/// Statistics of a [`FenceMap`](crate::FenceMap), from [`FenceMap::stats`](crate::FenceMap::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FenceStats {
    /// Number of entries; exact if there are no concurrent writes.
    pub len: usize,
    /// Capacity of a leaf, in entries.
    pub entries_per_leaf: usize,
    /// Number of fences: runs of up to 256 leaves.
    pub fences: usize,
    /// Bytes that the map has allocated. Entries of an [`OrdMap`](crate::OrdMap) are allocations of their own and come
    /// on top.
    pub memory_bytes: usize,
    /// Bytes of these that are no longer used, and are freed when the map is dropped.
    pub retired_bytes: usize,
    /// Leaves that [`FenceMap::rebalance_step`](crate::FenceMap::rebalance_step) has moved from one fence to its
    /// neighbour.
    pub moved_leaves: usize,
    /// Fences that it has split because of their load.
    pub splits: usize,
    /// Pairs of neighbouring fences that it has joined because they had few leaves and little load.
    pub joins: usize,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    pub(crate) fn stats(&self) -> FenceStats {
        let (bytes, retired_bytes) = self.root.bytes();
        let balance = &self.balance;
        let [moved_leaves, splits, joins] =
            [&balance.moved, &balance.splits, &balance.merges].map(|figure| figure.load());
        FenceStats {
            len: self.len.total(),
            entries_per_leaf: LeafLayout::<K, V>::ENTRIES,
            fences: self.root.table().map_or(0, RootTable::count),
            memory_bytes: bytes + self.arena.bytes() + self.len.bytes(),
            retired_bytes,
            moved_leaves,
            splits,
            joins,
        }
    }
}
