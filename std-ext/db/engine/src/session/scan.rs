//! Scans over all keys, whose position is a number that a client can keep.

use super::Session;
use crate::slots;
use crate::state::databases::Keyspace;
use crate::state::random::Random;
use crate::state::record::Record;
use crate::state::slot_counts::SlotCount;

/// The keys that a bin has at most. One in thousands has more, and its keys are a little less likely to be random keys.
const BIN: usize = 16;
/// The bins that are looked at for a random key. If a quarter of the places has a key, one of ten suffices.
const RANDOM_TRIES: usize = 1000;

impl Session {
    /// Visits about `count` keys from a cursor on. Returns the next cursor, or 0 if all keys were visited.
    ///
    /// A key that exists during the whole scan is visited at least once, maybe more often. A scan begins with cursor 0.
    /// Wait-free. If the database is swapped meanwhile, the scan may visit keys of the other one.
    pub fn scan(&mut self, from: u64, count: usize, each: &mut dyn FnMut(Record)) -> u64 {
        // A scan waits for a rollback in progress, so it does not visit changes that are being undone.
        self.state.publish_gate.wait();
        let first = self.keyspace().first;
        let shards = self.state.shards.per_keyspace();
        let within = self.state.cursor_bits();
        let (mut shard, low) = ((from >> within) as usize, from & ((1 << within) - 1));
        // Any number may be sent as a cursor. Beyond the last shard there is nothing left.
        if shard >= shards {
            return 0;
        }
        let (mut at, now, mut visited) = (low << (64 - within), self.now(), 0);
        loop {
            let next = self.readers[first + shard].enter().scan(at, |record, ()| {
                visited += 1;
                if self.state.is_shown(*record, now) {
                    each(*record);
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
    #[doc(hidden)]
    pub fn count_slot(&self, slot: u16) -> usize {
        self.state.publish_gate.wait();
        let count = self.state.slot_count(slot);
        if self.state.ownership.has(|| slot) { count.keys } else { 0 }
    }

    /// Returns the counts of the slots that the group has.
    #[doc(hidden)]
    pub fn slot_counts(&self) -> Vec<(u16, SlotCount)> {
        self.state.publish_gate.wait();
        self.state.owned_slots()
    }

    /// Calls `each` with the keys of a hash slot, until it returns false. A key that exists during the whole call is
    /// visited at least once. It reads all keys of the slot's shard,
    /// unless the slot is empty.
    #[doc(hidden)]
    pub fn scan_slot(&mut self, slot: u16, each: &mut dyn FnMut(&[u8]) -> bool) {
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

    /// Returns a random key of a keyspace, each with the same probability.
    ///
    /// A shard is chosen by its number of keys, and then one of its bins. The key at a random place in the bin is the
    /// answer if there is one. So a key in a full bin is not less likely than one that is alone, and a key behind empty
    /// bins is not more likely.
    fn random_key_of(&self, keyspace: Keyspace) -> Option<Vec<u8>> {
        let (mut random, now) = (Random::new(), self.now());
        for _ in 0..RANDOM_TRIES {
            let shard = self.random_shard(keyspace, &mut random)?;
            // The rest of a random bin, and then the whole bin behind it.
            let reader = &self.readers[shard];
            let from = reader.enter().scan(random.next(), |_, ()| {}).unwrap_or(0);
            let (mut found, mut place) = (None, random.next() as usize % BIN);
            reader.enter().scan(from, |record, ()| {
                if self.state.is_shown(*record, now) {
                    if place == 0 {
                        found = Some(record.key().to_vec());
                    }
                    // Wraps to a huge number after the key was found, so no second one is taken.
                    place = place.wrapping_sub(1);
                }
            });
            if found.is_some() {
                return found;
            }
        }
        // Nearly all keys have expired, or are about to be moved away.
        self.first_key_of(keyspace, random.next(), now)
    }

    /// Returns a random shard of a keyspace, by its number of keys.
    fn random_shard(&self, keyspace: Keyspace, random: &mut Random) -> Option<usize> {
        let shards = keyspace.first..keyspace.first + self.state.shards.per_keyspace();
        let shard =
            random_part(random, shards.map(|shard| self.state.shards[shard].stats().keys()));
        shard.map(|shard| keyspace.first + shard)
    }

    /// Returns the first key behind a position in the shards of a keyspace.
    fn first_key_of(&self, keyspace: Keyspace, start: u64, now: u64) -> Option<Vec<u8>> {
        let shards = self.state.shards.per_keyspace();
        let first = start as usize % shards;
        let mut all = (0..shards).map(|step| keyspace.first + (first + step) % shards);
        all.find_map(|shard| {
            let (mut at, mut found) = (Some(0), None);
            while let (Some(from), None) = (at, &found) {
                at = self.readers[shard].enter().scan(from, |record, ()| {
                    if self.state.is_shown(*record, now) {
                        found = Some(record.key().to_vec());
                    }
                });
            }
            found
        })
    }
}

/// Returns the number of a random part, by the number of keys that each has. The first part stands for keys that
/// another thread removes meanwhile.
pub(super) fn random_part(
    random: &mut Random,
    mut keys: impl Iterator<Item = usize> + Clone,
) -> Option<usize> {
    let all: usize = keys.clone().sum();
    let mut place = (random.next() as usize).checked_rem(all)?;
    let chosen = keys.position(|keys| {
        let is_here = place < keys;
        place = place.saturating_sub(keys);
        is_here
    });
    Some(chosen.unwrap_or(0))
}

/// Returns the position within the shard at which the call began, or 0 if it began in another shard.
fn low_of(from: u64, within: u32, shard: usize) -> u64 {
    if (from >> within) as usize == shard { from & ((1 << within) - 1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use crate::{Db, Options};
    use std::collections::HashMap;

    #[test]
    fn all_keys_are_equally_likely_random_keys() {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let mut session = db.session();
        assert_eq!(session.random_key(), None);
        // Few keys a bin, and many; with bins that have none.
        for keys in [300, 340] {
            (0..keys).for_each(|key| db.set(format!("key{key}"), "").unwrap());
            let mut found: HashMap<Vec<u8>, usize> = HashMap::new();
            for _ in 0..100 * keys {
                *found.entry(session.random_key().unwrap()).or_default() += 1;
            }
            // Six and a half standard deviations of 100 expected times.
            let odd: Vec<(usize, usize)> = (0..keys)
                .map(|key| (key, *found.get(format!("key{key}").as_bytes()).unwrap_or(&0)))
                .filter(|(_, times)| !(35..=165).contains(times))
                .collect();
            assert!(odd.is_empty(), "keys that are found too often or too rarely: {odd:?}");
        }
    }

    #[test]
    fn the_only_key_among_expired_ones_is_found() {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let soon = std::time::Duration::from_millis(1);
        (0..500).for_each(|key| db.set_with_ttl(format!("key{key}"), "", soon).unwrap());
        db.set("stays", "").unwrap();
        let mut session = db.session();
        while db.get("key499").unwrap().is_some() {}
        assert_eq!(session.random_key().as_deref(), Some(&b"stays"[..]));
    }
}
