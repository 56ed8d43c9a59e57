//! `OrdMap` as a whole: garbage, figures, balance.

use super::super::map::FenceStats;
use super::super::rank::Ranking;
use super::super::rebalance::FenceLoad;
use super::map::OrdMap;
use crate::reclaim::guard::{Stalled, pin, stalled};
use alloc::vec::Vec;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Entries that were replaced or removed and are not dropped yet: exact when nobody writes meanwhile, of the
    /// recent past otherwise. A [`Removed`](crate::owned::Removed) that is still held is not among them, nor are clones
    /// of keys that bounded leaves, of which there are a few in a hundred. Lock-free.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a')].into();
    /// map.insert(1, 'b');
    /// assert_eq!(map.pending(), 1);
    /// map.reclaim();
    /// ```
    pub fn pending(&self) -> usize {
        self.owner().entries.pending()
    }

    /// Sets how many entries may be [`pending`](Self::pending) when a method that can refuse is to insert something:
    /// [`try_insert`](Self::try_insert), [`try_insert_if_absent`](Self::try_insert_if_absent),
    /// [`try_compute`](Self::try_compute) and `try_get_or_insert_with` of a pinned map. `None`, as it is at first: any
    /// number. As [`HashMap::set_pending_limit`](crate::HashMap::set_pending_limit) in all else.
    ///
    /// ```
    /// use hedgerow::{error::TryInsertError, owned::pin};
    ///
    /// let map = hedgerow::OrdMap::<u32, u32>::new();
    /// map.set_pending_limit(Some(100));
    /// let guard = pin(); // and never dropped
    /// let refused = (0..).find_map(|n| map.try_insert(7, n).err()).unwrap();
    /// assert!(matches!(refused, TryInsertError::Stalled { key: 7, value: 102, .. }));
    /// assert_eq!(map.pending(), 101);
    /// ```
    pub fn set_pending_limit(&self, limit: Option<usize>) {
        self.owner().entries.set_limit(limit);
    }

    /// What [`set_pending_limit`](Self::set_pending_limit) has set.
    ///
    /// ```
    /// assert_eq!(hedgerow::OrdMap::<u32, u32>::new().pending_limit(), None);
    /// ```
    pub fn pending_limit(&self) -> Option<usize> {
        self.owner().entries.limit()
    }

    /// Drops the garbage that no reader can be looking at any more, all at once.
    ///
    /// Operations that write drop a few entries each, some hundreds of entries late. Call this to drop all of them now.
    /// It executes a memory barrier on all threads, reads each reader's slot, and runs the destructors while no lock is
    /// held. If a destructor panics, the remaining entries are dropped later. If a destructor of this map's entries
    /// calls this, it drops nothing.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a')].into();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.owner().entries.collect();
        self.owner().bounds.collect();
    }

    /// Readers, of whatever map, whose guards are older than the youngest batch of garbage: what they may be
    /// looking at cannot be dropped. Looks at each reader's slot; allocates nothing.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a')].into();
    /// let guard = hedgerow::owned::pin();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// assert!(map.stalled_readers().any(|stalled| stalled.reader == guard.reader_id()));
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> + use<K, V, R> {
        stalled()
    }

    /// Figures about the map; bytes of the entries' own allocations come on top. Takes the locks of its
    /// allocator's lists, which no reader takes.
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

    /// Looks at up to `budget` fences and evens out their load where it has become lopsided; says whether it changed
    /// anything: [`FenceMap::rebalance_step`](crate::FenceMap::rebalance_step), which says what it promises.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert!(!map.rebalance_step(usize::MAX), "a small map has one fence");
    /// ```
    pub fn rebalance_step(&self, budget: usize) -> bool {
        let _guard = pin();
        self.tree.rebalance(budget)
    }

    /// Each fence, in key order: where it begins, what it holds, how loaded it is.
    ///
    /// Each figure is of the recent past; together they are exact when nobody writes meanwhile. Waits for writers in
    /// the first leaf of a fence. Allocates the vector, and clones a key for each. Looks at every leaf.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    /// let fences = map.fences();
    /// assert_eq!(fences.iter().map(|fence| fence.entries).sum::<usize>(), map.len());
    /// assert!(fences[0].low.is_none() && fences[1..].is_sorted_by_key(|fence| fence.low));
    /// ```
    pub fn fences(&self) -> Vec<FenceLoad<K>> {
        let _guard = pin();
        let loads = self.tree.fence_loads().into_iter();
        // SAFETY: a bound that was met under the guard.
        loads.map(|load| load.with_low(|low| unsafe { low.key() }.clone())).collect()
    }
}
