//! What is done to one entry.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::super::leaf::Leaf;
use super::super::rank::{Ranking, rank_as, to_word};
use super::super::search::Sought;
use super::map::OrdMap;
use super::raw::{By, Doubt, Raw};
use crate::api::op::{Change, Op};
use crate::bins::tags::Hash;
use crate::error::{Busy, OccupiedError};
use crate::reclaim::errors::Why;
use crate::reclaim::guard::{Guard, pin};
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Unlinked, Way};
use crate::sync::backoff::Backoff;
use alloc::alloc::handle_alloc_error;
use core::borrow::Borrow;
use core::mem::MaybeUninit;

/// What was replaced; or why nothing was (None: another entry was there than expected), and the node again.
pub(super) type Stored<'a, K, V> =
    Result<Option<Removed<'a, K, V>>, (Option<Why>, Fresh<Pair<K, V>>)>;

/// The end of an operation that waits, and so fails only for want of memory.
#[cold]
pub(super) fn give_up<K, V, T, E>(_why: E) -> T {
    handle_alloc_error(core::alloc::Layout::new::<Pair<K, V>>())
}

#[inline(always)]
pub(super) fn read<K>(leaf: Leaf<'_, Raw<K>, ()>, at: usize) -> MaybeUninit<Raw<K>> {
    leaf.fetch_key(at)
}

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    #[inline(always)]
    pub(super) fn sought<'q, Q>(&self, key: &'q Q) -> Sought<By<'q, Q>>
    where
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        Sought { key: By(key), rank: to_word::<K>(rank_as::<K, Q, R>(self.ranking(), key)) }
    }

    #[inline(always)]
    fn find<'a, Q>(&'a self, key: &Q, _guard: &'a Guard<'_>) -> Option<Raw<K>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.tree().get(self.sought(key), read)
    }

    #[inline(always)]
    pub(super) fn find_by(
        &self,
        way: Way,
        key: &K,
        guard: &Guard<'_>,
    ) -> Result<Option<Raw<K>>, Busy> {
        match way {
            Way::Waiting => Ok(self.find(key, guard)),
            Way::Trying(_) => {
                let found = self.tree().get_slowly(self.sought(key), read, &mut Backoff::never());
                found.map_err(|_| Busy)
            }
        }
    }

    /// What a node is, for as long as a guard is held under which it was found.
    #[inline(always)]
    pub(super) fn entry<'a>(raw: Raw<K>, _guard: &'a Guard<'_>) -> (&'a K, &'a V) {
        // SAFETY: an entry of this map, met under the guard.
        unsafe { raw.entry() }
    }

    /// The value of `key`, borrowed for as long as the guard is held.
    ///
    /// Takes no lock, writes no shared memory, allocates nothing; logarithmic time. Waits while a writer is inside
    /// the key's leaf. Linearizes where the leaf's version is looked at last.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// let guard = hedgerow::owned::pin();
    /// assert_eq!((map.get("rose", &guard), map.get("thorn", &guard)), (Some(&1), None));
    /// ```
    #[inline]
    pub fn get<'a, Q>(&'a self, key: &Q, guard: &'a Guard<'_>) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.find(key, guard).map(|raw| Self::entry(raw, guard).1)
    }

    /// As [`get`](Self::get), but never waits: for interrupt handlers, with a guard of a
    /// [`Handle`](crate::owned::Handle) of their own, and for callers that may not spin.
    ///
    /// # Errors
    /// [`Busy`] when a writer is inside the key's leaf, or has changed it again and again while it was read (64 times).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_get("rose", &hedgerow::owned::pin()), Ok(Some(&1)));
    /// ```
    pub fn try_get<'a, Q>(&'a self, key: &Q, guard: &'a Guard<'_>) -> Result<Option<&'a V>, Busy>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let found = self.tree().get_slowly(self.sought(key), read, &mut Backoff::never());
        found.map(|raw| raw.map(|raw| Self::entry(raw, guard).1)).map_err(|_| Busy)
    }

    /// The key and the value of `key`, as [`get`](Self::get).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.get_key_value("rose", &hedgerow::owned::pin()), Some((&"rose".into(), &1)));
    /// ```
    #[inline]
    pub fn get_key_value<'a, Q>(&'a self, key: &Q, guard: &'a Guard<'_>) -> Option<(&'a K, &'a V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.find(key, guard).map(|raw| Self::entry(raw, guard))
    }

    /// A clone of the value of `key`.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, String> = [(7, "seven".into())].into();
    /// assert_eq!(map.get_cloned(&7), Some("seven".into()));
    /// ```
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
        V: Clone,
    {
        self.get(key, &pin()).cloned()
    }

    /// What `f` makes of the value of `key`. `f` runs with nothing locked.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, String> = [(7, "seven".into())].into();
    /// assert_eq!(map.get_with(&7, String::len), Some(5));
    /// ```
    #[inline]
    pub fn get_with<Q, T>(&self, key: &Q, f: impl FnOnce(&V) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.get(key, &pin()).map(f)
    }

    /// Whether `key` has an entry.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.contains_key("rose") && !map.contains_key("thorn"));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.find(key, &pin()).is_some()
    }

    pub(super) fn fresh(key: K, value: V) -> Fresh<Pair<K, V>> {
        Pair::new(Hash(0), key, value).unwrap_or_else(give_up::<K, V, _, _>)
    }

    /// A node that this call has taken out of the tree.
    pub(super) fn unlinked(&self, raw: Raw<K>) -> Unlinked<'_, Pair<K, V>> {
        // SAFETY: told by the tree that this call has taken it out.
        unsafe { self.owner().entries.unlinked(raw.shared()) }
    }

    /// Puts `fresh` where its key belongs, if `wanted` says so of what is there; hands it back otherwise.
    pub(super) fn store(
        &self,
        fresh: Fresh<Pair<K, V>>,
        way: Way,
        mut wanted: impl FnMut(Option<Raw<K>>) -> bool,
        _guard: &Guard<'_>,
    ) -> Stored<'_, K, V> {
        // SAFETY: alive: ours, or published while the guard is held.
        let key = unsafe { &fresh.0.live().fields().key };
        let sought = self.sought(key);
        let raw = Raw { rank: sought.rank, node: Pair::stem(fresh.0.0) };
        let mut before = None;
        let decide = |old: Option<&Raw<K>>| {
            if wanted(old.copied()) { Change::Entry(raw, ()) } else { Change::Keep }
        };
        let taken = |old| before = Some(Removed::new(self.unlinked(old)));
        match self.tree().alter(sought, read, way.backoff(), decide, taken) {
            Ok((_, Change::Entry(..))) => {
                fresh.take();
                Ok(before)
            }
            Ok(_) => Err((None, fresh)),
            Err(why) => Err((Some(why.into()), fresh)),
        }
    }

    /// Stores `value` under `key`; returns the entry that this replaces.
    ///
    /// Allocates the entry, and now and then a leaf, with a clone of a key, and what leads to it. Blocks while another
    /// writer is inside the key's leaf. Running out of memory is handled as in std's collections. Logarithmic time,
    /// and that of moving up to a leaf's pointers by one. Linearizes when the leaf is locked. A key's `Clone` that
    /// itself inserts into the same leaf each time it runs never ends.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert!(map.insert(7, "seven".into()).is_none());
    /// assert_eq!(*map.insert(7, "VII".into()).unwrap(), "seven");
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<Removed<'_, K, V>> {
        let guard = pin();
        let fresh = Self::fresh(key, value);
        match self.store(fresh, Way::Waiting, |_| true, &guard) {
            Ok(before) => before,
            Err(why) => give_up::<K, V, _, _>(why),
        }
    }

    /// Stores `value` under `key` unless the key has a value. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value: it hands key and value back.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert_eq!(map.insert_if_absent(7, "seven".into()), Ok(()));
    /// assert_eq!(map.insert_if_absent(7, "VII".into()).unwrap_err().into_parts(), (7, "VII".into()));
    /// ```
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
        let done = self.insert_if_absent_by(Way::Waiting, key, value, &pin());
        done.unwrap_or_else(give_up::<K, V, _, _>)
    }

    /// The value of `key`, which `make` makes and the map keeps where there is none.
    ///
    /// `make` runs with nothing locked, at most once, and in vain where another thread inserts the key
    /// meanwhile: all callers get the one that is in the map. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<String, usize>::new();
    /// let guard = hedgerow::owned::pin();
    /// assert_eq!(map.get_or_insert_with("rose".into(), |word| word.len(), &guard), &4);
    /// assert_eq!(map.get_or_insert_with("rose".into(), |_| unreachable!(), &guard), &4);
    /// ```
    pub fn get_or_insert_with<'a>(
        &'a self,
        key: K,
        make: impl FnOnce(&K) -> V,
        guard: &'a Guard<'_>,
    ) -> &'a V {
        let done = self.get_or_insert_with_by(Way::Waiting, key, make, guard);
        done.unwrap_or_else(give_up::<K, V, _, _>)
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside its leaf. Needs no memory, but for
    /// the thread's first guard; when writers first meet, it may allocate lists for what was removed, or do without.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.remove("rose").as_deref(), Some(&1));
    /// assert!(map.remove("rose").is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Removed<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Removes `key` if `condition` says so of its entry.
    ///
    /// `condition` runs with nothing locked, and again if anything in the key's leaf changed meanwhile.
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
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        self.then_free_bounds(pin(), |guard| {
            let wanted = |old: Option<Raw<K>>| {
                old.is_some_and(|raw| {
                    let (key, value) = Self::entry(raw, guard);
                    condition(key, value)
                })
            };
            self.remove_by(key, wanted, Way::Waiting, guard).ok().flatten()
        })
    }

    /// Replaces the value of `key` by what `f` makes of it; returns the entry that this replaces, None where
    /// there is none.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced meanwhile: the replacement is atomic.
    /// Allocates an entry, with a clone of the key. Blocks as [`insert`](Self::insert) does. Where `f` is to run
    /// exactly once, or is dear, let the value bring the lock: [`HashMap::update`](crate::HashMap::update) shows how.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.update("rose", |count| count + 1).as_deref(), Some(&1));
    /// assert_eq!(map.get_cloned("rose"), Some(2));
    /// ```
    pub fn update<Q>(&self, key: &Q, mut f: impl FnMut(&V) -> V) -> Option<Removed<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let (guard, mut doubt) = (pin(), Doubt::new());
        loop {
            let raw = self.find(key, &guard)?;
            let (key, value) = Self::entry(raw, &guard);
            let fresh = Self::fresh(key.clone(), f(value));
            let mut seen = None;
            let is_there = |old: Option<Raw<K>>| {
                seen = old;
                old.is_some_and(|old| old.is(raw))
            };
            match self.store(fresh, Way::Waiting, is_there, &guard) {
                Ok(before) => return before,
                Err((None, _)) if doubt.is_stirred_by([Some(raw), seen]) => return None,
                Err((None, _)) => {}
                Err(why) => return give_up::<K, V, _, _>(why),
            }
        }
    }

    /// Does with `key`'s entry what `f` decides from its value, atomically; returns the entry that this
    /// replaced or removed.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced or removed meanwhile. Blocks and allocates as
    /// [`insert`](Self::insert) does.
    ///
    /// ```
    /// use hedgerow::fence::Op;
    /// let map = hedgerow::OrdMap::<String, String>::new();
    /// let grow = |old: Option<&String>| Op::Insert(old.map_or("a".into(), |old| old.clone() + "a"));
    /// map.compute("x".into(), grow);
    /// map.compute("x".into(), grow);
    /// assert_eq!(map.get_cloned("x").as_deref(), Some("aa"));
    /// assert_eq!(map.compute("x".into(), |_| Op::Remove).as_deref().map(String::as_str), Some("aa"));
    /// ```
    pub fn compute(&self, key: K, f: impl FnMut(Option<&V>) -> Op<V>) -> Option<Removed<'_, K, V>> {
        let compute = |guard: &Guard<'_>| self.compute_by(Way::Waiting, key, f, guard);
        self.then_free_bounds(pin(), compute).unwrap_or_else(give_up::<K, V, _, _>)
    }

    pub(super) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }

    /// The caller frees bounds afterwards.
    pub(super) fn remove_by<Q>(
        &self,
        key: &Q,
        mut wanted: impl FnMut(Option<Raw<K>>) -> bool,
        way: Way,
        _guard: &Guard<'_>,
    ) -> Result<Option<Removed<'_, K, V>>, Busy>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        let mut removed = None;
        let decide = |old: Option<&Raw<K>>| {
            if wanted(old.copied()) { Change::Remove } else { Change::Keep }
        };
        let taken = |old| removed = Some(Removed::new(self.unlinked(old)));
        let done = self.tree().alter(self.sought(key), read, way.backoff(), decide, taken);
        // A removal needs no memory.
        done.map_err(|_| Busy)?;
        Ok(removed)
    }

    /// Does what may remove entries under the guard, then drops some bounds of leaves without it: under a guard, a slow
    /// destructor of a key would keep the garbage of all maps.
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

    /// Drops some bounds of leaves that are no more, if nobody can know them. The caller holds no guard of its own.
    #[inline]
    pub(super) fn free_bounds(&self) {
        let bounds = &self.owner().bounds;
        if !bounds.is_empty() {
            bounds.free_share();
        }
    }
}
