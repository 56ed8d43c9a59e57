//! The counts of the slots that this node's group has.

use super::State;
use super::record::Record;
use super::shard::{Core, Shard};
use super::slot_counts::SlotCount;
use crate::slots::{SLOTS, slot};
use std::sync::MutexGuard;

impl State {
    /// Returns the counts of a slot; nothing in a database without a cluster.
    pub(crate) fn slot_count(&self, slot: u16) -> SlotCount {
        let shard = self.sharding.shard(slot);
        let core = self.shards[shard].lock();
        let first = self.sharding.slots(shard).start;
        core.slots().get(usize::from(slot - first)).copied().unwrap_or_default()
    }

    /// Returns the counts of the slots that this node's group has, each with its number.
    pub fn owned_slots(&self) -> Vec<(u16, SlotCount)> {
        let mut owned = Vec::with_capacity(SLOTS.into());
        for (number, shard) in self.shards.iter().enumerate() {
            self.for_each_owned(number, &shard.lock(), |slot, count| owned.push((slot, count)));
        }
        owned
    }

    /// Returns whether a walk shows a key: it is alive, and its slot is this group's.
    pub fn is_shown(&self, record: Record, now: u64) -> bool {
        self.ownership.has(|| slot(record.key())) && !record.is_expired(now)
    }

    /// Calls `each` with the counts of these slots in a shard.
    pub(crate) fn for_each_owned(
        &self,
        number: usize,
        core: &Core,
        mut each: impl FnMut(u16, SlotCount),
    ) {
        let counts = self.sharding.slots(number).zip(core.slots());
        let owned = counts.filter(|(slot, _)| self.ownership.has(|| *slot));
        owned.for_each(|(slot, count)| each(slot, *count));
    }

    /// Returns the sum of the counts of the slots that this node's group has. Without a cluster, these are all slots,
    /// and the bytes are not counted. In a cluster it locks one shard after the other.
    pub fn owned(&self) -> SlotCount {
        self.sum_of(|shard| Some(shard.lock()))
    }

    /// As `owned`, but does not wait for a shard that is locked: all of its keys count. A page that says whether the
    /// server is alive must not wait for a thread that stands still.
    pub(crate) fn owned_at_once(&self) -> SlotCount {
        self.sum_of(Shard::try_lock)
    }

    #[inline(never)]
    fn sum_of<'a>(&'a self, lock: impl Fn(&'a Shard) -> Option<MutexGuard<'a, Core>>) -> SlotCount {
        let (mut sum, is_counted) = (SlotCount::default(), self.has_slot_marks());
        for (number, shard) in self.shards.iter().enumerate() {
            if let Some(core) = is_counted.then(|| lock(shard)).flatten() {
                self.for_each_owned(number, &core, |_, count| sum += count);
                continue;
            }
            // Not counted by slot, or locked by another thread. In a cluster, these include keys of slots that are
            // arriving or leaving.
            let stats = shard.stats();
            sum += SlotCount { keys: stats.keys(), with_ttl: stats.keys_with_ttl(), bytes: 0 };
        }
        sum
    }
}
