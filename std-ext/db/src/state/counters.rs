//! Statistics that each thread counts by itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one thread has counted. Only that thread stores.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

impl Counters {
    pub(crate) fn add(to: &AtomicU64, number: u64) {
        // Relaxed: a figure by itself, and this thread is the only one that stores.
        let now = to.load(Ordering::Relaxed) + number;
        // Relaxed: as above.
        to.store(now, Ordering::Relaxed);
    }
}
