//! Flurry's interface.

#[path = "guarded.rs"]
mod guarded;

pub use guarded::{Collector, Guard, HashMap, HashMapRef, HashSet, HashSetRef};
pub use hedgerow::flat::DefaultHashBuilder;
/// The tests of flurry's module `map` import what it imports.
pub use std::hash::BuildHasher;
use std::hash::Hash;

/// Returns a number of processors that is the same on every machine.
pub fn get() -> usize {
    4
}

impl<K: Eq + Hash, V: PartialEq> PartialEq for HashMapRef<'_, K, V> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<K: Eq + Hash, V: PartialEq> PartialEq<HashMap<K, V>> for HashMapRef<'_, K, V> {
    fn eq(&self, other: &HashMap<K, V>) -> bool {
        **self == *other
    }
}

impl<K: Eq + Hash, V: PartialEq> PartialEq<HashMapRef<'_, K, V>> for HashMap<K, V> {
    fn eq(&self, other: &HashMapRef<'_, K, V>) -> bool {
        *self == **other
    }
}
