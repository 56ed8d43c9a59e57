//! Which shard has which hash slots.

use crate::slots::SLOTS;
use std::ops::Range;

/// Assigns slots to shards. The number of shards is a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Sharding {
    shift: u32,
}

impl Sharding {
    pub fn new(shards: usize) -> Self {
        debug_assert!(shards.is_power_of_two() && shards <= usize::from(SLOTS));
        Self { shift: SLOTS.ilog2() - shards.ilog2() }
    }

    /// Returns the number of shards.
    pub fn count(self) -> usize {
        usize::from(SLOTS) >> self.shift
    }

    #[inline]
    pub fn shard(self, slot: u16) -> usize {
        // Neighbouring slots share a shard, so that a range of slots that moves or is cleared locks few shards.
        usize::from(slot >> self.shift)
    }

    /// Returns the slots of a shard, which may be one of any keyspace.
    pub fn slots(self, shard: usize) -> Range<u16> {
        let shard = shard & (self.count() - 1);
        (shard << self.shift) as u16..((shard + 1) << self.shift) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_its_shard() {
        for shards in [1, 2, 32, 16_384] {
            let sharding = Sharding::new(shards);
            for shard in 0..shards {
                for slot in sharding.slots(shard) {
                    assert_eq!(sharding.shard(slot), shard);
                }
            }
            assert_eq!(sharding.slots(shards - 1).end, SLOTS);
        }
    }
}
