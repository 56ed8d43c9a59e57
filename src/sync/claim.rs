//! A seat that one at a time may have: a reader's slot, the writer's place of a left-right map.
//!
//! # Synchronization
//! - `[SE-1]` release store when a seat is left ↔ `[SE-2]` acquire compare-and-swap that takes it: whoever has it
//!   next comes after all that the last one did, and goes on with what it left.

use crate::facade::atomic::{AtomicBool, Ordering};

/// A seat, and whether somebody has it.
pub(crate) struct Claim(AtomicBool);

impl Claim {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(taken: bool) -> Self {
            Self(AtomicBool::new(taken))
        }
    }

    /// Whether somebody seems to have it: a look that takes nobody's cache line away, and decides nothing.
    pub(crate) fn is_taken(&self) -> bool {
        // relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }

    /// Takes the seat, if nobody has it.
    pub(crate) fn take(&self) -> bool {
        // [SE-2] acquire: pairs with [SE-1]; relaxed where it fails: nothing follows.
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Leaves the seat, which the caller has.
    pub(crate) fn release(&self) {
        // [SE-1] release: pairs with [SE-2].
        self.0.store(false, Ordering::Release);
    }
}
