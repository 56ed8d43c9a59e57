//! Why something was not inserted.

use crate::bins::types::Busy;
use crate::table::Failure;
use core::error::Error;
use core::fmt;

/// Why [`HashMap::try_insert`](crate::HashMap::try_insert) and its kin did not insert. It hands key and value
/// back; where a closure makes the value, that is None as long as the closure was not asked.
///
/// ```
/// use hedgerow::{HashMap, owned::{TryInsertError, pin}};
///
/// let map = HashMap::<u32, String>::new();
/// map.set_pending_limit(Some(0));
/// let guard = pin();
/// map.insert(7, "seven".into());
/// drop(map.remove(&7));
/// match map.try_insert(7, "VII".into()) {
///     Err(TryInsertError::Stalled { value, readers, .. }) => assert!(value == "VII" && readers > 0),
///     other => unreachable!("{other:?}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryInsertError<K, V> {
    /// Inserting would have meant waiting. Try again; but not within a destructor of an entry of the same map, which
    /// nothing above the limit is dropped in.
    Busy {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// The allocator has no memory for another entry, or for a guard.
    Alloc {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// Key or value is longer than the map takes: 2^32 - 1 bytes in a [`BytesMap`](crate::BytesMap).
    TooLong {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// More entries wait to be dropped than
    /// [`set_pending_limit`](crate::HashMap::set_pending_limit) allows, and readers may be looking at them.
    #[non_exhaustive]
    Stalled {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
        /// How many readers: those that [`stalled_readers`](crate::HashMap::stalled_readers) names.
        readers: usize,
    },
}

impl<K, V> TryInsertError<K, V> {
    /// The key and value that were not inserted.
    ///
    /// ```
    /// # use hedgerow::owned::TryInsertError;
    /// assert_eq!(TryInsertError::Busy { key: 1, value: 'a' }.into_parts(), (1, 'a'));
    /// ```
    pub fn into_parts(self) -> (K, V) {
        match self {
            Self::Busy { key, value }
            | Self::Alloc { key, value }
            | Self::TooLong { key, value }
            | Self::Stalled { key, value, .. } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for TryInsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy { .. } => "the key's bin is being written",
            Self::Alloc { .. } => "no memory for another entry",
            Self::TooLong { .. } => "key or value is too long",
            Self::Stalled { readers, .. } => {
                return write!(f, "{readers} readers keep too many entries from being dropped");
            }
        })
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for TryInsertError<K, V> {}

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
