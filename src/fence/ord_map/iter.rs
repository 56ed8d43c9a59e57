//! Iterators: over a range that was copied, and over the map, leaf by leaf.

use super::map::{AllNodes, OrdMap};
use super::raw::RawKey;
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::walk::{BackResume, Resume};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::{Guard, HasGuard};
use crate::reclaim::pair::{Pair, out_of_memory};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{NodeList, WaitMode};
use crate::sync::prefetch;
use alloc::vec::{self, Vec};
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ops::{RangeBounds, RangeFull};
use equivalent::Comparable;

/// An iterator over a consistent snapshot of entries of an [`OrdMap`], made by [`OrdMap::range`]. It holds its own
/// guard, and so does each entry that it returns.
pub struct OrdRange<'a, K, V> {
    raws: vec::IntoIter<(RawKey<K>, ())>,
    guard: Guard<'a>,
    entries: PhantomData<(&'a K, &'a V)>,
}

impl<'a, K, V> OrdRange<'a, K, V> {
    /// Takes pointers that were read in a map of these types under this guard.
    pub(super) fn new(raws: Vec<(RawKey<K>, ())>, guard: Guard<'a>) -> Self {
        Self { raws: raws.into_iter(), guard, entries: PhantomData }
    }

    fn entry(&self, (raw, ()): (RawKey<K>, ())) -> Ref<'a, K, V> {
        // SAFETY: read under the guard.
        unsafe { Ref::of(raw.ptr(), self.guard.again()) }
    }
}

/// An iterator over a consistent snapshot of entries of an [`OrdMap`], borrowed from the result of [`OrdMap::pin`].
///
/// The iterator of a map that [`OrdMap::pin_owned`] returns is `Send`.
pub struct PinnedOrdRange<'a, K, V, G = Guard<'a>> {
    raws: vec::IntoIter<(RawKey<K>, ())>,
    entries: PhantomData<(&'a G, &'a K, &'a V)>,
}

impl<'a, K, V, G: HasGuard> PinnedOrdRange<'a, K, V, G> {
    /// Takes pointers that were read in a map of these types under this guard.
    pub(super) fn new(raws: Vec<(RawKey<K>, ())>, _guard: &'a G) -> Self {
        Self { raws: raws.into_iter(), entries: PhantomData }
    }

    #[expect(clippy::unused_self, reason = "it is the proof of the guard")]
    fn entry(&self, (raw, ()): (RawKey<K>, ())) -> (&'a K, &'a V) {
        // SAFETY: read under the guard, which is borrowed for `'a`.
        unsafe { raw.ptr().live() }.entry()
    }
}

impl<K, V, G> Clone for PinnedOrdRange<'_, K, V, G> {
    fn clone(&self) -> Self {
        Self { raws: self.raws.clone(), entries: PhantomData }
    }
}

macro_rules! ranges {
    ($($name:ident[$($guard:ident)?]: $item:ty,)*) => {$(
        impl<'a, K, V $(, $guard: HasGuard)?> Iterator for $name<'a, K, V $(, $guard)?> {
            type Item = $item;

            fn next(&mut self) -> Option<Self::Item> {
                self.raws.next().map(|raw| self.entry(raw))
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.raws.size_hint()
            }

            fn nth(&mut self, n: usize) -> Option<Self::Item> {
                self.raws.nth(n).map(|raw| self.entry(raw))
            }
        }

        impl<K, V $(, $guard: HasGuard)?> DoubleEndedIterator for $name<'_, K, V $(, $guard)?> {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.raws.next_back().map(|raw| self.entry(raw))
            }
        }

        impl<K, V $(, $guard: HasGuard)?> ExactSizeIterator for $name<'_, K, V $(, $guard)?> {}
        impl<K, V $(, $guard: HasGuard)?> FusedIterator for $name<'_, K, V $(, $guard)?> {}

        impl<K, V $(, $guard)?> fmt::Debug for $name<'_, K, V $(, $guard)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("left", &self.raws.len()).finish_non_exhaustive()
            }
        }
    )*};
}
ranges! {
    OrdRange[]: Ref<'a, K, V>,
    PinnedOrdRange[G]: (&'a K, &'a V),
}

/// Where a walk goes on.
enum Next<'a, K> {
    Start,
    At(Resume<'a, RawKey<K>, ()>),
    End,
}

impl<K> Clone for Next<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Next<'_, K> {}

/// A walk over the entries within bounds, in key order and leaf by leaf, from both ends.
struct EntryWalk<'a, Q: ?Sized, B, K, V, R> {
    map: &'a OrdMap<K, V, R>,
    bounds: B,
    next: Next<'a, K>,
    /// The entries of a leaf. The walk has returned those before `shown`.
    some: Vec<(RawKey<K>, ())>,
    shown: usize,
    back: BackResume<'a, RawKey<K>, ()>,
    /// The entries of a leaf that the iterator returns next from the end, in key order.
    back_entries: Vec<(RawKey<K>, ())>,
    /// The last entry that was returned from the end.
    high: Option<RawKey<K>>,
    target: PhantomData<fn(&Q)>,
}

impl<'a, Q, B, K, V, R> EntryWalk<'a, Q, B, K, V, R>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    fn new(map: &'a OrdMap<K, V, R>, bounds: B) -> Self {
        Self {
            map,
            bounds,
            next: Next::Start,
            some: Vec::new(),
            shown: 0,
            back: BackResume::Start,
            back_entries: Vec::new(),
            high: None,
            target: PhantomData,
        }
    }

    #[inline(never)]
    fn refill(&mut self) -> Option<()> {
        let (map, some) = (self.map, &mut self.some);
        let end = self.bounds.end_bound().map(|key| map.search_key(key));
        some.clear();
        self.shown = 0;
        let next = match self.next {
            Next::Start => {
                let start = self.bounds.start_bound().map(|key| map.search_key(key));
                map.tree().copy_first_leaf(start, end, some)
            }
            Next::At(place) => map.tree().copy_next_leaf(place, end, some),
            Next::End => return None,
        };
        let next = next.unwrap_or_else(out_of_memory::<K, V, _, _>);
        self.next = next.map_or(Next::End, Next::At);
        prefetch_all(some);
        Some(())
    }

    #[inline(never)]
    fn refill_back(&mut self) -> Option<()> {
        let (map, some) = (self.map, &mut self.back_entries);
        let start = self.bounds.start_bound().map(|key| map.search_key(key));
        let end = self.bounds.end_bound().map(|key| map.search_key(key));
        let done = map.tree().copy_previous_leaf(&mut self.back, (start, end), some);
        prefetch_all(some);
        done.unwrap_or_else(out_of_memory::<K, V, _, _>).then_some(())
    }

    /// Ends the walk in both directions, because the ends have met, or one has reached the other bound.
    #[cold]
    fn finish(&mut self) {
        (self.next, self.back) = (Next::End, BackResume::End);
        self.some.truncate(self.shown);
        self.back_entries.clear();
    }

    /// Removes from `some` the entries that were returned from the end, and returns true if there were any. A walk from
    /// one end has none, so `next` compares no entry with the other end.
    fn trim(&mut self) -> bool {
        let Some(high) = self.high else { return false };
        let len = self.some.len();
        while self.some[self.shown..].last().is_some_and(|&(raw, ())| raw >= high) {
            self.some.pop();
        }
        self.some.len() < len
    }

    /// Returns the next entry. The caller holds one guard from the first call on.
    #[inline]
    fn next(&mut self) -> Option<RawKey<K>> {
        loop {
            if let Some(&(raw, ())) = self.some.get(self.shown) {
                self.shown += 1;
                return Some(raw);
            }
            // If the other end has reached this leaf, and no entry before it is left, the ends have met.
            if self.refill().is_none() || self.trim() && self.some.is_empty() {
                break;
            }
        }
        self.finish();
        None
    }

    /// Returns the next entry from the end. The caller holds one guard from the first call on.
    #[inline]
    fn next_back(&mut self) -> Option<RawKey<K>> {
        loop {
            if let Some((raw, ())) = self.back_entries.pop() {
                // `some` has the last entry that was returned from the start, if there was one.
                if self.some[..self.shown].last().is_some_and(|&(low, ())| raw <= low) {
                    break;
                }
                self.high = Some(raw);
                self.trim();
                return Some(raw);
            }
            if self.refill_back().is_none() {
                break;
            }
        }
        self.finish();
        None
    }
}

impl<Q: ?Sized, B: Clone, K, V, R> Clone for EntryWalk<'_, Q, B, K, V, R> {
    fn clone(&self) -> Self {
        let (some, back_entries) = (self.some.clone(), self.back_entries.clone());
        Self { bounds: self.bounds.clone(), some, back_entries, ..*self }
    }
}

/// Prefetches all entries before the caller reads the first of them.
fn prefetch_all<K>(some: &[(RawKey<K>, ())]) {
    for (raw, ()) in some {
        prefetch::read(raw.node.as_ptr());
    }
}

/// An iterator over entries of an [`OrdMap`], in key order, leaf by leaf, made by [`OrdMap::iter_range`]. It holds its
/// own guard, and so does each entry that it returns.
pub struct OrdIterRange<'a, Q: ?Sized, B, K, V, R> {
    walk: EntryWalk<'a, Q, B, K, V, R>,
    guard: Guard<'a>,
}

impl<'a, Q, B, K, V, R> OrdIterRange<'a, Q, B, K, V, R>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    pub(super) fn new(map: &'a OrdMap<K, V, R>, bounds: B) -> Self {
        Self { walk: EntryWalk::new(map, bounds), guard: map.readers.pin() }
    }
}

impl<'a, Q, B, K, V, R> Iterator for OrdIterRange<'a, Q, B, K, V, R>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    type Item = Ref<'a, K, V>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.walk.next()?;
        // SAFETY: read under the guard.
        Some(unsafe { Ref::of(raw.ptr(), self.guard.again()) })
    }
}

impl<Q, B, K, V, R> DoubleEndedIterator for OrdIterRange<'_, Q, B, K, V, R>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        let raw = self.walk.next_back()?;
        // SAFETY: read under the guard.
        Some(unsafe { Ref::of(raw.ptr(), self.guard.again()) })
    }
}

/// An iterator over entries of an [`OrdMap`], in key order, leaf by leaf, borrowed from the result of [`OrdMap::pin`].
///
/// A clone continues from the same position, and reads the following leaves independently. The iterator of a map that
/// [`OrdMap::pin_owned`] returns is `Send`.
pub struct PinnedOrdIterRange<'a, Q: ?Sized, B, K, V, R, G = Guard<'a>> {
    walk: EntryWalk<'a, Q, B, K, V, R>,
    guard: &'a G,
}

impl<'a, Q, B, K, V, R, G> PinnedOrdIterRange<'a, Q, B, K, V, R, G>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    pub(super) fn new(map: &'a OrdMap<K, V, R>, bounds: B, guard: &'a G) -> Self {
        Self { walk: EntryWalk::new(map, bounds), guard }
    }
}

impl<Q: ?Sized, B: Clone, K, V, R, G> Clone for PinnedOrdIterRange<'_, Q, B, K, V, R, G> {
    fn clone(&self) -> Self {
        Self { walk: self.walk.clone(), guard: self.guard }
    }
}

impl<'a, Q, B, K, V, R, G: HasGuard> Iterator for PinnedOrdIterRange<'a, Q, B, K, V, R, G>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.walk.next().map(|raw| OrdMap::<K, V, R>::live(raw, self.guard.guard()).entry())
    }
}

impl<Q, B, K, V, R, G: HasGuard> DoubleEndedIterator for PinnedOrdIterRange<'_, Q, B, K, V, R, G>
where
    Q: Comparable<K> + Ord + ?Sized,
    B: RangeBounds<Q>,
    K: Ord,
    R: Ranking<K> + Ranking<Q>,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.walk.next_back().map(|raw| OrdMap::<K, V, R>::live(raw, self.guard.guard()).entry())
    }
}

macro_rules! iter_ranges {
    ($($name:ident[$($guard:ident)?])*) => {$(
        impl<Q, B, K, V, R $(, $guard: HasGuard)?> FusedIterator for $name<'_, Q, B, K, V, R $(, $guard)?>
        where
            Q: Comparable<K> + Ord + ?Sized,
            B: RangeBounds<Q>,
            K: Ord,
            R: Ranking<K> + Ranking<Q>,
        {
        }

        impl<Q: ?Sized, B, K, V, R $(, $guard)?> fmt::Debug for $name<'_, Q, B, K, V, R $(, $guard)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
iter_ranges!(OrdIterRange[] PinnedOrdIterRange[G]);

/// An iterator over the entries of an [`OrdMap`], in key order, made by [`OrdMap::iter`]. It holds its own guard, and
/// so does each entry that it returns.
pub struct OrdIter<'a, K, V, R>(OrdIterRange<'a, K, RangeFull, K, V, R>);

impl<'a, K: Ord, V, R: Ranking<K>> OrdIter<'a, K, V, R> {
    pub(super) fn new(map: &'a OrdMap<K, V, R>) -> Self {
        Self(OrdIterRange::new(map, ..))
    }
}

/// An iterator over the entries of an [`OrdMap`], in key order, borrowed from the result of [`OrdMap::pin`].
///
/// A clone continues from the same position, and reads the following leaves independently. The iterator of a map that
/// [`OrdMap::pin_owned`] returns is `Send`.
pub struct PinnedOrdIter<'a, K, V, R, G = Guard<'a>>(
    PinnedOrdIterRange<'a, K, RangeFull, K, V, R, G>,
);

impl<'a, K: Ord, V, R: Ranking<K>, G: HasGuard> PinnedOrdIter<'a, K, V, R, G> {
    pub(super) fn new(map: &'a OrdMap<K, V, R>, guard: &'a G) -> Self {
        Self(PinnedOrdIterRange::new(map, .., guard))
    }
}

impl<K, V, R, G> Clone for PinnedOrdIter<'_, K, V, R, G> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

macro_rules! iters {
    ($($name:ident[$($guard:ident)?]: $item:ty,)*) => {$(
        impl<'a, K: Ord, V, R: Ranking<K> $(, $guard: HasGuard)?> Iterator for $name<'a, K, V, R $(, $guard)?> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                self.0.next()
            }
        }

        impl<K: Ord, V, R: Ranking<K> $(, $guard: HasGuard)?> DoubleEndedIterator for $name<'_, K, V, R $(, $guard)?> {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next_back()
            }
        }

        impl<K: Ord, V, R: Ranking<K> $(, $guard: HasGuard)?> FusedIterator for $name<'_, K, V, R $(, $guard)?> {}

        impl<K, V, R $(, $guard)?> fmt::Debug for $name<'_, K, V, R $(, $guard)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
iters! {
    OrdIter[]: Ref<'a, K, V>,
    PinnedOrdIter[G]: (&'a K, &'a V),
}

/// An iterator that removes entries from an [`OrdMap`], in key order, made by [`OrdMap::extract_if`] and
/// [`OrdMap::drain`]. Entries that it does not reach stay in the map. It holds one guard until it is dropped.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct OrdExtractIf<'a, K: Ord, V, R: Ranking<K>, F> {
    walk: EntryWalk<'a, K, RangeFull, K, V, R>,
    /// None only while the iterator is dropped.
    guard: Option<Guard<'a>>,
    wanted: F,
}

impl<'a, K: Ord, V, R: Ranking<K>, F> OrdExtractIf<'a, K, V, R, F> {
    pub(super) fn new(map: &'a OrdMap<K, V, R>, wanted: F) -> Self {
        Self { walk: EntryWalk::new(map, ..), guard: Some(map.readers.pin()), wanted }
    }
}

impl<'a, K, V, R, F> Iterator for OrdExtractIf<'a, K, V, R, F>
where
    K: Ord,
    R: Ranking<K>,
    F: FnMut(&K, &V) -> bool,
{
    type Item = Removed<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = self.guard.as_ref()?;
        let map = self.walk.map;
        loop {
            let raw = self.walk.next()?;
            let node = OrdMap::<K, V, R>::live(raw, guard);
            if !(self.wanted)(node.key(), node.value()) {
                continue;
            }
            // If the entry is not in the map any more, another thread has replaced or removed it.
            if let Ok(removed) = map.remove_node(node, WaitMode::Blocking, guard) {
                return Some(Removed::new(removed));
            }
        }
    }
}

impl<K, V, R, F> FusedIterator for OrdExtractIf<'_, K, V, R, F>
where
    K: Ord,
    R: Ranking<K>,
    F: FnMut(&K, &V) -> bool,
{
}

impl<K: Ord, V, R: Ranking<K>, F> Drop for OrdExtractIf<'_, K, V, R, F> {
    fn drop(&mut self) {
        self.guard = None;
        // Without the guard: under it, a slow destructor of a key would keep the retired entries of all maps alive.
        self.walk.map.free_bounds();
    }
}

impl<K: Ord, V, R: Ranking<K>, F> fmt::Debug for OrdExtractIf<'_, K, V, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrdExtractIf").finish_non_exhaustive()
    }
}

/// An iterator over the entries of an [`OrdMap`] that it has consumed, in key order. Allocates nothing.
pub struct OrdIntoIter<K, V> {
    left: NodeList<Pair<K, V>>,
}

impl<K, V> OrdIntoIter<K, V> {
    pub(super) fn new<R>(mut map: OrdMap<K, V, R>) -> Self {
        let AllNodes { entries, garbage, bounds } = map.take_all();
        let all = Self { left: entries };
        // Dropped before this returns: if a destructor panicked after that, the return value would leak.
        drop((garbage, bounds, map));
        all
    }
}

impl<K, V> Iterator for OrdIntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.left.pop().map(Pair::into_inner)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.len(), Some(self.left.len()))
    }
}

impl<K, V> ExactSizeIterator for OrdIntoIter<K, V> {}
impl<K, V> FusedIterator for OrdIntoIter<K, V> {}

impl<K, V> fmt::Debug for OrdIntoIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrdIntoIter").field("left", &self.left.len()).finish_non_exhaustive()
    }
}
