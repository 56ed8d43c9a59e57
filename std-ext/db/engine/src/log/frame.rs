//! The format of segments and entries.
//!
//! A segment is a header and entries with consecutive numbers:
//!
//! ```text
//! header: "hedgelog", version u32, salt u32, crc u32 of these
//! entry:  length u32 of the changes, crc u32 of the changes, lsn u64, time u64, check u32 of these, the changes
//! mark:   2^32 - 1 u32, 0 u32, lsn u64, 0 u64, check u32 of these
//! ```
//!
//! A sync mark stands between entries and says that all entries up to its number had been synced when it was written.
//! After a power failure any entries that were not synced may be missing, but none before a mark.
//!
//! All numbers are little-endian. `crc` is CRC-32 (IEEE); `check` is the same with the salt as its initial value.
//!
//! - The salt is drawn at random when the log is created. A client that stores a value that looks like an entry does
//!   not know it, so recovery does not take that value for an entry when it searches a torn tail.
//! - The header has a check of its own. So the search is one pass over the tail, and recovery can trust a length before
//!   it has read the changes.

use crate::crc32;
use crate::log::api::Lsn;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

const MAGIC: &[u8; 8] = b"hedgelog";
const VERSION: u32 = 1;
/// Bytes of a segment before its first entry.
#[doc(hidden)]
pub const FILE_HEADER: usize = 20;
/// Bytes of an entry before its changes.
#[doc(hidden)]
pub const ENTRY_HEADER: usize = 28;
/// The most bytes of changes in one entry.
pub(crate) const MAX_CHANGES: usize = u32::MAX as usize - 1;
/// Stands in place of the length in a sync mark.
const SYNC_MARK: u32 = u32::MAX;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Returns the header of a segment.
#[doc(hidden)]
pub fn file_header(salt: u32) -> [u8; FILE_HEADER] {
    let mut bytes = [0; FILE_HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32::of(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Returns the salt in a segment's header.
fn salt(bytes: &[u8; FILE_HEADER]) -> Result<u32, &'static str> {
    if &bytes[..8] != MAGIC {
        return Err("not a segment of the log: the magic number is wrong");
    }
    // Before the version: a damaged version is damage, and not a later format.
    if crc32::of(&bytes[..16]) != u32_at(bytes, 16) {
        return Err("the header has a wrong checksum");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("the format version is not supported");
    }
    Ok(u32_at(bytes, 12))
}

/// Returns the checksum of changes for [`encode`]. It takes longest, so it is computed before the lock is taken under
/// which an entry gets its number.
#[doc(hidden)]
pub fn crc(changes: &[u8]) -> u32 {
    crc32::of(changes)
}

/// Appends an entry to `buffer`. The changes have at most [`MAX_CHANGES`] bytes.
#[doc(hidden)]
pub fn encode(buffer: &mut Vec<u8>, salt: u32, lsn: Lsn, time: u64, crc: u32, changes: &[u8]) {
    let header = EntryHeader { length: changes.len() as u32, crc, lsn, time };
    buffer.reserve(ENTRY_HEADER + changes.len());
    buffer.extend_from_slice(&header.bytes(salt));
    buffer.extend_from_slice(changes);
}

/// Returns the number of the entry at the beginning of `bytes`, and its length with the header; None if there is none.
pub(crate) fn number_and_length(bytes: &[u8]) -> Option<(Lsn, usize)> {
    let length = || ENTRY_HEADER + u32_at(bytes, 0) as usize;
    (!bytes.is_empty()).then(|| (u64_at(bytes, 8), length()))
}

/// Appends a sync mark to `buffer`: all entries up to `synced` are synced.
pub(crate) fn sync_mark(buffer: &mut Vec<u8>, salt: u32, synced: Lsn) {
    let header = EntryHeader { length: SYNC_MARK, crc: 0, lsn: synced, time: 0 };
    buffer.extend_from_slice(&header.bytes(salt));
}

/// The header of an entry, or a sync mark.
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
        let check = crc32::after(salt, &bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_le_bytes());
        bytes
    }
}

/// Parses the first [`ENTRY_HEADER`] bytes. Returns None if the check is wrong.
fn entry_header(bytes: &[u8], salt: u32) -> Option<EntryHeader> {
    let check = crc32::after(salt, &bytes[..24]);
    (check == u32_at(bytes, 24)).then(|| EntryHeader {
        length: u32_at(bytes, 0),
        crc: u32_at(bytes, 4),
        lsn: u64_at(bytes, 8),
        time: u64_at(bytes, 16),
    })
}

/// An item that the reader found.
#[derive(Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum FrameItem<'a> {
    /// An entry: its offset, number, time and changes.
    Entry(u64, Lsn, u64, &'a [u8]),
    /// The end of the file.
    End,
    /// No valid entry, and why.
    Invalid(&'static str),
}

/// The bytes from the first invalid entry on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InvalidTail {
    /// Whether there is proof that the invalid entry had been synced.
    #[doc(hidden)]
    pub synced: bool,
    /// The number of valid entries. The search ends early if `synced` is set.
    #[doc(hidden)]
    pub entries: u64,
}

/// Reads a segment from its beginning.
#[doc(hidden)]
pub struct SegmentReader {
    file: File,
    length: u64,
    salt: u32,
    /// The number in the last sync mark that was read.
    marked: Lsn,
    /// The offset of the next entry.
    at: u64,
    /// Bytes of the file. Those from index `begin` on belong to the offset `at`.
    buffer: Vec<u8>,
    begin: usize,
}

impl SegmentReader {
    /// Reads the header. The inner error says why it is invalid.
    #[doc(hidden)]
    pub fn new(mut file: File) -> io::Result<Result<Self, &'static str>> {
        let length = file.metadata()?.len();
        if length < FILE_HEADER as u64 {
            return Ok(Err("the file ends inside its header"));
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

    /// Returns the number in the last sync mark that was read, and 0 if there was none.
    #[doc(hidden)]
    pub fn marked(&self) -> Lsn {
        self.marked
    }

    /// Returns the length of the file.
    #[doc(hidden)]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the offset of the next entry, or of the invalid one.
    #[doc(hidden)]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Notices what was appended to the file since it was opened. Bytes that were read ahead are read again, because
    /// a write that failed may have replaced them.
    #[doc(hidden)]
    pub fn refresh(&mut self) -> io::Result<()> {
        self.length = self.file.metadata()?.len().max(self.at);
        self.buffer.clear();
        self.begin = 0;
        self.file.seek(SeekFrom::Start(self.at)).map(drop)
    }

    /// Reads the next entry, whose number has to be `wanted`.
    #[doc(hidden)]
    pub fn next(&mut self, wanted: Lsn) -> io::Result<FrameItem<'_>> {
        let header = loop {
            let left = self.length - self.at;
            if left == 0 {
                return Ok(FrameItem::End);
            }
            if left < ENTRY_HEADER as u64 {
                return Ok(FrameItem::Invalid("the file ends inside an entry's header"));
            }
            self.fill(ENTRY_HEADER)?;
            let Some(header) = entry_header(&self.buffer[self.begin..], self.salt) else {
                return Ok(FrameItem::Invalid("an entry's header has a wrong checksum"));
            };
            if header.length != SYNC_MARK {
                break header;
            }
            if header.lsn >= wanted {
                return Ok(FrameItem::Invalid("entries are missing that had been synced"));
            }
            self.marked = header.lsn;
            self.advance(ENTRY_HEADER);
        };
        if header.lsn != wanted {
            return Ok(FrameItem::Invalid("an entry's number is out of order"));
        }
        // Checked before the buffer grows, so that it never takes more memory than the file has bytes.
        if u64::from(header.length) > self.length - self.at - ENTRY_HEADER as u64 {
            return Ok(FrameItem::Invalid("the file ends inside an entry"));
        }
        let whole = ENTRY_HEADER + header.length as usize;
        self.fill(whole)?;
        let changes = self.begin + ENTRY_HEADER..self.begin + whole;
        if crc(&self.buffer[changes.clone()]) != header.crc {
            return Ok(FrameItem::Invalid("an entry has a wrong checksum"));
        }
        let at = self.at;
        self.advance(whole);
        Ok(FrameItem::Entry(at, header.lsn, header.time, &self.buffer[changes]))
    }

    fn advance(&mut self, bytes: usize) {
        self.begin += bytes;
        self.at += bytes as u64;
    }

    /// Fills the buffer so that it has `wanted` bytes from `at` on. The file has that many.
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

    /// Searches the rest of the file, from the invalid entry on. Its number should be `missing`, and no valid entry has
    /// a number above `most`.
    pub(crate) fn scan_tail(&mut self, missing: Lsn, most: Lsn) -> io::Result<InvalidTail> {
        let mut tail = InvalidTail::default();
        let mut window = vec![0; CHUNK];
        let mut from = self.at;
        while from + ENTRY_HEADER as u64 <= self.length {
            let held = (self.length - from).min(CHUNK as u64) as usize;
            read_at(&mut self.file, from, &mut window[..held])?;
            let mut place = 0;
            while place + ENTRY_HEADER <= held {
                let bytes = &window[place..held];
                // Byte by byte: after a damaged entry nothing says where the next one begins.
                place += 1;
                // First, because it costs less than a checksum, and few places pass.
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
                    // Its changes are skipped: what looks like an entry in them counts for nothing.
                    place += whole - 1;
                }
            }
            from += place as u64;
        }
        Ok(tail)
    }

    /// Whether the bytes from `begin` on are the changes that `header` describes.
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
            crc = crc32::after(crc, &part[..some]);
            left -= some;
        }
        Ok(crc == header.crc)
    }
}

fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

/// Returns the `u32` at an index. Panics if the bytes end before.
#[doc(hidden)]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// Returns the `u64` at an index. Panics if the bytes end before.
#[doc(hidden)]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
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

    fn next(reader: &mut SegmentReader, lsn: Lsn) -> (Lsn, u64, Vec<u8>) {
        match reader.next(lsn).unwrap() {
            FrameItem::Entry(_, lsn, time, changes) => (lsn, time, changes.to_vec()),
            other => panic!("{other:?} is no entry"),
        }
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let long = vec![7; 3 * CHUNK + 5];
        let bytes = written(9, &[(5, b"one"), (6, b""), (7, &long), (8, b"end")]);
        let mut reader = SegmentReader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(next(&mut reader, 5), (5, 50, b"one".to_vec()));
        assert_eq!(next(&mut reader, 6), (6, 60, b"".to_vec()));
        assert_eq!(next(&mut reader, 7), (7, 70, long));
        assert_eq!(next(&mut reader, 8), (8, 80, b"end".to_vec()));
        assert_eq!(reader.next(9).unwrap(), FrameItem::End);
        assert_eq!(reader.at(), bytes.len() as u64);
    }

    #[test]
    fn the_tail_is_searched_across_chunks() {
        let long = vec![7; CHUNK + 5];
        for gap in [1, ENTRY_HEADER, CHUNK - ENTRY_HEADER, CHUNK - 3, CHUNK, 2 * CHUNK + 1] {
            let mut bytes = file_header(9).to_vec();
            bytes.resize(FILE_HEADER + gap, 0x55);
            for (lsn, changes) in [(7, &b"late"[..]), (8, &long), (9, b""), (10, b"last")] {
                encode(&mut bytes, 9, lsn, 1, crc(changes), changes);
            }
            sync_mark(&mut bytes, 9, 6);
            bytes.extend([0; 5]);
            let mut reader = SegmentReader::new(file(&bytes)).unwrap().unwrap();
            assert!(matches!(reader.next(6).unwrap(), FrameItem::Invalid(_)));
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
    fn sync_marks_are_skipped() {
        let mut bytes = written(9, &[(1, b"one"), (2, b"two")]);
        sync_mark(&mut bytes, 9, 1);
        sync_mark(&mut bytes, 9, 2);
        encode(&mut bytes, 9, 3, 30, crc(b"three"), b"three");
        sync_mark(&mut bytes, 9, 3);
        let mut reader = SegmentReader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(next(&mut reader, 1), (1, 10, b"one".to_vec()));
        assert_eq!(next(&mut reader, 2), (2, 20, b"two".to_vec()));
        assert_eq!(next(&mut reader, 3), (3, 30, b"three".to_vec()));
        assert_eq!(reader.next(4).unwrap(), FrameItem::End);
        assert_eq!(reader.marked(), 3);
        assert_eq!(reader.at(), bytes.len() as u64);
        // A mark for an entry that is missing.
        sync_mark(&mut bytes, 9, 4);
        let mut reader = SegmentReader::new(file(&bytes)).unwrap().unwrap();
        (1..4).for_each(|lsn| assert_eq!(next(&mut reader, lsn).0, lsn));
        assert!(matches!(reader.next(4).unwrap(), FrameItem::Invalid(_)));
        assert!(reader.scan_tail(4, 1000).unwrap().synced);
    }

    #[test]
    fn a_value_that_looks_like_an_entry_is_not_taken_for_one() {
        // Encoded with another salt, since a client cannot know the right one.
        let mut forged = Vec::new();
        encode(&mut forged, 8, 7, 1, crc(b"forged"), b"forged");
        let mut bytes = written(9, &[(5, b"one")]);
        bytes.extend([1; 40]);
        bytes.extend(forged);
        let mut reader = SegmentReader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(next(&mut reader, 5), (5, 50, b"one".to_vec()));
        assert!(matches!(reader.next(6).unwrap(), FrameItem::Invalid(_)));
        assert_eq!(reader.scan_tail(5, 1000).unwrap(), InvalidTail::default());
    }

    #[test]
    fn a_length_beyond_the_file_is_rejected() {
        let mut bytes = file_header(9).to_vec();
        let mut entry = Vec::new();
        encode(&mut entry, 9, 1, 1, 0, &[0; 64]);
        bytes.extend(&entry[..ENTRY_HEADER + 63]);
        let mut reader = SegmentReader::new(file(&bytes)).unwrap().unwrap();
        assert_eq!(reader.next(1).unwrap(), FrameItem::Invalid("the file ends inside an entry"));
        assert_eq!(reader.scan_tail(1, 9).unwrap(), InvalidTail::default());
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
