//! papaya.

use std::borrow::Borrow;

use ::papaya::Operation;

use super::{Bench, Hasher, hasher};
use crate::data::{Datum, Listed};

/// papaya, pinned anew for each operation, as a caller does who has a key and
/// wants an answer; a loop over many keys is pinned once.
pub type Papaya<K, V> = ::papaya::HashMap<K, V, Hasher>;

impl<K: Datum, V: Datum> Bench for Papaya<K, V> {
    const NAME: &'static str = "papaya";
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
        self.pin().get(key).map(|value| see(value.borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        self.pin().insert(key.to_owned(), value.to_owned()).map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        self.pin().remove(key).map(|old| see(old.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let map = self.pin();
        map.update(key.to_owned(), |value| f(value.borrow())).map(|new| see(new.borrow()))
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        self.pin().compute(key.to_owned(), |entry| {
            Operation::<V, ()>::Insert(f(entry.map(|(_, value)| value.borrow())))
        });
    }

    fn each(&self, mut see: impl FnMut(&K::View, &V::View)) {
        self.pin().iter().for_each(|(key, value)| see(key.borrow(), value.borrow()));
    }

    #[inline]
    fn read_many<const N: usize>(
        &self,
        keys: &[Listed<'_, K>; N],
        see: impl Fn(Option<&V::View>) -> u64,
    ) -> u64 {
        let map = self.pin();
        keys.iter().map(|key| see(map.get(key.borrow()).map(V::borrow))).sum()
    }

    #[inline]
    fn insert_many<const N: usize>(
        &self,
        keys: &[Listed<'_, K>; N],
        value: impl Fn(&K::View) -> V,
        see: impl Fn(Option<&V::View>) -> u64,
    ) -> u64 {
        let map = self.pin();
        let one = |key: &Listed<'_, K>| {
            let key = key.borrow();
            see(map.insert(key.to_owned(), value(key)).map(V::borrow))
        };
        keys.iter().map(one).sum()
    }

    #[inline]
    fn remove_many<const N: usize>(
        &self,
        keys: &[Listed<'_, K>; N],
        see: impl Fn(Option<&V::View>) -> u64,
    ) -> u64 {
        let map = self.pin();
        keys.iter().map(|key| see(map.remove(key.borrow()).map(V::borrow))).sum()
    }
}
