//! Threads that wait for long: with `std` they leave their core, and are woken.
//!
//! # Synchronization
//! None of its own: the caller's lock protects the list, and `std` parks the threads.

#[cfg(all(feature = "std", not(any(hedgerow_loom, loom, shuttle))))]
pub(crate) use with_std::Sleepers;
#[cfg(not(all(feature = "std", not(any(hedgerow_loom, loom, shuttle)))))]
pub(crate) use without_std::Sleepers;

#[cfg(all(feature = "std", not(any(hedgerow_loom, loom, shuttle))))]
mod with_std {
    use alloc::vec::Vec;
    use std::thread::{self, Thread};

    /// The threads that sleep until an event. The lock that protects this also protects the event, so that no thread
    /// goes to sleep behind it.
    pub(crate) struct Sleepers(Vec<Thread>);

    impl Sleepers {
        pub(crate) fn new() -> Self {
            Self(Vec::new())
        }

        /// Adds the calling thread, which calls [`sleep`](Self::sleep) when it has released the lock. Returns whether
        /// threads can sleep.
        pub(crate) fn join(&mut self) -> bool {
            let own = thread::current();
            // After a wake-up that had another reason, the thread is in the list already.
            if self.0.iter().all(|there| there.id() != own.id()) {
                self.0.push(own);
            }
            true
        }

        /// Sleeps until a wake-up, which may have another reason than the event.
        pub(crate) fn sleep() {
            thread::park();
        }

        /// Wakes all threads. Called after the event, with the lock released.
        pub(crate) fn wake(self) {
            self.0.iter().for_each(Thread::unpark);
        }
    }
}

/// Without `std` threads cannot sleep: they spin.
#[cfg(not(all(feature = "std", not(any(hedgerow_loom, loom, shuttle)))))]
mod without_std {
    pub(crate) struct Sleepers;

    #[expect(clippy::unused_self, reason = "the other `Sleepers` has the same methods")]
    impl Sleepers {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn join(&mut self) -> bool {
            false
        }

        pub(crate) fn sleep() {}

        pub(crate) fn wake(self) {}
    }
}
