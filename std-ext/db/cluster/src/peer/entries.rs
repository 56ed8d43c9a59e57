//! Entries as a sequence of bytes, as a peer sends them in chunks.
//!
//! ```text
//! entry: length u32 of the changes, crc u32 of all the rest, lsn u64, time u64, the changes
//! ```
//!
//! All numbers are little-endian. `crc` is CRC-32 (IEEE) of the length, the number, the time and the changes.

use super::error::PeerError;
use super::frame::checksum;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::log::frame::{u32_at, u64_at};
use hedgerow_db_group::batch;

/// Bytes of an entry before its changes.
const HEADER: usize = 24;

/// The most bytes of changes in an entry: the largest one of the group, and the mark of a batch.
pub const MOST_CHANGES: usize = batch::MOST_ENTRY + 64;

/// Appends an entry to `buffer`. It has at most [`MOST_CHANGES`] bytes of changes.
pub fn encode(lsn: Lsn, time: u64, changes: &[u8], buffer: &mut Vec<u8>) {
    let (mut header, length) = ([0; HEADER], changes.len() as u32);
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&lsn.to_le_bytes());
    header[16..].copy_from_slice(&time.to_le_bytes());
    let crc = checksum(&header, changes);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    buffer.reserve(HEADER + changes.len());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(changes);
}

/// An entry that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// The number of the entry.
    pub lsn: Lsn,
    /// The time at which it is applied.
    pub time: u64,
    /// Its changes, as bytes.
    pub changes: &'a [u8],
}

/// Decodes entries with consecutive numbers from bytes that arrive in pieces. Its memory is what has arrived of one
/// entry.
pub struct EntryDecoder {
    buffer: Vec<u8>,
    begin: usize,
    next: Lsn,
}

impl EntryDecoder {
    /// Makes a decoder of entries from `first` on.
    pub fn new(first: Lsn) -> Self {
        Self { buffer: Vec::new(), begin: 0, next: first }
    }

    /// Returns the number of the next entry.
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        // Once for each chunk, not for each entry.
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns whether the bytes end between two entries.
    pub fn is_empty(&self) -> bool {
        self.begin == self.buffer.len()
    }

    /// Returns the next entry, if all of it has arrived.
    ///
    /// # Errors
    /// If the bytes are no entry, or not the next one.
    pub fn entry(&mut self) -> Result<Option<Arrived<'_>>, PeerError> {
        let held = &self.buffer[self.begin..];
        if held.len() < HEADER {
            return Ok(None);
        }
        let (length, lsn) = (u32_at(held, 0) as usize, u64_at(held, 8));
        // Both before the changes have arrived: a wrong length would be waited for.
        if length > MOST_CHANGES {
            return Err(PeerError::Invalid("an entry is longer than the maximum"));
        }
        if lsn != self.next || lsn == Lsn::MAX {
            return Err(PeerError::Gap { wanted: self.next, found: lsn });
        }
        let whole = HEADER + length;
        if held.len() < whole {
            return Ok(None);
        }
        if checksum(&held[..HEADER], &held[HEADER..whole]) != u32_at(held, 4) {
            return Err(PeerError::Invalid("an entry has a wrong checksum"));
        }
        let begin = self.begin;
        self.begin += whole;
        self.next += 1;
        let entry = &self.buffer[begin..begin + whole];
        Ok(Some(Arrived { lsn, time: u64_at(entry, 16), changes: &entry[HEADER..] }))
    }
}
