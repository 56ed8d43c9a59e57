//! Errors of etcd, and what they say about the request.

use std::error::Error;
use std::fmt;

/// Whether a request that failed may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request had no effect, and never will.
    NotDone,
    /// The request may have taken effect, or may still take effect.
    Unknown,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings cannot be used.
    Settings,
    /// No endpoint accepted a connection.
    Unreachable,
    /// No answer arrived in time.
    TimedOut,
    /// The connection was lost, or the member could not complete the request.
    Unavailable,
    /// The member has no leader, or lost it.
    NoLeader,
    /// The member's answer makes no sense, or is too large.
    InvalidAnswer,
    /// The database's quota is used up.
    NoSpace,
    /// The request is larger than etcd takes.
    TooLarge,
    /// etcd has too many requests to complete.
    TooManyRequests,
    /// The user may not do this.
    PermissionDenied,
    /// etcd does not accept the user, or wants one.
    AuthenticationFailed,
    /// The token of the user has expired, and a new one did not help.
    InvalidAuthToken,
    /// The revision was compacted.
    Compacted {
        /// The oldest revision that is left, if etcd named it.
        revision: Option<u64>,
    },
    /// The revision does not exist yet.
    FutureRevision,
    /// The lease has expired or was revoked.
    LeaseNotFound,
    /// etcd found that its members' data differ.
    Corrupt,
    /// The endpoints belong to different clusters of etcd.
    ClusterIdMismatch,
    /// etcd's revision is less than one that it had before.
    RevisionWentBack {
        /// The revision that an earlier answer had.
        seen: u64,
        /// The revision of this answer.
        found: u64,
    },
    /// A member's version has faults that the database cannot live with.
    VersionTooOld,
    /// etcd rejects the request for another reason.
    Rejected,
}

/// An error of etcd, or on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdError {
    pub(super) kind: ErrorKind,
    pub(super) endpoint: String,
    pub(super) detail: String,
}

impl EtcdError {
    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the request may have taken effect.
    pub fn outcome(&self) -> Outcome {
        todo!()
    }

    /// Returns the endpoint that answered last, or an empty text.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd at {}: {}", self.endpoint, self.detail)
    }
}

impl Error for EtcdError {}
