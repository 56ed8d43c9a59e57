//! Bytes as lower-case hexadecimal digits.

use std::fmt::{self, Write};

/// Writes the digits of some bytes.
pub fn write(bytes: &[u8], into: &mut impl Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(into, "{byte:02x}"))
}

/// Returns the digits of some bytes.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    // Writing to a string does not fail.
    let _ = write(bytes, &mut text);
    text
}

/// Returns the bytes of exactly `2 * N` digits.
pub fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 2 * N || !digits.iter().all(is_digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
