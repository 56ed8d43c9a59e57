//! `OrdMap`'s operations on one key.

use super::map::OrdMap;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::{blocking_methods, lookup_methods};
use crate::reclaim::node::Live;
use crate::reclaim::pair::out_of_memory;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::WaitMode;
use equivalent::Comparable;

impl<K: Ord, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Returns the value of `key`, borrowed with its own guard.
    ///
    /// Takes no lock, and writes only to its thread's slot in the registry of readers. Allocates nothing, unless more
    /// threads hold guards than ever before: slots for them, and without memory for these the process aborts.
    /// Logarithmic time. Waits while the key's leaf is being written. Linearizes when the leaf's version is validated
    /// last.
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
        let guard = self.readers.pin();
        let found = self.find(key, &guard)?.ptr();
        // SAFETY: found under the guard.
        Some(unsafe { Ref::of(found, guard) })
    }

    /// As [`get`](Self::get), but never waits. An interrupt handler uses
    /// [`Pinned::try_get`](crate::owned::Pinned::try_get) with its own [`Handle`](crate::owned::Handle).
    ///
    /// # Errors
    /// [`Busy`] if the key's leaf is being written, or has changed 64 times while it was read, or if there is no memory
    /// for a guard.
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
        let guard = self.readers.try_pin().map_err(|_| Busy)?;
        let found = self.find_in(WaitMode::NON_BLOCKING, key, &guard)?.map(Live::ptr);
        // SAFETY: found under the guard.
        Ok(found.map(|node| unsafe { Ref::of(node, guard) }))
    }

    lookup_methods!(OrdMap, where [Q: Comparable<K> + ?Sized, R: Ranking<Q>]);

    /// Removes `key` and returns its entry. Blocks while another thread writes to its leaf. Needs memory only for the
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
    /// `condition` runs while nothing is locked, and again if another thread has changed anything in the key's leaf in
    /// the meantime. Blocks and allocates as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert!(map.remove_if("rose", |_, count| *count == 0).is_none());
    /// ```
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Removed<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.remove_by(WaitMode::Blocking, key, condition).ok().flatten().map(Removed::new)
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    blocking_methods!(OrdMap, where [Q: Comparable<K> + ?Sized, R: Ranking<Q>]);

    /// Stores `value` under `key`, and returns the entry that it replaces.
    ///
    /// Allocates the entry, and sometimes a leaf with a clone of a key and space for it in the fences. Blocks while
    /// another thread writes to the key's leaf. Running out of memory is handled as in std's collections. Logarithmic
    /// time, plus moving up to a leaf of pointers by one place. Linearizes when the leaf is locked. If a key's `Clone`
    /// itself inserts into the same leaf each time, the operation never ends.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert!(map.insert(7, "seven".into()).is_none());
    /// assert_eq!(*map.insert(7, "VII".into()).unwrap(), "seven");
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<Removed<'_, K, V>> {
        let (rank, mut freed) = self.begin(WaitMode::Blocking, &key);
        match self.insert_by(WaitMode::Blocking, rank, key, value, &mut freed) {
            Ok(before) => {
                freed.resume();
                before.map(Removed::new)
            }
            Err((why, ..)) => out_of_memory::<K, V, _, _>(why),
        }
    }

    /// Replaces the value of `key` by the result of `f`, and returns the new value. `None` if the key has no value.
    ///
    /// `f` runs while nothing is locked, and again if another thread has replaced the entry in the meantime. So the
    /// replacement is atomic. Allocates an entry, with a clone of the key. Blocks as [`insert`](Self::insert) does. If
    /// `f` must run exactly once, or is expensive, use a value with its own lock, as in
    /// [`HashMap::update`](crate::HashMap::update).
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.update("rose", |count| count + 1).as_deref(), Some(&2));
    /// ```
    pub fn update<Q>(&self, key: &Q, f: impl FnMut(&V) -> V) -> Option<Ref<'_, K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let mode = WaitMode::Blocking;
        match self.update_by(mode, |map, guard| map.find_in(mode, key, guard), f) {
            Ok(new) => new,
            Err((why, _)) => out_of_memory::<K, V, _, _>(why),
        }
    }

    /// Applies the decision of `f` to `key`'s entry, atomically. `f` gets the key's value. Returns the entry before and
    /// the entry after that.
    ///
    /// `f` runs while nothing is locked, and again if another thread has replaced or removed the entry in the meantime.
    /// Blocks and allocates as [`insert`](Self::insert) does.
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
        let done = self.compute_by(WaitMode::Blocking, key, f);
        done.unwrap_or_else(out_of_memory::<K, V, _, _>)
    }
}
