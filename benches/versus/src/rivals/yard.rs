//! The yard: hashbrown with no synchronisation at all.

use std::cell::UnsafeCell;

use hashbrown::hash_map::Entry;

use super::{Bench, Hasher, Role, hasher};
use crate::data::Datum;

/// hashbrown's map without a lock: the least time of a look-up.
///
/// It takes `&self` like the others although only one thread may use it. Its role
/// says so, and the harness checks the role before it starts a second thread.
pub struct Yard<K, V>(UnsafeCell<Map<K, V>>);

type Map<K, V> = hashbrown::HashMap<K, V, Hasher>;

// SAFETY: not shared in truth. The only code that hands a `Bench` to several
// threads asserts first that it may.
unsafe impl<K: Send, V: Send> Sync for Yard<K, V> {}

impl<K, V> Yard<K, V> {
    /// # Safety
    /// No other thread uses the map, and the reference is dropped before the
    /// next call.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "that is the point of the yard: no lock")]
    unsafe fn map(&self) -> &mut Map<K, V> {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.0.get() }
    }
}

impl<K: Datum, V: Datum> Bench for Yard<K, V> {
    const NAME: &'static str = "hashbrown";
    const ROLE: Role = Role::Yard;
    type Key = K;
    type Value = V;

    fn with_capacity(capacity: usize) -> Self {
        Self(UnsafeCell::new(Map::with_capacity_and_hasher(capacity, hasher())))
    }

    #[inline]
    fn read(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        // SAFETY: one thread, and `see` cannot reach the map.
        unsafe { self.map() }.get(key).map(|value| see(value.borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        // SAFETY: one thread, and the answer is the caller's.
        let old = unsafe { self.map() }.insert(key.to_owned(), value.to_owned());
        old.map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        // SAFETY: one thread, and the answer is the caller's.
        unsafe { self.map() }.remove(key).map(|old| see(old.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        // SAFETY: one thread, and neither closure can reach the map.
        let value = unsafe { self.map() }.get_mut(key)?;
        *value = f((*value).borrow());
        Some(see((*value).borrow()))
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        // SAFETY: one thread, and `f` cannot reach the map.
        match unsafe { self.map() }.entry(key.to_owned()) {
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
        // SAFETY: one thread, and `see` cannot reach the map.
        unsafe { self.map() }.iter().for_each(|(key, value)| see(key.borrow(), value.borrow()));
    }
}
