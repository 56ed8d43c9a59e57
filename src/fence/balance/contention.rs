//! Fences whose writers often collide, for threads that run requests on behalf of others.
//!
//! # Synchronization
//! None: all accesses are relaxed. If a thread reads an old mark, or that of a neighbour, its request takes the other
//! of two paths, and both are correct.

use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::policy::KeyPolicy;

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Returns which of `among` workers owns the fence of keys of this rank. Each worker owns a run of neighbouring
    /// fences. None if `hot_only` is set and the fence is not hot.
    pub(crate) fn worker_of(&self, rank: usize, among: usize, hot_only: bool) -> Option<usize> {
        let Some(table) = self.root.table() else {
            return (!hot_only).then_some(0);
        };
        let (at, count) = (table.pick(rank), table.count().max(1));
        if hot_only && !table.fence(at)?.counters.contention.is_hot() {
            return None;
        }
        // The table may have shrunk since its count was read.
        Some((at * among / count).min(among - 1))
    }

    /// Marks each fence with at least `threshold` conflicts since the last call as hot, for the next `calls` calls.
    /// Returns the number of hot fences. Only one thread at a time may call this.
    pub(crate) fn mark_hot(&self, threshold: usize, calls: usize) -> usize {
        let Some(table) = self.root.table() else { return 0 };
        let fences = (0..table.count()).filter_map(|at| table.fence(at));
        fences
            .filter(|fence| {
                let counters = &fence.counters;
                counters.contention.update(counters.conflicts(), threshold, calls)
            })
            .count()
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use crate::fence::tree::descent::FenceTree;
    use crate::fence::tree::rank::ByType;

    #[test]
    fn each_worker_has_a_run_of_fences() {
        let tree = FenceTree::<u64, u64, _>::new(ByType);
        let rank = |key: u64| tree.search_key(&key).rank;
        let first = rank(1);
        assert_eq!(
            (tree.worker_of(first, 3, false), tree.worker_of(first, 3, true)),
            (Some(0), None)
        );
        (1..9).for_each(|n| tree.start_fence_at(&(n * 10)).unwrap());
        let of = |key| tree.worker_of(rank(key), 3, false).unwrap();
        let all: alloc::vec::Vec<_> = (0..9).map(|n| of(n * 10 + 5)).collect();
        assert_eq!(all, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!(tree.mark_hot(1, 1), 0);
        assert_eq!((tree.mark_hot(0, 1), tree.worker_of(rank(85), 3, true)), (9, Some(2)));
    }
}
