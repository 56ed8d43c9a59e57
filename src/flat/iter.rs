//! Iterators: a bin at a time, each bin as it was at one moment.

use crate::table::Table;
use crate::table::scan::{Position, Raw, START};
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;

/// Entries of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::iter`](super::FlatMap::iter).
///
/// A clone goes on from the same place, and reads the bins that follow for itself.
pub struct Iter<'a, K, V> {
    table: &'a Table<K, V>,
    position: Position,
    /// The current bin's entries, those before `next` already handed out.
    bin: Vec<Raw<K, V>>,
    next: usize,
}

impl<'a, K: Copy, V: Copy> Iter<'a, K, V> {
    pub(super) fn new(table: &'a Table<K, V>) -> Self {
        Self { table, position: START, bin: Vec::new(), next: 0 }
    }
}

impl<K: Copy, V: Copy> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { bin: self.bin.clone(), ..*self }
    }
}

impl<K: Copy, V: Copy> Iterator for Iter<'_, K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(raw) = self.bin.get(self.next) {
                self.next += 1;
                // SAFETY: the snapshot that filled the buffer has returned.
                return Some(unsafe { raw.whole() });
            }
            let position = self.position?;
            self.next = 0;
            self.bin.clear();
            self.position = self.table.snapshot(position, &mut self.bin);
        }
    }
}

impl<K: Copy, V: Copy> FusedIterator for Iter<'_, K, V> {}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// Keys of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::keys`](super::FlatMap::keys).
#[derive(Debug)]
pub struct Keys<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<K: Copy, V: Copy> Clone for Keys<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Copy, V: Copy> Iterator for Keys<'_, K, V> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.0.next().map(|(key, _)| key)
    }
}

impl<K: Copy, V: Copy> FusedIterator for Keys<'_, K, V> {}

/// Values of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::values`](super::FlatMap::values).
#[derive(Debug)]
pub struct Values<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<K: Copy, V: Copy> Clone for Values<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Copy, V: Copy> Iterator for Values<'_, K, V> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<K: Copy, V: Copy> FusedIterator for Values<'_, K, V> {}
