//! What the protocol needs to know about the content of entries.

use super::entry::{Entry, Epoch, NodeId};
use std::fmt;

/// The format of [`Entry::changes`], which only the state machine reads.
///
/// The protocol writes one entry itself, the first one of each epoch, and asks of each entry whether it sets the clock
/// back. Everything else about the bytes is the caller's.
pub trait EntryFormat: fmt::Debug + Send + Sync {
    /// Returns the content of the entry with which `node` begins an epoch. A state machine may ignore this entry, as
    /// most do with the empty entry of a new leader in Raft.
    fn begin(&self, epoch: Epoch, node: NodeId) -> Vec<u8>;

    /// Returns whether an entry says that the primary's clock was set back to the entry's time. Whatever had expired
    /// before is gone with it, so that no earlier time counts any more.
    ///
    /// The times of entries otherwise never go back from one epoch to the next [C-1].
    fn sets_clock_back(&self, changes: &[u8]) -> bool {
        let _ = changes;
        false
    }
}

/// Entries whose content means nothing to the protocol: the entry that begins an epoch is empty, and no entry sets the
/// clock back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpaqueEntries;

impl EntryFormat for OpaqueEntries {
    fn begin(&self, _: Epoch, _: NodeId) -> Vec<u8> {
        Vec::new()
    }
}

/// Returns the latest time behind these entries, with `before` as that of the log before them.
///
/// An epoch must begin no earlier: the log has removed keys that had expired by this time. Nor should it begin later,
/// because then keys expire too early [C-7].
pub fn time_behind<'a>(
    format: &dyn EntryFormat,
    before: u64,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> u64 {
    let latest = |time: u64, entry: &Entry| {
        if format.sets_clock_back(&entry.changes) { entry.time } else { time.max(entry.time) }
    };
    entries.into_iter().fold(before, latest)
}
