//! Hash slots, and which shard has which.

use crc::{CRC_16_XMODEM, Crc, Table};
use std::ops::Range;

/// The number of hash slots. A key has the same slot as in Redis Cluster.
pub(crate) const SLOTS: u16 = 1 << 14;

/// CRC-16/XMODEM, sixteen bytes a step.
static CRC: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// Returns whether a key may have a hash tag. Looks at eight bytes at a time: for keys of usual lengths, a call of
/// `memchr` takes three times as many instructions.
#[inline]
fn may_have_tag(key: &[u8]) -> bool {
    const OPEN: u64 = u64::from_ne_bytes([b'{'; 8]);
    let has_open = |word: &[u8; 8]| {
        // A byte that is zero borrows from its own highest bit.
        let differs = u64::from_ne_bytes(*word) ^ OPEN;
        differs.wrapping_sub(0x0101_0101_0101_0101) & !differs & 0x8080_8080_8080_8080 != 0
    };
    match key.last_chunk() {
        _ if key.len() > 64 => true,
        // The last eight bytes have those that fill no word.
        Some(last) => key.as_chunks().0.iter().any(has_open) || has_open(last),
        None => key.contains(&b'{'),
    }
}

/// Returns the hash slot of a key. If the key has a hash tag, which is text between the first `{` and the next `}`,
/// only that counts.
#[inline]
pub(crate) fn slot(key: &[u8]) -> u16 {
    let part = if may_have_tag(key) { tag(key) } else { None };
    CRC.checksum(part.unwrap_or(key)) % SLOTS
}

/// Returns the hash tag of a key.
fn tag(key: &[u8]) -> Option<&[u8]> {
    let inner = &key[memchr::memchr(b'{', key)? + 1..];
    let length = memchr::memchr(b'}', inner)?;
    // `{}` is no tag (`keyHashSlot`): all keys that contain it first would be in slot 0.
    (length != 0).then(|| &inner[..length])
}

/// Assigns slots to shards. The number of shards is a power of two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharding {
    shift: u32,
}

impl Sharding {
    pub(crate) fn new(shards: usize) -> Self {
        debug_assert!(shards.is_power_of_two() && shards <= usize::from(SLOTS));
        Self { shift: SLOTS.ilog2() - shards.ilog2() }
    }

    /// Returns the number of shards.
    pub(crate) fn count(self) -> usize {
        usize::from(SLOTS) >> self.shift
    }

    #[inline]
    pub(crate) fn shard(self, slot: u16) -> usize {
        // Neighbouring slots share a shard, so that a range of slots that moves or is cleared locks few shards.
        usize::from(slot >> self.shift)
    }

    /// Returns the slots of a shard, which may be one of any keyspace.
    pub(crate) fn slots(self, shard: usize) -> Range<u16> {
        let shard = shard & (self.count() - 1);
        (shard << self.shift) as u16..((shard + 1) << self.shift) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From the Redis Cluster specification, and from `CLUSTER KEYSLOT` of Redis 7.
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!((slot(b"foo"), slot(b"bar"), slot(b"")), (12182, 5061, 0));
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"a{foo}b{bar}"), slot(b"foo"));
        assert_ne!(slot(b"{}foo"), slot(b"foo"));
    }

    #[test]
    fn tags_are_found_anywhere() {
        for length in 3..80 {
            for at in 0..length - 2 {
                let mut key: Vec<u8> =
                    (0..length as u8).map(|n| n.wrapping_mul(29) | 0x80).collect();
                key[at..at + 3].copy_from_slice(b"{x}");
                assert_eq!(slot(&key), slot(b"x"), "{length} bytes with a tag at {at}");
            }
        }
    }

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
