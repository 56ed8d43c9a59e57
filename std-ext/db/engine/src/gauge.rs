//! Shared numbers that stand for themselves.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that any thread reads and writes: a limit, a statistic or a hint. No other memory is published through it,
/// so every access is relaxed.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[inline]
    pub fn get(&self) -> u64 {
        // Relaxed: see the type.
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u64) {
        // Relaxed: see the type.
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds, and returns the value before.
    pub fn add(&self, more: u64) -> u64 {
        // Relaxed: see the type.
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    pub fn sub(&self, less: u64) {
        // Relaxed: see the type.
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Raises the value if it is lower, and returns the value before.
    pub fn raise(&self, value: u64) -> u64 {
        // Relaxed: see the type.
        self.0.fetch_max(value, Ordering::Relaxed)
    }
}

/// A number that only grows, written by one thread and read by any.
#[derive(Debug, Default)]
pub struct ThreadCounter(AtomicU64);

impl ThreadCounter {
    #[inline]
    pub fn add(&self, more: u64) {
        // Only one thread writes, so no addition is lost. Relaxed: a statistic; no other memory is published through
        // it.
        self.0.store(self.get() + more, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        // Relaxed: as in `add`.
        self.0.load(Ordering::Relaxed)
    }
}
