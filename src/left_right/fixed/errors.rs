//! Why something was not done.

use core::error::Error;
use core::fmt;

/// Why [`TableWriter::insert`](super::TableWriter::insert) did not insert. It hands key and value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertError<K, V> {
    /// The table holds as many entries as it takes.
    Full {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// Readers are still looking at what was shown before the last publish. Try again.
    Pending {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
}

impl<K, V> InsertError<K, V> {
    /// The key and value that were not inserted.
    ///
    /// ```
    /// # use hedgerow::left_right::InsertError;
    /// assert_eq!(InsertError::Full { key: 1, value: 'a' }.into_parts(), (1, 'a'));
    /// ```
    pub fn into_parts(self) -> (K, V) {
        match self {
            Self::Full { key, value } | Self::Pending { key, value } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for InsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full { .. } => "the table is full",
            Self::Pending { .. } => "a reader has been looking since before the last publish",
        })
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for InsertError<K, V> {}

/// Readers are still looking at what was shown before the last publish: nothing was done. Try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotYet;

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reader has been looking since before the last publish")
    }
}

impl Error for NotYet {}
