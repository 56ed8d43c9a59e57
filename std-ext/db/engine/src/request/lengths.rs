//! Bytes behind their length, a varint, as packed values have them.

/// Splits off some bytes behind their length.
#[inline]
pub(super) fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return rest.split_at_checked((*first).into());
    }
    take_long(bytes)
}

fn take_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift, mut rest) = (0, 0, bytes);
    loop {
        let (byte, behind) = rest.split_first()?;
        (length, rest) = (length | u64::from(byte & 0x7F) << shift, behind);
        if *byte < 0x80 {
            return rest.split_at_checked(usize::try_from(length).ok()?);
        }
        shift += 7;
        // No string has so many bytes.
        if shift > 35 {
            return None;
        }
    }
}

/// Appends some bytes behind their length.
pub(super) fn push(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(varint(bytes.len(), &mut [0; 10]));
    into.extend_from_slice(bytes);
}

/// Encodes a length.
pub(super) fn varint(mut number: usize, buffer: &mut [u8; 10]) -> &[u8] {
    let mut at = 0;
    while number >= 0x80 {
        buffer[at] = number as u8 | 0x80;
        (number, at) = (number >> 7, at + 1);
    }
    buffer[at] = number as u8;
    &buffer[..=at]
}
