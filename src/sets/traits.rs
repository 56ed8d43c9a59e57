//! The traits of std that sets implement.

use super::{ElementRef, FlatSet, HashSet};
#[cfg(feature = "ordered")]
use super::{FenceSet, OrdSet};
#[cfg(feature = "ordered")]
use crate::fence::{self, ByType, FenceMap, OrdMap, Ranking};
use crate::flat::{self, DefaultHashBuilder, FlatMap};
use crate::owned::{self, HashMap, Ref};
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::Map;

/// Implements the traits of a set. `$element` and `$policy` are the bounds of insertions, `$make` those of making a
/// set, and `$copy` those of copying one. `$any` are the bounds of an empty set, `$walked` of walks, and `$read` of
/// lookups. `$map` is an empty map with room for `$room` elements. A set that is made from an array has the `$default`
/// policy, so that callers need not name it.
macro_rules! traits {
    (
        $set:ident<$t:ident, $p:ident = $default:ty>;
        where [$($element:tt)*] [$($policy:tt)*]; made [$($make:tt)*]; copied [$($copy:tt)*];
        empty [$($any:tt)*] [$($walked:tt)*] [$($read:tt)*]
        |$room:pat_param| $map:expr
    ) => {
        impl<$t, $p> Default for $set<$t, $p>
        where
            $($any)* $($make)*
        {
            fn default() -> Self {
                Self { map: Default::default() }
            }
        }

        impl<$t, $p> Clone for $set<$t, $p>
        where
            $($element)* $($policy)* $($copy)*
        {
            fn clone(&self) -> Self {
                Self { map: self.map.clone() }
            }
        }

        impl<$t, $p> FromIterator<$t> for $set<$t, $p>
        where
            $($element)* $($policy)* $($make)*
        {
            /// Of equal elements, the first stays, as with `insert`.
            fn from_iter<I: IntoIterator<Item = $t>>(values: I) -> Self {
                let values = values.into_iter();
                let $room = values.size_hint().0;
                let set = Self { map: $map };
                (&set).extend(values);
                set
            }
        }

        impl<$t, const N: usize> From<[$t; N]> for $set<$t, $default>
        where
            $($element)*
        {
            fn from(values: [$t; N]) -> Self {
                Self::from_iter(values)
            }
        }

        impl<$t, $p> Extend<$t> for $set<$t, $p>
        where
            $($element)* $($policy)*
        {
            fn extend<I: IntoIterator<Item = $t>>(&mut self, values: I) {
                (&*self).extend(values);
            }
        }

        impl<'a, $t, $p> Extend<&'a $t> for $set<$t, $p>
        where
            $t: Copy + 'a,
            $($element)* $($policy)*
        {
            fn extend<I: IntoIterator<Item = &'a $t>>(&mut self, values: I) {
                (&*self).extend(values.into_iter().copied());
            }
        }

        impl<$t, $p> Extend<$t> for &$set<$t, $p>
        where
            $($element)* $($policy)*
        {
            /// Inserts as `insert` does: an equal element that the set has stays.
            fn extend<I: IntoIterator<Item = $t>>(&mut self, values: I) {
                for value in values {
                    self.insert(value);
                }
            }
        }

        impl<$t, $p> fmt::Debug for $set<$t, $p>
        where
            $($walked)* $t: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }

        impl<$t, $p> PartialEq for $set<$t, $p>
        where
            $($read)* $($policy)*
        {
            /// Compares one element after the other, not a snapshot.
            fn eq(&self, other: &Self) -> bool {
                self.len() == other.len() && self.is_subset(other)
            }
        }

        impl<$t, $p> Eq for $set<$t, $p>
        where
            $($read)* $($policy)*
        {
        }
    };
}

traits! {
    FlatSet<T, S = DefaultHashBuilder>;
    where [T: Copy + Eq + Hash,] [S: BuildHasher,]; made [S: Default,]; copied [S: Clone,];
    empty [T: Copy,] [T: Copy,] [T: Copy + Eq + Hash,]
    |room| FlatMap::with_capacity_and_hasher(room, S::default())
}
traits! {
    HashSet<T, S = DefaultHashBuilder>;
    where [T: Eq + Hash,] [S: BuildHasher,]; made [S: Default,]; copied [T: Clone, S: Clone,];
    empty [] [] [T: Eq + Hash,]
    |room| HashMap::with_capacity_and_hasher(room, S::default())
}
#[cfg(feature = "ordered")]
traits! {
    FenceSet<T, R = ByType>;
    where [T: Ord + Copy,] [R: Ranking<T>,]; made [R: Default,]; copied [R: Clone,];
    empty [T: Copy,] [T: Ord + Copy, R: Ranking<T>,] [T: Ord + Copy,]
    |_| FenceMap::default()
}
#[cfg(feature = "ordered")]
traits! {
    OrdSet<T, R = ByType>;
    where [T: Ord + Clone,] [R: Ranking<T>,]; made [R: Default,]; copied [R: Clone,];
    empty [] [T: Ord, R: Ranking<T>,] [T: Ord,]
    |_| OrdMap::default()
}

/// Writes the iterators of a set: by reference, whose elements are `$element`, and by value.
macro_rules! iterators {
    ($set:ident<$t:ident, $p:ident>; where [$($bounds:tt)*] [$($taken:tt)*];
     $element:ty, $iter:ty, $of:expr; $into:ty) => {
        impl<'a, $t, $p> IntoIterator for &'a $set<$t, $p>
        where
            $($bounds)*
        {
            type Item = $element;
            type IntoIter = $iter;

            fn into_iter(self) -> Self::IntoIter {
                $of(&self.map)
            }
        }

        impl<$t, $p> IntoIterator for $set<$t, $p>
        where
            $($taken)*
        {
            type Item = $t;
            type IntoIter = Map<$into, fn(($t, ())) -> $t>;

            fn into_iter(self) -> Self::IntoIter {
                self.map.into_iter().map(|(value, ())| value)
            }
        }
    };
}

/// The elements of a set of owned data: the entries of its map `I`, without values.
type OwnedElements<'a, T, I> = Map<I, fn(Ref<'a, T, ()>) -> ElementRef<'a, T>>;

iterators! {
    FlatSet<T, S>; where [T: Copy,] [T: Copy,];
    T, flat::Keys<'a, T, ()>, FlatMap::keys; flat::IntoIter<T, ()>
}
iterators! {
    HashSet<T, S>; where [] [];
    ElementRef<'a, T>, OwnedElements<'a, T, owned::Iter<'a, T, ()>>,
    |map: &'a HashMap<T, (), S>| map.iter().map(ElementRef::new as fn(_) -> _);
    owned::IntoIter<T, ()>
}
#[cfg(feature = "ordered")]
iterators! {
    FenceSet<T, R>; where [T: Ord + Copy, R: Ranking<T>,] [T: Ord + Copy, R: Ranking<T>,];
    T, fence::Keys<'a, T, (), R>, FenceMap::keys; fence::Range<T, ()>
}
#[cfg(feature = "ordered")]
iterators! {
    OrdSet<T, R>; where [T: Ord, R: Ranking<T>,] [];
    ElementRef<'a, T>, OwnedElements<'a, T, fence::OrdIter<'a, T, (), R>>,
    |map: &'a OrdMap<T, (), R>| map.iter().map(ElementRef::new as fn(_) -> _);
    fence::OrdIntoIter<T, ()>
}
