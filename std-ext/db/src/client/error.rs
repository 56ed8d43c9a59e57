//! Errors of both clients.

use hedgerow_db_formats::resp::read::{Malformed, Reply};
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// The result of a request.
pub(crate) type Result<T> = std::result::Result<T, ClientError>;

/// Why a request failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection failed. It is unknown whether the request was executed.
    Io(io::Error),
    /// The server sent malformed RESP.
    Malformed(Malformed),
    /// The server replied this error.
    Server(String),
    /// The server sent a reply that the command does not have.
    Unexpected(Reply),
    /// No node of the cluster executed the request within the limits. Only a
    /// [`ClusterClient`](super::ClusterClient) returns this error.
    Unavailable(Unavailable),
}

impl From<io::Error> for ClientError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "the connection failed: {why}"),
            Self::Malformed(why) => why.fmt(f),
            Self::Server(why) => f.write_str(why),
            Self::Unexpected(reply) => write!(f, "unexpected reply: {reply:?}"),
            Self::Unavailable(why) => why.fmt(f),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(why) => Some(why),
            Self::Malformed(why) => Some(why),
            Self::Unavailable(why) => Some(why),
            Self::Server(_) | Self::Unexpected(_) => None,
        }
    }
}

/// A request that certainly no node of a cluster has executed, and the attempts that were made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unavailable {
    /// The number of attempts.
    pub attempts: u32,
    /// The time from the first attempt to the last.
    pub elapsed: Duration,
    /// The last attempts, in their order.
    pub last: Vec<Attempt>,
}

/// An attempt to let a node execute a request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The host and port of the node.
    pub node: String,
    /// Why the node did not execute the request. An [`Io`](ClientError::Io) here means that the request was not sent.
    pub error: ClientError,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, elapsed, last } = self;
        let plural = if *attempts == 1 { "" } else { "s" };
        write!(f, "no node executed the request in {attempts} attempt{plural} and {elapsed:.1?}")?;
        if usize::try_from(*attempts).is_ok_and(|attempts| attempts > last.len()) {
            f.write_str("; the last")?;
        }
        let mut before = ": ";
        for Attempt { node, error } in last {
            write!(f, "{before}{node}: {error}")?;
            before = "; ";
        }
        Ok(())
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.last.last().map(|attempt| &attempt.error as _)
    }
}
