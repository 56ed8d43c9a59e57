//! The errors of maps that allocate.

use core::error::Error;
use core::fmt;

/// Why [`FlatMap::try_insert`](crate::FlatMap::try_insert), or another method that may insert but neither
/// waits nor aborts, did not. It hands key and value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryInsertError<K, V> {
    /// Inserting would have meant waiting. Try again, from outside the interrupt if need be.
    Busy {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// The allocator has no memory for another entry, or line of entries.
    Alloc {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
}

impl<K, V> TryInsertError<K, V> {
    /// The key and value that were not inserted.
    ///
    /// ```
    /// # use hedgerow::flat::TryInsertError;
    /// assert_eq!(TryInsertError::Busy { key: 1, value: 'a' }.into_parts(), (1, 'a'));
    /// ```
    pub fn into_parts(self) -> (K, V) {
        match self {
            Self::Busy { key, value } | Self::Alloc { key, value } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for TryInsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy { .. } => "the key's bin is being written",
            Self::Alloc { .. } => "no memory for another entry",
        })
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for TryInsertError<K, V> {}

/// Why memory could not be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryReserveError {
    /// The capacity asked for cannot be addressed.
    CapacityOverflow,
    /// The allocator has not got it.
    Alloc,
}

impl fmt::Display for TryReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CapacityOverflow => "capacity overflow",
            Self::Alloc => "memory allocation failed",
        })
    }
}

impl Error for TryReserveError {}
