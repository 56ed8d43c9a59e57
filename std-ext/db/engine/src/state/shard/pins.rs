//! Removed records that a snapshot may still read.
//!
//! A snapshot reads the records that a shard had when it began. If one of them is removed meanwhile, it waits for the
//! end of the snapshot. So a snapshot holds at most one version of each key, however often the key changes. Until a
//! snapshot has named its records, every removed record waits.

use super::undo::Undo;
use crate::state::cold::ColdStore;
use crate::state::record::Record;
use crate::state::tree::{Freeing, TreePart};
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
            || record
                .ticket()
                .is_some_and(|ticket| !moved_out && self.tickets.binary_search(&ticket).is_ok())
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
    /// Snapshots read only blocks of trees that were made in windows before this one.
    window: u64,
    /// Parts of trees that are freed step by step, and those that wait for the end of the snapshots.
    freeing: Freeing,
    pinned: Vec<TreePart>,
}

/// Sorts the records of a snapshot, so that the shard can tell them from later ones.
pub fn named(mut records: Vec<Record>) -> NamedRecords {
    records.sort_unstable_by_key(|record| record.address());
    let mut tickets: Vec<u64> = records.iter().copied().filter_map(Record::ticket).collect();
    tickets.sort_unstable();
    Arc::new(SnapshotRecords { records, tickets })
}

impl SnapshotPins {
    pub(super) fn is_empty(&self) -> bool {
        self.snapshots == 0
    }

    /// Begins a snapshot before a window: nothing that is made from now on is in it.
    pub(super) fn begin(&mut self, window: u64) {
        self.snapshots += 1;
        // Those of an earlier snapshot are older. If it ends first, some blocks wait longer than they have to.
        self.window = window;
    }

    /// Notes that one of the snapshots reads these records only, and frees the others that wait.
    pub(super) fn name(&mut self, records: NamedRecords, cold: Option<&ColdStore>) {
        self.named.push(records);
        self.free_unneeded(cold);
    }

    /// Ends a snapshot, which may have named these records.
    pub(super) fn end(&mut self, records: Option<&NamedRecords>, cold: Option<&ColdStore>) {
        self.snapshots -= 1;
        if self.snapshots == 0 {
            self.window = 0;
        }
        if let Some(records) = records {
            self.named.retain(|named| !Arc::ptr_eq(named, records));
        }
        self.free_unneeded(cold);
    }

    fn free_unneeded(&mut self, cold: Option<&ColdStore>) {
        for step in std::mem::take(&mut self.waiting) {
            self.free(step, cold);
        }
        if self.snapshots == 0 {
            self.pinned.drain(..).for_each(|part| self.freeing.push(part));
        }
    }

    /// Frees the record of a step that no rollback undoes, or keeps it for a snapshot.
    pub(super) fn free(&mut self, step: Undo, cold: Option<&ColdStore>) {
        if self.needs(&step) {
            self.waiting.push(step);
        } else if let Some(part) = step.free(cold) {
            self.freeing.push(part);
        }
    }

    /// Frees a part that nobody has seen.
    pub(super) fn free_part(&mut self, part: TreePart) {
        self.freeing.push(part);
    }

    /// Returns whether there are blocks that may be freed.
    pub(super) fn has_blocks(&self) -> bool {
        !self.freeing.is_empty()
    }

    /// Frees at least as many blocks as parts were added since the last call, if there are so many, and `more`. So
    /// changes that copy paths do not leave blocks faster than these are freed.
    pub(super) fn keep_up(&mut self, more: usize) {
        let blocks = self.freeing.take_added() + more;
        self.free_blocks(blocks);
    }

    /// Frees blocks of trees, at most as many as given. Returns whether none is left that may be freed.
    pub(super) fn free_blocks(&mut self, blocks: usize) -> bool {
        // [TR-3] A snapshot reads every block that was made before it and is cut or removed after it.
        let is_pinned = |birth| birth < self.window;
        // SAFETY: the parts are of steps that are not undone any more, and all readers have left the states that had
        // them. What a snapshot may read stays.
        unsafe { self.freeing.step(blocks, &is_pinned, &mut self.pinned) }
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

    /// Frees all that waits, and these steps, when neither a reader nor a snapshot is left.
    pub(super) fn free_all(&mut self, steps: impl Iterator<Item = Undo>) {
        (self.snapshots, self.window) = (0, 0);
        self.named.clear();
        // The store of compressed values is dropped as a whole.
        steps.for_each(|step| self.free(step, None));
        self.free_unneeded(None);
        while !self.free_blocks(usize::MAX) {}
    }
}
