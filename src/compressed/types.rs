//! Errors, statistics, the policy, and the merge function.

use super::codec::Corrupt;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

/// The behaviour of a map whose budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Writes fail for which there is no room.
    #[default]
    Refuse,
    /// The map removes entries that have not been read recently.
    Evict,
}

/// Merges deferred changes into a value; see [`modify_deferred`](crate::CompressedMap::modify_deferred).
///
/// It must not change its own map: see [`Codec`](super::codec::Codec).
pub trait Merge: Send + Sync {
    /// Returns the value after `operands`, the oldest first, were applied to `value`, which is `None` if the key had
    /// none.
    fn merge(&self, key: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8>;
}

impl<F: Fn(&[u8], Option<&[u8]>, &[&[u8]]) -> Vec<u8> + Send + Sync> Merge for F {
    fn merge(&self, key: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
        self(key, value, operands)
    }
}

/// Why a value was not stored. The caller keeps key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Key and value together are longer than the `most` bytes for which a segment has room.
    ValueTooLarge {
        /// The longest key and value together that are never too large, with a time to live or without.
        most: usize,
    },
    /// The budget has no room for it.
    BudgetExceeded,
    /// The allocator failed, although the budget has room.
    Alloc,
    /// The map was built without a [`Merge`].
    NoMerge,
    /// The bytes that are stored for the key are damaged.
    Corrupt,
    /// The value has a time to live, and the map has no [clock](super::Builder::clock): it was given none, and there is
    /// no `std`, or the target is `wasm32-unknown-unknown`.
    NoClock,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueTooLarge { most } => write!(f, "key and value are more than {most} bytes"),
            Self::BudgetExceeded => f.write_str("no room within the budget"),
            Self::Alloc => f.write_str("memory allocation failed"),
            Self::NoMerge => f.write_str("the map was made without a way to merge"),
            Self::Corrupt => Corrupt.fmt(f),
            Self::NoClock => f.write_str("the map has no clock; its builder takes one"),
        }
    }
}

impl Error for StoreError {}

impl From<Corrupt> for StoreError {
    fn from(Corrupt: Corrupt) -> Self {
        Self::Corrupt
    }
}

/// Why a value was not read into a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The value is longer than the buffer.
    BufferTooSmall {
        /// The length of the value.
        need: usize,
    },
    /// The bytes that are stored for the key are damaged.
    Corrupt,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { need } => write!(f, "the value takes {need} bytes"),
            Self::Corrupt => Corrupt.fmt(f),
        }
    }
}

impl Error for ReadError {}

impl From<Corrupt> for ReadError {
    fn from(Corrupt: Corrupt) -> Self {
        Self::Corrupt
    }
}

/// Statistics of one codec; see [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecStats {
    /// The codec's name; `none` for values that are stored plain.
    pub name: &'static str,
    /// Stored records that it has compressed.
    pub records: usize,
    /// Bytes of these records, keys included.
    pub stored: usize,
    /// Models of this codec that the map keeps.
    pub models: usize,
}

impl CodecStats {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }
}

/// Statistics of a map. They are exact if there are no concurrent writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The number of entries.
    pub len: usize,
    /// Bytes of all keys and values before compression; of deferred changes as they are stored.
    pub raw: usize,
    /// Bytes that the map has allocated, and of the map itself.
    pub memory_bytes: usize,
    /// Bytes that the map may take.
    pub budget: usize,
    /// Bytes of the index.
    pub index: usize,
    /// Segments of records.
    pub segments: usize,
    /// Full segments of plain records.
    pub hot_segments: usize,
    /// Free segments.
    pub free_segments: usize,
    /// Bytes of plain records: hot values, and values that are not compressed yet.
    pub hot: usize,
    /// Bytes of compressed records.
    pub cold: usize,
    /// Bytes of unlinked records in full segments.
    pub dead: usize,
    /// Statistics by codec. The last row is for values that no codec made shorter.
    pub codecs: Vec<CodecStats>,
    /// Reads of hot values.
    pub hits: usize,
    /// Reads of cold values.
    pub misses: usize,
}
