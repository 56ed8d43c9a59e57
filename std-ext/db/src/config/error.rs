//! Why settings cannot be used.

use super::source::{Bad, Place};
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
    Form(Place, &'static str),
    /// There is no such setting.
    Unknown {
        /// Where it was given.
        place: Place,
        /// Its name.
        name: String,
        /// The one that may have been meant.
        meant: Option<&'static str>,
    },
    /// A setting does not take this value.
    Wrong {
        /// Where it was given.
        place: Place,
        /// The setting.
        name: &'static str,
        /// The value.
        value: String,
        /// What would be right.
        wanted: String,
    },
    /// Settings that do not go together.
    Contrary(String),
}

impl From<Bad> for ConfigError {
    fn from((place, why): Bad) -> Self {
        Self::Form(place, why)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, why) => write!(f, "{} cannot be read: {why}", path.display()),
            Self::Form(place, why) => write!(f, "{place}: {why}"),
            Self::Unknown { place, name, meant } => {
                write!(f, "{place}: there is no setting '{name}'")?;
                match meant {
                    Some(meant) => write!(f, "; did you mean '{meant}'?"),
                    None => f.write_str("; --help shows all"),
                }
            }
            Self::Wrong { place, name, value, wanted } => {
                write!(f, "{place}: '{value}' is no value for {name}, which takes {wanted}")
            }
            Self::Contrary(why) => f.write_str(why),
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
