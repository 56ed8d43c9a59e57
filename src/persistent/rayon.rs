//! Feature `rayon`: iteration by many threads. Pieces are cut by index, in O(log n).

use super::map::{self, PersistentMap};
use super::set::{self, PersistentSet};
use super::vec::{self, PersistentVec};
use ::rayon::iter::plumbing::{Consumer, Producer, ProducerCallback, UnindexedConsumer, bridge};
use ::rayon::iter::{
    FromParallelIterator, IndexedParallelIterator, IntoParallelIterator, ParallelIterator,
};
use alloc::vec::Vec;
use core::fmt;

/// A parallel iterator over a persistent collection, from `par_iter` (feature `rayon`).
///
/// ```
/// use rayon::prelude::*;
///
/// let squares: hedgerow::PersistentMap<u64, u64> = (0..1000).into_par_iter().map(|n| (n, n * n)).collect();
/// let sum: u64 = squares.par_iter().map(|(_, square)| square).sum();
/// assert_eq!(sum, (0..1000).map(|n| n * n).sum());
/// ```
pub struct ParIter<I>(I);

impl<I> fmt::Debug for ParIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParIter").finish_non_exhaustive()
    }
}

/// An iterator that can be cut in two.
pub trait Cut: DoubleEndedIterator + ExactSizeIterator + Send {
    /// Returns the items before `index`, and the others.
    fn cut(self, index: usize) -> (Self, Self)
    where
        Self: Sized;
}

struct Piece<I>(I);

impl<I: Cut> Producer for Piece<I> {
    type Item = I::Item;
    type IntoIter = I;

    fn into_iter(self) -> I {
        self.0
    }

    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.0.cut(index);
        (Self(left), Self(right))
    }
}

impl<I: Cut<Item: Send>> ParallelIterator for ParIter<I> {
    type Item = I::Item;

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge(self, consumer)
    }

    fn opt_len(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

impl<I: Cut<Item: Send>> IndexedParallelIterator for ParIter<I> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn drive<C: Consumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge(self, consumer)
    }

    fn with_producer<B: ProducerCallback<Self::Item>>(self, callback: B) -> B::Output {
        callback.callback(Piece(self.0))
    }
}

/// Implements `par_iter` of a collection by its iterator, and `collect` by threads.
macro_rules! parallel {
    ([$($t:ident),*] $collection:ty, $iter:ty, $item:ty, [$($bounds:tt)*] $($of:tt)*) => {
        impl<'a, $($t: Sync),*> Cut for $iter {
            fn cut(self, index: usize) -> (Self, Self) {
                let (left, right) = self.entries.cut(index);
                (Self { entries: left }, Self { entries: right })
            }
        }

        impl<'a, $($t: Send + Sync),*> IntoParallelIterator for &'a $collection {
            type Item = $item;
            type Iter = ParIter<$iter>;

            fn into_par_iter(self) -> Self::Iter {
                ParIter(self.iter())
            }
        }

        impl<$($t: Send),*> FromParallelIterator<$($of)*> for $collection
        where
            $($bounds)*
        {
            /// Collects the items with all threads, and inserts them with one.
            fn from_par_iter<I: IntoParallelIterator<Item = $($of)*>>(items: I) -> Self {
                items.into_par_iter().collect::<Vec<_>>().into_iter().collect()
            }
        }
    };
}

parallel!([K, V] PersistentMap<K, V>, map::Iter<'a, K, V>, (&'a K, &'a V), [K: Ord + Clone, V: Clone] (K, V));
parallel!([T] PersistentSet<T>, set::Iter<'a, T>, &'a T, [T: Ord + Clone] T);
parallel!([T] PersistentVec<T>, vec::Iter<'a, T>, &'a T, [T: Clone] T);
