//! Errors, figures, policies, and what folds deferred changes.

use super::codec::Corrupt;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

/// What a map does at its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// What does not fit is refused.
    #[default]
    Refuse,
    /// Entries that were not read lately make room for it.
    Evict,
}

/// Folds deferred changes into a value; see
/// [`modify_deferred`](crate::CompressedMap::modify_deferred).
///
/// It must not change the map that it works for: see [`Codec`](super::codec::Codec).
pub trait Merge: Send + Sync {
    /// The value that `operands`, the oldest first, make of `value` (None: the key had none).
    fn merge(&self, key: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8>;
}

impl<F: Fn(&[u8], Option<&[u8]>, &[&[u8]]) -> Vec<u8> + Send + Sync> Merge for F {
    fn merge(&self, key: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
        self(key, value, operands)
    }
}

/// Why something was not stored. Key and value were only lent, so the caller still has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Key and value together are longer than `most` bytes, which a segment holds.
    ValueTooLarge {
        /// What fits.
        most: usize,
    },
    /// There is no room for it within the budget.
    BudgetExceeded,
    /// The allocator has no memory, the budget notwithstanding.
    Alloc,
    /// The map was made without a [`Merge`].
    NoMerge,
    /// What was stored under the key is no longer what was stored.
    Corrupt,
    /// The value is to expire, and the map has no clock: it was made without `std` and without
    /// [`clock`](super::Builder::clock).
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
            Self::NoClock => f.write_str("the map has no clock"),
        }
    }
}

impl Error for StoreError {}

/// Why a value was not read into a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The value is longer than the buffer.
    BufferTooSmall {
        /// Its length.
        need: usize,
    },
    /// What was stored under the key is no longer what was stored.
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

/// Figures of one codec; see [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecStats {
    /// The codec's name, `none` for values that are stored as they are.
    pub name: &'static str,
    /// Records that it has compressed.
    pub records: usize,
    /// Bytes that they take, keys included.
    pub stored: usize,
    /// Versions of what it has learned that are kept.
    pub models: usize,
}

impl CodecStats {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }
}

/// Figures of a map; exact where nobody writes meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries.
    pub len: usize,
    /// Bytes of all keys and values, as the caller knows them; of changes that are deferred, as they are stored.
    pub raw: usize,
    /// Bytes of everything that the map has allocated, and of itself.
    pub memory_bytes: usize,
    /// What it may take.
    pub budget: usize,
    /// Bytes of the index.
    pub index: usize,
    /// Segments, and how many of them hold plain records, and hold nothing.
    pub segments: usize,
    /// Segments of plain records that are full.
    pub hot_segments: usize,
    /// Segments that hold nothing.
    pub free_segments: usize,
    /// Bytes that plain records take: what is hot, and what is not compressed yet.
    pub hot: usize,
    /// Bytes that compressed records take.
    pub cold: usize,
    /// Bytes of full segments that no entry leads to.
    pub dead: usize,
    /// By codec, and at the end what no codec made smaller.
    pub codecs: Vec<CodecStats>,
    /// Reads that found their key hot.
    pub hits: usize,
    /// Reads that found their key cold.
    pub misses: usize,
}
