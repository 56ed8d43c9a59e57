//! Concurrent sets. Each is a map without values, and has the guarantees of that map, which `as_map` returns for
//! operations that sets do not have.

mod flat;
mod hash;
#[cfg(feature = "ordered")]
mod ordered;
#[cfg(feature = "serde")]
mod serde;
mod traits;

pub use flat::FlatSet;
pub use hash::{ElementRef, HashSet};
#[cfg(feature = "ordered")]
pub use ordered::{FenceSet, OrdSet};

/// Writes the operations of all sets. `$map` is the map that the set consists of, and `$p` its third parameter.
/// `$borrow` makes a reference to an element of an item of the map's iterator. The bounds are those that the map has:
/// `$any` of its size, `$walked` of walks, `$bounds` of lookups, and `$inserted` of insertions.
macro_rules! common {
    (
        $set:ident<$t:ident, $p:ident>, $map:ident, $example:literal;
        where [$($any:tt)*] [$($walked:tt)*] [$($bounds:tt)*] [$($inserted:tt)*];
        found by $q:ident [$($q_bounds:tt)*]; $borrow:path
    ) => {
        impl<$t, $p> $set<$t, $p>
        where
            $($any)*
        {
            /// Returns the map that the set consists of, for operations that sets do not have.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7].into();")]
            /// assert_eq!(set.as_map().len(), 1);
            /// ```
            pub fn as_map(&self) -> &$map<$t, (), $p> {
                &self.map
            }

            /// Returns the number of elements, as `len` of the map does.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            /// assert_eq!(set.len(), 2);
            /// ```
            pub fn len(&self) -> usize {
                self.map.len()
            }

            /// Returns `true` if the set has no elements.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [].into();")]
            /// assert!(set.is_empty());
            /// ```
            pub fn is_empty(&self) -> bool {
                self.map.is_empty()
            }
        }

        impl<$t, $p> $set<$t, $p>
        where
            $($walked)*
        {
            /// Removes the elements for which `keep` returns false, as `retain` of the map does.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            /// set.retain(|n| n % 2 == 0);
            /// assert!(set.contains(&8) && set.len() == 1);
            /// ```
            pub fn retain(&self, mut keep: impl FnMut(&$t) -> bool) {
                self.map.retain(|value, _| keep(value));
            }

            /// Removes all elements, as `clear` of the map does.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            /// set.clear();
            /// assert!(set.is_empty());
            /// ```
            pub fn clear(&self) {
                self.map.clear();
            }
        }

        impl<$t, $p> $set<$t, $p>
        where
            $($inserted)*
        {
            /// Inserts `value` unless the set has an equal element, which stays; returns whether it was inserted.
            /// Blocks, allocates and linearizes as `insert_if_absent` of the map does.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7].into();")]
            /// assert!(set.insert(8) && !set.insert(7));
            /// ```
            #[inline]
            pub fn insert(&self, value: $t) -> bool {
                self.map.insert_if_absent(value, ()).is_ok()
            }

            /// Does what [`insert`](Self::insert) does, but neither waits nor aborts.
            ///
            /// # Errors
            /// Those of `try_insert_if_absent` of the map, with `value` handed back as the key.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7].into();")]
            /// assert_eq!(set.try_insert(8), Ok(true));
            /// ```
            pub fn try_insert(&self, value: $t) -> Result<bool, TryInsertError<$t, ()>> {
                self.map.try_insert_if_absent(value, ()).map(|done| done.is_ok())
            }
        }

        impl<$t, $p> $set<$t, $p>
        where
            $($bounds)*
        {
            /// Whether the set has an element that is equal to `value`. Waits and linearizes as `contains_key`
            /// of the map does.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7].into();")]
            /// assert!(set.contains(&7) && !set.contains(&8));
            /// ```
            #[inline]
            pub fn contains<$q>(&self, value: &$q) -> bool
            where
                $($q_bounds)*
            {
                self.map.contains_key(value)
            }

            /// Removes the element that is equal to `value`; returns whether there was one. Blocks and linearizes as
            /// `remove` of the map does.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7].into();")]
            /// assert!(set.remove(&7) && !set.remove(&7));
            /// ```
            #[inline]
            pub fn remove<$q>(&self, value: &$q) -> bool
            where
                $($q_bounds)*
            {
                self.map.remove(value).is_some()
            }

            /// Whether `other` has every element of this set. Compares one element after the other, not a snapshot.
            ///
            #[doc = concat!("```\nlet [some, more]: [hedgerow::", $example, "; 2] = [[7].into(), [7, 8].into()];")]
            /// assert!(some.is_subset(&more) && !more.is_subset(&some));
            /// ```
            pub fn is_subset(&self, other: &Self) -> bool {
                self.iter().all(|value| other.contains($borrow(&value)))
            }

            /// Whether this set has every element of `other`: see [`is_subset`](Self::is_subset).
            ///
            #[doc = concat!("```\nlet [some, more]: [hedgerow::", $example, "; 2] = [[7].into(), [7, 8].into()];")]
            /// assert!(more.is_superset(&some));
            /// ```
            pub fn is_superset(&self, other: &Self) -> bool {
                other.is_subset(self)
            }

            /// Whether no element of this set is in `other`: see [`is_subset`](Self::is_subset).
            ///
            #[doc = concat!("```\nlet [odd, even]: [hedgerow::", $example, "; 2] = [[7].into(), [8].into()];")]
            /// assert!(odd.is_disjoint(&even));
            /// ```
            pub fn is_disjoint(&self, other: &Self) -> bool {
                !self.iter().any(|value| other.contains($borrow(&value)))
            }
        }
    };
}
use common;

/// Writes the operations of sets whose map is a hash table. `$room` are the bounds of making room, and `$made` those of
/// making a set with room.
macro_rules! tables {
    (
        $set:ident<$t:ident, $s:ident>, $map:ident, $example:literal;
        where [$($any:tt)*] [$($room:tt)*] [$($made:tt)*]
    ) => {
        impl<$t, $s> $set<$t, $s>
        where
            $($made)*
        {
            /// Returns an empty set that hashes with `hash_builder`, with room for `capacity` elements before it grows.
            ///
            /// # Panics
            /// As `with_capacity` of the map.
            ///
            #[doc = concat!("```\nlet set = <hedgerow::", $example, ", _>>::with_capacity_and_hasher(")]
            /// 100, std::hash::RandomState::new());
            /// assert!(set.capacity() >= 100);
            /// ```
            #[must_use]
            pub fn with_capacity_and_hasher(capacity: usize, hash_builder: $s) -> Self {
                Self { map: $map::with_capacity_and_hasher(capacity, hash_builder) }
            }
        }

        impl<$t, $s> $set<$t, $s>
        where
            $($any)*
        {
            /// Returns the set's hasher.
            ///
            #[doc = concat!("```\nlet set = <hedgerow::", $example, ">>::new();")]
            /// std::hash::BuildHasher::hash_one(set.hasher(), 7);
            /// ```
            pub fn hasher(&self) -> &$s {
                self.map.hasher()
            }

            /// Returns how many elements there is room for before the set grows, as `capacity` of the map does.
            ///
            #[doc = concat!("```\nassert_eq!(<hedgerow::", $example, ">>::new().capacity(), 0);\n```")]
            pub fn capacity(&self) -> usize {
                self.map.capacity()
            }
        }

        impl<$t, $s> $set<$t, $s>
        where
            $($room)*
        {
            /// Makes room for `additional` more elements, as `reserve` of the map does.
            ///
            /// # Panics
            /// As `reserve` of the map.
            ///
            #[doc = concat!("```\nlet set = <hedgerow::", $example, ">>::new();")]
            /// set.reserve(1000);
            /// assert!(set.capacity() >= 1000);
            /// ```
            pub fn reserve(&self, additional: usize) {
                self.map.reserve(additional);
            }

            /// Makes room for `additional` more elements as [`reserve`](Self::reserve) does, or returns an error.
            ///
            /// # Errors
            /// If the capacity overflows the address space, or the allocator fails.
            ///
            #[doc = concat!("```\nlet set = <hedgerow::", $example, ">>::new();")]
            /// assert!(set.try_reserve(usize::MAX).is_err());
            /// ```
            pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
                self.map.try_reserve(additional)
            }

            /// Moves the elements to a table of their size, as `shrink_to_fit` of the map does.
            ///
            #[doc = concat!("```\nlet mut set = <hedgerow::", $example, ">>::with_capacity(1000);")]
            /// set.shrink_to_fit();
            /// assert!(set.capacity() < 1000);
            /// ```
            pub fn shrink_to_fit(&mut self) {
                self.map.shrink_to_fit();
            }
        }
    };
}
use tables;
