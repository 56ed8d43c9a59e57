//! Feature `rayon`: walking over a map, and filling one, on all cores.
//!
//! A parallel walk cuts the range of positions (see [`scan`](super::scan)) in pieces, and only where bins
//! already ended when it began. Bins are split but never joined while the map is shared, so the cuts stay
//! between bins, and each lasting key is met exactly once, as by `iter`.

use super::map::FlatMap;
use crate::table::Table;
use ::rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
use ::rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// Entries of a [`FlatMap`], copied out by many threads; made by `par_iter` (feature `rayon`).
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

/// Positions from `from` up to `to`, which may be cut at multiples of `unit`; a bound of None is the end of
/// all positions.
struct Piece<'a, K, V> {
    table: &'a Table<K, V>,
    from: u64,
    to: Option<u64>,
    unit: Option<u64>,
}

impl<K, V> UnindexedProducer for Piece<'_, K, V>
where
    K: Copy + Send,
    V: Copy + Send,
{
    type Item = (K, V);

    fn split(mut self) -> (Self, Option<Self>) {
        let length = self.to.unwrap_or(0).wrapping_sub(self.from);
        // 0 stands for all positions, of which half is known.
        let half = if length == 0 { 1 << 63 } else { length / 2 };
        match self.unit {
            Some(unit) if half >= unit => {
                let middle = self.from + half / unit * unit;
                let rest = Self { from: middle, ..self };
                self.to = Some(middle);
                (self, Some(rest))
            }
            _ => (self, None),
        }
    }

    fn fold_with<F: Folder<Self::Item>>(self, mut folder: F) -> F {
        let mut bin = Vec::new();
        let mut position = Some(self.from);
        while let Some(at) = position.filter(|&at| self.to.is_none_or(|to| at < to)) {
            bin.clear();
            position = self.table.snapshot(at, &mut bin);
            // SAFETY: the snapshot that filled the buffer has returned.
            folder = folder.consume_iter(bin.iter().map(|raw| unsafe { raw.whole() }));
            if folder.full() {
                break;
            }
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
        let bits = self.table.root_bits();
        let unit = (bits > 0).then(|| 1 << (64 - bits));
        bridge_unindexed(Piece { table: self.table, from: 0, to: None, unit }, consumer)
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
    /// All threads insert into one map. Of two entries with one key, one stays.
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
