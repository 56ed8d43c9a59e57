//! Why an insertion failed.

use crate::api::failure::Failure;
use crate::error::{Busy, TryInsertError};

/// The cause of a failed insertion: the error without the key and value that it hands back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    Busy,
    Alloc,
    TooLong,
    Stalled { readers: usize },
}

impl Cause {
    /// Returns the error of an insertion that failed, with the caller's key and value.
    pub(crate) fn hand_back<K, V>(self, key: K, value: V) -> TryInsertError<K, V> {
        match self {
            Self::Busy => TryInsertError::Busy { key, value },
            Self::Alloc => TryInsertError::Alloc { key, value },
            Self::TooLong => TryInsertError::TooLong { key, value },
            Self::Stalled { readers } => TryInsertError::Stalled { key, value, readers },
        }
    }
}

/// A failed insertion: the cause, and the key and the value that the map did not store.
pub(crate) type RefusedInsert<K, V> = (Cause, K, V);

/// Returns the error of a failed insertion.
pub(crate) fn into_error<K, V>((why, key, value): RefusedInsert<K, V>) -> TryInsertError<K, V> {
    why.hand_back(key, value)
}

impl From<Busy> for Cause {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::Alloc => Self::Alloc,
        }
    }
}
