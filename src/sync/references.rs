//! A count of references to a block, each an owner of it.
//!
//! # Synchronization
//! - `[CT-1]` release subtraction when a reference is dropped ↔ `[CT-2]` acquire fence of the thread that dropped the
//!   last one, before it frees the block: all uses by other threads come before. (As in std's `Arc`.)
//! - `[CT-1]` ↔ `[CT-3]` acquire load of a count of one, by a thread that then changes the block: the reads by
//!   references that other threads have dropped come before the change. (As in `Arc::get_mut`.)

#[cfg(not(hedgerow_int_words))]
use crate::facade::atomic;
use crate::facade::atomic::{AtomicUsize, Ordering};

/// The most references that are counted.
const MOST: usize = isize::MAX as usize;

/// The number of references to a block.
pub(crate) struct References(AtomicUsize);

impl References {
    pub(crate) fn one() -> Self {
        Self(AtomicUsize::new(1))
    }

    /// Counts another reference, which the caller makes from its own.
    ///
    /// # Panics
    /// If there are `isize::MAX` references. Otherwise those that are leaked again and again would wrap the count to 0.
    #[inline(always)]
    pub(crate) fn add(&self) {
        // relaxed: the caller's reference keeps the block alive, and whoever gets the new one gets it from the caller.
        if self.0.fetch_add(1, Ordering::Relaxed) >= MOST {
            // relaxed: takes back what nobody has used, or refusals would wrap the count, too. Threads that are between
            // these two steps are far too few for that.
            self.0.fetch_sub(1, Ordering::Relaxed);
            panic!("more references than can be counted");
        }
    }

    /// Takes a reference back. Returns true if it was the last one: the caller frees the block.
    #[inline(always)]
    pub(crate) fn remove(&self) -> bool {
        // [CT-1] release: pairs with the fence below, and with [CT-3], so our uses come before the block is freed or
        // changed.
        let is_last = self.0.fetch_sub(1, Ordering::Release) == 1;
        if is_last {
            // [CT-2] acquire: pairs with the subtractions of all other references.
            #[cfg(not(hedgerow_int_words))]
            atomic::fence(Ordering::Acquire);
            // [CT-2] acquire: a load instead, as in std, because ThreadSanitizer does not know fences.
            #[cfg(hedgerow_int_words)]
            self.0.load(Ordering::Acquire);
        }
        is_last
    }

    /// As [`remove`](Self::remove), but the last reference stays: it is the caller's, and the only one.
    #[cfg_attr(not(feature = "persistent"), allow(dead_code))]
    pub(crate) fn remove_unless_last(&self) -> bool {
        let is_last = self.remove();
        if is_last {
            // relaxed: nobody else has a reference, and whoever gets one gets it from the caller.
            self.0.store(1, Ordering::Relaxed);
        }
        is_last
    }

    /// Returns whether there is one reference. If it is the caller's, and the caller has it exclusively, no other one
    /// can appear.
    #[cfg_attr(not(feature = "persistent"), allow(dead_code))]
    #[inline(always)]
    pub(crate) fn is_one(&self) -> bool {
        // [CT-3] acquire: pairs with the subtractions [CT-1] of references that are gone. Their reads come before what
        // the caller changes.
        self.0.load(Ordering::Acquire) == 1
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn references_that_are_refused_are_not_counted() {
        let references = References(AtomicUsize::new(MOST));
        for _ in 0..3 {
            assert!(catch_unwind(|| references.add()).is_err());
            let counted = references.0.load(Ordering::Relaxed);
            assert_eq!(counted, MOST, "a reference that was refused is counted");
        }
    }
}
