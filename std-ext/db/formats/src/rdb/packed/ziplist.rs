//! Ziplists.
//!
//! ```text
//! ziplist: bytes in total u32, offset of the last element u32, elements u16, elements, 255
//! element: bytes of the element before, encoding, data
//! before:  one byte up to 253, or 254 and u32
//! 00LLLLLL                      a string of up to 63 bytes
//! 01LLLLLL LLLLLLLL             a string of up to 16383 bytes, big-endian
//! 10------ length u32           a longer string, big-endian
//! C0 D0 E0 F0 FE                integers of 2, 4, 8, 3, 1 bytes
//! F1 to FD                      the integers 0 to 12
//! ```

use super::element::{self, ENDS_EARLY, Element, Fault, UNKNOWN, WRONG_LINK};

const HEADER: usize = 10;
/// The first byte of a longer size of the element before.
const LONG: u8 = 254;

pub(super) fn header(bytes: &[u8]) -> Result<(usize, Option<u64>), Fault> {
    element::counted_header(bytes, HEADER - 2)
}

/// Returns whether the header has the offset of the last element. If there is none, Redis does not look at it.
pub(super) fn ends_with(bytes: &[u8], last: usize, elements: u64) -> bool {
    elements == 0 || element::length_at(bytes, 4) == Ok(last)
}

/// Returns the first element, and how many bytes it takes.
pub(super) fn element(bytes: &[u8], previous: usize) -> Result<(Element<'_>, usize), Fault> {
    let (before, at) = match *bytes.first().ok_or(ENDS_EARLY)? {
        LONG => (element::length_at(bytes, 1)?, 5),
        // 255 is the end mark, which only the last byte may be.
        255 => return Err(element::NO_END),
        short => (usize::from(short), 1),
    };
    if before != previous {
        return Err(WRONG_LINK);
    }
    let (&first, data) = bytes.get(at..).and_then(<[u8]>::split_first).ok_or(ENDS_EARLY)?;
    let at = at + 1;
    let (value, size) = match first {
        0..0x40 => return element::string_at(bytes, at, usize::from(first)),
        0x40..0x80 => {
            let low = *data.first().ok_or(ENDS_EARLY)?;
            let length = usize::from(first & 0x3F) << 8 | usize::from(low);
            return element::string_at(bytes, at + 1, length);
        }
        0x80..0xC0 => {
            let length = *data.first_chunk().ok_or(ENDS_EARLY)?;
            let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| ENDS_EARLY)?;
            return element::string_at(bytes, at + 4, length);
        }
        0xC0 => (element::signed::<2>(data)?, 2),
        0xD0 => (element::signed::<4>(data)?, 4),
        0xE0 => (element::signed::<8>(data)?, 8),
        0xF0 => (element::signed::<3>(data)?, 3),
        0xFE => (element::signed::<1>(data)?, 1),
        0xF1..=0xFD => (i64::from(first & 0xF) - 1, 0),
        _ => return Err(UNKNOWN),
    };
    Ok((Element::Integer(value), at + size))
}
