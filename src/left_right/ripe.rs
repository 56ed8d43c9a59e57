//! Entries that no reader can see any more.

use super::keep::Keep;
use core::iter;
use core::marker::PhantomData;
use core::mem;

/// Drops entries: all of them, also where a destructor panics.
///
/// # Safety
/// The caller owns them, and nobody can meet them any more.
pub(super) unsafe fn free_all<K, V, P: Keep<K, V>>(entries: impl Iterator<Item = P::Entry>) {
    struct Rest<K, V, P: Keep<K, V>, I: Iterator<Item = P::Entry>>(I, PhantomData<(K, V, P)>);
    impl<K, V, P: Keep<K, V>, I: Iterator<Item = P::Entry>> Drop for Rest<K, V, P, I> {
        fn drop(&mut self) {
            // SAFETY: what `free_all` was given, and has not dropped.
            self.0.by_ref().for_each(|entry| unsafe { P::free(entry) });
        }
    }
    let mut rest = Rest::<K, V, P, _>(entries, PhantomData);
    // SAFETY: as the caller says.
    rest.0.by_ref().for_each(|entry| unsafe { P::free(entry) });
}

/// A list of such entries, which are dropped with it.
pub(super) struct Ripe<K, V, P: Keep<K, V>> {
    list: Option<P::Entry>,
    owns: PhantomData<(K, V)>,
}

// SAFETY: a shared reference to the list leads to no entry.
unsafe impl<K, V, P: Keep<K, V>> Sync for Ripe<K, V, P> {}

impl<K, V, P: Keep<K, V>> Ripe<K, V, P> {
    /// No entries.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self { list: None, owns: PhantomData }
    }

    /// # Safety
    /// The entries were linked by their owner, and nobody can meet them any more.
    pub(super) unsafe fn new(list: Option<P::Entry>) -> Self {
        Self { list, owns: PhantomData }
    }
}

impl<K, V, P: Keep<K, V>> Drop for Ripe<K, V, P> {
    #[inline]
    fn drop(&mut self) {
        // Only entries with destructors are left for later, so for others the compiler need not ask the list.
        if P::OWNS && mem::needs_drop::<(K, V)>() && self.list.is_some() {
            // SAFETY: what `new` was given.
            unsafe { free_all::<K, V, P>(iter::from_fn(|| P::unlink(&mut self.list))) };
        }
    }
}
