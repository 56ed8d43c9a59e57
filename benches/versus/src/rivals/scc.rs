//! scc.

use ::scc::hash_map::Entry;

use super::{Bench, Hasher, hasher};
use crate::data::Datum;

/// scc's hash map through its blocking functions.
pub type Scc<K, V> = ::scc::HashMap<K, V, Hasher>;

impl<K: Datum, V: Datum> Bench for Scc<K, V> {
    const NAME: &'static str = "scc";
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
        self.read_sync(key, |_, value| see(value.borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        self.upsert_sync(key.to_owned(), value.to_owned()).map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        self.remove_sync(key).map(|(_, old)| see(old.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        self.update_sync(key, |_, value| {
            *value = f((*value).borrow());
            see((*value).borrow())
        })
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        match self.entry_sync(key.to_owned()) {
            Entry::Occupied(mut entry) => {
                let value = f(Some(entry.get().borrow()));
                entry.insert(value);
            }
            Entry::Vacant(entry) => {
                entry.insert_entry(f(None));
            }
        }
    }

    fn each(&self, mut see: impl FnMut(&K::View, &V::View)) {
        self.iter_sync(|key, value| {
            see(key.borrow(), value.borrow());
            true
        });
    }
}
