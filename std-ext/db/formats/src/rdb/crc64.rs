//! Redis's CRC-64: Jones's polynomial, reflected, with the initial value 0 and no final inversion.

use crc::{CRC_64_REDIS, Crc, Table};

/// Sixteen bytes a step: a snapshot has gigabytes.
static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Returns the checksum of bytes, if `crc` is that of the bytes before them; 0 if there are none.
pub fn after(crc: u64, bytes: &[u8]) -> u64 {
    // The library takes the initial value in the order of bits that an algorithm has before reflection.
    let mut digest = CRC.digest_with_initial(crc.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_redis_in_one_piece_or_two() {
        // The test vector in Redis's crc64.c.
        assert_eq!(after(0, b"123456789"), 0xE9C6_D914_C4B8_D9CA);
        assert_eq!(after(after(0, b"1234"), b"56789"), 0xE9C6_D914_C4B8_D9CA);
    }
}
