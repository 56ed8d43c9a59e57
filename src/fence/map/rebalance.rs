//! `FenceMap`'s fences: their statistics, and how to even out their load.

use super::fence_map::FenceMap;
use crate::fence::balance::fence_loads::FenceLoad;
use crate::fence::tree::rank::Ranking;
#[cfg(feature = "std-ext")]
use crate::fence::tree::rank::has_known_order;
use alloc::vec::Vec;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Visits up to `budget` fences, each once at most, and evens out their load if it is uneven; returns whether it
    /// changed anything.
    ///
    /// - A fence with more than twice the load of its less loaded neighbour, and more than the mean, hands that
    ///   neighbour the leaves at its end.
    /// - If the load is further in, or both neighbours are loaded too, the fence is split.
    /// - Two neighbours with few leaves and little load are joined.
    ///
    /// No entry moves for that, only the lists of leaves change. Other operations return the same as without it.
    ///
    /// **Load** is the number of recent writes, plus eight for each failed attempt to lock a leaf. Each later visit
    /// halves the weight of the writes before it. Writers do not pay for the count: the version of a leaf tells how
    /// many writes there were. **Reads are not counted**, because they write nothing that another thread could see. So
    /// a map that is only read stays as it is.
    ///
    /// The first round through all fences only measures. Call this from a background thread or a main loop, as often as
    /// the load changes; it follows a hot range that moves within a few rounds.
    ///
    /// Never waits: it skips fences that another thread is changing, and if two threads call it at the same time, one
    /// returns at once. It delays only a writer that has to list a new leaf in the very fence that it is visiting, by a
    /// few microseconds: a visit reads up to 256 leaves and moves up to 64. Runs no user code. May allocate a fence; if
    /// there is no memory for it, it does without.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = (0..300_000).map(|n| (n, n)).collect();
    /// map.rebalance_step(usize::MAX); // the first round
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

    /// Returns the first key, the entries and the load of each fence, in key order.
    ///
    /// The figures are exact if there are no concurrent writes, and slightly out of date otherwise. Waits for writers
    /// in the first leaf of a fence. Allocates the vector. Visits every leaf.
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

    /// Returns the map with a fence that begins at each of `keys`, for callers that know in advance where the load will
    /// be.
    ///
    /// Splits affect speed only. [`rebalance_step`](Self::rebalance_step) starts from them, and may move, split and
    /// merge fences according to their load. Each key costs a leaf and a fence, a few kilobytes, so pass tens of keys,
    /// not thousands. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let by_initial = hedgerow::FenceMap::<char, u32>::new().with_splits(['f', 'm', 't']);
    /// let lows: Vec<_> = by_initial.fences().iter().map(|fence| fence.low).collect();
    /// assert_eq!(lows, [None, Some('f'), Some('m'), Some('t')]);
    /// ```
    #[must_use]
    pub fn with_splits(self, keys: impl IntoIterator<Item = K>) -> Self {
        for key in keys {
            self.finish(self.tree().start_fence_at(&key));
        }
        self
    }

    #[cfg(feature = "std-ext")]
    pub(crate) fn worker_of(&self, key: &K, among: usize, hot_only: bool) -> Option<usize> {
        self.tree().worker_of(self.tree().search_key(key).rank, among, hot_only)
    }

    /// Whether comparisons of keys run no code of the user.
    #[cfg(feature = "std-ext")]
    pub(crate) fn has_known_order() -> bool {
        has_known_order::<K, R>()
    }

    #[cfg(feature = "std-ext")]
    pub(crate) fn mark_hot(&self, threshold: usize, calls: usize) -> usize {
        self.tree().mark_hot(threshold, calls)
    }
}
