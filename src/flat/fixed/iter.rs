//! Walking over all entries, one slot after the other.

use super::bins::Position;
use super::storage::Storage;
use crate::bins::layout::MAX_SLOTS;
use core::fmt;
use core::iter::FusedIterator;

/// Entries of a [`FlatTable`](super::FlatTable), copied out; made by
/// [`FlatTable::iter`](super::FlatTable::iter).
///
/// A clone goes on from the same place.
pub struct TableIter<'a, K, V, const BINS: usize> {
    pub(super) bins: &'a Storage<K, V, BINS>,
    pub(super) position: Position,
}

impl<K, V, const BINS: usize> Clone for TableIter<'_, K, V, BINS> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<K: Copy, V: Copy, const BINS: usize> Iterator for TableIter<'_, K, V, BINS> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let Some((entry, next)) = self.bins.next_entry(self.position) else {
            self.position.number = BINS;
            return None;
        };
        self.position = next;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let Position { number, slot } = self.position;
        (0, Some(((BINS - number) * MAX_SLOTS).saturating_sub(slot)))
    }
}

impl<K: Copy, V: Copy, const BINS: usize> FusedIterator for TableIter<'_, K, V, BINS> {}

impl<K, V, const BINS: usize> fmt::Debug for TableIter<'_, K, V, BINS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableIter").finish_non_exhaustive()
    }
}

/// Declares an iterator over one half of each entry.
macro_rules! halves {
    ($(#[$doc:meta])* $name:ident, $item:ident, $half:tt) => {
        $(#[$doc])*
        pub struct $name<'a, K, V, const BINS: usize>(pub(super) TableIter<'a, K, V, BINS>);

        impl<K, V, const BINS: usize> Clone for $name<'_, K, V, BINS> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl<K: Copy, V: Copy, const BINS: usize> Iterator for $name<'_, K, V, BINS> {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.0.next().map(|entry| entry.$half)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl<K: Copy, V: Copy, const BINS: usize> FusedIterator for $name<'_, K, V, BINS> {}

        impl<K, V, const BINS: usize> fmt::Debug for $name<'_, K, V, BINS> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

halves! {
    /// Keys of a [`FlatTable`](super::FlatTable), copied out; made by [`FlatTable::keys`](super::FlatTable::keys).
    ///
    /// A clone goes on from the same place.
    TableKeys, K, 0
}

halves! {
    /// Values of a [`FlatTable`](super::FlatTable), copied out; made by
    /// [`FlatTable::values`](super::FlatTable::values).
    ///
    /// A clone goes on from the same place.
    TableValues, V, 1
}
