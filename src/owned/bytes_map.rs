//! `BytesMap`: byte strings to byte strings, with key and value in one allocation.
//!
//! The functions whose names end in `_by` take a [`Mode`]. An operation that waits and its `try_` variant share them.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::inline_node::InlineNode;
use super::map::reserve_failed;
use super::nodes::Nodes;
use super::removed_bytes::RemovedBytes;
use crate::api::hash::KeyHash;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError, TryReserveError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::{Guard, pin, try_pin};
use crate::reclaim::node::{Live, NodePtr};
use crate::reclaim::retired::{Fresh, Mode};
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// A concurrent hash map from byte strings to byte strings.
///
/// The map copies key and value into one allocation, to which the table has a pointer. A lookup that misses the caches
/// waits for fewer cache lines than in a map of two `String`s, and an entry takes two thirds of the memory. Keys and
/// values are [`AsRef<[u8]>`](AsRef): `str`, `String`, slices, vectors.
///
/// Otherwise it works as a [`HashMap`](super::HashMap), with the same guarantees. A lookup returns a [`Ref`], which
/// borrows the entry and holds a [`Guard`]. The lookup takes no lock, and writes only to its thread's own slot in the
/// registry of readers. [`pin`](Self::pin) takes one guard for many lookups, which then return plain slices. A thread
/// may hold a guard for any length of time while threads write. Every method takes `&self`, except
/// [`shrink_to_fit`](Self::shrink_to_fit).
///
/// The map has no method `entry`: an [`Entry`](crate::entry::Entry) owns its key and returns its value as `&mut V`, but
/// here both are bytes of a fixed length, in an allocation that readers share. In place of chains of an `Entry`, use
/// [`get_or_insert_with`](Self::get_or_insert_with), [`update`](Self::update) and [`compute`](Self::compute). Each of
/// them is atomic.
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
    hash_builder: S,
    pub(super) nodes: Nodes<InlineNode>,
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
        let made = Self::try_with_capacity_and_hasher(capacity, DefaultHashBuilder::default());
        made.unwrap_or_else(|(why, _)| reserve_failed(why))
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
        Self { hash_builder, nodes: Nodes::new() }
    }

    /// Creates an empty map that hashes with `hash_builder`, with room for `capacity` entries before its table grows.
    ///
    /// # Errors
    /// If the capacity overflows the address space, or the allocator fails. The error contains the hasher.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// assert!(hedgerow::BytesMap::try_with_capacity_and_hasher(100, RandomState::new()).is_ok());
    /// ```
    pub fn try_with_capacity_and_hasher(
        capacity: usize,
        hash_builder: S,
    ) -> Result<Self, (TryReserveError, S)> {
        match Nodes::with_capacity(capacity) {
            Ok(nodes) => Ok(Self { hash_builder, nodes }),
            Err(why) => Err((why, hash_builder)),
        }
    }

    pub(super) fn nodes(&self) -> &Nodes<InlineNode> {
        &self.nodes
    }

    pub(super) fn into_nodes(self) -> Nodes<InlineNode> {
        let Self { hash_builder, nodes } = self;
        // Dropped here and not at the end of the scope: if its destructor panicked when the return value is made, the
        // nodes would leak.
        drop(hash_builder);
        nodes
    }

    /// Returns the map's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// hedgerow::BytesMap::new().hasher().hash_one("rose");
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hash_builder
    }

    /// Returns the number of entries. The number is exact if no thread writes meanwhile, and slightly out of date
    /// otherwise.
    ///
    /// ```
    /// assert_eq!(hedgerow::BytesMap::from([("rose", "red")]).len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the number of entries that the table can hold before it grows; see
    /// [`HashMap::capacity`](super::HashMap::capacity).
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::with_capacity(1000).capacity() >= 1000);
    /// ```
    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Returns `true` if [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: BuildHasher> BytesMap<S> {
    #[inline(always)]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::spread(self.hash_builder.hash_one(key), mixes_well::<S>())
    }

    #[inline(always)]
    pub(super) fn find<'a>(
        &'a self,
        key: &[u8],
        guard: &'a Guard<'_>,
    ) -> Option<Live<'a, InlineNode>> {
        self.nodes.get(self.hash(key), move |node| node.key() == key, guard)
    }

    /// Returns the value of `key`, borrowed with a guard of its own; see [`HashMap::get`](super::HashMap::get).
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get("rose").as_deref(), Some(&b"red"[..]));
    /// assert!(map.get("thorn").is_none());
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Ref<'_, [u8], [u8]>> {
        let guard = pin();
        let found = self.find(key.as_ref(), &guard)?.shared();
        // Dropped before the return value is made: if the key's destructor panicked afterwards, the guard of the return
        // value would leak, and keep the garbage of all maps.
        drop(key);
        // SAFETY: `find` returned the node under this guard.
        Some(unsafe { Ref::of_bytes(found, guard) })
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
    /// [`Busy`] if a writer is inside the key's bin, or if there is no memory for a guard.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.try_get("rose").unwrap().as_deref(), Some(&b"red"[..]));
    /// ```
    pub fn try_get(&self, key: impl AsRef<[u8]>) -> Result<Option<Ref<'_, [u8], [u8]>>, Busy> {
        let guard = try_pin().map_err(|_| Busy)?;
        let found = self.try_find(key.as_ref(), &guard)?.map(Live::shared);
        // As in `get`: before the return value is made.
        drop(key);
        // SAFETY: `try_find` returned the node under this guard.
        Ok(found.map(|node| unsafe { Ref::of_bytes(node, guard) }))
    }

    #[inline(always)]
    pub(super) fn try_find<'a>(
        &'a self,
        key: &[u8],
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, InlineNode>>, Busy> {
        self.nodes.try_get(self.hash(key), |node| node.key() == key, guard)
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
        self.find(key.as_ref(), &pin()).map(|node| f(node.value()))
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

    /// Returns `true` if `key` has an entry.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::from([("rose", "red")]).contains_key("rose"));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.find(key.as_ref(), &pin()).is_some()
    }

    /// Allocates a node. Fails if there is no memory, if key or value is too long, or if the node that it may replace
    /// would exceed the limit.
    #[inline(always)]
    pub(super) fn fresh(
        mode: Mode,
        hash: KeyHash,
        key: &[u8],
        value: &[u8],
    ) -> Result<Fresh<InlineNode>, Cause> {
        mode.room()?;
        InlineNode::new(hash, key, value)
    }

    /// Stores a copy of `value` under a copy of `key`, and returns the entry that it replaces.
    ///
    /// Blocks while another writer is inside the key's bin. Allocates the entry, and sometimes a larger table. Each
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
        let done = self.insert_by(Mode::Blocking, key.as_ref(), value.as_ref(), &pin());
        done.unwrap_or_else(insertion_failed)
    }

    /// Stores `value` under `key` as [`insert`](Self::insert) does, but neither waits, nor panics, nor aborts, and
    /// respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Each error returns `key` and `value` to the caller, and leaves the map unchanged.
    /// - [`TryInsertError::Busy`] if a writer is inside the key's bin.
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
        let mode = self.nodes.retired().non_blocking();
        let done = match try_pin() {
            Ok(guard) => self.insert_by(mode, key.as_ref(), value.as_ref(), &guard),
            Err(_) => Err(Cause::Alloc),
        };
        done.map_err(|why| why.of(key, value))
    }

    #[inline(always)]
    fn insert_by(
        &self,
        mode: Mode,
        key: &[u8],
        value: &[u8],
        guard: &Guard<'_>,
    ) -> Result<Option<RemovedBytes<'_>>, Cause> {
        let fresh = Self::fresh(mode, self.hash(key), key, value)?;
        match self.nodes.insert(fresh, |node| node.key() == key, mode.backoff(), guard) {
            Ok(before) => Ok(before.map(RemovedBytes)),
            Err((why, _)) => Err(why.into()),
        }
    }

    /// Stores `value` under `key` if the key is absent.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value. The error returns `key` and `value` to the caller.
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
        let done = self.insert_if_absent_by(Mode::Blocking, key.as_ref(), value.as_ref(), &pin());
        unless_occupied(done.unwrap_or_else(insertion_failed), key, value)
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
        let mode = self.nodes.retired().non_blocking();
        let done = match try_pin() {
            Ok(guard) => self.insert_if_absent_by(mode, key.as_ref(), value.as_ref(), &guard),
            Err(_) => Err(Cause::Alloc),
        };
        match done {
            Ok(is_new) => Ok(unless_occupied(is_new, key, value)),
            Err(why) => Err(why.of(key, value)),
        }
    }

    /// Stores `value` under `key` if the key is absent. Returns `true` if it did.
    fn insert_if_absent_by(
        &self,
        mode: Mode,
        key: &[u8],
        value: &[u8],
        guard: &Guard<'_>,
    ) -> Result<bool, Cause> {
        let hash = self.hash(key);
        // A lookup first: if the key has a value, the operation takes no lock and allocates nothing.
        if self.find_by(mode, hash, key, guard)?.is_some() {
            return Ok(false);
        }
        match self.store_absent(Self::fresh(mode, hash, key, value)?, key, mode, guard) {
            Ok(()) => Ok(true),
            // Another thread has inserted the key since the lookup, or the insertion failed.
            Err(found) => found.map(|_| false),
        }
    }

    #[inline(always)]
    pub(super) fn find_by<'a>(
        &'a self,
        mode: Mode,
        hash: KeyHash,
        key: &[u8],
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, InlineNode>>, Busy> {
        self.nodes.find(hash, |node| node.key() == key, mode, guard)
    }

    /// Inserts `fresh` if `key` is absent. Otherwise frees it, and returns the entry of `key` or the cause of the
    /// failure.
    pub(super) fn store_absent<'a>(
        &'a self,
        fresh: Fresh<InlineNode>,
        key: &[u8],
        mode: Mode,
        guard: &'a Guard<'_>,
    ) -> Result<(), Result<Live<'a, InlineNode>, Cause>> {
        let same = |node: Live<'_, InlineNode>| node.key() == key;
        let stored = self.nodes.insert_if_absent(fresh, same, mode, guard);
        stored.map_err(|(found, _)| found.map_err(Cause::from))
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside the key's bin.
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
        mut condition: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<RemovedBytes<'_>> {
        let key = key.as_ref();
        let same = |node: Live<'_, InlineNode>| node.key() == key;
        let wanted = |node: NodePtr<InlineNode>| {
            // SAFETY: the table passes a node that it holds, and the guard keeps it alive.
            let node = unsafe { node.live() };
            condition(node.key(), node.value())
        };
        let removed = self.nodes.remove(self.hash(key), same, wanted, Mode::Blocking, &pin());
        removed.ok().flatten().map(RemovedBytes)
    }

    /// Replaces the value of `key` by the result of `f`. Returns the new value, or `None` if the key is absent.
    ///
    /// The replacement is atomic. `f` runs while no lock is held, and runs again if another thread replaces the entry
    /// meanwhile.
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
    /// the entry meanwhile.
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
        let guard = pin();
        let done = self.compute_by(Mode::Blocking, key.as_ref(), f, &guard);
        let found = done.unwrap_or_else(|(why, _)| insertion_failed(why));
        // As in `get`: before the return value is made.
        drop(key);
        Self::computed(found, &guard)
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
        let mode = self.nodes.retired().non_blocking();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, None)) };
        match self.compute_by(mode, key.as_ref(), f, &guard) {
            Ok(found) => {
                // As in `get`: before the return value is made.
                drop(key);
                Ok(Self::computed(found, &guard))
            }
            Err((why, value)) => Err(why.of(key, value)),
        }
    }

    /// Borrows both entries, each with a guard of its own. The guards use the slot of `guard`.
    fn computed<'a>(
        (before, after): BeforeAfter<'_>,
        guard: &Guard<'a>,
    ) -> Computed<Ref<'a, [u8], [u8]>> {
        // SAFETY: `compute_by` found the nodes under `guard`, or inserted them, and the new guard protects the same.
        let borrow =
            |node: Live<'_, InlineNode>| unsafe { Ref::of_bytes(node.shared(), guard.again()) };
        Computed { before: before.map(borrow), after: after.map(borrow) }
    }

    /// Changes the entry of `key` as `f` decides. Returns the nodes before and after.
    #[inline(always)]
    pub(super) fn compute_by<'a, V: AsRef<[u8]>>(
        &'a self,
        mode: Mode,
        key: &[u8],
        mut f: impl FnMut(Option<&[u8]>) -> Op<V>,
        guard: &'a Guard<'_>,
    ) -> Result<BeforeAfter<'a>, (Cause, Option<V>)> {
        let busy = |busy: Busy| (busy.into(), None);
        // Computed once: a hasher that answers differently each time would send every attempt to another bin, and the
        // loop would not end.
        let hash = self.hash(key);
        // The entry that the last attempt to insert found. It replaces the next lookup.
        let mut known = None;
        loop {
            let found = match known.take() {
                Some(node) => Some(node),
                None => self.find_by(mode, hash, key, guard).map_err(busy)?,
            };
            match (f(found.map(Live::value)), found) {
                (Op::Keep, _) | (Op::Remove, None) => return Ok((found, found)),
                (Op::Remove, Some(node)) => {
                    let removed = self.nodes.remove_exactly(node, mode, guard).map_err(busy)?;
                    if removed.is_some() {
                        return Ok((found, None));
                    }
                    // Another thread has replaced or removed the entry. A second attempt counts as waiting, so a `try_`
                    // operation fails instead.
                    if !mode.waits() {
                        return Err((Cause::Busy, None));
                    }
                }
                (Op::Insert(value), _) => {
                    let fresh = match Self::fresh(mode, hash, key, value.as_ref()) {
                        Ok(fresh) => fresh,
                        Err(why) => return Err((why, Some(value))),
                    };
                    let new = fresh.0;
                    let why = match found {
                        Some(node) => match self.nodes.replace_exactly(node, fresh, mode, guard) {
                            // SAFETY: inserted while the guard is held, which keeps the node alive.
                            Ok(_) => return Ok((found, Some(unsafe { new.live() }))),
                            Err((why, _)) => why.map(Cause::from),
                        },
                        None => match self.store_absent(fresh, key, mode, guard) {
                            // SAFETY: as above.
                            Ok(()) => return Ok((None, Some(unsafe { new.live() }))),
                            // Another thread has inserted the key since the lookup.
                            Err(Ok(node)) => {
                                known = Some(node);
                                None
                            }
                            Err(Err(why)) => Some(why),
                        },
                    };
                    match why {
                        Some(why) => return Err((why, Some(value))),
                        // Another thread has changed the entry. `f` decides again from the new value.
                        None if mode.waits() => {}
                        None => return Err((Cause::Busy, Some(value))),
                    }
                }
            }
        }
    }
}

/// The nodes of a key before and after an operation.
pub(super) type BeforeAfter<'a> = (Option<Live<'a, InlineNode>>, Option<Live<'a, InlineNode>>);

/// Makes the result of `insert_if_absent`: key and value come back if the map did not store them.
fn unless_occupied<K, V>(is_new: bool, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
    if is_new { Ok(()) } else { Err(OccupiedError::new(key, value, ())) }
}

/// Ends an operation that waits. It fails only if there is no memory, or if key or value is too long.
#[cold]
pub(super) fn insertion_failed<T>(why: Cause) -> T {
    reserve_failed(match why {
        Cause::TooLong => TryReserveError::CapacityOverflow,
        _ => TryReserveError::Alloc,
    })
}
