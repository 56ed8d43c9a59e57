//! dashmap.

use dashmap::Entry;

use super::{Bench, Hasher, hasher};
use crate::data::Datum;

/// dashmap with as many shards as it likes.
pub type Dash<K, V> = dashmap::DashMap<K, V, Hasher>;

impl<K: Datum, V: Datum> Bench for Dash<K, V> {
    const NAME: &'static str = "dashmap";
    type Key = K;
    type Value = V;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher())
    }

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    #[inline]
    fn read(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        self.get(key).map(|value| see((*value).borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        self.insert(key.to_owned(), value.to_owned()).map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        self.remove(key).map(|(_, old)| see(old.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let mut value = self.get_mut(key)?;
        *value = f((*value).borrow());
        Some(see((*value).borrow()))
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        match self.entry(key.to_owned()) {
            Entry::Occupied(mut entry) => {
                let value = f(Some(entry.get().borrow()));
                entry.insert(value);
            }
            Entry::Vacant(entry) => {
                entry.insert(f(None));
            }
        }
    }

    fn each(&self, mut see: impl FnMut(&K::View, &V::View)) {
        self.iter().for_each(|entry| see(entry.key().borrow(), entry.value().borrow()));
    }
}
