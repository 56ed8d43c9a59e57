//! Reads entries of the local log back, for a peer.
//!
//! The log may be written meanwhile: only entries that are committed are read, so a part of an entry is never taken for
//! damage.

use super::error::LocalLogError;
use super::pins::Pin;
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::folder::{Folder, numbered_name};
use hedgerow_db_engine::log::frame::{FrameItem, SegmentReader};
use hedgerow_db_engine::log::{LOG, Log, Lsn, OpenError};
use std::path::PathBuf;
use std::sync::Arc;

/// An entry of the local log, with the mark in its changes if it is the first one of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRecord {
    /// The number of the entry.
    pub lsn: Lsn,
    /// The time at which it is applied.
    pub time: u64,
    /// Its changes, as bytes.
    pub changes: Vec<u8>,
}

/// Reads the entries of a local log in order, also those that are appended meanwhile. It keeps their segments until it
/// is dropped.
pub struct LocalRecords {
    log: Arc<FileLog>,
    segment: SegmentReader,
    path: PathBuf,
    /// The number of the next entry in the file.
    next: Lsn,
    /// The first entry that is returned.
    from: Lsn,
    /// The last entry that is known to be in the files wholly.
    committed: Lsn,
    pin: Option<Pin>,
}

impl LocalRecords {
    /// Opens the segment with the entry `from`.
    pub(super) fn open(log: Arc<FileLog>, from: Lsn) -> Result<Self, LocalLogError> {
        // Loaded before the file is opened: the file has these entries.
        let committed = log.committed();
        let firsts = log.folder().numbered(LOG)?;
        let Some(&first) = firsts.iter().rfind(|&&first| first <= from) else {
            let oldest = firsts.first().copied().unwrap_or(committed + 1);
            return Err(LocalLogError::Trimmed { wanted: from, oldest });
        };
        let (path, segment) = open(log.folder(), first)?;
        Ok(Self { log, segment, path, next: first, from, committed, pin: None })
    }

    pub(super) fn keeping(self, pin: Pin) -> Self {
        Self { pin: Some(pin), ..self }
    }

    /// Returns the number of the next entry.
    pub fn next_lsn(&self) -> Lsn {
        self.next.max(self.from)
    }

    /// Reads entries until their changes have `most_bytes` or more, and at least one. Returns none if there is no
    /// further one yet.
    ///
    /// # Errors
    /// If a segment is damaged, or cannot be read.
    pub fn read(&mut self, most_bytes: usize) -> Result<Vec<LocalRecord>, LocalLogError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < most_bytes || records.is_empty() {
            if self.next > self.committed && !self.refresh()? {
                break;
            }
            let io_error = |why| OpenError::Io(self.path.clone(), why);
            let offset = self.segment.at();
            match self.segment.next(self.next).map_err(io_error)? {
                FrameItem::Entry(_, lsn, time, changes) => {
                    self.next = lsn + 1;
                    if lsn >= self.from {
                        bytes += changes.len();
                        records.push(LocalRecord { lsn, time, changes: changes.to_vec() });
                    }
                }
                // The entry is committed, so the next segment begins with it.
                FrameItem::End => {
                    let (path, segment) = open(self.log.folder(), self.next)?;
                    if path == self.path {
                        let why = "the segment ends before an entry that was written";
                        return Err(OpenError::Damaged { file: path, offset, why }.into());
                    }
                    (self.path, self.segment) = (path, segment);
                }
                FrameItem::Invalid(why) => {
                    let file = self.path.clone();
                    return Err(OpenError::Damaged { file, offset, why }.into());
                }
            }
        }
        if let Some(pin) = &mut self.pin {
            pin.raise(self.next);
        }
        Ok(records)
    }

    /// Looks for entries that were committed since the last time. Returns whether there are any.
    fn refresh(&mut self) -> Result<bool, LocalLogError> {
        self.committed = self.log.committed();
        if self.next > self.committed {
            return Ok(false);
        }
        let path = &self.path;
        self.segment.refresh().map_err(|why| OpenError::Io(path.clone(), why))?;
        Ok(true)
    }
}

/// Opens the segment that begins with the entry `first`.
fn open(folder: &Folder, first: Lsn) -> Result<(PathBuf, SegmentReader), OpenError> {
    let path = folder.at(&numbered_name(LOG, first));
    let opened = folder.disk().read(&path).and_then(SegmentReader::new);
    match opened {
        Err(why) => Err(OpenError::Io(path, why)),
        Ok(Err(why)) => Err(OpenError::Damaged { file: path, offset: 0, why }),
        Ok(Ok(reader)) => Ok((path, reader)),
    }
}
