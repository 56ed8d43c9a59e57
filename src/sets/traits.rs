//! The traits of std that sets implement.

#[cfg(feature = "ordered")]
use super::{FenceSet, OrdSet};
use super::{FlatSet, HashSet};
#[cfg(feature = "ordered")]
use crate::fence::{self, Ranking};
use crate::flat;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// Implements the traits of a set. `$bounds` are the bounds of its operations, `$make` those of making an empty set,
/// and `$copy` those of copying a set.
macro_rules! traits {
    ($set:ident<$t:ident, $p:ident>; where [$($bounds:tt)*]; made [$($make:tt)*]; copied [$($copy:tt)*]) => {
        impl<$t, $p> Default for $set<$t, $p>
        where
            $($bounds)* $($make)*
        {
            fn default() -> Self {
                Self { map: Default::default() }
            }
        }

        impl<$t, $p> Clone for $set<$t, $p>
        where
            $($bounds)* $($copy)*
        {
            fn clone(&self) -> Self {
                Self { map: self.map.clone() }
            }
        }

        impl<$t, $p> FromIterator<$t> for $set<$t, $p>
        where
            $($bounds)* $($make)*
        {
            fn from_iter<I: IntoIterator<Item = $t>>(values: I) -> Self {
                Self { map: values.into_iter().map(|value| (value, ())).collect() }
            }
        }

        impl<$t, $p, const N: usize> From<[$t; N]> for $set<$t, $p>
        where
            $($bounds)* $($make)*
        {
            fn from(values: [$t; N]) -> Self {
                Self::from_iter(values)
            }
        }

        impl<$t, $p> Extend<$t> for $set<$t, $p>
        where
            $($bounds)*
        {
            fn extend<I: IntoIterator<Item = $t>>(&mut self, values: I) {
                self.map.extend(values.into_iter().map(|value| (value, ())));
            }
        }

        impl<$t, $p> fmt::Debug for $set<$t, $p>
        where
            $($bounds)* $t: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }

        impl<$t, $p> PartialEq for $set<$t, $p>
        where
            $($bounds)*
        {
            /// Compares one element after the other, not a snapshot.
            fn eq(&self, other: &Self) -> bool {
                self.len() == other.len() && self.is_subset(other)
            }
        }

        impl<$t, $p> Eq for $set<$t, $p>
        where
            $($bounds)*
        {
        }
    };
}

traits! { FlatSet<T, S>; where [T: Copy + Eq + Hash, S: BuildHasher,]; made [S: Default,]; copied [S: Clone,] }
traits! { HashSet<T, S>; where [T: Eq + Hash, S: BuildHasher,]; made [S: Default,]; copied [T: Clone, S: Clone,] }
#[cfg(feature = "ordered")]
traits! { FenceSet<T, R>; where [T: Ord + Copy, R: Ranking<T>,]; made [R: Default,]; copied [R: Clone,] }
#[cfg(feature = "ordered")]
traits! { OrdSet<T, R>; where [T: Ord + Clone, R: Ranking<T>,]; made [R: Default,]; copied [R: Clone,] }

impl<'a, T: Copy + Eq + Hash, S: BuildHasher> IntoIterator for &'a FlatSet<T, S> {
    type Item = T;
    type IntoIter = flat::Keys<'a, T, ()>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(feature = "ordered")]
impl<'a, T: Ord + Copy, R: Ranking<T>> IntoIterator for &'a FenceSet<T, R> {
    type Item = T;
    type IntoIter = fence::Keys<'a, T, (), R>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
