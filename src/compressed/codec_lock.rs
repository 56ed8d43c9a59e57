//! The locks under which codecs run. If a codec calls its own map, that call must not wait for itself.

use crate::facade::lock::{Guard, Lock};
use crate::sync::holder::Holder;
use core::ops::{Deref, DerefMut};

/// A lock that knows which thread holds it, if there is `std` to ask.
pub(super) struct CodecLock<T> {
    lock: Lock<T>,
    holder: Holder,
}

/// The right to what is locked.
pub(super) struct CodecGuard<'a, T> {
    guard: Guard<'a, T>,
    holder: &'a Holder,
}

impl<T> CodecLock<T> {
    pub(super) fn new(value: T) -> Self {
        Self { lock: Lock::new(value), holder: Holder::new() }
    }

    /// Spins until the lock is ours. Panics if it is this thread's already, where that can be known.
    pub(super) fn lock(&self) -> CodecGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| {
            self.refuse_holder();
            self.held(self.lock.lock())
        })
    }

    /// Takes the lock only if nobody holds it.
    pub(super) fn try_lock(&self) -> Option<CodecGuard<'_, T>> {
        self.lock.try_lock().map(|guard| self.held(guard))
    }

    fn held<'a>(&'a self, guard: Guard<'a, T>) -> CodecGuard<'a, T> {
        self.holder.begin();
        CodecGuard { guard, holder: &self.holder }
    }

    /// Panics if this thread holds the lock, where that can be known. A caller that waits until another thread gives
    /// the lock back calls this first.
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
