//! Why something was not done.

use crate::ask::Refusal;
use crate::log::LogError;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Why something was not done, or may not last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// It was refused, and nothing was changed.
    Refused(Refusal),
    /// The log failed: what was changed may not last.
    Log(LogError),
    /// A snapshot could not be written.
    Snapshot(Arc<std::io::Error>),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
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
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Log(why) => why.fmt(f),
            Self::Snapshot(why) => write!(f, "the snapshot cannot be written: {why}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Log(why) => Some(why),
            Self::Snapshot(why) => Some(&**why),
        }
    }
}
