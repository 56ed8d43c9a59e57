//! The errors of the local log.

use hedgerow_db_engine::log::{LogError, Lsn, OpenError};
use std::error::Error;
use std::fmt;

/// Why the local log rejected an operation.
#[derive(Debug)]
#[non_exhaustive]
pub enum LocalLogError {
    /// An entry is missing before this one. Nothing was appended.
    Gap {
        /// The number that the next entry must have.
        wanted: Lsn,
        /// The number that it has.
        found: Lsn,
    },
    /// The folder's log failed. The node is no longer durable: it does not count as a holder of new entries.
    Log(LogError),
    /// The folder's files cannot be read.
    Read(OpenError),
    /// The entries were removed, because a snapshot contains them.
    Trimmed {
        /// The entry that was requested.
        wanted: Lsn,
        /// The first entry that is there.
        oldest: Lsn,
    },
}

impl fmt::Display for LocalLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { wanted, found } => {
                write!(f, "the local log needs entry {wanted} next, but got entry {found}")
            }
            Self::Log(why) => {
                write!(
                    f,
                    "this node's disk accepts no more entries, so this node does not count as a copy: {why}"
                )
            }
            Self::Read(why) => write!(f, "the local log cannot be read: {why}"),
            Self::Trimmed { wanted, oldest } => {
                write!(f, "the local log no longer has entry {wanted}; its first one is {oldest}")
            }
        }
    }
}

impl Error for LocalLogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Log(why) => Some(why),
            Self::Read(why) => Some(why),
            Self::Gap { .. } | Self::Trimmed { .. } => None,
        }
    }
}

impl From<LogError> for LocalLogError {
    fn from(why: LogError) -> Self {
        Self::Log(why)
    }
}

impl From<OpenError> for LocalLogError {
    fn from(why: OpenError) -> Self {
        Self::Read(why)
    }
}
