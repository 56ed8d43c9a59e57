//! Reads entries of the relay back, for a peer.

use super::error::RelayError;
use super::position::Mark;
use crate::log::Lsn;
use crate::log::folder::Folder;

/// An entry of the relay, with the mark in its changes if it is the first one of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of the entry.
    pub lsn: Lsn,
    /// The time at which it is applied.
    pub time: u64,
    /// Its changes, as bytes.
    pub changes: Vec<u8>,
}

/// Reads the entries of a relay in order, also those that are appended meanwhile. It keeps their segments until it is
/// dropped.
pub struct Records {}

impl Records {
    /// Reads entries until their changes have `most_bytes` or more, and at least one. Returns none if there is no
    /// further one yet.
    ///
    /// # Errors
    /// If a segment is damaged, or cannot be read.
    pub fn read(&mut self, most_bytes: usize) -> Result<Vec<Record>, RelayError> {
        let _ = most_bytes;
        todo!()
    }
}

/// Returns the last mark among the entries up to `last`.
pub(super) fn last_mark(folder: &Folder, last: Lsn) -> Result<Option<Mark>, RelayError> {
    let _ = (folder, last);
    todo!()
}
