//! `HashMap`: operations on one key that may wait for another writer.
//!
//! Each of them takes a guard first, so every node that it finds stays alive until it returns. The variants that never
//! wait are in `fallible`.

use super::map::HashMap;
use crate::api::hash::KeyHash;
use crate::api::hasher::mixes_well;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::{Guard, pin, try_pin};
use crate::reclaim::node::{Live, NodePtr};
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Mode, Unlinked};
use crate::sync::backoff::Backoff;
use alloc::alloc::handle_alloc_error;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// Ends an operation that waits, and therefore fails only if there is no memory.
#[cold]
pub(super) fn out_of_memory<K, V, T, E>(_why: E) -> T {
    handle_alloc_error(core::alloc::Layout::new::<Pair<K, V>>())
}

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> KeyHash {
        KeyHash::spread(self.hasher().hash_one(key), mixes_well::<S>())
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
    /// Takes no lock, writes no shared memory, allocates nothing, and takes expected constant time. Waits while a
    /// writer is inside the key's bin. If the key is absent, the bin's tags usually show that, and the lookup does not
    /// wait. Linearizes when it loads the bin's tags.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.get("rose").as_deref(), Some(&1));
    /// assert!(map.get("thorn").is_none());
    /// ```
    // `inline(always)`: a `Ref` that is returned by a call goes through memory, which costs a nanosecond.
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = pin();
        let found = self.find(key, &guard)?.shared();
        // SAFETY: `find` returned the node under this guard.
        Some(unsafe { Ref::of_pair(found, guard) })
    }

    /// Returns the entry of `key`, as [`get`](Self::get) does: a `Ref` gives access to the map's key and to the value.
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

    /// Returns the value of `key` as [`get`](Self::get) does, but never waits.
    ///
    /// An interrupt handler should call [`Pinned::try_get`](super::Pinned::try_get), with a [`Handle`](super::Handle)
    /// of its own.
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
        // SAFETY: `try_find` returned the node under this guard.
        Ok(Some(unsafe { Ref::of_pair(found, guard) }))
    }

    /// Returns a clone of the value of `key`. Waits and linearizes as [`get`](Self::get) does. `Clone` runs while no
    /// lock is held.
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

    /// Applies `f` to the value of `key` and returns its result, or `None` if the key is absent. `f` runs while no lock
    /// is held.
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

    /// Returns the value of `key`. If the key is absent, inserts the value that `make` returns.
    ///
    /// `make` runs at most once, while no lock is held. If another thread inserts the key meanwhile, the map discards
    /// the result of `make`, and all callers get the value that is in the map.
    ///
    /// If the key has a value, this waits and linearizes as [`get`](Self::get) does, and allocates nothing. Otherwise
    /// it blocks and allocates as [`insert`](Self::insert) does.
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
        let got = self.get_or_insert_with_by(Mode::Blocking, key, make, &guard);
        let got = got.unwrap_or_else(out_of_memory::<K, V, _, _>).shared();
        // SAFETY: the call found the node under this guard, or inserted it.
        unsafe { Ref::of_pair(got, guard) }
    }

    /// Returns the value of `key`. If the key is absent, inserts `value`. Blocks and allocates as
    /// [`get_or_insert_with`](Self::get_or_insert_with) does.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!((*map.get_or_insert(7, 'a'), *map.get_or_insert(7, 'b')), ('a', 'a'));
    /// ```
    pub fn get_or_insert(&self, key: K, value: V) -> Ref<'_, K, V> {
        self.get_or_insert_with(key, || value)
    }

    /// Returns the value of `key`. If the key is absent, calls `make`, and inserts its value if it succeeds.
    ///
    /// If another thread inserts the key while `make` runs, returns that thread's value, or the error of `make`.
    ///
    /// # Errors
    /// The error of `make`. The map inserts nothing then.
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
            // Dropped before the return value is made: if one of them panicked afterwards, the guard of the return
            // value would leak, and keep the garbage of all maps.
            drop((key, make));
            return Ok(found);
        }
        let value = make()?;
        Ok(self.get_or_insert(key, value))
    }

    /// Returns a clone of the value of `key`, or the default value if the key is absent. Inserts nothing.
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

    /// Returns `true` if `key` has an entry.
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

    /// Stores `value` under `key`, and returns the entry that it replaces.
    ///
    /// Blocks while another writer is inside the key's bin. Takes expected constant time. Linearizes while it holds the
    /// bin's lock.
    ///
    /// Allocates the entry, and sometimes a larger table. Each insertion moves a bounded number of entries there. If
    /// there is no memory for the entry, the process aborts, as with the collections of std. If there is no memory for
    /// a larger table, the map postpones growth.
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
        // SAFETY: the node stays alive until this returns: `fresh` owns it at first, and when the table has it, the
        // guard keeps it alive.
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

    /// Stores `value` under `key` if the key is absent.
    ///
    /// If the key has a value, this waits and linearizes as [`get`](Self::get) does, and allocates nothing. Otherwise
    /// it blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value. The error returns `key` and `value` to the caller.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert_eq!(map.insert_if_absent(7, "seven".into()), Ok(()));
    /// assert_eq!(map.insert_if_absent(7, "VII".into()).unwrap_err().into_parts(), (7, "VII".into()));
    /// ```
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
        let done = self.insert_if_absent_by(Mode::Blocking, key, value, &pin());
        done.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside the key's bin.
    ///
    /// Needs no memory for the removal itself. A thread's first guard may allocate a slot. A map allocates more lists
    /// for removed entries once, when two threads add to its only list at the same time.
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

    /// Removes `key` if `condition` returns `true` for its entry.
    ///
    /// `condition` runs while no lock is held, and runs again if another thread changes the key's bin meanwhile. Blocks
    /// and allocates as [`remove`](Self::remove) does.
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
        let wanted = |node: NodePtr<Pair<K, V>>| {
            // SAFETY: the table passes a node that it holds, and the guard keeps it alive.
            let pair = unsafe { node.live() }.fields();
            condition(&pair.key, &pair.value)
        };
        let removed = self.nodes().remove(self.hash(key), same, wanted, Mode::Blocking, &guard);
        removed.ok().flatten().map(Removed::new)
    }

    /// Replaces the value of `key` by the result of `f`. Returns the new value, or `None` if the key is absent.
    ///
    /// The replacement is atomic. `f` runs while no lock is held, and runs again if another thread replaces the entry
    /// meanwhile. Each run allocates an entry with a clone of the key. Blocks while another writer is inside the key's
    /// bin. If there is no memory, the process aborts, as with the collections of std.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.update("rose", |count| count + 1).as_deref(), Some(&2));
    /// assert!(map.update("thorn", |count| count + 1).is_none());
    /// ```
    ///
    /// # Exactly once
    /// No thread waits for `f`. If another thread writes while `f` runs, the map discards the result. If `f` must run
    /// exactly once, or is expensive, store values with a lock of their own. Then only threads that use the same value
    /// wait. The value changes in place, which allocates nothing.
    ///
    /// ```
    /// use std::sync::Mutex;
    ///
    /// let map: hedgerow::HashMap<String, Mutex<Vec<u32>>> = [("rose".into(), Mutex::default())].into();
    /// map.get_with("rose", |seen| seen.lock().unwrap().push(7));
    /// assert_eq!(map.get_with("rose", |seen| seen.lock().unwrap().len()), Some(1));
    /// ```
    /// If another thread replaces or removes the entry meanwhile, the value leaves the map with the entry. A thread
    /// that found the entry before can still change the value that [`insert`](Self::insert) or [`remove`](Self::remove)
    /// returned. [Values that are changed in place](crate::docs::coming_from#values-that-are-changed-in-place) shows
    /// how to remove such entries without losing a change.
    pub fn update<Q>(&self, key: &Q, mut f: impl FnMut(&V) -> V) -> Option<Ref<'_, K, V>>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // Before `pin`: under a guard, a slow destructor would keep the garbage of all maps.
        self.nodes().retired().free_share();
        let guard = pin();
        loop {
            let node = self.find(key, &guard)?;
            // The hash that the node was stored with, not `self.hash` of its key: a `Hash` that answers differently
            // each time would send every attempt to another bin, and the loop would not end. If the node is garbage by
            // now, its header holds no hash. Then no bin has the node, and the replacement fails.
            let (pair, hash) = (node.fields(), node.hash());
            let fresh = Pair::new(hash, pair.key.clone(), f(&pair.value));
            let fresh = fresh.unwrap_or_else(out_of_memory::<K, V, _, _>);
            let new = fresh.0;
            match self.nodes().replace_exactly(node, fresh, Mode::Blocking, &guard) {
                Ok(before) => {
                    // Retired, not dropped: a destructor would run under the guard that this returns.
                    before.into_iter().for_each(Unlinked::retire);
                    // Dropped before the return value is made: if the destructor of `f` panicked afterwards, the guard
                    // of the return value would leak.
                    drop(f);
                    // SAFETY: inserted under this guard.
                    return Some(unsafe { Ref::of_pair(new, guard) });
                }
                // Another thread has replaced or removed the node, so `f` has seen an old value.
                Err((None, _)) => {}
                Err(why) => return out_of_memory::<K, V, _, _>(why),
            }
        }
    }

    /// Inserts, replaces, removes or keeps the entry of `key`, as `f` decides from its value. Returns the entry before
    /// and after the operation.
    ///
    /// The operation is atomic. `f` runs while no lock is held, and runs again if another thread replaces or removes
    /// the entry meanwhile. Blocks while another writer is inside the key's bin, and allocates as
    /// [`insert`](Self::insert) does for each value that `f` stores. `Op::Keep` waits and linearizes as
    /// [`get`](Self::get) does.
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
        // Before `pin`: under a guard, a slow destructor would keep the garbage of all maps.
        self.nodes().retired().free_share();
        let guard = pin();
        let done = self.compute_by(Mode::Blocking, key, f, &guard);
        // SAFETY: `compute_by` found the nodes under this guard, or inserted them.
        unsafe { Ref::of_pairs(done.unwrap_or_else(out_of_memory::<K, V, _, _>), guard) }
    }

    pub(super) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}
