//! `HashMap`: operations on one key that neither wait nor abort.
//!
//! The functions whose names end in `_by` take a [`Mode`]. An operation that waits and its `try_` variant share them.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::map::HashMap;
use super::nodes::InsertAbsentError;
use crate::api::hash::KeyHash;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::reclaim::borrowed::{BeforeAfter, Ref};
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::{Guard, try_pin};
use crate::reclaim::node::Live;
use crate::reclaim::pair::{Pair, occupied, refused};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Mode, Unlinked};
use crate::sync::backoff::Backoff;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// Stores `value` under `key` as [`insert`](Self::insert) does, but neither waits nor aborts, and respects the
    /// map's [limit](Self::set_pending_limit).
    ///
    /// It may call the allocator. Dropping the returned [`Removed`] takes a short lock, for which it waits.
    ///
    /// # Errors
    /// Each error returns `key` and `value` to the caller, and leaves the map unchanged.
    /// - [`TryInsertError::Busy`] if a writer is inside the key's bin.
    /// - [`TryInsertError::Alloc`] if there is no memory for the entry.
    /// - [`TryInsertError::Stalled`] if more entries are pending than the limit allows.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert_eq!(map.try_insert(7, "seven".into()), Ok(None));
    /// ```
    pub fn try_insert(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<Removed<'_, K, V>>, TryInsertError<K, V>> {
        let mode = self.nodes().retired().non_blocking();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, value)) };
        let fresh = Self::fresh_by(mode, |key| self.hash(key), key, value);
        let fresh = fresh.map_err(|(why, (key, value))| why.of(key, value))?;
        let pair = fresh.0;
        // SAFETY: the node stays alive until this returns: `fresh` owns it at first, and when the table has it, the
        // guard keeps it alive.
        let key = unsafe { &pair.live().fields().key };
        let same = |node: Live<'_, Pair<K, V>>| node.fields().key == *key;
        match self.nodes().insert(fresh, same, Backoff::never(), &guard) {
            Ok(before) => Ok(before.map(Removed::new)),
            Err((why, fresh)) => Err(refused(why.into(), fresh, |value| value)),
        }
    }

    /// Stores `value` under `key` if the key is absent, as [`insert_if_absent`](Self::insert_if_absent) does, but
    /// neither waits nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// The outer error is one of [`try_insert`](Self::try_insert)'s. The inner one is an [`OccupiedError`]: the key has
    /// a value.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!(map.try_insert_if_absent(7, 'a'), Ok(Ok(())));
    /// assert_eq!(map.try_insert_if_absent(7, 'b').unwrap().unwrap_err().into_parts(), (7, 'b'));
    /// ```
    pub fn try_insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        let mode = self.nodes().retired().non_blocking();
        match try_pin() {
            Ok(guard) => self.insert_if_absent_by(mode, key, value, &guard),
            Err(_) => Err(Cause::Alloc.of(key, value)),
        }
    }

    /// Removes `key` and returns its entry as [`remove`](Self::remove) does, but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's bin, or if there is no memory for a guard. The map is unchanged then.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_remove("rose").unwrap().as_deref(), Some(&1));
    /// assert_eq!(map.try_remove("rose"), Ok(None));
    /// ```
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<Removed<'_, K, V>>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = try_pin().map_err(|_| Busy)?;
        let same = |node: Live<'_, Pair<K, V>>| key.equivalent(&node.fields().key);
        let mode = Mode::NonBlocking(Ok(()));
        let removed = self.nodes().remove(self.hash(key), same, |_| true, mode, &guard)?;
        Ok(removed.map(Removed::new))
    }

    /// Replaces the value of `key` by the result of `f` as [`update`](Self::update) does, but neither waits nor aborts,
    /// and respects the map's [limit](Self::set_pending_limit). It cannot prevent that the key's `Clone` aborts if
    /// there is no memory.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did not
    /// store it, and no key, because the caller still has it. The map is unchanged. `f` runs at most once: if another
    /// thread replaces the entry meanwhile, the error is `Busy`.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_update("rose", |count| count + 1).unwrap().as_deref(), Some(&2));
    /// assert_eq!(map.try_update("thorn", |count| count + 1), Ok(None));
    /// ```
    pub fn try_update<Q>(
        &self,
        key: &Q,
        mut f: impl FnMut(&V) -> V,
    ) -> Result<Option<Ref<'_, K, V>>, TryInsertError<(), Option<V>>>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mode = self.nodes().retired().non_blocking();
        // Before `try_pin`: under a guard, a slow destructor would keep the garbage of all maps.
        self.nodes().retired().free_share();
        let nothing = |why: Cause| why.of((), None);
        let guard = try_pin().map_err(|_| nothing(Cause::Alloc))?;
        let found = self.try_find(key, &guard).map_err(|busy| nothing(busy.into()))?;
        let Some(node) = found else { return Ok(None) };
        // Before `f` runs: at the limit, the call would be in vain.
        mode.room().map_err(nothing)?;
        let pair = node.fields();
        let value = f(&pair.value);
        let fresh = Pair::new(node.hash(), pair.key.clone(), value);
        let fresh = fresh.map_err(|(_, value)| Cause::Alloc.of((), Some(value)))?;
        let new = fresh.0;
        match self.nodes().replace_exactly(node, fresh, mode, &guard) {
            Ok(before) => {
                // Retired, not dropped: a destructor would run under the guard that this returns.
                before.into_iter().for_each(Unlinked::retire);
                // Dropped before the return value is made: if the destructor of `f` panicked afterwards, the guard of
                // the return value would leak.
                drop(f);
                // SAFETY: inserted under this guard.
                Ok(Some(unsafe { Ref::of_pair(new, guard) }))
            }
            Err((why, fresh)) => {
                let (_, value) = Pair::into_inner(fresh);
                // No cause: another thread has replaced the entry. A second attempt would be a way of waiting.
                Err(why.map_or(Cause::Busy, Cause::from).of((), Some(value)))
            }
        }
    }

    /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but neither
    /// waits nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `make` returned, if it ran.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, usize>::new();
    /// assert_eq!(map.try_get_or_insert_with("rose".into(), || 4).as_deref(), Ok(&4));
    /// ```
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<Ref<'_, K, V>, TryInsertError<K, Option<V>>> {
        let mode = self.nodes().retired().non_blocking();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, None)) };
        let got = self.get_or_insert_with_by(mode, key, |_| make(), &guard)?.shared();
        // SAFETY: the call found the node under this guard, or inserted it.
        Ok(unsafe { Ref::of_pair(got, guard) })
    }

    /// Inserts, replaces, removes or keeps the entry of `key` as [`compute`](Self::compute) does, but neither waits nor
    /// aborts. If `f` decides to insert, it respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did not
    /// store it. The map is unchanged. `f` runs at most once: if another thread replaces the entry meanwhile, the error
    /// is `Busy`.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::HashMap::<String, u32>::new();
    /// let count = |old: Option<&u32>| Op::Insert(old.map_or(1, |old| old + 1));
    /// assert!(map.try_compute("rose".into(), count).is_ok());
    /// assert_eq!(map.try_compute("rose".into(), count).unwrap().after.as_deref(), Some(&2));
    /// ```
    pub fn try_compute(
        &self,
        key: K,
        f: impl FnMut(Option<&V>) -> Op<V>,
    ) -> Result<Computed<Ref<'_, K, V>>, TryInsertError<K, Option<V>>> {
        let mode = self.nodes().retired().non_blocking();
        // Before `try_pin`: under a guard, a slow destructor would keep the garbage of all maps.
        self.nodes().retired().free_share();
        match try_pin() {
            Ok(guard) => {
                let found = self.compute_by(mode, key, f, &guard)?;
                // SAFETY: `compute_by` found the nodes under this guard, or inserted them.
                Ok(unsafe { Ref::of_pairs(found, guard) })
            }
            Err(_) => Err(Cause::Alloc.of(key, None)),
        }
    }

    #[inline(always)]
    fn find_by<'a>(
        &'a self,
        mode: Mode,
        hash: KeyHash,
        key: &K,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, Pair<K, V>>>, Busy> {
        self.nodes().find(hash, |node| node.fields().key == *key, mode, guard)
    }

    /// Allocates a node. Fails if there is no memory, or if the node that it may replace would exceed the limit.
    #[inline(always)]
    fn fresh_by(
        mode: Mode,
        hash: impl FnOnce(&K) -> KeyHash,
        key: K,
        value: V,
    ) -> Result<Fresh<Pair<K, V>>, (Cause, (K, V))> {
        match mode.room() {
            Ok(()) => Pair::new(hash(&key), key, value).map_err(|both| (Cause::Alloc, both)),
            Err(why) => Err((why, (key, value))),
        }
    }

    /// Inserts `fresh` if its key is absent. Otherwise returns it, with the entry of the key or the cause of the
    /// failure.
    #[inline(always)]
    pub(super) fn store_absent<'a>(
        &'a self,
        fresh: Fresh<Pair<K, V>>,
        mode: Mode,
        guard: &'a Guard<'_>,
    ) -> Result<(), InsertAbsentError<'a, Pair<K, V>, Cause>> {
        let pair = fresh.0;
        // SAFETY: the node stays alive until this returns: `fresh` owns it at first, and when the table has it, the
        // guard keeps it alive.
        let key = unsafe { &pair.live().fields().key };
        let same = |node: Live<'_, Pair<K, V>>| node.fields().key == *key;
        let stored = self.nodes().insert_if_absent(fresh, same, mode, guard);
        stored.map_err(|(found, fresh)| (found.map_err(Cause::from), fresh))
    }

    #[inline(always)]
    pub(super) fn insert_if_absent_by(
        &self,
        mode: Mode,
        key: K,
        value: V,
        guard: &Guard<'_>,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        let hash = self.hash(&key);
        // A lookup first: if the key has a value, the operation takes no lock and allocates nothing.
        match self.find_by(mode, hash, &key, guard) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Err(OccupiedError::new(key, value, ()))),
            Err(Busy) => return Err(Cause::Busy.of(key, value)),
        }
        let fresh = Self::fresh_by(mode, |_| hash, key, value);
        let fresh = fresh.map_err(|(why, (key, value))| why.of(key, value))?;
        match self.store_absent(fresh, mode, guard) {
            Ok(()) => Ok(Ok(())),
            // Another thread has inserted the key since the lookup.
            Err((Ok(_), fresh)) => Ok(Err(occupied(fresh))),
            Err((Err(why), fresh)) => Err(refused(why, fresh, |value| value)),
        }
    }

    #[inline(always)]
    pub(super) fn get_or_insert_with_by<'a>(
        &'a self,
        mode: Mode,
        key: K,
        make: impl FnOnce(&K) -> V,
        guard: &'a Guard<'_>,
    ) -> Result<Live<'a, Pair<K, V>>, TryInsertError<K, Option<V>>> {
        let hash = self.hash(&key);
        // A lookup first: if the key has a value, the operation takes no lock and allocates nothing.
        match self.find_by(mode, hash, &key, guard) {
            Ok(Some(node)) => return Ok(node),
            Ok(None) => {}
            Err(Busy) => return Err(Cause::Busy.of(key, None)),
        }
        // Before `make` runs: at the limit, the call would be in vain.
        if let Err(why) = mode.room() {
            return Err(why.of(key, None));
        }
        let value = make(&key);
        let fresh = Self::fresh_by(mode, |_| hash, key, value);
        let fresh = fresh.map_err(|(why, (key, value))| why.of(key, Some(value)))?;
        let node = fresh.0;
        match self.store_absent(fresh, mode, guard) {
            // SAFETY: inserted while the guard is held, which keeps the node alive.
            Ok(()) => Ok(unsafe { node.live() }),
            // The entry that the insertion found, not a second lookup: an `Eq` that answers differently each time could
            // then miss it.
            Err((Ok(found), _)) => Ok(found),
            Err((Err(why), fresh)) => Err(refused(why, fresh, Some)),
        }
    }

    /// Changes the entry of `key` as `f` decides. Returns the nodes before and after.
    ///
    /// It calls the key's `Hash` once, and identifies the entry by its address. So it terminates even if `Hash` and
    /// `Eq` give different answers each time.
    #[inline(always)]
    pub(super) fn compute_by(
        &self,
        mode: Mode,
        mut key: K,
        mut f: impl FnMut(Option<&V>) -> Op<V>,
        guard: &Guard<'_>,
    ) -> Result<BeforeAfter<K, V>, TryInsertError<K, Option<V>>> {
        let hash = self.hash(&key);
        // The entry that the last attempt to insert found. It replaces the next lookup.
        let mut known = None;
        loop {
            let found = match known.take() {
                // A lookup might miss the entry that the insertion found, if `Eq` answers differently each time. The
                // loop would then go on without end.
                Some(node) => Some(node),
                None => match self.find_by(mode, hash, &key, guard) {
                    Ok(found) => found,
                    Err(Busy) => return Err(Cause::Busy.of(key, None)),
                },
            };
            match (f(found.map(|node| &node.fields().value)), found) {
                (Op::Keep, _) | (Op::Remove, None) => {
                    let found = found.map(Live::shared);
                    return Ok((found, found));
                }
                (Op::Remove, Some(node)) => match self.nodes().remove_exactly(node, mode, guard) {
                    Ok(Some(removed)) => {
                        // Not dropped: a destructor would run under the caller's guard.
                        removed.retire();
                        return Ok((Some(node.shared()), None));
                    }
                    // Another thread has replaced or removed the entry. A second attempt counts as waiting, so a `try_`
                    // operation fails instead.
                    Ok(None) if mode.waits() => {}
                    Ok(None) | Err(Busy) => return Err(Cause::Busy.of(key, None)),
                },
                (Op::Insert(value), _) => {
                    let fresh = Self::fresh_by(mode, |_| hash, key, value);
                    let fresh = fresh.map_err(|(why, (key, value))| why.of(key, Some(value)))?;
                    let new = fresh.0;
                    let (why, fresh) = match found {
                        Some(node) => {
                            match self.nodes().replace_exactly(node, fresh, mode, guard) {
                                Ok(before) => {
                                    // Not dropped: a destructor would run under the caller's guard.
                                    before.into_iter().for_each(Unlinked::retire);
                                    return Ok((Some(node.shared()), Some(new)));
                                }
                                Err((why, fresh)) => (why.map(Cause::from), fresh),
                            }
                        }
                        None => match self.store_absent(fresh, mode, guard) {
                            Ok(()) => return Ok((None, Some(new))),
                            // Another thread has inserted the key since the lookup.
                            Err((Ok(node), fresh)) => {
                                known = Some(node);
                                (None, fresh)
                            }
                            Err((Err(why), fresh)) => (Some(why), fresh),
                        },
                    };
                    match why {
                        Some(why) => return Err(refused(why, fresh, Some)),
                        // `f` decides again from the new value. The value that it returned is dropped; the key goes
                        // into the next node.
                        None if mode.waits() => key = Pair::into_inner(fresh).0,
                        None => return Err(refused(Cause::Busy, fresh, Some)),
                    }
                }
            }
        }
    }
}
