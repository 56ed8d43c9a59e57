//! Feature `rayon`: walking over a map of owned data, and filling one, on all cores.
//!
//! One guard serves all threads: it is borrowed for as long as any of them, or what they were shown, is there.
//! It stays where it is, and the others begin after it was taken.

use super::bytes_map::BytesMap;
use super::inline_node::InlineNode;
use super::map::HashMap;
use super::nodes::Nodes;
use crate::reclaim::borrowed::Pinned;
use crate::reclaim::guard::{Guard, HasGuard};
use crate::reclaim::node::{Live, Node, Shared};
use crate::reclaim::pair::Pair;
use crate::table::pieces::Piece;
use crate::table::scan::Raw;
use ::rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
use ::rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// Another thread's guard, of which no more is of interest than that it is there.
#[derive(Clone, Copy)]
struct BorrowedGuard<'a>(&'a Guard<'a>);

// SAFETY: shared, a guard offers nothing but its number, which never changes, and its presence; it is taken
// and dropped by its own thread.
unsafe impl Send for BorrowedGuard<'_> {}

/// The nodes of some lanes.
struct Walk<'a, N: Node> {
    piece: Piece<'a, Shared<N>, ()>,
    guard: BorrowedGuard<'a>,
}

impl<'a, N: Node> Walk<'a, N> {
    fn all(nodes: &'a Nodes<N>, guard: &'a Guard<'_>) -> Self {
        Self { piece: nodes.piece(), guard: BorrowedGuard(guard) }
    }
}

impl<'a, N: Node + Send + Sync> UnindexedProducer for Walk<'a, N> {
    type Item = Live<'a, N>;

    fn split(mut self) -> (Self, Option<Self>) {
        let other = self.piece.split().map(|piece| Self { piece, ..self });
        (self, other)
    }

    fn fold_with<F: Folder<Self::Item>>(mut self, mut folder: F) -> F {
        let BorrowedGuard(guard) = self.guard;
        let (mut bin, mut ahead) = (Vec::<Raw<Shared<N>, ()>>::new(), Vec::new());
        let mut more = true;
        while more && !folder.full() {
            more = Nodes::next_bin(&mut self.piece, &mut ahead, guard);
            // SAFETY: the snapshot that filled the buffer has returned; and what it met under the guard is
            // not freed as long as that is held.
            folder = folder.consume_iter(bin.iter().map(|raw| unsafe { raw.whole().0.live() }));
            core::mem::swap(&mut bin, &mut ahead);
        }
        folder
    }
}

/// Entries of a [`HashMap`], borrowed by many threads under one guard; made by
/// [`Pinned::par_iter`] (feature `rayon`).
pub struct ParIter<'a, K, V>(&'a Nodes<Pair<K, V>>, BorrowedGuard<'a>);

impl<'a, K, V> ParallelIterator for ParIter<'a, K, V>
where
    K: Send + Sync,
    V: Send + Sync,
{
    type Item = (&'a K, &'a V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        ParNodes(Walk::all(self.0, self.1.0))
            .map(|node| {
                let pair = node.fields();
                (&pair.key, &pair.value)
            })
            .drive_unindexed(consumer)
    }
}

/// Entries of a [`BytesMap`], borrowed by many threads under one guard; made by
/// [`Pinned::par_iter`] (feature `rayon`).
pub struct ParBytesIter<'a>(&'a Nodes<InlineNode>, BorrowedGuard<'a>);

impl<'a> ParallelIterator for ParBytesIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        ParNodes(Walk::all(self.0, self.1.0))
            .map(|node| (node.key(), node.value()))
            .drive_unindexed(consumer)
    }
}

/// All nodes.
struct ParNodes<'a, N: Node>(Walk<'a, N>);

impl<'a, N: Node + Send + Sync> ParallelIterator for ParNodes<'a, N> {
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
    /// As [`iter`](Self::iter), on rayon's threads (feature `rayon`). The guard is this thread's, and is held until all
    /// are done.
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
    /// As [`iter`](Self::iter), on rayon's threads (feature `rayon`). The guard is this thread's, and is held until all
    /// are done.
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
    /// All threads insert into one map. Of two entries with one key, one stays.
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
    /// All threads insert into one map. Of two entries with one key, one stays.
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
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let map = &*self;
        entries.into_par_iter().for_each(|(key, value)| drop(map.insert(key, value)));
    }
}
