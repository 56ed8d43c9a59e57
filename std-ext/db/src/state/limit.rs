//! How much memory keys and values may take.

use crate::options::Eviction;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// What memory is allowed, and what happens at that limit.
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

    /// 0 for no limit.
    pub(crate) fn bytes(&self) -> usize {
        // Relaxed: a setting by itself.
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes(&self, bytes: usize) {
        // Relaxed: as above.
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn eviction(&self) -> Eviction {
        // Relaxed: a setting by itself.
        POLICIES[usize::from(self.eviction.load(Ordering::Relaxed))]
    }

    pub(crate) fn set_eviction(&self, policy: Eviction) {
        let place = POLICIES.iter().position(|one| *one == policy).unwrap_or(0);
        // Relaxed: a setting by itself.
        self.eviction.store(place as u8, Ordering::Relaxed);
    }
}
