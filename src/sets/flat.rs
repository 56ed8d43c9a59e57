//! A set of plain data by hashes.

use super::{common, tables};
use crate::api::hasher::DefaultHashBuilder;
use crate::error::{TryInsertError, TryReserveError};
use crate::flat::{FlatMap, Keys};
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// A concurrent hash set for `Copy` elements, whose lookups take no lock and write nothing: a [`FlatMap`] without
/// values.
///
/// ```
/// let seen = hedgerow::FlatSet::<u64>::new();
/// assert!(seen.insert(7) && !seen.insert(7) && seen.contains(&7));
/// ```
pub struct FlatSet<T, S = DefaultHashBuilder> {
    pub(super) map: FlatMap<T, (), S>,
}

impl<T: Copy> FlatSet<T> {
    /// Returns an empty set; allocates nothing.
    ///
    /// ```
    /// assert!(hedgerow::FlatSet::<u32>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { map: FlatMap::new() }
    }
}

impl<T: Copy + Eq + Hash> FlatSet<T> {
    /// Returns an empty set with room for `capacity` elements before it grows.
    ///
    /// ```
    /// let set = hedgerow::FlatSet::<u32>::with_capacity(100);
    /// (0..100).for_each(|n| assert!(set.insert(n)));
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { map: FlatMap::with_capacity(capacity) }
    }
}

impl<T: Copy, S> FlatSet<T, S> {
    /// Returns an empty set that hashes with `hash_builder`.
    ///
    /// ```
    /// let set = hedgerow::FlatSet::with_hasher(std::hash::RandomState::new());
    /// assert!(set.insert(7));
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        Self { map: FlatMap::with_hasher(hash_builder) }
    }

    /// Returns an iterator over copies of the elements, each read at its own time: see [`FlatMap::iter`].
    ///
    /// ```
    /// let set: hedgerow::FlatSet<u32> = [7, 8].into();
    /// assert_eq!(set.iter().sum::<u32>(), 15);
    /// ```
    pub fn iter(&self) -> Keys<'_, T, ()> {
        self.map.keys()
    }
}

impl<T: Copy + Eq + Hash, S: BuildHasher> FlatSet<T, S> {
    /// Returns an iterator that removes the elements for which `wanted` returns true, one by one: see
    /// [`FlatMap::extract_if`].
    ///
    /// ```
    /// let set: hedgerow::FlatSet<u32> = [7, 8].into();
    /// assert_eq!((set.extract_if(|n| *n == 7).count(), set.len()), (1, 1));
    /// ```
    pub fn extract_if(&self, mut wanted: impl FnMut(&T) -> bool) -> impl Iterator<Item = T> {
        self.map.extract_if(move |value, ()| wanted(value)).map(|(value, ())| value)
    }

    /// Returns an iterator that removes all elements, one by one: see [`FlatMap::drain`].
    ///
    /// ```
    /// let set: hedgerow::FlatSet<u32> = [7, 8].into();
    /// assert_eq!((set.drain().sum::<u32>(), set.len()), (15, 0));
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = T> {
        self.map.drain().map(|(value, ())| value)
    }
}

common! { FlatSet<T, S>, FlatMap, "FlatSet<u32>";
where [T: Copy,] [T: Copy,] [T: Copy + Eq + Hash, S: BuildHasher,] [T: Copy + Eq + Hash, S: BuildHasher,];
found by Q [Q: Hash + Equivalent<T> + ?Sized];
core::convert::identity }
tables! { FlatSet<T, S>, FlatMap, "FlatSet<u32";
where [T: Copy,] [T: Copy + Eq + Hash, S: BuildHasher,] [T: Copy + Eq + Hash, S: BuildHasher,] }
