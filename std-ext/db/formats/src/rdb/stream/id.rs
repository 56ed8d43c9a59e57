//! Ids of a stream's entries.

/// The id of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, if the server chose the id.
    pub ms: u64,
    /// The number among the ids of the same millisecond.
    pub seq: u64,
}

impl StreamId {
    /// Returns the id that these bytes are.
    pub const fn from_be_bytes(bytes: [u8; 16]) -> Self {
        let id = u128::from_be_bytes(bytes);
        Self { ms: (id >> 64) as u64, seq: id as u64 }
    }

    /// Returns the bytes, which have the order of the ids.
    pub const fn to_be_bytes(self) -> [u8; 16] {
        ((self.ms as u128) << 64 | self.seq as u128).to_be_bytes()
    }
}
