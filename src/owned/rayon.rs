//! Feature `rayon`: parallel iteration over `HashMap` and `BytesMap`, and parallel insertion.
//!
//! One guard serves all threads of an iteration. The iterator and its items borrow it, so it outlives all of them. The
//! thread that took the guard starts the others, so every node that they find was in the table after that.

use super::bytes_map::BytesMap;
use super::inline_node::InlineNode;
use super::map::HashMap;
use super::nodes::Nodes;
use crate::reclaim::borrowed::Pinned;
use crate::reclaim::guard::{Guard, HasGuard};
use crate::reclaim::node::{Live, NodePtr, ReclaimNode};
use crate::reclaim::pair::Pair;
use crate::table::pieces::WalkPiece;
use crate::table::scan::RawEntry;
use ::rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
use ::rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A guard of another thread, borrowed to prove that the guard is held.
#[derive(Clone, Copy)]
struct BorrowedGuard<'a>(&'a Guard<'a>);

// SAFETY: other threads only keep the borrow alive. Through a shared reference they could read the guard's reader
// number, which never changes. The guard's own thread takes it and drops it.
unsafe impl Send for BorrowedGuard<'_> {}

/// A producer of the nodes of one piece of the table.
struct NodeProducer<'a, N: ReclaimNode> {
    piece: WalkPiece<'a, NodePtr<N>, ()>,
    guard: BorrowedGuard<'a>,
}

impl<'a, N: ReclaimNode> NodeProducer<'a, N> {
    fn all(nodes: &'a Nodes<N>, guard: &'a Guard<'_>) -> Self {
        Self { piece: nodes.piece(), guard: BorrowedGuard(guard) }
    }
}

impl<'a, N: ReclaimNode + Send + Sync> UnindexedProducer for NodeProducer<'a, N> {
    type Item = Live<'a, N>;

    fn split(mut self) -> (Self, Option<Self>) {
        let other = self.piece.split().map(|piece| Self { piece, ..self });
        (self, other)
    }

    fn fold_with<F: Folder<Self::Item>>(mut self, mut folder: F) -> F {
        let BorrowedGuard(guard) = self.guard;
        let (mut bin, mut ahead) = (Vec::<RawEntry<NodePtr<N>, ()>>::new(), Vec::new());
        let mut more = true;
        while more && !folder.full() {
            // One bin ahead: its cache lines load while the folder consumes the bin before.
            more = Nodes::next_bin(&mut self.piece, &mut ahead, guard);
            // SAFETY: the snapshot that filled the buffer is complete. It found the node under the guard, which keeps
            // the node alive.
            folder = folder.consume_iter(bin.iter().map(|raw| unsafe { raw.whole().0.live() }));
            core::mem::swap(&mut bin, &mut ahead);
        }
        folder
    }
}

/// A parallel iterator over the entries of a [`HashMap`], made by [`Pinned::par_iter`] (feature `rayon`). All threads
/// share one guard.
pub struct ParIter<'a, K, V>(&'a Nodes<Pair<K, V>>, BorrowedGuard<'a>);

impl<'a, K, V> ParallelIterator for ParIter<'a, K, V>
where
    K: Send + Sync,
    V: Send + Sync,
{
    type Item = (&'a K, &'a V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        ParNodes(NodeProducer::all(self.0, self.1.0)).map(Live::entry).drive_unindexed(consumer)
    }
}

/// A parallel iterator over the entries of a [`BytesMap`], made by [`Pinned::par_iter`] (feature `rayon`). All threads
/// share one guard.
pub struct ParBytesIter<'a>(&'a Nodes<InlineNode>, BorrowedGuard<'a>);

impl<'a> ParallelIterator for ParBytesIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        ParNodes(NodeProducer::all(self.0, self.1.0)).map(Live::entry).drive_unindexed(consumer)
    }
}

/// A parallel iterator over all nodes of a table.
struct ParNodes<'a, N: ReclaimNode>(NodeProducer<'a, N>);

impl<'a, N: ReclaimNode + Send + Sync> ParallelIterator for ParNodes<'a, N> {
    type Item = Live<'a, N>;

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge_unindexed(self.0, consumer)
    }
}

impl<K, V> fmt::Debug for ParIter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParIter").finish_non_exhaustive()
    }
}

impl fmt::Debug for ParBytesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParBytesIter").finish_non_exhaustive()
    }
}

impl<K: Send + Sync, V: Send + Sync, S, G: HasGuard> Pinned<'_, HashMap<K, V, S>, G> {
    /// Returns a parallel iterator over all entries, which runs on rayon's threads (feature `rayon`).
    ///
    /// It gives the guarantees of [`iter`](Self::iter). This thread holds the guard until all threads are done.
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let words: hedgerow::HashMap<String, usize> =
    ///     (0..1000_usize).into_par_iter().map(|n| (n.to_string(), n)).collect();
    /// let sum: usize = words.pin().par_iter().map(|(_, n)| n).sum();
    /// assert_eq!(sum, 499_500);
    /// ```
    pub fn par_iter(&self) -> ParIter<'_, K, V> {
        ParIter(self.map().nodes(), BorrowedGuard(self.guard()))
    }
}

impl<S, G: HasGuard> Pinned<'_, BytesMap<S>, G> {
    /// Returns a parallel iterator over all entries, which runs on rayon's threads (feature `rayon`).
    ///
    /// It gives the guarantees of [`iter`](Self::iter). This thread holds the guard until all threads are done.
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let colours = hedgerow::BytesMap::from([("rose", "red"), ("thorn", "green")]);
    /// assert_eq!(colours.pin().par_iter().map(|(_, colour)| colour.len()).sum::<usize>(), 8);
    /// ```
    pub fn par_iter(&self) -> ParBytesIter<'_> {
        ParBytesIter(self.map().nodes(), BorrowedGuard(self.guard()))
    }
}

impl<K, V, S> FromParallelIterator<(K, V)> for HashMap<K, V, S>
where
    K: Eq + Hash + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Default + Send + Sync,
{
    /// Creates a map with the given entries. If several entries have the same key, the map keeps an arbitrary one.
    ///
    /// All threads insert into the same map.
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::with_hasher(S::default());
        map.par_extend(entries);
        map
    }
}

impl<K, V, S> ParallelExtend<(K, V)> for HashMap<K, V, S>
where
    K: Eq + Hash + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let map = &*self;
        entries.into_par_iter().for_each(|(key, value)| drop(map.insert(key, value)));
    }
}

impl<K, V, S> FromParallelIterator<(K, V)> for BytesMap<S>
where
    K: AsRef<[u8]> + Send,
    V: AsRef<[u8]> + Send,
    S: BuildHasher + Default + Send + Sync,
{
    /// Creates a map with the given entries. If several entries have the same key, the map keeps an arbitrary one.
    ///
    /// All threads insert into the same map.
    ///
    /// # Panics
    /// If a key or a value is longer than `u32::MAX` bytes.
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.par_extend(entries);
        map
    }
}

impl<K, V, S> ParallelExtend<(K, V)> for BytesMap<S>
where
    K: AsRef<[u8]> + Send,
    V: AsRef<[u8]> + Send,
    S: BuildHasher + Send + Sync,
{
    /// Stores copies of the entries, as [`insert`](BytesMap::insert) does.
    ///
    /// # Panics
    /// If a key or a value is longer than `u32::MAX` bytes. Some of the other entries are stored.
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let map = &*self;
        entries.into_par_iter().for_each(|(key, value)| drop(map.insert(key, value)));
    }
}
