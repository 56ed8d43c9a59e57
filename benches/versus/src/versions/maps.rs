//! The maps.

use hedgerow::PersistentMap;
use imbl::OrdMap;
use rpds::RedBlackTreeMapSync;
use std::collections::BTreeMap;

use super::{Key, Versioned};
use crate::rivals::Role;

impl<K: Key> Versioned<K> for PersistentMap<K, u64> {
    const NAME: &'static str = "PersistentMap";
    const ROLE: Role = Role::Ours;
    const DIFFERS: bool = true;

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, key: &K) -> Option<u64> {
        self.get(key).copied()
    }

    #[inline]
    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    #[inline]
    fn remove(&mut self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    #[inline]
    fn scan(&self, from: &K, to: &K, mut see: impl FnMut(u64)) {
        self.range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.values().copied().for_each(see);
    }

    fn changes(&self, newer: &Self) -> usize {
        self.diff(newer).count()
    }
}

impl<K: Key> Versioned<K> for OrdMap<K, u64> {
    const NAME: &'static str = "imbl";
    const DIFFERS: bool = true;

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, key: &K) -> Option<u64> {
        self.get(key).copied()
    }

    #[inline]
    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    #[inline]
    fn remove(&mut self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    #[inline]
    fn scan(&self, from: &K, to: &K, mut see: impl FnMut(u64)) {
        self.range::<_, K>(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.values().copied().for_each(see);
    }

    fn changes(&self, newer: &Self) -> usize {
        self.diff(newer).count()
    }
}

impl<K: Key> Versioned<K> for RedBlackTreeMapSync<K, u64> {
    const NAME: &'static str = "rpds";

    fn new() -> Self {
        Self::new_sync()
    }

    #[inline]
    fn get(&self, key: &K) -> Option<u64> {
        self.get(key).copied()
    }

    #[inline]
    fn insert(&mut self, key: K, value: u64) {
        self.insert_mut(key, value);
    }

    #[inline]
    fn remove(&mut self, key: &K) -> bool {
        self.remove_mut(key)
    }

    #[inline]
    fn scan(&self, from: &K, to: &K, mut see: impl FnMut(u64)) {
        self.range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.values().copied().for_each(see);
    }

    fn changes(&self, newer: &Self) -> usize {
        newer.iter().filter(|&(key, value)| self.get(key) != Some(value)).count()
    }
}

/// std's map, in which a version is a copy.
impl<K: Key> Versioned<K> for BTreeMap<K, u64> {
    const NAME: &'static str = "BTreeMap";
    const ROLE: Role = Role::Yard;
    const SHARES: bool = false;

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, key: &K) -> Option<u64> {
        self.get(key).copied()
    }

    #[inline]
    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    #[inline]
    fn remove(&mut self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    #[inline]
    fn scan(&self, from: &K, to: &K, mut see: impl FnMut(u64)) {
        self.range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.values().copied().for_each(see);
    }

    fn changes(&self, newer: &Self) -> usize {
        newer.iter().filter(|&(key, value)| self.get(key) != Some(value)).count()
    }
}
