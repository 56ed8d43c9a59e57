//! The slots that a group owns, as of each of the last entries.

use hedgerow_db_engine::log::Lsn;
use hedgerow_db_formats::slot_set::SlotSet;

/// Changes that are kept. The entry of a snapshot is a few seconds old at most.
const MOST: usize = 256;

/// The slots that a group owns.
#[derive(Debug)]
pub(crate) struct SlotHistory {
    base: SlotSet,
    /// The changes since: the entry, the slots, and whether the group has got them. Ascending.
    changes: Vec<(Lsn, SlotSet, bool)>,
}

impl SlotHistory {
    /// Begins with these slots.
    pub(crate) fn of(base: SlotSet) -> Self {
        Self { base, changes: Vec::new() }
    }

    /// Notes the change of an entry.
    pub(crate) fn note(&mut self, entry: Lsn, slots: &SlotSet, owned: bool) {
        if self.changes.len() == MOST {
            let (_, oldest, owned) = self.changes.remove(0);
            self.base = changed(&self.base, &oldest, owned);
        }
        self.changes.push((entry, slots.clone(), owned));
    }

    /// Returns the slots behind an entry.
    pub(crate) fn at(&self, last: Lsn) -> SlotSet {
        let mut slots = self.base.clone();
        for (_, changes, owned) in self.changes.iter().filter(|(entry, ..)| *entry <= last) {
            slots = changed(&slots, changes, *owned);
        }
        slots
    }
}

/// Returns the slots after some were got or lost.
pub(crate) fn changed(slots: &SlotSet, by: &SlotSet, owned: bool) -> SlotSet {
    if owned { slots.union(by) } else { slots.difference(by) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_behind_the_entry() {
        let range = |slots: std::ops::Range<u16>| SlotSet::of_range(slots);
        let mut history = SlotHistory::of(range(0..100));
        history.note(7, &range(50..100), false);
        history.note(9, &range(60..70), true);
        assert_eq!(history.at(6), range(0..100));
        assert_eq!((history.at(7), history.at(8)), (range(0..50), range(0..50)));
        assert_eq!(history.at(9).ranges(), [(0, 49), (60, 69)]);
        for entry in 0..MOST as u64 {
            history.note(10 + entry, &range(0..1), entry % 2 == 1);
        }
        assert_eq!(history.at(Lsn::MAX).ranges(), [(0, 49), (60, 69)]);
        assert_eq!(history.at(10).ranges(), [(1, 49), (60, 69)]);
    }
}
