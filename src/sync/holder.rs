//! Which thread holds a lock, so that a thread that asks for its own lock again panics instead of waiting for itself.
//!
//! # Synchronization
//! None: a thread only has to tell whether it wrote the word last itself, which each thread knows of its own stores.

#[cfg(all(feature = "std", not(hedgerow_loom)))]
pub(crate) use known::Holder;
#[cfg(not(all(feature = "std", not(hedgerow_loom))))]
pub(crate) use unknown::Holder;

#[cfg(all(feature = "std", not(hedgerow_loom)))]
mod known {
    use crate::facade::atomic::{AtomicUsize, Ordering};
    use core::ptr;

    std::thread_local!(static HERE: u8 = const { 0 });

    /// A number that no other thread has meanwhile, and not 0.
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

        /// Whether it is the one that asks.
        #[inline(always)]
        pub(crate) fn is_this_thread(&self) -> bool {
            // relaxed: see above.
            self.0.load(Ordering::Relaxed) == this_thread()
        }

        /// The calling thread has just got the lock.
        #[inline(always)]
        pub(crate) fn begin(&self) {
            // relaxed: see above.
            self.0.store(this_thread(), Ordering::Relaxed);
        }

        /// The calling thread is about to give the lock back.
        #[inline(always)]
        pub(crate) fn end(&self) {
            // relaxed: see above.
            self.0.store(0, Ordering::Relaxed);
        }
    }
}

/// Without thread-locals nobody can tell, and a thread that asks for its own lock again waits for ever.
#[cfg(not(all(feature = "std", not(hedgerow_loom))))]
mod unknown {
    pub(crate) struct Holder;

    #[expect(clippy::unused_self, reason = "as where threads are known")]
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
