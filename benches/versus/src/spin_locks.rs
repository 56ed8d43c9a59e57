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

use crate::rivals::Hasher;

const SHARDS: usize = 64;

/// hashbrown takes the top 7 bits for its tags and the low ones for positions.
const SHARD_SHIFT: u32 = 64 - 7 - SHARDS.trailing_zeros();

/// Spins before giving the core away: whoever holds the lock may be waiting
/// for exactly this core.
const PATIENCE: u32 = 1000;

/// `u64 → u64` in 64 separately locked tables.
pub struct SpinLocks {
    shards: Box<[Shard; SHARDS]>,
    hasher: Hasher,
}

#[repr(align(64))]
struct Shard {
    locked: AtomicBool,
    table: UnsafeCell<HashTable<(u64, u64)>>,
}

// SAFETY: the table is reached only through a `Guard`, and only one exists at
// a time because `locked` goes from false to true for one thread only.
unsafe impl Sync for Shard {}

struct Guard<'a>(&'a Shard);

impl SpinLocks {
    /// An empty map; the tables allocate when first used.
    pub fn new(hasher: Hasher) -> Self {
        let shard = |_| Shard { locked: AtomicBool::new(false), table: UnsafeCell::default() };
        Self { shards: Box::new(std::array::from_fn(shard)), hasher }
    }

    /// The value of `key`.
    #[inline]
    pub fn get(&self, key: u64) -> Option<u64> {
        let (hash, table) = self.lock(key);
        table.find(hash, |e| e.0 == key).map(|e| e.1)
    }

    /// Sets `key` to `value`; the value it had.
    #[inline]
    pub fn insert(&self, key: u64, value: u64) -> Option<u64> {
        let (hash, mut table) = self.lock(key);
        match table.entry(hash, |e| e.0 == key, |e| self.hasher.hash_one(e.0)) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry.get_mut().1, value)),
            Entry::Vacant(entry) => {
                entry.insert((key, value));
                None
            }
        }
    }

    /// Removes `key`; the value it had.
    #[inline]
    pub fn remove(&self, key: u64) -> Option<u64> {
        let (hash, mut table) = self.lock(key);
        let entry = table.find_entry(hash, |e| e.0 == key).ok()?;
        Some(entry.remove().0.1)
    }

    /// Replaces the value of `key` by `f` of it; the new value.
    #[inline]
    pub fn update(&self, key: u64, f: impl FnOnce(u64) -> u64) -> Option<u64> {
        let (hash, mut table) = self.lock(key);
        let entry = table.find_mut(hash, |e| e.0 == key)?;
        entry.1 = f(entry.1);
        Some(entry.1)
    }

    #[inline]
    fn lock(&self, key: u64) -> (u64, Guard<'_>) {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[(hash >> SHARD_SHIFT) as usize % SHARDS];
        if shard.locked.swap(true, Ordering::Acquire) {
            shard.wait();
        }
        (hash, Guard(shard))
    }
}

impl Shard {
    #[cold]
    fn wait(&self) {
        let mut spins = 0_u32;
        while self.locked.load(Ordering::Relaxed) || self.locked.swap(true, Ordering::Acquire) {
            spins += 1;
            if spins.is_multiple_of(PATIENCE) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

impl Deref for Guard<'_> {
    type Target = HashTable<(u64, u64)>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the guard holds the lock, see `Shard`.
        unsafe { &*self.0.table.get() }
    }
}

impl DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: the guard holds the lock and is borrowed mutably.
        unsafe { &mut *self.0.table.get() }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}
