//! A file with batches as etcd has them: those that commit while a node fetches its data, or loads it.
//!
//! ```text
//! header: "hedgespl", version u32, crc u32 of these
//! batch:  length u32 of the value, crc u32 of all the rest, seq u64, the value
//! ```
//!
//! All numbers are little-endian. `crc` is CRC-32 (IEEE). The file is never synced: a node that starts after a power
//! failure takes what is there, and reads the rest from etcd, or begins anew.

use super::frame::checksum;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::frame::{u32_at, u64_at};
use hedgerow_db_formats::crc32;
use hedgerow_db_group::{Seq, batch};
use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The most bytes of batches that are kept.
pub(crate) const MOST_SPOOLED: u64 = 8 << 30;
/// The file's name.
pub(super) const NAME: &str = "spool";
const MAGIC: &[u8; 8] = b"hedgespl";
const VERSION: u32 = 1;
const FILE_HEADER: u64 = 16;
/// Bytes of a batch before its value.
const HEADER: usize = 16;
/// The bytes that are read at once. A reader of few batches reads as many.
const READ: usize = 64 << 10;
/// The longest value. etcd's own limit is lower.
const MOST_VALUE: usize = 4 * batch::MOST_RAW;

/// Why a batch cannot be spooled.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpoolError {
    /// The system returned an error.
    Io(io::Error),
    /// The spool has reached its limit.
    Full,
    /// A batch is missing before this one.
    Gap {
        /// The number that the next batch must have.
        wanted: Seq,
        /// The number that it has.
        found: Seq,
    },
    /// The file is not what was written.
    Damaged(&'static str),
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "the spool cannot be written or read: {why}"),
            Self::Full => f.write_str(
                "the spool is full, because the group writes faster than the data can be fetched; starting again",
            ),
            Self::Gap { wanted, found } => {
                write!(f, "the spool needs batch {wanted} next, but got batch {found}")
            }
            Self::Damaged(why) => write!(f, "the spool is damaged: {why}"),
        }
    }
}

impl Error for SpoolError {}

impl From<io::Error> for SpoolError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

/// Batches in a file, with consecutive numbers. A disk that fails or is full makes an error of `push`; the batches
/// before stay.
pub struct Spool {
    path: PathBuf,
    file: File,
    length: u64,
    most_bytes: u64,
    range: Option<(Seq, Seq)>,
    buffer: Vec<u8>,
    /// The batch behind those that were read last, and where it begins in the file.
    next: Arc<Mutex<(Seq, u64)>>,
}

/// Reads batches of a spool, while others are added to it.
pub struct SpoolReader {
    path: PathBuf,
    /// The end of the file when the reader was made.
    length: u64,
    from: Seq,
    next: Arc<Mutex<(Seq, u64)>>,
}

impl Spool {
    /// Creates an empty spool in a folder, in place of an earlier one.
    ///
    /// # Errors
    /// The system's.
    pub fn create(folder: &Path, most_bytes: u64) -> Result<Self, SpoolError> {
        let path = folder.join(NAME);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all(&file_header())?;
        Ok(Self::of(path, file, (FILE_HEADER, most_bytes), None))
    }

    /// Opens the spool of a folder, if there is one, and truncates an incomplete end.
    ///
    /// # Errors
    /// The system's, and if the file is no spool.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Option<Self>, SpoolError> {
        let path = folder.join(NAME);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let (mut length, mut range) = (FILE_HEADER, None);
        let whole = file.metadata()?.len();
        // The header must be right, and an end of the batches need not be.
        let batches = behind_header(&file, whole)?;
        let end = walk(batches, whole - FILE_HEADER, &mut |seq, value| {
            length += (HEADER + value.len()) as u64;
            range = Some((range.map_or(seq, |(first, _)| first), seq));
            ControlFlow::Continue(())
        });
        if let Err(SpoolError::Io(why)) = end {
            return Err(why.into());
        }
        file.set_len(length)?;
        (&file).seek(SeekFrom::Start(length))?;
        Ok(Some(Self::of(path, file, (length, most_bytes), range)))
    }

    fn of(
        path: PathBuf,
        file: File,
        (length, most_bytes): (u64, u64),
        range: Option<(Seq, Seq)>,
    ) -> Self {
        let next = Arc::new(Mutex::new((0, FILE_HEADER)));
        Self { path, file, length, most_bytes, range, buffer: Vec::new(), next }
    }

    /// Adds the value of a batch's key. Batches that the spool has are left out.
    ///
    /// # Errors
    /// If a batch is missing before it, the spool is full, or the file cannot be written.
    pub fn push(&mut self, seq: Seq, value: &[u8]) -> Result<(), SpoolError> {
        let wanted = self.range.map_or(seq, |(_, last)| last + 1);
        if seq < wanted {
            return Ok(());
        }
        if seq > wanted || seq == Seq::MAX {
            // Readers take the batches to be consecutive.
            return Err(SpoolError::Gap { wanted, found: seq });
        }
        let whole = (HEADER + value.len()) as u64;
        if value.len() > MOST_VALUE || self.length + whole > self.most_bytes {
            return Err(SpoolError::Full);
        }
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(value.len() as u32).to_le_bytes());
        header[8..].copy_from_slice(&seq.to_le_bytes());
        let crc = checksum(&header, value);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        self.buffer.clear();
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(value);
        if let Err(why) = self.file.write_all(&self.buffer) {
            // A part of a batch would be damage in the middle of the file if another batch followed it.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(why.into());
        }
        self.length += whole;
        self.range = Some((self.range.map_or(seq, |(first, _)| first), seq));
        Ok(())
    }

    /// Returns the numbers of the first and the last batch.
    pub fn range(&self) -> Option<(Seq, Seq)> {
        self.range
    }

    /// Returns a reader of the batches from `from` on.
    pub fn reader(&self, from: Seq) -> SpoolReader {
        let next = Arc::clone(&self.next);
        SpoolReader { path: self.path.clone(), length: self.length, from, next }
    }

    /// Removes the file.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(self) -> Result<(), SpoolError> {
        Ok(fs::remove_file(&self.path)?)
    }
}

impl SpoolReader {
    /// Calls `each` with the number and the value of the batches until it breaks. Returns the number of bytes of
    /// batches that were read.
    ///
    /// If an earlier reader has read up to the first batch that this one wants, this one begins there in the file.
    /// Otherwise it reads all batches before, too.
    ///
    /// # Errors
    /// The system's, and if the file was changed.
    pub fn read(
        &self,
        each: &mut dyn FnMut(Seq, &[u8]) -> ControlFlow<()>,
    ) -> Result<u64, SpoolError> {
        let file = File::open(&self.path)?;
        let mut batches = behind_header(&file, self.length)?;
        let (next, offset) = *lock(&self.next);
        let begin = if next == self.from { offset } else { FILE_HEADER };
        batches.seek(SeekFrom::Start(begin))?;
        let mut end = begin;
        walk(batches, self.length.saturating_sub(begin), &mut |seq, value| {
            end += (HEADER + value.len()) as u64;
            if seq < self.from {
                return ControlFlow::Continue(());
            }
            let flow = each(seq, value);
            *lock(&self.next) = (seq + 1, end);
            flow
        })?;
        Ok(end - begin)
    }
}

fn file_header() -> [u8; FILE_HEADER as usize] {
    let mut bytes = [0; FILE_HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32::of(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Checks the header of a file that has `length` bytes, and returns a reader of the batches behind it.
fn behind_header(file: &File, length: u64) -> Result<BufReader<&File>, SpoolError> {
    let mut file = BufReader::with_capacity(READ, file);
    let mut header = [0; FILE_HEADER as usize];
    if length < FILE_HEADER {
        return Err(SpoolError::Damaged("the file ends inside its header"));
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut header)?;
    if header != file_header() {
        return Err(SpoolError::Damaged("not a spool of this version: its header is wrong"));
    }
    Ok(file)
}

/// Calls `each` with the batches in the next `left` bytes of a file until it breaks.
fn walk(
    mut file: BufReader<&File>,
    mut left: u64,
    each: &mut dyn FnMut(Seq, &[u8]) -> ControlFlow<()>,
) -> Result<(), SpoolError> {
    let (mut last, mut value) = (None, Vec::new());
    while left > 0 {
        let mut header = [0; HEADER];
        if left < HEADER as u64 {
            return Err(SpoolError::Damaged("the file ends inside a batch"));
        }
        file.read_exact(&mut header)?;
        left -= HEADER as u64;
        let (bytes, seq) = (u32_at(&header, 0) as usize, u64_at(&header, 8));
        if bytes as u64 > left || bytes > MOST_VALUE {
            return Err(SpoolError::Damaged("the file ends inside a batch"));
        }
        value.resize(bytes, 0);
        file.read_exact(&mut value)?;
        left -= bytes as u64;
        if checksum(&header, &value) != u32_at(&header, 4) {
            return Err(SpoolError::Damaged("a batch has a wrong checksum"));
        }
        if last.is_some_and(|last: Seq| last.checked_add(1) != Some(seq)) {
            return Err(SpoolError::Damaged("a batch is missing"));
        }
        last = Some(seq);
        if each(seq, &value).is_break() {
            break;
        }
    }
    Ok(())
}
