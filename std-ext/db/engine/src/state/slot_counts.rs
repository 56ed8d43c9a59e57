//! The numbers of keys and bytes of each hash slot, in a cluster. They are kept under the locks of the shards, with
//! each record that a shard's map gets or loses, so they are exact.

use super::filtered_counts::FilteredCounts;
use super::record::Record;
use crate::slots::slot;
use std::ops::AddAssign;

/// The records of a hash slot, also those that have expired and were not removed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCount {
    pub keys: usize,
    /// The keys with a TTL.
    pub with_ttl: usize,
    /// The approximate bytes of the records.
    pub bytes: usize,
}

impl AddAssign for SlotCount {
    fn add_assign(&mut self, other: Self) {
        self.keys += other.keys;
        self.with_ttl += other.with_ttl;
        self.bytes += other.bytes;
    }
}

/// The counts of the slots of one shard.
pub(crate) struct SlotCounts {
    /// The first of these slots.
    first: u16,
    all: Box<[SlotCount]>,
    /// Those of the moves in progress.
    pub(super) filtered: FilteredCounts,
}

impl SlotCounts {
    /// Counts the records of these slots. There is none yet.
    pub(super) fn new(slots: std::ops::Range<u16>) -> Self {
        let all = vec![SlotCount::default(); slots.len()].into();
        Self { first: slots.start, all, filtered: FilteredCounts::default() }
    }

    pub(super) fn all(&self) -> &[SlotCount] {
        &self.all
    }

    fn at(&mut self, slot: u16) -> &mut SlotCount {
        &mut self.all[usize::from(slot - self.first)]
    }

    /// Counts a record that the map has got, and the one of the same key that it has replaced. Not inlined, because a
    /// database without a cluster never comes here.
    #[inline(never)]
    pub(super) fn inserted(&mut self, record: Record, replaced: Option<Record>) {
        let slot = slot(record.key());
        let count = self.at(slot);
        count.keys += 1;
        count.with_ttl += usize::from(record.expires_at().is_some());
        count.bytes += record.memory();
        if let Some(replaced) = replaced {
            count.subtract(replaced);
        }
        self.filtered.inserted(slot, record, replaced);
    }

    /// Counts a record that the map has lost.
    #[inline(never)]
    pub(super) fn removed(&mut self, record: Record) {
        let slot = slot(record.key());
        self.at(slot).subtract(record);
        self.filtered.removed(slot, record);
    }
}

impl SlotCount {
    fn subtract(&mut self, record: Record) {
        self.keys -= 1;
        self.with_ttl -= usize::from(record.expires_at().is_some());
        self.bytes -= record.memory();
    }
}

#[cfg(test)]
mod tests;
