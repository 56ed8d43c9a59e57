//! The keys of a change that clients are told of: [`Invalidation`].
//!
//! The log entry names the keys that were changed. Keys that have expired are in no entry, but among the records that
//! were removed since the last publication.

use super::key_tracker::Invalidates;
use super::record::Record;
use super::shard::Core;
use crate::log::change::{LoggedChanges, LoggedOp};
use std::collections::HashSet;

/// The keys that clients are told of when a change is published.
#[derive(Debug, Default)]
pub(super) struct Invalidation {
    /// Any key may have changed.
    pub(super) all: bool,
    /// The keys that the entry has changed.
    pub(super) changed: Vec<Box<[u8]>>,
    /// Whether the server has made these changes by itself.
    pub(super) by_server: bool,
    /// The keys that have expired.
    pub(super) expired: Vec<Box<[u8]>>,
}

impl Invalidation {
    /// Collects the changes of an entry in locked shards. They are not published yet: afterwards the removed records
    /// are not known any more.
    #[cold]
    pub(super) fn collect<'c>(entry: &[u8], cores: impl Iterator<Item = &'c mut Core>) -> Self {
        let (mut all, mut changed, mut seen) = (false, Vec::new(), HashSet::<Box<[u8]>>::new());
        let mut note = |key: &[u8]| {
            // A transaction may change a key a thousand times. A client is told once.
            if seen.insert(key.into()) {
                changed.push(key.into());
            }
        };
        // This program has encoded the entry, or has decoded it before.
        for operation in LoggedChanges::new(entry).map_while(Result::ok) {
            match operation {
                LoggedOp::Change(key, _) | LoggedOp::Move(key, _) => note(key),
                LoggedOp::Rename(from, to) => {
                    note(from);
                    note(to);
                }
                // Redis says nothing of a swap. But each key may have another value then.
                LoggedOp::Clear(..)
                | LoggedOp::Swap(..)
                | LoggedOp::Out(..)
                | LoggedOp::Own(..) => {
                    all = true;
                }
                LoggedOp::Database(_)
                | LoggedOp::Clock(_)
                | LoggedOp::Begin(..)
                | LoggedOp::Watermark(_)
                | LoggedOp::Batch(_) => {}
            }
        }
        let (mut by_server, mut expired) = (false, Vec::new());
        for core in cores {
            let invalidates = std::mem::take(&mut core.invalidates);
            all |= invalidates == Invalidates::Everything;
            by_server |= invalidates == Invalidates::Evicted;
            if !all {
                let removed = core.removed().map(Record::key).filter(|key| !seen.contains(*key));
                expired.extend(removed.map(Box::from));
            }
        }
        Self { all, changed, by_server, expired }
    }
}
