//! A segment: the heads and entries of consecutive bins in one allocation.

use crate::bins::layout::Layout;
use crate::facade::Word;
use crate::memory::{self, AllocError, Words};
use core::marker::PhantomData;

/// A segment that no other thread sees yet. The destructor frees it unless it was taken.
pub(crate) struct NewSegment<K, V> {
    words: Words,
    before: usize,
    entries: PhantomData<(K, V)>,
}

impl<K, V> NewSegment<K, V> {
    /// Allocates a segment whose bins are all uninitialized.
    pub(crate) fn new(bins: usize) -> Result<Self, AllocError> {
        Ok(Self::of(memory::words(Layout::<K, V>::segment_words(bins))?, bins))
    }

    /// Makes a segment of zeroed words that suffice for `bins` bins.
    pub(crate) fn of(words: Words, bins: usize) -> Self {
        Self { words, before: Layout::<K, V>::words_before(bins), entries: PhantomData }
    }

    /// Returns the words of the segment.
    pub(crate) fn into_words(self) -> Words {
        self.words
    }

    /// Makes a segment of `block`, zeroed words of an extent.
    #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn within(block: *mut Word, bins: usize) -> Self {
        Self::of(Words::borrowed(block), bins)
    }

    /// Returns the first word of a segment in an extent, and frees a segment that is in none.
    #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn into_borrowed(self) -> Option<*mut Word> {
        self.words.is_borrowed().then(|| self.words.as_ptr())
    }

    /// Returns the address of the segment's first word.
    #[cfg(all(test, feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn block(&self) -> *mut Word {
        self.words.as_ptr()
    }

    /// Returns the address of the first word of the segment at `address`, which has `bins` bins.
    pub(crate) fn block_of(address: *mut Word, bins: usize) -> *mut Word {
        address.wrapping_sub(Layout::<K, V>::words_before(bins))
    }

    /// Returns the segment's address: heads are stored from here on, entries before.
    pub(crate) fn address(&self) -> *mut Word {
        self.words.as_ptr().wrapping_add(self.before)
    }

    /// Returns the segment's address. The caller frees the segment with [`free`](Self::free).
    pub(crate) fn take(mut self) -> *mut Word {
        self.words.take().wrapping_add(self.before)
    }

    /// Frees a segment.
    ///
    /// # Safety
    /// `address` comes from `take` of a segment that `new` made of `bins` bins, and no thread uses it any more.
    pub(crate) unsafe fn free(address: *mut Word, bins: usize) {
        let words = Self::block_of(address, bins);
        // SAFETY: the block that `take` returned the address in, with the length that `new` allocated.
        unsafe { memory::free_words(words, Layout::<K, V>::segment_words(bins)) }
    }
}
