//! Why a node of a cluster cannot start.

use crate::etcd::EtcdError;
use hedgerow_db_engine::log::OpenError;
use std::error::Error;
use std::fmt;

/// Why a node of a cluster cannot start: a sentence that says what is wrong and what to do. Nothing was changed.
#[derive(Debug)]
pub struct StartError {
    text: String,
    source: Option<OpenError>,
}

impl StartError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), source: None }
    }

    /// Returns the error of opening the folder, if it was one.
    pub fn open_error(&self) -> Option<&OpenError> {
        self.source.as_ref()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<OpenError> for StartError {
    fn from(why: OpenError) -> Self {
        Self { text: why.to_string(), source: Some(why) }
    }
}

impl From<EtcdError> for StartError {
    fn from(why: EtcdError) -> Self {
        Self::new(why.to_string())
    }
}
