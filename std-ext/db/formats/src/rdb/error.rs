//! Why a file is not read.

use std::error::Error;
use std::fmt;
use std::io;

/// The reason why a file in Redis's format is not read to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum RdbError {
    /// The system's error.
    Io(io::Error),
    /// The bytes end before the file does.
    Truncated {
        /// How many bytes there are.
        offset: u64,
    },
    /// The bytes are not of this format.
    Damaged {
        /// The bytes before the damage.
        offset: u64,
        /// The fault.
        why: &'static str,
    },
    /// The file is of a version that this program does not know.
    Version(u16),
    /// The value of a key has a type that this program does not know, so it cannot find the end of the value.
    UnknownType {
        /// The number of the type.
        number: u8,
        /// The bytes before it.
        offset: u64,
    },
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "{why}"),
            Self::Truncated { offset } => {
                write!(f, "the file ends after {offset} bytes, before its end mark")
            }
            Self::Damaged { offset, why } => write!(f, "damaged at byte {offset}: {why}"),
            Self::Version(version) => write!(
                f,
                "version {version} of the RDB format is not supported; the newest supported is {}, and that of \
                 Valkey is {}",
                super::NEWEST_VERSION,
                super::VALKEY_VERSION
            ),
            Self::UnknownType { number, offset } => write!(
                f,
                "the value at byte {offset} has the unknown type {number}, so the rest cannot be read"
            ),
        }
    }
}

impl Error for RdbError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(why) => Some(why),
            _ => None,
        }
    }
}

impl From<io::Error> for RdbError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}
