//! `FenceMap`'s fences as the user sees them: what they hold, how loaded they are, and how to even them out.

use super::directory::Fence;
use super::leaf::{Changed, Leaf};
use super::map::FenceMap;
use super::rank::Ranking;
use super::rule::Rule;
use super::tree::Tree;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Looks at up to `budget` fences, each once at most, and evens out their load where it has become lopsided;
    /// says whether it changed anything.
    ///
    /// A fence that is more than twice as loaded as its less loaded neighbour, and more than the mean, gives that
    /// neighbour the leaves at its end; where the load lies further in, or both neighbours are loaded too, it is split.
    /// Two neighbours that hold little are joined when there is little to do in them. No entry moves for that: what
    /// moves is which fence lists a leaf. Nothing of it shows in what other operations return.
    ///
    /// **Load** is the number of recent writes, and eight more for each attempt to lock a leaf that failed: those
    /// since the last look count whole, and half as much with each look after it. Writes are not slowed down by
    /// being counted: the version of a leaf says how many there were. **Reads are not counted**, since they write
    /// nothing that others could see; nor does any of this change what a read costs. So a map that is only read stays
    /// as it is.
    ///
    /// The first round through all fences only looks. Call this from a background thread or a main loop, as often as
    /// the load changes; a hot range that moves is followed within a few rounds.
    ///
    /// Never waits: fences that somebody is changing are passed by, and of two threads that call it at a time one
    /// returns at once. Nobody waits for it but a writer whose leaf's split needs the very fence that is looked
    /// at, for some microseconds: a look is 256 leaves at most, and 64 of them are moved at a time. Runs no user code.
    /// May allocate a fence; where there is no memory for it, it does without.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..300_000).map(|n| (n, n)).collect();
    /// map.rebalance_step(usize::MAX); // the first look
    /// for round in 0..8 {
    ///     for n in 0..20_000 {
    ///         map.insert(n, round); // the left end is hot
    ///     }
    ///     map.rebalance_step(usize::MAX);
    /// }
    /// let fences = map.fences();
    /// let hot = fences.iter().filter(|fence| fence.load > 1_000).count();
    /// assert!(hot > 1, "a fence holds up to 32,768 entries, and so did the one of these");
    /// ```
    pub fn rebalance_step(&self, budget: usize) -> bool {
        self.tree().rebalance(budget)
    }

    /// Each fence, in key order: where it begins, what it holds, how loaded it is.
    ///
    /// Each figure is of the recent past; together they are exact when nobody writes meanwhile. Waits for writers in
    /// the first leaf of a fence. Allocates the vector. Looks at every leaf.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    /// let fences = map.fences();
    /// assert_eq!(fences.iter().map(|fence| fence.entries).sum::<usize>(), map.len());
    /// assert!(fences[0].low.is_none() && fences[1..].is_sorted_by_key(|fence| fence.low));
    /// ```
    pub fn fences(&self) -> Vec<FenceLoad<K>> {
        self.tree().fence_loads()
    }
}

/// A fence of a [`FenceMap`], from [`FenceMap::fences`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FenceLoad<K> {
    /// The least key that belongs here; None in the first fence, where all that are less belong too.
    pub low: Option<K>,
    /// Its leaves.
    pub leaves: usize,
    /// Its entries; those of a leaf that was split off a moment ago and is not listed yet are missing.
    pub entries: usize,
    /// Its load, as [`FenceMap::rebalance_step`] saw it last.
    pub load: usize,
    /// Failed attempts to lock a leaf of it, since it became a fence.
    pub conflicts: usize,
    /// Leaves that it gave to neighbours or got from them, since it became a fence.
    pub moved_leaves: usize,
}

impl<K> FenceLoad<K> {
    /// The same of a key that is something else outside.
    #[cfg(not(hedgerow_loom))]
    pub(super) fn with_low<L>(self, low: impl FnOnce(K) -> L) -> FenceLoad<L> {
        let Self { low: from, leaves, entries, load, conflicts, moved_leaves } = self;
        FenceLoad { low: from.map(low), leaves, entries, load, conflicts, moved_leaves }
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    pub(super) fn fence_loads(&self) -> Vec<FenceLoad<K>> {
        let Some(table) = self.route.table() else { return Vec::new() };
        let fences = (0..table.count()).filter_map(|at| table.fence(at));
        fences.map(|fence| self.look_at(fence)).collect()
    }

    fn look_at(&self, fence: &Fence) -> FenceLoad<K> {
        let leaves = fence.count();
        let listed = || (0..leaves).filter_map(|at| self.listed(fence, at));
        FenceLoad {
            low: listed().next().and_then(Self::low_of),
            leaves,
            entries: listed().map(|leaf| leaf.begin().meta.count()).sum(),
            load: fence.tally.load(),
            conflicts: fence.tally.conflicts(),
            moved_leaves: fence.tally.moved(),
        }
    }

    /// The leaf at `at`, as far as the hints say.
    pub(super) fn listed(&self, fence: &Fence, at: usize) -> Option<Leaf<'_, K, V>> {
        // SAFETY: fences of this tree lead to its leaves, [FN-1] and [FN-2].
        unsafe { self.leaf_at(fence.leaf(at)) }
    }

    fn low_of(leaf: Leaf<'_, K, V>) -> Option<K> {
        let mut backoff = Backoff::spinning();
        loop {
            let look = leaf.begin();
            if !look.is_locked() {
                match leaf.lo(look) {
                    Ok(lo) => return lo,
                    Err(Changed) => continue,
                }
            }
            backoff.wait().expect("this one may wait");
        }
    }
}
