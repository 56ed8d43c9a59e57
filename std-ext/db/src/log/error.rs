//! The errors of the log and of opening a database.

use crate::log::api::Lsn;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the log does not do what it was asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LogError {
    /// The system refused to write. It is tried again.
    Write(Arc<io::Error>),
    /// The system failed to force data to the disk. What became of it nobody can know, so the log takes nothing more
    /// until it is opened again.
    Sync(Arc<io::Error>),
    /// This file of the log was removed or replaced, so what is written to it will not be found. The log takes nothing
    /// more until it is opened again.
    Gone(PathBuf),
    /// The change, or one of those that it was asked with, was undone, because the log could not be written.
    RolledBack,
    /// The log was closed.
    Closed,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(why) => write!(f, "the log cannot be written: {why}"),
            Self::Sync(why) => write!(f, "the disk failed to keep the log: {why}"),
            Self::Gone(file) => write!(f, "the log is lost: {} was removed", file.display()),
            Self::RolledBack => f.write_str("the change was undone: the log cannot be written"),
            Self::Closed => f.write_str("the log is closed"),
        }
    }
}

impl Error for LogError {}

/// Why a log or snapshot cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The system refused.
    Io(PathBuf, io::Error),
    /// Bytes that are not as they were written, though they had been forced to the disk.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The place of the first entry that is no good.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry is missing between two parts.
    Gap {
        /// The part behind the gap.
        file: PathBuf,
        /// The entry that should follow.
        wanted: Lsn,
        /// The entry that does.
        found: Lsn,
    },
    /// Entries are gone that had been forced to the disk: the manifest of the folder says that they were there.
    Lost {
        /// The file that is missing or ends early.
        file: PathBuf,
        /// The last entry that is there; none where the file is missing.
        found: Option<Lsn>,
        /// An entry that was there.
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
                    "{} begins with entry {found}, but entry {wanted} comes next",
                    file.display()
                )
            }
            Self::Lost { file, found: None, .. } => {
                write!(f, "{} is missing, in which the log goes on", file.display())
            }
            Self::Lost { file, found: Some(found), wanted } => {
                write!(
                    f,
                    "{} ends with entry {found}, but the log had entry {wanted}",
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
