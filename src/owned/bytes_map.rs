//! `BytesMap`: byte strings to byte strings, with key and value in one allocation.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::hashed::Hashed;
use super::inline_node::InlineNode;
use super::map::reserve_failed;
use super::nodes::{Nodes, OwnedStats};
use super::removed_bytes::RemovedBytes;
use crate::api::hasher::DefaultHashBuilder;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError, TryReserveError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::collector::{Collector, Readers};
use crate::reclaim::errors::{Cause, RefusedInsert};
use crate::reclaim::guard::Stalled;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::{collector_methods, garbage_methods, table_methods};
use crate::reclaim::node::Live;
use crate::reclaim::retired::{Retired, WaitMode};
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// A concurrent hash map from byte strings to byte strings.
///
/// Key and value are copied into a single allocation. Compared with a [`HashMap`](super::HashMap) of two `String`s, a
/// lookup has fewer cache misses, and an entry takes two thirds of the memory. Keys and values are passed as
/// [`AsRef<[u8]>`](AsRef): `str`, `String`, slices, vectors.
///
/// The guarantees are those of a [`HashMap`](super::HashMap). A lookup returns a [`Ref`], which borrows the entry and
/// holds a [`Guard`](super::Guard); [`pin`](Self::pin) takes one guard for many lookups, which then return plain
/// slices. Every method takes `&self`, except [`shrink_to_fit`](Self::shrink_to_fit) and
/// [`with_collector`](Self::with_collector).
///
/// There is no `entry` method, because an [`Entry`](crate::entry::Entry) would have to lend out the value as `&mut V`,
/// and here values are bytes of a fixed length that readers share. Use
/// [`get_or_insert_with`](Self::get_or_insert_with), [`update`](Self::update) and [`compute`](Self::compute), which are
/// atomic.
///
/// # Example
/// ```
/// let capitals = hedgerow::BytesMap::new();
/// capitals.insert("Kenya", "Nairobi");
/// capitals.insert(String::from("Chile"), b"Santiago");
/// assert_eq!(*capitals.get("Chile").unwrap(), *b"Santiago");
/// assert_eq!(capitals.remove("Kenya").unwrap().value(), b"Nairobi");
/// ```
pub struct BytesMap<S = DefaultHashBuilder> {
    pub(super) inner: Hashed<InlineNode, S>,
}

impl BytesMap {
    /// Creates an empty map. Allocates nothing.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::new().is_empty());
    /// ```
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty map with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the collections
    /// of std.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::with_capacity(1000);
    /// ```
    #[must_use]
    #[inline]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
    }

    /// Creates an empty map as [`with_capacity`](Self::with_capacity) does, or returns an error.
    ///
    /// # Errors
    /// If the capacity overflows the address space, or the allocator fails.
    ///
    /// ```
    /// use hedgerow::{BytesMap, error::TryReserveError};
    /// let none = BytesMap::try_with_capacity(usize::MAX);
    /// assert_eq!(none.err(), Some(TryReserveError::CapacityOverflow));
    /// ```
    pub fn try_with_capacity(capacity: usize) -> Result<Self, TryReserveError> {
        Self::try_with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
            .map_err(|(why, _)| why)
    }
}

impl<S> BytesMap<S> {
    /// Creates an empty map that hashes with `hash_builder`. Allocates nothing, and is `const`, so a `static` can hold
    /// the map.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// static MAP: hedgerow::BytesMap<BuildHasherDefault<DefaultHasher>> =
    ///     hedgerow::BytesMap::with_hasher(BuildHasherDefault::new());
    /// MAP.insert("rose", "red");
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        Self { inner: Hashed::new(hash_builder) }
    }

    /// Creates an empty map that hashes with `hash_builder`, with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the collections
    /// of std.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let map = hedgerow::BytesMap::with_capacity_and_hasher(100, RandomState::new());
    /// map.insert("rose", "red");
    /// ```
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, hash_builder: S) -> Self {
        Self::try_with_capacity_and_hasher(capacity, hash_builder)
            .unwrap_or_else(|(why, _)| reserve_failed(why))
    }

    /// Creates an empty map as [`with_capacity_and_hasher`](Self::with_capacity_and_hasher) does, or returns an error
    /// together with the hasher.
    ///
    /// # Errors
    /// If the capacity overflows the address space, or the allocator fails.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// assert!(hedgerow::BytesMap::try_with_capacity_and_hasher(100, RandomState::new()).is_ok());
    /// ```
    pub fn try_with_capacity_and_hasher(
        capacity: usize,
        hash_builder: S,
    ) -> Result<Self, (TryReserveError, S)> {
        Hashed::with_capacity(capacity, hash_builder).map(|inner| Self { inner })
    }

    pub(super) fn nodes(&self) -> &Nodes<InlineNode> {
        &self.inner.nodes
    }

    fn garbage(&self) -> &Retired<InlineNode> {
        self.nodes().retired()
    }

    #[inline(always)]
    pub(super) fn readers(&self) -> &Readers {
        self.nodes().readers()
    }

    pub(super) fn set_readers(&mut self, readers: &Readers) {
        self.inner.nodes.set_readers(readers);
    }

    collector_methods!("BytesMap");

    table_methods!("BytesMap");

    garbage_methods!("BytesMap", "Lock-free.", use<S>);
}

impl<S: BuildHasher> BytesMap<S> {
    /// Returns the value of `key`, borrowed with its own guard; see [`HashMap::get`](super::HashMap::get).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get("rose").as_deref(), Some(&b"red"[..]));
    /// assert!(map.get("thorn").is_none());
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Ref<'_, [u8], [u8]>> {
        let guard = self.readers().pin();
        let found = self.inner.find(key.as_ref(), &guard)?.ptr();
        // Dropped before the return value is made: if the key's destructor panicked afterwards, the guard of the return
        // value would leak, and keep the garbage of all maps.
        drop(key);
        // SAFETY: `find` returned the node under this guard.
        Some(unsafe { Ref::of(found, guard) })
    }

    /// Returns the entry of `key`, as [`get`](Self::get) does: a `Ref` gives access to the map's key and to the value.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get_key_value("rose").unwrap().pair(), (&b"rose"[..], &b"red"[..]));
    /// ```
    #[inline]
    pub fn get_key_value(&self, key: impl AsRef<[u8]>) -> Option<Ref<'_, [u8], [u8]>> {
        self.get(key)
    }

    /// Returns the value of `key` as [`get`](Self::get) does, but never waits; see
    /// [`HashMap::try_get`](super::HashMap::try_get).
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written, or if there is no memory for a guard.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.try_get("rose").unwrap().as_deref(), Some(&b"red"[..]));
    /// ```
    pub fn try_get(&self, key: impl AsRef<[u8]>) -> Result<Option<Ref<'_, [u8], [u8]>>, Busy> {
        let guard = self.readers().try_pin().map_err(|_| Busy)?;
        let found = self.inner.find_in(WaitMode::NON_BLOCKING, key.as_ref(), &guard)?;
        let found = found.map(Live::ptr);
        // As in `get`: before the return value is made.
        drop(key);
        // SAFETY: `find_in` returned the node under this guard.
        Ok(found.map(|node| unsafe { Ref::of(node, guard) }))
    }

    /// Returns a copy of the value of `key`.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get_cloned("rose"), Some(b"red".to_vec()));
    /// ```
    pub fn get_cloned(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.get_with(key, <[u8]>::to_vec)
    }

    /// Applies `f` to the value of `key` and returns its result, or `None` if the key is absent. `f` runs while no lock
    /// is held.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get_with("rose", |colour| colour.len()), Some(3));
    /// ```
    #[inline]
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.inner.find(key.as_ref(), &self.readers().pin()).map(|node| f(node.value()))
    }

    /// Returns a copy of the value of `key`, or an empty vector if the key is absent. Inserts nothing.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!((map.get_or_default("rose"), map.get_or_default("thorn")), (b"red".to_vec(), vec![]));
    /// ```
    pub fn get_or_default(&self, key: impl AsRef<[u8]>) -> Vec<u8> {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Returns `true` if the map contains `key`.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::from([("rose", "red")]).contains_key("rose"));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.inner.find(key.as_ref(), &self.readers().pin()).is_some()
    }

    /// Stores a copy of `value` under a copy of `key`, and returns the entry that it replaces.
    ///
    /// Blocks while another thread writes to the key's bin. Allocates the entry, and sometimes a larger table. Each
    /// insertion moves a bounded number of entries there. If there is no memory for the entry, the process aborts, as
    /// with the collections of std. If there is no memory for a larger table, the map postpones growth.
    ///
    /// # Panics
    /// If key or value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert!(map.insert("rose", "red").is_none());
    /// assert_eq!(map.insert("rose", "white").unwrap().value(), b"red");
    /// ```
    pub fn insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Option<RemovedBytes<'_>> {
        let bytes = key.as_ref();
        let (hash, mut freed) = self.inner.begin(WaitMode::Blocking, bytes);
        let done =
            self.inner.insert_by(WaitMode::Blocking, hash, bytes, value.as_ref(), &mut freed);
        freed.resume();
        let replaced = done.unwrap_or_else(insertion_failed);
        // As in `remove_if`: before the return value is made.
        drop((key, value));
        replaced.map(RemovedBytes)
    }

    /// Stores `value` under `key` as [`insert`](Self::insert) does, but neither waits, nor panics, nor aborts, and
    /// respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Each error returns `key` and `value` to the caller, and leaves the map unchanged.
    /// - [`TryInsertError::Busy`] if the key's bin is being written.
    /// - [`TryInsertError::Alloc`] if there is no memory for the entry.
    /// - [`TryInsertError::TooLong`] if key or value is longer than `u32::MAX` bytes.
    /// - [`TryInsertError::Stalled`] if more entries are pending than the limit allows.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::new().try_insert("rose", "red").unwrap().is_none());
    /// ```
    pub fn try_insert<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<RemovedBytes<'_>>, TryInsertError<K, V>> {
        let (mode, bytes) = (self.inner.non_blocking(), key.as_ref());
        let (hash, mut freed) = self.inner.begin(mode, bytes);
        let done = self.inner.insert_by(mode, hash, bytes, value.as_ref(), &mut freed);
        freed.resume();
        match done {
            Ok(before) => {
                drop((key, value));
                Ok(before.map(RemovedBytes))
            }
            Err((why, ..)) => Err(why.hand_back(key, value)),
        }
    }

    /// Stores `value` under `key` if the key is absent.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value. The error returns `key` and `value` to the caller.
    ///
    /// # Panics
    /// If key or value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(map.insert_if_absent("rose", "red"), Ok(()));
    /// assert_eq!(map.insert_if_absent("rose", "white").unwrap_err().into_parts(), ("rose", "white"));
    /// ```
    pub fn insert_if_absent<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        value: V,
    ) -> Result<(), OccupiedError<K, V>> {
        let done = self.inner.insert_if_absent_by(WaitMode::Blocking, key.as_ref(), value.as_ref());
        match done.unwrap_or_else(insertion_failed) {
            Ok(()) => Ok(()),
            Err(_) => Err(OccupiedError::new(key, value, ())),
        }
    }

    /// Stores `value` under `key` if the key is absent, as [`insert_if_absent`](Self::insert_if_absent) does, but
    /// neither waits, nor panics, nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// The outer error is one of [`try_insert`](Self::try_insert)'s. The inner one is an [`OccupiedError`]: the key has
    /// a value.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(map.try_insert_if_absent("rose", "red"), Ok(Ok(())));
    /// assert!(map.try_insert_if_absent("rose", "white").unwrap().is_err());
    /// ```
    pub fn try_insert_if_absent<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        let mode = self.inner.non_blocking();
        match self.inner.insert_if_absent_by(mode, key.as_ref(), value.as_ref()) {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(_)) => Ok(Err(OccupiedError::new(key, value, ()))),
            Err((why, ..)) => Err(why.hand_back(key, value)),
        }
    }

    /// Removes `key` and returns its entry. Blocks while another thread writes to the key's bin.
    ///
    /// Needs no memory for the removal itself. A thread's first guard may allocate a slot. A map allocates more lists
    /// for removed entries once, when two threads add to its only list at the same time.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().value(), b"red");
    /// ```
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<RemovedBytes<'_>> {
        self.remove_if(key, |_, _| true)
    }

    /// Removes `key` if `condition` returns `true` for its entry; see
    /// [`HashMap::remove_if`](super::HashMap::remove_if).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert!(map.remove_if("rose", |_, colour| colour == b"white").is_none());
    /// ```
    pub fn remove_if(
        &self,
        key: impl AsRef<[u8]>,
        condition: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<RemovedBytes<'_>> {
        let removed = self.inner.remove_by(WaitMode::Blocking, key.as_ref(), condition);
        // Before the return value is made. If the destructor panicked after that, the removed entry would leak.
        drop(key);
        removed.ok().flatten().map(RemovedBytes)
    }

    /// Replaces the value of `key` by the result of `f`. Returns the new value, or `None` if the key is absent.
    ///
    /// The replacement is atomic. `f` runs while no lock is held, and runs again if another thread replaces the entry
    /// in the meantime.
    ///
    /// # Panics
    /// If the new value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// let new = map.update("rose", |colour| [b"dark ", colour].concat());
    /// assert_eq!(new.as_deref(), Some(&b"dark red"[..]));
    /// ```
    pub fn update<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(&[u8]) -> V,
    ) -> Option<Ref<'_, [u8], [u8]>> {
        // Owns `f`, so `compute_by` drops it. If the destructor of `f` panicked after the return value is made, the
        // guard of the return value would leak.
        let decide = move |old: Option<&[u8]>| old.map_or(Op::Keep, |old| Op::Insert(f(old)));
        self.compute(key, decide).after
    }

    /// Inserts, replaces, removes or keeps the entry of `key`, as `f` decides from its value. Returns the entry before
    /// and after the operation.
    ///
    /// The operation is atomic. `f` runs while no lock is held, and runs again if another thread replaces or removes
    /// the entry in the meantime.
    ///
    /// # Panics
    /// If the key or the new value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::BytesMap::new();
    /// let grow = |old: Option<&[u8]>| Op::Insert([old.unwrap_or_default(), b"a"].concat());
    /// map.compute("x", grow);
    /// assert_eq!(map.compute("x", grow).after.as_deref(), Some(&b"aa"[..]));
    /// ```
    pub fn compute<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        f: impl FnMut(Option<&[u8]>) -> Op<V>,
    ) -> Computed<Ref<'_, [u8], [u8]>> {
        let done = self.inner.compute_by(WaitMode::Blocking, key.as_ref(), f);
        let done = done.unwrap_or_else(insertion_failed);
        // As in `get`: before the return value is made.
        drop(key);
        done
    }

    /// Inserts, replaces, removes or keeps the entry of `key` as [`compute`](Self::compute) does, but neither waits,
    /// nor panics, nor aborts. If `f` decides to insert, it respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did not
    /// store it.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::BytesMap::new();
    /// assert!(map.try_compute("rose", |_| Op::Insert("red")).is_ok_and(|done| done.before.is_none()));
    /// ```
    pub fn try_compute<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        f: impl FnMut(Option<&[u8]>) -> Op<V>,
    ) -> Result<Computed<Ref<'_, [u8], [u8]>>, TryInsertError<K, Option<V>>> {
        match self.inner.compute_by(self.inner.non_blocking(), key.as_ref(), f) {
            Ok(done) => {
                // As in `get`: before the return value is made.
                drop(key);
                Ok(done)
            }
            Err((why, _, value)) => Err(why.hand_back(key, value)),
        }
    }
}

/// Ends an operation that waits. It fails only if there is no memory, or if key or value is too long.
#[cold]
pub(super) fn insertion_failed<T, K, V>((why, ..): RefusedInsert<K, V>) -> T {
    reserve_failed(match why {
        Cause::TooLong => TryReserveError::CapacityOverflow,
        _ => TryReserveError::Alloc,
    })
}
