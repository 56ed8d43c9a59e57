//! Allocation that fails with a value: zeroed words, words that are zeroed in steps, raw blocks, and headers with
//! tails.
//!
//! Segments and chunks are blocks of zeroed words: a zero tag word is an uninitialized bin, a zero state is an unlocked
//! one. No caller holds a lock, but for the pool of a `CompressedMap`, whose lock keeps others from making segments.

use crate::facade::Word;
use crate::sync::cache::LINE_BYTES;
use alloc::alloc::{alloc, alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::ptr;

/// The allocator has no memory, or the size overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AllocError;

/// Segments and chunks start on a cache line.
const ALIGN: usize = LINE_BYTES;

fn words_layout(count: usize) -> Result<Layout, AllocError> {
    assert!(count > 0, "an allocation of no words");
    let layout = Layout::array::<Word>(count).map_err(|_| AllocError)?;
    layout.align_to(ALIGN).map_err(|_| AllocError)
}

/// Zeroed words. The destructor frees them, unless they were taken or borrowed.
pub(crate) struct Words {
    words: *mut Word,
    /// The number of words; 0 for borrowed words.
    count: usize,
}

impl Words {
    /// Refers to words that their owner frees.
    pub(crate) fn borrowed(words: *mut Word) -> Self {
        Self { words, count: 0 }
    }

    #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
    pub(crate) fn is_borrowed(&self) -> bool {
        self.count == 0
    }

    /// Returns the block. The caller frees it with `free_words`.
    pub(crate) fn take(&mut self) -> *mut Word {
        core::mem::replace(&mut self.words, ptr::null_mut())
    }

    pub(crate) fn as_ptr(&self) -> *mut Word {
        self.words
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        if self.count > 0 {
            // SAFETY: null if the block was taken. Else it is from `words`, of this length, and no other owner exists.
            unsafe { free_words(self.words, self.count) }
        }
    }
}

/// Allocates `count > 0` zeroed words.
pub(crate) fn words(count: usize) -> Result<Words, AllocError> {
    let layout = words_layout(count)?;
    // SAFETY: `words_layout` refuses a count of 0, so the layout is not empty.
    let words = unsafe { alloc_zeroed(layout) }.cast::<Word>();
    if words.is_null() {
        return Err(AllocError);
    }
    #[cfg(hedgerow_loom)]
    for i in 0..count {
        // SAFETY: in bounds of the block just allocated.
        unsafe { words.add(i).write(Word::new()) };
    }
    Ok(Words { words, count })
}

/// A block of words, not all of them zeroed yet. The destructor frees it, unless it was taken.
pub(crate) struct Unzeroed {
    words: *mut Word,
    count: usize,
    /// The number of words at the beginning that are zeroed.
    zeroed: usize,
}

impl Unzeroed {
    /// Allocates `count > 0` words.
    pub(crate) fn of(count: usize) -> Result<Self, AllocError> {
        let layout = words_layout(count)?;
        // SAFETY: `words_layout` refuses a count of 0, so the layout is not empty.
        let words = unsafe { alloc(layout) }.cast::<Word>();
        if words.is_null() { Err(AllocError) } else { Ok(Self { words, count, zeroed: 0 }) }
    }

    /// Zeroes the words of `range`, which begins where the last call's range ended.
    pub(crate) fn zero(&mut self, range: core::ops::Range<usize>) {
        assert!(range.start == self.zeroed && range.start <= range.end && range.end <= self.count);
        // SAFETY: within the block, which no other thread sees before `take`.
        unsafe { self.words.add(range.start).write_bytes(0, range.len()) };
        self.zeroed = range.end;
    }

    /// Returns the block, after all of it was zeroed. The caller frees it with `free_words`.
    pub(crate) fn take(mut self) -> *mut Word {
        assert!(self.zeroed == self.count, "a block is handed out with words that are not zeroed");
        core::mem::replace(&mut self.words, ptr::null_mut())
    }
}

impl Drop for Unzeroed {
    fn drop(&mut self) {
        if !self.words.is_null() {
            let layout = words_layout(self.count).expect("the layout that it was allocated with");
            // SAFETY: the block is from `of`, with this layout, and was not taken.
            unsafe { dealloc(self.words.cast(), layout) };
        }
    }
}

/// Allocates `bytes > 0` uninitialized bytes, to be freed with [`free_block`].
#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
pub(crate) fn block(bytes: usize, align: usize) -> Result<*mut Word, AllocError> {
    assert!(bytes > 0, "an allocation of no bytes");
    let layout = Layout::from_size_align(bytes, align).map_err(|_| AllocError)?;
    // SAFETY: `bytes > 0`, so the layout is not empty.
    let block = unsafe { alloc(layout) };
    if block.is_null() { Err(AllocError) } else { Ok(block.cast()) }
}

/// Frees a block of [`block`].
///
/// # Safety
/// `block` comes from [`block`] with the same size and alignment, and no thread uses it any more.
#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
pub(crate) unsafe fn free_block(block: *mut Word, bytes: usize, align: usize) {
    let layout =
        Layout::from_size_align(bytes, align).expect("the layout that it was allocated with");
    // SAFETY: the caller promises that `block` was allocated with this layout.
    unsafe { dealloc(block.cast(), layout) }
}

/// Whether the allocator has this many bytes in one block. A large table asks before it is built piece by piece, so
/// that a request which cannot succeed does not use up all memory first.
pub(crate) fn can_allocate(bytes: usize) -> bool {
    let Ok(layout) = Layout::from_size_align(bytes.max(1), ALIGN) else { return false };
    // SAFETY: the size is at least 1, so the layout is not empty.
    let block = core::hint::black_box(unsafe { alloc(layout) });
    if block.is_null() {
        return false;
    }
    // SAFETY: allocated above with this layout.
    unsafe { dealloc(block, layout) };
    true
}

/// Frees a block of [`words`].
///
/// # Safety
/// `words` is null, or a block of `count` words from [`words`] that no thread uses any more.
pub(crate) unsafe fn free_words(words: *mut Word, count: usize) {
    if words.is_null() {
        return;
    }
    #[cfg(hedgerow_loom)]
    for i in 0..count {
        // SAFETY: written by `words`, and not dropped before.
        unsafe { words.add(i).drop_in_place() };
    }
    let layout = words_layout(count).expect("the layout that it was allocated with");
    // SAFETY: the caller promises that the block was allocated with this layout.
    unsafe { dealloc(words.cast(), layout) }
}

fn tail_layout<H, T>(count: usize) -> Result<Layout, AllocError> {
    const {
        let fits = size_of::<H>().is_multiple_of(align_of::<T>());
        assert!(fits && align_of::<T>() <= align_of::<H>() && size_of::<H>() > 0);
    };
    let tail = Layout::array::<T>(count).map_err(|_| AllocError)?;
    let (layout, _) = Layout::new::<H>().extend(tail).map_err(|_| AllocError)?;
    Ok(layout)
}

/// Allocates a header followed by `count` tail elements.
pub(crate) fn with_tail<H, T>(
    header: H,
    count: usize,
    mut each: impl FnMut() -> T,
) -> Result<*mut H, AllocError> {
    let layout = tail_layout::<H, T>(count)?;
    // SAFETY: the layout includes a header, whose type is not zero-sized: `tail_layout` asserts that.
    let block = unsafe { alloc(layout) }.cast::<H>();
    if block.is_null() {
        return Err(AllocError);
    }
    // SAFETY: the layout has room for the header and, right behind it, `count` elements.
    unsafe {
        block.write(header);
        let tail = block.add(1).cast::<T>();
        for index in 0..count {
            tail.add(index).write(each());
        }
    }
    Ok(block)
}

/// Frees a block of [`with_tail`].
///
/// # Safety
/// `block` comes from [`with_tail`] with the same types and count, and no thread uses it any more.
pub(crate) unsafe fn free_with_tail<H, T>(block: *mut H, count: usize) {
    let layout = tail_layout::<H, T>(count).expect("the layout that it was allocated with");
    // SAFETY: the caller promises that the block comes from `with_tail`, which wrote the header and the elements.
    unsafe {
        ptr::slice_from_raw_parts_mut(block.add(1).cast::<T>(), count).drop_in_place();
        block.drop_in_place();
        dealloc(block.cast(), layout);
    }
}

#[cfg(all(test, feature = "std", not(hedgerow_loom)))]
mod tests {
    use super::{Unzeroed, free_words, words};
    use std::panic::catch_unwind;

    #[test]
    fn a_block_is_handed_out_when_all_of_it_is_zeroed() {
        let mut block = Unzeroed::of(4).unwrap();
        block.zero(0..3);
        block.zero(3..4);
        // SAFETY: a block of 4 words, which nothing else uses.
        unsafe { free_words(block.take(), 4) };
        let skips = || {
            let mut block = Unzeroed::of(4).unwrap();
            block.zero(0..1);
            block.zero(2..4);
        };
        assert!(catch_unwind(skips).is_err(), "words in the middle are not zeroed");
        let ends_early = || {
            let mut block = Unzeroed::of(4).unwrap();
            block.zero(0..3);
            block.take()
        };
        assert!(catch_unwind(ends_early).is_err(), "words at the end are not zeroed");
    }

    #[test]
    fn no_block_is_empty() {
        assert!(catch_unwind(|| words(0).map(drop)).is_err(), "no words are allocated");
        assert!(catch_unwind(|| Unzeroed::of(0).map(drop)).is_err(), "no words are allocated");
    }
}
