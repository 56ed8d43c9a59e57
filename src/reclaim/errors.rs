//! Why something was not inserted.

use crate::api::failure::Failure;
use crate::error::{Busy, TryInsertError};

/// The error without what it hands back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    Busy,
    Alloc,
    TooLong,
    Stalled { readers: usize },
}

impl Why {
    pub(crate) fn of<K, V>(self, key: K, value: V) -> TryInsertError<K, V> {
        match self {
            Self::Busy => TryInsertError::Busy { key, value },
            Self::Alloc => TryInsertError::Alloc { key, value },
            Self::TooLong => TryInsertError::TooLong { key, value },
            Self::Stalled { readers } => TryInsertError::Stalled { key, value, readers },
        }
    }
}

impl From<Busy> for Why {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<Failure> for Why {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::Alloc => Self::Alloc,
        }
    }
}
