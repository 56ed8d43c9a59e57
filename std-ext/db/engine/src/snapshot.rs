//! Snapshots: files that contain all keys, in sections by hash slot.
//!
//! ```text
//! header:  "hedgesnp", version u32
//! block:   bytes u32, crc u32 of these and of the entries, entries of one section
//! entry:   bytes of the key u16, bytes of the value u32 whose highest bit says that an expiration follows, and whose
//!          next that the value is no string, [expiration u64], key, value
//! footer:  last lsn u64, time u64, [position, in versions 2 and 3], [hash, in version 3], for each section:
//!          begin u16 and end u16 of its slots, watermark u64, entries u64, offset of its first block u64, bytes of its
//!          blocks u64, [database u16, in version 4]
//! position: cluster 16 bytes, group u32, incarnation u64, epoch u64, a bit for each slot that the group has, the entry
//!          with the last mark of a batch u64 (0: none), and of that mark: number u64, epoch u64, chain before 16 bytes
//! hash:    the first entry that it counts u64 (0: there is no hash), running hash from it to the last lsn 16 bytes
//! trailer: bytes of the footer u32, crc u32 of the footer and of these, "hedgesnp"
//! ```
//!
//! A database on one machine writes version 1, so that earlier programs can read it, and version 4 if other databases
//! than 0 have keys. A node of a cluster writes version 3, and once wrote version 2. All are read.
//!
//! All numbers are little-endian. `crc` is CRC-32 (IEEE).
//!
//! - Sections follow each other without gaps, so each can be loaded by a thread of its own. A section is a sequence of
//!   blocks of about 64 KiB, or of one long entry.
//! - A snapshot is written under a temporary name, synced, and then renamed to the number of the last log entry that it
//!   contains. So a file under a final name is complete.
//! - A snapshot is fuzzy: sections are written one after the other while clients write. Each contains all log entries
//!   up to its `watermark`. Loading replays the log from there. The sections of the same slots in several databases
//!   have the same watermark, so an entry that moves keys from one database to another is either in all of them or in
//!   none.

use crate::crc32;
use crate::log::disk::DiskFile;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::{u32_at, u64_at};
use crate::log::{BatchHash, BatchMark, Lsn, OpenError, Position};
use crate::options::MAX_DATABASES;
use crate::request::{LONGEST_VALUE, StoredValue};
use crate::slot_set::{SLOT_SET_BYTES, SlotSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"hedgesnp";
const VERSION: u32 = 1;
/// The version of a node of a cluster, and the one before, without a hash.
const CLUSTERED: u32 = 3;
const CLUSTERED_BEFORE: u32 = 2;
/// The version of a database on one machine with several databases.
const SEVERAL: u32 = 4;
/// The prefix of the snapshots' names. The number of the last entry follows.
pub const NAME: &str = "snapshot-";
const NEW: &str = "snapshot.new";
const FILE_HEADER: usize = 12;
/// Bytes of a block before its entries.
const BLOCK_HEADER: usize = 8;
/// A block is written once it has this many bytes.
const BLOCK: usize = 64 << 10;
/// Bytes of an entry before its key, and before its expiration if it has one.
const ENTRY_HEADER: usize = 6;
const HAS_TTL: u32 = 1 << 31;
/// The value is of another type than string: the bytes of a [`StoredValue`]. Earlier versions take this for a length
/// that is greater than that of the block, and refuse the file.
const IS_TYPED: u32 = 1 << 30;
/// The longest part of a value: its length has the bits below.
const LONGEST_PART: usize = IS_TYPED as usize - 1;
/// Bytes of the footer before the list of sections, and of each section in the list.
const FOOTER: usize = 16;
/// Bytes of the position and of the hash, between the two.
const POSITION: usize = 16 + 4 + 8 + 8 + SLOT_SET_BYTES + 8 + 8 + 8 + 16;
const HASH: usize = 8 + 16;
const SECTION: usize = 36;
/// Bytes of the number of a section's database, in that version.
const DATABASE: usize = 2;
const TRAILER: usize = 16;
/// The file is synced each time that this much was written, so that the last sync is short.
const SYNC_STRIDE: u64 = 16 << 20;
/// The number of hash slots, as in Redis Cluster.
const SLOTS: u16 = 16384;

/// A section: a range of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionInfo {
    /// The database.
    pub database: u16,
    /// The slots.
    pub slots: Range<u16>,
    /// The section contains all log entries up to this one, and none after it.
    pub watermark: Lsn,
    /// The number of keys.
    pub entries: u64,
    place: u64,
    bytes: u64,
}

impl SectionInfo {
    /// Returns whether the section may come behind another one, or be the first.
    fn follows(&self, last: Option<&Self>) -> bool {
        let slots = &self.slots;
        let is_next = last.is_none_or(|last| {
            let same_slots = last.slots == *slots && last.watermark == self.watermark;
            last.slots.end <= slots.start || same_slots && last.database < self.database
        });
        is_next && slots.start < slots.end && slots.end <= SLOTS && self.database < MAX_DATABASES
    }
}

/// Writes a snapshot. Holds one block of it in memory.
pub struct SnapshotWriter {
    folder: Arc<Folder>,
    file: Arc<dyn DiskFile>,
    version: u32,
    block: Vec<u8>,
    sections: Vec<SectionInfo>,
    length: u64,
    synced: u64,
    finished: bool,
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.finished {
            // The incomplete file may be what filled the disk. If the removal fails, the next start removes it.
            let _ = self.folder.disk().remove(&self.folder.at(NEW));
        }
    }
}

impl SnapshotWriter {
    /// Creates a snapshot of a database on one machine, under its temporary name.
    ///
    /// # Errors
    /// The system's.
    pub fn create(folder: &Arc<Folder>) -> io::Result<Self> {
        Self::create_version(folder, VERSION)
    }

    /// Creates a snapshot of several databases on one machine, under its temporary name. Programs that know one
    /// database only cannot read it.
    ///
    /// # Errors
    /// The system's.
    pub fn create_several(folder: &Arc<Folder>) -> io::Result<Self> {
        Self::create_version(folder, SEVERAL)
    }

    /// Creates a snapshot of a node of a cluster, under its temporary name.
    ///
    /// # Errors
    /// The system's.
    pub fn create_clustered(folder: &Arc<Folder>) -> io::Result<Self> {
        Self::create_version(folder, CLUSTERED)
    }

    fn create_version(folder: &Arc<Folder>, version: u32) -> io::Result<Self> {
        let file = folder.disk().create(&folder.at(NEW))?;
        let mut header = MAGIC.to_vec();
        header.extend(version.to_le_bytes());
        let writer = Self {
            folder: Arc::clone(folder),
            file,
            version,
            block: vec![0; BLOCK_HEADER],
            sections: Vec::new(),
            length: header.len() as u64,
            synced: 0,
            finished: false,
        };
        // If this fails, dropping the writer removes the file.
        writer.file.write(&header)?;
        Ok(writer)
    }

    /// Begins a section for slots after those of the last section. It will contain their keys as of log entry
    /// `watermark`.
    ///
    /// # Errors
    /// The system's, and if the slots do not come after the others.
    pub fn section(&mut self, slots: Range<u16>, watermark: Lsn) -> io::Result<()> {
        self.section_of(0, slots, watermark)
    }

    /// As [`section`](Self::section), of a database. The slots may be those of the last section if that has an earlier
    /// database and the same watermark.
    ///
    /// # Errors
    /// As `section`, and if the snapshot is one of database 0 only.
    pub fn section_of(
        &mut self,
        database: u16,
        slots: Range<u16>,
        watermark: Lsn,
    ) -> io::Result<()> {
        self.flush()?;
        let invalid = |why| Err(io::Error::new(ErrorKind::InvalidInput, why));
        if database != 0 && self.version != SEVERAL {
            return invalid("the snapshot has one database");
        }
        let section =
            SectionInfo { database, slots, watermark, entries: 0, place: self.length, bytes: 0 };
        if !section.follows(self.sections.last()) {
            return invalid("the slots are out of order");
        }
        self.sections.push(section);
        Ok(())
    }

    /// Adds a key with its expiration and its value to the section, or a further part of the value.
    ///
    /// # Errors
    /// The system's, and if key or value are too long, or no section was begun.
    pub fn entry(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        value: StoredValue<'_>,
    ) -> io::Result<()> {
        let invalid = |why| io::Error::new(ErrorKind::InvalidInput, why);
        let Some(section) = self.sections.last_mut() else {
            return Err(invalid("no section was begun"));
        };
        section.entries += u64::from(!value.continues());
        let is_typed = value.is_typed();
        let value = value.bytes();
        let key_bytes = u16::try_from(key.len()).map_err(|_| invalid("the key is too long"))?;
        // One field of a hash may be twice as long as a string, in a part of its own.
        if value.len() > if is_typed { LONGEST_PART } else { LONGEST_VALUE } {
            return Err(invalid("the value is too long"));
        }
        let long = ENTRY_HEADER + 8 + key.len() + value.len() > BLOCK;
        if long {
            self.flush()?;
        }
        let flags = if expires_at.is_some() { HAS_TTL } else { 0 };
        let flags = flags | if is_typed { IS_TYPED } else { 0 };
        let value_bytes = value.len() as u32 | flags;
        self.block.extend(key_bytes.to_le_bytes());
        self.block.extend(value_bytes.to_le_bytes());
        if let Some(expires_at) = expires_at {
            self.block.extend(expires_at.to_le_bytes());
        }
        self.block.extend(key);
        if long {
            // Written from where it is: a long value is not copied into the block.
            return self.write_block(value);
        }
        self.block.extend(value);
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Finishes the snapshot of a database on one machine. Returns its size in bytes.
    ///
    /// `last` is the last log entry of which any section may contain a change, and `time` is the time of that entry.
    /// The log must have been synced up to it.
    ///
    /// # Errors
    /// The system's. Then there is no such snapshot.
    pub fn finish(self, last: Lsn, time: u64) -> io::Result<u64> {
        self.finish_at(last, time, None)
    }

    /// As [`finish`](Self::finish), with the position of the log: for a snapshot of a node of a cluster.
    ///
    /// # Errors
    /// As `finish`, and if a snapshot of this kind has a position and this one has none, or the reverse.
    pub fn finish_at(
        mut self,
        last: Lsn,
        time: u64,
        position: Option<Position>,
    ) -> io::Result<u64> {
        self.flush()?;
        if position.is_some() != (self.version == CLUSTERED) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not the position of this log"));
        }
        let most = FOOTER + POSITION + HASH + self.sections.len() * (SECTION + DATABASE) + TRAILER;
        let mut footer = Vec::with_capacity(most);
        footer.extend(last.to_le_bytes());
        footer.extend(time.to_le_bytes());
        if let Some(position) = position {
            write_position(position, last, &mut footer);
        }
        for section in &self.sections {
            footer.extend(section.slots.start.to_le_bytes());
            footer.extend(section.slots.end.to_le_bytes());
            for number in [section.watermark, section.entries, section.place, section.bytes] {
                footer.extend(number.to_le_bytes());
            }
            if self.version == SEVERAL {
                footer.extend(section.database.to_le_bytes());
            }
        }
        footer.extend((footer.len() as u32).to_le_bytes());
        let crc = crc32::of(&footer);
        footer.extend(crc.to_le_bytes());
        footer.extend(MAGIC);
        self.file.write(&footer)?;
        self.file.sync()?;
        let (folder, disk) = (&self.folder, self.folder.disk());
        disk.rename(&folder.at(NEW), &folder.at(&numbered_name(NAME, last)))?;
        self.finished = true;
        disk.sync_folder(folder.path())?;
        Ok(self.length + footer.len() as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.len() == BLOCK_HEADER { Ok(()) } else { self.write_block(&[]) }
    }

    /// Writes the block. `rest` is its end, which is not copied into the buffer.
    fn write_block(&mut self, rest: &[u8]) -> io::Result<()> {
        let bytes = self.block.len() - BLOCK_HEADER + rest.len();
        self.block[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        let crc = crc32::of(&self.block[..4]);
        let crc = crc32::after(crc, &self.block[BLOCK_HEADER..]);
        let crc = crc32::after(crc, rest);
        self.block[4..BLOCK_HEADER].copy_from_slice(&crc.to_le_bytes());
        self.file.write(&self.block)?;
        if !rest.is_empty() {
            self.file.write(rest)?;
        }
        self.block.truncate(BLOCK_HEADER);
        let whole = (BLOCK_HEADER + bytes) as u64;
        self.length += whole;
        if let Some(section) = self.sections.last_mut() {
            section.bytes += whole;
        }
        if self.length - self.synced >= SYNC_STRIDE {
            self.file.sync()?;
            self.synced = self.length;
        }
        Ok(())
    }
}

/// Called with each entry: its key, its expiration, and its value.
pub type OnEntry<'a> = dyn FnMut(&[u8], Option<u64>, StoredValue<'_>) + 'a;

/// A complete snapshot.
pub struct Snapshot {
    folder: Arc<Folder>,
    file: PathBuf,
    sections: Vec<SectionInfo>,
    last: Lsn,
    time: u64,
    position: Option<Position>,
    bytes: u64,
}

impl Snapshot {
    /// Opens the newest snapshot of a folder, if there is one. Removes an incomplete one.
    ///
    /// # Errors
    /// If the newest snapshot is damaged or cannot be read. An older one is no substitute: the log entries that it
    /// needs may have been removed.
    pub fn newest(folder: &Arc<Folder>) -> Result<Option<Self>, OpenError> {
        folder.remove_leftover(NEW)?;
        Self::newest_complete(folder)
    }

    /// As [`newest`](Self::newest), for a folder in which another thread may be writing a snapshot.
    ///
    /// # Errors
    /// As `newest`, and if the snapshot was removed meanwhile, because a newer one is complete.
    pub fn newest_complete(folder: &Arc<Folder>) -> Result<Option<Self>, OpenError> {
        let Some(number) = folder.numbered(NAME)?.pop() else { return Ok(None) };
        let file = folder.at(&numbered_name(NAME, number));
        let opened = folder.disk().read(&file).map_err(|why| OpenError::Io(file.clone(), why))?;
        let footer = read_footer(opened).map_err(|why| why.into_open_error(&file))?;
        if footer.last != number {
            return Err(
                ReadError::Damage(0, "its number is not that of its name").into_open_error(&file)
            );
        }
        let Footer { sections, last, time, position, bytes } = footer;
        Ok(Some(Self { folder: Arc::clone(folder), file, sections, last, time, position, bytes }))
    }

    /// Returns the last log entry of which any section may contain a change.
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// Returns the time of that entry.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Returns the position of the log; `None` if a database on one machine wrote the snapshot.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Returns the path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the sections, in the order of their slots.
    pub fn sections(&self) -> &[SectionInfo] {
        &self.sections
    }

    /// Calls `each` with the entries of a section. Several threads may read at once.
    ///
    /// # Errors
    /// If the section is damaged or cannot be read. `each` gets no entry of a damaged block.
    pub fn read_section(&self, number: usize, each: &mut OnEntry<'_>) -> Result<(), OpenError> {
        let io_error = |why| OpenError::Io(self.file.clone(), why);
        let mut file = self.folder.disk().read(&self.file).map_err(io_error)?;
        read_section(&mut file, &self.sections[number], each)
            .map_err(|why| why.into_open_error(&self.file))
    }
}

/// Removes the snapshots that are older than that of log entry `than`.
///
/// # Errors
/// The system's.
pub fn remove_older(folder: &Folder, than: Lsn) -> Result<(), OpenError> {
    for number in folder.numbered(NAME)?.into_iter().filter(|&number| number < than) {
        folder.remove_leftover(&numbered_name(NAME, number))?;
    }
    Ok(())
}

struct Footer {
    sections: Vec<SectionInfo>,
    last: Lsn,
    time: u64,
    position: Option<Position>,
    bytes: u64,
}

/// The reason why a file cannot be read.
enum ReadError {
    Io(io::Error),
    Damage(u64, &'static str),
}

impl ReadError {
    fn into_open_error(self, file: &Path) -> OpenError {
        match self {
            Self::Io(why) => OpenError::Io(file.into(), why),
            Self::Damage(offset, why) => OpenError::Damaged { file: file.into(), offset, why },
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

fn read_footer(mut file: File) -> Result<Footer, ReadError> {
    let bytes = file.metadata()?.len();
    if bytes < (FILE_HEADER + FOOTER + TRAILER) as u64 {
        return Err(ReadError::Damage(bytes, "the file is too short"));
    }
    let mut header = [0; FILE_HEADER];
    file.read_exact(&mut header)?;
    if &header[..8] != MAGIC {
        return Err(ReadError::Damage(0, "not a snapshot: the magic number is wrong"));
    }
    let (before_sections, section_bytes) = match u32_at(&header, 8) {
        VERSION => (FOOTER, SECTION),
        CLUSTERED_BEFORE => (FOOTER + POSITION, SECTION),
        CLUSTERED => (FOOTER + POSITION + HASH, SECTION),
        SEVERAL => (FOOTER, SECTION + DATABASE),
        _ => return Err(ReadError::Damage(8, "the format version is not supported")),
    };
    let mut trailer = [0; TRAILER];
    let end = bytes - TRAILER as u64;
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let size = u64::from(u32_at(&trailer, 0));
    let fits = size >= before_sections as u64 && size <= end - FILE_HEADER as u64;
    if &trailer[8..] != MAGIC
        || !fits
        || !(size as usize - before_sections).is_multiple_of(section_bytes)
    {
        return Err(ReadError::Damage(end, "the end of the file is missing or wrong"));
    }
    let place = end - size;
    let mut footer = vec![0; size as usize];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut footer)?;
    let crc = crc32::after(crc32::of(&footer), &trailer[..4]);
    if crc != u32_at(&trailer, 4) {
        return Err(ReadError::Damage(place, "the footer has a wrong checksum"));
    }
    let last = u64_at(&footer, 0);
    if last == Lsn::MAX {
        return Err(ReadError::Damage(place, "its last entry has the highest possible number"));
    }
    let sections = read_sections(&footer[before_sections..], section_bytes, (place, last))
        .ok_or(ReadError::Damage(place, "its sections overlap, leave gaps, or are out of order"))?;
    let position = footer[FOOTER..before_sections].split_first_chunk();
    let position =
        position.map(|(position, hash)| read_position(position, hash.first_chunk(), last));
    if position.as_ref().and_then(|position| position.batch).is_some_and(|(at, _)| at > last) {
        return Err(ReadError::Damage(place, "its last batch begins after its last entry"));
    }
    if position
        .as_ref()
        .and_then(|position| position.batch_hash)
        .is_some_and(|hash| hash.first > last)
    {
        return Err(ReadError::Damage(
            place,
            "the hash of its last batch begins after its last entry",
        ));
    }
    Ok(Footer { sections, last, time: u64_at(&footer, 8), position, bytes })
}

fn write_position(position: Position, last: Lsn, into: &mut Vec<u8>) {
    let Position { cluster, group, incarnation, epoch, slots, batch, batch_hash } = position;
    into.extend(cluster);
    into.extend(group.to_le_bytes());
    into.extend(incarnation.to_le_bytes());
    into.extend(epoch.to_le_bytes());
    into.extend(slots.bits());
    let none = (0, BatchMark { seq: 0, epoch: 0, chain_before: [0; 16] });
    let (entry, mark) = batch.unwrap_or(none);
    for number in [entry, mark.seq, mark.epoch] {
        into.extend(number.to_le_bytes());
    }
    into.extend(mark.chain_before);
    // A hash up to another entry says nothing about this snapshot.
    let hash = batch_hash.filter(|hash| hash.last == last);
    let (first, hash) = hash.map_or((0, [0; 16]), |hash| (hash.first, hash.hash));
    into.extend(first.to_le_bytes());
    into.extend(hash);
}

fn read_position(bytes: &[u8; POSITION], hash: Option<&[u8; HASH]>, last: Lsn) -> Position {
    /// Bytes before the slots, and before the batch.
    const SLOTS_AT: usize = 36;
    const BATCH_AT: usize = SLOTS_AT + SLOT_SET_BYTES;
    let mut slots = [0; SLOT_SET_BYTES];
    slots.copy_from_slice(&bytes[SLOTS_AT..BATCH_AT]);
    let (mut cluster, mut chain_before) = ([0; 16], [0; 16]);
    cluster.copy_from_slice(&bytes[..16]);
    chain_before.copy_from_slice(&bytes[BATCH_AT + 24..]);
    let [entry, seq, epoch] = [0, 8, 16].map(|at| u64_at(bytes, BATCH_AT + at));
    Position {
        cluster,
        group: u32_at(bytes, 16),
        incarnation: u64_at(bytes, 20),
        epoch: u64_at(bytes, 28),
        slots: SlotSet::from_bits(&slots),
        batch: (entry != 0).then_some((entry, BatchMark { seq, epoch, chain_before })),
        batch_hash: hash.and_then(|bytes| read_hash(bytes, last)),
    }
}

fn read_hash(bytes: &[u8; HASH], last: Lsn) -> Option<BatchHash> {
    let (first, mut hash) = (u64_at(bytes, 0), [0; 16]);
    hash.copy_from_slice(&bytes[8..]);
    (first != 0).then_some(BatchHash { first, last, hash })
}

/// Parses the list of sections in the footer, each of which has `size` bytes. Returns None unless the sections fill the
/// file from its header to `end`, contain no entry after `last`, and have room for as many entries as they say.
fn read_sections(list: &[u8], size: usize, (end, last): (u64, Lsn)) -> Option<Vec<SectionInfo>> {
    let mut next = FILE_HEADER as u64;
    let mut sections: Vec<SectionInfo> = Vec::with_capacity(list.len() / size);
    for bytes in list.chunks_exact(size) {
        let both = u32_at(bytes, 0);
        let slots = both as u16..(both >> 16) as u16;
        let [watermark, entries, place, length] = [4, 12, 20, 28].map(|at| u64_at(bytes, at));
        let database = bytes[SECTION..].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let section = SectionInfo { database, slots, watermark, entries, place, bytes: length };
        if !section.follows(sections.last()) || place != next {
            return None;
        }
        if watermark > last || entries > length / ENTRY_HEADER as u64 {
            return None;
        }
        next = place.checked_add(length).filter(|&next| next <= end)?;
        sections.push(section);
    }
    (next == end).then_some(sections)
}

fn read_section(
    file: &mut File,
    section: &SectionInfo,
    each: &mut OnEntry<'_>,
) -> Result<(), ReadError> {
    file.seek(SeekFrom::Start(section.place))?;
    let mut file = io::BufReader::with_capacity(4 * BLOCK, file);
    let (mut at, mut left, mut entries) = (section.place, section.bytes, 0);
    let mut block = Vec::new();
    while left > 0 {
        let mut header = [0; BLOCK_HEADER];
        if left < BLOCK_HEADER as u64 {
            return Err(ReadError::Damage(at, "a section ends inside a block"));
        }
        file.read_exact(&mut header)?;
        left -= BLOCK_HEADER as u64;
        let bytes = u64::from(u32_at(&header, 0));
        if bytes > left {
            return Err(ReadError::Damage(at, "a block is longer than its section"));
        }
        block.resize(bytes as usize, 0);
        file.read_exact(&mut block)?;
        left -= bytes;
        let crc = crc32::after(crc32::of(&header[..4]), &block);
        if crc != u32_at(&header, 4) {
            return Err(ReadError::Damage(at, "a block has a wrong checksum"));
        }
        let count = read_entries(&block, each);
        entries += count.ok_or(ReadError::Damage(at, "an entry is longer than its block"))?;
        at += BLOCK_HEADER as u64 + bytes;
    }
    if entries == section.entries {
        Ok(())
    } else {
        Err(ReadError::Damage(
            section.place,
            "the number of entries in a section does not match the footer",
        ))
    }
}

/// Calls `each` with the entries of a block. Returns their number, or None if the last one is incomplete.
fn read_entries(mut rest: &[u8], each: &mut OnEntry<'_>) -> Option<u64> {
    let mut entries = 0;
    while !rest.is_empty() {
        let (key_bytes, after) = rest.split_first_chunk::<2>()?;
        let (value_bytes, mut after) = after.split_first_chunk::<4>()?;
        let value_bytes = u32::from_le_bytes(*value_bytes);
        let mut expires_at = None;
        if value_bytes & HAS_TTL != 0 {
            let (bytes, more) = after.split_first_chunk::<8>()?;
            (expires_at, after) = (Some(u64::from_le_bytes(*bytes)), more);
        }
        let (key, after) = after.split_at_checked(u16::from_le_bytes(*key_bytes).into())?;
        let length = value_bytes & !(HAS_TTL | IS_TYPED);
        let (value, after) = after.split_at_checked(length as usize)?;
        let value = match value_bytes & IS_TYPED {
            0 => StoredValue::String(value),
            _ => StoredValue::of_typed(value)?,
        };
        each(key, expires_at, value);
        entries += u64::from(!value.continues());
        rest = after;
    }
    Some(entries)
}
