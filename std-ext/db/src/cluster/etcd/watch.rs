//! Watches.

use super::error::EtcdError;
use super::request::KeyValue;
use prost::bytes::Bytes;

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key was set.
    Put(KeyValue),
    /// The key was deleted or expired.
    Delete {
        /// The key.
        key: Bytes,
        /// The revision that deleted it.
        revision: u64,
    },
}

/// What a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The last revision that the watch knows of. It grows from report to report.
    pub revision: u64,
    /// The changes, in the order of their revisions. All changes of one revision are in one report. None says that the
    /// member still answers.
    pub events: Vec<Event>,
}

/// A watch. It reconnects on its own, and ends when it is dropped.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    /// Waits for the next report. A caller may drop the future without losing anything.
    ///
    /// # Errors
    /// If the watch cannot go on: its next revision was compacted, or the user may not read the keys. Every later call
    /// returns the same error.
    pub async fn next(&mut self) -> Result<Watched, EtcdError> {
        todo!()
    }
}
