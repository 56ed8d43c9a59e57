//! Entries as bytes, and back: what is taken for an entry was written as one.
//!
//! A file of the log is a header and entries, one behind the other, whose numbers follow each other:
//!
//! ```text
//! header: "hedgelog", version u32, salt u32, crc u32 of these
//! entry:  length u32 of the changes, crc u32 of the changes, lsn u64, time u64, check u32 of these, the changes
//! mark:   2^32 - 1 u32, 0 u32, lsn u64, 0 u64, check u32 of these
//! ```
//!
//! A mark stands between entries and says that everything up to this one had been forced to the disk when it was
//! written. A loss of power may leave any parts of what was not forced, but nothing of what was can be missing.
//!
//! All numbers are little-endian; crc is CRC-32 (IEEE), and the check one that begins with the salt. The salt is drawn
//! when the log is made, so that a value which looks like an entry, stored by a client who means harm, is not taken for
//! one where a reader looks behind a damage for what was written later. The check of the head alone makes that search
//! one pass, and a length is trusted before the changes are read.

use crate::log::api::Lsn;
use crate::log::crc;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

const MAGIC: &[u8; 8] = b"hedgelog";
const VERSION: u32 = 1;
/// Bytes of a file before its first entry.
pub(crate) const FILE_HEADER: usize = 20;
/// Bytes of an entry before its changes.
pub(crate) const ENTRY_HEADER: usize = 28;
/// Most bytes of changes in an entry.
pub(crate) const MAX_CHANGES: usize = u32::MAX as usize - 1;
/// What a mark has in place of a length.
const SYNC_MARK: u32 = u32::MAX;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// The header of a file.
pub(crate) fn file_header(salt: u32) -> [u8; FILE_HEADER] {
    let mut bytes = [0; FILE_HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&salt.to_le_bytes());
    let crc = crc::of(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The salt that a header gives.
fn salt(bytes: &[u8; FILE_HEADER]) -> Result<u32, &'static str> {
    if &bytes[..8] != MAGIC {
        return Err("it does not begin as a log does");
    }
    if crc::of(&bytes[..16]) != u32_at(bytes, 16) {
        return Err("its header is not as it was written");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("it was written by another version");
    }
    Ok(u32_at(bytes, 12))
}

/// The crc of changes that [`put`] wants, which is counted before the lock is taken that gives the number.
pub(crate) fn crc(changes: &[u8]) -> u32 {
    crc::of(changes)
}

/// Writes an entry behind what is in `buffer`. The changes are at most [`MAX_CHANGES`].
pub(crate) fn encode(
    buffer: &mut Vec<u8>,
    salt: u32,
    lsn: Lsn,
    time: u64,
    crc: u32,
    changes: &[u8],
) {
    let header = EntryHeader { length: changes.len() as u32, crc, lsn, time };
    buffer.reserve(ENTRY_HEADER + changes.len());
    buffer.extend_from_slice(&header.bytes(salt));
    buffer.extend_from_slice(changes);
}

/// Writes a mark behind what is in `buffer`: all entries up to `forced` are on the disk.
pub(crate) fn sync_mark(buffer: &mut Vec<u8>, salt: u32, synced: Lsn) {
    let header = EntryHeader { length: SYNC_MARK, crc: 0, lsn: synced, time: 0 };
    buffer.extend_from_slice(&header.bytes(salt));
}

/// What stands before the changes, or what a mark is.
struct EntryHeader {
    length: u32,
    crc: u32,
    lsn: Lsn,
    time: u64,
}

impl EntryHeader {
    #[inline]
    fn bytes(&self, salt: u32) -> [u8; ENTRY_HEADER] {
        let mut bytes = [0; ENTRY_HEADER];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.lsn.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.time.to_le_bytes());
        let check = crc::after(salt, &bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_le_bytes());
        bytes
    }
}

/// The head in the first [`ENTRY_HEADER`] bytes, where they are one.
fn entry_header(bytes: &[u8], salt: u32) -> Option<EntryHeader> {
    let check = crc::after(salt, &bytes[..24]);
    (check == u32_at(bytes, 24)).then(|| EntryHeader {
        length: u32_at(bytes, 0),
        crc: u32_at(bytes, 4),
        lsn: u64_at(bytes, 8),
        time: u64_at(bytes, 16),
    })
}

/// What a reader finds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// An entry: its place, its number, its time and its changes.
    Entry(u64, Lsn, u64, &'a [u8]),
    /// Nothing more.
    End,
    /// What is no entry, and why not.
    Invalid(&'static str),
}

/// What stands behind a place that is no entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Whether it says that what is missing there had been forced to the disk.
    pub(crate) synced: bool,
    /// How many entries are whole. Where it was forced they are not counted to the end.
    pub(crate) entries: u64,
}

/// Reads a file of the log from its begin.
pub(crate) struct Reader {
    file: File,
    length: u64,
    salt: u32,
    /// What the last mark said.
    marked: Lsn,
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
        if length < FILE_HEADER as u64 {
            return Ok(Err("it ends within its header"));
        }
        let mut bytes = [0; FILE_HEADER];
        file.read_exact(&mut bytes)?;
        Ok(salt(&bytes).map(|salt| Self {
            file,
            length,
            salt,
            marked: 0,
            at: FILE_HEADER as u64,
            buffer: Vec::new(),
            begin: 0,
        }))
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    /// Up to which entry all had been forced to the disk, as far as was read; 0 where nothing says so.
    pub(crate) fn marked(&self) -> Lsn {
        self.marked
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
    pub(crate) fn next(&mut self, wanted: Lsn) -> io::Result<Item<'_>> {
        let header = loop {
            let left = self.length - self.at;
            if left == 0 {
                return Ok(Item::End);
            }
            if left < ENTRY_HEADER as u64 {
                return Ok(Item::Invalid("it ends within the head of an entry"));
            }
            self.fill(ENTRY_HEADER)?;
            let Some(header) = entry_header(&self.buffer[self.begin..], self.salt) else {
                return Ok(Item::Invalid("the head of an entry is not as it was written"));
            };
            if header.length != SYNC_MARK {
                break header;
            }
            if header.lsn >= wanted {
                return Ok(Item::Invalid("entries are missing that were forced to the disk"));
            }
            self.marked = header.lsn;
            self.advance(ENTRY_HEADER);
        };
        if header.lsn != wanted {
            return Ok(Item::Invalid("an entry does not have the number that follows"));
        }
        if u64::from(header.length) > self.length - self.at - ENTRY_HEADER as u64 {
            return Ok(Item::Invalid("it ends within an entry"));
        }
        let whole = ENTRY_HEADER + header.length as usize;
        self.fill(whole)?;
        let changes = self.begin + ENTRY_HEADER..self.begin + whole;
        if crc(&self.buffer[changes.clone()]) != header.crc {
            return Ok(Item::Invalid("an entry is not as it was written"));
        }
        let at = self.at;
        self.advance(whole);
        Ok(Item::Entry(at, header.lsn, header.time, &self.buffer[changes]))
    }

    fn advance(&mut self, bytes: usize) {
        self.begin += bytes;
        self.at += bytes as u64;
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

    /// What stands at `at` and behind it, of which entry `missing` should be the first. No entry's number is above
    /// `most`.
    pub(crate) fn scan_tail(&mut self, missing: Lsn, most: Lsn) -> io::Result<Tail> {
        let mut tail = Tail::default();
        let mut window = vec![0; CHUNK];
        let mut from = self.at;
        while from + ENTRY_HEADER as u64 <= self.length {
            let held = (self.length - from).min(CHUNK as u64) as usize;
            read_at(&mut self.file, from, &mut window[..held])?;
            let mut place = 0;
            while place + ENTRY_HEADER <= held {
                let bytes = &window[place..held];
                place += 1;
                if !(missing..=most).contains(&u64_at(bytes, 8)) {
                    continue;
                }
                let Some(header) = entry_header(bytes, self.salt) else { continue };
                if header.length == SYNC_MARK {
                    tail.synced = true;
                    return Ok(tail);
                }
                let whole = ENTRY_HEADER + header.length as usize;
                let good = match bytes.get(ENTRY_HEADER..whole) {
                    Some(changes) => crc(changes) == header.crc,
                    None => {
                        self.has_changes_of(from + (place - 1 + ENTRY_HEADER) as u64, &header)?
                    }
                };
                if good {
                    tail.entries += 1;
                    place += whole - 1;
                }
            }
            from += place as u64;
        }
        Ok(tail)
    }

    /// Whether the changes from `begin` on are those of a head.
    fn has_changes_of(&mut self, begin: u64, header: &EntryHeader) -> io::Result<bool> {
        let mut left = header.length as usize;
        if left as u64 > self.length - begin {
            return Ok(false);
        }
        let mut crc = 0;
        let mut part = vec![0; left.min(CHUNK)];
        self.file.seek(SeekFrom::Start(begin))?;
        while left > 0 {
            let some = left.min(CHUNK);
            self.file.read_exact(&mut part[..some])?;
            crc = crc::after(crc, &part[..some]);
            left -= some;
        }
        Ok(crc == header.crc)
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
        let mut bytes = file_header(salt).to_vec();
        for &(lsn, changes) in entries {
            encode(&mut bytes, salt, lsn, lsn * 10, crc(changes), changes);
        }
        bytes
    }

    fn next(reader: &mut Reader, lsn: Lsn) -> (Lsn, u64, Vec<u8>) {
        match reader.next(lsn).unwrap() {
            Item::Entry(_, lsn, time, changes) => (lsn, time, changes.to_vec()),
            other => panic!("{other:?} is no entry"),
        }
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let long = vec![7; 3 * CHUNK + 5];
        let bytes = written(9, &[(5, b"one"), (6, b""), (7, &long), (8, b"end")]);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(next(&mut reader, 5), (5, 50, b"one".to_vec()));
        assert_eq!(next(&mut reader, 6), (6, 60, b"".to_vec()));
        assert_eq!(next(&mut reader, 7), (7, 70, long));
        assert_eq!(next(&mut reader, 8), (8, 80, b"end".to_vec()));
        assert_eq!(reader.next(9).unwrap(), Item::End);
        assert_eq!(reader.at(), bytes.len() as u64);
    }

    #[test]
    fn what_stands_behind_is_found_across_windows() {
        let long = vec![7; CHUNK + 5];
        for gap in [1, ENTRY_HEADER, CHUNK - ENTRY_HEADER, CHUNK - 3, CHUNK, 2 * CHUNK + 1] {
            let mut bytes = file_header(9).to_vec();
            bytes.resize(FILE_HEADER + gap, 0x55);
            for (lsn, changes) in [(7, &b"late"[..]), (8, &long), (9, b""), (10, b"last")] {
                encode(&mut bytes, 9, lsn, 1, crc(changes), changes);
            }
            sync_mark(&mut bytes, 9, 6);
            bytes.extend([0; 5]);
            let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
            assert!(matches!(reader.next(6).unwrap(), Item::Invalid(_)));
            let mut tail = |missing, most| {
                let tail = reader.scan_tail(missing, most).unwrap();
                (tail.synced, tail.entries)
            };
            assert_eq!(tail(7, 1000), (false, 4), "behind {gap} bytes");
            assert_eq!(tail(8, 9), (false, 2), "entries of other numbers");
            assert!(tail(6, 1000).0, "the mark");
            assert!(tail(5, 6).0, "the mark");
            assert!(!tail(5, 5).0, "a mark of another number");
        }
    }

    #[test]
    fn marks_are_passed_over() {
        let mut bytes = written(9, &[(1, b"one"), (2, b"two")]);
        sync_mark(&mut bytes, 9, 1);
        sync_mark(&mut bytes, 9, 2);
        encode(&mut bytes, 9, 3, 30, crc(b"three"), b"three");
        sync_mark(&mut bytes, 9, 3);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(next(&mut reader, 1), (1, 10, b"one".to_vec()));
        assert_eq!(next(&mut reader, 2), (2, 20, b"two".to_vec()));
        assert_eq!(next(&mut reader, 3), (3, 30, b"three".to_vec()));
        assert_eq!(reader.next(4).unwrap(), Item::End);
        assert_eq!(reader.marked(), 3);
        assert_eq!(reader.at(), bytes.len() as u64);
        // It tells of an entry that is not there.
        sync_mark(&mut bytes, 9, 4);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        (1..4).for_each(|lsn| assert_eq!(next(&mut reader, lsn).0, lsn));
        assert!(matches!(reader.next(4).unwrap(), Item::Invalid(_)));
        assert!(reader.scan_tail(4, 1000).unwrap().synced);
    }

    #[test]
    fn a_value_that_looks_like_an_entry_is_none() {
        // Written with another salt, as whoever does not know it must.
        let mut forged = Vec::new();
        encode(&mut forged, 8, 7, 1, crc(b"forged"), b"forged");
        let mut bytes = written(9, &[(5, b"one")]);
        bytes.extend([1; 40]);
        bytes.extend(forged);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(next(&mut reader, 5), (5, 50, b"one".to_vec()));
        assert!(matches!(reader.next(6).unwrap(), Item::Invalid(_)));
        assert_eq!(reader.scan_tail(5, 1000).unwrap(), Tail::default());
    }

    #[test]
    fn a_length_beyond_the_file_is_not_believed() {
        let mut bytes = file_header(9).to_vec();
        let mut entry = Vec::new();
        encode(&mut entry, 9, 1, 1, 0, &[0; 64]);
        bytes.extend(&entry[..ENTRY_HEADER + 63]);
        let mut reader = Reader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(reader.next(1).unwrap(), Item::Invalid("it ends within an entry"));
        assert_eq!(reader.scan_tail(1, 9).unwrap(), Tail::default());
    }

    #[test]
    fn every_byte_of_a_header_counts() {
        let good = file_header(9);
        for at in 0..FILE_HEADER {
            let mut bytes = good;
            bytes[at] ^= 1;
            assert!(salt(&bytes).is_err(), "byte {at}");
        }
        assert_eq!(salt(&good), Ok(9));
    }
}
