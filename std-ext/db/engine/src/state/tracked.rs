//! Reports changed keys to the layer that tells clients that cache them (`CLIENT TRACKING`).
//!
//! Every change of a published state passes [`State::log_and_publish`] or `publish_with`: those of commands,
//! transactions and scripts, evictions, imports, moves of slots, and the entries that a follower applies. `shrink` and
//! `publish_relocated` publish no change.

use super::State;
use super::invalidation::Invalidation;
use super::shard::Core;

impl State {
    /// Reports what was published, under the locks under which it was collected.
    #[cold]
    pub(super) fn invalidate(&self, invalidation: &Invalidation) {
        if invalidation.all {
            return self.tracked.all_changed();
        }
        let Some(tracker) = self.tracked.tracker() else { return };
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
