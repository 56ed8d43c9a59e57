//! Iterators, which copy some bins at a time, each bin a consistent snapshot.

use super::map::FlatMap;
use crate::table::Table;
use crate::table::scan::{AT_ONCE, RawEntry};
use crate::table::walk::WalkPosition;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;

/// An iterator over copies of the entries of a [`FlatMap`](super::FlatMap), from
/// [`FlatMap::iter`](super::FlatMap::iter).
///
/// A clone continues from the same position, and reads the following bins itself.
pub struct Iter<'a, K, V> {
    table: &'a Table<K, V>,
    position: Option<WalkPosition>,
    /// The entries of some bins. Those before `next` were returned already.
    some: Vec<RawEntry<K, V>>,
    next: usize,
}

impl<'a, K: Copy, V: Copy> Iter<'a, K, V> {
    pub(super) fn new(table: &'a Table<K, V>) -> Self {
        Self { table, position: Some(WalkPosition::START), some: Vec::new(), next: 0 }
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
                // SAFETY: the `snapshot` that filled the buffer has returned.
                return Some(unsafe { raw.whole() });
            }
            self.refill()?;
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, (K, V)) -> B>(self, init: B, mut f: F) -> B {
        // SAFETY: the `snapshot` that filled the buffer has returned.
        let some = self.some[self.next..].iter().map(|raw| unsafe { raw.whole() });
        let folded = some.fold(init, &mut f);
        self.table.fold(self.position, folded, f)
    }
}

impl<K: Copy, V: Copy> FusedIterator for Iter<'_, K, V> {}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// An iterator over copies of the keys of a [`FlatMap`](super::FlatMap), from [`FlatMap::keys`](super::FlatMap::keys).
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

/// An iterator over copies of the values of a [`FlatMap`](super::FlatMap), from
/// [`FlatMap::values`](super::FlatMap::values).
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

/// An iterator that removes entries of a [`FlatMap`], from [`FlatMap::extract_if`] and [`FlatMap::drain`]. Entries that
/// it has not returned stay in the map.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct ExtractIf<'a, K, V, S, F> {
    map: &'a FlatMap<K, V, S>,
    entries: Iter<'a, K, V>,
    wanted: F,
}

impl<'a, K: Copy, V: Copy, S, F> ExtractIf<'a, K, V, S, F> {
    pub(super) fn new(map: &'a FlatMap<K, V, S>, wanted: F) -> Self {
        Self { map, entries: map.iter(), wanted }
    }
}

impl<K, V, S, F> Iterator for ExtractIf<'_, K, V, S, F>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
    F: FnMut(&K, &V) -> bool,
{
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            let (key, _) = self.entries.next()?;
            if let Some(taken) = self.map.take_if(&key, &mut self.wanted) {
                return Some(taken);
            }
        }
    }
}

impl<K, V, S, F> FusedIterator for ExtractIf<'_, K, V, S, F>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
    F: FnMut(&K, &V) -> bool,
{
}

impl<K, V, S, F> fmt::Debug for ExtractIf<'_, K, V, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}

/// An iterator over the entries of a [`FlatMap`] that it consumes. Allocates a buffer for a few bins.
pub struct IntoIter<K, V> {
    table: Table<K, V>,
    position: Option<WalkPosition>,
    /// The entries of some bins. Those before `next` were returned already.
    some: Vec<RawEntry<K, V>>,
    next: usize,
    left: usize,
}

impl<K: Copy, V: Copy> IntoIter<K, V> {
    pub(super) fn new(table: Table<K, V>) -> Self {
        let left = table.len();
        Self { table, position: Some(WalkPosition::START), some: Vec::new(), next: 0, left }
    }
}

impl<K: Copy, V: Copy> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(raw) = self.some.get(self.next) {
                self.next += 1;
                self.left = self.left.saturating_sub(1);
                // SAFETY: the `snapshot` that filled the buffer has returned.
                return Some(unsafe { raw.whole() });
            }
            let position = self.position?;
            self.next = 0;
            self.some.clear();
            self.position = self.table.snapshot(position, AT_ONCE, &mut self.some);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    #[inline]
    fn fold<B, F: FnMut(B, (K, V)) -> B>(self, init: B, mut f: F) -> B {
        // SAFETY: the `snapshot` that filled the buffer has returned.
        let some = self.some[self.next..].iter().map(|raw| unsafe { raw.whole() });
        let folded = some.fold(init, &mut f);
        self.table.fold(self.position, folded, f)
    }
}

impl<K: Copy, V: Copy> ExactSizeIterator for IntoIter<K, V> {}
impl<K: Copy, V: Copy> FusedIterator for IntoIter<K, V> {}

impl<K, V> fmt::Debug for IntoIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.left).finish_non_exhaustive()
    }
}
