//! Why an operation of a growing map stopped, before a public method turns it into its own error.

use crate::error::TryError;
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
