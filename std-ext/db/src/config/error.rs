//! Why settings cannot be used.

use super::source::{Origin, SyntaxError};
use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

/// What is wrong with the settings.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    File(PathBuf, io::Error),
    /// It is not written as settings are.
    Syntax(Origin, &'static str),
    /// There is no such setting.
    Unknown {
        /// Where it was given.
        origin: Origin,
        /// Its name.
        name: String,
        /// The one that may have been meant.
        suggestion: Option<&'static str>,
    },
    /// A setting does not take this value.
    InvalidValue {
        /// Where it was given.
        origin: Origin,
        /// The setting.
        name: &'static str,
        /// The value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// Settings that do not go together.
    Conflict(String),
}

impl From<SyntaxError> for ConfigError {
    fn from((origin, why): SyntaxError) -> Self {
        Self::Syntax(origin, why)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, why) => write!(f, "{} cannot be read: {why}", path.display()),
            Self::Syntax(origin, why) => write!(f, "{origin}: {why}"),
            Self::Unknown { origin, name, suggestion } => {
                write!(f, "{origin}: there is no setting '{name}'")?;
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean '{suggestion}'?"),
                    None => f.write_str("; --help shows all"),
                }
            }
            Self::InvalidValue { origin, name, value, expected } => {
                write!(f, "{origin}: '{value}' is no value for {name}, which takes {expected}")
            }
            Self::Conflict(why) => f.write_str(why),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(_, why) => Some(why),
            _ => None,
        }
    }
}
