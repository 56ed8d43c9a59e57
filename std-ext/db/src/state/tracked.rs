//! Tells clients that cache keys when these keys change (`CLIENT TRACKING`).
//!
//! Every change of a published state passes [`State::log_and_publish`] or `publish_with`: those of commands,
//! transactions and scripts, evictions, imports, moves of slots, and the entries that a follower applies. `shrink` and
//! `publish_relocated` publish no change.

use super::State;
use super::invalidation::Invalidation;
use super::shard::Core;
use crate::tracking::{self, Tracker};
use std::sync::Arc;

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
    pub(super) fn collect_invalidation<'c>(
        &self,
        entry: &[u8],
        cores: impl Iterator<Item = &'c mut Core>,
    ) -> Option<Invalidation> {
        // One load for each call, so that nothing else is done while no client tracks keys.
        self.tracking.is_on().then(|| Invalidation::collect(entry, cores))
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
