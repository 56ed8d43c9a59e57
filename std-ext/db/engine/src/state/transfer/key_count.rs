//! Counting the keys of slots that move, so that the two groups can compare their numbers.

use super::super::filtered_counts::CountFilter;
use super::super::record::Record;
use super::super::{HeldRecords, State};
use crate::slot_set::SlotSet;
use crate::slots::slot;
use std::sync::Arc;

/// The number of keys of some slots, without those that expire by a time. To begin takes a walk through all keys of
/// their shards. From then on the shards count what changes, so that it is cheap to read.
pub struct KeyCount {
    state: Arc<State>,
    shards: Vec<usize>,
    filter: Arc<CountFilter>,
    /// The keys that each shard had when its changes began to be counted, summed up.
    before: u64,
}

impl Drop for KeyCount {
    fn drop(&mut self) {
        for number in &self.shards {
            let mut core = self.state.shards[*number].lock();
            core.filtered_counts().into_iter().for_each(|all| all.end(&self.filter));
        }
    }
}

impl KeyCount {
    /// Counts all keys. Each shard is locked for as long as at the beginning of a snapshot.
    pub fn begin(state: Arc<State>, slots: SlotSet, horizon: u64) -> Self {
        let shards = state.shards_with(&slots);
        let mut count =
            Self { state, shards, filter: Arc::new(CountFilter { slots, horizon }), before: 0 };
        for number in &count.shards {
            let shard = &count.state.shards[*number];
            let records = {
                let mut core = shard.lock();
                core.filtered_counts().into_iter().for_each(|all| all.begin(&count.filter));
                core.begin_snapshot()
            };
            let _held = HeldRecords::new(&*count.state, *number);
            // Counted without the lock, as for a snapshot.
            let counts = |record: &&Record| count.filter.counts(slot(record.key()), **record);
            count.before += records.iter().filter(counts).count() as u64;
        }
        count
    }

    pub fn horizon(&self) -> u64 {
        self.filter.horizon
    }

    /// Returns whether it is without the keys that expire by this time.
    pub fn is_of(&self, horizon: u64) -> bool {
        self.horizon() == horizon
    }

    /// Returns the number of keys. One shard is read after the other: it is exact if the keys do not change meanwhile.
    pub fn keys(&self) -> u64 {
        let change = |number: &usize| {
            let mut core = self.state.shards[*number].lock();
            core.filtered_counts().map_or(0, |all| all.change(&self.filter))
        };
        let change: i64 = self.shards.iter().map(change).sum();
        self.before.saturating_add_signed(change)
    }
}

impl State {
    /// Returns the number of keys of slots, without those that expire by `horizon`.
    pub fn keys_of_slots(self: &Arc<Self>, slots: &SlotSet, horizon: u64) -> u64 {
        KeyCount::begin(Arc::clone(self), slots.clone(), horizon).keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::transfer::tests::{group, moved, names};
    use std::time::Duration;

    #[test]
    fn keys_are_counted_while_they_change() {
        let db = group(0..16384);
        let long = Duration::from_secs(1000);
        let (old, new) = (names("old", 60), names("new", 30));
        for key in &old {
            db.set(key, "1").unwrap();
        }
        db.set("not moved", "1").unwrap();
        let horizon = db.state().latest_time() + 100_000;
        let counted = || db.state().keys_of_slots(&moved(), horizon);
        let count = KeyCount::begin(Arc::clone(db.state()), moved(), horizon);
        assert!(count.is_of(horizon) && !count.is_of(0));
        assert_eq!((count.keys(), counted()), (60, 60));
        for (n, key) in old.iter().enumerate() {
            match n % 4 {
                0 => assert!(db.delete(key).unwrap()),
                1 => db.set(key, "2").unwrap(),
                2 => assert_eq!(db.append(key, "2").unwrap(), 2),
                // As good as gone by the horizon.
                _ => db.set_with_ttl(key, "2", long / 20).unwrap(),
            }
        }
        for (n, key) in new.iter().enumerate() {
            db.set_with_ttl(key, "1", if n % 2 == 0 { long } else { long / 20 }).unwrap();
        }
        db.set("not moved", "2").unwrap();
        assert_eq!((count.keys(), counted()), (45, 45));
        db.clear().unwrap();
        assert_eq!((count.keys(), counted()), (0, 0));
        db.set(&old[0], "1").unwrap();
        assert_eq!((count.keys(), counted()), (1, 1));
        // A second one of other slots, which ends before the first.
        let other = KeyCount::begin(Arc::clone(db.state()), SlotSet::all(), horizon);
        db.set("not moved", "1").unwrap();
        assert_eq!((count.keys(), other.keys()), (1, 2));
        drop(other);
        db.set(&old[1], "1").unwrap();
        assert_eq!((count.keys(), counted()), (2, 2));
        drop(count);
        for shard in db.state().shards.iter() {
            assert!(shard.lock().filtered_counts().unwrap().is_empty(), "a count goes on");
        }
    }
}
