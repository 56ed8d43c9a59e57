//! Ids of a stream's entries.

use std::fmt;

/// The id of an entry: a time, and a number among the entries of that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, unless a client has chosen something else.
    pub ms: u64,
    /// The number among the ids of the same millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The least id, which no entry has.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    const fn number(self) -> u128 {
        (self.ms as u128) << 64 | self.seq as u128
    }

    const fn of_number(number: u128) -> Self {
        Self { ms: (number >> 64) as u64, seq: number as u64 }
    }

    /// Returns the next id, unless this is the greatest one.
    pub fn next(self) -> Option<Self> {
        self.number().checked_add(1).map(Self::of_number)
    }

    /// Returns the id before, unless this is the least one.
    pub fn previous(self) -> Option<Self> {
        self.number().checked_sub(1).map(Self::of_number)
    }

    /// Returns the id that these bytes are.
    pub const fn from_be_bytes(bytes: [u8; 16]) -> Self {
        Self::of_number(u128::from_be_bytes(bytes))
    }

    /// Returns the bytes, which have the order of the ids.
    pub const fn to_be_bytes(self) -> [u8; 16] {
        self.number().to_be_bytes()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
