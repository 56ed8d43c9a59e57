//! A file with batches as etcd has them: what commits while a node fetches its data, or loads it.

use super::super::relay::Seq;
use std::fmt;
use std::io;
use std::path::Path;

/// Why a batch cannot be spooled.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpoolError {
    /// The system returned an error.
    Io(io::Error),
    /// The spool has reached its limit.
    Full,
    /// A batch is missing before this one.
    Gap {
        /// The number that the next batch must have.
        wanted: Seq,
        /// The number that it has.
        found: Seq,
    },
    /// The file contains other bytes than were written.
    Damaged(&'static str),
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

/// Batches in a file, with consecutive numbers.
pub struct Spool {}

impl Spool {
    /// Creates an empty spool in a folder. Removes an earlier one.
    ///
    /// # Errors
    /// The system's.
    pub fn create(folder: &Path, most_bytes: u64) -> Result<Self, SpoolError> {
        let _ = (folder, most_bytes);
        todo!()
    }

    /// Opens the spool of a folder, if there is one, and truncates an incomplete end.
    ///
    /// # Errors
    /// The system's, and if the file is no spool.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Option<Self>, SpoolError> {
        let _ = (folder, most_bytes);
        todo!()
    }

    /// Adds the value of a batch's key.
    ///
    /// # Errors
    /// If a batch is missing before it, the spool is full, or the file cannot be written.
    pub fn push(&mut self, seq: Seq, value: &[u8]) -> Result<(), SpoolError> {
        let _ = (seq, value);
        todo!()
    }

    /// Returns the numbers of the first and the last batch.
    pub fn range(&self) -> Option<(Seq, Seq)> {
        todo!()
    }

    /// Calls `each` with the batches from `from` on.
    ///
    /// # Errors
    /// The system's, and if the file is damaged.
    pub fn read(&self, from: Seq, each: &mut dyn FnMut(Seq, &[u8])) -> Result<(), SpoolError> {
        let _ = (from, each);
        todo!()
    }

    /// Removes the file.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(self) -> Result<(), SpoolError> {
        todo!()
    }
}
