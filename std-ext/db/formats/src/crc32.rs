//! CRC-32 (IEEE), the checksum of everything in files. The map of compressed values computes it with the same crate.

/// Returns the checksum of some bytes.
#[inline]
pub fn of(bytes: &[u8]) -> u32 {
    after(0, bytes)
}

/// Returns the checksum of a text whose beginning has the checksum `crc`, and which ends with these bytes.
#[inline]
pub fn after(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_the_standard_one_in_one_piece_or_two() {
        assert_eq!(super::of(b"123456789"), 0xcbf4_3926);
        assert_eq!(super::after(super::of(b"1234"), b"56789"), 0xcbf4_3926);
    }
}
