//! Ours.

use std::cell::Cell;
use std::hint::black_box;

use hedgerow::{FenceMap, OrdMap, SnapshotMap};

use super::Tree;
use crate::rivals::Role;
use crate::work::trees::BATCH;
use crate::work::{Row, Workload};

/// `FenceMap`, its scans weak as those of the others.
pub struct Fence(FenceMap<u64, u64>);

impl Tree for Fence {
    const NAME: &'static str = "FenceMap";
    const ROLE: Role = Role::Ours;

    fn new() -> Self {
        Self(FenceMap::new())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key)
    }

    #[inline]
    fn get_many(&self, keys: &[u64; BATCH], see: impl FnMut(Option<u64>)) {
        let mut values = [None; BATCH];
        self.0.get_many(keys, &mut values);
        values.into_iter().for_each(see);
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.iter_range(from..=to).for_each(|(_, value)| see(value));
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.iter().for_each(|(_, value)| see(value));
    }
}

/// `FenceMap` with consistent ranges, into existing memory.
pub struct AtOnce(Fence);

thread_local!(static FOUND: Cell<Vec<(u64, u64)>> = const { Cell::new(Vec::new()) });

impl Tree for AtOnce {
    const NAME: &'static str = "FenceMap, linearizable";
    const ROLE: Role = Role::Foil;

    fn new() -> Self {
        Self(Fence::new())
    }

    fn can(row: &Row) -> bool {
        matches!(row.workload, Workload::Scan | Workload::ScanHot | Workload::Iterate)
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(key)
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn remove(&self, key: u64) -> bool {
        self.0.remove(key)
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        let mut found = FOUND.take();
        self.0.0.range_into(from..=to, &mut found);
        for &(_, value) in &found {
            see(value);
        }
        FOUND.set(found);
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.0.range(..).for_each(|(_, value)| see(value));
    }
}

/// `SnapshotMap`.
pub struct Snap(SnapshotMap<u64, u64>);

impl Tree for Snap {
    const NAME: &'static str = "SnapshotMap";
    const ROLE: Role = Role::Ours;
    const SNAPSHOTS: bool = true;

    fn new() -> Self {
        Self(SnapshotMap::new())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get_cloned(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.pin().range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.0.pin().values().copied().for_each(see);
    }

    #[inline]
    fn snapshot(&self) {
        drop(black_box(self.0.snapshot()));
    }

    fn each_at_once(&self, see: impl FnMut(u64)) {
        self.0.snapshot().values().copied().for_each(see);
    }
}

/// `OrdMap`, whose snapshots copy the entries in a range.
pub struct Ord(OrdMap<u64, u64>);

impl Tree for Ord {
    const NAME: &'static str = "OrdMap";
    const ROLE: Role = Role::Ours;

    fn new() -> Self {
        Self(OrdMap::new())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get_cloned(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        drop(self.0.insert(key, value));
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.pin().range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.pin().iter().for_each(|(_, &value)| see(value));
    }

    fn each_at_once(&self, mut see: impl FnMut(u64)) {
        self.0.pin().range(..).for_each(|(_, &value)| see(value));
    }
}
