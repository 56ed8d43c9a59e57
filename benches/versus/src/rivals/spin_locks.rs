//! The strongest simple rival: 64 spin locks around 64 hashbrown tables.
//!
//! It is what one would write in an afternoon instead of taking a crate, so it
//! is written to be as fast as that allows: lock and table header share one
//! cache line, the hash is computed once, and its bits that choose the table
//! are none of those that hashbrown uses inside.

use std::cell::UnsafeCell;
use std::hash::BuildHasher;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::hash_table::{Entry, HashTable};

use super::{Bench, Hasher, hasher};
use crate::data::Datum;

const SHARDS: usize = 64;

/// hashbrown takes the top 7 bits for its tags and the low ones for positions.
const SHARD_SHIFT: u32 = 64 - 7 - SHARDS.trailing_zeros();

/// Spins before the thread yields its core: the owner of the lock may be waiting
/// for exactly this core.
const TIME_LIMIT: u32 = 1000;

/// A map in 64 separately locked tables.
pub struct SpinLocks<K, V> {
    shards: Box<[Shard<K, V>; SHARDS]>,
    hasher: Hasher,
}

#[repr(align(64))]
struct Shard<K, V> {
    locked: AtomicBool,
    table: UnsafeCell<HashTable<(K, V)>>,
}

// SAFETY: the table is reached only through a `Guard`, and only one exists at
// a time because `locked` goes from false to true for one thread only.
unsafe impl<K: Send, V: Send> Sync for Shard<K, V> {}

struct Guard<'a, K, V>(&'a Shard<K, V>);

impl<K: Datum, V: Datum> SpinLocks<K, V> {
    #[inline]
    fn lock(&self, key: &K::View) -> (u64, Guard<'_, K, V>) {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[(hash >> SHARD_SHIFT) as usize % SHARDS];
        shard.lock();
        (hash, Guard(shard))
    }

    #[inline]
    fn rehash(&self, entry: &(K, V)) -> u64 {
        self.hasher.hash_one(entry.0.borrow())
    }
}

impl<K: Datum, V: Datum> Bench for SpinLocks<K, V> {
    const NAME: &'static str = "64 spin locks";
    type Key = K;
    type Value = V;

    fn with_capacity(capacity: usize) -> Self {
        let table = || UnsafeCell::new(HashTable::with_capacity(capacity.div_ceil(SHARDS)));
        let shard = |_| Shard { locked: AtomicBool::new(false), table: table() };
        Self { shards: Box::new(std::array::from_fn(shard)), hasher: hasher() }
    }

    #[inline]
    fn read(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        let (hash, table) = self.lock(key);
        table.find(hash, |e| e.0.borrow() == key).map(|e| see(e.1.borrow()))
    }

    #[inline]
    fn insert(
        &self,
        key: &K::View,
        value: &V::View,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let (mine, value) = (key.to_owned(), value.to_owned());
        let (hash, mut table) = self.lock(key);
        let old = match table.entry(hash, |e| e.0.borrow() == key, |e| self.rehash(e)) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry.get_mut().1, value)),
            Entry::Vacant(entry) => {
                entry.insert((mine, value));
                None
            }
        };
        // No thread waits for the memory that is freed here.
        drop(table);
        old.map(|old| see(old.borrow()))
    }

    #[inline]
    fn remove(&self, key: &K::View, see: impl FnOnce(&V::View) -> u64) -> Option<u64> {
        let (hash, mut table) = self.lock(key);
        let (old, _) = table.find_entry(hash, |e| e.0.borrow() == key).ok()?.remove();
        drop(table);
        Some(see(old.1.borrow()))
    }

    #[inline]
    fn update(
        &self,
        key: &K::View,
        f: impl Fn(&V::View) -> V,
        see: impl FnOnce(&V::View) -> u64,
    ) -> Option<u64> {
        let (hash, mut table) = self.lock(key);
        let entry = table.find_mut(hash, |e| e.0.borrow() == key)?;
        entry.1 = f(entry.1.borrow());
        Some(see(entry.1.borrow()))
    }

    #[inline]
    fn alter(&self, key: &K::View, f: impl Fn(Option<&V::View>) -> V) {
        let (hash, mut table) = self.lock(key);
        match table.entry(hash, |e| e.0.borrow() == key, |e| self.rehash(e)) {
            Entry::Occupied(mut entry) => {
                let value = &mut entry.get_mut().1;
                *value = f(Some((*value).borrow()));
            }
            Entry::Vacant(entry) => {
                entry.insert((key.to_owned(), f(None)));
            }
        }
    }

    fn each(&self, mut see: impl FnMut(&K::View, &V::View)) {
        for shard in &*self.shards {
            shard.lock();
            Guard(shard).iter().for_each(|e| see(e.0.borrow(), e.1.borrow()));
        }
    }
}

impl<K, V> Shard<K, V> {
    #[inline]
    fn lock(&self) {
        if self.locked.swap(true, Ordering::Acquire) {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let mut spins = 0_u32;
        while self.locked.load(Ordering::Relaxed) || self.locked.swap(true, Ordering::Acquire) {
            spins += 1;
            if spins.is_multiple_of(TIME_LIMIT) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

impl<K, V> Deref for Guard<'_, K, V> {
    type Target = HashTable<(K, V)>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the guard holds the lock, see `Shard`.
        unsafe { &*self.0.table.get() }
    }
}

impl<K, V> DerefMut for Guard<'_, K, V> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: the guard holds the lock and is borrowed mutably.
        unsafe { &mut *self.0.table.get() }
    }
}

impl<K, V> Drop for Guard<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}
