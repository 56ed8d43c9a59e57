//! Long values: bytes that several records share, so that a change costs what it changes.
//!
//! A record does not change once readers may see it ([`record`](super::record)), so every change of a key makes a new
//! one. A value of up to [`MAX_INLINE`] bytes lies in its record and is copied. A longer one lies in a *rope*, to
//! which records point, and the new record points to
//!
//! - the same rope, where the value stays as it is: `EXPIRE`, `PERSIST`, `GETEX`, `RENAME`;
//! - the same rope with a greater length, where bytes are appended and the last piece has room: readers of an older
//!   record look at the bytes before its length only, so that the bytes behind it may be written;
//! - a new rope that shares all pieces but those which differ: `APPEND` with further pieces, `SETRANGE`.
//!
//! A rope is an array of pieces of one size. A value that is stored at once is one piece, of its length: it is read
//! without being put together. A change that such a piece has no room for, or that overwrites part of one longer than
//! [`PIECE`], moves the value to pieces of [`PIECE`] bytes (of a power of two as long as one is enough). That copies
//! the value once, as storing it did; all later changes copy the pieces that they touch and the array, a pointer for
//! each 256 KiB. A value of several pieces is put together for a command that reads more than one of them.
//!
//! The log holds what was changed, and where ([`log::change`](crate::log::change)): `RENAME` only the two names, but
//! while a snapshot is written. A snapshot may hold one of the two keys as it was before and the other as it was after;
//! then neither has the value to be moved, so the log has it.
//!
//! # Synchronization
//! The writer holds the shard's lock. Bytes are written behind the length of the newest record that leads to
//! them, before the next one is shown: showing it (a publish of the map) releases them to its readers. Nobody else
//! looks there. `filled` tells whether a record is the newest; it is read and stored under the lock.

use crate::request::Answer;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Longest value that lies in its record.
pub(crate) const MAX_INLINE: usize = (1 << 14) - 1;
/// Bytes of a piece of a value that has several.
const PIECE: usize = 256 << 10;
/// What the allocator and the counts take for each piece, about, and its place in the array.
const PER_PIECE: usize = 48;
/// The same for the rope.
const PER_ROPE: usize = 64;

/// The bytes of a long value, and room behind them.
pub(crate) struct Rope {
    /// Bytes of each piece.
    size: usize,
    /// Bytes that some record may look at.
    filled: AtomicUsize,
    pieces: Box<[Arc<Piece>]>,
}

struct Piece(Box<[UnsafeCell<u8>]>);

// SAFETY: bytes are written only where no reader looks, by the holder of the shard's lock, and shown afterwards.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    /// All bytes zero.
    fn zeroed(size: usize) -> Self {
        let bytes = Box::into_raw(vec![0_u8; size].into_boxed_slice());
        // SAFETY: a cell of a byte is laid out as the byte, and these were just allocated.
        Self(unsafe { Box::from_raw(bytes as *mut [UnsafeCell<u8>]) })
    }

    fn of(bytes: &[u8]) -> Self {
        let bytes: *mut [u8] = Box::into_raw(Box::from(bytes));
        // SAFETY: a cell of a byte is laid out as the byte, and these were just allocated.
        Self(unsafe { Box::from_raw(bytes as *mut [UnsafeCell<u8>]) })
    }

    /// # Safety
    /// Nobody writes to these bytes as long as the result is used.
    unsafe fn bytes(&self, range: Range<usize>) -> &[u8] {
        let cells = &self.0[range];
        // SAFETY: as the caller says; a cell of a byte is laid out as the byte.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) }
    }

    /// # Safety
    /// Nobody else reads or writes these bytes meanwhile.
    unsafe fn write(&self, at: usize, bytes: &[u8]) {
        let cells = &self.0[at..at + bytes.len()];
        // SAFETY: as the caller says; within the piece, as was just checked, and the cells allow it.
        unsafe {
            UnsafeCell::raw_get(cells.as_ptr())
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }
}

impl Rope {
    /// A value that is stored at once.
    pub(crate) fn of(value: &[u8]) -> Arc<Self> {
        let filled = AtomicUsize::new(value.len());
        Arc::new(Self { size: value.len(), filled, pieces: [Arc::new(Piece::of(value))].into() })
    }

    /// Bytes of memory that a value of this length takes in this rope.
    pub(crate) fn memory(&self, length: usize) -> usize {
        length.div_ceil(self.size.max(1)).max(1) * (self.size + PER_PIECE) + PER_ROPE
    }

    /// What `with` makes of a part of a value of this length, which a record has.
    ///
    /// # Safety
    /// A record with this length leads here as long as that takes.
    pub(crate) unsafe fn read<R>(
        &self,
        length: usize,
        part: Range<usize>,
        with: impl FnOnce(&[u8]) -> R,
    ) -> R {
        assert!(part.start <= part.end && part.end <= length, "a part of the value");
        if part.is_empty() {
            return with(b"");
        }
        let (first, last) = (part.start / self.size, (part.end - 1) / self.size);
        let within = |piece: usize| {
            let begin = piece * self.size;
            let range = part.start.max(begin) - begin..part.end.min(begin + self.size) - begin;
            // SAFETY: what is before a record's length is not written as long as the record is there.
            unsafe { self.pieces[piece].bytes(range) }
        };
        if first == last {
            return with(within(first));
        }
        let mut all = Vec::with_capacity(part.len());
        (first..=last).for_each(|piece| all.extend_from_slice(within(piece)));
        with(&all)
    }

    /// Answers with a value of this length, which a record has, as it lies here.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    #[inline(never)]
    pub(crate) unsafe fn read_pieces(&self, length: usize, answer: impl FnOnce(Answer<'_>)) {
        let within = |piece: usize| {
            let used = self.size.min(length - piece * self.size);
            // SAFETY: what is before a record's length is not written as long as the record is there.
            unsafe { self.pieces[piece].bytes(0..used) }
        };
        match length.div_ceil(self.size.max(1)) {
            0 => answer(Answer::Bytes(b"")),
            1 => answer(Answer::Bytes(within(0))),
            number => {
                let pieces: Vec<&[u8]> = (0..number).map(within).collect();
                answer(Answer::Pieces(&pieces));
            }
        }
    }

    /// The rope of the value with part of it overwritten from `at` on, zeros in between where it is shorter: this one,
    /// if only bytes behind it had to be written. O(the part, the pieces that it touches, the number of pieces).
    ///
    /// # Safety
    /// The caller has the lock of the shard whose newest record of this value leads here, with this length.
    pub(crate) unsafe fn write(
        self: &Arc<Self>,
        length: usize,
        at: usize,
        part: &[u8],
    ) -> Arc<Self> {
        let total = length.max(at + part.len());
        // Relaxed: under the lock.
        let newest = self.filled.load(Ordering::Relaxed) == length;
        let fits = self.size == PIECE || self.size <= PIECE && total <= self.size;
        if newest && fits && at >= length && total <= self.size * self.pieces.len() {
            // SAFETY: behind the newest record's length nobody looks.
            unsafe { self.put(at, part) };
            // Relaxed: under the lock.
            self.filled.store(total, Ordering::Relaxed);
            return Arc::clone(self);
        }
        let mut next = if newest && fits { self.shared() } else { self.moved(length, total) };
        // Relaxed: under the lock. What is behind the length may be written through the next one only.
        self.filled.store(usize::MAX, Ordering::Relaxed);
        next.filled = AtomicUsize::new(total);
        let number = total.div_ceil(next.size);
        if number > next.pieces.len() {
            let mut pieces = std::mem::take(&mut next.pieces).into_vec();
            pieces.resize_with(number, || Arc::new(Piece::zeroed(next.size)));
            next.pieces = pieces.into();
        }
        let touched = at / next.size..(at + part.len()).div_ceil(next.size);
        for piece in touched {
            let begin = piece * next.size;
            // Bytes before the length are looked at, unless nobody else has the piece.
            if at.max(begin) < length && Arc::get_mut(&mut next.pieces[piece]).is_none() {
                let used = next.size.min(length - begin);
                let copy = Piece::zeroed(next.size);
                // SAFETY: what records look at is not written; and nobody has the copy.
                unsafe { copy.write(0, next.pieces[piece].bytes(0..used)) };
                next.pieces[piece] = Arc::new(copy);
            }
        }
        // SAFETY: behind the length, or in pieces that nobody else has.
        unsafe { next.put(at, part) };
        Arc::new(next)
    }

    /// One with the same pieces.
    fn shared(&self) -> Self {
        Self { size: self.size, filled: AtomicUsize::new(0), pieces: self.pieces.clone() }
    }

    /// One with pieces of its own, for a value that will be longer.
    fn moved(&self, length: usize, total: usize) -> Self {
        let size = if total > PIECE { PIECE } else { total.next_power_of_two() };
        let new = || Arc::new(Piece::zeroed(size));
        let pieces = std::iter::repeat_with(new).take(length.div_ceil(size)).collect();
        let next = Self { size, filled: AtomicUsize::new(0), pieces };
        for (piece, old) in self.pieces.iter().enumerate() {
            let begin = piece * self.size;
            let used = self.size.min(length.saturating_sub(begin));
            // SAFETY: what records look at is not written; and nobody has the new pieces.
            unsafe { next.put(begin, old.bytes(0..used)) };
        }
        next
    }

    /// Writes to the pieces.
    ///
    /// # Safety
    /// Nobody else reads or writes these bytes meanwhile.
    unsafe fn put(&self, mut at: usize, mut part: &[u8]) {
        while !part.is_empty() {
            let within = at % self.size;
            let (now, rest) = part.split_at(part.len().min(self.size - within));
            // SAFETY: as the caller says.
            unsafe { self.pieces[at / self.size].write(within, now) };
            (at, part) = (at + now.len(), rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(rope: &Rope, length: usize) -> Vec<u8> {
        // SAFETY: the tests keep the rope, and write behind the lengths that they look at.
        unsafe { rope.read(length, 0..length, <[u8]>::to_vec) }
    }

    /// All that was there before is as it was: as readers of older records see it.
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
            let mut seen = vec![(Arc::clone(&rope), wanted.clone())];
            for round in 0..60 {
                let part = vec![round; [1, 10, 70_000, 300_000][next(4)]];
                let at = match next(3) {
                    0 => wanted.len(),
                    1 => wanted.len() + next(PIECE),
                    _ => next(wanted.len() + 1),
                };
                // SAFETY: nobody else has the newest.
                rope = unsafe { rope.write(wanted.len(), at, &part) };
                wanted.resize(wanted.len().max(at + part.len()), 0);
                wanted[at..at + part.len()].copy_from_slice(&part);
                seen.push((Arc::clone(&rope), wanted.clone()));
            }
            for (rope, wanted) in &seen {
                assert!(value(rope, wanted.len()) == *wanted, "an older value was written to");
            }
        }
    }

    #[test]
    fn a_change_of_one_that_is_not_the_newest_is_made_to_a_copy() {
        let rope = Rope::of(b"rose");
        // SAFETY: nobody else has it; of one that is not the newest any more, that is seen.
        let [red, white, add_memory, other] = unsafe {
            let (red, white) = (rope.write(4, 4, b" is red"), rope.write(4, 4, b" is white"));
            // There is room behind it.
            let (add_memory, other) = (red.write(11, 11, b"!"), red.write(11, 11, b"?"));
            [red, white, add_memory, other]
        };
        assert!(Arc::ptr_eq(&red, &add_memory));
        let seen = [(&red, 11), (&white, 13), (&add_memory, 12), (&other, 12)];
        let values = seen.map(|(rope, length)| String::from_utf8(value(rope, length)).unwrap());
        let wanted = ["rose is red", "rose is white", "rose is red!", "rose is red?"];
        assert_eq!(values, wanted, "one was changed through another");
    }

    #[test]
    fn appending_shares_pieces() {
        let mut rope = Rope::of(&vec![1; 4 * PIECE]);
        let mut length = 4 * PIECE;
        let mut ropes = 0;
        for _ in 0..1000 {
            // SAFETY: nobody else has it.
            let next = unsafe { rope.write(length, length, &[2; 1000]) };
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
