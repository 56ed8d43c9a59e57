//! Which fences are fought over: what workers go by who do requests for others.
//!
//! # Synchronization
//! None: all is relaxed. A mark that comes late, or to a neighbour, sends a request the other way, and either is
//! right.

use super::load::Tally;
use super::map::FenceMap;
use super::rank::Ranking;
use crate::facade::atomic::{AtomicUsize, Ordering};

/// What is known of how much a fence is fought over.
pub(crate) struct Strife {
    /// Conflicts up to the last look.
    seen: AtomicUsize,
    /// Looks until it counts as calm again.
    looks: AtomicUsize,
}

impl Strife {
    pub(super) fn new() -> Self {
        Self { seen: AtomicUsize::new(0), looks: AtomicUsize::new(0) }
    }

    /// As of a fence that begins anew.
    pub(super) fn forget(&self) {
        // relaxed: figures.
        self.seen.store(0, Ordering::Relaxed);
        // relaxed: as above.
        self.looks.store(0, Ordering::Relaxed);
    }

    fn is_hot(&self) -> bool {
        // relaxed: a hint.
        self.looks.load(Ordering::Relaxed) > 0
    }

    /// Looks at the conflicts there are by now; whether the fence is hot, which it stays for so many looks.
    fn look(&self, conflicts: usize, threshold: usize, looks: usize) -> bool {
        // relaxed: one looks at a time, and others only read.
        let new = conflicts.saturating_sub(self.seen.swap(conflicts, Ordering::Relaxed));
        // relaxed: as above.
        let left = self.looks.load(Ordering::Relaxed).saturating_sub(1);
        let left = if new >= threshold { looks } else { left };
        // relaxed: as above.
        self.looks.store(left, Ordering::Relaxed);
        left > 0
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Which of `among` workers the key's fence falls to, each having a run of them: None if it is calm and
    /// `hot_only` is asked for.
    pub(crate) fn worker_of(&self, key: &K, among: usize, hot_only: bool) -> Option<usize> {
        let rank = self.tree().sought(key).rank;
        let Some(table) = self.tree().route.table() else {
            return (!hot_only).then_some(0);
        };
        let (at, count) = (table.pick(rank), table.count().max(1));
        if hot_only && !table.fence(at)?.tally.strife.is_hot() {
            return None;
        }
        // The table may have shrunk in between.
        Some((at * among / count).min(among - 1))
    }

    /// Looks at the conflicts of all fences since the last look: those with at least `threshold` are hot for so
    /// many looks. Says how many are. For one thread at a time.
    pub(crate) fn watch(&self, threshold: usize, looks: usize) -> usize {
        let Some(table) = self.tree().route.table() else { return 0 };
        let fences = (0..table.count()).filter_map(|at| table.fence(at));
        let is_hot = |tally: &Tally| tally.strife.look(tally.conflicts(), threshold, looks);
        fences.filter(|fence| is_hot(&fence.tally)).count()
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_hot_for_some_time() {
        let strife = Strife::new();
        assert!(!strife.look(9, 10, 2) && !strife.is_hot());
        assert!(strife.look(19, 10, 2) && strife.is_hot());
        assert!(strife.look(20, 10, 2));
        assert!(!strife.look(20, 10, 2) && !strife.is_hot());
        assert!(strife.look(30, 10, 2));
        strife.forget();
        assert!(!strife.is_hot());
    }

    #[test]
    fn each_worker_has_a_run_of_fences() {
        let map = FenceMap::<u64, u64>::new();
        assert_eq!((map.worker_of(&1, 3, false), map.worker_of(&1, 3, true)), (Some(0), None));
        let map = map.with_splits((1..9).map(|n| n * 10));
        let of = |key| map.worker_of(&key, 3, false).unwrap();
        let all: alloc::vec::Vec<_> = (0..9).map(|n| of(n * 10 + 5)).collect();
        assert_eq!(all, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!(map.watch(1, 1), 0);
        assert_eq!((map.watch(0, 1), map.worker_of(&85, 3, true)), (9, Some(2)));
    }
}
