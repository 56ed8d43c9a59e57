//! The locks that are held while a codec runs. If a codec changes its own map, that call must not wait for itself.

use crate::facade::lock::{Guard, Lock};
use crate::sync::holder::Holder;
use core::ops::{Deref, DerefMut};

/// A lock that remembers the thread that holds it, if `std` can tell.
pub(super) struct CodecLock<T> {
    lock: Lock<T>,
    holder: Holder,
}

/// Access to the locked value.
pub(super) struct CodecGuard<'a, T> {
    guard: Guard<'a, T>,
    holder: &'a Holder,
}

impl<T> CodecLock<T> {
    pub(super) fn new(value: T) -> Self {
        Self { lock: Lock::new(value), holder: Holder::new() }
    }

    /// Spins until it has the lock. Panics if this thread holds it already and `std` can tell.
    pub(super) fn lock(&self) -> CodecGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| {
            self.refuse_holder();
            self.held(self.lock.lock())
        })
    }

    /// Takes the lock if no thread holds it.
    pub(super) fn try_lock(&self) -> Option<CodecGuard<'_, T>> {
        self.lock.try_lock().map(|guard| self.held(guard))
    }

    fn held<'a>(&'a self, guard: Guard<'a, T>) -> CodecGuard<'a, T> {
        self.holder.begin();
        CodecGuard { guard, holder: &self.holder }
    }

    /// Panics if this thread holds the lock and `std` can tell. A caller that waits for another thread to release the
    /// lock calls this first.
    #[cold]
    pub(super) fn refuse_holder(&self) {
        assert!(
            !self.holder.is_this_thread(),
            "a codec that works for a map waits for itself: codecs must not change their own map"
        );
    }
}

impl<T> Deref for CodecGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for CodecGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for CodecGuard<'_, T> {
    fn drop(&mut self) {
        self.holder.end();
    }
}
