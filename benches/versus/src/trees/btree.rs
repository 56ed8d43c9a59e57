//! The standard library's ordered map: alone, as the yard, and under its lock for
//! many readers or one writer.

use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{PoisonError, RwLock};

use super::Tree;
use crate::rivals::Role;

/// Without a lock, for one thread: the harness checks the role before it starts a second one.
pub struct Yard(UnsafeCell<BTreeMap<u64, u64>>);

// SAFETY: not shared in truth. The only code that hands a `Tree` to several threads
// asserts first that it may.
unsafe impl Sync for Yard {}

impl Yard {
    /// # Safety
    /// No other thread uses the map, and the reference is dropped before the next
    /// call.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "that is the point of the yard: no lock")]
    unsafe fn map(&self) -> &mut BTreeMap<u64, u64> {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.0.get() }
    }
}

impl Tree for Yard {
    const NAME: &'static str = "BTreeMap";
    const ROLE: Role = Role::Yard;

    fn new() -> Self {
        Self(UnsafeCell::default())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        // SAFETY: one thread.
        unsafe { self.map() }.get(&key).copied()
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        // SAFETY: one thread.
        unsafe { self.map() }.insert(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        // SAFETY: one thread.
        unsafe { self.map() }.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        // SAFETY: one thread, and `see` cannot reach the map.
        unsafe { self.map() }.range(from..=to).for_each(|(_, &value)| see(value));
    }

    fn each(&self, see: impl FnMut(u64)) {
        // SAFETY: one thread, and `see` cannot reach the map.
        unsafe { self.map() }.values().copied().for_each(see);
    }

    fn snapshot(&self) {
        // SAFETY: one thread.
        drop(black_box(unsafe { self.map() }.clone()));
    }
}

/// Under one lock.
pub struct Locked(RwLock<BTreeMap<u64, u64>>);

impl Tree for Locked {
    const NAME: &'static str = "RwLock";

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
        drop(black_box(self.0.read().unwrap_or_else(PoisonError::into_inner).clone()));
    }
}
