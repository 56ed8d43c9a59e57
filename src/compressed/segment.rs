//! A segment: one allocation, of which no byte moves and which is not freed while the map is shared.
//!
//! ```text
//! generation | live bytes | next in its list | what it is | end | sum | marks | records …
//! ```
//!
//! All of it is words that are accessed atomically. Records are appended under the lock of whoever has the segment
//! open, and change no more, but for the word that says what lies below.
//!
//! # Synchronization
//! Whoever moves a record, or unlinks it, does so under the lock of its key's bin; a segment is written anew only
//! after all its records were. So the bin's version speaks for what its entries lead to:
//! - `[CM-1]` a release `atomic::fence`, after a segment's last record was unlinked and before a new word is stored,
//!   by each thread that stores any: when it opens the segment, and before a record that it appends, since another
//!   may have opened it ↔ `[SL-2]`: a reader that met any new word finds the bin's state moved on.
//! - `[CM-2]` release subtraction of a record's bytes, after it was unlinked, by whoever did ↔ `[CM-3]` acquire load
//!   of the count, before the segment is given back: so [CM-1] comes after all of them.
//!   (Where the bin was locked to unlink it, `[SL-1]` alone would do for readers. Whoever subtracts has also read the
//!   record's head, which must not be written anew before.)
//! - `[SL-5]`, `[SL-4]`: who locks the bin from the state under which it followed the entry has read what was there:
//!   else the unlinking came before that lock, which then would not have succeeded.
//! - The words of a record are stored before the bin that leads to it is unlocked (`[SL-3]`).
//!
//! Live bytes are counted up where a record is appended and down where it is unlinked, each once, and are never
//! set: at rest they are exact, whoever comes late.

use super::record::{HEAD_WORDS, Head, LONGEST_HEAD, Location, Shape};
use crate::bins::layout::LINE_BYTES;
use crate::facade::Word;
use crate::facade::atomic::{self, AtomicUsize, Ordering};
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
const SUM: usize = 5;

/// What a segment is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Free = 0,
    Open,
    Hot,
    Cold,
    /// Being swept.
    Swept,
    /// The index's, for good.
    Index,
}

#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    words: *const Word,
    shape: Shape,
    pool: PhantomData<&'a Word>,
}

/// Begins to write where other words were: who opens a segment, and who appends a record, since somebody else may have
/// opened it.
#[inline(always)]
pub(super) fn begin() {
    // [CM-1] release fence: pairs with [SL-2].
    atomic::fence(Ordering::Release);
}

impl<'a> Segment<'a> {
    /// # Safety
    /// `words` is the address of `shape.words()` words, zeroed when they were new, that stay live for `'a`.
    #[inline(always)]
    pub(super) unsafe fn new(words: *const Word, shape: Shape) -> Self {
        Self { words, shape, pool: PhantomData }
    }

    #[inline(always)]
    fn word(self, index: usize) -> &'a AtomicUsize {
        debug_assert!(index < self.shape.words());
        // SAFETY: within the segment, which lives for `'a`: what is stored is checked where it is, and what is loaded
        // lies before the end of a record, which `head` has found to end within.
        unsafe { &*self.words.add(index) }.control()
    }

    #[inline(always)]
    fn load(self, index: usize) -> usize {
        // relaxed: bookkeeping under a lock, or validated by the bin's state ([CM-1]).
        self.word(index).load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn store(self, index: usize, value: usize) {
        // relaxed: as for `load`; a record is published by the bin that leads to it ([SL-3]).
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// How often it was opened. A reader that looks at a record and then finds its bin unchanged has read the
    /// generation that the record belongs to, in whatever order.
    pub(super) fn generation(self) -> usize {
        self.load(GENERATION)
    }

    /// Makes it ready to be appended to. The caller took it from the list of those that hold nothing.
    pub(super) fn open(self) {
        begin();
        self.store(GENERATION, self.load(GENERATION).wrapping_add(1));
        self.set_use(Use::Open);
        for index in 0..self.shape.mark_words() {
            self.store(Shape::FRONT + index, 0);
        }
    }

    /// Nothing is appended any more.
    pub(super) fn seal(self, end: usize, hot: bool) {
        self.store(END, end);
        self.set_use(if hot { Use::Hot } else { Use::Cold });
    }

    /// Where the records of a sealed one end.
    pub(super) fn end(self) -> usize {
        self.load(END)
    }

    /// The checksum of a sealed cold one's records.
    pub(super) fn sum(self) -> u32 {
        self.load(SUM) as u32
    }

    pub(super) fn set_sum(self, sum: u32) {
        self.store(SUM, sum as usize);
    }

    pub(super) fn set_use(self, to: Use) {
        self.store(USE, to as usize);
    }

    pub(super) fn is(self, what: Use) -> bool {
        self.load(USE) == what as usize
    }

    /// The next segment of the list that it is in, one more than its number.
    pub(super) fn next(self) -> usize {
        self.load(NEXT)
    }

    pub(super) fn set_next(self, next: usize) {
        self.store(NEXT, next);
    }

    pub(super) fn live(self) -> usize {
        // Somebody may have counted down before somebody else has counted up.
        usize::try_from(self.load(LIVE).cast_signed()).unwrap_or(0)
    }

    /// Bytes of records that are not linked, in a sealed one. What was left over at its end is not gained by moving
    /// the others.
    pub(super) fn dead(self) -> usize {
        self.end().saturating_sub(self.shape.begin()).saturating_sub(self.live())
    }

    pub(super) fn count_up(self, bytes: usize) {
        // relaxed: counts order nothing.
        self.word(LIVE).fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_down(self, bytes: usize) {
        // [CM-2] release: pairs with [CM-3].
        self.word(LIVE).fetch_sub(bytes, Ordering::Release);
    }

    /// Whether no record in it is linked, or may yet be.
    pub(super) fn is_unused(self) -> bool {
        // [CM-3] acquire: pairs with [CM-2].
        self.word(LIVE).load(Ordering::Acquire) == 0
    }

    /// Asks for what a look-up needs beside the record's first line: the rest of a short one, its mark, and the front.
    /// It would come to wait for each of them after the other.
    #[inline(always)]
    pub(super) fn prefetch(self, offset: usize) {
        let (mark, _) = Shape::mark(offset);
        for index in [offset / WORD + LINE_BYTES / WORD, mark, GENERATION] {
            prefetch::read(self.words.wrapping_add(index));
        }
    }

    /// Says that the record at `offset` was read. It may be another one by now, which does no harm.
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

    /// Forgets of the records of a word of marks that they were read.
    pub(super) fn clear_marks(self, word: usize) {
        if self.load(Shape::FRONT + word) != 0 {
            self.store(Shape::FRONT + word, 0);
        }
    }

    pub(super) fn is_marked(self, offset: usize) -> bool {
        let (word, bit) = Shape::mark(offset);
        self.load(word) & bit != 0
    }

    /// What the record at `offset` lies on.
    pub(super) fn below(self, offset: usize) -> Location {
        Location(self.load(offset / WORD))
    }

    /// The caller holds the lock of the bin that leads here, or has the only segment that knows the record.
    ///
    /// # Panics
    /// The word would not lie within the segment.
    pub(super) fn set_below(self, offset: usize, below: Location) {
        assert!(offset < self.shape.bytes(), "a word would be written beyond a segment");
        self.store(offset / WORD, below.0);
    }

    /// The head at `start`, its length, and whether a record can begin so.
    #[inline(always)]
    pub(super) fn head(self, start: usize) -> Option<(Head, usize)> {
        let mut words = [0usize; HEAD_WORDS];
        if start >= self.shape.end() {
            return None;
        }
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.load(start / WORD + index);
        }
        // SAFETY: words are so many bytes.
        let bytes: &[u8; HEAD_WORDS * WORD] = unsafe { &*(&raw const words).cast() };
        let within = &bytes[start % WORD..][..LONGEST_HEAD];
        let (head, len) = Head::read(within);
        (start + len + head.key + head.stored <= self.shape.end()).then_some((head, len))
    }

    /// Whether these bytes lie at `at`; the caller has found them to end within the segment.
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

    /// Copies so many bytes from `at` to `into`, if it has room for the words that they lie in.
    #[inline(always)]
    pub(super) fn copy(self, at: usize, len: usize, into: &Scratch<'_>) -> bool {
        let first = at / WORD;
        let count = (at + len).div_ceil(WORD) - first;
        let Some(words) = into.words.get(..count) else { return false };
        for (index, word) in words.iter().enumerate() {
            word.set(MaybeUninit::new(self.load(first + index)));
        }
        into.holds.set((at % WORD, len));
        true
    }

    /// Copies bytes from `at` on to `into`.
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

    /// Appends bytes at `at`, one part after the other; what follows in their last word is lost. The caller has the
    /// segment open.
    ///
    /// # Panics
    /// They would not lie within the segment.
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

    /// Replaces the kind of a record whose head is at `start`. The caller is the only one to know it.
    ///
    /// # Panics
    /// The head would not lie within the segment.
    pub(super) fn put_kind(self, start: usize, kind: u8) {
        assert!(start < self.shape.bytes(), "a kind would be written beyond a segment");
        let mut word = self.load(start / WORD).to_ne_bytes();
        word[start % WORD] = kind;
        self.store(start / WORD, usize::from_ne_bytes(word));
    }
}

/// Words that a reader copies stored bytes to, while they may be changing.
pub(super) struct Scratch<'a> {
    words: &'a [Cell<MaybeUninit<usize>>],
    /// Where the bytes copied last begin, and how many they are.
    holds: Cell<(usize, usize)>,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(words: &'a mut [MaybeUninit<usize>]) -> Self {
        let words = Cell::from_mut(words).as_slice_of_cells();
        Self { words, holds: Cell::new((0, 0)) }
    }

    /// Words that hold `len` bytes wherever they begin.
    pub(super) const fn words_for(len: usize) -> usize {
        (len + WORD - 1).div_ceil(WORD)
    }

    /// What was copied last. Nobody copies while it is looked at.
    pub(super) fn bytes(&mut self) -> &[u8] {
        let (at, len) = self.holds.get();
        debug_assert!(at + len <= self.words.len() * WORD);
        // SAFETY: `copy` has written all words that these bytes lie in, and cannot while `self` is borrowed.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast::<u8>().add(at), len) }
    }
}
