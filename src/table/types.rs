//! The small public types around the hash maps: decisions, answers, errors.

use core::error::Error;
use core::fmt;

/// What a closure given to [`FlatMap::compute`](crate::FlatMap::compute) wants done with the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<V> {
    /// Leave it as it is: present or absent.
    Keep,
    /// Store this value, whether or not there was one.
    Insert(V),
    /// Remove the entry, if there is one.
    Remove,
}

/// What [`FlatMap::compute`](crate::FlatMap::compute) found and what it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed<V> {
    /// The value before, if there was one.
    pub before: Option<V>,
    /// The value after, if there is one.
    pub after: Option<V>,
}

/// Returned where answering would have meant waiting for another thread, or for the code that an
/// interrupt has interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entry's bin is being written")
    }
}

impl Error for Busy {}

/// Why [`FlatMap::try_insert`](crate::FlatMap::try_insert) did not insert. It hands key and value back.
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
    /// Key or value is longer than the map takes: 2^32 - 1 bytes in a [`StrMap`](crate::StrMap).
    TooLong {
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
            Self::Busy { key, value }
            | Self::Alloc { key, value }
            | Self::TooLong { key, value } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for TryInsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy { .. } => "the key's bin is being written",
            Self::Alloc { .. } => "no memory for another entry",
            Self::TooLong { .. } => "key or value is too long",
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
