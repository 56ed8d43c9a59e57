//! Errors of etcd, with the outcome of the request and advice.

use std::error::Error;
use std::fmt;
use tonic::{Code, Status};

/// Whether a request that failed may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The request had no effect, and never will.
    NotDone,
    /// The request may have taken effect, or may still take effect.
    Unknown,
}

/// The reason of an error.
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
    /// The database's quota is used up. The request that uses it up takes effect; those after it do not.
    NoSpace,
    /// The request is larger than etcd takes.
    TooLarge,
    /// etcd has too many requests to complete.
    TooManyRequests,
    /// The user may not do this.
    PermissionDenied,
    /// etcd does not accept the user, or wants one.
    AuthenticationFailed,
    /// The user's token has expired, and a new one did not help.
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

impl ErrorKind {
    /// Returns whether a request with this error may have taken effect.
    pub fn outcome(self) -> CallOutcome {
        if self.unknown().is_some() { CallOutcome::Unknown } else { CallOutcome::NotDone }
    }

    /// Returns what went wrong and what to do about it.
    fn texts(self) -> (&'static str, &'static str) {
        self.unknown().unwrap_or_else(|| self.definite())
    }

    /// Returns the texts of an error after which the outcome is unknown.
    fn unknown(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::TimedOut => {
                ("no answer in time", "check the load, the disks and the network of etcd")
            }
            Self::Unavailable => {
                ("the request was not completed", "check etcd's members and their network")
            }
            Self::NoLeader => (
                "the member has no leader",
                "check that most members of etcd are running and can reach each other",
            ),
            Self::InvalidAnswer => ("the response is invalid", "check that the address is etcd's"),
            // etcd applies the request that passes the quota before it answers with this.
            Self::NoSpace => (
                "the quota of etcd's database is used up",
                "compact and defragment etcd or raise --quota-backend-bytes, then run `etcdctl alarm disarm`",
            ),
            Self::ClusterIdMismatch => (
                "the endpoints belong to different clusters of etcd",
                "list the members of one cluster",
            ),
            Self::RevisionWentBack { .. } => (
                "etcd's revision went back",
                "etcd was restored from a backup, which lacks acknowledged changes: run `hedgerow-db cluster adopt`",
            ),
            _ => return None,
        })
    }

    /// Returns the texts of any other error.
    fn definite(self) -> (&'static str, &'static str) {
        match self {
            Self::Settings => ("the settings cannot be used", "correct them"),
            Self::Unreachable => (
                "no connection",
                "check that etcd runs, and that its addresses and certificates are right",
            ),
            Self::TooLarge => (
                "the request is larger than etcd accepts",
                "set etcd's --max-request-bytes to its default of 1572864 or more",
            ),
            Self::TooManyRequests => (
                "etcd has too many requests to complete",
                "check etcd's disks, and let nothing else use this etcd",
            ),
            Self::PermissionDenied => (
                "the user lacks a permission",
                "grant the user's role the permission to read and write the cluster's prefix",
            ),
            Self::AuthenticationFailed => (
                "etcd does not accept the user",
                "set the name and the password of a user that etcd knows",
            ),
            Self::InvalidAuthToken => (
                "etcd does not accept the token that it gave",
                "give all members of etcd the same --auth-token",
            ),
            Self::Compacted { .. } => ("the revision was compacted", "read the newest revision"),
            Self::FutureRevision => {
                ("the revision does not exist yet", "check whether etcd was restored from a backup")
            }
            Self::LeaseNotFound => ("the lease has ended", "grant a new one"),
            Self::Corrupt => (
                "etcd found that its members' data differ",
                "replace the corrupt member as described in etcd's documentation",
            ),
            Self::VersionTooOld => ("etcd's version is too old", "install etcd 3.5.16 or later"),
            _ => ("etcd rejects the request", "report this: the database made an invalid request"),
        }
    }

    /// Returns whether another endpoint may do better.
    pub(super) fn moves_on(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::TimedOut
                | Self::Unavailable
                | Self::NoLeader
                | Self::InvalidAnswer
                | Self::Corrupt
        )
    }

    /// Returns whether the same read may succeed a moment later.
    pub(super) fn is_transient(self) -> bool {
        match self {
            Self::TooManyRequests => true,
            // The same answer would come again.
            Self::InvalidAnswer => false,
            kind => kind.moves_on(),
        }
    }

    /// Returns whether a new token may help.
    pub(super) fn wants_token(self) -> bool {
        matches!(self, Self::InvalidAuthToken | Self::AuthenticationFailed)
    }
}

/// An error of etcd, or on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdError {
    kind: ErrorKind,
    endpoint: String,
    detail: String,
}

impl EtcdError {
    pub(crate) fn new(kind: ErrorKind, endpoint: &str, detail: impl Into<String>) -> Self {
        Self { kind, endpoint: endpoint.into(), detail: detail.into() }
    }

    /// Returns the error that a status of gRPC stands for.
    pub(super) fn of_status(endpoint: &str, status: &Status) -> Self {
        let (code, text) = (status.code(), status.message());
        // An error of the client's side of gRPC says nothing about etcd's answer.
        // tonic attaches a source to its own errors only.
        let local = Error::source(status).is_some();
        let kind = if local { None } else { of_text(text) };
        let kind = kind.unwrap_or_else(|| match code {
            Code::DeadlineExceeded => ErrorKind::TimedOut,
            // tonic reports an elapsed time limit so.
            Code::Cancelled if text.contains("Timeout expired") => ErrorKind::TimedOut,
            // A message of etcd's that is not in the table, with a code that etcd uses for invalid requests.
            Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
                if !local && text.starts_with(PREFIX) =>
            {
                ErrorKind::Rejected
            }
            Code::OutOfRange if text.contains("message length too large") => {
                ErrorKind::InvalidAnswer
            }
            _ => ErrorKind::Unavailable,
        });
        let mut detail = if text.is_empty() { format!("{code:?}") } else { text.to_owned() };
        if let Some(source) = Error::source(status) {
            detail = format!("{detail}: {}", chain(source));
        }
        Self::new(kind, endpoint, detail)
    }

    /// Returns the error that the reason of a cancelled watch stands for.
    pub(super) fn of_reason(endpoint: &str, reason: &str) -> Self {
        Self::new(of_text(reason).unwrap_or(ErrorKind::Unavailable), endpoint, reason)
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the request may have taken effect.
    pub fn outcome(&self) -> CallOutcome {
        self.kind.outcome()
    }

    /// Returns whether the message of etcd contains a text.
    pub(super) fn says(&self, text: &str) -> bool {
        self.detail.contains(text)
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, advice) = self.kind.texts();
        f.write_str("etcd")?;
        if !self.endpoint.is_empty() {
            write!(f, " at {}", self.endpoint)?;
        }
        write!(f, ": {what}")?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        write!(f, "; {advice}")
    }
}

impl Error for EtcdError {}

/// How etcd's own messages begin.
const PREFIX: &str = "etcdserver: ";

/// etcd's messages, without their prefix (`api/v3rpc/rpctypes/error.go`).
const TEXTS: &[(&str, ErrorKind)] = &[
    ("mvcc: required revision has been compacted", ErrorKind::Compacted { revision: None }),
    ("mvcc: required revision is a future revision", ErrorKind::FutureRevision),
    ("mvcc: database space exceeded", ErrorKind::NoSpace),
    ("requested lease not found", ErrorKind::LeaseNotFound),
    ("request is too large", ErrorKind::TooLarge),
    ("too many requests", ErrorKind::TooManyRequests),
    ("permission denied", ErrorKind::PermissionDenied),
    ("authentication failed, invalid user ID or password", ErrorKind::AuthenticationFailed),
    ("user name is empty", ErrorKind::AuthenticationFailed),
    ("invalid auth token", ErrorKind::InvalidAuthToken),
    ("revision of auth store is old", ErrorKind::InvalidAuthToken),
    ("corrupt cluster", ErrorKind::Corrupt),
    ("cluster ID mismatch", ErrorKind::ClusterIdMismatch),
    ("no leader", ErrorKind::NoLeader),
    ("not leader", ErrorKind::NoLeader),
    ("leader changed", ErrorKind::NoLeader),
    ("request timed out", ErrorKind::TimedOut),
    ("request timed out, possibly due to previous leader failure", ErrorKind::TimedOut),
    ("request timed out, possibly due to connection lost", ErrorKind::TimedOut),
    ("request timed out, waiting for the applied index took too long", ErrorKind::TimedOut),
    ("context deadline exceeded", ErrorKind::TimedOut),
    ("unhealthy cluster", ErrorKind::Unavailable),
    ("server stopped", ErrorKind::Unavailable),
    ("request canceled", ErrorKind::Unavailable),
    ("not capable", ErrorKind::Unavailable),
    ("rpc not supported for learner", ErrorKind::Unavailable),
];

/// Returns the kind of error that a message of etcd's stands for, if it is in the table.
fn of_text(text: &str) -> Option<ErrorKind> {
    // The reason of a cancelled watch is a printed status: "rpc error: code = X desc = TEXT".
    let text = text.split_once(" desc = ").map_or(text, |(_, text)| text);
    // gRPC's limit of etcd's server is a little above etcd's own.
    if text.starts_with("grpc: received message larger than max") {
        return Some(ErrorKind::TooLarge);
    }
    let text = text.strip_prefix(PREFIX).or_else(|| text.starts_with("mvcc: ").then_some(text))?;
    TEXTS.iter().find(|(known, _)| *known == text).map(|&(_, kind)| kind)
}

/// Returns an error's text and those of its causes.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Several layers report the same.
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_etcd_have_kinds() {
        for &(text, kind) in TEXTS {
            let text = format!("{PREFIX}{text}");
            let error = EtcdError::of_status("e", &Status::new(Code::Unknown, &text));
            assert_eq!(error.kind(), kind, "{text}");
            let reason = format!("rpc error: code = X desc = {text}");
            assert_eq!(EtcdError::of_reason("e", &reason).kind(), kind, "{reason}");
        }
        let reason = EtcdError::of_reason("e", "mvcc: required revision has been compacted");
        assert_eq!(reason.kind(), ErrorKind::Compacted { revision: None });
        let long = "grpc: received message larger than max (2098205 vs. 2097152)";
        let error = EtcdError::of_status("e", &Status::resource_exhausted(long));
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn unknown_messages_are_unknown_outcomes() {
        use CallOutcome::{NotDone, Unknown};
        for (code, text, outcome) in [
            (Code::Unknown, "raft proposal dropped", Unknown),
            (Code::Unknown, "etcdserver: something new", Unknown),
            (Code::Internal, "etcdserver: something new", Unknown),
            (Code::InvalidArgument, "etcdserver: duplicate key given in txn request", NotDone),
            (Code::InvalidArgument, "a proxy does not like this", Unknown),
            (Code::Unimplemented, "unknown service etcdserverpb.KV", Unknown),
            (Code::ResourceExhausted, "trying to send message larger than max (9 vs. 8)", Unknown),
            (Code::DeadlineExceeded, "", Unknown),
            (Code::Unavailable, "tcp connect error", Unknown),
            (Code::Cancelled, "Timeout expired", Unknown),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Unknown),
        ] {
            let error = EtcdError::of_status("e", &Status::new(code, text));
            assert_eq!(error.outcome(), outcome, "an unknown outcome is told as definite: {error}");
        }
    }

    #[test]
    fn answers_that_are_too_large_are_unknown_outcomes() {
        let text = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        let error = EtcdError::of_status("e", &Status::out_of_range(text));
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::InvalidAnswer, CallOutcome::Unknown)
        );
    }

    #[test]
    fn errors_say_what_to_do() {
        let kinds = TEXTS.iter().map(|&(_, kind)| kind).chain([
            ErrorKind::Settings,
            ErrorKind::Unreachable,
            ErrorKind::Unavailable,
            ErrorKind::InvalidAnswer,
            ErrorKind::RevisionWentBack { seen: 9, found: 7 },
            ErrorKind::VersionTooOld,
            ErrorKind::Rejected,
        ]);
        for kind in kinds {
            let text = EtcdError::new(kind, "http://e:1", "why").to_string();
            let (says, advice) = text.rsplit_once("; ").unwrap();
            assert!(says.starts_with("etcd at http://e:1: ") && says.ends_with(" (why)"), "{text}");
            assert!(!advice.is_empty(), "{text}");
        }
        assert_eq!(
            EtcdError::new(ErrorKind::LeaseNotFound, "", "").to_string(),
            "etcd: the lease has ended; grant a new one",
        );
    }
}
