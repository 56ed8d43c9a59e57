//! The checksum of the frames of entries and of spooled batches.
//!
//! Both begin with the length of their data (u32) and the checksum (u32). Other numbers and the data follow.

use hedgerow_db_formats::crc32;

/// Returns the checksum of a frame: of its header, except for the checksum in it, and of its data.
pub(super) fn checksum(header: &[u8], data: &[u8]) -> u32 {
    let crc = crc32::after(crc32::of(&header[..4]), &header[8..]);
    crc32::after(crc, data)
}
