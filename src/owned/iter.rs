//! Iterators: some bins at a time, each bin as it was at one moment.

use super::nodes::Nodes;
use crate::reclaim::guard::Guard;
use crate::reclaim::node::{List, Live, Node, Shared};
use crate::reclaim::pair::Pair;
use crate::reclaim::retired::Fresh;
use crate::table::scan::Raw;
use crate::table::walk::Position;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;

/// The nodes of a table.
pub(super) struct Walk<'a, N: Node> {
    nodes: &'a Nodes<N>,
    guard: &'a Guard<'a>,
    position: Option<Position>,
    /// The nodes of some bins, those before `next` already handed out.
    some: Vec<Raw<Shared<N>, ()>>,
    next: usize,
    /// Those of the bins after, asked for while the others are handed out.
    ahead: Vec<Raw<Shared<N>, ()>>,
}

impl<'a, N: Node> Walk<'a, N> {
    pub(super) fn new(nodes: &'a Nodes<N>, guard: &'a Guard<'a>) -> Self {
        Self {
            nodes,
            guard,
            position: Some(Position::START),
            some: Vec::new(),
            next: 0,
            ahead: Vec::new(),
        }
    }
}

impl<N: Node> Walk<'_, N> {
    #[inline(never)]
    fn refill(&mut self) -> Option<()> {
        self.next = 0;
        self.some.clear();
        core::mem::swap(&mut self.some, &mut self.ahead);
        match self.position {
            Some(at) => {
                self.position = self.nodes.snapshot(at, &mut self.ahead, self.guard);
                Some(())
            }
            None => (!self.some.is_empty()).then_some(()),
        }
    }
}

impl<N: Node> Clone for Walk<'_, N> {
    fn clone(&self) -> Self {
        Self { some: self.some.clone(), ahead: self.ahead.clone(), ..*self }
    }
}

impl<'a, N: Node> Iterator for Walk<'a, N> {
    type Item = Live<'a, N>;

    #[inline]
    fn next(&mut self) -> Option<Live<'a, N>> {
        loop {
            if let Some(raw) = self.some.get(self.next) {
                self.next += 1;
                // SAFETY: the snapshot that filled the buffer has returned; and what it met under the
                // guard is not freed as long as that is held.
                return Some(unsafe { raw.whole().0.live() });
            }
            self.refill()?;
        }
    }
}

/// Entries of a [`HashMap`](super::HashMap), borrowed under a guard; made by
/// [`HashMap::iter`](super::HashMap::iter).
///
/// A clone goes on from the same place, and reads the bins that follow for itself.
pub struct Iter<'a, K, V>(Walk<'a, Pair<K, V>>);

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn new(nodes: &'a Nodes<Pair<K, V>>, guard: &'a Guard<'a>) -> Self {
        Self(Walk::new(nodes, guard))
    }
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.0.next()?.fields();
        Some((&pair.key, &pair.value))
    }
}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// The entries themselves, of a [`HashMap`](super::HashMap) that is given up for them. Allocates nothing.
pub struct IntoIter<K, V> {
    left: List<Pair<K, V>>,
}

impl<K, V> IntoIter<K, V> {
    pub(super) fn new(mut nodes: Nodes<Pair<K, V>>) -> Self {
        let all = Self { left: nodes.drain() };
        // Garbage goes now: if a destructor panicked when this has returned, what it returns would leak.
        drop(nodes);
        all
    }
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        // The list's nodes are nobody else's.
        self.left.pop().map(|node| Pair::into_inner(Fresh(node)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.len(), Some(self.left.len()))
    }
}

impl<K, V> ExactSizeIterator for IntoIter<K, V> {}
impl<K, V> FusedIterator for IntoIter<K, V> {}

impl<K, V> Drop for IntoIter<K, V> {
    fn drop(&mut self) {
        crate::reclaim::garbage::free_all(&mut self.left);
    }
}

// SAFETY: the nodes are this iterator's alone.
unsafe impl<K: Send, V: Send> Send for IntoIter<K, V> {}
// SAFETY: shared, it shows nothing but its length.
unsafe impl<K: Sync, V: Sync> Sync for IntoIter<K, V> {}

impl<K, V> fmt::Debug for IntoIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.left.len()).finish_non_exhaustive()
    }
}
