//! Bytes of a file, with the checksum of those that were read.

use crate::rdb::{LONGEST_STRING, RdbError, crc64, encoding, fraction, lzf, score};
use std::io::{BufRead, ErrorKind};

/// The bytes of a file in Redis's format.
pub(super) struct Source<R> {
    input: R,
    offset: u64,
    crc: u64,
}

/// A length, or the encoding of a string.
pub(super) enum Length {
    Plain(u64),
    Special(u64),
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, offset: 0, crc: 0 }
    }

    /// Returns how many bytes were read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the checksum of the bytes that were read.
    pub(super) fn crc(&self) -> u64 {
        self.crc
    }

    /// Returns the input, at the first byte that was not read.
    pub(super) fn into_input(self) -> R {
        self.input
    }

    pub(super) fn damaged(&self, why: &'static str) -> RdbError {
        RdbError::Damaged { offset: self.offset, why }
    }

    /// Calls `with` with parts of the next bytes, in order.
    fn parts(&mut self, mut bytes: u64, mut with: impl FnMut(&[u8])) -> Result<(), RdbError> {
        while bytes > 0 {
            let part = match self.input.fill_buf() {
                Ok([]) => return Err(RdbError::Truncated { offset: self.offset }),
                Ok(part) => part,
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return Err(why.into()),
            };
            let taken = usize::try_from(bytes).map_or(part.len(), |bytes| part.len().min(bytes));
            let part = &part[..taken];
            self.crc = crc64::after(self.crc, part);
            with(part);
            self.input.consume(taken);
            self.offset += taken as u64;
            bytes -= taken as u64;
        }
        Ok(())
    }

    /// Reads over bytes.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), RdbError> {
        self.parts(bytes, |_| {})
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads as many bytes as there are places.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RdbError> {
        let mut filled = 0;
        self.parts(bytes.len() as u64, |part| {
            bytes[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        })
    }

    /// Reads the text of a fraction. Its length has codes for what is no text.
    pub(super) fn fraction(&mut self) -> Result<f64, RdbError> {
        let length = match self.byte()? {
            fraction::NAN => return Ok(f64::NAN),
            fraction::INFINITE => return Ok(f64::INFINITY),
            fraction::NEGATIVE_INFINITE => return Ok(f64::NEG_INFINITY),
            length => length,
        };
        let mut text = [0; fraction::NAN as usize];
        let text = &mut text[..length.into()];
        self.fill(text)?;
        score::parse(text).ok_or_else(|| self.damaged("a fraction is not a number"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads bytes. Memory is taken as they arrive.
    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, RdbError> {
        let mut bytes = Vec::new();
        self.append(length, &mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, length: u64, into: &mut Vec<u8>) -> Result<(), RdbError> {
        if length > LONGEST_STRING as u64 {
            return Err(self.damaged("a string is longer than 512 MiB"));
        }
        self.parts(length, |part| into.extend_from_slice(part))
    }

    pub(super) fn any_length(&mut self) -> Result<Length, RdbError> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3F);
        Ok(match (first >> 6, first) {
            (encoding::BITS_6, _) => Length::Plain(low),
            (encoding::BITS_14, _) => Length::Plain(low << 8 | u64::from(self.byte()?)),
            (encoding::SPECIAL, _) => Length::Special(low),
            (_, encoding::BITS_32) => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            (_, encoding::BITS_64) => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => return Err(self.damaged("a length has an unknown encoding")),
        })
    }

    /// Reads a length.
    pub(super) fn length(&mut self) -> Result<u64, RdbError> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(self.damaged("an encoding where a length is expected")),
        }
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, RdbError> {
        match self.any_length()? {
            Length::Plain(length) => self.bytes(length),
            Length::Special(encoding) => self.encoded(encoding),
        }
    }

    /// Reads a string into a buffer, whose memory is used again unless the string is encoded.
    pub(super) fn string_into(&mut self, buffer: &mut Vec<u8>) -> Result<(), RdbError> {
        buffer.clear();
        match self.any_length()? {
            Length::Plain(length) => self.append(length, buffer)?,
            Length::Special(encoding) => *buffer = self.encoded(encoding)?,
        }
        Ok(())
    }

    /// Reads a string with a special encoding.
    pub(super) fn encoded(&mut self, encoding: u64) -> Result<Vec<u8>, RdbError> {
        let integer = match encoding {
            encoding::INT_8 => i8::from_le_bytes(self.array()?).into(),
            encoding::INT_16 => i16::from_le_bytes(self.array()?).into(),
            encoding::INT_32 => i32::from_le_bytes(self.array()?),
            encoding::LZF => return self.compressed(),
            _ => return Err(self.damaged("a string has an unknown encoding")),
        };
        Ok(itoa::Buffer::new().format(integer).as_bytes().to_vec())
    }

    fn compressed(&mut self) -> Result<Vec<u8>, RdbError> {
        let (compressed, length) = (self.length()?, self.length()?);
        if length > LONGEST_STRING as u64 {
            return Err(self.damaged("a string is longer than 512 MiB"));
        }
        let bytes = self.bytes(compressed)?;
        let plain = lzf::decompress(&bytes, length as usize);
        plain.ok_or_else(|| self.damaged("a string is not compressed as LZF"))
    }

    /// Reads over a string, of any length.
    pub(super) fn skip_string(&mut self) -> Result<(), RdbError> {
        let bytes = match self.any_length()? {
            Length::Plain(length) => length,
            Length::Special(encoding::INT_8) => 1,
            Length::Special(encoding::INT_16) => 2,
            Length::Special(encoding::INT_32) => 4,
            Length::Special(encoding::LZF) => {
                let compressed = self.length()?;
                self.length()?;
                compressed
            }
            Length::Special(_) => {
                return Err(self.damaged("a string has an unknown encoding"));
            }
        };
        self.skip(bytes)
    }
}
