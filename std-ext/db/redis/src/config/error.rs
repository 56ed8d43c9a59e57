//! Errors in the configuration.

use super::source::{SettingOrigin, SyntaxError};
use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

/// An error in the configuration.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    File(PathBuf, io::Error),
    /// A line, a variable or a flag has the wrong syntax.
    Syntax(SettingOrigin, &'static str),
    /// There is no such setting.
    Unknown {
        /// Where it was given.
        origin: SettingOrigin,
        /// The unknown name.
        name: String,
        /// A setting with a similar name.
        suggestion: Option<&'static str>,
    },
    /// The value is invalid for the setting.
    InvalidValue {
        /// Where it was given.
        origin: SettingOrigin,
        /// The setting.
        name: &'static str,
        /// The invalid value.
        value: String,
        /// The expected values.
        expected: String,
    },
    /// Settings contradict each other.
    Conflict(String),
    /// The words of a command are wrong.
    Usage(String),
}

/// Refuses settings that contradict each other, and says why.
pub(super) fn conflict(why: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Conflict(why.to_owned()))
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
                write!(f, "{origin}: unknown setting '{name}'")?;
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean '{suggestion}'?"),
                    None => f.write_str("; --help lists all"),
                }
            }
            Self::InvalidValue { origin, name, value, expected } => {
                write!(f, "{origin}: invalid value '{value}' for {name}: expected {expected}")
            }
            Self::Conflict(why) | Self::Usage(why) => f.write_str(why),
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
