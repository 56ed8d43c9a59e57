//! Iteration over a `BytesMap`.

use super::fused::Fused;
use super::iter::Walk;
use super::nodes::Nodes;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::{Guard, pin};
use core::fmt;
use core::iter::FusedIterator;

/// An iterator over the entries of a [`BytesMap`](super::BytesMap), made by [`BytesMap::iter`](super::BytesMap::iter).
/// It has a guard of its own, as each entry that it returns.
pub struct BytesIter<'a>(Walk<'a, Fused, Guard<'a>>);

impl<'a> BytesIter<'a> {
    #[inline]
    pub(super) fn new(nodes: &'a Nodes<Fused>) -> Self {
        Self(Walk::new(nodes, pin()))
    }
}

impl<'a> Iterator for BytesIter<'a> {
    type Item = Ref<'a, [u8], [u8]>;

    // Inline, here and elsewhere in maps of bytes: compiled for whoever uses one, and for nobody else.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let node = self.0.next()?.shared();
        // SAFETY: met under the guard, of which the entry gets another.
        Some(unsafe { Ref::of_bytes(node, self.0.guard.again()) })
    }
}

impl FusedIterator for BytesIter<'_> {}

impl fmt::Debug for BytesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesIter").finish_non_exhaustive()
    }
}

/// An iterator over the keys and values of a [`BytesMap`](super::BytesMap), borrowed from what
/// [`BytesMap::pin`](super::BytesMap::pin) returns.
///
/// A clone goes on from the same place, and reads the bins that follow for itself.
#[derive(Clone)]
pub struct PinnedBytesIter<'a>(Walk<'a, Fused>);

impl<'a> PinnedBytesIter<'a> {
    #[inline]
    pub(super) fn new(nodes: &'a Nodes<Fused>, guard: &'a Guard<'a>) -> Self {
        Self(Walk::new(nodes, guard))
    }
}

impl<'a> Iterator for PinnedBytesIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|node| (node.key(), node.value()))
    }
}

impl FusedIterator for PinnedBytesIter<'_> {}

impl fmt::Debug for PinnedBytesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedBytesIter").finish_non_exhaustive()
    }
}
