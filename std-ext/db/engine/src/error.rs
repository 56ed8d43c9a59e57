//! The error of the database's methods.

use crate::log::LogError;
use crate::request::RequestError;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Why an operation failed, or why its effect may be lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request failed, and nothing changed.
    Request(RequestError),
    /// The log failed: the change may be lost.
    Log(LogError),
    /// A key that a transaction has read was changed meanwhile. [`Db::transaction`](crate::Db::transaction) calls its
    /// closure again, and never returns this.
    Conflict,
    /// A snapshot could not be written.
    Snapshot(Arc<std::io::Error>),
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<LogError> for Error {
    fn from(why: LogError) -> Self {
        Self::Log(why)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Log(why) => why.fmt(f),
            Self::Conflict => f.write_str("a key that the transaction has read was changed"),
            Self::Snapshot(why) => write!(f, "the snapshot cannot be written: {why}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Log(why) => Some(why),
            Self::Conflict => None,
            Self::Snapshot(why) => Some(&**why),
        }
    }
}
