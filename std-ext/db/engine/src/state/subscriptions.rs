//! The keys that change while their slots are sent to another group.

use crate::gauge::Gauge;
use crate::lock::lock;
use crate::log::change::{LoggedChanges, LoggedOp};
use crate::slot_set::SlotSet;
use crate::slots::slot;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// The moves that send keys of this group.
#[derive(Default)]
pub(crate) struct MoveSubscriptions {
    /// The number of them, so that writers take no lock if there is none. A subscription reads a shard only after it
    /// was counted, under the shard's lock. So a thread that changes the shard afterwards sees the number.
    number: Gauge,
    all: Mutex<Vec<Arc<Subscription>>>,
    /// The most bytes a second that are sent for each move while clients write; 0 for no limit.
    pub(super) rate: Gauge,
}

/// The changes in the slots of a move since they were sent.
pub(super) struct Subscription {
    pub(super) slots: SlotSet,
    changed: Mutex<ChangedKeys>,
}

/// The keys that have changed.
#[derive(Default)]
struct ChangedKeys {
    keys: HashSet<Vec<u8>>,
    /// All keys of some slots were removed.
    cleared: bool,
}

impl MoveSubscriptions {
    /// Begins to note the changes of slots.
    pub(super) fn begin(&self, slots: SlotSet) -> Arc<Subscription> {
        let subscription = Arc::new(Subscription { slots, changed: Mutex::default() });
        let mut all = lock(&self.all);
        all.push(Arc::clone(&subscription));
        self.number.set(all.len() as u64);
        subscription
    }

    /// Ends that.
    pub(super) fn end(&self, subscription: &Arc<Subscription>) {
        let mut all = lock(&self.all);
        all.retain(|other| !Arc::ptr_eq(other, subscription));
        self.number.set(all.len() as u64);
    }

    /// Returns the number of moves for which changes are noted.
    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.number.get()
    }

    /// Notes the changes of an entry. The caller holds the locks of their shards, and has published them.
    #[inline]
    pub(super) fn push(&self, changes: &[u8]) {
        if self.number.get() != 0 {
            lock(&self.all).iter().for_each(|subscription| subscription.push(changes));
        }
    }
}

impl Subscription {
    /// Returns whether all keys of some slots were removed since the last call. Forgets the keys that have changed.
    pub(super) fn take_cleared(&self) -> bool {
        let mut changed = lock(&self.changed);
        let cleared = std::mem::take(&mut changed.cleared);
        if cleared {
            changed.keys.clear();
        }
        cleared
    }

    /// Takes some of the keys that have changed.
    pub(super) fn take_changed(&self, most: usize) -> Vec<Vec<u8>> {
        let mut changed = lock(&self.changed);
        let some: Vec<_> = changed.keys.iter().take(most).cloned().collect();
        for key in &some {
            changed.keys.remove(key);
        }
        some
    }

    #[cold]
    fn push(&self, changes: &[u8]) {
        let mut changed = lock(&self.changed);
        let mut note = |key: &[u8]| {
            if self.slots.contains(slot(key)) {
                // Keys, not changes: a key that changes a thousand times before it is sent is sent once.
                changed.keys.insert(key.to_vec());
            }
        };
        let mut cleared = false;
        for operation in LoggedChanges::new(changes).map_while(Result::ok) {
            match operation {
                LoggedOp::Change(key, _) => note(key),
                LoggedOp::Rename(from, to) => {
                    note(from);
                    note(to);
                }
                LoggedOp::Clear(begin, end) => {
                    cleared |= self.slots.overlaps(&SlotSet::of_range(begin..end));
                }
                // It may have removed keys that had not expired by the clock of the target.
                LoggedOp::Clock(_) => cleared = true,
                LoggedOp::Begin(..)
                | LoggedOp::Watermark(_)
                | LoggedOp::Batch(_)
                | LoggedOp::Out(..)
                | LoggedOp::Own(..)
                // A node of a cluster has one database.
                | LoggedOp::Database(_)
                | LoggedOp::Move(..)
                | LoggedOp::Swap(..) => {}
            }
        }
        changed.cleared |= cleared;
    }
}
