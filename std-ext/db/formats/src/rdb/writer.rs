//! The writer of files, and of strings in them.

use crate::number;
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::{MAGIC, STRING, WRITTEN_VERSION, crc64, encoding, opcode};
use std::borrow::Cow;
use std::io::{self, Write};

/// Strings up to this length may be integers.
const LONGEST_INTEGER: usize = 11;
/// Longer strings are compressed if that saves [`LEAST_SAVED`] bytes.
const SHORT: usize = 20;
const LEAST_SAVED: usize = 4;
/// Bytes are collected up to this number before they are written.
const BUFFER: usize = 64 << 10;

/// Writes a file in Redis's format: strings, of version [`WRITTEN_VERSION`].
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
    crc: u64,
    bytes: u64,
    compressor: LzfCompressor,
}

impl<W: Write> Writer<W> {
    /// Writes the beginning of a file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let (buffer, compressor) = (Vec::with_capacity(BUFFER), LzfCompressor::default());
        let mut writer = Self { out, buffer, crc: 0, bytes: 0, compressor };
        writer.buffer.extend_from_slice(MAGIC);
        writer.buffer.extend_from_slice(format!("{WRITTEN_VERSION:04}").as_bytes());
        Ok(writer)
    }

    /// Adds a note about the file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn note(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.buffer.push(opcode::AUX);
        write_string(&mut self.buffer, &[name.as_bytes()], &mut self.compressor);
        write_string(&mut self.buffer, &[text.as_bytes()], &mut self.compressor);
        self.flush_if_full()
    }

    /// Begins a database with these numbers of keys, and of keys that expire. The numbers need not be exact.
    ///
    /// # Errors
    /// Those of the output.
    pub fn database(&mut self, number: u64, keys: u64, expire: u64) -> io::Result<()> {
        self.buffer.push(opcode::SELECT);
        write_length(&mut self.buffer, number);
        self.buffer.push(opcode::RESIZE);
        write_length(&mut self.buffer, keys);
        write_length(&mut self.buffer, expire);
        self.flush_if_full()
    }

    /// Adds a key, with the time at which it expires in milliseconds since 1970, and its value in pieces.
    ///
    /// # Errors
    /// Those of the output.
    pub fn entry(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        value: &[&[u8]],
    ) -> io::Result<()> {
        if let Some(at) = expires_at {
            self.buffer.push(opcode::EXPIRES_MS);
            self.buffer.extend_from_slice(&i64::try_from(at).unwrap_or(i64::MAX).to_le_bytes());
        }
        self.buffer.push(STRING);
        write_string(&mut self.buffer, &[key], &mut self.compressor);
        write_string(&mut self.buffer, value, &mut self.compressor);
        self.flush_if_full()
    }

    /// Writes the end of the file. Returns the output, and how many bytes were written.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.buffer.push(opcode::END);
        self.flush()?;
        self.buffer.extend_from_slice(&self.crc.to_le_bytes());
        self.flush()?;
        self.out.flush()?;
        Ok((self.out, self.bytes))
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.crc = crc64::after(self.crc, &self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER);
        Ok(())
    }
}

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
