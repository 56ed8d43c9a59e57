//! Why a command failed.

use crate::etcd::EtcdError;
use crate::membership::error::StartError;
use crate::peer::PeerError;
use std::error::Error;
use std::fmt;

/// Why a command failed: a sentence that says what is wrong and what to do.
#[derive(Debug)]
pub(crate) struct AdminError(String);

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for AdminError {}

impl From<String> for AdminError {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<EtcdError> for AdminError {
    fn from(why: EtcdError) -> Self {
        Self(why.to_string())
    }
}

impl From<StartError> for AdminError {
    fn from(why: StartError) -> Self {
        Self(why.to_string())
    }
}

impl From<PeerError> for AdminError {
    fn from(why: PeerError) -> Self {
        Self(why.to_string())
    }
}
