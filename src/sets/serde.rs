//! Feature `serde`: a set is serialized as a sequence, and read as one.

#[cfg(feature = "ordered")]
use super::{FenceSet, OrdSet};
use super::{FlatSet, HashSet};
use crate::api::serde::{Elements, Fill};
#[cfg(feature = "ordered")]
use crate::fence::Ranking;
use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

/// Implements both traits, and [`Fill`] for reading. `$elements` are the elements of `$self`, in a form that can be
/// serialized.
macro_rules! serde {
    ($set:ident<$t:ident, $p:ident>; where [$($bounds:tt)*]; made [$($make:tt)*]; |$this:ident| $elements:expr) => {
        impl<$t, $p> Serialize for $set<$t, $p>
        where
            $($bounds)* $t: Serialize,
        {
            /// Serializes the elements that `iter` returns.
            fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                let $this = self;
                serializer.collect_seq($elements)
            }
        }

        impl<'de, $t, $p> Deserialize<'de> for $set<$t, $p>
        where
            $($bounds)* $($make)* $t: Deserialize<'de>,
        {
            /// Of equal elements, the first stays, as with `insert`.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_seq(Elements(PhantomData))
            }
        }

        impl<'de, $t, $p> Fill<'de> for $set<$t, $p>
        where
            $($bounds)* $($make)* $t: Deserialize<'de>,
        {
            type Key = $t;
            type Value = ();

            fn with_room(elements: usize) -> Self {
                Self { map: Fill::with_room(elements) }
            }

            fn put<E: Error>(&mut self, value: $t, (): ()) -> Result<(), E> {
                self.insert(value);
                Ok(())
            }
        }
    };
}

// Some formats write the number of elements first, which has to be right even if other threads write meanwhile.
serde! { FlatSet<T, S>; where [T: Copy + Eq + Hash, S: BuildHasher,]; made [S: Default,];
|set| set.iter().collect::<Vec<_>>() }
serde! { HashSet<T, S>; where [T: Eq + Hash, S: BuildHasher,]; made [S: Default,];
|set| set.map.pin().keys().collect::<Vec<_>>() }
#[cfg(feature = "ordered")]
serde! { FenceSet<T, R>; where [T: Ord + Copy, R: Ranking<T>,]; made [R: Default,];
|set| set.iter().collect::<Vec<_>>() }
#[cfg(feature = "ordered")]
serde! { OrdSet<T, R>; where [T: Ord + Clone, R: Ranking<T>,]; made [R: Default,];
|set| set.map.pin().keys().collect::<Vec<_>>() }
