//! Memory that somebody lends to a table for as long as it lives.
//!
//! A table asks the allocator for what it needs, when it needs it. One that has to live within somebody's budget
//! takes full segments and overflow lines from what it is lent instead. What is lent at a time is cut up here. Where
//! nothing is left it is as where the allocator has none: the table does not grow, or fails where it cannot do without.
//!
//! # Synchronization
//! What is lent may have been something else, whose readers are still about: they read words, and then look whether
//! what led them there still does, by the state of a bin ([SL-2]). So nothing here is stored but atomically, and
//! - `[LE-1]` a release `atomic::fence` of whoever takes a block, before it zeroes the first word ↔ `[SL-2]`: a
//!   reader that met a zero finds the bin's state moved on. Who writes to the block later has seen it taken
//!   (`[DI-2]`, `[OV-2]`), and has a release fence or store of its own before every word: that of its bin's lock
//!   (`[SL-1]`), of the lines that it took (`[OV-4]`), or the store itself (`[FT-2]`).

use super::Failure;
use super::memory::{self, AllocError, Words};
use crate::bins::layout::whole_lines;
use crate::facade::Word;
use crate::facade::atomic::{self, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::sync::backoff::{Backoff, WouldWait};
use core::ptr;

/// Pieces that are kept apart. The shortest is given up for a longer one: what is lost with it is less than a segment.
const PIECES: usize = 4;

/// What a table was lent and does not use yet.
pub(crate) struct Lent {
    /// Whether it takes no other memory.
    only: bool,
    room: Lock<Room>,
}

struct Room {
    pieces: [Piece; PIECES],
}

#[derive(Clone, Copy)]
struct Piece {
    first: *mut Word,
    words: usize,
}

impl Lent {
    crate::facade::const_unless_loom! {
        /// For a table that takes its memory from the allocator, or that is lent `only` some.
        pub(crate) fn new(only: bool) -> Self {
            let none = Piece { first: ptr::null_mut(), words: 0 };
            Self { only, room: Lock::new(Room { pieces: [none; PIECES] }) }
        }
    }

    /// Whether the table takes no other memory.
    #[inline]
    pub(crate) fn is_all(&self) -> bool {
        self.only
    }

    /// Lends some more.
    ///
    /// # Safety
    /// `first` is the address of so many words, on a cache line, that live as long as the table and that nobody else
    /// writes to, and they hold nothing but integers. All bins whose entries once led there were changed before.
    pub(crate) unsafe fn lend(&self, first: *mut Word, words: usize) {
        debug_assert!(self.only);
        self.room.lock().add(Piece { first, words });
    }

    /// Blocks of so many words each that can be taken.
    pub(crate) fn blocks(&self, words: usize) -> usize {
        let words = whole_lines(words);
        let room = self.room.lock();
        room.pieces.iter().map(|piece| piece.words / words).sum()
    }

    /// So many zeroed words, on a cache line: from the allocator, or of what was lent.
    pub(crate) fn words(&self, words: usize, backoff: &Backoff) -> Result<Words, Failure> {
        if !self.only {
            return Ok(memory::words(words)?);
        }
        let block = self.room(backoff)?.take(whole_lines(words)).ok_or(AllocError)?;
        // [LE-1] release fence: pairs with [SL-2].
        atomic::fence(Ordering::Release);
        for index in 0..words {
            // SAFETY: so many words were cut off a piece, and those of one live as long as the table.
            unsafe { &*block.add(index) }.store_integer(0);
        }
        Ok(Words::borrowed(block))
    }

    /// Takes back a block that was not used, of so many words; one from the allocator is freed. Where that would be
    /// to wait, what was lent is lost to the table.
    pub(crate) fn give_back(&self, mut block: Words, words: usize, backoff: &Backoff) {
        if self.only
            && let Ok(mut room) = self.room(backoff)
        {
            room.add(Piece { first: block.take(), words: whole_lines(words) });
        }
    }

    fn room(&self, backoff: &Backoff) -> Result<Guard<'_, Room>, WouldWait> {
        if backoff.may_wait() {
            Ok(self.room.lock())
        } else {
            self.room.try_lock().ok_or(WouldWait)
        }
    }
}

impl Room {
    fn add(&mut self, piece: Piece) {
        if let Some(shortest) = self.pieces.iter_mut().min_by_key(|kept| kept.words)
            && shortest.words < piece.words
        {
            *shortest = piece;
        }
    }

    /// Cuts a block off the shortest piece that holds one.
    fn take(&mut self, words: usize) -> Option<*mut Word> {
        let fit = self.pieces.iter_mut().filter(|piece| piece.words >= words);
        let piece = fit.min_by_key(|piece| piece.words)?;
        let first = piece.first;
        piece.first = first.wrapping_add(words);
        piece.words -= words;
        Some(first)
    }
}
