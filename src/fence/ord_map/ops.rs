//! `OrdMap`'s operations on one key.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::OrdMap;
use super::raw::{NodeQuery, OrderCheck, Raw};
use crate::api::hash::KeyHash;
use crate::api::op::{Change, Computed, Op};
use crate::error::{Busy, OccupiedError};
use crate::fence::tree::leaf::Leaf;
use crate::fence::tree::rank::{Ranking, rank_of_borrowed, to_word};
use crate::fence::tree::search::SearchKey;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::{Guard, pin, try_pin};
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Mode, Unlinked};
use crate::sync::backoff::Backoff;
use alloc::alloc::handle_alloc_error;
use core::mem::MaybeUninit;
use equivalent::Comparable;

/// The entry that was replaced. On failure, the reason and the node; None means that another entry was found than
/// expected.
pub(super) type Stored<'a, K, V> =
    Result<Option<Removed<'a, K, V>>, (Option<Cause>, Fresh<Pair<K, V>>)>;

/// Ends an operation that waits, and so fails only if memory runs out.
#[cold]
pub(super) fn out_of_memory<K, V, T, E>(_why: E) -> T {
    handle_alloc_error(core::alloc::Layout::new::<Pair<K, V>>())
}

#[inline(always)]
pub(super) fn read<K>(leaf: Leaf<'_, Raw<K>, ()>, at: usize) -> MaybeUninit<Raw<K>> {
    leaf.fetch_key(at)
}

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    #[inline(always)]
    pub(super) fn search_key<'q, Q>(&self, key: &'q Q) -> SearchKey<NodeQuery<'q, Q>>
    where
        Q: ?Sized,
        R: Ranking<Q>,
    {
        SearchKey {
            key: NodeQuery(key),
            rank: to_word::<K>(rank_of_borrowed::<K, Q, R>(self.ranking(), key)),
        }
    }

    #[inline(always)]
    pub(super) fn find<Q>(&self, key: &Q, _guard: &Guard<'_>) -> Option<Raw<K>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.tree().get(self.search_key(key), read)
    }

    #[inline(always)]
    pub(super) fn find_by(
        &self,
        way: Mode,
        key: &K,
        guard: &Guard<'_>,
    ) -> Result<Option<Raw<K>>, Busy> {
        match way {
            Mode::Blocking => Ok(self.find(key, guard)),
            Mode::NonBlocking(_) => self.try_find(key),
        }
    }

    /// Borrows an entry for as long as the guard under which it was found.
    #[inline(always)]
    pub(super) fn pair_of<'a>(raw: Raw<K>, _guard: &'a Guard<'_>) -> (&'a K, &'a V) {
        // SAFETY: an entry of this map that was found under the guard.
        unsafe { raw.entry() }
    }

    /// Returns the value of `key`, borrowed with a guard of its own.
    ///
    /// Takes no lock, writes no shared memory, allocates nothing; logarithmic time. Waits while a writer is inside the
    /// key's leaf. Linearizes when the leaf's version is validated last.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.get("rose").as_deref(), Some(&1));
    /// assert!(map.get("thorn").is_none());
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let guard = pin();
        let found = self.find(key, &guard)?;
        // SAFETY: found under the guard.
        Some(unsafe { Ref::of_pair(found.shared(), guard) })
    }

    /// Returns the entry of `key`, as [`get`](Self::get) does: a `Ref` has the map's key, too.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.get_key_value("rose").unwrap().pair(), (&"rose".into(), &1));
    /// ```
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.get(key)
    }

    /// As [`get`](Self::get), but never waits. An interrupt handler uses
    /// [`Pinned::try_get`](crate::owned::Pinned::try_get) with a [`Handle`](crate::owned::Handle) of its own.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's leaf, or has changed it 64 times while it was read, or if there is no
    /// memory for a guard.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_get("rose").unwrap().as_deref(), Some(&1));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<Ref<'_, K, V>>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let guard = try_pin().map_err(|_| Busy)?;
        let found = self.try_find(key)?;
        // SAFETY: found under the guard.
        Ok(found.map(|raw| unsafe { Ref::of_pair(raw.shared(), guard) }))
    }

    /// Looks up `key` without waiting. The caller holds a guard.
    #[inline(always)]
    pub(super) fn try_find<Q>(&self, key: &Q) -> Result<Option<Raw<K>>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let found = self.tree().get_by_search(self.search_key(key), read, &mut Backoff::never());
        found.map_err(|_| Busy)
    }

    /// Returns a clone of the value of `key`.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, String> = [(7, "seven".into())].into();
    /// assert_eq!(map.get_cloned(&7), Some("seven".into()));
    /// ```
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
        V: Clone,
    {
        self.get_with(key, V::clone)
    }

    /// Returns a clone of the value of `key`, or the default value. Inserts nothing.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!((map.get_or_default(&7), map.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
        V: Clone + Default,
    {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Returns the result of `f` for the value of `key`. `f` runs with nothing locked.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, String> = [(7, "seven".into())].into();
    /// assert_eq!(map.get_with(&7, String::len), Some(5));
    /// ```
    #[inline]
    pub fn get_with<Q, T>(&self, key: &Q, f: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let guard = pin();
        self.find(key, &guard).map(|raw| f(Self::pair_of(raw, &guard).1))
    }

    /// Returns the value of `key`. If there is none, calls `make` and stores the value that it returns.
    ///
    /// `make` runs with nothing locked, and at most once. If another thread inserts the key meanwhile, the made value
    /// is dropped, and all callers get the value in the map. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<String, usize>::new();
    /// assert_eq!(*map.get_or_insert_with("rose".into(), || 4), 4);
    /// assert_eq!(*map.get_or_insert_with("rose".into(), || unreachable!()), 4);
    /// ```
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Ref<'_, K, V> {
        self.get_or_insert_with_key(key, |_| make())
    }

    pub(super) fn get_or_insert_with_key(
        &self,
        key: K,
        make: impl FnOnce(&K) -> V,
    ) -> Ref<'_, K, V> {
        let guard = pin();
        let got = self.get_or_insert_with_by(Mode::Blocking, key, make, &guard);
        let got = got.unwrap_or_else(out_of_memory::<K, V, _, _>);
        // SAFETY: found or inserted under the guard.
        unsafe { Ref::of_pair(got.shared(), guard) }
    }

    /// Returns the value of `key`, and stores `value` if there is none. Blocks and allocates as
    /// [`get_or_insert_with`](Self::get_or_insert_with) does.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, char>::new();
    /// assert_eq!((*map.get_or_insert(7, 'a'), *map.get_or_insert(7, 'b')), ('a', 'a'));
    /// ```
    pub fn get_or_insert(&self, key: K, value: V) -> Ref<'_, K, V> {
        self.get_or_insert_with(key, || value)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), if `make` succeeds. If another thread inserts the key while
    /// `make` runs, returns that thread's value, or the error of `make`.
    ///
    /// # Errors
    /// The error of `make`. Then nothing is inserted.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, u8>::new();
    /// assert!(map.get_or_try_insert_with(7, || "many".parse()).is_err());
    /// assert_eq!(map.get_or_try_insert_with(7, || "7".parse()).as_deref(), Ok(&7));
    /// ```
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Ref<'_, K, V>, E> {
        if let Some(found) = self.get(&key) {
            // Before the return value is made: if one of these panicked after that, its guard would leak.
            drop((key, make));
            return Ok(found);
        }
        let value = make()?;
        Ok(self.get_or_insert(key, value))
    }

    /// Returns whether `key` has an entry.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.contains_key("rose") && !map.contains_key("thorn"));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.find(key, &pin()).is_some()
    }

    pub(super) fn fresh(key: K, value: V) -> Fresh<Pair<K, V>> {
        Pair::new(KeyHash(0), key, value).unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Takes over a node that this call has removed from the tree.
    pub(super) fn unlinked(&self, raw: Raw<K>) -> Unlinked<'_, Pair<K, V>> {
        // SAFETY: the tree reports each removed entry once, to the call that has removed it.
        unsafe { self.owner().entries.unlinked(raw.shared()) }
    }

    /// Counts that another writer replaced or removed an entry while a closure ran. The tree counts the same in a map
    /// of plain data, where the closure runs between reading the leaf and locking it.
    pub(super) fn count_conflict(&self, entry: Option<Raw<K>>) {
        if let Some(raw) = entry {
            self.tree().count_conflict(raw.rank);
        }
    }

    /// Stores `fresh` if `wanted` returns true for the entry of its key, and hands it back otherwise.
    pub(super) fn store(
        &self,
        fresh: Fresh<Pair<K, V>>,
        way: Mode,
        mut wanted: impl FnMut(Option<Raw<K>>) -> bool,
        _guard: &Guard<'_>,
    ) -> Stored<'_, K, V> {
        // SAFETY: alive: `fresh` owns the node, and once it is published the guard keeps it.
        let key = unsafe { &fresh.0.live().fields().key };
        let target = self.search_key(key);
        let raw = Raw { rank: target.rank, node: Pair::as_key_node(fresh.0.0) };
        let mut before = None;
        let decide = |old: Option<&Raw<K>>| {
            if wanted(old.copied()) { Change::Entry(raw, ()) } else { Change::Keep }
        };
        let taken = |old| before = Some(Removed::new(self.unlinked(old)));
        match self.tree().alter(target, read, way.backoff(), decide, taken) {
            Ok((_, Change::Entry(..))) => {
                fresh.take();
                Ok(before)
            }
            Ok(_) => Err((None, fresh)),
            Err(why) => Err((Some(why.into()), fresh)),
        }
    }

    /// Stores `value` under `key`, and returns the entry that it replaces.
    ///
    /// Allocates the entry, and sometimes a leaf with a clone of a key and space for it in the fences. Blocks while
    /// another writer is inside the key's leaf. Running out of memory is handled as in std's collections. Logarithmic
    /// time, plus moving up to a leaf of pointers by one place. Linearizes when the leaf is locked. If a key's `Clone`
    /// itself inserts into the same leaf each time, the operation never ends.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert!(map.insert(7, "seven".into()).is_none());
    /// assert_eq!(*map.insert(7, "VII".into()).unwrap(), "seven");
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<Removed<'_, K, V>> {
        let guard = pin();
        let fresh = Self::fresh(key, value);
        match self.store(fresh, Mode::Blocking, |_| true, &guard) {
            Ok(before) => before,
            Err(why) => out_of_memory::<K, V, _, _>(why),
        }
    }

    /// Stores `value` under `key` unless the key has a value. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value. It hands key and value back.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert_eq!(map.insert_if_absent(7, "seven".into()), Ok(()));
    /// assert_eq!(map.insert_if_absent(7, "VII".into()).unwrap_err().into_parts(), (7, "VII".into()));
    /// ```
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
        let done = self.insert_if_absent_by(Mode::Blocking, key, value, &pin());
        done.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside its leaf. Needs memory only for the
    /// thread's first guard. When writers first collide, it may allocate lists for removed entries, or do without.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.remove("rose").as_deref(), Some(&1));
    /// assert!(map.remove("rose").is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Removed<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Removes `key` if `condition` returns true for its entry.
    ///
    /// `condition` runs with nothing locked, and again if another thread has changed anything in the key's leaf
    /// meanwhile. Blocks and allocates as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.remove_if("rose", |_, count| *count == 0).is_none());
    /// ```
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Removed<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.then_free_bounds(pin(), |guard| {
            let wanted = |old: Option<Raw<K>>| {
                old.is_some_and(|raw| {
                    let (key, value) = Self::pair_of(raw, guard);
                    condition(key, value)
                })
            };
            self.remove_by(key, wanted, Mode::Blocking, guard).ok().flatten()
        })
    }

    /// Replaces the value of `key` by the result of `f`, and returns the new value. `None` if the key has no value.
    ///
    /// `f` runs with nothing locked, and again if another thread has replaced the entry meanwhile. So the replacement
    /// is atomic. Allocates an entry, with a clone of the key. Blocks as [`insert`](Self::insert) does. If `f` must run
    /// exactly once, or is expensive, use a value with a lock of its own, as in
    /// [`HashMap::update`](crate::HashMap::update).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.update("rose", |count| count + 1).as_deref(), Some(&2));
    /// ```
    pub fn update<Q>(&self, key: &Q, mut f: impl FnMut(&V) -> V) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        // Before the guard is taken: the result holds it, and no destructor should run under a guard.
        self.owner().entries.free_share();
        let (guard, mut order) = (pin(), OrderCheck::new());
        loop {
            let raw = self.find(key, &guard)?;
            let (key, value) = Self::pair_of(raw, &guard);
            let fresh = Self::fresh(key.clone(), f(value));
            let new = fresh.0;
            let mut seen = None;
            let is_there = |old: Option<Raw<K>>| {
                seen = old;
                old.is_some_and(|old| old.is(raw))
            };
            match self.store(fresh, Mode::Blocking, is_there, &guard) {
                Ok(before) => {
                    before.into_iter().for_each(Removed::retire);
                    // Before the return value is made: if `f` panicked on drop after that, the guard would leak.
                    drop(f);
                    // SAFETY: stored under the guard.
                    return Some(unsafe { Ref::of_pair(new, guard) });
                }
                Err((None, _)) if order.is_contradicted_by_any([Some(raw), seen]) => return None,
                Err((None, _)) => self.count_conflict(Some(raw)),
                Err(why) => return out_of_memory::<K, V, _, _>(why),
            }
        }
    }

    /// Applies the decision of `f` to `key`'s entry, atomically. `f` gets the key's value. Returns the entry before and
    /// the entry after that.
    ///
    /// `f` runs with nothing locked, and again if another thread has replaced or removed the entry meanwhile. Blocks
    /// and allocates as [`insert`](Self::insert) does.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::OrdMap::<String, String>::new();
    /// let grow = |old: Option<&String>| Op::Insert(old.map_or("a".into(), |old| old.clone() + "a"));
    /// map.compute("x".into(), grow);
    /// assert_eq!(map.compute("x".into(), grow).after.unwrap().as_str(), "aa");
    /// let removed = map.compute("x".into(), |_| Op::Remove);
    /// assert!(removed.before.is_some_and(|before| *before == "aa") && removed.after.is_none());
    /// ```
    pub fn compute(&self, key: K, f: impl FnMut(Option<&V>) -> Op<V>) -> Computed<Ref<'_, K, V>> {
        // Before the guard is taken: the result holds guards, and no destructor should run under one.
        self.owner().entries.free_share();
        self.free_bounds();
        let guard = pin();
        let done = self.compute_by(Mode::Blocking, key, f, &guard);
        // SAFETY: `compute_by` found or stored both under the guard.
        unsafe { Ref::of_pairs(done.unwrap_or_else(out_of_memory::<K, V, _, _>), guard) }
    }

    pub(super) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }

    /// Removes `key` if `wanted` returns true for its entry. The caller frees bounds afterwards.
    pub(super) fn remove_by<Q>(
        &self,
        key: &Q,
        mut wanted: impl FnMut(Option<Raw<K>>) -> bool,
        way: Mode,
        _guard: &Guard<'_>,
    ) -> Result<Option<Removed<'_, K, V>>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let mut removed = None;
        let decide = |old: Option<&Raw<K>>| {
            if wanted(old.copied()) { Change::Remove } else { Change::Keep }
        };
        let taken = |old| removed = Some(Removed::new(self.unlinked(old)));
        let done = self.tree().alter(self.search_key(key), read, way.backoff(), decide, taken);
        // A removal allocates nothing, so `Busy` is the only failure.
        done.map_err(|_| Busy)?;
        Ok(removed)
    }

    /// Runs `work` under the guard, then drops some retired bounds without it. Under a guard, a slow destructor of a
    /// key would keep the retired entries of all maps alive.
    #[inline(always)]
    pub(super) fn then_free_bounds<T>(
        &self,
        guard: Guard<'_>,
        work: impl FnOnce(&Guard<'_>) -> T,
    ) -> T {
        let done = work(&guard);
        drop(guard);
        self.free_bounds();
        done
    }

    /// Drops some retired bounds that no reader can have. The caller holds no guard of its own.
    #[inline]
    pub(super) fn free_bounds(&self) {
        self.owner().bounds.free_share();
    }
}
