//! The writer of files.

use crate::rdb::collections::WriteItem;
use crate::rdb::encode::{write_length, write_string};
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::stream::{StreamEncoding, StreamOutput, StreamWriter, write_parts};
use crate::rdb::{HashPair, MAGIC, ScoredMember, WRITTEN_VERSION, crc64, opcode, value_type};
use std::io::{self, Write};

/// Bytes are collected up to this number before they are written.
const BUFFER: usize = 64 << 10;

/// Writes a file in Redis's format, of version [`WRITTEN_VERSION`].
///
/// The items of a collection are written one by one: Redis 5 and 6, which load this version of the format, do not know
/// listpacks. Redis makes a listpack or an intset of a small collection when it loads the file.
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
        self.key(key, expires_at, value_type::STRING);
        write_string(&mut self.buffer, value, &mut self.compressor);
        self.flush_if_full()
    }

    /// Adds a key, with the time at which it expires in milliseconds since 1970, and the elements of a list.
    ///
    /// # Errors
    /// Those of the output.
    ///
    /// # Panics
    /// If there are not as many elements as `count`.
    pub fn list<'a>(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        count: usize,
        elements: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        self.items(key, expires_at, value_type::LIST, count, elements)
    }

    /// Adds a key, with the time at which it expires in milliseconds since 1970, and the members of a set.
    ///
    /// # Errors
    /// Those of the output.
    ///
    /// # Panics
    /// If there are not as many members as `count`.
    pub fn set<'a>(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        count: usize,
        members: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        self.items(key, expires_at, value_type::SET, count, members)
    }

    /// Adds a key, with the time at which it expires in milliseconds since 1970, and the members of a sorted set with
    /// their scores: as Redis writes them, from the last to the first.
    ///
    /// # Errors
    /// Those of the output.
    ///
    /// # Panics
    /// If there are not as many members as `count`.
    pub fn sorted_set<'a>(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        count: usize,
        members: impl IntoIterator<Item = ScoredMember<'a>>,
    ) -> io::Result<()> {
        self.items(key, expires_at, value_type::SORTED_SET, count, members)
    }

    /// Adds a key, with the time at which it expires in milliseconds since 1970, and the fields and values of a hash.
    ///
    /// # Errors
    /// Those of the output.
    ///
    /// # Panics
    /// If there are not as many pairs as `count`.
    pub fn hash<'a>(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        count: usize,
        pairs: impl IntoIterator<Item = HashPair<'a>>,
    ) -> io::Result<()> {
        self.items(key, expires_at, value_type::HASH, count, pairs)
    }

    /// Adds a key, with the time at which it expires in milliseconds since 1970, and a stream, whose parts `write`
    /// adds. It is called twice: the number of nodes comes before the nodes.
    ///
    /// # Errors
    /// Those of the output, and of `write`.
    ///
    /// # Panics
    /// As the methods of [`StreamWriter`] do, or if `write` does not add all parts, or not the same again.
    pub fn stream(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        encoding: StreamEncoding,
        write: impl FnMut(&mut StreamWriter<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let begin = |writer: &mut Self, kind| writer.key(key, expires_at, kind);
        write_parts(self, encoding, begin, write)
    }

    fn items<I: WriteItem>(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        kind: u8,
        count: usize,
        items: impl IntoIterator<Item = I>,
    ) -> io::Result<()> {
        self.key(key, expires_at, kind);
        write_length(&mut self.buffer, count as u64);
        let mut written = 0;
        for item in items {
            item.write(&mut self.buffer, &mut self.compressor);
            written += 1;
            self.flush_if_full()?;
        }
        assert_eq!(written, count, "items of a collection");
        self.flush_if_full()
    }

    fn key(&mut self, key: &[u8], expires_at: Option<u64>, kind: u8) {
        if let Some(at) = expires_at {
            self.buffer.push(opcode::EXPIRES_MS);
            self.buffer.extend_from_slice(&i64::try_from(at).unwrap_or(i64::MAX).to_le_bytes());
        }
        self.buffer.push(kind);
        write_string(&mut self.buffer, &[key], &mut self.compressor);
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

impl<W: Write> StreamOutput for Writer<W> {
    fn buffer(&mut self) -> (&mut Vec<u8>, &mut LzfCompressor) {
        (&mut self.buffer, &mut self.compressor)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        Writer::flush_if_full(self)
    }
}
