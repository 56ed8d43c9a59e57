//! A segment: the heads and entries of consecutive bins in one allocation.

use crate::bins::layout::Layout;
use crate::facade::Word;
use crate::memory::{self, AllocError, Words};
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
        Ok(Self::of(memory::words(Layout::<K, V>::segment_words(bins))?, bins))
    }

    /// In zeroed words, of which there are enough for so many bins.
    pub(crate) fn of(words: Words, bins: usize) -> Self {
        Self { words, before: Layout::<K, V>::words_before(bins), entries: PhantomData }
    }

    /// The words that it lies in.
    pub(crate) fn into_words(self) -> Words {
        self.words
    }

    /// In `block`, zeroed words of an extent.
    #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn within(block: *mut Word, bins: usize) -> Self {
        Self::of(Words::borrowed(block), bins)
    }

    /// Where the words of a segment in an extent begin; frees one that is in none.
    #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn into_borrowed(self) -> Option<*mut Word> {
        self.words.is_borrowed().then(|| self.words.as_ptr())
    }

    /// Where the segment's words begin.
    #[cfg(all(test, feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn block(&self) -> *mut Word {
        self.words.as_ptr()
    }

    /// Where the words of the segment at `address`, of `bins` bins, begin.
    pub(crate) fn block_of(address: *mut Word, bins: usize) -> *mut Word {
        address.wrapping_sub(Layout::<K, V>::words_before(bins))
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
    /// `address` is that of a segment of `bins` bins, from `new`, that was taken, and nobody uses it any more.
    pub(crate) unsafe fn free(address: *mut Word, bins: usize) {
        let words = Self::block_of(address, bins);
        // SAFETY: where `take` had it from, with the length of the allocation.
        unsafe { memory::free_words(words, Layout::<K, V>::segment_words(bins)) }
    }
}
