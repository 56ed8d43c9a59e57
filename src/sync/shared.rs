//! A reference-counted pointer: std's `Arc`, for targets that have none.
//!
//! # Synchronization
//! - `[CT-1]` release subtraction when a reference is dropped ↔ `[CT-2]` acquire fence of the thread that dropped the
//!   last one, before it drops the value: all uses by other threads come before. (As in std's `Arc`.)

use crate::facade::atomic::{self, AtomicUsize, Ordering};
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

/// The most references that are counted.
const MOST: usize = isize::MAX as usize;

struct Inner<T> {
    references: AtomicUsize,
    value: T,
}

/// A counted reference to a value.
pub(crate) struct Shared<T> {
    inner: NonNull<Inner<T>>,
    owns: PhantomData<Inner<T>>,
}

// SAFETY: references in several threads share the value (`Sync`), and any of them may drop it (`Send`).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above, because a shared reference can be cloned.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let inner = Box::new(Inner { references: AtomicUsize::new(1), value });
        Self { inner: NonNull::from(Box::leak(inner)), owns: PhantomData }
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: the value lives as long as there are references, and this is one.
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
        // The count stops at `MOST`, or references that are leaked again and again would wrap it around to zero. A
        // reference that is refused is not counted, or refusals would wrap it too.
        let one_more = |references| (references < MOST).then_some(references + 1);
        let references = &self.inner().references;
        // relaxed: the caller's reference keeps the value alive.
        let added = references.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        assert!(added.is_ok(), "more handles than can be shared");
        Self { ..*self }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // [CT-1] release: pairs with the fence below, so our uses come before the value is dropped.
        if self.inner().references.fetch_sub(1, Ordering::Release) == 1 {
            // [CT-2] acquire: pairs with the subtractions of all other references.
            atomic::fence(Ordering::Acquire);
            // SAFETY: `new` leaked the box, and this was the last reference.
            drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn references_that_are_refused_are_not_counted() {
        let first = Shared::new(7);
        first.inner().references.store(MOST, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(catch_unwind(|| first.clone()).is_err());
            let references = first.inner().references.load(Ordering::Relaxed);
            assert_eq!(references, MOST, "a reference that was refused is counted");
        }
        first.inner().references.store(1, Ordering::Relaxed);
    }
}
