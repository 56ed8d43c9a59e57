//! Iterators: over a range that has been copied, and over the map a leaf at a time.

use super::map::FenceMap;
use super::rank::Ranking;
use super::walk::Place;
use alloc::vec::{self, Vec};
use core::fmt;
use core::iter::FusedIterator;
use core::ops::Bound;

/// Entries of a [`FenceMap`] as they were at one moment; made by [`FenceMap::range`]. It holds copies, and the map
/// no more.
#[derive(Clone)]
pub struct Range<K, V> {
    entries: vec::IntoIter<(K, V)>,
}

impl<K, V> Range<K, V> {
    pub(super) fn new(entries: Vec<(K, V)>) -> Self {
        Self { entries: entries.into_iter() }
    }

    /// The entries that are still to come.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// let mut range = map.range(..);
    /// range.next();
    /// assert_eq!(range.as_slice(), [(2, 'b')]);
    /// ```
    pub fn as_slice(&self) -> &[(K, V)] {
        self.entries.as_slice()
    }
}

impl<K, V> Iterator for Range<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<(K, V)> {
        self.entries.nth(n)
    }

    fn fold<B, F: FnMut(B, (K, V)) -> B>(self, init: B, f: F) -> B {
        self.entries.fold(init, f)
    }
}

impl<K, V> DoubleEndedIterator for Range<K, V> {
    fn next_back(&mut self) -> Option<(K, V)> {
        self.entries.next_back()
    }
}

impl<K, V> ExactSizeIterator for Range<K, V> {}
impl<K, V> FusedIterator for Range<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Range<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Range").field(&self.as_slice()).finish()
    }
}

/// Entries of a [`FenceMap`], in key order, copied out; made by [`FenceMap::iter`] and [`FenceMap::scan_weak`].
///
/// A clone goes on from the same place, and reads the leaves that follow for itself.
pub struct Iter<'a, K, V, R> {
    map: &'a FenceMap<K, V, R>,
    place: Option<Place<'a, K, V>>,
    end: Bound<K>,
    /// The entries of a leaf, those before `next` already handed out.
    some: Vec<(K, V)>,
    next: usize,
}

impl<'a, K: Copy + Ord, V: Copy, R: Ranking<K>> Iter<'a, K, V, R> {
    pub(super) fn new(map: &'a FenceMap<K, V, R>, start: Bound<K>, end: Bound<K>) -> Self {
        Self { map, place: Some(Place::new(start)), end, some: Vec::new(), next: 0 }
    }

    fn refill(&mut self) -> Option<()> {
        let place = self.place?;
        self.next = 0;
        self.some.clear();
        let tree = self.map.tree();
        let next = tree.snapshot(place, tree.bound(self.end.as_ref()), &mut self.some);
        self.place = self.map.finish(next);
        Some(())
    }
}

impl<K: Copy, V: Copy, R> Clone for Iter<'_, K, V, R> {
    fn clone(&self) -> Self {
        Self { some: self.some.clone(), ..*self }
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Iterator for Iter<'_, K, V, R> {
    type Item = (K, V);

    #[inline]
    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(&entry) = self.some.get(self.next) {
                self.next += 1;
                return Some(entry);
            }
            self.refill()?;
        }
    }

    fn fold<B, F: FnMut(B, (K, V)) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        loop {
            folded = self.some[self.next..].iter().copied().fold(folded, &mut f);
            if self.refill().is_none() {
                return folded;
            }
        }
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FusedIterator for Iter<'_, K, V, R> {}

impl<K, V, R> fmt::Debug for Iter<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// Keys of a [`FenceMap`], in order, copied out; made by [`FenceMap::keys`].
#[derive(Debug)]
pub struct Keys<'a, K, V, R>(pub(super) Iter<'a, K, V, R>);

impl<K: Copy, V: Copy, R> Clone for Keys<'_, K, V, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Iterator for Keys<'_, K, V, R> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.0.next().map(|(key, _)| key)
    }

    fn fold<B, F: FnMut(B, K) -> B>(self, init: B, mut f: F) -> B {
        self.0.fold(init, |folded, (key, _)| f(folded, key))
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FusedIterator for Keys<'_, K, V, R> {}

/// Values of a [`FenceMap`], in the order of their keys, copied out; made by [`FenceMap::values`].
#[derive(Debug)]
pub struct Values<'a, K, V, R>(pub(super) Iter<'a, K, V, R>);

impl<K: Copy, V: Copy, R> Clone for Values<'_, K, V, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Iterator for Values<'_, K, V, R> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        self.0.next().map(|(_, value)| value)
    }

    fn fold<B, F: FnMut(B, V) -> B>(self, init: B, mut f: F) -> B {
        self.0.fold(init, |folded, (_, value)| f(folded, value))
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FusedIterator for Values<'_, K, V, R> {}
