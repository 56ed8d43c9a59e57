//! The log entries that changed the hash slots last.
//!
//! An answer that read a key waits until the last entry that changed the key is committed. One node knows this entry
//! for each shard: its log is fast, and few answers wait. The log of a cluster takes milliseconds for each entry. With
//! a few hundred clients, each shard would always have an uncommitted entry, and every read would wait. So a cluster
//! knows the entry for each slot.
//!
//! Walks over all keys do not use this. They wait for the last entry of all.

use crate::log::Lsn;
use crate::log::change::{LoggedChanges, LoggedOp};
use crate::slot_set::SlotSet;
use crate::slots::{SLOTS, slot};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The last entry that changed each slot; nothing if entries are known for each shard only.
#[derive(Default)]
pub(crate) struct SlotLsns(Option<Box<[AtomicU64]>>);

impl SlotLsns {
    /// Returns marks for each slot, of a state that contains only committed entries.
    pub(super) fn by_slot() -> Self {
        Self(Some((0..SLOTS).map(|_| AtomicU64::new(0)).collect()))
    }

    /// Returns the last entry that changed a slot; `None` if entries are known for each shard only. The caller has
    /// acquired the shard's published state, or holds its lock.
    #[inline]
    pub(super) fn get(&self, slot: impl FnOnce() -> u16) -> Option<Lsn> {
        // Acquire: pairs with the release in `store`, so a thread that gets the entry of a rollback sees the rollback
        // counted. For the number itself the load needs no ordering: it was stored before the state was published.
        self.0.as_ref().map(|slot_lsns| slot_lsns[usize::from(slot())].load(Ordering::Acquire))
    }

    /// Stores an entry at the slots that its changes are about. The caller holds the locks of their shards, and has not
    /// published them yet.
    #[inline]
    pub(super) fn note(&self, entry: Option<Lsn>, changes: &[u8]) {
        if let (Some(slot_lsns), Some(entry)) = (&self.0, entry) {
            note(slot_lsns, entry, changes);
        }
    }

    /// Stores the entry of a rollback at the slots that it has restored: those with an entry after `committed`. The
    /// caller holds the locks of all shards.
    pub(super) fn roll_back(&self, committed: Lsn, entry: Lsn) {
        for mark in self.0.iter().flatten() {
            // Relaxed: stored under the shards' locks, which the caller holds.
            if mark.load(Ordering::Relaxed) > committed {
                store(mark, entry);
            }
        }
    }
}

fn store(mark: &AtomicU64, entry: Lsn) {
    // Release: pairs with the acquire in `get`, so a thread that gets the entry of a rollback sees the rollback
    // counted. Publishing the state releases this store, too.
    mark.store(entry, Ordering::Release);
}

fn note(slot_lsns: &[AtomicU64], entry: Lsn, changes: &[u8]) {
    let all = |slots: Range<u16>| {
        let slots = usize::from(slots.start)..usize::from(slots.end);
        slot_lsns.get(slots).unwrap_or_default().iter().for_each(|mark| store(mark, entry));
    };
    let one = |key: &[u8]| store(&slot_lsns[usize::from(slot(key))], entry);
    // This program has encoded the changes, or has decoded them before.
    for change in LoggedChanges::new(changes).map_while(Result::ok) {
        match change {
            LoggedOp::Change(key, _) => one(key),
            LoggedOp::Rename(from, to) => {
                one(from);
                one(to);
            }
            LoggedOp::Clear(begin, end) => all(begin..end),
            LoggedOp::Clock(_) => all(0..SLOTS),
            // An answer from a slot that was got must not leave before the group has it for good.
            LoggedOp::Out(_, slots) | LoggedOp::Own(_, slots) => {
                let slots = SlotSet::from_bits(slots);
                (0..SLOTS)
                    .filter(|slot| slots.contains(*slot))
                    .for_each(|slot| all(slot..slot + 1));
            }
            LoggedOp::Begin(..)
            | LoggedOp::Watermark(_)
            | LoggedOp::Batch(_)
            // A node of a cluster has one database.
            | LoggedOp::Database(_)
            | LoggedOp::Move(..)
            | LoggedOp::Swap(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::change;
    use crate::request::Expiry;

    #[test]
    fn an_entry_is_stored_at_the_slots_that_it_changes() {
        let slot_lsns = SlotLsns::by_slot();
        let mark = |at: u16| slot_lsns.get(|| at).unwrap();
        let mut entry = Vec::new();
        change::set(b"foo", b"", Expiry::Never, &mut entry);
        change::rename(b"bar", b"", &mut entry);
        slot_lsns.note(Some(7), &entry);
        let noted: Vec<u16> = (0..SLOTS).filter(|&at| mark(at) == 7).collect();
        assert_eq!(noted, [0, 5061, 12182]);
        entry.clear();
        change::clear(5000..6000, &mut entry);
        change::watermark(1, &mut entry);
        slot_lsns.note(Some(8), &entry);
        assert_eq!((0..SLOTS).filter(|&at| mark(at) == 8).count(), 1000);
        slot_lsns.roll_back(7, 9);
        assert_eq!((mark(5061), mark(5999), mark(12182)), (9, 9, 7));
        assert_eq!(SlotLsns::default().get(|| 0), None);
    }
}
