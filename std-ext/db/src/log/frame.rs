//! Entries as bytes, and back: what is taken for an entry was written as one.
//!
//! A file of the log is a header and entries, one behind the other, whose numbers follow each other:
//!
//! ```text
//! header: "hedgelog", version u32, salt u32, crc u32 of these
//! entry:  length u32 of the changes, crc u32 of the changes, lsn u64, time u64, check u32 of these, the changes
//! ```
//!
//! All numbers are little-endian; crc is CRC-32C, and the check one that begins with the salt. The salt is drawn when
//! the log is made, so that a value which looks like an entry, stored by a client who means harm, is not taken for one
//! where a reader looks behind a damage for what was written later. The check of the head alone makes that search one
//! pass, and a length is trusted before the changes are read.

use crate::log::Lsn;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;

const MAGIC: &[u8; 8] = b"hedgelog";
const VERSION: u32 = 1;
/// Bytes of a file before its first entry.
pub(crate) const HEADER: usize = 20;
/// Bytes of an entry before its changes.
pub(crate) const HEAD: usize = 28;
/// Most bytes of changes in an entry.
pub(crate) const LONGEST: usize = u32::MAX as usize;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// The header of a file.
pub(crate) fn header(salt: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The salt that a header gives.
fn salt(bytes: &[u8; HEADER]) -> Result<u32, &'static str> {
    if &bytes[..8] != MAGIC {
        return Err("it does not begin as a log does");
    }
    if crc32c::crc32c(&bytes[..16]) != u32_at(bytes, 16) {
        return Err("its header is not as it was written");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("it was written by another version");
    }
    Ok(u32_at(bytes, 12))
}

/// The crc of changes that [`put`] wants, which is counted before the lock is taken that gives the number.
pub(crate) fn crc(changes: &[u8]) -> u32 {
    crc32c::crc32c(changes)
}

/// Writes an entry behind what is in `buffer`. The changes are at most [`LONGEST`].
pub(crate) fn put(buffer: &mut Vec<u8>, salt: u32, lsn: Lsn, time: u64, crc: u32, changes: &[u8]) {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&(changes.len() as u32).to_le_bytes());
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    head[8..16].copy_from_slice(&lsn.to_le_bytes());
    head[16..24].copy_from_slice(&time.to_le_bytes());
    let check = crc32c::crc32c_append(salt, &head[..24]);
    head[24..].copy_from_slice(&check.to_le_bytes());
    buffer.reserve(HEAD + changes.len());
    buffer.extend_from_slice(&head);
    buffer.extend_from_slice(changes);
}

/// What stands before the changes.
struct Head {
    length: usize,
    crc: u32,
    lsn: Lsn,
    time: u64,
}

/// The head in the first [`HEAD`] bytes, where they are one.
fn head(bytes: &[u8], salt: u32) -> Option<Head> {
    let check = crc32c::crc32c_append(salt, &bytes[..24]);
    (check == u32_at(bytes, 24)).then(|| Head {
        length: u32_at(bytes, 0) as usize,
        crc: u32_at(bytes, 4),
        lsn: u64_at(bytes, 8),
        time: u64_at(bytes, 16),
    })
}

/// What a reader finds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// An entry: its number, its time and its changes.
    Entry(Lsn, u64, &'a [u8]),
    /// Nothing more.
    End,
    /// What is no entry, and why not.
    Bad(&'static str),
}

/// Reads a file of the log from its begin.
pub(crate) struct Reader {
    file: File,
    length: u64,
    salt: u32,
    /// The place of the next entry.
    at: u64,
    /// What was read, from that place on where `begin` stands.
    buffer: Vec<u8>,
    begin: usize,
}

impl Reader {
    /// Reads the header. The inner error says why it is none.
    pub(crate) fn new(mut file: File) -> io::Result<Result<Self, &'static str>> {
        let length = file.metadata()?.len();
        if length < HEADER as u64 {
            return Ok(Err("it ends within its header"));
        }
        let mut bytes = [0; HEADER];
        file.read_exact(&mut bytes)?;
        Ok(salt(&bytes).map(|salt| Self {
            file,
            length,
            salt,
            at: HEADER as u64,
            buffer: Vec::new(),
            begin: 0,
        }))
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Where the next entry stands, or what is none.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next entry, whose number should be `wanted`.
    pub(crate) fn next(&mut self, wanted: Lsn) -> io::Result<Step<'_>> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(Step::End);
        }
        if left < HEAD as u64 {
            return Ok(Step::Bad("it ends within the head of an entry"));
        }
        self.fill(HEAD)?;
        let Some(head) = head(&self.buffer[self.begin..], self.salt) else {
            return Ok(Step::Bad("the head of an entry is not as it was written"));
        };
        if head.lsn != wanted {
            return Ok(Step::Bad("an entry does not have the number that follows"));
        }
        if head.length as u64 > left - HEAD as u64 {
            return Ok(Step::Bad("it ends within an entry"));
        }
        let whole = HEAD + head.length;
        self.fill(whole)?;
        let changes = self.begin + HEAD..self.begin + whole;
        if crc(&self.buffer[changes.clone()]) != head.crc {
            return Ok(Step::Bad("an entry is not as it was written"));
        }
        self.begin += whole;
        self.at += whole as u64;
        Ok(Step::Entry(head.lsn, head.time, &self.buffer[changes]))
    }

    /// Has the buffer hold `wanted` bytes from `at` on, which the file has.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let held = self.buffer.len() - self.begin;
        if held >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let left = self.length - self.at;
        let goal = left.min(wanted.max(CHUNK) as u64) as usize;
        self.buffer.resize(goal, 0);
        self.file.read_exact(&mut self.buffer[held..])
    }

    /// Where an entry begins, at `at` or behind it, that was written as it stands and has one of `numbers`: after a
    /// damage, the proof that more was there than a torn end.
    pub(crate) fn later(&mut self, numbers: RangeInclusive<Lsn>) -> io::Result<Option<u64>> {
        let mut window = vec![0; CHUNK];
        let mut from = self.at;
        while from + HEAD as u64 <= self.length {
            let held = (self.length - from).min(CHUNK as u64) as usize;
            read_at(&mut self.file, from, &mut window[..held])?;
            let places = held - HEAD + 1;
            for place in 0..places {
                let bytes = &window[place..];
                if !numbers.contains(&u64_at(bytes, 8)) {
                    continue;
                }
                let Some(head) = head(bytes, self.salt) else { continue };
                let begin = from + (place + HEAD) as u64;
                if self.holds(begin, &head)? {
                    return Ok(Some(from + place as u64));
                }
            }
            from += places as u64;
        }
        Ok(None)
    }

    /// Whether the changes from `begin` on are those of a head.
    fn holds(&mut self, begin: u64, head: &Head) -> io::Result<bool> {
        let mut left = head.length;
        if left as u64 > self.length - begin {
            return Ok(false);
        }
        let mut crc = 0;
        let mut part = vec![0; left.min(CHUNK)];
        self.file.seek(SeekFrom::Start(begin))?;
        while left > 0 {
            let some = left.min(CHUNK);
            self.file.read_exact(&mut part[..some])?;
            crc = crc32c::crc32c_append(crc, &part[..some]);
            left -= some;
        }
        Ok(crc == head.crc)
    }
}

fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

/// A number of four bytes; they are there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// A number of eight bytes; they are there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn written(salt: u32, entries: &[(Lsn, &[u8])]) -> Vec<u8> {
        let mut bytes = header(salt).to_vec();
        for &(lsn, changes) in entries {
            put(&mut bytes, salt, lsn, lsn * 10, crc(changes), changes);
        }
        bytes
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let long = vec![7; 3 * CHUNK + 5];
        let bytes = written(9, &[(5, b"one"), (6, b""), (7, &long), (8, b"end")]);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(reader.next(5).unwrap(), Step::Entry(5, 50, b"one"));
        assert_eq!(reader.next(6).unwrap(), Step::Entry(6, 60, b""));
        assert_eq!(reader.next(7).unwrap(), Step::Entry(7, 70, &long));
        assert_eq!(reader.next(8).unwrap(), Step::Entry(8, 80, b"end"));
        assert_eq!(reader.next(9).unwrap(), Step::End);
        assert_eq!(reader.at(), bytes.len() as u64);
    }

    #[test]
    fn a_later_entry_is_found_across_windows() {
        for gap in [1, HEAD, CHUNK - HEAD, CHUNK - 3, CHUNK, 2 * CHUNK + 1] {
            let mut bytes = header(9).to_vec();
            bytes.resize(HEADER + gap, 0x55);
            let there = bytes.len() as u64;
            put(&mut bytes, 9, 7, 1, crc(b"late"), b"late");
            bytes.extend([0; 5]);
            let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
            assert!(matches!(reader.next(6).unwrap(), Step::Bad(_)));
            assert_eq!(reader.later(6..=1000).unwrap(), Some(there), "behind {gap} bytes");
            assert_eq!(reader.later(8..=1000).unwrap(), None, "no such number");
        }
    }

    #[test]
    fn a_value_that_looks_like_an_entry_is_none() {
        // Written with another salt, as whoever does not know it must.
        let mut forged = Vec::new();
        put(&mut forged, 8, 7, 1, crc(b"forged"), b"forged");
        let mut bytes = written(9, &[(5, b"one")]);
        bytes.extend([1; 40]);
        bytes.extend(forged);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(reader.next(5).unwrap(), Step::Entry(5, 50, b"one"));
        assert!(matches!(reader.next(6).unwrap(), Step::Bad(_)));
        assert_eq!(reader.later(5..=1000).unwrap(), None);
    }

    #[test]
    fn a_length_beyond_the_file_is_not_believed() {
        let mut bytes = header(9).to_vec();
        let mut entry = Vec::new();
        put(&mut entry, 9, 1, 1, 0, &[0; 64]);
        bytes.extend(&entry[..HEAD + 63]);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(reader.next(1).unwrap(), Step::Bad("it ends within an entry"));
        assert_eq!(reader.later(1..=9).unwrap(), None);
    }

    #[test]
    fn every_byte_of_a_header_counts() {
        let good = header(9);
        for at in 0..HEADER {
            let mut bytes = good;
            bytes[at] ^= 1;
            assert!(salt(&bytes).is_err(), "byte {at}");
        }
        assert_eq!(salt(&good), Ok(9));
    }
}
