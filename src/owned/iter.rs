//! Iteration over a `HashMap`: its iterators, and the methods that visit or remove many entries.
//!
//! An iterator copies the pointers of a few bins at a time. Each bin's copy is a consistent snapshot.

use super::map::HashMap;
use super::nodes::Nodes;
use crate::reclaim::borrowed::{KeyRef, Ref};
use crate::reclaim::guard::{Guard, HasGuard};
use crate::reclaim::node::{Live, NodePtr, ReclaimNode};
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{NodeList, Unlinked, WaitMode};
use crate::table::scan::RawEntry;
use crate::table::walk::WalkPosition;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;

/// An iterator over the nodes of a table.
///
/// The guard, or a guard from the same slot, must be held as long as a node that this returns is used.
pub(super) struct NodeWalk<'a, N: ReclaimNode, G> {
    nodes: &'a Nodes<N>,
    pub(super) guard: G,
    position: Option<WalkPosition>,
    /// The nodes of a few bins. The iterator has returned those before index `next`.
    current: Vec<RawEntry<NodePtr<N>, ()>>,
    next: usize,
    /// The nodes of the bins that follow. Their cache lines load while the caller works on `current`.
    ahead: Vec<RawEntry<NodePtr<N>, ()>>,
}

impl<'a, N: ReclaimNode, G: HasGuard> NodeWalk<'a, N, G> {
    pub(super) fn new(nodes: &'a Nodes<N>, guard: G) -> Self {
        Self {
            nodes,
            guard,
            position: Some(WalkPosition::START),
            current: Vec::new(),
            next: 0,
            ahead: Vec::new(),
        }
    }
}

impl<N: ReclaimNode, G: HasGuard> NodeWalk<'_, N, G> {
    #[inline(never)]
    fn refill(&mut self) -> Option<()> {
        self.next = 0;
        self.current.clear();
        core::mem::swap(&mut self.current, &mut self.ahead);
        match self.position {
            Some(at) => {
                self.position = self.nodes.snapshot(at, &mut self.ahead, self.guard.guard());
                Some(())
            }
            None => (!self.current.is_empty()).then_some(()),
        }
    }
}

impl<'a, N: ReclaimNode> NodeWalk<'a, N, Guard<'a>> {
    /// Removes the next node for which `wanted` returns `true`. Skips a node that another thread has replaced or
    /// removed since `wanted` saw it.
    pub(super) fn take_next(
        &mut self,
        mut wanted: impl FnMut(Live<'_, N>) -> bool,
    ) -> Option<Unlinked<'a, N>> {
        loop {
            let node = self.next()?;
            if !wanted(node) {
                continue;
            }
            // By address: if another thread has stored a new entry for the key, `wanted` has not decided about that
            // one.
            if let Ok(Some(taken)) =
                self.nodes.remove_exactly(node, WaitMode::Blocking, &self.guard)
            {
                return Some(taken);
            }
        }
    }
}

impl<N: ReclaimNode, G> Clone for NodeWalk<'_, N, &G> {
    fn clone(&self) -> Self {
        Self { current: self.current.clone(), ahead: self.ahead.clone(), ..*self }
    }
}

impl<'a, N: ReclaimNode, G: HasGuard> Iterator for NodeWalk<'a, N, G> {
    type Item = Live<'a, N>;

    #[inline]
    fn next(&mut self) -> Option<Live<'a, N>> {
        loop {
            if let Some(raw) = self.current.get(self.next) {
                self.next += 1;
                // SAFETY: the snapshot that filled the buffer is complete. It found the node under `self.guard`, which
                // keeps the node alive.
                return Some(unsafe { raw.whole().0.live() });
            }
            self.refill()?;
        }
    }
}

impl<K, V, S> HashMap<K, V, S> {
    /// Returns an iterator over all entries, in no particular order.
    ///
    /// The iterator holds its own guard, so it borrows only the map. [`Pinned::iter`](super::Pinned::iter) returns
    /// plain references.
    ///
    /// The iterator sees each bin as a consistent snapshot. It returns a key that is present all the time exactly once,
    /// even while the table grows. It returns a key that is inserted or removed concurrently at most once. Waits while
    /// the next bin is being written. Allocates a buffer for a few bins.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// let mut all: Vec<_> = map.iter().map(|entry| (*entry.key(), *entry)).collect();
    /// all.sort();
    /// assert_eq!(all, [(1, 'a'), (2, 'b')]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(self.nodes())
    }

    /// Returns an iterator over all keys, with the guarantees of [`iter`](Self::iter). It holds its own guard, and so
    /// does each key that it returns.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.keys().map(|key| *key).collect::<Vec<_>>(), [1]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = KeyRef<'_, K>> + use<'_, K, V, S> {
        self.iter().map(Ref::into_key)
    }

    /// Returns an iterator over all values, with the guarantees of [`iter`](Self::iter). A `Ref` dereferences to the
    /// value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.values().map(|value| *value).collect::<Vec<_>>(), ['a']);
    /// ```
    pub fn values(&self) -> Iter<'_, K, V> {
        self.iter()
    }

    /// Returns an iterator that removes the entries for which `wanted` returns `true`.
    ///
    /// Each call of `next` removes one entry, atomically. Entries that the caller does not request stay in the map. The
    /// iterator visits entries as [`iter`](Self::iter) does. `wanted` runs while no lock is held. If another thread
    /// replaces or removes an entry after `wanted` has seen it, the iterator skips the entry.
    ///
    /// Blocks while another thread writes to an entry's bin. Allocates a buffer for a few bins. The iterator holds one
    /// guard until it is dropped. Until then, no map drops an entry that was removed in the meantime.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// let odd: u32 = map.extract_if(|key, _| key % 2 == 1).map(|removed| *removed.value()).sum();
    /// assert_eq!((odd, map.len()), (165, 5));
    /// ```
    pub fn extract_if<F: FnMut(&K, &V) -> bool>(&self, wanted: F) -> ExtractIf<'_, K, V, F> {
        ExtractIf::new(self.nodes(), wanted)
    }

    /// Returns an iterator that removes all entries, one with each call of `next`.
    ///
    /// Entries that the caller does not request stay in the map, and an entry that is inserted concurrently may stay.
    /// Blocks, allocates and holds a guard as [`extract_if`](Self::extract_if) does.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.drain().map(|removed| *removed.key()).collect::<Vec<_>>(), [1]);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Removed<'_, K, V>> + use<'_, K, V, S> {
        self.extract_if(|_, _| true)
    }

    /// Removes the entries for which `keep` returns `false`. To learn how many, count what
    /// [`extract_if`](Self::extract_if) returns.
    ///
    /// `keep` runs while no lock is held. If a bin changes after `keep` has seen its entries, `keep` runs again for all
    /// of them. A `keep` that writes to the same bin each time never ends. Allocates a buffer for one bin.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// map.retain(|key, _| key % 2 == 0);
    /// assert_eq!(map.len(), 5);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.nodes().retain(|node| keep(node.key(), node.value()));
    }

    /// Removes every entry, bin by bin. Keeps the table's memory.
    ///
    /// An entry that is inserted concurrently may stay. Allocates a buffer for one bin.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }
}

/// An iterator over the entries of a [`HashMap`], made by [`HashMap::iter`].
///
/// The iterator holds its own guard, and so does each entry that it returns.
pub struct Iter<'a, K, V>(NodeWalk<'a, Pair<K, V>, Guard<'a>>);

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn new(nodes: &'a Nodes<Pair<K, V>>) -> Self {
        Self(NodeWalk::new(nodes, nodes.readers().pin()))
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = Ref<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.0.next()?.ptr();
        // SAFETY: `NodeWalk` returned the node under its guard, and the new guard protects the same.
        Some(unsafe { Ref::of(node, self.0.guard.again()) })
    }
}

/// An iterator over the entries of a [`HashMap`], borrowed from the [`Pinned`](super::Pinned) that [`HashMap::pin`]
/// returns.
///
/// A clone continues from the same position, and reads the later bins independently. The iterator of a map that
/// [`HashMap::pin_owned`] returns is `Send`.
pub struct PinnedIter<'a, K, V, G = Guard<'a>>(NodeWalk<'a, Pair<K, V>, &'a G>);

impl<'a, K, V, G: HasGuard> PinnedIter<'a, K, V, G> {
    pub(super) fn new(nodes: &'a Nodes<Pair<K, V>>, guard: &'a G) -> Self {
        Self(NodeWalk::new(nodes, guard))
    }
}

impl<'a, K, V, G: HasGuard> Iterator for PinnedIter<'a, K, V, G> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Live::entry)
    }
}

/// An iterator over the keys of a [`HashMap`], borrowed from the [`Pinned`](super::Pinned) that [`HashMap::pin`]
/// returns.
pub struct PinnedKeys<'a, K, V, G = Guard<'a>>(pub(super) PinnedIter<'a, K, V, G>);

impl<'a, K, V, G: HasGuard> Iterator for PinnedKeys<'a, K, V, G> {
    type Item = &'a K;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, _)| key)
    }
}

/// An iterator over the values of a [`HashMap`], borrowed from the [`Pinned`](super::Pinned) that [`HashMap::pin`]
/// returns.
pub struct PinnedValues<'a, K, V, G = Guard<'a>>(pub(super) PinnedIter<'a, K, V, G>);

impl<'a, K, V, G: HasGuard> Iterator for PinnedValues<'a, K, V, G> {
    type Item = &'a V;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

macro_rules! pinned_iterators {
    ($($name:ident)*) => {$(
        impl<K, V, G: HasGuard> FusedIterator for $name<'_, K, V, G> {}

        impl<K, V, G> fmt::Debug for $name<'_, K, V, G> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<K, V, G> Clone for $name<'_, K, V, G> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }
    )*};
}
pinned_iterators!(PinnedIter PinnedKeys PinnedValues);

/// An iterator that removes entries from a [`HashMap`], made by [`HashMap::extract_if`] and [`HashMap::drain`].
///
/// Entries that the caller does not request stay in the map. The iterator holds one guard until it is dropped.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct ExtractIf<'a, K, V, F> {
    walk: NodeWalk<'a, Pair<K, V>, Guard<'a>>,
    wanted: F,
}

impl<'a, K, V, F: FnMut(&K, &V) -> bool> ExtractIf<'a, K, V, F> {
    pub(super) fn new(nodes: &'a Nodes<Pair<K, V>>, wanted: F) -> Self {
        Self { walk: NodeWalk::new(nodes, nodes.readers().pin()), wanted }
    }
}

impl<'a, K, V, F: FnMut(&K, &V) -> bool> Iterator for ExtractIf<'a, K, V, F> {
    type Item = Removed<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let wanted = &mut self.wanted;
        let taken = self.walk.take_next(|node| wanted(node.key(), node.value()));
        taken.map(Removed::new)
    }
}

impl<K, V, F: FnMut(&K, &V) -> bool> FusedIterator for ExtractIf<'_, K, V, F> {}

impl<K, V, F> fmt::Debug for ExtractIf<'_, K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}

/// An iterator over the owned entries of a [`HashMap`], made by its `into_iter`. Allocates nothing.
pub struct IntoIter<K, V> {
    left: NodeList<Pair<K, V>>,
}

impl<K, V> IntoIter<K, V> {
    pub(super) fn new(mut nodes: Nodes<Pair<K, V>>) -> Self {
        let all = Self { left: NodeList(nodes.drain()) };
        // Drops the garbage now: if one of its destructors panicked after the return value is made, the entries would
        // leak.
        drop(nodes);
        all
    }
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.left.pop().map(Pair::into_inner)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.len(), Some(self.left.len()))
    }
}

impl<K, V> ExactSizeIterator for IntoIter<K, V> {}
impl<K, V> FusedIterator for IntoIter<K, V> {}

impl<K, V> fmt::Debug for IntoIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.left.len()).finish_non_exhaustive()
    }
}
