//! Iterators: a bin at a time, each bin as it was at one moment.

use super::scan::{Position, START};
use super::table::Table;
use alloc::vec::{self, Vec};
use core::iter::FusedIterator;
use core::mem;

/// Entries of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::iter`](super::FlatMap::iter).
pub struct Iter<'a, K, V> {
    table: &'a Table<K, V>,
    position: Position,
    bin: vec::IntoIter<(K, V)>,
}

impl<'a, K: Copy, V: Copy> Iter<'a, K, V> {
    pub(super) fn new(table: &'a Table<K, V>) -> Self {
        Self { table, position: START, bin: Vec::new().into_iter() }
    }
}

impl<K: Copy, V: Copy> Iterator for Iter<'_, K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(entry) = self.bin.next() {
                return Some(entry);
            }
            let position = self.position?;
            // The exhausted iterator's buffer serves again.
            let mut buffer: Vec<(K, V)> = mem::take(&mut self.bin).collect();
            self.position = self.table.snapshot(position, &mut buffer);
            self.bin = buffer.into_iter();
        }
    }
}

impl<K: Copy, V: Copy> FusedIterator for Iter<'_, K, V> {}

/// Keys of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::keys`](super::FlatMap::keys).
pub struct Keys<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<K: Copy, V: Copy> Iterator for Keys<'_, K, V> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.0.next().map(|(key, _)| key)
    }
}

impl<K: Copy, V: Copy> FusedIterator for Keys<'_, K, V> {}

/// Values of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::values`](super::FlatMap::values).
pub struct Values<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<K: Copy, V: Copy> Iterator for Values<'_, K, V> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<K: Copy, V: Copy> FusedIterator for Values<'_, K, V> {}
