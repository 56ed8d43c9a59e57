//! A segment: one allocation, whose bytes never move, and which is not freed while the map is shared.
//!
//! ```text
//! generation | live bytes | next in its list | what it is | end | marks | records …
//! ```
//!
//! All of it is words, which are accessed atomically. Records are appended under the lock of the open segment.
//! Afterwards they never change, except the word that links the record below.
//!
//! # Synchronization
//! A writer moves or unlinks a record under the lock of its key's bin. A segment is reused only after all its records
//! were unlinked. So the version of a bin covers the records that its entries refer to:
//! - `[CM-1]` release `atomic::fence` between the unlinking of a segment's last record and the first store of a new
//!   word. Each thread that stores a word executes it: when it opens the segment, and before it appends a record,
//!   because another thread may have opened the segment ↔ `[SL-2]`: a reader that has loaded a new word finds the bin's
//!   state changed.
//! - `[CM-2]` release subtraction of a record's bytes, by the thread that unlinked it ↔ `[CM-3]` acquire load of the
//!   count, before the segment is given back: so [CM-1] comes after all unlinking. (If the bin was locked for the
//!   unlinking, `[SL-1]` alone would protect readers. But the subtracting thread has also read the record's head, which
//!   must not be overwritten before.)
//! - `[SL-5]`, `[SL-4]`: a writer that locks the bin from the state in which it followed the entry has read current
//!   records. If a record was unlinked before, the lock fails.
//! - The words of a record are stored before the bin is unlocked whose entry refers to it (`[SL-3]`).
//!
//! Live bytes are counted up when a record is appended and down when it is unlinked, each once. They are never set, so
//! they are exact when no thread writes, in any order of counting.

use super::record::{HEAD_WORDS, LONGEST_HEAD, RecordHead, RecordLocation, Shape};
use crate::facade::Word;
use crate::facade::atomic::{self, AtomicUsize, Ordering};
use crate::sync::cache::LINE_BYTES;
use crate::sync::prefetch;
use crate::sync::words::WORD;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

const GENERATION: usize = 0;
const LIVE: usize = 1;
const NEXT: usize = 2;
const USE: usize = 3;
const END: usize = 4;

/// The use of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Free = 0,
    Open,
    Hot,
    Cold,
    /// A thread sweeps it.
    Swept,
    /// It belongs to the index, for good.
    Index,
}

/// A reference to a segment, which its pool keeps live for `'a`.
#[derive(Clone, Copy)]
pub(super) struct SegmentRef<'a> {
    words: *const Word,
    shape: Shape,
    pool: PhantomData<&'a Word>,
}

/// Orders the following stores after the unlinking of old records. Called by each thread that opens a segment or
/// appends to one, because another thread may have opened it.
#[inline(always)]
pub(super) fn begin() {
    // [CM-1] release fence: pairs with [SL-2].
    atomic::fence(Ordering::Release);
}

impl<'a> SegmentRef<'a> {
    /// # Safety
    /// `words` points to `shape.words()` words, zeroed when they were allocated, that stay live for `'a`.
    #[inline(always)]
    pub(super) unsafe fn new(words: *const Word, shape: Shape) -> Self {
        Self { words, shape, pool: PhantomData }
    }

    #[inline(always)]
    fn word(self, index: usize) -> &'a AtomicUsize {
        debug_assert!(index < self.shape.words());
        // SAFETY: the index is within the segment, which lives for `'a`. Stores check it at their callers. Loads are
        // before the end of a record, which `head` has found to be within the segment.
        unsafe { &*self.words.add(index) }.control()
    }

    #[inline(always)]
    fn load(self, index: usize) -> usize {
        // relaxed: bookkeeping under a lock, or validated by the bin's state ([CM-1]).
        self.word(index).load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn store(self, index: usize, value: usize) {
        // relaxed: as in `load`. A record is published by the bin whose entry refers to it ([SL-3]).
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// Returns how often the segment was opened. A reader that reads a record and then finds its bin unchanged has read
    /// the generation of that record, in either order of the two loads.
    pub(super) fn generation(self) -> usize {
        self.load(GENERATION)
    }

    /// Makes a free segment ready for new records. The caller has taken it from the list.
    pub(super) fn open(self) {
        begin();
        self.store(GENERATION, self.load(GENERATION).wrapping_add(1));
        self.set_use(Use::Open);
        for index in 0..self.shape.mark_words() {
            self.store(Shape::FRONT + index, 0);
        }
    }

    /// Ends the segment at `end`: no record is appended any more.
    pub(super) fn seal(self, end: usize, hot: bool) {
        self.store(END, end);
        self.set_use(if hot { Use::Hot } else { Use::Cold });
    }

    /// Returns where the records of a sealed segment end.
    pub(super) fn end(self) -> usize {
        self.load(END)
    }

    pub(super) fn set_use(self, to: Use) {
        self.store(USE, to as usize);
    }

    pub(super) fn is(self, what: Use) -> bool {
        self.load(USE) == what as usize
    }

    /// Returns the next segment of its list: one more than a number, 0 for none.
    pub(super) fn next(self) -> usize {
        self.load(NEXT)
    }

    pub(super) fn set_next(self, next: usize) {
        self.store(NEXT, next);
    }

    pub(super) fn live(self) -> usize {
        // Negative for a moment, if one thread counts down before another counts up.
        usize::try_from(self.load(LIVE).cast_signed()).unwrap_or(0)
    }

    /// Returns the bytes of unlinked records in a sealed segment. The rest behind the last record does not count,
    /// because compaction would not gain it.
    pub(super) fn dead(self) -> usize {
        self.end().saturating_sub(self.shape.begin()).saturating_sub(self.live())
    }

    pub(super) fn count_up(self, bytes: usize) {
        // relaxed: a count, which orders nothing.
        self.word(LIVE).fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_down(self, bytes: usize) {
        // [CM-2] release: pairs with the acquire in `is_unused` [CM-3], so the unlinking comes before any reuse.
        self.word(LIVE).fetch_sub(bytes, Ordering::Release);
    }

    /// Whether no record in it is linked, or about to be linked.
    pub(super) fn is_unused(self) -> bool {
        // [CM-3] acquire: pairs with the release in `count_down` [CM-2]. If the count is 0, the thread that reuses the
        // segment has seen all unlinking.
        self.word(LIVE).load(Ordering::Acquire) == 0
    }

    /// Prefetches the cache lines that a lookup needs beside the record's first: the rest of a short record, its mark,
    /// and the segment's front. Without this the lookup would wait for each of them in sequence.
    #[inline(always)]
    pub(super) fn prefetch(self, offset: usize) {
        let (mark, _) = Shape::mark(offset);
        for index in [offset / WORD + LINE_BYTES / WORD, mark, GENERATION] {
            prefetch::read(self.words.wrapping_add(index));
        }
    }

    /// Marks the record at `offset` as read, and returns whether it was marked. If it is another record by now, that
    /// one is marked, which does no harm.
    #[inline(always)]
    pub(super) fn mark_read(self, offset: usize) -> bool {
        let (word, bit) = Shape::mark(offset);
        let before = self.load(word) & bit != 0;
        if !before {
            // relaxed: a hint.
            self.word(word).fetch_or(bit, Ordering::Relaxed);
        }
        before
    }

    /// Clears one word of read marks.
    pub(super) fn clear_marks(self, word: usize) {
        if self.load(Shape::FRONT + word) != 0 {
            self.store(Shape::FRONT + word, 0);
        }
    }

    pub(super) fn is_marked(self, offset: usize) -> bool {
        let (word, bit) = Shape::mark(offset);
        self.load(word) & bit != 0
    }

    /// Returns the location of the record below the one at `offset`.
    pub(super) fn below(self, offset: usize) -> RecordLocation {
        RecordLocation(self.load(offset / WORD))
    }

    /// Links `below` under the record at `offset`. The caller holds the lock of the bin, or is the only thread that has
    /// the record.
    ///
    /// # Panics
    /// The word is not within the segment.
    pub(super) fn set_below(self, offset: usize, below: RecordLocation) {
        assert!(offset < self.shape.bytes(), "a word would be written beyond a segment");
        self.store(offset / WORD, below.0);
    }

    /// Returns the head at `start` and its length, or `None` if the record would end beyond the segment.
    #[inline(always)]
    pub(super) fn head(self, start: usize) -> Option<(RecordHead, usize)> {
        let mut words = [0usize; HEAD_WORDS];
        if start >= self.shape.end() {
            return None;
        }
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.load(start / WORD + index);
        }
        // SAFETY: the words have exactly this many bytes, and any bytes are valid.
        let bytes: &[u8; HEAD_WORDS * WORD] = unsafe { &*(&raw const words).cast() };
        let within = &bytes[start % WORD..][..LONGEST_HEAD];
        let (head, len) = RecordHead::read(within);
        (start + len + head.key + head.stored <= self.shape.end()).then_some((head, len))
    }

    /// Whether the segment has these bytes at `at`. The caller has found that they end within the segment.
    #[inline(always)]
    pub(super) fn equals(self, at: usize, bytes: &[u8]) -> bool {
        debug_assert!(at + bytes.len() <= self.shape.bytes());
        let (mut index, within) = (at / WORD, at % WORD);
        let (first, rest) = bytes.split_at(bytes.len().min(WORD - within));
        let word = self.load(index).to_ne_bytes();
        if word[within..within + first.len()] != *first {
            return false;
        }
        for part in rest.chunks(WORD) {
            index += 1;
            if self.load(index).to_ne_bytes()[..part.len()] != *part {
                return false;
            }
        }
        true
    }

    /// Copies `len` bytes from `at` to `into`, if it has room for the words that hold them.
    #[inline(always)]
    pub(super) fn copy(self, at: usize, len: usize, into: &ReadScratch<'_>) -> bool {
        let first = at / WORD;
        let count = (at + len).div_ceil(WORD) - first;
        let Some(words) = into.words.get(..count) else { return false };
        for (index, word) in words.iter().enumerate() {
            word.set(MaybeUninit::new(self.load(first + index)));
        }
        into.holds.set((at % WORD, len));
        true
    }

    /// Fills `into` with the bytes from `at` on.
    pub(super) fn copy_out(self, at: usize, into: &mut [u8]) {
        let (mut index, within) = (at / WORD, at % WORD);
        let here = if within == 0 { 0 } else { into.len().min(WORD - within) };
        let (front, rest) = into.split_at_mut(here);
        if here > 0 {
            front.copy_from_slice(&self.load(index).to_ne_bytes()[within..within + here]);
            index += 1;
        }
        let (words, rest) = rest.as_chunks_mut::<WORD>();
        for word in words {
            *word = self.load(index).to_ne_bytes();
            index += 1;
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&self.load(index).to_ne_bytes()[..rest.len()]);
        }
    }

    /// Writes the parts one after the other from `at` on. The bytes behind them in their last word are lost. The caller
    /// has the segment open.
    ///
    /// # Panics
    /// The bytes are not within the segment.
    #[inline(always)]
    pub(super) fn put(self, at: usize, [first, second, third]: [&[u8]; 3]) {
        let len = first.len().saturating_add(second.len()).saturating_add(third.len());
        let fits = at <= self.shape.bytes() && len <= self.shape.bytes() - at;
        assert!(fits, "bytes would be written beyond a segment");
        self.put_part(at, first);
        self.put_part(at + first.len(), second);
        self.put_part(at + first.len() + second.len(), third);
    }

    fn put_part(self, at: usize, bytes: &[u8]) {
        let (mut index, within) = (at / WORD, at % WORD);
        let (first, rest) =
            bytes.split_at(if within == 0 { 0 } else { bytes.len().min(WORD - within) });
        if within > 0 {
            let mut word = self.load(index).to_ne_bytes();
            word[within..within + first.len()].copy_from_slice(first);
            self.store(index, usize::from_ne_bytes(word));
            index += 1;
        }
        for part in rest.chunks(WORD) {
            let mut word = [0; WORD];
            word[..part.len()].copy_from_slice(part);
            self.store(index, usize::from_ne_bytes(word));
            index += 1;
        }
    }

    /// Replaces the kind of the record whose head is at `start`. The caller is the only thread that has the record.
    ///
    /// # Panics
    /// The head is not within the segment.
    pub(super) fn put_kind(self, start: usize, kind: u8) {
        assert!(start < self.shape.bytes(), "a kind would be written beyond a segment");
        let mut word = self.load(start / WORD).to_ne_bytes();
        word[start % WORD] = kind;
        self.store(start / WORD, usize::from_ne_bytes(word));
    }
}

/// Memory to which a reader copies stored bytes while they may be changing.
pub(super) struct ReadScratch<'a> {
    words: &'a [Cell<MaybeUninit<usize>>],
    /// Where the bytes begin that were copied last, and how many they are.
    holds: Cell<(usize, usize)>,
}

impl<'a> ReadScratch<'a> {
    pub(super) fn new(words: &'a mut [MaybeUninit<usize>]) -> Self {
        let words = Cell::from_mut(words).as_slice_of_cells();
        Self { words, holds: Cell::new((0, 0)) }
    }

    /// Returns the words that hold `len` bytes at any alignment.
    pub(super) const fn words_for(len: usize) -> usize {
        (len + WORD - 1).div_ceil(WORD)
    }

    /// Returns the bytes that were copied last. The borrow prevents another copy meanwhile.
    pub(super) fn bytes(&mut self) -> &[u8] {
        let (at, len) = self.holds.get();
        debug_assert!(at + len <= self.words.len() * WORD);
        // SAFETY: `copy` has written all words of these bytes, and cannot run while `self` is borrowed.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast::<u8>().add(at), len) }
    }
}
