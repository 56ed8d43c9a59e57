//! One lock around everything.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{PoisonError, RwLock};

use super::{Bench, Hasher, hasher};
use crate::data::Datum;

/// The standard library's map under one lock.
pub type Locked<K, V> = RwLock<HashMap<K, V, Hasher>>;

impl<K: Datum, V: Datum> Bench for Locked<K, V> {
    const NAME: &'static str = "RwLock";
    type Key = K;
    type Value = V;

    fn with_capacity(capacity: usize) -> Self {
        Self::new(HashMap::with_capacity_and_hasher(capacity, hasher()))
    }

    #[inline]
    fn read(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        let map = self.read().unwrap_or_else(PoisonError::into_inner);
        map.get(key).map(|value| see(value.borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let (key, value) = (key.to_owned(), value.to_owned());
        let mut map = self.write().unwrap_or_else(PoisonError::into_inner);
        let old = map.insert(key, value);
        drop(map);
        old.map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        let old = self.write().unwrap_or_else(PoisonError::into_inner).remove_entry(key);
        old.map(|(_, old)| see(old.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let mut map = self.write().unwrap_or_else(PoisonError::into_inner);
        let value = map.get_mut(key)?;
        *value = f((*value).borrow());
        Some(see((*value).borrow()))
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        let mut map = self.write().unwrap_or_else(PoisonError::into_inner);
        match map.entry(key.to_owned()) {
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
        let map = self.read().unwrap_or_else(PoisonError::into_inner);
        map.iter().for_each(|(key, value)| see(key.borrow(), value.borrow()));
    }
}
