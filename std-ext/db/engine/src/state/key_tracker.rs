//! Who learns which keys were changed: [`KeyTracker`], which the layer of client-side caching implements.

use crate::gauge::Gauge;
use std::sync::{Arc, OnceLock};

/// Learns which keys were changed. It is called after the changes were published, under the locks of their shards.
pub trait KeyTracker: Send + Sync {
    /// These keys were changed. `by_server`: they have expired or were evicted, so the client whose commands this
    /// thread executes has not changed them itself.
    fn keys_changed(&self, keys: &[&[u8]], by_server: bool);

    /// Any key may have changed.
    fn all_changed(&self);
}

/// Who learns of changed keys, if anyone does.
#[derive(Default)]
pub struct TrackedKeys {
    /// The number of clients that track keys. Becomes positive under the locks of all shards.
    clients: Arc<Gauge>,
    tracker: OnceLock<Arc<dyn KeyTracker>>,
}

impl TrackedKeys {
    /// Returns the number of clients that track keys, which the tracker sets.
    pub fn clients(&self) -> &Arc<Gauge> {
        &self.clients
    }

    /// Sets the tracker. A state keeps its first one.
    pub fn set_tracker(&self, tracker: Arc<dyn KeyTracker>) {
        // The layer above makes one tracker for each state.
        let _ = self.tracker.set(tracker);
    }

    /// Returns whether a client tracks keys. The caller holds the lock of a shard that it changes.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.clients.get() != 0
    }

    /// Returns the tracker.
    pub(super) fn tracker(&self) -> Option<&dyn KeyTracker> {
        self.tracker.get().map(|tracker| &**tracker)
    }

    /// Reports that any key may have changed.
    pub(super) fn all_changed(&self) {
        if let Some(tracker) = self.tracker() {
            tracker.all_changed();
        }
    }
}

/// What clients are told of the changes of a shard, besides the keys that have expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Invalidates {
    /// The keys of the log entry.
    #[default]
    Entry,
    /// The same keys, which the server has evicted.
    Evicted,
    /// All keys, which were removed. Set only while a client tracks keys.
    Everything,
}
