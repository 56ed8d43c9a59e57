//! `HashMap`: its memory. Removed entries that wait to be dropped, a limit for them, capacity, and statistics.

use super::map::{HashMap, reserve_failed};
use super::nodes::OwnedStats;
use crate::error::TryReserveError;
use crate::reclaim::guard::{Stalled, stalled};

impl<K, V, S> HashMap<K, V, S> {
    /// Returns the number of entries that were replaced or removed, and that the map has not dropped yet.
    ///
    /// The number is exact if no thread writes meanwhile, and slightly out of date otherwise. It does not include an
    /// entry whose [`Removed`](super::Removed) a thread still holds. Lock-free.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// map.insert(1, 'b');
    /// assert_eq!(map.pending(), 1);
    /// map.reclaim();
    /// ```
    pub fn pending(&self) -> usize {
        self.nodes().retired().pending()
    }

    /// Limits the number of [`pending`](Self::pending) entries, for the methods that can fail.
    ///
    /// These methods respect the limit: [`try_insert`](Self::try_insert),
    /// [`try_insert_if_absent`](Self::try_insert_if_absent), [`try_update`](Self::try_update),
    /// [`try_compute`](Self::try_compute), [`try_get_or_insert_with`](Self::try_get_or_insert_with). `None`, the
    /// default, is no limit.
    ///
    /// If more entries are pending than the limit, these methods first drop the excess. If they cannot, because readers
    /// may still use the entries, they fail. So memory stays bounded even if a thread holds a guard for ever: through
    /// these methods, entries and garbage grow until `limit` entries are pending, plus one for each thread that is
    /// inserting. All other methods ignore the limit. The entries that they remove or replace count as pending.
    ///
    /// A short lookup delays the drop of an entry as any other reader does, so a method that failed may succeed when
    /// the caller repeats it. Threads collect garbage in batches. If the limit is less than a few hundred entries for
    /// each thread, writers need memory barriers of all threads more often.
    ///
    /// ```
    /// use hedgerow::{HashMap, error::TryInsertError, owned::pin};
    ///
    /// let map = HashMap::<u32, u32>::new();
    /// map.set_pending_limit(Some(100));
    /// let guard = pin(); // and never dropped
    /// let refused = (0..).find_map(|n| map.try_insert(7, n).err()).unwrap();
    /// assert!(matches!(refused, TryInsertError::Stalled { key: 7, value: 102, .. }));
    /// assert_eq!(map.pending(), 101);
    /// ```
    pub fn set_pending_limit(&self, limit: Option<usize>) {
        self.nodes().retired().set_limit(limit);
    }

    /// Returns the limit that [`set_pending_limit`](Self::set_pending_limit) has set.
    ///
    /// ```
    /// assert_eq!(hedgerow::HashMap::<u32, u32>::new().pending_limit(), None);
    /// ```
    pub fn pending_limit(&self) -> Option<usize> {
        self.nodes().retired().limit()
    }

    /// Drops all pending entries that no reader can use any more.
    ///
    /// Operations that write do this by themselves, a few entries at a time, and some hundreds of entries late. Call
    /// this method to drop them now. It executes a memory barrier on all threads, checks each reader's slot, and runs
    /// the destructors while no lock is held. If a destructor panics, the remaining entries stay pending. If a
    /// destructor of an entry of this map calls it, it drops nothing.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.nodes().retired().reclaim();
    }

    /// Returns the readers whose guards are older than the youngest batch of garbage.
    ///
    /// No map can drop entries that these readers may use. All maps share their readers, so the readers of other maps
    /// are included. Checks each reader's slot. Allocates nothing.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// let guard = hedgerow::owned::pin();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// assert!(map.stalled_readers().any(|stalled| stalled.reader == guard.reader_id()));
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> + use<K, V, S> {
        stalled()
    }

    /// Makes room for `additional` more entries, so the table need not grow when they are inserted. Each insertion
    /// still allocates its entry.
    ///
    /// # Panics
    /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the collections
    /// of std.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, u64>::new();
    /// map.reserve(1000);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(|why| reserve_failed(why));
    }

    /// Makes room for `additional` more entries as [`reserve`](Self::reserve) does, or returns an error.
    ///
    /// # Errors
    /// If the capacity overflows the address space, or the allocator fails.
    ///
    /// ```
    /// use hedgerow::error::TryReserveError;
    /// let map = hedgerow::HashMap::<u64, u64>::new();
    /// assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        self.nodes().reserve(additional)
    }

    /// Drops all pending entries, and moves the table's pointers to a smaller table. If there is no memory for that,
    /// the table stays unchanged.
    ///
    /// ```
    /// let mut map: hedgerow::HashMap<u64, u64> = (0..10_000).map(|n| (n, n)).collect();
    /// map.retain(|key, _| *key < 10);
    /// map.shrink_to_fit();
    /// assert_eq!((map.len(), map.pending()), (10, 0));
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.inner.nodes.shrink_to_fit();
    }

    /// Returns statistics of the map. Visits each part of the table's directory.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u64, u64> = (0..1000).map(|n| (n, n)).collect();
    /// let stats = map.stats();
    /// assert!(stats.len == 1000 && stats.memory_bytes < 40_000);
    /// ```
    pub fn stats(&self) -> OwnedStats {
        self.nodes().stats()
    }
}
