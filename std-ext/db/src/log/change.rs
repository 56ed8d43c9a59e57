//! Changes as the log has them: of single keys, each as it came out, so that making them again in the same order gives
//! the same.
//!
//! ```text
//! change: kind 8 | key's length, varint | key | what the kind has
//! ```
//!
//! A later version may add kinds, and reads all that an earlier one wrote. An earlier one refuses a log with a kind
//! that it does not know, and changes nothing.

use crate::request::{Change, ExpireCondition, Expiry, SetCondition};
use std::ops::Range;

const SET: u8 = 1;
const SET_ENDING: u8 = 2;
const SET_KEEPING: u8 = 3;
const DELETE: u8 = 4;
const END: u8 = 5;
const ENDLESS: u8 = 6;
const ADD: u8 = 7;
const APPEND: u8 = 8;
const WRITE: u8 = 9;
const CLEAR: u8 = 10;
const RENAME: u8 = 11;
const CLOCK: u8 = 12;

/// One change of an entry of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LoggedOp<'a> {
    /// Of a key: without conditions, and without an answer.
    Change(&'a [u8], Change<'a>),
    /// All keys of these slots are removed.
    Clear(u16, u16),
    /// The value and the end of the first key become those of the second, and the first is removed.
    Rename(&'a [u8], &'a [u8]),
    /// All keys that had ended by then are removed: the clock was set back, to the time of the entry.
    Clock(u64),
}

fn number(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn bytes(bytes: &[u8], into: &mut Vec<u8>) {
    number(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

/// Writes that a value was stored.
pub(crate) fn set(key: &[u8], value: &[u8], expiry: Expiry, into: &mut Vec<u8>) {
    into.push(match expiry {
        Expiry::Never => SET,
        Expiry::At(_) => SET_ENDING,
        Expiry::Keep => SET_KEEPING,
    });
    bytes(key, into);
    if let Expiry::At(end) = expiry {
        number(end, into);
    }
    bytes(value, into);
}

/// Writes that a key was removed.
pub(crate) fn delete(key: &[u8], into: &mut Vec<u8>) {
    into.push(DELETE);
    bytes(key, into);
}

/// Writes until when a key lives now.
pub(crate) fn live(key: &[u8], until: Option<u64>, into: &mut Vec<u8>) {
    into.push(if until.is_some() { END } else { ENDLESS });
    bytes(key, into);
    if let Some(end) = until {
        number(end, into);
    }
}

/// Writes that a number was added to.
pub(crate) fn add(key: &[u8], by: i64, into: &mut Vec<u8>) {
    into.push(ADD);
    bytes(key, into);
    into.extend_from_slice(&by.to_le_bytes());
}

/// Writes that a value was appended to.
pub(crate) fn append(key: &[u8], tail: &[u8], into: &mut Vec<u8>) {
    into.push(APPEND);
    bytes(key, into);
    bytes(tail, into);
}

/// Writes that part of a value was overwritten.
pub(crate) fn write(key: &[u8], at: usize, part: &[u8], into: &mut Vec<u8>) {
    into.push(WRITE);
    bytes(key, into);
    number(at as u64, into);
    bytes(part, into);
}

/// Writes that all keys of these slots were removed.
pub(crate) fn clear(slots: Range<u16>, into: &mut Vec<u8>) {
    into.push(CLEAR);
    number(slots.start.into(), into);
    number(slots.end.into(), into);
}

/// Writes that a key has another name. Not while a snapshot is written: a snapshot may hold one of the
/// keys as it was before and the other as it was after, and neither has the value then.
pub(crate) fn rename(from: &[u8], to: &[u8], into: &mut Vec<u8>) {
    into.push(RENAME);
    bytes(from, into);
    bytes(to, into);
}

/// Writes that the clock was set back, which had reached this time.
pub(crate) fn clock(ended: u64, into: &mut Vec<u8>) {
    into.push(CLOCK);
    number(ended, into);
}

/// Reads changes in order. An entry whose checksum is right and whose changes are not was written by something else.
pub(crate) struct Changes<'a>(&'a [u8]);

impl<'a> Changes<'a> {
    pub(crate) fn new(entry: &'a [u8]) -> Self {
        Self(entry)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7F);
            if shift > 63 || part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn change(&mut self) -> Option<LoggedOp<'a>> {
        let kind = self.byte()?;
        if kind == CLEAR {
            let (from, to) = (self.number()?, self.number()?);
            return Some(LoggedOp::Clear(u16::try_from(from).ok()?, u16::try_from(to).ok()?));
        }
        if kind == CLOCK {
            return Some(LoggedOp::Clock(self.number()?));
        }
        let key = self.bytes()?;
        if kind == RENAME {
            return Some(LoggedOp::Rename(key, self.bytes()?));
        }
        let live =
            |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
        let change = match kind {
            SET | SET_ENDING | SET_KEEPING => {
                let expiry = match kind {
                    SET => Expiry::Never,
                    SET_ENDING => Expiry::At(self.number()?),
                    _ => Expiry::Keep,
                };
                Change::Set {
                    value: self.bytes()?,
                    condition: SetCondition::Always,
                    expiry,
                    get: false,
                }
            }
            DELETE => Change::Delete,
            END => live(Expiry::At(self.number()?)),
            ENDLESS => live(Expiry::Never),
            ADD => Change::Increment(i64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            APPEND => Change::Append(self.bytes()?),
            WRITE => {
                let at = usize::try_from(self.number()?).ok()?;
                Change::SetRange { offset: at, bytes: self.bytes()? }
            }
            _ => return None,
        };
        Some(LoggedOp::Change(key, change))
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<LoggedOp<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let change = self.change();
        if change.is_none() {
            self.0 = &[];
        }
        Some(change.ok_or("an entry holds something that is no change"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_they_were_written() {
        let mut log = Vec::new();
        let long = vec![7; 300];
        set(b"a", &long, Expiry::Never, &mut log);
        set(b"", b"", Expiry::At(u64::MAX), &mut log);
        set(b"c", b"v", Expiry::Keep, &mut log);
        delete(b"d", &mut log);
        live(b"e", Some(5), &mut log);
        live(b"f", None, &mut log);
        add(b"g", i64::MIN, &mut log);
        append(b"h", b"tail", &mut log);
        write(b"i", 1000, b"part", &mut log);
        clear(0..16_384, &mut log);
        rename(b"j", b"k", &mut log);
        clock(1 << 50, &mut log);
        let set = |value, expiry| Change::Set {
            value,
            condition: SetCondition::Always,
            expiry,
            get: false,
        };
        let live =
            |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
        let wanted = [
            LoggedOp::Change(b"a", set(&long, Expiry::Never)),
            LoggedOp::Change(b"", set(b"", Expiry::At(u64::MAX))),
            LoggedOp::Change(b"c", set(b"v", Expiry::Keep)),
            LoggedOp::Change(b"d", Change::Delete),
            LoggedOp::Change(b"e", live(Expiry::At(5))),
            LoggedOp::Change(b"f", live(Expiry::Never)),
            LoggedOp::Change(b"g", Change::Increment(i64::MIN)),
            LoggedOp::Change(b"h", Change::Append(b"tail")),
            LoggedOp::Change(b"i", Change::SetRange { offset: 1000, bytes: b"part" }),
            LoggedOp::Clear(0, 16_384),
            LoggedOp::Rename(b"j", b"k"),
            LoggedOp::Clock(1 << 50),
        ];
        let read: Result<Vec<_>, _> = Changes::new(&log).collect();
        assert_eq!(read.as_deref(), Ok(&wanted[..]));
        // Cut anywhere, it is a beginning of them, and an error at the end or none.
        for end in 0..log.len() {
            let read: Vec<_> = Changes::new(&log[..end]).collect();
            for (read, wanted) in read.iter().zip(&wanted) {
                assert!(read.is_err() || read.as_ref() == Ok(wanted));
            }
        }
    }
}
