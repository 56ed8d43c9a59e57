//! Iterators: some bins at a time, each bin as it was at one moment.

use crate::table::Table;
use crate::table::scan::{AT_ONCE, Raw};
use crate::table::walk::Position;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;

/// Entries of a [`FlatMap`](super::FlatMap), copied out; made by [`FlatMap::iter`](super::FlatMap::iter).
///
/// A clone goes on from the same place, and reads the bins that follow for itself.
pub struct Iter<'a, K, V> {
    table: &'a Table<K, V>,
    position: Option<Position>,
    /// The entries of some bins, those before `next` already handed out.
    some: Vec<Raw<K, V>>,
    next: usize,
}

impl<'a, K: Copy, V: Copy> Iter<'a, K, V> {
    pub(super) fn new(table: &'a Table<K, V>) -> Self {
        Self { table, position: Some(Position::START), some: Vec::new(), next: 0 }
    }
}

impl<K: Copy, V: Copy> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { some: self.some.clone(), ..*self }
    }
}

impl<K: Copy, V: Copy> Iter<'_, K, V> {
    fn refill(&mut self) -> Option<()> {
        let position = self.position?;
        self.next = 0;
        self.some.clear();
        self.position = self.table.snapshot(position, AT_ONCE, &mut self.some);
        Some(())
    }
}

impl<K: Copy, V: Copy> Iterator for Iter<'_, K, V> {
    type Item = (K, V);

    #[inline]
    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(raw) = self.some.get(self.next) {
                self.next += 1;
                // SAFETY: the snapshot that filled the buffer has returned.
                return Some(unsafe { raw.whole() });
            }
            self.refill()?;
        }
    }

    fn fold<B, F: FnMut(B, (K, V)) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        loop {
            // SAFETY: as in `next`.
            let some = self.some[self.next..].iter().map(|raw| unsafe { raw.whole() });
            folded = some.fold(folded, &mut f);
            if self.refill().is_none() {
                return folded;
            }
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

    fn fold<B, F: FnMut(B, K) -> B>(self, init: B, mut f: F) -> B {
        self.0.fold(init, |folded, (key, _)| f(folded, key))
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

    fn fold<B, F: FnMut(B, V) -> B>(self, init: B, mut f: F) -> B {
        self.0.fold(init, |folded, (_, value)| f(folded, value))
    }
}

impl<K: Copy, V: Copy> FusedIterator for Values<'_, K, V> {}
