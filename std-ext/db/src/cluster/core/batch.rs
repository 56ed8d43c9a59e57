//! The bytes of a batch, as etcd keeps it under `log/<seq>`.
//!
//! ```text
//! magic u16 | format u8 | flags u8 | epoch u64 | first entry u64 | entries u32 | raw bytes u32 | chain before 16 |
//! CRC-32 of all the rest u32 | body
//! ```
//!
//! Numbers are little-endian. The body is compressed with LZ4 if that saves an eighth. Uncompressed it is a sequence of
//! entries:
//!
//! ```text
//! length of the changes u32 | time u64 | changes
//! ```
//!
//! A longer entry is cut into parts in consecutive batches: each part's body is a piece of the bytes of that one entry.
//! `entries` counts the entries that *end* in the batch: 0 in a part that is not the last. So the last complete entry
//! behind a batch is always `first entry - 1 + entries`.

use super::chain::Chain;
use super::entry::{Entry, Epoch};
use crate::log::Lsn;

/// The most uncompressed bytes of a batch.
pub const MOST_RAW: usize = 512 << 10;
/// The most bytes of an entry, with its header.
pub const MOST_ENTRY: usize = 1 << 30;
/// The bytes before the body.
pub const HEADER: usize = 48;

/// What a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Whole entries.
    Whole,
    /// A part of an entry, and not the last one.
    Part,
    /// The last part of an entry.
    LastPart,
}

/// A batch without its outer bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The epoch of the primary that wrote it.
    pub epoch: Epoch,
    /// The number of the first entry.
    pub first: Lsn,
    /// The entries that end in this batch.
    pub entries: u32,
    /// What the body is.
    pub piece: Piece,
    /// The chain before this batch.
    pub before: Chain,
    /// The uncompressed body.
    pub raw: Vec<u8>,
}

impl Batch {
    /// Makes the bytes for etcd.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads the bytes from etcd.
    ///
    /// # Errors
    /// If they are not a batch, with the reason.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let _ = bytes;
        todo!()
    }

    /// The chain behind this batch.
    pub fn after(&self) -> Chain {
        self.before.after(self.epoch, self.first, &self.raw)
    }
}

/// Appends the bytes of an entry to a body.
pub fn encode_entry(entry: &Entry, into: &mut Vec<u8>) {
    let _ = (entry, into);
    todo!()
}

/// Reads the entries of a body. `first` is the number of the first.
///
/// # Errors
/// If the body is not `entries` whole entries, with the reason.
pub fn decode_entries(raw: &[u8], first: Lsn, entries: u32) -> Result<Vec<Entry>, String> {
    let _ = (raw, first, entries);
    todo!()
}
