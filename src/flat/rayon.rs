//! Feature `rayon`: walking over a map, and filling one, with many threads.

use super::map::FlatMap;
use crate::table::Table;
use crate::table::pieces::WalkPiece;
use ::rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
use ::rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A parallel iterator over copies of the entries of a [`FlatMap`], from `par_iter` (feature `rayon`).
///
/// ```
/// use rayon::prelude::*;
///
/// let squares: hedgerow::FlatMap<u64, u64> = (0..1000).into_par_iter().map(|n| (n, n * n)).collect();
/// let sum: u64 = squares.par_iter().map(|(_, square)| square).sum();
/// assert_eq!(sum, (0..1000).map(|n| n * n).sum());
/// ```
pub struct ParIter<'a, K, V> {
    table: &'a Table<K, V>,
}

impl<K, V> fmt::Debug for ParIter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParIter").finish_non_exhaustive()
    }
}

struct EntryProducer<'a, K, V>(WalkPiece<'a, K, V>);

impl<K, V> UnindexedProducer for EntryProducer<'_, K, V>
where
    K: Copy + Send,
    V: Copy + Send,
{
    type Item = (K, V);

    fn split(mut self) -> (Self, Option<Self>) {
        let other = self.0.split().map(Self);
        (self, other)
    }

    fn fold_with<F: Folder<Self::Item>>(mut self, mut folder: F) -> F {
        let mut bin = Vec::new();
        while !folder.full() && self.0.next_bin(&mut bin) {
            // SAFETY: the `snapshot` that filled the buffer has returned.
            folder = folder.consume_iter(bin.iter().map(|raw| unsafe { raw.whole() }));
        }
        folder
    }
}

impl<K, V> ParallelIterator for ParIter<'_, K, V>
where
    K: Copy + Send,
    V: Copy + Send,
{
    type Item = (K, V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge_unindexed(EntryProducer(WalkPiece::whole(self.table)), consumer)
    }
}

impl<'a, K, V, S> IntoParallelIterator for &'a FlatMap<K, V, S>
where
    K: Copy + Send,
    V: Copy + Send,
    S: Sync,
{
    type Item = (K, V);
    type Iter = ParIter<'a, K, V>;

    fn into_par_iter(self) -> Self::Iter {
        ParIter { table: self.table() }
    }
}

impl<K, V, S> FromParallelIterator<(K, V)> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash + Send,
    V: Copy + Send,
    S: BuildHasher + Default + Send + Sync,
{
    /// Inserts with all threads into one map. Of two entries with the same key, one stays.
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::with_hasher(S::default());
        map.par_extend(entries);
        map
    }
}

impl<K, V, S> ParallelExtend<(K, V)> for FlatMap<K, V, S>
where
    K: Copy + Eq + Hash + Send,
    V: Copy + Send,
    S: BuildHasher + Send + Sync,
{
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let map = &*self;
        entries.into_par_iter().for_each(|(key, value)| {
            map.insert(key, value);
        });
    }
}
