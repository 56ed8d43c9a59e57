//! Batches of changes: each is made some changes later, when its bin has arrived from memory.

use super::storage::{Boxed, Storage};
use super::writer::{WriteHandle, out_of_memory};
use crate::api::hasher::DefaultHashBuilder;
use crate::error::TryReserveError;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// The most changes that wait: sixteen, or as many as fit into 2 KiB, because more of them would leave the first cache.
const fn most<K, V>() -> usize {
    let fit = 2048 / size_of::<(u64, K, V)>();
    if fit > 16 {
        16
    } else if fit == 0 {
        1
    } else {
        fit
    }
}

/// Stores many entries, overlapping the cache misses of several. Made by [`WriteHandle::batch`].
///
/// The batch hashes a key and prefetches its bin, and stores the entry up to sixteen entries later; dropping the batch
/// stores the rest. The order of the entries is kept. As with [`WriteHandle::insert`], readers see them after the next
/// publish.
///
/// # Panics and leaks
/// - If `Hash`, `Eq` or a destructor panics, the entry for which it was called may be dropped without being stored, as
///   by [`WriteHandle::insert`]. No other entry is lost.
/// - If the thread panics while it has a batch, or the batch is leaked, the remaining entries stay with the writer and
///   are stored before its next change or publish. Until then lookups, iterators and `len` of the writer do not show
///   them, and they are dropped if the writer is dropped.
pub struct Batch<'a, K: Eq + Hash, V, S: BuildHasher = DefaultHashBuilder, P: Storage<K, V> = Boxed>
{
    writer: &'a mut WriteHandle<K, V, S, P>,
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> WriteHandle<K, V, S, P> {
    /// Returns a batch, which stores many entries faster than [`insert`](Self::insert) does if the table is larger than
    /// the caches. [`extend`](Extend::extend) uses one.
    ///
    /// Allocates 2 KiB at most, once for each writer. If there is no memory, the process aborts.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// let mut batch = w.batch();
    /// for key in 0..100 {
    ///     batch.insert(key, key * key);
    /// }
    /// drop(batch);
    /// w.publish();
    /// assert_eq!(r.get_copied(&9), Some(81));
    /// ```
    #[inline]
    pub fn batch(&mut self) -> Batch<'_, K, V, S, P> {
        let room = most::<K, V>() + 1;
        self.batched.reserve_exact(room.saturating_sub(self.batched.len()));
        Batch { writer: self }
    }

    /// Stores the entries that a batch has left.
    #[inline(always)]
    pub(super) fn flush(&mut self) -> Result<(), TryReserveError> {
        if self.batched.is_empty() { Ok(()) } else { self.flush_all() }
    }

    #[inline(never)]
    fn flush_all(&mut self) -> Result<(), TryReserveError> {
        while !self.batched.is_empty() {
            self.store_oldest()?;
        }
        Ok(())
    }

    /// Stores the entry that has waited longest.
    #[inline(always)]
    fn store_oldest(&mut self) -> Result<(), TryReserveError> {
        let Some((hash, key, value)) = self.batched.pop_front() else { return Ok(()) };
        // The entry is not in the list while user code runs: if that panics, the entry is dropped, and does not panic
        // again in each later operation.
        if let Err((key, value)) = self.core().insert(hash, key, value) {
            self.batched.push_front((hash, key, value));
            return Err(TryReserveError::Alloc);
        }
        self.core().count();
        Ok(())
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> Batch<'_, K, V, S, P> {
    /// Stores `value` under `key`, as [`WriteHandle::insert`] does, at the latest when the batch is dropped.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// let mut batch = w.batch();
    /// batch.insert("rose", "red");
    /// batch.insert("rose", "white");
    /// drop(batch);
    /// assert_eq!(w.get("rose"), Some(&"white"));
    /// ```
    #[inline]
    pub fn insert(&mut self, key: K, value: V) {
        /// How many entries later the box of a key's present entry is fetched, when the bin that names it has arrived.
        const FOUND: usize = 8;
        let writer = &mut *self.writer;
        let hash = writer.core().begin_insert(&key);
        writer.batched.push_back((hash, key, value));
        // After the new entry is in the list, so that a panic loses the oldest one alone.
        if writer.batched.len() > most::<K, V>() {
            writer.store_oldest().unwrap_or_else(out_of_memory);
        }
        if P::OWNS
            && let Some(at) = writer.batched.len().checked_sub(FOUND)
        {
            let hash = writer.batched[at].0;
            writer.core().prefetch_likely(hash);
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> Extend<(K, V)> for Batch<'_, K, V, S, P> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> Drop for Batch<'_, K, V, S, P> {
    #[inline]
    fn drop(&mut self) {
        // A panic of user code would abort the process while the thread panics. The next operation stores the entries.
        #[cfg(feature = "std")]
        if std::thread::panicking() {
            return;
        }
        self.writer.flush().unwrap_or_else(out_of_memory);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> fmt::Debug for Batch<'_, K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("waiting", &self.writer.batched.len()).finish_non_exhaustive()
    }
}
