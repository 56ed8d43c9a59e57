//! The errors of the log and of opening a database.

use crate::log::api::Lsn;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the log rejected an operation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LogError {
    /// A write failed. The log retries it.
    Write(Arc<io::Error>),
    /// `fdatasync` failed. Nobody can know what reached the disk, so the log rejects changes until the database is
    /// opened again.
    Sync(Arc<io::Error>),
    /// This segment was removed or replaced, so recovery would not find what is written to it. The log rejects changes
    /// until the database is opened again.
    Gone(PathBuf),
    /// The change was undone because the log could not be written, or a change of the same request was.
    RolledBack,
    /// The log was closed.
    Closed,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(why) => write!(f, "the log cannot be written: {why}"),
            Self::Sync(why) => write!(f, "the log cannot be synced to the disk: {why}"),
            Self::Gone(file) => {
                write!(f, "the log segment {} was removed or replaced", file.display())
            }
            Self::RolledBack => f.write_str("the change was undone: the log cannot be written"),
            Self::Closed => f.write_str("the log is closed"),
        }
    }
}

impl Error for LogError {}

/// Why a database cannot be opened: its log or its snapshot cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The system returned an error for this file.
    Io(PathBuf, io::Error),
    /// A file contains other bytes than were written and synced.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The offset of the first invalid entry or block.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Entries are missing between two segments.
    Gap {
        /// The segment after the gap.
        file: PathBuf,
        /// The number that the next entry should have.
        wanted: Lsn,
        /// The number that it has.
        found: Lsn,
    },
    /// Entries are missing that had been synced, as the manifest says.
    Lost {
        /// The segment that is missing or ends early.
        file: PathBuf,
        /// The last entry that is there, or None if the file is missing.
        found: Option<Lsn>,
        /// An entry that had been synced.
        wanted: Lsn,
    },
    /// Another process has the folder open.
    InUse(PathBuf),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(file, why) => write!(f, "{}: {why}", file.display()),
            Self::Damaged { file, offset, why } => {
                write!(f, "{} is damaged at byte {offset}: {why}", file.display())
            }
            Self::Gap { file, wanted, found } => {
                write!(
                    f,
                    "{} begins with entry {found}, but entry {wanted} is missing before it",
                    file.display()
                )
            }
            Self::Lost { file, found: None, .. } => {
                write!(f, "{} is missing, which the manifest lists", file.display())
            }
            Self::Lost { file, found: Some(found), wanted } => {
                write!(
                    f,
                    "{} ends with entry {found}, but entry {wanted} had been synced",
                    file.display()
                )
            }
            Self::InUse(folder) => write!(f, "{} is in use by another process", folder.display()),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(_, why) => Some(why),
            _ => None,
        }
    }
}
