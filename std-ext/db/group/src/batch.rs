//! The bytes of a batch, as the store keeps it under `log/<seq>`.
//!
//! ```text
//! magic u16 | format u8 | flags u8 | epoch u64 | first entry u64 | entries u32 | raw bytes u32 | chain before 16 |
//! CRC-32 of all the rest u32 | body
//! ```
//!
//! Numbers are little-endian. The body is compressed with LZ4 if that saves an eighth. Uncompressed it is a sequence of
//! entries:
//!
//! ```text
//! length of the changes u32 | time u64 | changes
//! ```
//!
//! A longer entry is cut into parts in consecutive batches: each part's body is a piece of the bytes of that one entry.
//! `entries` counts the entries that *end* in the batch: 0 in a part that is not the last. So the last complete entry
//! behind a batch is always `first entry - 1 + entries`.

use super::chain::BatchChain;
use super::crc;
use super::entry::{Entry, Epoch, Lsn, MOST_NUMBER};

/// The most uncompressed bytes of a batch.
pub const MOST_RAW: usize = 512 << 10;
/// The most bytes of an entry, with its header.
pub const MOST_ENTRY: usize = 1 << 30;
/// The bytes before the body.
pub const HEADER: usize = 48;

/// The bytes of an entry before its changes.
pub const ENTRY_HEADER: usize = 12;

const MAGIC: u16 = 0x6768;
const FORMAT: u8 = 1;
const COMPRESSED: u8 = 1;
const PART: u8 = 2;
const LAST: u8 = 4;
/// Where the uncompressed length is in the header.
const RAW_LENGTH: usize = 24;
/// Where the checksum is in the header.
const CHECKSUM: usize = HEADER - 4;

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchPiece {
    /// Whole entries.
    Whole,
    /// A part of an entry, and not the last one.
    Part,
    /// The last part of an entry.
    LastPart,
}

/// A batch without its outer bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The epoch of the primary that wrote it.
    pub epoch: Epoch,
    /// The number of the first entry.
    pub first: Lsn,
    /// The entries that end in this batch.
    pub entries: u32,
    /// The kind of the body.
    pub piece: BatchPiece,
    /// The chain before this batch.
    pub before: BatchChain,
    /// The uncompressed body.
    pub raw: Vec<u8>,
}

impl Batch {
    /// Makes the bytes for the store.
    pub fn encode(&self) -> Vec<u8> {
        let packed = lz4_flex::block::compress(&self.raw);
        let compressed = packed.len() <= self.raw.len() - self.raw.len() / 8;
        let body = if compressed { &packed } else { &self.raw };
        let piece = match self.piece {
            BatchPiece::Whole => 0,
            BatchPiece::Part => PART,
            BatchPiece::LastPart => PART | LAST,
        };
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.push(FORMAT);
        bytes.push(piece | if compressed { COMPRESSED } else { 0 });
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.before.0);
        // Of the bytes as they are stored, so that damage is found before anything is decompressed.
        let checksum = crc::after(crc::of(&bytes), body);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    /// Reads the bytes from the store.
    ///
    /// # Errors
    /// If they are not a batch, with the reason.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |why: &str| Err(why.to_owned());
        let Some((header, body)) = bytes.split_at_checked(HEADER) else {
            return wrong("it is shorter than a header");
        };
        let mut header = BatchHeader(header);
        if u16::from_le_bytes(header.take()) != MAGIC {
            return wrong("it is not a batch");
        }
        let [format, flags] = header.take();
        // Before the checksum, which a later format may compute in another way.
        if format != FORMAT || flags & !(COMPRESSED | PART | LAST) != 0 {
            return wrong("a later version wrote it: upgrade this node");
        }
        let (epoch, first) = (u64::from_le_bytes(header.take()), u64::from_le_bytes(header.take()));
        let (entries, length) =
            (u32::from_le_bytes(header.take()), u32::from_le_bytes(header.take()) as usize);
        let before = BatchChain(header.take());
        let checksum = u32::from_le_bytes(header.take());
        if crc::after(crc::of(&bytes[..CHECKSUM]), body) != checksum {
            return wrong("its checksum is wrong");
        }
        if [epoch, first].iter().any(|number| !(1..MOST_NUMBER).contains(number)) {
            return wrong("a number is out of range");
        }
        // Before memory of this size is taken.
        if length == 0 || length > MOST_RAW {
            return wrong("its length is out of range");
        }
        let piece = match flags & (PART | LAST) {
            0 if entries > 0 && entries as usize <= length / ENTRY_HEADER => BatchPiece::Whole,
            PART if entries == 0 => BatchPiece::Part,
            flags if flags == PART | LAST && entries == 1 => BatchPiece::LastPart,
            _ => return wrong("its number of entries is wrong"),
        };
        let raw = if flags & COMPRESSED == 0 {
            body.to_vec()
        } else {
            let mut raw = vec![0; length];
            let unpacked = lz4_flex::block::decompress_into(body, &mut raw);
            raw.truncate(unpacked.map_err(|error| format!("its compression is wrong: {error}"))?);
            raw
        };
        if raw.len() != length {
            return wrong("its length is wrong");
        }
        Ok(Self { epoch, first, entries, piece, before, raw })
    }

    /// The uncompressed length of a batch that [`encode`](Self::encode) has made.
    pub fn raw_length(bytes: &[u8]) -> u64 {
        let length = bytes.get(RAW_LENGTH..).and_then(|rest| rest.first_chunk().copied());
        length.map_or(0, u32::from_le_bytes).into()
    }

    /// The chain behind this batch.
    pub fn after(&self) -> BatchChain {
        self.before.after(self.epoch, self.first, &self.raw)
    }
}

/// The rest of a header, which is as long as all fields together.
struct BatchHeader<'a>(&'a [u8]);

impl BatchHeader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        if let Some((taken, rest)) = self.0.split_at_checked(N) {
            field.copy_from_slice(taken);
            self.0 = rest;
        }
        field
    }
}

/// The bytes of an entry in a body.
pub fn entry_bytes(entry: &Entry) -> usize {
    ENTRY_HEADER + entry.changes.len()
}

/// Appends the bytes of an entry to a body.
pub fn encode_entry(entry: &Entry, into: &mut Vec<u8>) {
    into.extend_from_slice(&(entry.changes.len() as u32).to_le_bytes());
    into.extend_from_slice(&entry.time.to_le_bytes());
    into.extend_from_slice(&entry.changes);
}

/// The bytes of the entry that begins a text, as its first four bytes tell. `None`: the text is shorter than that, or
/// the entry would be longer than any.
pub fn entry_length(text: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(text.first_chunk().copied()?) as usize;
    length.checked_add(ENTRY_HEADER).filter(|&length| length <= MOST_ENTRY)
}

/// Reads the entries of a body. `first` is the number of the first.
///
/// # Errors
/// If the body is not `entries` whole entries, with the reason.
pub fn decode_entries(raw: &[u8], first: Lsn, entries: u32) -> Result<Vec<Entry>, String> {
    // No more than the body can have: the count may be wrong.
    let mut read = Vec::with_capacity((entries as usize).min(raw.len() / ENTRY_HEADER));
    let mut rest = raw;
    for lsn in (first..).take(entries as usize) {
        let split = entry_length(rest).and_then(|length| rest.split_at_checked(length));
        let (entry, behind) = split.ok_or("an entry is longer than the batch")?;
        let mut header = BatchHeader(&entry[4..]);
        let time = u64::from_le_bytes(header.take());
        if time >= MOST_NUMBER {
            return Err("the time of an entry is out of range".to_owned());
        }
        read.push(Entry { lsn, time, changes: header.0.to_vec() });
        rest = behind;
    }
    if !rest.is_empty() {
        return Err("it has bytes after its last entry".to_owned());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_tells_its_length_before_compression() {
        let (epoch, first, entries, piece, before) =
            (1, 1, 1, BatchPiece::Whole, BatchChain::default());
        let raw = vec![7; 5000];
        let bytes = Batch { epoch, first, entries, piece, before, raw }.encode();
        assert!(bytes.len() < 1000, "it is not compressed");
        assert_eq!(Batch::raw_length(&bytes), 5000, "another length");
        assert_eq!(Batch::raw_length(b"short"), 0);
    }
}
