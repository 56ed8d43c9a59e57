//! The memory limit and the eviction policy (`maxmemory`, `maxmemory-policy`).

use crate::options::Eviction;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The memory limit, and the policy when it is reached. Both can be set at run time.
pub(crate) struct MemoryLimit {
    bytes: AtomicUsize,
    eviction: AtomicU8,
}

const POLICIES: [Eviction; 6] = [
    Eviction::Never,
    Eviction::Lru,
    Eviction::Random,
    Eviction::VolatileLru,
    Eviction::VolatileRandom,
    Eviction::VolatileTtl,
];

impl MemoryLimit {
    pub(crate) fn new(bytes: usize, eviction: Eviction) -> Self {
        let limit = Self { bytes: AtomicUsize::new(bytes), eviction: AtomicU8::new(0) };
        limit.set_eviction(eviction);
        limit
    }

    /// Returns the limit in bytes; 0 for none.
    pub(crate) fn bytes(&self) -> usize {
        // Relaxed: a setting by itself.
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes(&self, bytes: usize) {
        // Relaxed: as above.
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn eviction(&self) -> Eviction {
        // Relaxed: as above.
        POLICIES[usize::from(self.eviction.load(Ordering::Relaxed))]
    }

    pub(crate) fn set_eviction(&self, policy: Eviction) {
        let place = POLICIES.iter().position(|one| *one == policy).unwrap_or(0);
        // Relaxed: as above.
        self.eviction.store(place as u8, Ordering::Relaxed);
    }
}
