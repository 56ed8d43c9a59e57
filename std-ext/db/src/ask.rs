//! What can be asked of the database, and what it answers: the words that RESP, gRPC, the log and embedding share.

use std::error::Error;
use std::fmt;

pub use crate::long_double::LongDouble;

/// Longest key, in bytes.
pub const LONGEST_KEY: usize = u16::MAX as usize;
/// Longest value, in bytes: as Redis has it.
pub const LONGEST_VALUE: usize = 512 << 20;

/// One thing that is asked.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// Something about one key, which changes nothing.
    Look(&'a [u8], Look),
    /// As [`Look`](Self::Look), at the same moment as the looks behind it: as many as this says, with this one, unless
    /// something else comes before.
    LookAtOnce(&'a [u8], Look, usize),
    /// A change of one key.
    Change(&'a [u8], Change<'a>),
    /// Changes of several keys, of which everybody sees all or none.
    Together(Together<'a>),
}

impl<'a> Ask<'a> {
    /// The key and what is asked about it, where nothing is changed.
    pub(crate) fn look(&self) -> Option<(&'a [u8], Look)> {
        match *self {
            Self::Look(key, look) | Self::LookAtOnce(key, look, _) => Some((key, look)),
            Self::Change(..) | Self::Together(_) => None,
        }
    }

    /// Bytes of keys and values that it adds at most, about.
    pub(crate) fn adds(&self) -> usize {
        match self {
            Self::Change(key, change) => {
                key.len()
                    + match change {
                        Change::Set { value, .. } | Change::Append(value) => value.len(),
                        Change::Write { at, bytes } => at.saturating_add(bytes.len()),
                        Change::Add(_) | Change::AddFloat(_) => 20,
                        Change::Delete | Change::Take | Change::Live { .. } => 0,
                    }
            }
            Self::Together(Together::SetAll(pairs) | Together::SetAllAbsent(pairs)) => {
                pairs.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Self::Together(_) | Self::Look(..) | Self::LookAtOnce(..) => 0,
        }
    }
}

/// What is asked about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Its value: [`Answer::Bytes`] or [`Answer::Nothing`].
    Value,
    /// Whether it is there: [`Answer::Int`] 1 or 0.
    Exists,
    /// How many bytes its value has: [`Answer::Int`], 0 where it is missing.
    Length,
    /// The bytes from one place to another, both included; negative ones count from the end: [`Answer::Bytes`], none
    /// where it is missing. As Redis's GETRANGE.
    Part(i64, i64),
    /// As [`Value`](Self::Value), but a long value that lies in pieces may be answered by [`Answer::Pieces`], without
    /// putting it together.
    InPieces,
    /// The first bytes of its value, at most so many: [`Answer::Bytes`] or [`Answer::Nothing`]. Does not count as
    /// reading it.
    Beginning(usize),
    /// Until when it lives: [`Answer::Nothing`] where it is missing, else [`Answer::Lives`].
    Life,
    /// How many bytes of memory it takes, all in all: [`Answer::Int`] or [`Answer::Nothing`].
    Memory,
    /// Seconds since it was last read or written, about: [`Answer::Int`] or [`Answer::Nothing`]. Does not count as
    /// reading it.
    Idle,
}

/// A change of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change<'a> {
    /// Stores a value. Answers [`Answer::Done`], or [`Answer::Nothing`] where `when` forbids it; with `get` the value
    /// that was there, or [`Answer::Nothing`], whether it was replaced or not.
    Set {
        /// The value.
        value: &'a [u8],
        /// Under which condition.
        when: When,
        /// Until when the key lives.
        life: Life,
        /// Whether the answer is what was there.
        get: bool,
    },
    /// Removes the key. [`Answer::Int`] 1 or 0.
    Delete,
    /// Removes the key and answers its value, or [`Answer::Nothing`].
    Take,
    /// Changes until when the key lives. [`Answer::Int`] 1 where that was done, 0 where the key is missing or `when`
    /// forbids it; with `get` its value, or [`Answer::Nothing`]. [`Life::Ever`] is done only where the key had an end.
    /// A moment that has passed removes the key.
    Live {
        /// Until when.
        life: Life,
        /// Under which condition.
        when: LiveWhen,
        /// Whether the answer is the value.
        get: bool,
    },
    /// Adds to a number in decimal; a missing key is 0. [`Answer::Int`], the sum.
    Add(i64),
    /// Adds to a number with a fraction, as Redis does on x86-64: in 80 bits. A missing key is 0. [`Answer::Bytes`],
    /// the sum in decimal notation with up to 17 digits behind the point.
    AddFloat(LongDouble),
    /// Appends to the value; a missing key is empty. [`Answer::Int`], the new length.
    Append(&'a [u8]),
    /// Overwrites the value from `at` on, which grows by zero bytes as need be. [`Answer::Int`], the new length.
    Write {
        /// Where.
        at: usize,
        /// With what; nothing changes nothing.
        bytes: &'a [u8],
    },
}

/// Until when a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// As it did.
    Keep,
    /// Until it is removed.
    Ever,
    /// Until this moment, in milliseconds since 1970.
    Until(u64),
}

/// Under which condition something is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Where the key is missing.
    Absent,
    /// Where it is there.
    Present,
}

/// Under which condition it is changed until when a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveWhen {
    /// Always.
    Always,
    /// Where it has no end.
    Endless,
    /// Where it has one.
    Ending,
    /// Where the new end is later; none is the latest.
    Later,
    /// Where the new end is sooner; none is the latest.
    Sooner,
    /// Where it has an end, and the new one is sooner.
    EndingSooner,
}

/// Changes of several keys, of which everybody sees all or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together<'a> {
    /// Stores all, in order, to live for ever. [`Answer::Done`].
    SetAll(&'a [(&'a [u8], &'a [u8])]),
    /// Stores all if all keys are missing. [`Answer::Int`] 1, or 0 where one was there.
    SetAllAbsent(&'a [(&'a [u8], &'a [u8])]),
    /// Removes all. [`Answer::Int`], how many were there.
    DeleteAll(&'a [&'a [u8]]),
    /// Gives a key's value and life to another. [`Answer::Done`] or [`Refusal::NoSuchKey`]; with `absent`
    /// [`Answer::Int`] 1, or 0 where the other is there.
    Rename {
        /// The key that goes.
        from: &'a [u8],
        /// The key that comes.
        to: &'a [u8],
        /// Only where that one is missing.
        absent: bool,
    },
    /// Removes everything. [`Answer::Done`].
    Clear,
}

/// What is answered. What is borrowed is good until the sink returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    /// It was done.
    Done,
    /// There is no such thing, or it was not done.
    Nothing,
    /// A number.
    Int(i64),
    /// A value, or part of one.
    Bytes(&'a [u8]),
    /// A value as the pieces in which it lies, in order. Only [`Look::InPieces`] is answered so.
    Pieces(&'a [&'a [u8]]),
    /// Until when the key lives, in milliseconds since 1970; `None` for ever.
    Lives(Option<u64>),
    /// It was refused, and nothing changed.
    Refused(Refusal),
}

impl Answer<'_> {
    /// A count or a length: none in memory is as long as an `i64` reaches.
    pub(crate) fn count(number: usize) -> Self {
        Self::Int(number.cast_signed() as i64)
    }
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The value, or what is to be added, is no integer of 64 bits.
    NotAnInteger,
    /// The value is no number.
    NotAFloat,
    /// The sum would be no integer of 64 bits.
    Overflow,
    /// The sum would be no finite number.
    NotFinite,
    /// The key would be longer than [`LONGEST_KEY`].
    KeyTooLong,
    /// The value would be longer than [`LONGEST_VALUE`].
    ValueTooLong,
    /// There is no such key.
    NoSuchKey,
    /// Over the memory that is allowed, and nothing may be evicted.
    Memory,
    /// The log cannot be written, so nothing is changed.
    Log,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnInteger => "value is not an integer or out of range",
            Self::NotAFloat => "value is not a valid float",
            Self::Overflow => "increment or decrement would overflow",
            Self::NotFinite => "increment would produce NaN or Infinity",
            Self::KeyTooLong => "key exceeds 65535 bytes",
            Self::ValueTooLong => "string exceeds maximum allowed size (512 MiB)",
            Self::NoSuchKey => "no such key",
            Self::Memory => "command not allowed when used memory > 'maxmemory'",
            Self::Log => "the log cannot be written, so nothing is changed; see the server's log",
        })
    }
}

impl Error for Refusal {}
