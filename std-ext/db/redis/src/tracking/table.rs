//! The keys that tracking clients have read, with the ids of these clients.

use crate::limits::TRACKING_BYTES;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

/// Parts of the table that are locked separately.
const PARTS: usize = 64;
/// Bytes that a key takes besides its name and the ids, about.
const KEY: usize = 128;
/// The setting of Redis.
const MAX_KEYS: u64 = 1_000_000;

/// A key, and the clients that have read it since it changed, in ascending order.
type TrackedKey = (Arc<[u8]>, Vec<u64>);

/// A part of the table.
#[derive(Debug, Default)]
struct Part {
    /// The place of each key in `entries`.
    places: HashMap<Arc<[u8]>, usize>,
    /// The keys in any order, so that one can be evicted without a search.
    entries: Vec<TrackedKey>,
}

/// The keys that clients have read.
#[derive(Debug)]
pub(super) struct TrackingTable {
    parts: Box<[Mutex<Part>]>,
    hasher: RandomState,
    pub(super) keys: Gauge,
    /// The number of ids of all keys.
    pub(super) items: Gauge,
    /// An estimate of the memory that all this takes.
    bytes: Gauge,
    /// The most bytes.
    pub(super) max_bytes: Gauge,
    /// The most keys; 0 for no limit but that of memory.
    pub(super) max_keys: Gauge,
    /// The number of evictions, from which the next victim is derived.
    evictions: Gauge,
}

impl Default for TrackingTable {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            keys: Gauge::default(),
            items: Gauge::default(),
            bytes: Gauge::default(),
            max_bytes: Gauge::new(TRACKING_BYTES as u64),
            max_keys: Gauge::new(MAX_KEYS),
            evictions: Gauge::default(),
        }
    }
}

/// Returns the bytes that an entry takes, about.
fn bytes((key, ids): &TrackedKey) -> u64 {
    (KEY + key.len() + size_of_val(&ids[..])) as u64
}

impl Part {
    fn remove(&mut self, place: usize) -> TrackedKey {
        let entry = self.entries.swap_remove(place);
        self.places.remove(&entry.0);
        if let Some((moved, _)) = self.entries.get(place)
            && let Some(at) = self.places.get_mut(moved)
        {
            *at = place;
        }
        // A client that had read a million keys leaves no table for them behind.
        if self.entries.capacity() > 4 * self.entries.len() + 64 {
            self.entries.shrink_to(2 * self.entries.len());
            self.places.shrink_to(2 * self.entries.len());
        }
        entry
    }
}

impl TrackingTable {
    fn part(&self, key: &[u8]) -> &Mutex<Part> {
        &self.parts[self.hasher.hash_one(key) as usize % PARTS]
    }

    /// Adds a client to those that have read a key. Returns whether it was none of them.
    pub(super) fn add(&self, key: &[u8], client: u64) -> bool {
        let mut part = lock(self.part(key));
        let Some(place) = part.places.get(key).copied() else {
            let entry: TrackedKey = (key.into(), vec![client]);
            self.keys.add(1);
            self.items.add(1);
            self.bytes.add(bytes(&entry));
            let place = part.entries.len();
            part.places.insert(Arc::clone(&entry.0), place);
            part.entries.push(entry);
            return true;
        };
        let ids = &mut part.entries[place].1;
        let Err(at) = ids.binary_search(&client) else { return false };
        ids.insert(at, client);
        self.items.add(1);
        self.bytes.add(size_of::<u64>() as u64);
        true
    }

    /// Forgets a key, and returns its clients. If `kept` is one of them, it is not returned, and stays.
    pub(super) fn take(&self, key: &[u8], kept: u64) -> Vec<u64> {
        let mut part = lock(self.part(key));
        let Some(place) = part.places.get(key).copied() else { return Vec::new() };
        let ids = &mut part.entries[place].1;
        if let Ok(at) = ids.binary_search(&kept) {
            let mut others = std::mem::replace(ids, vec![kept]);
            others.remove(at);
            self.items.sub(others.len() as u64);
            self.bytes.sub(size_of_val(&others[..]) as u64);
            return others;
        }
        let entry = part.remove(place);
        self.uncount(&entry);
        entry.1
    }

    /// Forgets a key if the table exceeds its limits.
    pub(super) fn evict(&self) -> Option<TrackedKey> {
        let most = self.max_keys.get();
        let is_full =
            || most != 0 && self.keys.get() > most || self.bytes.get() > self.max_bytes.get();
        while is_full() {
            let number = self.evictions.add(1) as usize;
            let mut part = lock(&self.parts[number % PARTS]);
            if !part.entries.is_empty() {
                // As good as random: the order of the entries depends on the hashes of the keys before.
                let place = number / PARTS % part.entries.len();
                let entry = part.remove(place);
                self.uncount(&entry);
                return Some(entry);
            }
            // Another thread may have removed the last key.
            if self.keys.get() == 0 {
                break;
            }
        }
        None
    }

    /// Returns an estimate of the memory that the table takes.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.bytes.get()
    }

    /// Forgets all keys.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let part = std::mem::take(&mut *lock(part));
            part.entries.iter().for_each(|entry| self.uncount(entry));
        }
    }

    fn uncount(&self, entry: &TrackedKey) {
        self.keys.sub(1);
        self.items.sub(entry.1.len() as u64);
        self.bytes.sub(bytes(entry));
    }
}
