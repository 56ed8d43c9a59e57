//! The thread that holds a lock: it is noted so that a thread that takes its own lock again panics instead of
//! deadlocking.
//!
//! # Synchronization
//! None. A thread only asks whether it was the last to write the word, and each thread sees its own stores.

#[cfg(all(feature = "std", not(any(hedgerow_loom, loom, shuttle))))]
pub(crate) use known::Holder;
#[cfg(not(all(feature = "std", not(any(hedgerow_loom, loom, shuttle)))))]
pub(crate) use unknown::Holder;

#[cfg(all(feature = "std", not(any(hedgerow_loom, loom, shuttle))))]
mod known {
    use crate::facade::atomic::{AtomicUsize, Ordering};
    use core::ptr;

    std::thread_local!(static HERE: u8 = const { 0 });

    /// Returns a number that no other living thread has, and that is not 0.
    #[inline(always)]
    fn this_thread() -> usize {
        HERE.with(|here| ptr::from_ref(here).addr())
    }

    /// The thread that holds a lock.
    pub(crate) struct Holder(AtomicUsize);

    impl Holder {
        pub(crate) fn new() -> Self {
            Self(AtomicUsize::new(0))
        }

        /// Returns true if the calling thread holds the lock.
        #[inline(always)]
        pub(crate) fn is_this_thread(&self) -> bool {
            // relaxed: another thread's number, or 0, is never this thread's.
            self.0.load(Ordering::Relaxed) == this_thread()
        }

        /// Notes that the calling thread has just taken the lock.
        #[inline(always)]
        pub(crate) fn begin(&self) {
            // relaxed: only this thread compares the word with this number.
            self.0.store(this_thread(), Ordering::Relaxed);
        }

        /// Notes that the calling thread is about to release the lock.
        #[inline(always)]
        pub(crate) fn end(&self) {
            // relaxed: only this thread compares the word with its number.
            self.0.store(0, Ordering::Relaxed);
        }
    }
}

/// Without thread-locals a thread cannot be told apart, and one that takes its own lock again deadlocks.
#[cfg(not(all(feature = "std", not(any(hedgerow_loom, loom, shuttle)))))]
mod unknown {
    pub(crate) struct Holder;

    #[expect(clippy::unused_self, reason = "the other `Holder` has the same methods")]
    impl Holder {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn is_this_thread(&self) -> bool {
            false
        }

        pub(crate) fn begin(&self) {}

        pub(crate) fn end(&self) {}
    }
}
