//! A value that lives as long as anybody has a hold of it: std's `Arc`, for targets that have none.
//!
//! # Synchronization
//! - `[CT-1]` release subtraction when a hold is given up ↔ `[CT-2]` acquire fence before the value is
//!   dropped by whoever gave up the last: all that the others did comes before. (As in std's `Arc`.)

use crate::facade::atomic::{self, AtomicUsize, Ordering};
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

/// Holds that are counted.
const MOST: usize = isize::MAX as usize;

struct Inner<T> {
    holds: AtomicUsize,
    value: T,
}

/// A hold of a value.
pub(crate) struct Shared<T> {
    inner: NonNull<Inner<T>>,
    owns: PhantomData<Inner<T>>,
}

// SAFETY: holds in several threads share the value and any of them may drop it.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above: a shared hold can be copied.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let inner = Box::new(Inner { holds: AtomicUsize::new(1), value });
        Self { inner: NonNull::from(Box::leak(inner)), owns: PhantomData }
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: alive while there are holds, of which this is one.
        unsafe { self.inner.as_ref() }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // Holds that are forgotten again and again would count round to none, and so would those that are refused if
        // they were counted.
        let one_more = |holds| (holds < MOST).then_some(holds + 1);
        let holds = &self.inner().holds;
        // relaxed: the caller's hold keeps the value alive.
        let added = holds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        assert!(added.is_ok(), "more handles than can be shared");
        Self { ..*self }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // [CT-1] release: pairs with the fence below.
        if self.inner().holds.fetch_sub(1, Ordering::Release) == 1 {
            // [CT-2] acquire: pairs with the subtractions of all others.
            atomic::fence(Ordering::Acquire);
            // SAFETY: a leaked box, and this was the last hold.
            drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn holds_that_are_refused_are_not_counted() {
        let first = Shared::new(7);
        first.inner().holds.store(MOST, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(catch_unwind(|| first.clone()).is_err());
            let holds = first.inner().holds.load(Ordering::Relaxed);
            assert_eq!(holds, MOST, "a hold that was refused is shared");
        }
        first.inner().holds.store(1, Ordering::Relaxed);
    }
}
