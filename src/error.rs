//! The errors that all maps share.
//!
//! | error | returned when | hands back |
//! |---|---|---|
//! | [`Busy`] | a method that may not wait would have to | |
//! | [`TryReserveError`] | memory cannot be reserved, or its size cannot be addressed | |
//! | [`Full`] | a map of fixed size has no room for a new key | key and value |
//! | [`OccupiedError`] | a method that inserts only absent keys finds the key present | key and value |
//! | [`TryInsertError`] | a method that neither waits nor aborts did not insert | key and value |
//! | [`TryError`] | a `try_` method that inserts nothing would have to wait, or finds no memory | |
//!
//! Errors of a single map are in its module, for example [`compressed`](crate::compressed).
//! [`docs::api`](crate::docs::api) says which operation returns which error.

use core::error::Error;
use core::fmt;

/// The operation would have to wait, for another thread or for the code that an interrupt has interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would have to wait")
    }
}

impl Error for Busy {}

#[cfg(feature = "defmt")]
impl defmt::Format for Busy {
    // Inlined, so that a program without a logger links.
    #[inline]
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Busy");
    }
}

/// Memory could not be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryReserveError {
    /// The requested capacity cannot be addressed.
    CapacityOverflow,
    /// The allocator has no memory.
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

/// The operation would have to wait, or there is no memory. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryError {
    /// The operation would have to wait.
    Busy,
    /// The allocator has no memory.
    Alloc,
}

impl fmt::Display for TryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => Busy.fmt(f),
            Self::Alloc => TryReserveError::Alloc.fmt(f),
        }
    }
}

impl Error for TryError {}

impl From<Busy> for TryError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// A map of fixed size has no room for a new key. Hands key and value back.
///
/// ```
/// use hedgerow::{FlatTable, error::Full};
///
/// let table = FlatTable::<u32, char, 1>::new();
/// let Full { key, value, .. } = (0..).find_map(|n| table.insert(n, 'a').err()).expect("it is small");
/// assert_eq!((key as usize, value), (table.capacity(), 'a'));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Full<K, V> {
    /// The key that was not inserted.
    pub key: K,
    /// The value that was not inserted.
    pub value: V,
}

impl<K, V> Full<K, V> {
    /// Returns the key and the value that were not inserted.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, char, 1>::new();
    /// let full = (0..).find_map(|n| table.insert(n, 'a').err()).expect("it is small");
    /// assert_eq!(full.into_parts().1, 'a');
    /// ```
    pub fn into_parts(self) -> (K, V) {
        (self.key, self.value)
    }
}

impl<K, V> fmt::Display for Full<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the map has no room for the key")
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for Full<K, V> {}

/// The key is already present. Hands key and value back, with the `current` value.
///
/// In maps of plain data, `current` is a copy of the value that was found. In maps of owned data it is `()`; use
/// `get_or_insert_with` to borrow the value instead.
///
/// ```
/// let map: hedgerow::FlatMap<u32, char> = [(1, 'a')].into();
/// let occupied = map.insert_if_absent(1, 'b').unwrap_err();
/// assert_eq!((occupied.current, occupied.into_parts()), ('a', (1, 'b')));
/// assert_eq!(map.get(&1), Some('a'));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct OccupiedError<K, V, C = ()> {
    /// The key that was not inserted.
    pub key: K,
    /// The value that was not inserted.
    pub value: V,
    /// The value that the key has.
    pub current: C,
}

impl<K, V, C> OccupiedError<K, V, C> {
    pub(crate) fn new(key: K, value: V, current: C) -> Self {
        Self { key, value, current }
    }

    /// Returns the key and the value that were not inserted.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.insert_if_absent(1, 'b').unwrap_err().into_parts(), (1, 'b'));
    /// ```
    pub fn into_parts(self) -> (K, V) {
        (self.key, self.value)
    }
}

impl<K, T: Copy> OccupiedError<K, T, T> {
    /// Returns the result of `insert_if_absent`, which found `found`.
    pub(crate) fn unless_absent(found: Option<T>, key: K, value: T) -> Result<(), Self> {
        found.map_or(Ok(()), |current| Err(Self::new(key, value, current)))
    }
}

impl<K, V, C> fmt::Display for OccupiedError<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key has an entry already")
    }
}

impl<K: fmt::Debug, V: fmt::Debug, C: fmt::Debug> Error for OccupiedError<K, V, C> {}

/// An operation that neither waits nor aborts did not insert. Hands key and value back.
///
/// If the operation takes a closure for the value, `value` is an `Option`: `None` unless the closure was called.
///
/// ```
/// use hedgerow::{HashMap, error::TryInsertError};
///
/// let map = HashMap::<u32, String>::new();
/// map.set_pending_limit(Some(0));
/// let guard = hedgerow::owned::pin();
/// map.insert(7, "seven".into());
/// drop(map.remove(&7));
/// match map.try_insert(7, "VII".into()) {
///     Err(TryInsertError::Stalled { value, readers, .. }) => assert!(value == "VII" && readers > 0),
///     other => unreachable!("{other:?}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TryInsertError<K, V> {
    /// The operation would have to wait. Try again later: in an interrupt handler, after the handler has returned; in a
    /// destructor of an entry of the same map, after the destructor has returned.
    Busy {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// The allocator has no memory.
    Alloc {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// A map of fixed size has no room for a new key.
    Full {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// The key or the value is longer than the map takes: 2^32 - 1 bytes in a [`BytesMap`](crate::BytesMap).
    TooLong {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// More removed entries wait to be dropped than [`set_pending_limit`](crate::HashMap::set_pending_limit) allows,
    /// and readers may still hold them.
    #[non_exhaustive]
    Stalled {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
        /// The number of readers: [`stalled_readers`](crate::HashMap::stalled_readers) lists them.
        readers: usize,
    },
}

impl<K, V> TryInsertError<K, V> {
    /// Returns the key and the value that were not inserted.
    ///
    /// ```
    /// # use hedgerow::error::TryInsertError;
    /// assert_eq!(TryInsertError::Busy { key: 1, value: 'a' }.into_parts(), (1, 'a'));
    /// ```
    pub fn into_parts(self) -> (K, V) {
        match self {
            Self::Busy { key, value }
            | Self::Alloc { key, value }
            | Self::Full { key, value }
            | Self::TooLong { key, value }
            | Self::Stalled { key, value, .. } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for TryInsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy { .. } => "the insertion would have to wait",
            Self::Alloc { .. } => "no memory for another entry",
            Self::Full { .. } => "the map has no room for the key",
            Self::TooLong { .. } => "the key or the value is too long",
            Self::Stalled { readers, .. } => {
                return write!(f, "{readers} readers keep too many entries from being dropped");
            }
        })
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for TryInsertError<K, V> {}
