//! Counts of the records of slots that move, kept under the lock of their shard while these come and go.

use super::record::Record;
use crate::slot_set::SlotSet;
use std::sync::Arc;

/// The records of some slots that do not expire by a time.
pub(crate) struct CountFilter {
    pub slots: SlotSet,
    pub horizon: u64,
}

impl CountFilter {
    /// Returns whether a record of a slot counts.
    pub(crate) fn counts(&self, slot: u16, record: Record) -> bool {
        self.slots.contains(slot) && !record.is_expired(self.horizon)
    }
}

/// The records of a filter that the map has got since they began to be counted, less those that it has lost.
struct FilteredCount {
    filter: Arc<CountFilter>,
    change: i64,
}

/// The counts of a shard: one for each move in progress.
#[derive(Default)]
pub(crate) struct FilteredCounts(Vec<FilteredCount>);

impl FilteredCounts {
    /// Counts a record that the map has got, and the one of the same key that it has replaced.
    pub(super) fn inserted(&mut self, slot: u16, record: Record, replaced: Option<Record>) {
        // One by one: the two records may differ in their TTL, and then only one of them may count.
        self.add(slot, record, 1);
        if let Some(replaced) = replaced {
            self.add(slot, replaced, -1);
        }
    }

    /// Counts a record that the map has lost.
    pub(super) fn removed(&mut self, slot: u16, record: Record) {
        self.add(slot, record, -1);
    }

    fn add(&mut self, slot: u16, record: Record, number: i64) {
        for count in &mut self.0 {
            if count.filter.counts(slot, record) {
                count.change += number;
            }
        }
    }
}

impl FilteredCounts {
    /// Begins to count the records of a filter.
    pub(super) fn begin(&mut self, filter: &Arc<CountFilter>) {
        self.0.push(FilteredCount { filter: Arc::clone(filter), change: 0 });
    }

    /// Returns how many records of a filter the map has got since `begin`, less those that it has lost.
    pub(super) fn change(&self, filter: &Arc<CountFilter>) -> i64 {
        let found = self.0.iter().find(|count| Arc::ptr_eq(&count.filter, filter));
        found.map_or(0, |count| count.change)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(&mut self, filter: &Arc<CountFilter>) {
        self.0.retain(|count| !Arc::ptr_eq(&count.filter, filter));
    }
}
