//! The error of opening a database.

use crate::log::api::Lsn;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

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
        /// The reason why it is invalid.
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
    /// A database has keys, and there will be no database of its number.
    NoSuchDatabase {
        /// The folder.
        folder: PathBuf,
        /// The number of the last such database.
        database: u16,
        /// The number of databases that there will be.
        databases: u16,
    },
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
            Self::NoSuchDatabase { folder, database, databases: 1 } => write!(
                f,
                "{} has keys in database {database}, but there is only database 0 here (as in every cluster)",
                folder.display()
            ),
            Self::NoSuchDatabase { folder, database, databases } => write!(
                f,
                "{} has keys in database {database}, but `databases` is {databases}: set it to {} or more, or move \
                 the keys first",
                folder.display(),
                database + 1
            ),
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
