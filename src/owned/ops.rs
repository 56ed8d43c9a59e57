//! `HashMap`: operations on one key that may wait for another writer.
//!
//! A node that an operation finds stays alive, because the operation runs under a guard. `insert`, `update` and
//! `compute` free garbage before they take it: see [`NodeMap::begin`]. The variants that never wait are in `fallible`,
//! except `try_get`.

use super::map::HashMap;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::{blocking_methods, lookup_methods};
use crate::reclaim::node::Live;
use crate::reclaim::pair::out_of_memory;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::WaitMode;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// Returns the value of `key`, borrowed with a guard of its own.
    ///
    /// Takes no lock, and writes only to its thread's slot in the registry of readers. Allocates nothing, unless more
    /// threads hold guards than ever before: slots for them, and without memory for these the process aborts. Expected
    /// constant time. Waits while a writer is inside the key's bin. If the key is absent, the bin's tags usually show
    /// that, and the lookup does not wait. Linearizes when it loads the bin's tags.
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
        let guard = self.readers().pin();
        let found = self.inner.find(key, &guard)?.ptr();
        // SAFETY: `find` returned the node under this guard.
        Some(unsafe { Ref::of(found, guard) })
    }

    /// Returns the value of `key` as [`get`](Self::get) does, but never waits.
    ///
    /// An interrupt handler should call [`Pinned::try_get`](super::Pinned::try_get), with its own
    /// [`Handle`](super::Handle).
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written, or if there is no memory for a guard.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_get("rose").unwrap().as_deref(), Some(&1));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<Ref<'_, K, V>>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = self.readers().try_pin().map_err(|_| Busy)?;
        let found = self.inner.find_in(WaitMode::NON_BLOCKING, key, &guard)?.map(Live::ptr);
        // SAFETY: `find_in` returned the node under this guard.
        Ok(found.map(|node| unsafe { Ref::of(node, guard) }))
    }

    lookup_methods!(HashMap.inner, where [Q: Hash + Equivalent<K> + ?Sized]);
    blocking_methods!(HashMap.inner, where [Q: Hash + Equivalent<K> + ?Sized]);

    /// Stores `value` under `key`, and returns the entry that it replaces.
    ///
    /// Blocks while another thread writes to the key's bin. Takes expected constant time. Linearizes while it holds the
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
        let (hash, mut freed) = self.inner.begin(WaitMode::Blocking, &key);
        match self.inner.insert_by(WaitMode::Blocking, hash, key, value, &mut freed) {
            Ok(before) => {
                freed.resume();
                before.map(Removed::new)
            }
            Err((why, ..)) => out_of_memory::<K, V, _, _>(why),
        }
    }

    /// Removes `key` and returns its entry. Blocks while another thread writes to the key's bin.
    ///
    /// Needs no memory for the removal itself. A thread's first guard may allocate a slot. When two threads first
    /// remove entries at the same time, the map allocates more lists for removed entries. It does that once.
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
    /// `condition` runs while no lock is held, and runs again if another thread changes the key's bin in the meantime.
    /// Blocks and allocates as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.remove_if("rose", |_, count| *count == 0).is_none());
    /// ```
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Removed<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let removed = self.inner.remove_by(WaitMode::Blocking, key, condition);
        removed.ok().flatten().map(Removed::new)
    }

    /// Replaces the value of `key` by the result of `f`. Returns the new value, or `None` if the key is absent.
    ///
    /// The replacement is atomic. `f` runs while no lock is held, and runs again if another thread replaces the entry
    /// in the meantime. Each run allocates an entry with a clone of the key. Blocks while another thread writes to the
    /// key's bin. If there is no memory, the process aborts, as with the collections of std. If keys are not `Clone`,
    /// use [`compute`](Self::compute), which takes the key.
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
    /// If another thread replaces or removes the entry in the meantime, the value leaves the map with the entry. A
    /// thread that found the entry before can still change the value that [`insert`](Self::insert) or
    /// [`remove`](Self::remove) returned. [Updating values in place](crate::docs::coming_from#updating-values-in-place)
    /// shows how to remove such entries without losing a change.
    pub fn update<Q>(&self, key: &Q, f: impl FnMut(&V) -> V) -> Option<Ref<'_, K, V>>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mode = WaitMode::Blocking;
        match self.inner.update_by(mode, |map, guard| map.find_in(mode, key, guard), f) {
            Ok(new) => new,
            Err((why, _)) => out_of_memory::<K, V, _, _>(why),
        }
    }

    /// Inserts, replaces, removes or keeps the entry of `key`, as `f` decides from its value. Returns the entry before
    /// and after the operation.
    ///
    /// The operation is atomic. `f` runs while no lock is held, and runs again if another thread replaces or removes
    /// the entry in the meantime. Blocks while another thread writes to the key's bin, and allocates as
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
        let done = self.inner.compute_by(WaitMode::Blocking, key, f);
        done.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }
}
