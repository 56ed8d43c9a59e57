//! Iterators: over a range that has been copied, and over the map a leaf at a time.

use super::super::rank::Ranking;
use super::super::walk::Place;
use super::map::{All, Left, OrdMap};
use super::ops::give_up;
use super::raw::Raw;
use crate::reclaim::guard::Guard;
use crate::reclaim::pair::Pair;
use crate::reclaim::retired::Fresh;
use crate::sync::prefetch;
use alloc::vec::{self, Vec};
use core::borrow::Borrow;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ops::{RangeBounds, RangeFull};

/// Entries of an [`OrdMap`] as they were at one moment, borrowed under a guard; made by
/// [`OrdMap::range`].
pub struct EntryRange<'a, K, V> {
    raws: vec::IntoIter<(Raw<K>, ())>,
    entries: PhantomData<(&'a Guard<'a>, &'a K, &'a V)>,
}

impl<'a, K, V> EntryRange<'a, K, V> {
    /// What was met in a map of these under this guard.
    pub(super) fn new(raws: Vec<(Raw<K>, ())>, _guard: &'a Guard<'_>) -> Self {
        Self { raws: raws.into_iter(), entries: PhantomData }
    }

    fn entry((raw, ()): (Raw<K>, ())) -> (&'a K, &'a V) {
        // SAFETY: met under the guard, which is borrowed for as long.
        unsafe { raw.entry() }
    }
}

impl<K, V> Clone for EntryRange<'_, K, V> {
    fn clone(&self) -> Self {
        Self { raws: self.raws.clone(), entries: PhantomData }
    }
}

impl<'a, K, V> Iterator for EntryRange<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.raws.next().map(Self::entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.raws.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.raws.nth(n).map(Self::entry)
    }
}

impl<K, V> DoubleEndedIterator for EntryRange<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.raws.next_back().map(Self::entry)
    }
}

impl<K, V> ExactSizeIterator for EntryRange<'_, K, V> {}
impl<K, V> FusedIterator for EntryRange<'_, K, V> {}

impl<K, V> fmt::Debug for EntryRange<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryRange").field("left", &self.raws.len()).finish_non_exhaustive()
    }
}

/// How far a walk has come.
enum Next<'a, K> {
    Start,
    At(Place<'a, Raw<K>, ()>),
    End,
}

impl<K> Clone for Next<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Next<'_, K> {}

/// Entries of an [`OrdMap`], in key order, leaf by leaf, borrowed under a guard; made by
/// [`OrdMap::scan_weak`].
pub struct EntryScan<'a, Q: ?Sized, B, K, V, R> {
    map: &'a OrdMap<K, V, R>,
    guard: &'a Guard<'a>,
    bounds: B,
    next: Next<'a, K>,
    /// The entries of a leaf, those before `shown` already handed out.
    some: Vec<(Raw<K>, ())>,
    shown: usize,
    sought: PhantomData<fn(&Q)>,
}

impl<'a, Q, B, K, V, R> EntryScan<'a, Q, B, K, V, R>
where
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord + Clone + Borrow<Q>,
    R: Ranking<K> + Ranking<Q>,
{
    pub(super) fn new(map: &'a OrdMap<K, V, R>, bounds: B, guard: &'a Guard<'a>) -> Self {
        let (some, sought) = (Vec::new(), PhantomData);
        Self { map, guard, bounds, next: Next::Start, some, shown: 0, sought }
    }

    #[inline(never)]
    fn refill(&mut self) -> Option<()> {
        let (map, some) = (self.map, &mut self.some);
        let end = self.bounds.end_bound().map(|key| map.sought(key));
        some.clear();
        self.shown = 0;
        let next = match self.next {
            Next::Start => {
                let start = self.bounds.start_bound().map(|key| map.sought(key));
                map.tree().snapshot_from(start, end, some)
            }
            Next::At(place) => map.tree().snapshot(place, end, some),
            Next::End => return None,
        };
        let next = next.unwrap_or_else(give_up::<K, V, _, _>);
        self.next = next.map_or(Next::End, Next::At);
        // On their way before the first of them is looked at.
        for (raw, ()) in some.iter() {
            prefetch::read(raw.node.as_ptr());
        }
        Some(())
    }
}

impl<Q: ?Sized, B: Clone, K, V, R> Clone for EntryScan<'_, Q, B, K, V, R> {
    fn clone(&self) -> Self {
        Self { bounds: self.bounds.clone(), some: self.some.clone(), ..*self }
    }
}

impl<'a, Q, B, K, V, R> Iterator for EntryScan<'a, Q, B, K, V, R>
where
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord + Clone + Borrow<Q>,
    R: Ranking<K> + Ranking<Q>,
{
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(&(raw, ())) = self.some.get(self.shown) {
                self.shown += 1;
                return Some(OrdMap::<K, V, R>::entry(raw, self.guard));
            }
            self.refill()?;
        }
    }
}

impl<Q, B, K, V, R> FusedIterator for EntryScan<'_, Q, B, K, V, R>
where
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord + Clone + Borrow<Q>,
    R: Ranking<K> + Ranking<Q>,
{
}

impl<Q: ?Sized, B, K, V, R> fmt::Debug for EntryScan<'_, Q, B, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryScan").finish_non_exhaustive()
    }
}

/// Entries of an [`OrdMap`], in key order, borrowed under a guard; made by [`OrdMap::iter`].
///
/// A clone goes on from the same place, and reads the leaves that follow for itself.
pub struct EntryIter<'a, K, V, R>(EntryScan<'a, K, RangeFull, K, V, R>);

impl<'a, K: Ord + Clone, V, R: Ranking<K>> EntryIter<'a, K, V, R> {
    pub(super) fn new(map: &'a OrdMap<K, V, R>, guard: &'a Guard<'a>) -> Self {
        Self(EntryScan::new(map, .., guard))
    }
}

impl<K, V, R> Clone for EntryIter<'_, K, V, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K: Ord + Clone, V, R: Ranking<K>> Iterator for EntryIter<'a, K, V, R> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> FusedIterator for EntryIter<'_, K, V, R> {}

impl<K, V, R> fmt::Debug for EntryIter<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryIter").finish_non_exhaustive()
    }
}

/// The entries themselves, in key order, of an [`OrdMap`] that is given up for them. Allocates nothing.
pub struct EntryIntoIter<K, V> {
    left: Left<Pair<K, V>>,
}

impl<K, V> EntryIntoIter<K, V> {
    pub(super) fn new<R>(mut map: OrdMap<K, V, R>) -> Self {
        let All { entries, garbage, bounds } = map.drain();
        let all = Self { left: entries };
        // These go now: if a destructor panicked when this has returned, what it returns would leak.
        drop((garbage, bounds, map));
        all
    }
}

impl<K, V> Iterator for EntryIntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        // The list's nodes are nobody else's.
        self.left.0.pop().map(|node| Pair::into_inner(Fresh(node)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.0.len(), Some(self.left.0.len()))
    }
}

impl<K, V> ExactSizeIterator for EntryIntoIter<K, V> {}
impl<K, V> FusedIterator for EntryIntoIter<K, V> {}

// SAFETY: the nodes are this iterator's alone.
unsafe impl<K: Send, V: Send> Send for EntryIntoIter<K, V> {}
// SAFETY: shared, it shows nothing but its length.
unsafe impl<K: Sync, V: Sync> Sync for EntryIntoIter<K, V> {}

impl<K, V> fmt::Debug for EntryIntoIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryIntoIter").field("left", &self.left.0.len()).finish_non_exhaustive()
    }
}
