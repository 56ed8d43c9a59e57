//! The errors that only `FenceMap` has.

use crate::table::Failure;
use core::error::Error;
use core::fmt;

/// Why [`FenceMap::try_range_into`](crate::FenceMap::try_range_into) did not copy a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRangeError {
    /// It would have meant waiting.
    Busy,
    /// There is no memory for the entries.
    Alloc,
}

impl From<Failure> for TryRangeError {
    fn from(why: Failure) -> Self {
        match why {
            Failure::Busy => Self::Busy,
            Failure::Alloc => Self::Alloc,
        }
    }
}

impl fmt::Display for TryRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the range is being written",
            Self::Alloc => "no memory for the entries of the range",
        })
    }
}

impl Error for TryRangeError {}

/// Why [`FenceMap::try_apply_batch`](crate::FenceMap::try_apply_batch) did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryBatchError {
    /// It would have meant waiting.
    Busy,
    /// There is no memory for the plan, or for a leaf.
    Alloc,
}

impl From<Failure> for TryBatchError {
    fn from(why: Failure) -> Self {
        match why {
            Failure::Busy => Self::Busy,
            Failure::Alloc => Self::Alloc,
        }
    }
}

impl fmt::Display for TryBatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "a leaf of the batch is being written",
            Self::Alloc => "no memory for the batch",
        })
    }
}

impl Error for TryBatchError {}
