//! The errors of asking a peer.

use hedgerow_db_engine::log::{LogError, Lsn, OpenError};
use std::error::Error;
use std::fmt;
use std::io;
use tonic::{Code, Status};

/// Why a peer did not answer, or its answer was refused. The folder is as before.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerError {
    /// The address or the certificates cannot be used.
    Settings(String),
    /// The peer cannot be reached, or the connection broke.
    Unreachable(String),
    /// The peer refused, and says why.
    Refused(String),
    /// Nothing came for ten seconds.
    Silent,
    /// The peer belongs to another cluster, another group, or another incarnation of this one.
    OtherGroup(&'static str),
    /// The peer sent data that no peer sends.
    Invalid(&'static str),
    /// Entries are missing among those that the peer sent.
    Gap {
        /// The number that the next entry must have.
        wanted: Lsn,
        /// The number that it has.
        found: Lsn,
    },
    /// The snapshot that the peer sent is damaged.
    Damaged(OpenError),
    /// This node's own disk failed.
    Disk(io::Error),
    /// The caller gave up.
    GivenUp,
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(why) => f.write_str(why),
            Self::Unreachable(why) => write!(f, "the peer cannot be reached: {why}"),
            Self::Refused(why) => write!(f, "the peer refused: {why}"),
            Self::Silent => f.write_str("the peer sent nothing for 10 seconds"),
            Self::OtherGroup(why) => f.write_str(why),
            Self::Invalid(why) => write!(f, "the peer sent invalid data: {why}"),
            Self::Gap { wanted, found } => {
                write!(f, "the peer sent entry {found}, but entry {wanted} is next")
            }
            Self::Damaged(why) => write!(f, "the snapshot that the peer sent is damaged: {why}"),
            Self::Disk(why) => write!(f, "the peer's data cannot be written: {why}"),
            Self::GivenUp => f.write_str("fetching from the peer was abandoned"),
        }
    }
}

impl Error for PeerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Damaged(why) => Some(why),
            Self::Disk(why) => Some(why),
            _ => None,
        }
    }
}

impl From<io::Error> for PeerError {
    fn from(why: io::Error) -> Self {
        Self::Disk(why)
    }
}

impl From<LogError> for PeerError {
    fn from(why: LogError) -> Self {
        Self::Disk(io::Error::other(why))
    }
}

/// Returns the error for a status of the peer, or of the connection.
pub(super) fn status_error(status: &Status) -> PeerError {
    let text = status.message().to_owned();
    match status.code() {
        Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::InvalidArgument
        | Code::Unimplemented
        | Code::DataLoss => PeerError::Refused(text),
        Code::OutOfRange => PeerError::Invalid("a message is longer than the maximum"),
        Code::Internal if text.contains("decode") => {
            PeerError::Invalid("a message cannot be decoded")
        }
        // Also what a server calls unavailable: it may pass.
        _ => PeerError::Unreachable(text),
    }
}
