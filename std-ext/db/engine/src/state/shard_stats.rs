//! Statistics of a shard that other threads read without its lock.

use crate::log::Lsn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// Statistics of a shard that other threads may read without its lock. The counts are stored under the lock, each by
/// itself.
#[derive(Default)]
pub struct ShardStats {
    /// The last log entry that changed what readers see. Stored before its state is published. So a reader that has
    /// seen a state, and loads this afterwards, gets the entry of that state or of a later one.
    published_lsn: AtomicU64,
    /// The version of the published state. Odd while a state is being published.
    version: AtomicU64,
    keys: AtomicUsize,
    with_ttl: AtomicUsize,
    memory: AtomicUsize,
}

impl ShardStats {
    /// Makes the version odd. The caller holds the shard's lock.
    pub(crate) fn begin_publish(&self) {
        // Relaxed: only the holder of the lock stores the version.
        let version = self.version.load(Ordering::Relaxed);
        // [MO-1] Relaxed: ordered before the publish by the fence below.
        self.version.store(version + 1, Ordering::Relaxed);
        // [MO-1] Release: pairs with the fence of the reader in `multi_read`. A reader that sees anything of the new
        // state sees the odd version or a later one, and retries.
        fence(Ordering::Release);
    }

    /// Makes the version even.
    pub(crate) fn end_publish(&self) {
        // Relaxed: only the holder of the lock stores the version.
        let version = self.version.load(Ordering::Relaxed);
        // [MO-2] Release: pairs with the acquire in `version`. A reader that sees this version sees the state that was
        // published before.
        self.version.store(version + 1, Ordering::Release);
    }

    /// Returns the version of the published state, and None while a state is being published.
    pub fn version(&self) -> Option<u64> {
        // [MO-2] Acquire: pairs with the release in `end_publish`, so the caller sees the state of this version.
        let version = self.version.load(Ordering::Acquire);
        version.is_multiple_of(2).then_some(version)
    }

    /// Whether this version is still current. The caller has executed a fence since it read the state.
    pub(crate) fn is_still(&self, version: u64) -> bool {
        // [MO-1] Relaxed: the caller's fence orders it after the read of the state.
        self.version.load(Ordering::Relaxed) == version
    }

    pub(crate) fn published_lsn(&self) -> Lsn {
        // [RB-1] Acquire: pairs with the release in `update`, so a thread that gets the entry of a rollback sees
        // the rollback counted. For the LSN itself this load needs no ordering: the thread has acquired the state, and
        // the LSN was stored before it.
        self.published_lsn.load(Ordering::Acquire)
    }

    pub fn keys(&self) -> usize {
        // Relaxed: a count.
        self.keys.load(Ordering::Relaxed)
    }

    pub(crate) fn keys_with_ttl(&self) -> usize {
        // Relaxed: a count.
        self.with_ttl.load(Ordering::Relaxed)
    }

    /// Stores the number of keys, the number of those with a TTL, and the memory. The caller holds the shard's lock,
    /// and publishes the state afterwards. Returns by how many bytes the memory has changed.
    pub(super) fn update(
        &self,
        (keys, with_ttl, memory): (usize, usize, usize),
        entry: Option<Lsn>,
    ) -> isize {
        if let Some(entry) = entry {
            // [RB-1] Release: pairs with the acquire in `published_lsn`, so a thread that gets the entry of a rollback
            // sees the rollback counted. Publishing the state releases this store, too.
            self.published_lsn.store(entry, Ordering::Release);
        }
        // Relaxed: counts, each by itself.
        self.keys.store(keys, Ordering::Relaxed);
        // Relaxed: as above.
        self.with_ttl.store(with_ttl, Ordering::Relaxed);
        // Relaxed: as above; stored under the lock only.
        memory.wrapping_sub(self.memory.swap(memory, Ordering::Relaxed)).cast_signed()
    }
}
