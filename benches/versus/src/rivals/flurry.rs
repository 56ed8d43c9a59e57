//! flurry.

use std::borrow::Borrow;

use super::{Bench, Hasher, hasher};
use crate::contest::CROWDED;
use crate::data::{Datum, Listed};
use crate::work::Row;

/// flurry, with a guard for each operation; a loop over many keys has one.
pub type Flurry<K, V> = ::flurry::HashMap<K, V, Hasher>;

impl<K: Datum, V: Datum> Bench for Flurry<K, V> {
    const NAME: &'static str = "flurry";
    type Key = K;
    type Value = V;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher())
    }

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    /// At 168 bytes an entry the largest maps are too large.
    fn can(row: &Row) -> bool {
        row.n < CROWDED
    }

    #[inline]
    fn read(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        self.get(key, &self.guard()).map(|value| see(value.borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let guard = self.guard();
        self.insert(key.to_owned(), value.to_owned(), &guard).map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        self.remove(key, &self.guard()).map(|old| see(old.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let guard = self.guard();
        let new = self.compute_if_present(key, |_, value| Some(f(value.borrow())), &guard);
        new.map(|new| see(new.borrow()))
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        let guard = self.guard();
        loop {
            let some = |_: &K, value: &V| Some(f(Some(value.borrow())));
            if self.compute_if_present(key, some, &guard).is_some()
                || self.try_insert(key.to_owned(), f(None), &guard).is_ok()
            {
                return;
            }
        }
    }

    fn each(&self, mut see: impl FnMut(&K::View, &V::View)) {
        self.iter(&self.guard()).for_each(|(key, value)| see(key.borrow(), value.borrow()));
    }

    #[inline]
    fn read_many<const N: usize>(
        &self,
        keys: &[Listed<'_, K>; N],
        see: impl Fn(Option<&V::View>) -> u64,
    ) -> u64 {
        let guard = self.guard();
        keys.iter().map(|key| see(self.get(key.borrow(), &guard).map(V::borrow))).sum()
    }
}
