//! Reports changed keys to the layer that tells clients that cache them (`CLIENT TRACKING`).
//!
//! Every change of a published state passes [`State::log_and_publish`] or `publish_with`: those of commands,
//! transactions and scripts, evictions, imports, moves of slots, and the entries that a follower applies. `shrink` and
//! `publish_relocated` publish no change.

use super::State;
use super::invalidation::Invalidation;
use super::shard::Core;
use crate::gauge::Gauge;
use std::sync::{Arc, OnceLock};

/// Learns which keys were changed. It is called after the changes were published, under the locks of their shards.
pub(crate) trait KeyTracker: Send + Sync {
    /// These keys were changed. `by_server`: they have expired or were evicted, so the client whose commands this
    /// thread executes has not changed them itself.
    fn keys_changed(&self, keys: &[&[u8]], by_server: bool);

    /// Any key may have changed.
    fn all_changed(&self);
}

/// Who learns of changed keys, if anyone does.
#[derive(Default)]
pub(crate) struct TrackedKeys {
    /// The number of clients that track keys. Becomes positive under the locks of all shards.
    clients: Arc<Gauge>,
    tracker: OnceLock<Arc<dyn KeyTracker>>,
}

impl TrackedKeys {
    /// Returns the number of clients that track keys, which the tracker sets.
    pub(crate) fn clients(&self) -> &Arc<Gauge> {
        &self.clients
    }

    /// Sets the tracker. A state keeps its first one.
    pub(crate) fn set_tracker(&self, tracker: Arc<dyn KeyTracker>) {
        // The layer above makes one tracker for each state.
        let _ = self.tracker.set(tracker);
    }

    /// Returns whether a client tracks keys. The caller holds the lock of a shard that it changes.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.clients.get() != 0
    }

    /// Reports that any key may have changed.
    pub(super) fn all_changed(&self) {
        if let Some(tracker) = self.tracker.get() {
            tracker.all_changed();
        }
    }
}

impl State {
    /// Reports what was published, under the locks under which it was collected.
    #[cold]
    pub(super) fn invalidate(&self, invalidation: &Invalidation) {
        if invalidation.all {
            return self.tracked.all_changed();
        }
        let Some(tracker) = self.tracked.tracker.get() else { return };
        tracker.keys_changed(&refs(&invalidation.changed), invalidation.by_server);
        if !invalidation.expired.is_empty() {
            // Time has removed them, and not the client that met them.
            tracker.keys_changed(&refs(&invalidation.expired), true);
        }
    }

    /// Collects what must be reported, if a client tracks keys.
    #[inline]
    pub(super) fn collect_invalidation<'c>(
        &self,
        entry: &[u8],
        cores: impl Iterator<Item = &'c mut Core>,
    ) -> Option<Invalidation> {
        // One load for each call, so that nothing else is done while no client tracks keys.
        self.tracked.is_on().then(|| Invalidation::collect(entry, cores))
    }
}

fn refs(keys: &[Box<[u8]>]) -> Vec<&[u8]> {
    keys.iter().map(|key| &**key).collect()
}
