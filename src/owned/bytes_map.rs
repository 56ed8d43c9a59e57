//! `BytesMap`: strings to strings, each pair fused into one allocation.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::inline_node::InlineNode;
use super::map::reserve_failed;
use super::nodes::Nodes;
use super::removed_bytes::RemovedBytes;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use crate::api::op::{Computed, Op};
use crate::bins::tags;
use crate::error::{Busy, OccupiedError, TryInsertError, TryReserveError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::Why;
use crate::reclaim::guard::{Guard, pin, try_pin};
use crate::reclaim::node::{Live, Shared};
use crate::reclaim::retired::{Fresh, Way};
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// A concurrent hash map from byte strings to byte strings.
///
/// Key and value are copied into one allocation behind the pointer that the table holds, so a look-up
/// that misses the caches waits for fewer lines than in a map of two `String`s, and an entry takes two thirds of
/// the memory. Whatever is [`AsRef<[u8]>`](AsRef) will do for either: `str`, `String`, slices, vectors.
///
/// Otherwise it is a [`HashMap`](super::HashMap), with the same guarantees: a lookup returns a [`Ref`], which borrows
/// what it found and holds a [`Guard`]; it takes no lock and writes nothing but its thread's own announcement. All
/// methods take `&self`. Guards may be held without a limit of time while any thread writes. [`pin`](Self::pin) takes
/// one guard for many lookups, which then return plain slices.
///
/// It has no `entry`: an [`Entry`](crate::entry::Entry) owns its key and lends its value as `&mut V`, and here both are
/// bytes of a fixed length in an allocation that readers share. [`get_or_insert_with`](Self::get_or_insert_with),
/// [`update`](Self::update) and [`compute`](Self::compute) do what its chains do, each in one atomic step.
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
    /// An empty map; allocates nothing.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::new().is_empty());
    /// ```
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
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
    /// An empty map that hashes with `hash_builder`; allocates nothing and fits a `static`.
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

    /// An empty map with room for `capacity` entries before its table grows, that hashes with `hash_builder`;
    /// or the hasher again, where there is no memory.
    ///
    /// # Errors
    /// When the capacity cannot be addressed or the allocator has not got it.
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
        // Before this returns, as a panic of its destructor would then leak what it returns.
        drop(hash_builder);
        nodes
    }

    /// The map's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// hedgerow::BytesMap::new().hasher().hash_one("rose");
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hash_builder
    }

    /// The number of entries: exact when nobody writes meanwhile, of the recent past otherwise.
    ///
    /// ```
    /// assert_eq!(hedgerow::BytesMap::from([("rose", "red")]).len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns how many entries there is room for before the table grows; see
    /// [`HashMap::capacity`](super::HashMap::capacity).
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::with_capacity(1000).capacity() >= 1000);
    /// ```
    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Whether [`len`](Self::len) is 0.
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
    pub(super) fn hash(&self, key: &[u8]) -> tags::Hash {
        tags::Hash::spread(self.hash_builder.hash_one(key), mixes_well::<S>())
    }

    #[inline(always)]
    pub(super) fn find<'a>(&'a self, key: &[u8], guard: &'a Guard<'_>) -> Option<Live<'a, InlineNode>> {
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
        // If the key panics after the return value is made, its guard is leaked.
        drop(key);
        // SAFETY: found under the guard.
        Some(unsafe { Ref::of_bytes(found, guard) })
    }

    /// Returns the entry of `key`, as [`get`](Self::get) does: a `Ref` has both.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get_key_value("rose").unwrap().pair(), (&b"rose"[..], &b"red"[..]));
    /// ```
    #[inline]
    pub fn get_key_value(&self, key: impl AsRef<[u8]>) -> Option<Ref<'_, [u8], [u8]>> {
        self.get(key)
    }

    /// As [`get`](Self::get), but never waits; see [`HashMap::try_get`](super::HashMap::try_get).
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
        drop(key);
        // SAFETY: found under the guard.
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

    /// Returns what `f` makes of the value of `key`. `f` runs with nothing locked.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.get_with("rose", |colour| colour.len()), Some(3));
    /// ```
    #[inline]
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.find(key.as_ref(), &pin()).map(|node| f(node.value()))
    }

    /// Returns a copy of the value of `key`, or no bytes. Inserts nothing.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!((map.get_or_default("rose"), map.get_or_default("thorn")), (b"red".to_vec(), vec![]));
    /// ```
    pub fn get_or_default(&self, key: impl AsRef<[u8]>) -> Vec<u8> {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Whether `key` has an entry.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::from([("rose", "red")]).contains_key("rose"));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.find(key.as_ref(), &pin()).is_some()
    }

    /// A node, unless there is no memory for it or no room for what it may replace.
    #[inline(always)]
    pub(super) fn fresh(
        mode: Way,
        hash: tags::Hash,
        key: &[u8],
        value: &[u8],
    ) -> Result<Fresh<InlineNode>, Why> {
        mode.room()?;
        InlineNode::new(hash, key, value)
    }

    /// Stores a copy of `value` under a copy of `key`; returns the entry that this replaces.
    ///
    /// Allocates the entry, and now and then growth, of which each insert does a bounded part. Blocks
    /// while another writer is inside the key's bin. Running out of memory is handled as in std's collections;
    /// growth that finds none is put off.
    ///
    /// # Panics
    /// When either is longer than `u32::MAX` bytes.
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
        let done = self.insert_by(Way::Waiting, key.as_ref(), value.as_ref(), &pin());
        done.unwrap_or_else(out_of_memory)
    }

    /// As [`insert`](Self::insert), but neither waits, nor panics, nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// When a writer is inside the key's bin, when there is no memory, when key or value is too long, or when too
    /// many entries wait to be freed: key and value as they were given; the map stays as it was.
    ///
    /// ```
    /// assert!(hedgerow::BytesMap::new().try_insert("rose", "red").unwrap().is_none());
    /// ```
    pub fn try_insert<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<RemovedBytes<'_>>, TryInsertError<K, V>> {
        let mode = self.nodes.retired().trying();
        let done = match try_pin() {
            Ok(guard) => self.insert_by(mode, key.as_ref(), value.as_ref(), &guard),
            Err(_) => Err(Why::Alloc),
        };
        done.map_err(|why| why.of(key, value))
    }

    #[inline(always)]
    fn insert_by(
        &self,
        mode: Way,
        key: &[u8],
        value: &[u8],
        guard: &Guard<'_>,
    ) -> Result<Option<RemovedBytes<'_>>, Why> {
        let fresh = Self::fresh(mode, self.hash(key), key, value)?;
        match self.nodes.insert(fresh, |node| node.key() == key, mode.backoff(), guard) {
            Ok(before) => Ok(before.map(RemovedBytes)),
            Err((why, _)) => Err(why.into()),
        }
    }

    /// Stores `value` under `key` unless the key has a value.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value: it hands key and value back.
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
        let done = self.insert_if_absent_by(Way::Waiting, key.as_ref(), value.as_ref(), &pin());
        unless_occupied(done.unwrap_or_else(out_of_memory), key, value)
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits, nor panics, nor aborts, and keeps
    /// the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). That there is an entry already is none.
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
        let mode = self.nodes.retired().trying();
        let done = match try_pin() {
            Ok(guard) => self.insert_if_absent_by(mode, key.as_ref(), value.as_ref(), &guard),
            Err(_) => Err(Why::Alloc),
        };
        match done {
            Ok(is_new) => Ok(unless_occupied(is_new, key, value)),
            Err(why) => Err(why.of(key, value)),
        }
    }

    /// Stores `value` under `key` unless the key has a value; returns whether it did.
    fn insert_if_absent_by(
        &self,
        mode: Way,
        key: &[u8],
        value: &[u8],
        guard: &Guard<'_>,
    ) -> Result<bool, Why> {
        let hash = self.hash(key);
        if self.find_by(mode, hash, key, guard)?.is_some() {
            return Ok(false);
        }
        match self.store_absent(Self::fresh(mode, hash, key, value)?, key, mode, guard) {
            Ok(()) => Ok(true),
            Err(found) => found.map(|_| false),
        }
    }

    #[inline(always)]
    pub(super) fn find_by<'a>(
        &'a self,
        mode: Way,
        hash: tags::Hash,
        key: &[u8],
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, InlineNode>>, Busy> {
        self.nodes.find(hash, |node| node.key() == key, mode, guard)
    }

    /// Stores a new entry, unless there is one; says which, or why it cannot tell.
    pub(super) fn store_absent<'a>(
        &'a self,
        fresh: Fresh<InlineNode>,
        key: &[u8],
        mode: Way,
        guard: &'a Guard<'_>,
    ) -> Result<(), Result<Live<'a, InlineNode>, Why>> {
        let same = |node: Live<'_, InlineNode>| node.key() == key;
        let stored = self.nodes.insert_if_absent(fresh, same, mode, guard);
        stored.map_err(|(found, _)| found.map_err(Why::from))
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside its bin.
    ///
    /// Allocates nothing for the entry. A thread's first guard may need a slot, and a map in which two threads put
    /// garbage away at once gets more lists for it, once.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().value(), b"red");
    /// ```
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<RemovedBytes<'_>> {
        self.remove_if(key, |_, _| true)
    }

    /// Removes `key` if `condition` says so of its entry; see [`HashMap::remove_if`](super::HashMap::remove_if).
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
        let wanted = |node: Shared<InlineNode>| {
            // SAFETY: met in the table under the guard.
            let node = unsafe { node.live() };
            condition(node.key(), node.value())
        };
        let removed = self.nodes.remove(self.hash(key), same, wanted, Way::Waiting, &pin());
        removed.ok().flatten().map(RemovedBytes)
    }

    /// Replaces the value of `key` by what `f` makes of it; returns the new value, or `None` if there is none.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced meanwhile: the replacement is atomic.
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
        // Owns `f`, which is gone before what is returned holds a guard.
        let decide = move |old: Option<&[u8]>| old.map_or(Op::Keep, |old| Op::Insert(f(old)));
        self.compute(key, decide).after
    }

    /// Does with `key`'s entry what `f` decides from its value, atomically. Returns what was there before and what is
    /// there after it.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced or removed meanwhile.
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
        let done = self.compute_by(Way::Waiting, key.as_ref(), f, &guard);
        let found = done.unwrap_or_else(|(why, _)| out_of_memory(why));
        drop(key);
        Self::computed(found, &guard)
    }

    /// As [`compute`](Self::compute), but neither waits, nor panics, nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit) if it is to insert.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert): with the value, if `f` has made one that was not stored.
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
        let mode = self.nodes.retired().trying();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of(key, None)) };
        match self.compute_by(mode, key.as_ref(), f, &guard) {
            Ok(found) => {
                drop(key);
                Ok(Self::computed(found, &guard))
            }
            Err((why, value)) => Err(why.of(key, value)),
        }
    }

    /// Borrows both, each with a guard of its own: another of `guard`'s reader.
    fn computed<'a>(
        (before, after): BeforeAfter<'_>,
        guard: &Guard<'a>,
    ) -> Computed<Ref<'a, [u8], [u8]>> {
        // SAFETY: met under the guard, or put there.
        let borrow = |node: Live<'_, InlineNode>| unsafe { Ref::of_bytes(node.shared(), guard.again()) };
        Computed { before: before.map(borrow), after: after.map(borrow) }
    }

    /// Returns what was found and what was left.
    #[inline(always)]
    pub(super) fn compute_by<'a, V: AsRef<[u8]>>(
        &'a self,
        mode: Way,
        key: &[u8],
        mut f: impl FnMut(Option<&[u8]>) -> Op<V>,
        guard: &'a Guard<'_>,
    ) -> Result<BeforeAfter<'a>, (Why, Option<V>)> {
        let busy = |busy: Busy| (busy.into(), None);
        // Asked once: a hasher that says something else each time must not keep this from ending.
        let hash = self.hash(key);
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
                    if !mode.waits() {
                        return Err((Why::Busy, None));
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
                            // SAFETY: published while the guard is held.
                            Ok(_) => return Ok((found, Some(unsafe { new.live() }))),
                            Err((why, _)) => why.map(Why::from),
                        },
                        None => match self.store_absent(fresh, key, mode, guard) {
                            // SAFETY: as above.
                            Ok(()) => return Ok((None, Some(unsafe { new.live() }))),
                            Err(Ok(node)) => {
                                known = Some(node);
                                None
                            }
                            Err(Err(why)) => Some(why),
                        },
                    };
                    match why {
                        Some(why) => return Err((why, Some(value))),
                        // The entry was replaced meanwhile: to look again counts as waiting.
                        None if mode.waits() => {}
                        None => return Err((Why::Busy, Some(value))),
                    }
                }
            }
        }
    }
}

/// What an operation found, and what it left.
pub(super) type BeforeAfter<'a> = (Option<Live<'a, InlineNode>>, Option<Live<'a, InlineNode>>);

/// The answer of `insert_if_absent`, which stored them if `is_new`.
fn unless_occupied<K, V>(is_new: bool, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
    if is_new { Ok(()) } else { Err(OccupiedError::new(key, value, ())) }
}

/// The end of an operation that waits: for want of memory, or because something is too long.
#[cold]
pub(super) fn out_of_memory<T>(why: Why) -> T {
    fail(match why {
        Why::TooLong => TryReserveError::CapacityOverflow,
        _ => TryReserveError::Alloc,
    })
}
