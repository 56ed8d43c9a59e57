//! Walking over all entries, slot by slot.

use super::bins::ResumePosition;
use super::storage::Storage;
use crate::bins::layout::MAX_SLOTS;
use core::fmt;
use core::iter::FusedIterator;

/// An iterator over copies of the entries of a [`FlatTable`](super::FlatTable), from
/// [`FlatTable::iter`](super::FlatTable::iter).
///
/// A clone continues from the same position.
pub struct TableIter<'a, K, V, const BINS: usize> {
    pub(super) bins: &'a Storage<K, V, BINS>,
    pub(super) position: ResumePosition,
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
        let ResumePosition { number, slot } = self.position;
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
    /// An iterator over copies of the keys of a [`FlatTable`](super::FlatTable), from
    /// [`FlatTable::keys`](super::FlatTable::keys).
    ///
    /// A clone continues from the same position.
    TableKeys, K, 0
}

halves! {
    /// An iterator over copies of the values of a [`FlatTable`](super::FlatTable), from
    /// [`FlatTable::values`](super::FlatTable::values).
    ///
    /// A clone continues from the same position.
    TableValues, V, 1
}
