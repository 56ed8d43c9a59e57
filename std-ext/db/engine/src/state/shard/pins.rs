//! Removed records that a snapshot may still read.
//!
//! A snapshot reads the records that a shard had when it began. If one of them is removed meanwhile, it waits for the
//! end of the snapshot. So a snapshot holds at most one version of each key, however often the key changes. Until a
//! snapshot has named its records, every removed record waits.

use super::undo::Undo;
use crate::state::cold::ColdStore;
use crate::state::record::{Record, Value};
use std::ops::Deref;
use std::sync::Arc;

pub(crate) type NamedRecords = Arc<SnapshotRecords>;

/// The records of a snapshot.
pub struct SnapshotRecords {
    /// In order of their addresses.
    records: Vec<Record>,
    /// The tickets of those whose values are compressed, in order.
    tickets: Vec<u64>,
}

impl Deref for SnapshotRecords {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.records
    }
}

impl SnapshotRecords {
    /// Returns whether the snapshot reads this record, or a compressed value that its removal frees. It may read the
    /// value by an earlier record, from which this one has its ticket.
    fn needs(&self, record: Record, moved_out: bool) -> bool {
        // A record of a snapshot is not freed before it ends, so no later record has its address. The same holds for
        // tickets.
        let address = record.address();
        self.records.binary_search_by_key(&address, |record| record.address()).is_ok()
            || matches!(record.value(), Value::Compressed(ticket, _)
                if !moved_out && self.tickets.binary_search(&ticket).is_ok())
    }
}

/// The running snapshots, and the records that they keep from being freed.
#[derive(Default)]
pub(super) struct SnapshotPins {
    /// The number of snapshots, and the records of those that have named theirs.
    snapshots: usize,
    named: Vec<NamedRecords>,
    /// Removals that no rollback undoes any more.
    waiting: Vec<Undo>,
}

/// Sorts the records of a snapshot, so that the shard can tell them from later ones.
pub fn named(mut records: Vec<Record>) -> NamedRecords {
    records.sort_unstable_by_key(|record| record.address());
    let ticket = |record: &Record| match record.value() {
        Value::Compressed(ticket, _) => Some(ticket),
        _ => None,
    };
    let mut tickets: Vec<u64> = records.iter().filter_map(ticket).collect();
    tickets.sort_unstable();
    Arc::new(SnapshotRecords { records, tickets })
}

impl SnapshotPins {
    pub(super) fn is_empty(&self) -> bool {
        self.snapshots == 0
    }

    pub(super) fn begin(&mut self) {
        self.snapshots += 1;
    }

    /// Notes that one of the snapshots reads these records only, and frees the others that wait.
    pub(super) fn name(&mut self, records: NamedRecords, cold: Option<&ColdStore>) {
        self.named.push(records);
        self.free_unneeded(cold);
    }

    /// Ends a snapshot, which may have named these records.
    pub(super) fn end(&mut self, records: Option<&NamedRecords>, cold: Option<&ColdStore>) {
        self.snapshots -= 1;
        if let Some(records) = records {
            self.named.retain(|named| !Arc::ptr_eq(named, records));
        }
        self.free_unneeded(cold);
    }

    fn free_unneeded(&mut self, cold: Option<&ColdStore>) {
        for step in std::mem::take(&mut self.waiting) {
            self.free(step, cold);
        }
    }

    /// Frees the record of a step that no rollback undoes, or keeps it for a snapshot.
    pub(super) fn free(&mut self, step: Undo, cold: Option<&ColdStore>) {
        if self.needs(&step) {
            self.waiting.push(step);
        } else {
            step.free(cold);
        }
    }

    fn needs(&self, step: &Undo) -> bool {
        let Undo::Removed { record, moved_out, .. } = step else { return false };
        // A snapshot that has not named its records may read any of them.
        self.named.len() < self.snapshots
            || self.named.iter().any(|named| named.needs(*record, *moved_out))
    }

    /// The number of removed records that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes all removals that wait, when no snapshot can be left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Undo> {
        self.waiting.drain(..)
    }
}
