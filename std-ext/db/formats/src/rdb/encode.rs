//! Lengths and strings, with the encodings that Redis chooses.

use crate::number;
use crate::rdb::encoding;
use crate::rdb::lzf::LzfCompressor;
use std::borrow::Cow;

/// Strings up to this length may be integers.
const LONGEST_INTEGER: usize = 11;
/// Longer strings are compressed if that saves [`LEAST_SAVED`] bytes.
const SHORT: usize = 20;
const LEAST_SAVED: usize = 4;

/// Writes a length.
pub(super) fn write_length(out: &mut Vec<u8>, length: u64) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.extend_from_slice(&(length as u16 | u16::from(encoding::BITS_14) << 14).to_be_bytes());
    } else if let Ok(length) = u32::try_from(length) {
        out.push(encoding::BITS_32);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(encoding::BITS_64);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// Writes a string, which is given in pieces, with the encoding that Redis chooses.
pub(super) fn write_string(out: &mut Vec<u8>, pieces: &[&[u8]], compressor: &mut LzfCompressor) {
    let whole = match pieces {
        [whole] => Cow::Borrowed(*whole),
        pieces => Cow::Owned(pieces.concat()),
    };
    if whole.len() <= LONGEST_INTEGER
        && let Some(integer) =
            number::integer(&whole).and_then(|integer| i32::try_from(integer).ok())
    {
        return write_integer(out, integer);
    }
    if whole.len() > SHORT
        && let Some(compressed) = compressor.compress(&whole, whole.len() - LEAST_SAVED)
    {
        out.push(special(encoding::LZF));
        write_length(out, compressed.len() as u64);
        write_length(out, whole.len() as u64);
        return out.extend_from_slice(&compressed);
    }
    write_length(out, whole.len() as u64);
    out.extend_from_slice(&whole);
}

fn special(encoding: u64) -> u8 {
    encoding::SPECIAL << 6 | encoding as u8
}

fn write_integer(out: &mut Vec<u8>, integer: i32) {
    if let Ok(byte) = i8::try_from(integer) {
        out.extend_from_slice(&[special(encoding::INT_8), byte.cast_unsigned()]);
    } else if let Ok(short) = i16::try_from(integer) {
        out.push(special(encoding::INT_16));
        out.extend_from_slice(&short.to_le_bytes());
    } else {
        out.push(special(encoding::INT_32));
        out.extend_from_slice(&integer.to_le_bytes());
    }
}
