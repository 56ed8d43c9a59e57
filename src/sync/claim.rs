//! A claim that one thread at a time holds: to a reader's slot, or to being the writer of a left-right map.
//!
//! # Synchronization
//! - `[SE-1]` release store when a claim is released ↔ `[SE-2]` acquire compare-and-swap that takes it: the next holder
//!   sees all that the last one did, and goes on from there.

use crate::facade::atomic::{AtomicBool, Ordering};

/// A claim, and whether it is taken.
pub(crate) struct Claim(AtomicBool);

impl Claim {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(taken: bool) -> Self {
            Self(AtomicBool::new(taken))
        }
    }

    /// Returns true if the claim seems to be taken. This does not write, so it leaves the cache line shared.
    pub(crate) fn is_taken(&self) -> bool {
        // relaxed: a hint; `take` decides.
        self.0.load(Ordering::Relaxed)
    }

    /// Takes the claim, if it is free. Returns true if the caller now holds it.
    pub(crate) fn take(&self) -> bool {
        // [SE-2] acquire: pairs with [SE-1], so we see what the last holder did. relaxed if it fails: nothing follows.
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Releases the claim, which the caller holds.
    pub(crate) fn release(&self) {
        // [SE-1] release: pairs with [SE-2], so the next holder sees what we did.
        self.0.store(false, Ordering::Release);
    }
}
