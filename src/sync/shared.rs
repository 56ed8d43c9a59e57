//! A reference-counted pointer: std's `Arc`, for targets that have none.
//!
//! # Synchronization
//! That of its [count](super::references).

use super::references::References;
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

struct SharedInner<T> {
    references: References,
    value: T,
}

/// A counted reference to a value.
pub(crate) struct Shared<T> {
    inner: NonNull<SharedInner<T>>,
    owns: PhantomData<SharedInner<T>>,
}

// SAFETY: references in several threads share the value (`Sync`), and any of them may drop it (`Send`).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above, because a shared reference can be cloned.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let inner = Box::new(SharedInner { references: References::one(), value });
        Self { inner: NonNull::from(Box::leak(inner)), owns: PhantomData }
    }

    fn inner(&self) -> &SharedInner<T> {
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
        self.inner().references.add();
        Self { ..*self }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.inner().references.remove() {
            // SAFETY: `new` leaked the box, and this was the last reference.
            drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
        }
    }
}
