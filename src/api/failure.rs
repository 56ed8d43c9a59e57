//! Why an operation of a growing map stopped, before a public method turns it into its own error.

use crate::error::{TryError, TryInsertError};
use crate::memory::AllocError;
use crate::sync::backoff::WouldWait;

/// The reason why an operation stopped. It has changed nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The operation would have had to wait, and its caller may not wait.
    Busy,
    /// The allocator has no memory.
    Alloc,
}

impl Failure {
    /// Returns the error of an insertion that stopped, with the caller's key and value.
    pub(crate) fn hand_back<K, V>(self, key: K, value: V) -> TryInsertError<K, V> {
        match self {
            Self::Busy => TryInsertError::Busy { key, value },
            Self::Alloc => TryInsertError::Alloc { key, value },
        }
    }
}

impl From<WouldWait> for Failure {
    fn from(_: WouldWait) -> Self {
        Self::Busy
    }
}

impl From<AllocError> for Failure {
    fn from(_: AllocError) -> Self {
        Self::Alloc
    }
}

impl From<Failure> for TryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::Alloc => Self::Alloc,
        }
    }
}
