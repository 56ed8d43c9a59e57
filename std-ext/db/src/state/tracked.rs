//! The keys that changes have to be told to clients that cache them (`CLIENT TRACKING`).
//!
//! Every change of a published state passes [`State::log_and_publish`] or `publish_with`: those of commands,
//! transactions and scripts, evictions, imports, moves of slots, and the entries that a follower applies. The log entry
//! names the keys that were changed. Keys that have expired are in no entry, but among the records that were removed
//! since the last publication.

use super::record::Record;
use super::shard::Core;
use super::{LockedShards, State};
use crate::log::change::{Changes, LoggedOp};
use crate::tracking::{self, Tracker};
use std::collections::HashSet;
use std::sync::Arc;

/// The keys that clients are told of when a change is published.
#[derive(Debug, Default)]
pub(super) struct Invalidation {
    /// Any key may have changed.
    all: bool,
    /// The keys that the entry has changed.
    changed: Vec<Box<[u8]>>,
    /// The keys that have expired.
    expired: Vec<Box<[u8]>>,
}

impl Invalidation {
    /// Collects the changes of an entry in locked shards. They are not published yet: afterwards the removed records
    /// are not known any more.
    #[cold]
    pub(super) fn collect<'c>(entry: &[u8], cores: impl Iterator<Item = &'c mut Core>) -> Self {
        let (mut all, mut changed, mut seen) = (false, Vec::new(), HashSet::<Box<[u8]>>::new());
        let mut note = |key: &[u8]| {
            if seen.insert(key.into()) {
                changed.push(key.into());
            }
        };
        // This program has encoded the entry, or has decoded it before.
        for operation in Changes::new(entry).map_while(Result::ok) {
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
                | LoggedOp::Floor(_)
                | LoggedOp::Batch(_) => {}
            }
        }
        let mut expired = Vec::new();
        for core in cores {
            all |= std::mem::take(&mut core.was_cleared);
            if !all {
                let removed = core.removed().map(Record::key).filter(|key| !seen.contains(*key));
                expired.extend(removed.map(Box::from));
            }
        }
        Self { all, changed, expired }
    }
}

impl State {
    /// Tells clients what was published, under the locks under which it was collected.
    #[cold]
    pub(super) fn invalidate(&self, invalidation: &Invalidation) {
        if invalidation.all {
            return self.tracking.invalidate_all();
        }
        self.tracking.invalidate(&refs(&invalidation.changed));
        if !invalidation.expired.is_empty() {
            // Time has removed them, and not the client that met them.
            tracking::as_server(|| self.tracking.invalidate(&refs(&invalidation.expired)));
        }
    }

    /// Collects what clients must be told, if one tracks keys.
    #[inline]
    pub(super) fn collect_invalidation(
        &self,
        entry: &[u8],
        cores: &mut LockedShards<'_>,
    ) -> Option<Invalidation> {
        let collect =
            || Invalidation::collect(entry, cores.iter_mut().map(|(_, core)| &mut **core));
        self.tracking.is_on().then(collect)
    }

    /// Begins to tell a client what changes, or goes on with other options.
    pub(crate) fn track(&self, tracker: &Arc<Tracker>) {
        if self.tracking.add_beside_others(tracker) {
            return;
        }
        // A change that is being made now is either published before the client's first read, or told to the client.
        let _cores = self.lock_every_shard();
        self.tracking.add(tracker);
    }
}

fn refs(keys: &[Box<[u8]>]) -> Vec<&[u8]> {
    keys.iter().map(|key| &**key).collect()
}
