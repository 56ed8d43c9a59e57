//! `BytesMap`: its memory. Removed entries that wait to be freed, a limit for them, capacity, and statistics.

use super::bytes_map::BytesMap;
use super::map::reserve_failed;
use super::nodes::OwnedStats;
use crate::error::TryReserveError;
use crate::reclaim::guard::{Stalled, stalled};

impl<S> BytesMap<S> {
    /// Returns the number of entries that were replaced or removed, and that the map has not freed yet.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// map.insert("rose", "white");
    /// assert_eq!(map.pending(), 1);
    /// ```
    pub fn pending(&self) -> usize {
        self.nodes().retired().pending()
    }

    /// Limits the number of [`pending`](Self::pending) entries, for the methods that can fail.
    ///
    /// These methods respect the limit: [`try_insert`](Self::try_insert),
    /// [`try_insert_if_absent`](Self::try_insert_if_absent),
    /// [`try_get_or_insert_with`](Self::try_get_or_insert_with), [`try_update`](Self::try_update) and
    /// [`try_compute`](Self::try_compute); see [`HashMap::set_pending_limit`](super::HashMap::set_pending_limit).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// map.set_pending_limit(Some(100));
    /// let guard = hedgerow::owned::pin();
    /// assert!((0..1000).any(|_| map.try_insert("rose", "red").is_err()));
    /// assert_eq!(map.pending(), 101);
    /// ```
    pub fn set_pending_limit(&self, limit: Option<usize>) {
        self.nodes().retired().set_limit(limit);
    }

    /// Returns the limit that [`set_pending_limit`](Self::set_pending_limit) has set.
    ///
    /// ```
    /// assert_eq!(hedgerow::BytesMap::new().pending_limit(), None);
    /// ```
    pub fn pending_limit(&self) -> Option<usize> {
        self.nodes().retired().limit()
    }

    /// Frees all pending entries that no reader can use any more; see [`HashMap::reclaim`](super::HashMap::reclaim).
    ///
    /// ```
    /// hedgerow::BytesMap::new().reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.nodes().retired().reclaim();
    }

    /// Returns the readers whose guards are older than the youngest batch of garbage, also those of other maps; see
    /// [`HashMap::stalled_readers`](super::HashMap::stalled_readers).
    ///
    /// ```
    /// for stalled in hedgerow::BytesMap::new().stalled_readers() {
    ///     println!("reader {} is {} batches behind", stalled.reader, stalled.batches);
    /// }
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> + use<S> {
        stalled()
    }

    /// Makes room for `additional` more entries in the table.
    ///
    /// # Panics
    /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the collections
    /// of std.
    ///
    /// ```
    /// hedgerow::BytesMap::new().reserve(1000);
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
    /// assert!(hedgerow::BytesMap::new().try_reserve(usize::MAX).is_err());
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        self.nodes().reserve(additional)
    }

    /// Frees all pending entries, and moves the table's pointers to a smaller table.
    ///
    /// ```
    /// let mut map = hedgerow::BytesMap::from([("rose", "red")]);
    /// map.shrink_to_fit();
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.inner.nodes.shrink_to_fit();
    }

    /// Returns statistics of the map. Visits each part of the table's directory.
    ///
    /// ```
    /// assert_eq!(hedgerow::BytesMap::new().stats().memory_bytes, 0);
    /// ```
    pub fn stats(&self) -> OwnedStats {
        self.nodes().stats()
    }
}
