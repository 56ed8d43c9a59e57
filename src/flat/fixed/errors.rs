//! Why something was not inserted.

use core::error::Error;
use core::fmt;

/// There was no room for a new key; hands key and value back. From
/// [`FlatTable::insert`](super::FlatTable::insert) and the like.
///
/// ```
/// use hedgerow::{FlatTable, flat::Full};
///
/// let table = FlatTable::<u32, char, 1>::new();
/// let Full { key, value, .. } = (0..).find_map(|n| table.insert(n, 'a').err()).expect("it is small");
/// assert_eq!((key as usize, value), (table.capacity(), 'a'));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Full<K, V> {
    /// The key that was not inserted.
    pub key: K,
    /// The value that was not inserted.
    pub value: V,
}

impl<K, V> fmt::Display for Full<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room for the key")
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for Full<K, V> {}

/// Why [`FlatTable::try_insert`](super::FlatTable::try_insert) did not insert. It hands key and value
/// back.
///
/// ```
/// use hedgerow::{FlatTable, flat::NotInserted};
///
/// let table = FlatTable::<u32, char, 1>::new();
/// let why = (0..).find_map(|n| table.try_insert(n, 'a').err()).expect("it is small");
/// assert!(matches!(why, NotInserted::Full { value: 'a', .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotInserted<K, V> {
    /// Inserting would have meant waiting. Try again, from outside the interrupt if need be.
    Busy {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// There was no room for a new key.
    Full {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
}

impl<K, V> NotInserted<K, V> {
    /// The key and value that were not inserted.
    ///
    /// ```
    /// # use hedgerow::flat::NotInserted;
    /// assert_eq!(NotInserted::Busy { key: 1, value: 'a' }.into_parts(), (1, 'a'));
    /// ```
    pub fn into_parts(self) -> (K, V) {
        match self {
            Self::Busy { key, value } | Self::Full { key, value } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for NotInserted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy { .. } => "the key's bin is being written",
            Self::Full { .. } => "no room for the key",
        })
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for NotInserted<K, V> {}
