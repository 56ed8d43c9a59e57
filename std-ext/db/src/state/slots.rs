//! From a key to its slot and shard.

use std::ops::Range;

/// Slots, as many as in a Redis Cluster, where a key has the same one.
pub(crate) const SLOTS: u16 = 1 << 14;

/// CRC-16/XMODEM, a byte at a time.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            sum = if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

/// The key's slot: of what stands between the first `{` and the next `}` where that is something, else of all of it.
#[inline]
pub(crate) fn slot(key: &[u8]) -> u16 {
    let part = memchr::memchr(b'{', key).and_then(|open| {
        let inner = &key[open + 1..];
        memchr::memchr(b'}', inner).filter(|length| *length != 0).map(|length| &inner[..length])
    });
    let sum = |sum: u16, byte: &u8| sum << 8 ^ TABLE[usize::from((sum >> 8) as u8 ^ byte)];
    part.unwrap_or(key).iter().fold(0, sum) % SLOTS
}

/// How slots are dealt out to a power of two of shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deal {
    shift: u32,
}

impl Deal {
    pub(crate) fn new(shards: usize) -> Self {
        debug_assert!(shards.is_power_of_two() && shards <= usize::from(SLOTS));
        Self { shift: SLOTS.ilog2() - shards.ilog2() }
    }

    #[inline]
    pub(crate) fn shard(self, slot: u16) -> usize {
        usize::from(slot >> self.shift)
    }

    /// The slots of a shard.
    pub(crate) fn slots(self, shard: usize) -> Range<u16> {
        (shard << self.shift) as u16..(shard + 1 << self.shift) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // Of the Redis Cluster specification, and `CLUSTER KEYSLOT` of Redis 7.
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!((slot(b"foo"), slot(b"bar"), slot(b"")), (12182, 5061, 0));
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"a{foo}b{bar}"), slot(b"foo"));
        assert_ne!(slot(b"{}foo"), slot(b"foo"));
    }

    #[test]
    fn every_slot_has_its_shard() {
        for shards in [1, 2, 32, 16_384] {
            let deal = Deal::new(shards);
            for shard in 0..shards {
                for slot in deal.slots(shard) {
                    assert_eq!(deal.shard(slot), shard);
                }
            }
            assert_eq!(deal.slots(shards - 1).end, SLOTS);
        }
    }
}
