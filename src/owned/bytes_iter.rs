//! Iteration over a `BytesMap`: its iterators, and the methods that visit or remove many entries.

use super::bytes_map::BytesMap;
use super::inline_node::InlineNode;
use super::iter::NodeWalk;
use super::nodes::Nodes;
use super::removed_bytes::RemovedBytes;
use crate::reclaim::borrowed::{KeyRef, Ref};
use crate::reclaim::guard::{Guard, HasGuard};
use crate::reclaim::node::Live;
use crate::reclaim::retired::NodeList;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;

/// An iterator over the entries of a [`BytesMap`], made by [`BytesMap::iter`].
///
/// The iterator holds its own guard, and so does each entry that it returns.
pub struct BytesIter<'a>(NodeWalk<'a, InlineNode, Guard<'a>>);

impl<'a> BytesIter<'a> {
    #[inline]
    pub(super) fn new(nodes: &'a Nodes<InlineNode>) -> Self {
        Self(NodeWalk::new(nodes, nodes.readers().pin()))
    }
}

impl<'a> Iterator for BytesIter<'a> {
    type Item = Ref<'a, [u8], [u8]>;

    // `inline`, here and elsewhere in `BytesMap`: without type parameters, the function would otherwise be compiled
    // into the crate, also for users without a `BytesMap`.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let node = self.0.next()?.ptr();
        // SAFETY: `NodeWalk` returned the node under its guard, and the new guard protects the same.
        Some(unsafe { Ref::of(node, self.0.guard.again()) })
    }
}

impl FusedIterator for BytesIter<'_> {}

impl fmt::Debug for BytesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesIter").finish_non_exhaustive()
    }
}

/// An iterator over the keys and values of a [`BytesMap`], borrowed from the [`Pinned`](super::Pinned) that
/// [`BytesMap::pin`] returns.
///
/// A clone continues from the same position, and reads the later bins independently. The iterator of a map that
/// [`BytesMap::pin_owned`] returns is `Send`.
pub struct PinnedBytesIter<'a, G = Guard<'a>>(NodeWalk<'a, InlineNode, &'a G>);

impl<'a, G: HasGuard> PinnedBytesIter<'a, G> {
    #[inline]
    pub(super) fn new(nodes: &'a Nodes<InlineNode>, guard: &'a G) -> Self {
        Self(NodeWalk::new(nodes, guard))
    }
}

impl<G> Clone for PinnedBytesIter<'_, G> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, G: HasGuard> Iterator for PinnedBytesIter<'a, G> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Live::entry)
    }
}

impl<G: HasGuard> FusedIterator for PinnedBytesIter<'_, G> {}

impl<G> fmt::Debug for PinnedBytesIter<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedBytesIter").finish_non_exhaustive()
    }
}

impl<S> BytesMap<S> {
    /// Returns an iterator over all entries, in no particular order; see [`HashMap::iter`](super::HashMap::iter).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.iter().next().unwrap().pair(), (&b"rose"[..], &b"red"[..]));
    /// ```
    pub fn iter(&self) -> BytesIter<'_> {
        BytesIter::new(self.nodes())
    }

    /// Returns an iterator over all keys, with the guarantees of [`iter`](Self::iter). It holds its own guard, and so
    /// does each key that it returns.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert!(map.keys().all(|key| *key == *b"rose"));
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = KeyRef<'_, [u8]>> + use<'_, S> {
        self.iter().map(Ref::into_key)
    }

    /// Returns an iterator over all values, with the guarantees of [`iter`](Self::iter). A `Ref` dereferences to the
    /// value.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert!(map.values().all(|value| *value == *b"red"));
    /// ```
    pub fn values(&self) -> BytesIter<'_> {
        self.iter()
    }

    /// Returns an iterator that removes the entries for which `wanted` returns `true`, one with each call of `next`.
    ///
    /// Entries that the caller does not request stay in the map. The iterator holds one guard until it is dropped; see
    /// [`HashMap::extract_if`](super::HashMap::extract_if).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red"), ("thorn", "green")]);
    /// let red: Vec<_> = map.extract_if(|_, colour| colour == b"red").collect();
    /// assert_eq!((red[0].key(), map.len()), (&b"rose"[..], 1));
    /// ```
    pub fn extract_if<F: FnMut(&[u8], &[u8]) -> bool>(&self, wanted: F) -> BytesExtractIf<'_, F> {
        BytesExtractIf { walk: NodeWalk::new(self.nodes(), self.readers().pin()), wanted }
    }

    /// Returns an iterator that removes all entries, one with each call of `next`.
    ///
    /// Entries that the caller does not request stay in the map, and an entry that is inserted concurrently may stay;
    /// see [`HashMap::drain`](super::HashMap::drain).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert!(map.drain().all(|removed| removed.key() == b"rose"));
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = RemovedBytes<'_>> + use<'_, S> {
        self.extract_if(|_, _| true)
    }

    /// Removes the entries for which `keep` returns `false`; see [`HashMap::retain`](super::HashMap::retain).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red"), ("thorn", "green")]);
    /// map.retain(|_, colour| colour == b"red");
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.nodes().retain(|node| keep(node.key(), node.value()));
    }

    /// Removes every entry, bin by bin. Keeps the table's memory.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }
}

/// An iterator that removes entries from a [`BytesMap`], made by [`BytesMap::extract_if`] and [`BytesMap::drain`].
///
/// Entries that the caller does not request stay in the map. The iterator holds one guard until it is dropped.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct BytesExtractIf<'a, F> {
    walk: NodeWalk<'a, InlineNode, Guard<'a>>,
    wanted: F,
}

impl<'a, F: FnMut(&[u8], &[u8]) -> bool> Iterator for BytesExtractIf<'a, F> {
    type Item = RemovedBytes<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let wanted = &mut self.wanted;
        let taken = self.walk.take_next(|node| wanted(node.key(), node.value()));
        taken.map(RemovedBytes)
    }
}

impl<F: FnMut(&[u8], &[u8]) -> bool> FusedIterator for BytesExtractIf<'_, F> {}

impl<F> fmt::Debug for BytesExtractIf<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesExtractIf").finish_non_exhaustive()
    }
}

/// An iterator over the owned entries of a [`BytesMap`], made by its `into_iter`. Copies each key and each value into a
/// vector.
pub struct BytesIntoIter {
    left: NodeList<InlineNode>,
}

impl BytesIntoIter {
    pub(super) fn new(mut nodes: Nodes<InlineNode>) -> Self {
        Self { left: NodeList(nodes.drain()) }
    }
}

impl Iterator for BytesIntoIter {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.left.pop()?;
        Some((node.live().key().to_vec(), node.live().value().to_vec()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.len(), Some(self.left.len()))
    }
}

impl ExactSizeIterator for BytesIntoIter {}
impl FusedIterator for BytesIntoIter {}

impl fmt::Debug for BytesIntoIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesIntoIter").field("left", &self.left.len()).finish_non_exhaustive()
    }
}
