//! What is done to one entry.

use super::map::HashMap;
use crate::api::hasher::mixes_well;
use crate::api::op::{Computed, Op};
use crate::bins::tags;
use crate::error::{Busy, OccupiedError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::{Guard, pin, try_pin};
use crate::reclaim::node::{Live, Shared};
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Unlinked, Way};
use crate::sync::backoff::Backoff;
use alloc::alloc::handle_alloc_error;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// The end of an operation that waits, and so fails only for want of memory.
#[cold]
pub(super) fn out_of_memory<K, V, T, E>(_why: E) -> T {
    handle_alloc_error(core::alloc::Layout::new::<Pair<K, V>>())
}

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> tags::Hash {
        tags::Hash::spread(self.hasher().hash_one(key), mixes_well::<S>())
    }

    #[inline(always)]
    pub(super) fn find<'a, Q>(
        &'a self,
        key: &Q,
        guard: &'a Guard<'_>,
    ) -> Option<Live<'a, Pair<K, V>>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.nodes().get(self.hash(key), move |node| key.equivalent(&node.fields().key), guard)
    }

    #[inline(always)]
    pub(super) fn try_find<'a, Q>(
        &'a self,
        key: &Q,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, Pair<K, V>>>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.nodes().try_get(self.hash(key), |node| key.equivalent(&node.fields().key), guard)
    }

    /// Returns the value of `key`, borrowed with a guard of its own.
    ///
    /// Takes no lock, writes no shared memory, allocates nothing; expected constant time. Waits while a writer is
    /// inside the key's bin, which a key that is absent mostly does not notice. Linearizes when the bin's tags are
    /// loaded.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.get("rose").as_deref(), Some(&1));
    /// assert!(map.get("thorn").is_none());
    /// ```
    // Always: a `Ref` that a call returns goes through memory, which costs a nanosecond.
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = pin();
        let found = self.find(key, &guard)?.shared();
        // SAFETY: found under the guard.
        Some(unsafe { Ref::of_pair(found, guard) })
    }

    /// Returns the entry of `key`, as [`get`](Self::get) does: a `Ref` has the map's key beside the value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.get_key_value("rose").unwrap().pair(), (&"rose".into(), &1));
    /// ```
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key)
    }

    /// As [`get`](Self::get), but never waits. An interrupt handler uses
    /// [`Pinned::try_get`](super::Pinned::try_get) with a [`Handle`](super::Handle) of its own.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's bin, or if there is no memory for a guard.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_get("rose").unwrap().as_deref(), Some(&1));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<Ref<'_, K, V>>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = try_pin().map_err(|_| Busy)?;
        let Some(found) = self.try_find(key, &guard)?.map(Live::shared) else { return Ok(None) };
        // SAFETY: found under the guard.
        Ok(Some(unsafe { Ref::of_pair(found, guard) }))
    }

    /// Returns a clone of the value of `key`. Waits and linearizes as [`get`](Self::get) does; `Clone` runs with
    /// nothing locked.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
    /// assert_eq!(map.get_cloned(&7), Some("seven".into()));
    /// ```
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.get_with(key, V::clone)
    }

    /// Returns what `f` makes of the value of `key`. `f` runs with nothing locked.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
    /// assert_eq!(map.get_with(&7, String::len), Some(5));
    /// ```
    #[inline]
    pub fn get_with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(key, &pin()).map(|node| f(&node.fields().value))
    }

    /// Returns the value of `key`. If there is none, `make` is called, and the map keeps what it returns.
    ///
    /// `make` runs with nothing locked, at most once, and in vain if another thread inserts the key meanwhile: all
    /// callers get the value that is in the map. If the key has a value, this waits and linearizes as
    /// [`get`](Self::get) does, and allocates nothing; else it blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, usize>::new();
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
        let got = self.get_or_insert_with_by(Way::Waiting, key, make, &guard);
        let got = got.unwrap_or_else(out_of_memory::<K, V, _, _>).shared();
        // SAFETY: found, or inserted, under the guard.
        unsafe { Ref::of_pair(got, guard) }
    }

    /// Returns the value of `key`, and stores `value` if there is none. Blocks and allocates as
    /// [`get_or_insert_with`](Self::get_or_insert_with) does.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
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
    /// let map = hedgerow::HashMap::<u32, u8>::new();
    /// assert!(map.get_or_try_insert_with(7, || "many".parse()).is_err());
    /// assert_eq!(map.get_or_try_insert_with(7, || "7".parse()).as_deref(), Ok(&7));
    /// ```
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Ref<'_, K, V>, E> {
        if let Some(found) = self.get(&key) {
            // If one of these panics after the return value is made, its guard is leaked.
            drop((key, make));
            return Ok(found);
        }
        let value = make()?;
        Ok(self.get_or_insert(key, value))
    }

    /// Returns a clone of the value of `key`, or the default value. Inserts nothing.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!((map.get_or_default(&7), map.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone + Default,
    {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Whether `key` has an entry.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.contains_key("rose") && !map.contains_key("thorn"));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(key, &pin()).is_some()
    }

    fn fresh(&self, key: K, value: V) -> Fresh<Pair<K, V>> {
        Pair::new(self.hash(&key), key, value).unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Stores `value` under `key`; returns the entry that this replaces.
    ///
    /// Allocates the entry, and now and then growth, of which each insert does a bounded part. Blocks while another
    /// writer is inside the key's bin; expected constant time. Linearizes while it has the bin locked. Running out
    /// of memory is handled as in std's collections; growth that finds none is put off.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert!(map.insert(7, "seven".into()).is_none());
    /// assert_eq!(*map.insert(7, "VII".into()).unwrap(), "seven");
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<Removed<'_, K, V>> {
        let guard = pin();
        let fresh = self.fresh(key, value);
        let pair = fresh.0;
        // SAFETY: alive: ours, or published while the guard is held.
        let key = unsafe { &pair.live().fields().key };
        match self.nodes().insert(
            fresh,
            |node| node.fields().key == *key,
            Backoff::spinning(),
            &guard,
        ) {
            Ok(before) => before.map(Removed::new),
            Err(why) => out_of_memory::<K, V, _, _>(why),
        }
    }

    /// Stores `value` under `key` unless the key has a value. If it has one, waits and linearizes as [`get`](Self::get)
    /// does, and allocates nothing; else blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value: it hands key and value back.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert_eq!(map.insert_if_absent(7, "seven".into()), Ok(()));
    /// assert_eq!(map.insert_if_absent(7, "VII".into()).unwrap_err().into_parts(), (7, "VII".into()));
    /// ```
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
        let done = self.insert_if_absent_by(Way::Waiting, key, value, &pin());
        done.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside its bin.
    ///
    /// Allocates nothing for the entry. A thread's first guard may need a slot, and a map in which two threads put
    /// garbage away at once gets more lists for it, once.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.remove("rose").as_deref(), Some(&1));
    /// assert!(map.remove("rose").is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Removed<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Removes `key` if `condition` returns true for its entry.
    ///
    /// `condition` runs with nothing locked, and again if anything in the key's bin changed meanwhile. Blocks and
    /// allocates as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.remove_if("rose", |_, count| *count == 0).is_none());
    /// ```
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Removed<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = pin();
        let same = |node: Live<'_, Pair<K, V>>| key.equivalent(&node.fields().key);
        let wanted = |node: Shared<Pair<K, V>>| {
            // SAFETY: met in the table under the guard.
            let pair = unsafe { node.live() }.fields();
            condition(&pair.key, &pair.value)
        };
        let removed = self.nodes().remove(self.hash(key), same, wanted, Way::Waiting, &guard);
        removed.ok().flatten().map(Removed::new)
    }

    /// Replaces the value of `key` by what `f` makes of it; returns the new value, or `None` if there is none.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced meanwhile: the replacement is atomic.
    /// Allocates an entry, with a clone of the key, each time that `f` runs. Blocks while another writer is inside the
    /// key's bin. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.update("rose", |count| count + 1).as_deref(), Some(&2));
    /// assert!(map.update("thorn", |count| count + 1).is_none());
    /// ```
    ///
    /// # Exactly once
    /// Nobody waits for `f`, so others may write while it runs, and what it made of the old value is worth nothing
    /// then. Where it is to run exactly once, or is dear, let the value bring the lock. Whoever wants that one
    /// value waits, and nobody else; the value is changed where it is, which allocates nothing.
    ///
    /// ```
    /// use std::sync::Mutex;
    ///
    /// let map: hedgerow::HashMap<String, Mutex<Vec<u32>>> = [("rose".into(), Mutex::default())].into();
    /// map.get_with("rose", |seen| seen.lock().unwrap().push(7));
    /// assert_eq!(map.get_with("rose", |seen| seen.lock().unwrap().len()), Some(1));
    /// ```
    /// An entry that is replaced or removed meanwhile takes its value along, changed or not: what
    /// [`insert`](Self::insert) or [`remove`](Self::remove) returned may still be changed by those who had found it.
    /// How to remove such entries and lose no change:
    /// [in place](crate::docs::coming_from#values-that-are-changed-in-place).
    pub fn update<Q>(&self, key: &Q, mut f: impl FnMut(&V) -> V) -> Option<Ref<'_, K, V>>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // Before, because what is returned holds a guard.
        self.nodes().retired().free_share();
        let guard = pin();
        loop {
            let node = self.find(key, &guard)?;
            // Its own, by which it is found again. Of a node that has become garbage this is none, but then it is
            // nowhere.
            let (pair, hash) = (node.fields(), node.hash());
            let fresh = Pair::new(hash, pair.key.clone(), f(&pair.value));
            let fresh = fresh.unwrap_or_else(out_of_memory::<K, V, _, _>);
            let new = fresh.0;
            match self.nodes().replace_exactly(node, fresh, Way::Waiting, &guard) {
                Ok(before) => {
                    before.into_iter().for_each(Unlinked::retire);
                    // If what `f` owns panics now, no guard is leaked.
                    drop(f);
                    // SAFETY: put there under the guard.
                    return Some(unsafe { Ref::of_pair(new, guard) });
                }
                Err((None, _)) => {}
                Err(why) => return out_of_memory::<K, V, _, _>(why),
            }
        }
    }

    /// Does with `key`'s entry what `f` decides from its value, atomically. Returns what was there before and what is
    /// there after it.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced or removed meanwhile. Blocks while another
    /// writer is inside the key's bin, and allocates as [`insert`](Self::insert) does for each value that `f` stores;
    /// `Op::Keep` waits and linearizes as [`get`](Self::get) does.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::HashMap::<String, String>::new();
    /// let grow = |old: Option<&String>| Op::Insert(old.map_or("a".into(), |old| old.clone() + "a"));
    /// map.compute("x".into(), grow);
    /// assert_eq!(map.compute("x".into(), grow).after.unwrap().as_str(), "aa");
    /// let removed = map.compute("x".into(), |_| Op::Remove);
    /// assert!(removed.before.is_some_and(|before| *before == "aa") && removed.after.is_none());
    /// ```
    pub fn compute(&self, key: K, f: impl FnMut(Option<&V>) -> Op<V>) -> Computed<Ref<'_, K, V>> {
        // Before, because what is returned holds guards.
        self.nodes().retired().free_share();
        let guard = pin();
        let done = self.compute_by(Way::Waiting, key, f, &guard);
        // SAFETY: met under the guard, or put there.
        unsafe { Ref::of_pairs(done.unwrap_or_else(out_of_memory::<K, V, _, _>), guard) }
    }

    pub(super) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}
