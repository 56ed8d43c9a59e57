//! Long values, in ropes that records share, so that the cost of a change depends on what it changes.
//!
//! A record is immutable once readers may see it ([`record`](super::record)), so every change of a key makes a new
//! record. A value of up to [`MAX_INLINE`] bytes is stored in the record and copied. A longer one is stored in a
//! *rope*, and the new record points to one of these:
//!
//! - the same rope, if the value stays as it is: `EXPIRE`, `PERSIST`, `GETEX`, `RENAME`;
//! - the same rope with a greater length, if bytes are appended and the last piece has room. Readers of an older record
//!   read only the bytes before its length, so the bytes behind may be written;
//! - a new rope that shares all unchanged pieces: `APPEND` that needs further pieces, `SETRANGE`;
//! - the same rope, changed in place, if it is written only in pieces that changes since the last publish have made:
//!   no reader has seen them. So a transaction that changes a value a thousand times copies each piece once.
//!
//! A rope is an array of pieces of equal size. A value that is stored as a whole is one piece of its own length, and
//! can be read in place. Two changes move it to pieces of [`PIECE`] bytes: one for which that piece has no room, and
//! one that overwrites part of a value longer than [`PIECE`]. (If one piece is enough, its size is a power of two.)
//! Moving copies the value once, as storing it did. Later changes copy the pieces that they touch, and the array: a
//! pointer for each 256 KiB. A command that reads more than one piece has to assemble them.
//!
//! The log contains what was changed, and where ([`log::change`](crate::log::change)). Of a `RENAME` it contains only
//! the two names, except while a snapshot is being written. That snapshot may contain one key as of before the rename
//! and the other as of after it. Replay would then have no value to move, so the log entry contains the value.
//!
//! # Synchronization
//! The writer holds the shard's lock. It writes bytes behind the length of the newest record of the rope, before it
//! publishes the next record. That publish releases them to its readers. No reader accesses these bytes before.
//! `filled` tells whether a record is the newest; it is read and stored under the lock.
//!
//! A piece has the number of the *window* in which it was made: the changes of one shard between two publishes. As long
//! as that window lasts, only records that were not published lead to the piece, and none of these is read again but
//! the newest: a rollback undoes all of them. So the shard's writer may overwrite the piece.

use crate::request::Answer;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The longest value that is stored in its record.
pub(crate) const MAX_INLINE: usize = (1 << 14) - 1;
/// Bytes of a piece, if a value has several.
const PIECE: usize = 256 << 10;
/// The approximate overhead of a piece: allocator, reference counts, and its place in the array.
const PER_PIECE: usize = 48;
/// The same for the rope.
const PER_ROPE: usize = 64;

/// The bytes of a long value, and room behind them.
pub struct Rope {
    /// Bytes of each piece.
    size: usize,
    /// Bytes that records may refer to: the length of the newest record.
    filled: AtomicUsize,
    pieces: Box<[Arc<RopePiece>]>,
}

struct RopePiece {
    bytes: Box<[UnsafeCell<u8>]>,
    /// The window in which it was made; 0 if it is never overwritten.
    window: u64,
}

// SAFETY: only the holder of the shard's lock writes, and only bytes that no reader accesses. It publishes them
// afterwards.
unsafe impl Send for RopePiece {}
// SAFETY: as above.
unsafe impl Sync for RopePiece {}

impl RopePiece {
    /// Returns a piece of zeros that was made in a window.
    fn zeroed(size: usize, window: u64) -> Self {
        let bytes = Box::into_raw(vec![0_u8; size].into_boxed_slice());
        // SAFETY: `UnsafeCell<u8>` has the layout of `u8`, and the box was just allocated.
        Self { bytes: unsafe { Box::from_raw(bytes as *mut [UnsafeCell<u8>]) }, window }
    }

    fn of(bytes: &[u8]) -> Self {
        let bytes: *mut [u8] = Box::into_raw(Box::from(bytes));
        // SAFETY: `UnsafeCell<u8>` has the layout of `u8`, and the box was just allocated.
        Self { bytes: unsafe { Box::from_raw(bytes as *mut [UnsafeCell<u8>]) }, window: 0 }
    }

    /// Returns some of the bytes.
    ///
    /// # Safety
    /// No thread writes these bytes while the result lives.
    unsafe fn bytes(&self, range: Range<usize>) -> &[u8] {
        let cells = &self.bytes[range];
        // SAFETY: the caller excludes writes, and `UnsafeCell<u8>` has the layout of `u8`.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) }
    }

    /// Overwrites some of the bytes.
    ///
    /// # Safety
    /// No other thread reads or writes these bytes meanwhile.
    unsafe fn write(&self, at: usize, bytes: &[u8]) {
        let cells = &self.bytes[at..at + bytes.len()];
        // SAFETY: the caller excludes other accesses, the slice above has checked the bounds, and the cells permit
        // writes.
        unsafe {
            UnsafeCell::raw_get(cells.as_ptr())
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }
}

impl Rope {
    /// Returns a rope with a value as one piece.
    pub fn of(value: &[u8]) -> Arc<Self> {
        let filled = AtomicUsize::new(value.len());
        Arc::new(Self {
            size: value.len(),
            filled,
            pieces: [Arc::new(RopePiece::of(value))].into(),
        })
    }

    /// Returns the bytes of memory that a value of this length takes in this rope.
    pub fn memory(&self, length: usize) -> usize {
        length.div_ceil(self.size.max(1)).max(1) * (self.size + PER_PIECE) + PER_ROPE
    }

    /// Calls `with` with a part of the value that a record of this length has, and returns the result.
    ///
    /// # Safety
    /// A record with this length points to the rope until this returns.
    pub unsafe fn read<R>(
        &self,
        length: usize,
        part: Range<usize>,
        with: impl FnOnce(&[u8]) -> R,
    ) -> R {
        assert!(part.start <= part.end && part.end <= length, "a part of the value");
        // SAFETY: the caller promises that the record lives.
        let within = |piece: usize| unsafe { self.piece_of(&part, piece) };
        match self.pieces_of(&part) {
            (_, 0) => with(b""),
            (first, 1) => with(within(first)),
            (first, number) => {
                let mut all = Vec::with_capacity(part.len());
                (first..first + number).for_each(|piece| all.extend_from_slice(within(piece)));
                with(&all)
            }
        }
    }

    /// Returns the index of the first piece that has bytes of a part of the value, and how many have.
    fn pieces_of(&self, part: &Range<usize>) -> (usize, usize) {
        if part.is_empty() {
            return (0, 0);
        }
        let first = part.start / self.size;
        (first, (part.end - 1) / self.size - first + 1)
    }

    /// Returns the bytes of a part of the value that are in a piece.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    unsafe fn piece_of(&self, part: &Range<usize>, piece: usize) -> &[u8] {
        let begin = piece * self.size;
        let range = part.start.max(begin) - begin..part.end.min(begin + self.size) - begin;
        // SAFETY: bytes before a record's length are not written while the record lives.
        unsafe { self.pieces[piece].bytes(range) }
    }

    /// Calls `each` with the pieces of a part of the value that a record of this length has, until it returns false.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    pub(crate) unsafe fn visit(
        &self,
        length: usize,
        part: Range<usize>,
        each: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        assert!(part.start <= part.end && part.end <= length, "a part of the value");
        let mut from = part.start;
        while from < part.end {
            let (piece, within) = (from / self.size, from % self.size);
            let end = part.end.min((piece + 1) * self.size);
            // SAFETY: bytes before a record's length are not written while the record lives.
            let bytes = unsafe { self.pieces[piece].bytes(within..within + end - from) };
            if !each(bytes) {
                return;
            }
            from = end;
        }
    }

    /// Answers with a part of the value that a record of this length has, in its pieces.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    #[inline(never)]
    pub(crate) unsafe fn read_pieces(
        &self,
        length: usize,
        part: Range<usize>,
        answer: impl FnOnce(Answer<'_>),
    ) {
        assert!(part.start <= part.end && part.end <= length, "a part of the value");
        // SAFETY: the caller promises that the record lives.
        let within = |piece: usize| unsafe { self.piece_of(&part, piece) };
        match self.pieces_of(&part) {
            (_, 0) => answer(Answer::Bytes(b"")),
            (first, 1) => answer(Answer::Bytes(within(first))),
            (first, number) => {
                let pieces: Vec<&[u8]> = (first..first + number).map(within).collect();
                answer(Answer::Pieces(&pieces));
            }
        }
    }

    /// Returns a rope of the value with each of these parts written at its offset, and how many bytes were copied for
    /// it. If the value ends before an offset, the gap is filled with zeros. The result is this rope if all bytes that
    /// had to be written are behind the value, or in pieces of this window. O(length of the parts, pieces that they
    /// touch, number of pieces).
    ///
    /// # Safety
    /// The caller holds the lock of the shard whose newest record of this value points here, with this length. Records
    /// whose changes had this window, which is not 0, were not published, and only this caller has the number.
    pub unsafe fn write(
        self: &Arc<Self>,
        length: usize,
        parts: &[(usize, &[u8])],
        window: u64,
    ) -> (Arc<Self>, usize) {
        let total = parts.iter().map(|(at, part)| at + part.len()).fold(length, usize::max);
        // Relaxed: read and stored under the lock.
        let newest = self.filled.load(Ordering::Relaxed) == length;
        let fits = self.size == PIECE || self.size <= PIECE && total <= self.size;
        let has_room = newest && fits && total <= self.size * self.pieces.len();
        let in_place = |(at, part): &(usize, &[u8])| {
            *at >= length || self.seen_pieces(length, *at..at + part.len(), window).next().is_none()
        };
        if has_room && parts.iter().all(in_place) {
            for (at, part) in parts {
                // SAFETY: no reader accesses bytes behind the newest record's length, nor pieces of this window.
                unsafe { self.put(*at, part) };
            }
            // Relaxed: read and stored under the lock.
            self.filled.store(total, Ordering::Relaxed);
            return (Arc::clone(self), 0);
        }
        let (mut next, mut copied) = if newest && fits {
            (self.shared(), 0)
        } else {
            (self.moved(length, total, window), length)
        };
        // Relaxed: read and stored under the lock. From now on only the new rope may write the shared bytes behind the
        // length: no record of this one counts as the newest.
        self.filled.store(usize::MAX, Ordering::Relaxed);
        next.filled = AtomicUsize::new(total);
        let number = total.div_ceil(next.size);
        if number > next.pieces.len() {
            let mut pieces = std::mem::take(&mut next.pieces).into_vec();
            pieces.resize_with(number, || Arc::new(RopePiece::zeroed(next.size, window)));
            next.pieces = pieces.into();
        }
        for (at, part) in parts {
            copied += next.unshare(length, *at..at + part.len(), window);
            // SAFETY: these bytes are behind the length, or in pieces of this window.
            unsafe { next.put(*at, part) };
        }
        (Arc::new(next), copied)
    }

    /// Returns the pieces of a range whose bytes readers may access: those before the length that no change of this
    /// window has made.
    fn seen_pieces(
        &self,
        length: usize,
        range: Range<usize>,
        window: u64,
    ) -> impl Iterator<Item = usize> {
        let pieces = range.start / self.size..range.end.div_ceil(self.size);
        pieces.filter(move |piece| {
            range.start.max(piece * self.size) < length && self.pieces[*piece].window != window
        })
    }

    /// Copies the pieces of a range whose bytes readers may access, and returns how many bytes. Without the copies,
    /// readers would see a change that was not published.
    fn unshare(&mut self, length: usize, range: Range<usize>, window: u64) -> usize {
        let seen: Vec<usize> = self.seen_pieces(length, range, window).collect();
        for piece in &seen {
            let used = self.size.min(length - piece * self.size);
            let copy = RopePiece::zeroed(self.size, window);
            // SAFETY: bytes before the length are not written, and no other thread has the copy.
            unsafe { copy.write(0, self.pieces[*piece].bytes(0..used)) };
            self.pieces[*piece] = Arc::new(copy);
        }
        seen.len() * self.size
    }

    /// Returns a rope that shares all pieces.
    fn shared(&self) -> Self {
        Self { size: self.size, filled: AtomicUsize::new(0), pieces: self.pieces.clone() }
    }

    /// Returns a rope with copies of the pieces, for a value of `total` bytes.
    fn moved(&self, length: usize, total: usize, window: u64) -> Self {
        let size = if total > PIECE { PIECE } else { total.next_power_of_two() };
        let new = || Arc::new(RopePiece::zeroed(size, window));
        let pieces = std::iter::repeat_with(new).take(length.div_ceil(size)).collect();
        let next = Self { size, filled: AtomicUsize::new(0), pieces };
        for (piece, old) in self.pieces.iter().enumerate() {
            let begin = piece * self.size;
            let used = self.size.min(length.saturating_sub(begin));
            // SAFETY: bytes before the length are not written, and no other thread has the new pieces.
            unsafe { next.put(begin, old.bytes(0..used)) };
        }
        next
    }

    /// Writes bytes, across pieces.
    ///
    /// # Safety
    /// No other thread reads or writes these bytes meanwhile.
    unsafe fn put(&self, mut at: usize, mut part: &[u8]) {
        while !part.is_empty() {
            let within = at % self.size;
            let (now, rest) = part.split_at(part.len().min(self.size - within));
            // SAFETY: the caller excludes other accesses.
            unsafe { self.pieces[at / self.size].write(within, now) };
            (at, part) = (at + now.len(), rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::rounds;

    fn value(rope: &Rope, length: usize) -> Vec<u8> {
        // SAFETY: the tests keep the rope alive, and write only behind the lengths that they read.
        unsafe { rope.read(length, 0..length, <[u8]>::to_vec) }
    }

    /// Makes a change that is published at once.
    ///
    /// # Safety
    /// As for [`Rope::write`].
    unsafe fn write(rope: &Arc<Rope>, length: usize, part: (usize, &[u8])) -> Arc<Rope> {
        static WINDOWS: AtomicUsize = AtomicUsize::new(1 << 32);
        // Relaxed: a number that nobody else gets.
        let window = WINDOWS.fetch_add(1, Ordering::Relaxed) as u64;
        // SAFETY: the caller's promise, and the window is new.
        unsafe { rope.write(length, &[part], window) }.0
    }

    /// Ropes and lengths that were published keep their values, as readers of older records see them.
    #[test]
    fn older_lengths_and_ropes_do_not_change() {
        let mut random = 7_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        for first in [0, 1, 100, 20_000, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let mut wanted: Vec<u8> = (0..first).map(|n| n as u8).collect();
            let mut rope = Rope::of(&wanted);
            let (mut seen, mut window) = (vec![(Arc::clone(&rope), wanted.clone())], 1);
            for round in 0..rounds(60, 30) as u8 {
                let part = vec![round; [1, 10, 70_000, 300_000][next(4)]];
                let at = match next(3) {
                    0 => wanted.len(),
                    1 => wanted.len() + next(PIECE),
                    _ => next(wanted.len() + 1),
                };
                // SAFETY: this is the newest rope, and no other thread has it.
                (rope, _) = unsafe { rope.write(wanted.len(), &[(at, &part)], window) };
                wanted.resize(wanted.len().max(at + part.len()), 0);
                wanted[at..at + part.len()].copy_from_slice(&part);
                assert!(value(&rope, wanted.len()) == wanted, "a change is lost");
                if next(3) == 0 {
                    seen.push((Arc::clone(&rope), wanted.clone()));
                    window += 1;
                }
            }
            for (rope, wanted) in &seen {
                assert!(value(rope, wanted.len()) == *wanted, "an older value was overwritten");
            }
        }
    }

    #[test]
    fn a_change_of_an_older_rope_is_made_to_a_copy() {
        let rope = Rope::of(b"rose");
        // SAFETY: no other thread has the rope. `write` itself notices if it is not the newest.
        let [red, white, grown, other] = unsafe {
            let (red, white) =
                (write(&rope, 4, (4, b" is red")), write(&rope, 4, (4, b" is white")));
            // There is room behind it.
            let (grown, other) = (write(&red, 11, (11, b"!")), write(&red, 11, (11, b"?")));
            [red, white, grown, other]
        };
        assert!(Arc::ptr_eq(&red, &grown));
        let seen = [(&red, 11), (&white, 13), (&grown, 12), (&other, 12)];
        let values = seen.map(|(rope, length)| String::from_utf8(value(rope, length)).unwrap());
        let wanted = ["rose is red", "rose is white", "rose is red!", "rose is red?"];
        assert_eq!(values, wanted, "one rope was changed through another");
    }

    #[test]
    fn changes_before_a_publish_copy_each_piece_once() {
        let length = 4 * PIECE;
        let first = Rope::of(&vec![1; length]);
        // SAFETY: the newest rope each time, which no other thread has.
        let (mut rope, moved) = unsafe { first.write(length, &[(0, b"a")], 1) };
        assert_eq!(moved, length, "a value of one piece is moved to pieces");
        for (window, copies) in [(1, 0), (2, 2), (3, 2)] {
            let mut copied = 0;
            for at in (0..200).map(|n| n % 2 * 3 * PIECE + n) {
                // SAFETY: as above.
                let (next, bytes) = unsafe { rope.write(length, &[(at, b"b")], window) };
                (rope, copied) = (next, copied + bytes);
            }
            assert_eq!(copied, copies * PIECE, "in window {window}");
        }
        assert!(value(&first, length).iter().all(|byte| *byte == 1));
    }

    #[test]
    fn appending_shares_pieces() {
        let mut rope = Rope::of(&vec![1; 4 * PIECE]);
        let mut length = 4 * PIECE;
        let mut ropes = 0;
        for _ in 0..1000 {
            // SAFETY: this is the newest rope, and no other thread has it.
            let next = unsafe { write(&rope, length, (length, &[2; 1000])) };
            ropes += usize::from(!Arc::ptr_eq(&rope, &next));
            if length > 4 * PIECE {
                assert!(
                    Arc::ptr_eq(&rope.pieces[0], &next.pieces[0]),
                    "all of the value is copied"
                );
            }
            (rope, length) = (next, length + 1000);
        }
        assert!(ropes <= 6, "{ropes} ropes for 1,000 changes of 1,000 bytes");
        assert_eq!(rope.memory(length), rope.pieces.len() * (PIECE + PER_PIECE) + PER_ROPE);
    }
}
