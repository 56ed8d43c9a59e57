//! Counters for statistics.
//!
//! # Synchronization
//! None. All accesses are relaxed: a count orders nothing, and a sum that is read while threads count is a sum of the
//! recent past.

use crate::facade::atomic::{AtomicUsize, Ordering};
use crossbeam_utils::CachePadded;
use std::array;

/// A count that few threads change, or that changes rarely.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        // relaxed: a count.
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Raises the count to `value` if it is lower.
    pub(crate) fn raise_to(&self, value: usize) {
        // relaxed: a count.
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        // relaxed: a count.
        self.0.load(Ordering::Relaxed)
    }
}

const STRIPES: usize = 16;

/// A count that every caller changes on a hot path: spread over cache lines, and approximate.
pub(crate) struct StripedCounter([CachePadded<AtomicUsize>; STRIPES]);

impl StripedCounter {
    pub(crate) fn new() -> Self {
        Self(array::from_fn(|_| CachePadded::new(AtomicUsize::new(0))))
    }

    /// Adds `more`. If two threads share a stripe, one of two simultaneous additions may be lost: a load and a store
    /// cost less than a locked addition.
    #[inline]
    pub(crate) fn add(&self, more: usize) {
        let stripe = &self.0[stripe()];
        // relaxed: a count.
        let count = stripe.load(Ordering::Relaxed).wrapping_add(more);
        // relaxed: a count.
        stripe.store(count, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> usize {
        // relaxed: a count.
        self.0.iter().map(|stripe| stripe.load(Ordering::Relaxed)).sum()
    }
}

/// Returns the calling thread's stripe. Threads have stacks of their own, so the address of a local variable tells
/// them apart at less cost than a thread-local number.
#[inline]
fn stripe() -> usize {
    let local = 0_u8;
    let page = (&raw const local).addr() >> 14;
    let spread = page.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    spread >> (usize::BITS - STRIPES.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn a_count_is_raised_and_never_lowered() {
        let count = Counter::default();
        count.add(3);
        count.raise_to(5);
        count.raise_to(4);
        assert_eq!(count.get(), 5);
    }

    #[test]
    fn threads_count_on_several_lines() {
        const THREADS: usize = 32;
        // Only threads that run at the same time have different stacks.
        let all_run = Barrier::new(THREADS);
        let stripe = || {
            all_run.wait();
            stripe()
        };
        let stripes: BTreeSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(stripe)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(stripes.len() > 3, "{THREADS} threads count on the lines {stripes:?}");
        assert!(stripes.iter().all(|stripe| *stripe < STRIPES));
        let count = StripedCounter::new();
        (0..3).for_each(|_| count.add(2));
        assert_eq!(count.sum(), 6);
    }
}
