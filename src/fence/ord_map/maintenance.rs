//! `OrdMap` as a whole: retired entries, figures, fences.

use super::map::OrdMap;
use super::raw::RawKey;
use crate::fence::balance::fence_loads::FenceLoad;
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::stats::FenceStats;
use crate::reclaim::collector::{Collector, Readers};
use crate::reclaim::guard::Stalled;
use crate::reclaim::methods::{collector_methods, garbage_methods};
use crate::reclaim::pair::{KeyNode, Pair, out_of_memory};
use crate::reclaim::retired::Retired;
use alloc::vec::Vec;

impl<K, V, R> OrdMap<K, V, R> {
    garbage_methods!(
        "OrdMap<&str, &str>",
        "Clones of keys that were bounds of leaves, a few in a hundred, do not count. Lock-free.",
        use<K, V, R>
    );

    fn garbage(&self) -> &Retired<Pair<K, V>> {
        &self.owner().entries
    }

    #[inline(always)]
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    pub(super) fn set_readers(&mut self, readers: &Readers) {
        self.readers = readers.clone();
        self.tree.policy.entries.set_readers(readers);
        self.tree.policy.bounds.set_readers(readers);
    }

    collector_methods!("OrdMap");

    /// Drops all retired entries that no reader can have any more.
    ///
    /// Operations that write do this by themselves, a few entries at a time and a few hundred entries late. This method
    /// does it at once: it requests a barrier of all threads, checks each reader's slot, and runs the destructors while
    /// nothing is locked. If one panics, the remaining entries wait for the next call. Within a destructor of an entry
    /// that this map is dropping, it drops nothing.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a')].into();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.owner().entries.reclaim();
        self.owner().bounds.reclaim();
    }
}

impl<K: Ord, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Returns statistics of the map. The bytes of the entries' own allocations are not counted. Takes the locks of the
    /// map's allocator's lists, which no reader takes.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u64, u64> = (0..10_000).map(|n| (n, n)).collect();
    /// let stats = map.stats();
    /// assert!(stats.len == 10_000 && stats.memory_bytes / stats.len < 25);
    /// ```
    pub fn stats(&self) -> FenceStats {
        let mut stats = self.tree.stats();
        stats.memory_bytes += self.owner().entries.bytes() + self.owner().bounds.bytes();
        stats
    }

    /// Visits up to `budget` fences and evens out their load if it is uneven; returns whether it changed anything. See
    /// [`FenceMap::rebalance_step`](crate::FenceMap::rebalance_step) for details.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert!(!map.rebalance_step(usize::MAX), "a small map has one fence");
    /// ```
    pub fn rebalance_step(&self, budget: usize) -> bool {
        let _guard = self.readers.pin();
        self.tree.rebalance(budget)
    }

    /// Returns the first key, the entries and the load of each fence, in key order.
    ///
    /// The figures are exact if there are no concurrent writes, and slightly out of date otherwise. Waits for writers
    /// in the first leaf of a fence. Allocates the vector, and clones a key for each fence. Visits every leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    /// let fences = map.fences();
    /// assert_eq!(fences.iter().map(|fence| fence.entries).sum::<usize>(), map.len());
    /// assert!(fences[0].low.is_none() && fences[1..].is_sorted_by_key(|fence| fence.low));
    /// ```
    pub fn fences(&self) -> Vec<FenceLoad<K>>
    where
        K: Clone,
    {
        let _guard = self.readers.pin();
        let loads = self.tree.fence_loads().into_iter();
        // SAFETY: a bound that was found under the guard.
        loads.map(|load| load.with_low(|low| unsafe { low.key() }.clone())).collect()
    }

    /// Returns the map with a fence that begins at each of `keys`, for callers that know in advance where the load will
    /// be. As [`FenceMap::with_splits`](crate::FenceMap::with_splits); clones each key.
    ///
    /// ```
    /// let by_initial = hedgerow::OrdMap::<String, u32>::new().with_splits(["f".into(), "t".into()]);
    /// let lows: Vec<_> = by_initial.fences().into_iter().map(|fence| fence.low).collect();
    /// assert_eq!(lows, [None, Some("f".into()), Some("t".into())]);
    /// ```
    #[must_use]
    pub fn with_splits(self, keys: impl IntoIterator<Item = K>) -> Self
    where
        K: Clone,
    {
        let guard = self.readers.pin();
        for key in keys {
            // Needed until the fence is made. The bound of its first leaf is a clone.
            let stem = KeyNode::new(key).unwrap_or_else(out_of_memory::<K, V, _, _>);
            // SAFETY: `stem` owns the node.
            let rank = self.search_key(unsafe { &(*stem.0.0.as_ptr()).key }).rank;
            let raw = RawKey { rank, node: stem.0.0 };
            self.tree().start_fence_at(&raw).unwrap_or_else(out_of_memory::<K, V, _, _>);
        }
        drop(guard);
        self
    }

    #[cfg(feature = "std-ext")]
    pub(crate) fn worker_of(&self, key: &K, among: usize, hot_only: bool) -> Option<usize> {
        self.tree().worker_of(self.search_key(key).rank, among, hot_only)
    }

    #[cfg(feature = "std-ext")]
    pub(crate) fn mark_hot(&self, threshold: usize, calls: usize) -> usize {
        self.tree().mark_hot(threshold, calls)
    }
}
