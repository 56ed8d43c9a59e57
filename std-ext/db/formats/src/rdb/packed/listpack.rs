//! Listpacks.
//!
//! ```text
//! listpack: bytes in total u32, elements u16, elements, 255
//! element:  encoding and data, then the bytes of these, which lead back from the end
//! 0xxxxxxx                      an integer of 7 bits
//! 10LLLLLL                      a string of up to 63 bytes
//! 110xxxxx xxxxxxxx             an integer of 13 bits with a sign, big-endian
//! 1110LLLL LLLLLLLL             a string of up to 4095 bytes, big-endian
//! 11110000 length u32           a longer string
//! 11110001 to 11110100          integers of 2, 3, 4, 8 bytes
//! ```
//!
//! The number at the end has seven bits a byte, the highest first; all bytes but the first have the highest bit set.

use super::element::{self, END, ENDS_EARLY, Element, Fault, UNCOUNTED, UNKNOWN, WRONG_LINK};
use crate::number;

const HEADER: usize = 6;
/// The first bytes of elements that have their type in all eight bits.
const STRING_32: u8 = 0xF0;
const INT_16: u8 = 0xF1;
const INT_24: u8 = 0xF2;
const INT_32: u8 = 0xF3;
const INT_64: u8 = 0xF4;

pub(super) fn header(bytes: &[u8]) -> Result<(usize, Option<u64>), Fault> {
    element::counted_header(bytes, HEADER - 2)
}

/// Returns the first element, and how many bytes it takes.
pub(super) fn element(bytes: &[u8]) -> Result<(Element<'_>, usize), Fault> {
    let (&first, data) = bytes.split_first().ok_or(ENDS_EARLY)?;
    let integer = |value: Result<i64, Fault>, size: usize| Ok((Element::Integer(value?), 1 + size));
    let (element, size) = match first {
        0..0x80 => (Element::Integer(first.into()), 1),
        0x80..0xC0 => element::string_at(bytes, 1, usize::from(first & 0x3F))?,
        0xC0..0xE0 => {
            let low = *data.first().ok_or(ENDS_EARLY)?;
            // The sign is the highest of 13 bits.
            let value = i16::from_be_bytes([first << 3 | low >> 5, low << 3]) >> 3;
            (Element::Integer(value.into()), 2)
        }
        0xE0..0xF0 => {
            let low = *data.first().ok_or(ENDS_EARLY)?;
            element::string_at(bytes, 2, usize::from(first & 0xF) << 8 | usize::from(low))?
        }
        STRING_32 => element::string_at(bytes, 5, element::length_at(bytes, 1)?)?,
        INT_16 => integer(element::signed::<2>(data), 2)?,
        INT_24 => integer(element::signed::<3>(data), 3)?,
        INT_32 => integer(element::signed::<4>(data), 4)?,
        INT_64 => integer(element::signed::<8>(data), 8)?,
        _ => return Err(UNKNOWN),
    };
    let (link, length) = link(size);
    match bytes.get(size..size + length) {
        None => Err(ENDS_EARLY),
        Some(found) if *found != link[..length] => Err(WRONG_LINK),
        Some(_) => Ok((element, size + length)),
    }
}

/// Returns the number behind an element of this size, and its length.
fn link(size: usize) -> ([u8; 5], usize) {
    let length: usize = match size {
        ..=127 => 1,
        // Redis compares with `<`, so the largest number of each length takes one byte more than it needs.
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    let byte = |at: usize| {
        let bits = (size >> (7 * (length - 1).saturating_sub(at)) & 0x7F) as u8;
        if at == 0 { bits } else { bits | 0x80 }
    };
    (std::array::from_fn(byte), length)
}

/// Makes a listpack with the encodings that Redis chooses.
pub(in crate::rdb) struct ListpackWriter {
    bytes: Vec<u8>,
    elements: u64,
}

impl Default for ListpackWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ListpackWriter {
    pub(in crate::rdb) fn new() -> Self {
        Self { bytes: vec![0; HEADER], elements: 0 }
    }

    pub(in crate::rdb) fn elements(&self) -> u64 {
        self.elements
    }

    /// Returns the bytes that the listpack has, if no element follows.
    pub(in crate::rdb) fn len(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Adds an element. Text of an integer becomes one.
    pub(in crate::rdb) fn push(&mut self, element: &[u8]) {
        if let Some(integer) = number::integer(element) {
            return self.push_integer(integer);
        }
        let from = self.bytes.len();
        self.string(element);
        self.link(from);
    }

    pub(in crate::rdb) fn push_integer(&mut self, integer: i64) {
        let from = self.bytes.len();
        self.integer(integer);
        self.link(from);
    }

    /// Replaces the first element, which is an integer of 7 bits, by another one.
    pub(in crate::rdb) fn set_first(&mut self, integer: u8) {
        debug_assert!(integer < 0x80 && self.bytes[HEADER] < 0x80);
        self.bytes[HEADER] = integer;
    }

    /// Ends the element that begins at `from`.
    fn link(&mut self, from: usize) {
        let (link, length) = link(self.bytes.len() - from);
        self.bytes.extend_from_slice(&link[..length]);
        self.elements += 1;
    }

    fn integer(&mut self, value: i64) {
        let bytes = value.to_le_bytes();
        let (code, length) = match value {
            0..=0x7F => return self.bytes.push(value.cast_unsigned() as u8),
            -0x1000..=0xFFF => {
                let bits = value.cast_unsigned() as u16 & 0x1FFF | 0xC000;
                return self.bytes.extend_from_slice(&bits.to_be_bytes());
            }
            -0x8000..=0x7FFF => (INT_16, 2),
            -0x80_0000..=0x7F_FFFF => (INT_24, 3),
            -0x8000_0000..=0x7FFF_FFFF => (INT_32, 4),
            _ => (INT_64, 8),
        };
        self.bytes.push(code);
        self.bytes.extend_from_slice(&bytes[..length]);
    }

    fn string(&mut self, string: &[u8]) {
        match string.len() {
            length @ ..0x40 => self.bytes.push(0x80 | length as u8),
            length @ ..0x1000 => {
                self.bytes.extend_from_slice(&(0xE000 | length as u16).to_be_bytes());
            }
            length => {
                self.bytes.push(STRING_32);
                self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(string);
    }

    /// Returns the listpack, or `None` if it has more bytes than its header can say.
    pub(in crate::rdb) fn finish(mut self) -> Option<Vec<u8>> {
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).ok()?;
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        let count = self.elements.min(UNCOUNTED) as u16;
        self.bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
        Some(self.bytes)
    }
}
