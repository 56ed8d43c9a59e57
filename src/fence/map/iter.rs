//! Iterators: over a range that was copied, and over the map, a few entries at a time.

use super::fence_map::FenceMap;
use crate::fence::tree::chunk::Chunk;
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::walk::BackResume;
use alloc::vec::{self, Vec};
use core::fmt;
use core::iter::FusedIterator;
use core::ops::{Bound, RangeBounds};

/// An iterator over a consistent snapshot of entries of a [`FenceMap`]; made by [`FenceMap::range`] and by a map's
/// `into_iter`. It has copies of them and does not borrow the map.
#[derive(Clone)]
pub struct Range<K, V> {
    entries: vec::IntoIter<(K, V)>,
}

impl<K, V> Range<K, V> {
    pub(super) fn new(entries: Vec<(K, V)>) -> Self {
        Self { entries: entries.into_iter() }
    }

    /// Returns the remaining entries.
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

/// An iterator over copies of a [`FenceMap`]'s entries, in key order; made by [`FenceMap::iter`] and
/// [`FenceMap::iter_range`].
///
/// It copies eight entries at a time. From the end it goes leaf by leaf, and allocates a buffer for one leaf. A clone
/// continues from the same position, and reads the following entries independently.
pub struct Iter<'a, K, V, R> {
    map: &'a FenceMap<K, V, R>,
    end: Bound<K>,
    chunk: Chunk<'a, K, V>,
    back: BackResume<'a, K, V>,
    /// The entries of a leaf that the iterator returns next from the end, in key order.
    back_entries: Vec<(K, V)>,
}

impl<'a, K: Copy + Ord, V: Copy, R: Ranking<K>> Iter<'a, K, V, R> {
    pub(super) fn new(map: &'a FenceMap<K, V, R>, start: Bound<K>, end: Bound<K>) -> Self {
        Self {
            map,
            end,
            chunk: Chunk::new(start),
            back: BackResume::Start,
            back_entries: Vec::new(),
        }
    }

    #[inline(always)]
    fn refill(&mut self) -> bool {
        let tree = self.map.tree();
        self.map.finish(tree.next_chunk(&mut self.chunk, tree.bound(self.end.as_ref())))
    }
}

impl<K: Copy, V: Copy, R> Clone for Iter<'_, K, V, R> {
    fn clone(&self) -> Self {
        let (chunk, back_entries) = (self.chunk.clone(), self.back_entries.clone());
        Self { chunk, back_entries, ..*self }
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Iterator for Iter<'_, K, V, R> {
    type Item = (K, V);

    #[inline]
    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(entry) = self.chunk.pop() {
                return Some(entry);
            }
            if !self.refill() {
                return None;
            }
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, (K, V)) -> B>(mut self, init: B, f: F) -> B {
        let tree = self.map.tree();
        let end = tree.bound(self.end.as_ref());
        self.map.finish(tree.fold_rest(&mut self.chunk, end, init, f))
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> DoubleEndedIterator for Iter<'_, K, V, R> {
    fn next_back(&mut self) -> Option<(K, V)> {
        loop {
            let rest = self.chunk.rest_start()?;
            if let Some((key, value)) = self.back_entries.pop() {
                if !(rest, Bound::Unbounded).contains(&key) {
                    break;
                }
                self.chunk.end_before(&key);
                self.end = Bound::Excluded(key);
                return Some((key, value));
            }
            let tree = self.map.tree();
            let bounds = (tree.bound(rest.as_ref()), tree.bound(self.end.as_ref()));
            let some = tree.copy_previous_leaf(&mut self.back, bounds, &mut self.back_entries);
            if !self.map.finish(some) {
                break;
            }
        }
        self.chunk = Chunk::finished();
        self.back_entries.clear();
        None
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FusedIterator for Iter<'_, K, V, R> {}

impl<K, V, R> fmt::Debug for Iter<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// An iterator over copies of a [`FenceMap`]'s keys, in order; made by [`FenceMap::keys`].
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

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> DoubleEndedIterator for Keys<'_, K, V, R> {
    fn next_back(&mut self) -> Option<K> {
        self.0.next_back().map(|(key, _)| key)
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FusedIterator for Keys<'_, K, V, R> {}

/// An iterator over copies of a [`FenceMap`]'s values, in the order of their keys; made by [`FenceMap::values`].
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

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> DoubleEndedIterator for Values<'_, K, V, R> {
    fn next_back(&mut self) -> Option<V> {
        self.0.next_back().map(|(_, value)| value)
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FusedIterator for Values<'_, K, V, R> {}

/// An iterator that removes entries from a [`FenceMap`], in key order; made by [`FenceMap::extract_if`] and
/// [`FenceMap::drain`]. Entries that it does not reach stay in the map.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct ExtractIf<'a, K, V, R, F> {
    map: &'a FenceMap<K, V, R>,
    entries: Iter<'a, K, V, R>,
    wanted: F,
}

impl<'a, K: Copy + Ord, V: Copy, R: Ranking<K>, F> ExtractIf<'a, K, V, R, F> {
    pub(super) fn new(map: &'a FenceMap<K, V, R>, wanted: F) -> Self {
        Self { map, entries: map.iter(), wanted }
    }
}

impl<K, V, R, F> Iterator for ExtractIf<'_, K, V, R, F>
where
    K: Copy + Ord,
    V: Copy,
    R: Ranking<K>,
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

impl<K, V, R, F> FusedIterator for ExtractIf<'_, K, V, R, F>
where
    K: Copy + Ord,
    V: Copy,
    R: Ranking<K>,
    F: FnMut(&K, &V) -> bool,
{
}

impl<K, V, R, F> fmt::Debug for ExtractIf<'_, K, V, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}
