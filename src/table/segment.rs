//! A segment: the heads and entries of consecutive bins in one allocation.

use super::memory::{self, AllocError, Words};
use crate::bins::layout::Layout;
use crate::facade::Word;
use core::marker::PhantomData;

/// A segment that nobody else sees yet; freed on drop unless taken.
pub(crate) struct Segment<K, V> {
    words: Words,
    before: usize,
    entries: PhantomData<(K, V)>,
}

impl<K, V> Segment<K, V> {
    /// All bins unborn.
    pub(crate) fn new(bins: usize) -> Result<Self, AllocError> {
        let (words, before) = (
            memory::words(Layout::<K, V>::segment_words(bins))?,
            Layout::<K, V>::words_before(bins),
        );
        Ok(Self { words, before, entries: PhantomData })
    }

    /// What the segment goes by: heads lie from here on, entries before.
    pub(crate) fn address(&self) -> *mut Word {
        self.words.as_ptr().wrapping_add(self.before)
    }

    /// Hands the segment over; whoever takes it frees it with [`free`](Self::free).
    pub(crate) fn take(mut self) -> *mut Word {
        self.words.take().wrapping_add(self.before)
    }

    /// # Safety
    /// `address` is that of a segment of `bins` bins that was taken, and nobody uses it any more.
    pub(crate) unsafe fn free(address: *mut Word, bins: usize) {
        let words = address.wrapping_sub(Layout::<K, V>::words_before(bins));
        // SAFETY: where `take` had it from, with the length of the allocation.
        unsafe { memory::free_words(words, Layout::<K, V>::segment_words(bins)) }
    }
}
