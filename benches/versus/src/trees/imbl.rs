//! imbl's persistent map under a lock.

use std::hint::black_box;
use std::sync::{PoisonError, RwLock};

use imbl::OrdMap;

use super::Tree;

/// Under one lock. A snapshot is a clone of the map, which is made under the lock and used without it.
pub struct LockedImbl(RwLock<OrdMap<u64, u64>>);

impl LockedImbl {
    fn now(&self) -> OrdMap<u64, u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Tree for LockedImbl {
    const NAME: &'static str = "RwLock of imbl";
    const SNAPSHOTS: bool = true;

    fn new() -> Self {
        Self(RwLock::default())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().copied().for_each(see);
    }

    fn snapshot(&self) {
        drop(black_box(self.now()));
    }

    fn each_at_once(&self, see: impl FnMut(u64)) {
        self.now().values().copied().for_each(see);
    }
}
