//! Keeping a hot word alone on its cache line.
//!
//! # Synchronization
//! None: padding changes where a word lies, not how it is ordered.

use core::ops::Deref;

/// Alone on two lines: adjacent-line prefetchers fetch pairs.
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);

impl<T> Deref for CachePadded<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
