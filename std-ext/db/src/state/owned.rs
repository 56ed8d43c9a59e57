//! The counts of the slots that this node's group has.

use super::State;
use super::slot_counts::SlotCount;
use super::slots::SLOTS;

impl State {
    /// Returns the counts of a slot; nothing in a database without a cluster.
    pub(crate) fn slot_count(&self, slot: u16) -> SlotCount {
        let shard = self.sharding.shard(slot);
        let core = self.shards[shard].lock();
        let first = self.sharding.slots(shard).start;
        core.slots().get(usize::from(slot - first)).copied().unwrap_or_default()
    }

    /// Returns the counts of the slots that this node's group has, each with its number.
    pub(crate) fn owned_slots(&self) -> Vec<(u16, SlotCount)> {
        let mut owned = Vec::with_capacity(SLOTS.into());
        self.for_each_owned(|slot, count| owned.push((slot, count)));
        owned
    }

    /// Calls `each` with the counts of these slots. Locks one shard after the other.
    fn for_each_owned(&self, mut each: impl FnMut(u16, SlotCount)) {
        for (number, shard) in self.shards.iter().enumerate() {
            let core = shard.lock();
            let counts = self.sharding.slots(number).zip(core.slots());
            let owned = counts.filter(|(slot, _)| self.ownership.has(|| *slot));
            owned.for_each(|(slot, count)| each(slot, *count));
        }
    }

    /// Returns the sum of the counts of the slots that this node's group has. Without a cluster, these are all slots,
    /// and the bytes are not counted.
    #[inline(never)]
    pub(crate) fn owned(&self) -> SlotCount {
        let mut sum = SlotCount::default();
        if self.has_slot_marks() {
            self.for_each_owned(|_, count| sum += count);
            return sum;
        }
        for stats in self.shards.iter().map(super::shard::Shard::stats) {
            sum += SlotCount { keys: stats.keys(), with_ttl: stats.keys_with_ttl(), bytes: 0 };
        }
        sum
    }
}
