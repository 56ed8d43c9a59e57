//! The blocks of nodes and blobs, which tests count.

use crate::state::slabs;
use std::ptr::NonNull;

pub(super) use slabs::footprint;

#[cfg(test)]
thread_local! {
    /// Blocks that this thread has allocated and not freed.
    pub(super) static LIVE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[inline]
pub(super) fn allocate(size: usize) -> NonNull<u8> {
    #[cfg(test)]
    LIVE.set(LIVE.get().wrapping_add(1));
    slabs::allocate(size)
}

/// # Safety
/// As for [`slabs::free`].
#[inline]
pub(super) unsafe fn free(block: NonNull<u8>, size: usize) {
    // Another thread may have allocated it.
    #[cfg(test)]
    LIVE.set(LIVE.get().wrapping_sub(1));
    // SAFETY: the caller's promise.
    unsafe { slabs::free(block, size) };
}
