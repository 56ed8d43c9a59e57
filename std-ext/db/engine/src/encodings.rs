//! How Redis would store values: from when on in a larger form, which is what `OBJECT ENCODING` answers, and how many
//! entries of a stream together.

/// A limit of Redis's encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingLimit {
    /// The most fields of a hash that is a listpack.
    HashEntries,
    /// The most bytes of a field or a value of such a hash.
    HashValue,
    /// The most members of a set of integers that is an intset.
    SetIntegers,
    /// The most members of a sorted set that is a listpack.
    SortedSetEntries,
    /// The most bytes of a member of such a sorted set.
    SortedSetValue,
    /// The entries of a node of a stream. Approximate trimming (`~`) removes whole nodes. 0 stands for 100.
    StreamEntries,
}

impl EncodingLimit {
    /// All limits.
    pub const ALL: [Self; 6] = [
        Self::HashEntries,
        Self::HashValue,
        Self::SetIntegers,
        Self::SortedSetEntries,
        Self::SortedSetValue,
        Self::StreamEntries,
    ];

    /// Returns the name of Redis's setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::HashEntries => "hash-max-listpack-entries",
            Self::HashValue => "hash-max-listpack-value",
            Self::SetIntegers => "set-max-intset-entries",
            Self::SortedSetEntries => "zset-max-listpack-entries",
            Self::SortedSetValue => "zset-max-listpack-value",
            Self::StreamEntries => "stream-node-max-entries",
        }
    }

    /// Returns the limit of Redis's setting, if it is one.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    /// Returns whether it is a number of bytes.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::HashValue | Self::SortedSetValue)
    }
}

/// A number for each [`EncodingLimit`]. The default is Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingLimits([usize; EncodingLimit::ALL.len()]);

impl Default for EncodingLimits {
    fn default() -> Self {
        Self([512, 64, 512, 128, 64, 100])
    }
}

impl EncodingLimits {
    /// Returns a limit.
    pub fn get(&self, limit: EncodingLimit) -> usize {
        self.0[limit as usize]
    }

    /// Sets a limit.
    pub fn set(&mut self, limit: EncodingLimit, most: usize) {
        self.0[limit as usize] = most;
    }
}
