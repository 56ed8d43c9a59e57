//! CRC-32 (IEEE), the checksum of batches.

/// Returns the checksum of some bytes.
pub(super) fn of(bytes: &[u8]) -> u32 {
    after(0, bytes)
}

/// Returns the checksum of a text whose beginning has the checksum `crc`, and which ends with these bytes.
pub(super) fn after(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}
