//! Scans over all keys, whose position is a number that a client can keep.

use super::Session;
use crate::state::databases::Keyspace;
use crate::state::evict::Random;
use crate::state::slot_counts::SlotCount;
use crate::state::slots;

/// Bits of a cursor: some clients store numbers as 64-bit floats, which have 53 bits.
const PLACE: u32 = 53;

impl Session {
    /// Visits about `count` keys from a cursor on. Returns the next cursor, or 0 if all keys were visited.
    ///
    /// A key that exists during the whole scan is visited at least once, maybe more often. A scan begins with cursor 0.
    /// Wait-free. If the database is swapped meanwhile, the scan may visit keys of the other one.
    pub fn scan(&mut self, from: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        // A scan waits for a rollback in progress, so it does not visit changes that are being undone.
        self.state.publish_gate.wait();
        let first = self.keyspace().first;
        let shards = self.state.shards.per_keyspace();
        let within = PLACE - shards.ilog2();
        let (mut shard, low) = ((from >> within) as usize, from & ((1 << within) - 1));
        if shard >= shards {
            return 0;
        }
        let (mut at, now, mut visited) = (low << (64 - within), self.now(), 0);
        loop {
            let next = self.readers[first + shard].enter().scan(at, |record, ()| {
                visited += 1;
                if !record.is_expired(now) && self.state.ownership.has(|| slots::slot(record.key()))
                {
                    each(record.key());
                }
            });
            let Some(next) = next else {
                (shard, at) = (shard + 1, 0);
                if shard == shards {
                    return 0;
                }
                if visited >= count {
                    return (shard as u64) << within;
                }
                continue;
            };
            // A cursor holds only the upper bits of a position. If these have not advanced, returning it would repeat
            // the same keys for ever.
            let upper = next >> (64 - within);
            if visited >= count && upper > low_of(from, within, shard) {
                return (shard as u64) << within | upper;
            }
            at = next;
        }
    }

    /// Returns the number of keys of a hash slot, including expired ones that have not been removed yet; 0 if the group
    /// does not have the slot.
    pub(crate) fn count_slot(&self, slot: u16) -> usize {
        self.state.publish_gate.wait();
        let count = self.state.slot_count(slot);
        if self.state.ownership.has(|| slot) { count.keys } else { 0 }
    }

    /// Returns the counts of the slots that the group has.
    pub(crate) fn slot_counts(&self) -> Vec<(u16, SlotCount)> {
        self.state.publish_gate.wait();
        self.state.owned_slots()
    }

    /// Calls `each` with the keys of a hash slot, until it returns false. A key that exists during the whole call is
    /// visited at least once. It reads all keys of the slot's shard,
    /// unless the slot is empty.
    pub(crate) fn scan_slot(&mut self, slot: u16, each: &mut dyn FnMut(&[u8]) -> bool) {
        if self.count_slot(slot) == 0 {
            return;
        }
        let (shard, now) = (self.keyspace().first + self.state.sharding.shard(slot), self.now());
        let (mut at, mut wanted) = (Some(0), true);
        while let (Some(from), true) = (at, wanted) {
            at = self.readers[shard].enter().scan(from, |record, ()| {
                let is_here = !record.is_expired(now) && slots::slot(record.key()) == slot;
                if wanted && is_here && self.state.ownership.has(|| slot) {
                    wanted = each(record.key());
                }
            });
        }
    }

    /// Returns a random key of the selected database, if there is one.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        loop {
            self.state.publish_gate.wait();
            let keyspace = self.keyspace();
            let key = self.random_key_of(keyspace);
            if self.swaps() == keyspace.version {
                return key;
            }
        }
    }

    fn random_key_of(&self, keyspace: Keyspace) -> Option<Vec<u8>> {
        let mut random = Random::new();
        let shards = self.state.shards.per_keyspace();
        let (first, now) = (random.next() as usize % shards, self.now());
        for shard in (0..shards).map(|step| keyspace.first + (first + step) % shards) {
            if self.state.shards[shard].stats().keys() == 0 {
                continue;
            }
            // From a random position to the end, and then from the beginning.
            for start in [random.next(), 0] {
                let (mut at, mut found) = (Some(start), Vec::new());
                while let (Some(from), true) = (at, found.is_empty()) {
                    at = self.readers[shard].enter().scan(from, |record, ()| {
                        let owned = self.state.ownership.has(|| slots::slot(record.key()));
                        if owned && !record.is_expired(now) {
                            found.push(record.key().to_vec());
                        }
                    });
                }
                if !found.is_empty() {
                    return Some(found.swap_remove(random.next() as usize % found.len()));
                }
            }
        }
        None
    }
}

/// Returns the position within the shard at which the call began, or 0 if it began in another shard.
fn low_of(from: u64, within: u32, shard: usize) -> u64 {
    if (from >> within) as usize == shard { from & ((1 << within) - 1) } else { 0 }
}
