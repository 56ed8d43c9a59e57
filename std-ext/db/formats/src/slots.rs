//! Hash slots.

use crc::{CRC_16_XMODEM, Crc, Table};

/// The number of hash slots. A key has the same slot as in Redis Cluster.
pub const SLOTS: u16 = 1 << 14;

/// CRC-16/XMODEM, sixteen bytes a step.
static CRC: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// Returns the checksum. Only in this package does the compiler see which algorithm the table is of: inlined elsewhere,
/// it would test for each variant.
#[inline(never)]
fn crc16(bytes: &[u8]) -> u16 {
    CRC.checksum(bytes)
}

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
pub fn slot(key: &[u8]) -> u16 {
    let part = if may_have_tag(key) { tag(key) } else { None };
    crc16(part.unwrap_or(key)) % SLOTS
}

/// Returns the hash tag of a key.
fn tag(key: &[u8]) -> Option<&[u8]> {
    let inner = &key[memchr::memchr(b'{', key)? + 1..];
    let length = memchr::memchr(b'}', inner)?;
    // `{}` is no tag (`keyHashSlot`): all keys that contain it first would be in slot 0.
    (length != 0).then(|| &inner[..length])
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
}
