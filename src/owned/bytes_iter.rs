//! Iteration over a `BytesMap`.

use super::fused::Fused;
use super::iter::Walk;
use super::nodes::Nodes;
use crate::reclaim::guard::Guard;
use core::fmt;
use core::iter::FusedIterator;

/// Keys and values of a [`BytesMap`](super::BytesMap), borrowed under a guard; made by
/// [`BytesMap::iter`](super::BytesMap::iter).
///
/// A clone goes on from the same place, and reads the bins that follow for itself.
#[derive(Clone)]
pub struct BytesIter<'a>(Walk<'a, Fused>);

impl<'a> BytesIter<'a> {
    pub(super) fn new(nodes: &'a Nodes<Fused>, guard: &'a Guard<'a>) -> Self {
        Self(Walk::new(nodes, guard))
    }
}

impl<'a> Iterator for BytesIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|node| (node.key(), node.value()))
    }
}

impl FusedIterator for BytesIter<'_> {}

impl fmt::Debug for BytesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesIter").finish_non_exhaustive()
    }
}
