//! Hit and miss counters. Each thread has its own, so that reads share no cache line.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one thread. Only that thread stores.
#[derive(Default)]
#[repr(align(64))]
pub struct Counters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
}

impl Counters {
    pub fn add(to: &AtomicU64, number: u64) {
        // Relaxed: a count, and this thread is the only one that stores it.
        let now = to.load(Ordering::Relaxed) + number;
        // Relaxed: as above.
        to.store(now, Ordering::Relaxed);
    }
}
