//! A pointer to what is current, which writers replace.
//!
//! # Synchronization
//! - `[SV-1]` release compare-and-swap of the pointer ↔ `[SV-2]` acquire load of it: what it points to is complete.

use crate::facade::atomic::{AtomicPtr, Ordering};
use core::ptr;

/// A pointer to the current version, or null.
pub(super) struct Current<N>(AtomicPtr<N>);

impl<N> Current<N> {
    crate::facade::const_unless_loom! {
        pub(super) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }
    }

    pub(super) fn load(&self) -> *mut N {
        // [SV-2] acquire: pairs with [SV-1], so we see what was written to the version before it became the current
        // one.
        self.0.load(Ordering::Acquire)
    }

    /// Makes `new` the current version, if `base` still is. Returns whether it did.
    pub(super) fn replace(&self, base: *mut N, new: *mut N) -> bool {
        // [SV-1] release: pairs with [SV-2], so that other threads see the version as we made it.
        // relaxed, if it fails: the caller loads the pointer again.
        self.0.compare_exchange(base, new, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Returns the current version to the only user of the pointer.
    #[cfg(not(hedgerow_loom))]
    pub(super) fn get_mut(&mut self) -> *mut N {
        // relaxed: no other thread has access.
        self.0.load(Ordering::Relaxed)
    }
}
