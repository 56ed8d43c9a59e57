//! The layout of records, and their locations.
//!
//! ```text
//! (below) | kind | key's length | stored length | (plain length) | (key's position) | (deadline) | key | stored bytes
//! ```
//!
//! Lengths are varints, seven bits a byte. A *hot* record begins on a word, which links the record below it: its
//! location, or 0. The record below is the compressed form of the same value, or the value of a deferred change. A
//! bit of a location says whether its record is hot. Cold records are packed byte by byte, and have no such word.

use crate::bins::layout::whole_lines;
use crate::sync::words::{INDIRECT_MAX, Indirect, WORD};
use core::ops::Range;

/// The kind of a value that is stored plain.
pub(super) const PLAIN: u8 = 0;
/// The kind of a deferred operand at the bottom of its chain. Those of operands above follow.
const OPERAND: u8 = 240;
/// The most operands in a chain.
pub(super) const MOST_OPERANDS: u8 = 8;
/// Added to the kind of a compressed value that is stored without the key that it contains. Its position follows.
const WITHOUT_KEY: u8 = 0x80;
/// Added to the kind of a value that has a deadline, which takes six bytes of the head.
const EXPIRES: u8 = 0x40;
const DEADLINE_BYTES: usize = 6;
/// The latest deadline, in milliseconds of the map's clock: eight thousand years.
pub(super) const MAX_DEADLINE: u64 = (1 << (8 * DEADLINE_BYTES)) - 1;
/// The most models. Their kinds are between those of plain values and of operands.
pub(super) const MAX_MODELS: usize = if cfg!(hedgerow_loom) { 1 } else { 32 };
/// Bytes of the longest head, without the link.
pub(super) const LONGEST_HEAD: usize = 13 + DEADLINE_BYTES;
/// Bytes of the longest head that a write makes: that of a plain value, with two lengths of three bytes and a deadline.
const LONGEST_PLAIN_HEAD: usize = 7 + DEADLINE_BYTES;
/// Words that hold the longest head at any alignment.
pub(super) const HEAD_WORDS: usize = (WORD - 1 + LONGEST_HEAD).div_ceil(WORD);

/// The size of a map's segments, and offsets that follow from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The bytes of a segment, as a power of two.
    bits: u32,
}

impl Shape {
    /// Words at the front of a segment, before the read marks.
    pub(super) const FRONT: usize = 5;
    /// The bytes for which there is one read mark, as a power of two.
    const GRANULE_BITS: u32 = 4;

    pub(super) const fn new(bits: u32) -> Self {
        Self { bits }
    }

    /// Returns the bytes of a segment.
    pub(super) const fn bytes(self) -> usize {
        1 << self.bits
    }

    pub(super) const fn words(self) -> usize {
        self.bytes() / WORD
    }

    /// Returns the words of read marks.
    pub(super) const fn mark_words(self) -> usize {
        (self.bytes() >> Self::GRANULE_BITS).div_ceil(usize::BITS as usize)
    }

    /// Returns the offset of the first record.
    pub(super) const fn begin(self) -> usize {
        (Self::FRONT + self.mark_words()) * WORD
    }

    /// Returns the offset at which records end. A head can be read from any offset before it.
    pub(super) const fn end(self) -> usize {
        self.bytes() - HEAD_WORDS * WORD
    }

    /// Returns the words of a segment that the index may use: all from the first cache line behind the marks. The marks
    /// stay, because a reader may still mark a record that was there before.
    pub(super) const fn index_words(self) -> Range<usize> {
        whole_lines(self.begin() / WORD)..self.words()
    }

    /// Returns the bytes of records for which a segment has room.
    pub(super) const fn room(self) -> usize {
        self.end() - self.begin()
    }

    /// Returns the bytes of the longest record, without its link.
    pub(super) const fn max_record(self) -> usize {
        self.room() - WORD
    }

    /// Returns the bytes of key and value together for which a segment has room under any head.
    pub(super) const fn max_contents(self) -> usize {
        self.max_record().saturating_sub(WORD + LONGEST_PLAIN_HEAD)
    }

    /// Returns the word and the bit of a record's read mark.
    pub(super) const fn mark(offset: usize) -> (usize, usize) {
        let granule = offset >> Self::GRANULE_BITS;
        let bits = usize::BITS as usize;
        (Self::FRONT + granule / bits, 1 << (granule % bits))
    }

    /// Returns how many segments a location can name.
    pub(super) const fn max_segments(self) -> usize {
        INDIRECT_MAX >> (self.bits + 1)
    }

    pub(super) const fn location(self, segment: usize, offset: usize, hot: bool) -> RecordLocation {
        RecordLocation((segment << self.bits | offset) << 1 | hot as usize)
    }

    #[inline(always)]
    pub(super) const fn segment(self, at: RecordLocation) -> usize {
        at.0 >> (self.bits + 1)
    }

    #[inline(always)]
    pub(super) const fn offset(self, at: RecordLocation) -> usize {
        at.0 >> 1 & (self.bytes() - 1)
    }
}

/// The location of a record: its segment, its offset, and whether it is hot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordLocation(pub(super) usize);

impl RecordLocation {
    /// No record. The front of the first segment holds none.
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the record begins with a link to the record below.
    #[inline(always)]
    pub(super) const fn is_hot(self) -> bool {
        self.0 & 1 != 0
    }

    pub(super) const fn entry(self) -> Indirect {
        Indirect(self.0)
    }
}

impl From<Indirect> for RecordLocation {
    #[inline(always)]
    fn from(entry: Indirect) -> Self {
        Self(entry.0)
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub(super) kind: u8,
    pub(super) key: usize,
    pub(super) stored: usize,
    /// The length of the decompressed value; of an operand, its own.
    pub(super) plain: usize,
    /// Where the value contains its key, if it was compressed without.
    pub(super) key_at: Option<usize>,
    /// The deadline in milliseconds of the map's clock; 0 if the value never expires.
    pub(super) deadline: u64,
}

impl RecordHead {
    pub(super) const fn of_plain(key: usize, value: usize) -> Self {
        Self { kind: PLAIN, key, stored: value, plain: value, key_at: None, deadline: 0 }
    }

    /// Returns the head with this deadline.
    pub(super) const fn with_deadline(self, deadline: u64) -> Self {
        Self { deadline, ..self }
    }

    /// Returns the kind of an operand with `below` operands below it.
    pub(super) const fn operand_kind(below: u8) -> u8 {
        OPERAND + below
    }

    /// Returns the bytes that a record with this head stores: the value or its compressed form.
    pub(super) fn stored_bytes<'b>(self, plain: &'b [u8], compressed: &'b [u8]) -> &'b [u8] {
        if self.kind == PLAIN { plain } else { &compressed[..self.stored] }
    }

    /// Returns how many operands are below an operand of this kind; `None` for other kinds.
    pub(super) const fn operands_below(kind: u8) -> Option<u8> {
        kind.checked_sub(OPERAND)
    }

    pub(super) const fn is_operand(self) -> bool {
        self.kind >= OPERAND
    }

    /// Returns the model that compressed the value.
    pub(super) const fn model(self) -> Option<usize> {
        if self.kind == PLAIN || self.is_operand() { None } else { Some(self.kind as usize - 1) }
    }

    /// Returns the bytes of the head.
    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        let plain = if self.model().is_some() { varint_len(self.plain) } else { 0 };
        let key_at = if let Some(at) = self.key_at { varint_len(at) } else { 0 };
        let deadline = if self.deadline == 0 { 0 } else { DEADLINE_BYTES };
        1 + varint_len(self.key) + varint_len(self.stored) + plain + key_at + deadline
    }

    /// Returns the bytes of the whole record.
    pub(super) const fn record_len(self, hot: bool) -> usize {
        let bytes = self.len() + self.key + self.stored;
        if hot { (WORD + bytes).next_multiple_of(WORD) } else { bytes }
    }

    pub(super) fn write(self, into: &mut [u8; LONGEST_HEAD]) -> usize {
        let without_key = if self.key_at.is_some() { WITHOUT_KEY } else { 0 };
        let expires = if self.deadline == 0 { 0 } else { EXPIRES };
        into[0] = self.kind | without_key | expires;
        let mut at = put_varint(self.key, into, 1);
        at = put_varint(self.stored, into, at);
        if self.model().is_some() {
            at = put_varint(self.plain, into, at);
        }
        if let Some(key_at) = self.key_at {
            at = put_varint(key_at, into, at);
        }
        if self.deadline != 0 {
            into[at..at + DEADLINE_BYTES]
                .copy_from_slice(&self.deadline.to_le_bytes()[..DEADLINE_BYTES]);
            at += DEADLINE_BYTES;
        }
        at
    }

    /// Returns the head that begins here and its length; an arbitrary head for other bytes.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8]) -> (Self, usize) {
        let kind = bytes[0];
        let (key, at) = varint(bytes, 1);
        let (stored, mut at) = varint(bytes, at);
        let mut head = Self { kind, key, stored, plain: stored, key_at: None, deadline: 0 };
        // The common case: a plain value that never expires.
        if kind == PLAIN || head.is_operand() {
            return (head, at);
        }
        head.kind &= !(EXPIRES | WITHOUT_KEY);
        if head.model().is_some() {
            (head.plain, at) = varint(bytes, at);
            if kind & WITHOUT_KEY != 0 {
                let key_at;
                (key_at, at) = varint(bytes, at);
                head.key_at = Some(key_at);
            }
        }
        if kind & EXPIRES != 0 {
            let mut deadline = [0; 8];
            deadline[..DEADLINE_BYTES].copy_from_slice(&bytes[at..at + DEADLINE_BYTES]);
            head.deadline = u64::from_le_bytes(deadline);
            at += DEADLINE_BYTES;
        }
        (head, at)
    }
}

const fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => 3,
    }
}

fn put_varint(mut value: usize, into: &mut [u8], mut at: usize) -> usize {
    while value >= 0x80 {
        into[at] = value as u8 | 0x80;
        (value, at) = (value >> 7, at + 1);
    }
    into[at] = value as u8;
    at + 1
}

/// Reads a varint of at most three bytes. Returns its value, and where it ends.
#[inline(always)]
fn varint(bytes: &[u8], at: usize) -> (usize, usize) {
    let first = usize::from(bytes[at]);
    if first < 0x80 {
        return (first, at + 1);
    }
    let second = usize::from(bytes[at + 1]);
    let low = first & 0x7F | (second & 0x7F) << 7;
    if second < 0x80 {
        return (low, at + 2);
    }
    (low | usize::from(bytes[at + 2] & 0x7F) << 14, at + 3)
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        for length in [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1F_FFFF] {
            for kind in [PLAIN, 1, 32, RecordHead::operand_kind(3)] {
                let mut bytes = [0; LONGEST_HEAD];
                let plain =
                    if (1..100).contains(&kind) { 3 * length / 2 % 0x20_0000 } else { length };
                let (key, stored) = (length / 2, length);
                let head = RecordHead { kind, key, stored, plain, key_at: None, deadline: 0 };
                for (deadline, key_at) in [(0, 0), (1, length), (MAX_DEADLINE, 0), (0, length)] {
                    let key_at = head.model().is_some().then_some(key_at);
                    let head = RecordHead { key_at, ..head };
                    let head = if head.is_operand() { head } else { head.with_deadline(deadline) };
                    let len = head.write(&mut bytes);
                    assert_eq!(len, head.len());
                    assert_eq!(RecordHead::read(&bytes), (head, len));
                }
            }
        }
    }

    #[test]
    fn words_of_the_index_hold_no_marks() {
        for bits in [10, 13, 16] {
            let (shape, room) = (Shape::new(bits), Shape::new(bits).index_words());
            let last = Shape::mark(shape.bytes() - 1).0;
            assert!(room.start > last, "a word of the index holds marks");
            assert_eq!(room.end, shape.words());
        }
    }

    #[test]
    fn any_bytes_are_read_as_some_head() {
        for byte in 0..=u8::MAX {
            let (head, len) = RecordHead::read(&[byte; LONGEST_HEAD]);
            assert!(len <= LONGEST_HEAD && head.len() <= LONGEST_HEAD);
        }
    }

    #[test]
    fn locations_say_where() {
        for bits in [10, 16] {
            let shape = Shape::new(bits);
            for (segment, offset) in [(0, shape.begin()), (5, shape.end() - 1), (100, 999)] {
                for hot in [false, true] {
                    let at = shape.location(segment, offset, hot);
                    assert_eq!((shape.segment(at), shape.offset(at)), (segment, offset));
                    assert!(at.is_hot() == hot && !at.is_none());
                }
            }
        }
    }
}
