//! An arena: memory that the owner of a table provides for as long as the table lives.
//!
//! A table allocates what it needs when it needs it. A table that has to stay within a budget takes full segments and
//! overflow lines from an arena instead. This module cuts the provided memory into blocks. An empty arena is like an
//! allocator without memory: the table does not grow, and an operation that cannot do without memory fails.
//!
//! # Synchronization
//! The memory may have had another use before, and readers of that use may still load its words: they then check, by
//! the state of a bin, whether the entry that led them there is still valid ([SL-2]). So every store here is atomic,
//! and
//! - `[LE-1]` a release `atomic::fence` of the thread that takes a block, before it zeroes the first word ↔ `[SL-2]`: a
//!   reader that loads a zero finds the bin's state changed. A thread that writes to the block later has seen it taken
//!   (`[DI-2]`, `[OV-2]`), and has a release fence or store of its own before every word: that of its bin's lock
//!   (`[SL-1]`), of the lines that it popped (`[OV-4]`), or the store itself (`[FT-2]`).

use super::Failure;
use crate::bins::layout::whole_lines;
use crate::facade::Word;
use crate::facade::atomic::{self, Ordering};
use crate::facade::lock::Lock;
use crate::memory::{self, AllocError, Words};
use crate::sync::backoff::Backoff;
use alloc::boxed::Box;
use core::ptr;

/// The number of pieces that an arena keeps. A longer piece replaces the shortest, which is lost: less than a segment.
const PIECES: usize = 4;

/// The unused memory of a table's arena; nothing for a table that uses the allocator.
pub(crate) struct TableArena(Option<Box<Lock<Pieces>>>);

struct Pieces {
    pieces: [ArenaPiece; PIECES],
}

#[derive(Clone, Copy)]
struct ArenaPiece {
    first: *mut Word,
    words: usize,
}

impl TableArena {
    /// Makes the arena of a table that takes its memory from the allocator.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Makes an arena without memory, for a table that takes its memory from there only.
    pub(crate) fn empty() -> Self {
        let none = ArenaPiece { first: ptr::null_mut(), words: 0 };
        Self(Some(Box::new(Lock::new(Pieces { pieces: [none; PIECES] }))))
    }

    /// Whether the table takes its memory from the arena.
    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the bytes that the arena's bookkeeping takes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| size_of_val(&**pieces))
    }

    /// Adds memory.
    ///
    /// # Safety
    /// `first` is the address of `words` words, on a cache line, that live as long as the table and hold nothing but
    /// integers. No other thread writes to them. All bins whose entries once led there have changed before this call.
    pub(crate) unsafe fn add(&self, first: *mut Word, words: usize) {
        if let Some(pieces) = &self.0 {
            pieces.lock().add(ArenaPiece { first, words });
        }
    }

    /// Returns the number of blocks of `words` words each that can be taken.
    pub(crate) fn blocks(&self, words: usize) -> usize {
        let words = whole_lines(words);
        self.0
            .as_ref()
            .map_or(0, |pieces| pieces.lock().pieces.iter().map(|piece| piece.words / words).sum())
    }

    /// Returns `words` zeroed words, on a cache line: from the allocator, or from the arena.
    pub(crate) fn words(&self, words: usize, backoff: &Backoff) -> Result<Words, Failure> {
        let Some(pieces) = &self.0 else { return Ok(memory::words(words)?) };
        let block = backoff.lock(pieces)?.take(whole_lines(words)).ok_or(AllocError)?;
        // [LE-1] release fence: pairs with the acquire fence of `validate` [SL-2], so a reader of the memory's former
        // use that loads a zero finds its bin's state changed.
        atomic::fence(Ordering::Release);
        for index in 0..words {
            // SAFETY: `take` cut the block off a piece, whose words live as long as the table (`add`).
            unsafe { &*block.add(index) }.store_integer(0);
        }
        Ok(Words::borrowed(block))
    }

    /// Takes back an unused block of `words` words; frees it if it is from the allocator. If taking it back would
    /// require waiting, the block is lost to the table.
    pub(crate) fn give_back(&self, mut block: Words, words: usize, backoff: &Backoff) {
        if let Some(pieces) = &self.0
            && let Ok(mut pieces) = backoff.lock(pieces)
        {
            pieces.add(ArenaPiece { first: block.take(), words: whole_lines(words) });
        }
    }
}

impl Pieces {
    fn add(&mut self, piece: ArenaPiece) {
        if let Some(shortest) = self.pieces.iter_mut().min_by_key(|kept| kept.words)
            && shortest.words < piece.words
        {
            *shortest = piece;
        }
    }

    /// Cuts a block off the shortest piece that is long enough.
    fn take(&mut self, words: usize) -> Option<*mut Word> {
        let fit = self.pieces.iter_mut().filter(|piece| piece.words >= words);
        let piece = fit.min_by_key(|piece| piece.words)?;
        let first = piece.first;
        piece.first = first.wrapping_add(words);
        piece.words -= words;
        Some(first)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn blocks_are_zeroed_and_apart_and_used_again() {
        const LINE: usize = whole_lines(1);
        let arena = TableArena::empty();
        let backoff = Backoff::spinning();
        assert!(arena.words(LINE, &backoff).is_err(), "the arena is empty yet");
        // Longer than the part that the arena gets: a block that leaves its piece harms nothing else.
        let mut words: Vec<_> =
            [10, 3].map(|lines| memory::words((lines + 12) * LINE).unwrap()).into();
        let ranges: Vec<_> = words.iter().map(|piece| piece.as_ptr()).collect();
        for (first, lines) in ranges.iter().zip([10, 3]) {
            // SAFETY: words that no other thread uses, freed at the end of the test.
            unsafe { arena.add(*first, lines * LINE) };
        }
        assert_eq!((arena.blocks(4 * LINE), arena.blocks(2 * LINE)), (2, 6));
        // Small blocks come from the short piece while it lasts.
        let mut taken: Vec<_> =
            [1, 4, 2, 4].map(|lines| arena.words(lines * LINE, &backoff).unwrap()).into();
        let places: Vec<usize> = taken.iter().map(|block| block.as_ptr().addr()).collect();
        let at = |piece: usize, lines: usize| ranges[piece].wrapping_add(lines * LINE).addr();
        assert_eq!(places, [at(1, 0), at(0, 0), at(1, 1), at(0, 4)], "blocks leave their piece");
        for (block, lines) in taken.iter().zip([1, 4, 2, 4]) {
            for index in 0..lines * LINE {
                // SAFETY: within a block that was taken.
                let word = unsafe { &*block.as_ptr().add(index) };
                assert_eq!(word.load_integer(), 0, "not zeroed, or another one's");
                word.store_integer(usize::MAX);
            }
        }
        assert!(arena.words(4 * LINE, &backoff).is_err(), "more than there was");
        arena.give_back(taken.swap_remove(1), 4 * LINE, &backoff);
        let again = arena.words(3 * LINE, &backoff).unwrap();
        assert_eq!(again.as_ptr().addr(), at(0, 0));
        // SAFETY: as above.
        assert_eq!(unsafe { &*again.as_ptr() }.load_integer(), 0);
        words.clear();
    }

    #[test]
    fn a_caller_that_may_not_wait_gets_an_error() {
        let arena = TableArena::empty();
        let words = memory::words(whole_lines(1)).unwrap();
        // SAFETY: words that no other thread uses, freed at the end of the test.
        unsafe { arena.add(words.as_ptr(), whole_lines(1)) };
        let held = arena.0.as_ref().map(|pieces| pieces.lock());
        assert!(matches!(arena.words(1, &Backoff::never()), Err(Failure::Busy)));
        drop(held);
        assert!(arena.words(1, &Backoff::never()).is_ok());
    }
}
