//! `OrdMap`'s operations that neither wait nor abort, and the code that they share with those that wait.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::OrdMap;
use super::raw::{OrderCheck, Raw};
use crate::api::hash::KeyHash;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::borrowed::{BeforeAfter, Ref};
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::{Guard, try_pin};
use crate::reclaim::pair::{Pair, occupied, refused};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Mode};
use equivalent::Comparable;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// As [`insert`](Self::insert), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). If the key's `Clone` aborts because memory runs out, so does this.
    ///
    /// # Errors
    /// - [`TryInsertError::Busy`] if a writer is inside the key's leaf, or inside the lists that a new leaf comes from,
    ///   or if the leaf has changed 64 times while it was read;
    /// - [`TryInsertError::Alloc`] if there is no memory for the entry or a leaf;
    /// - [`TryInsertError::Stalled`] if too many entries wait to be dropped.
    ///
    /// Each hands key and value back and leaves the map as it was.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert_eq!(map.try_insert(7, "seven".into()), Ok(None));
    /// ```
    pub fn try_insert(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<Removed<'_, K, V>>, TryInsertError<K, V>> {
        let way = self.owner().entries.non_blocking();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, value)) };
        let fresh = Self::fresh_by(way, key, value).map_err(|(why, (k, v))| why.of(k, v))?;
        self.store(fresh, way, |_| true, &guard).map_err(|(why, fresh)| {
            // Any old entry is accepted, so there is always a reason.
            refused(why.unwrap_or(Cause::Busy), fresh, |value| value)
        })
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). That the key has a value is no error.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, char>::new();
    /// assert_eq!(map.try_insert_if_absent(7, 'a'), Ok(Ok(())));
    /// assert_eq!(map.try_insert_if_absent(7, 'b').unwrap().unwrap_err().into_parts(), (7, 'b'));
    /// ```
    pub fn try_insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        let way = self.owner().entries.non_blocking();
        match try_pin() {
            Ok(guard) => self.insert_if_absent_by(way, key, value, &guard),
            Err(_) => Err(Cause::Alloc.of(key, value)),
        }
    }

    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's leaf, or has changed it 64 times while it was read, or if there is no
    /// memory for a guard.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_remove("rose").unwrap().as_deref(), Some(&1));
    /// ```
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<Removed<'_, K, V>>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let guard = try_pin().map_err(|_| Busy)?;
        let remove =
            |guard: &Guard<'_>| self.remove_by(key, |_| true, Mode::NonBlocking(Ok(())), guard);
        self.then_free_bounds(guard, remove)
    }

    /// As [`update`](Self::update), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). If the key's `Clone` aborts because memory runs out, so does this.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with the result of `f` if it was called. The error has no key,
    /// because the caller still owns it. The map is as it was. `f` runs at most once: if another thread has replaced
    /// the entry meanwhile, the error is `Busy`.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.try_update("rose", |count| count + 1).unwrap().as_deref(), Some(&2));
    /// assert_eq!(map.try_update("thorn", |count| count + 1), Ok(None));
    /// ```
    pub fn try_update<Q>(
        &self,
        key: &Q,
        mut f: impl FnMut(&V) -> V,
    ) -> Result<Option<Ref<'_, K, V>>, TryInsertError<(), Option<V>>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let way = self.owner().entries.non_blocking();
        // Before the guard is taken: the result holds it, and no destructor should run under a guard.
        self.owner().entries.free_share();
        let nothing = |why: Cause| why.of((), None);
        let guard = try_pin().map_err(|_| nothing(Cause::Alloc))?;
        let found = self.try_find(key).map_err(|busy| nothing(busy.into()))?;
        let Some(raw) = found else { return Ok(None) };
        way.room().map_err(nothing)?;
        let (key, value) = Self::pair_of(raw, &guard);
        let value = f(value);
        let fresh = Self::fresh_by(way, key.clone(), value);
        let fresh = fresh.map_err(|(why, (_, value))| why.of((), Some(value)))?;
        let new = fresh.0;
        let is_there = |old: Option<Raw<K>>| old.is_some_and(|old| old.is(raw));
        match self.store(fresh, way, is_there, &guard) {
            Ok(before) => {
                before.into_iter().for_each(Removed::retire);
                // Before the return value is made: if `f` panicked on drop after that, the guard would leak.
                drop(f);
                // SAFETY: stored under the guard.
                Ok(Some(unsafe { Ref::of_pair(new, guard) }))
            }
            Err((why, fresh)) => {
                let (_, value) = Pair::into_inner(fresh);
                Err(why.unwrap_or(Cause::Busy).of((), Some(value)))
            }
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with the value if `make` was called.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<String, usize>::new();
    /// assert_eq!(map.try_get_or_insert_with("rose".into(), || 4).as_deref(), Ok(&4));
    /// ```
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<Ref<'_, K, V>, TryInsertError<K, Option<V>>> {
        let way = self.owner().entries.non_blocking();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, None)) };
        let got = self.get_or_insert_with_by(way, key, |_| make(), &guard)?;
        // SAFETY: found or inserted under the guard.
        Ok(unsafe { Ref::of_pair(got.shared(), guard) })
    }

    /// As [`compute`](Self::compute), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit) if it inserts.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert), with the value if `f` has returned one that was not stored. The map
    /// is as it was. If another thread replaces or removes the entry while `f` runs, the error is `Busy`.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::OrdMap::<String, u32>::new();
    /// let count = |old: Option<&u32>| Op::Insert(old.map_or(1, |old| old + 1));
    /// assert!(map.try_compute("rose".into(), count).is_ok());
    /// assert_eq!(map.try_compute("rose".into(), count).unwrap().after.as_deref(), Some(&2));
    /// ```
    pub fn try_compute(
        &self,
        key: K,
        f: impl FnMut(Option<&V>) -> Op<V>,
    ) -> Result<Computed<Ref<'_, K, V>>, TryInsertError<K, Option<V>>> {
        let way = self.owner().entries.non_blocking();
        // Before the guard is taken: the result holds guards, and no destructor should run under one.
        self.owner().entries.free_share();
        self.free_bounds();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, None)) };
        let found = self.compute_by(way, key, f, &guard)?;
        // SAFETY: `compute_by` found or stored both under the guard.
        Ok(unsafe { Ref::of_pairs(found, guard) })
    }

    /// Makes a node, unless there is no memory for it, or too many entries are pending.
    #[inline(always)]
    fn fresh_by(way: Mode, key: K, value: V) -> Result<Fresh<Pair<K, V>>, (Cause, (K, V))> {
        match way.room() {
            Ok(()) => Pair::new(KeyHash(0), key, value).map_err(|both| (Cause::Alloc, both)),
            Err(why) => Err((why, (key, value))),
        }
    }

    #[inline(always)]
    pub(super) fn insert_if_absent_by(
        &self,
        way: Mode,
        key: K,
        value: V,
        guard: &Guard<'_>,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        match self.find_by(way, &key, guard) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Err(OccupiedError::new(key, value, ()))),
            Err(Busy) => return Err(Cause::Busy.of(key, value)),
        }
        let fresh = Self::fresh_by(way, key, value).map_err(|(why, (k, v))| why.of(k, v))?;
        match self.store(fresh, way, |old| old.is_none(), guard) {
            Ok(_) => Ok(Ok(())),
            Err((None, fresh)) => Ok(Err(occupied(fresh))),
            Err((Some(why), fresh)) => Err(refused(why, fresh, |value| value)),
        }
    }

    pub(super) fn get_or_insert_with_by(
        &self,
        way: Mode,
        key: K,
        make: impl FnOnce(&K) -> V,
        guard: &Guard<'_>,
    ) -> Result<Raw<K>, TryInsertError<K, Option<V>>> {
        match self.find_by(way, &key, guard) {
            Ok(None) => {}
            Ok(Some(raw)) => return Ok(raw),
            Err(Busy) => return Err(Cause::Busy.of(key, None)),
        }
        // Before `make` runs: at the limit, the call would be in vain.
        if let Err(why) = way.room() {
            return Err(why.of(key, None));
        }
        let value = make(&key);
        let fresh = Self::fresh_by(way, key, value)
            .map_err(|(why, (key, value))| why.of(key, Some(value)))?;
        let mut there = Raw { rank: 0, node: Pair::as_key_node(fresh.0.0) };
        let is_absent = |old: Option<Raw<K>>| {
            // The old entry is the result. Looking it up again would call the key's `Ord` again.
            there = old.unwrap_or(there);
            old.is_none()
        };
        match self.store(fresh, way, is_absent, guard) {
            Err((Some(why), fresh)) => Err(refused(why, fresh, Some)),
            // Published or found while the guard is held.
            Ok(_) | Err((None, _)) => Ok(there),
        }
    }

    /// If another thread has replaced or removed the entry while `f` ran, an operation that waits calls `f` again. One
    /// that must not wait fails: other threads could keep it here forever.
    #[inline(always)]
    pub(super) fn compute_by(
        &self,
        way: Mode,
        mut key: K,
        mut f: impl FnMut(Option<&V>) -> Op<V>,
        guard: &Guard<'_>,
    ) -> Result<BeforeAfter<K, V>, TryInsertError<K, Option<V>>> {
        let (mut order, mut known) = (OrderCheck::new(), None);
        loop {
            let found = match known.take() {
                Some(found) => found,
                None => match self.find_by(way, &key, guard) {
                    Ok(found) => found,
                    Err(Busy) => return Err(Cause::Busy.of(key, None)),
                },
            };
            // The entry that is there instead is what the next attempt starts from.
            let mut is_found = |old: Option<Raw<K>>| {
                known = Some(old);
                match (old, found) {
                    (Some(old), Some(found)) => old.is(found),
                    (None, None) => true,
                    _ => false,
                }
            };
            match (f(found.map(|raw| Self::pair_of(raw, guard).1)), found) {
                (Op::Keep, _) | (Op::Remove, None) => {
                    let found = found.map(Raw::shared);
                    return Ok((found, found));
                }
                (Op::Remove, Some(_)) => match self.remove_by(&key, &mut is_found, way, guard) {
                    Ok(None) if !way.waits() => return Err(Cause::Busy.of(key, None)),
                    Ok(None) if order.is_contradicted_by_any([found, known.flatten()]) => {
                        return Ok((None, None));
                    }
                    Ok(None) => self.count_conflict(found),
                    Ok(Some(removed)) => {
                        removed.retire();
                        return Ok((found.map(Raw::shared), None));
                    }
                    Err(Busy) => return Err(Cause::Busy.of(key, None)),
                },
                (Op::Insert(value), _) => {
                    let fresh = Self::fresh_by(way, key, value);
                    let fresh = fresh.map_err(|(why, (key, value))| why.of(key, Some(value)))?;
                    let new = fresh.0;
                    match self.store(fresh, way, &mut is_found, guard) {
                        Ok(before) => {
                            before.into_iter().for_each(Removed::retire);
                            return Ok((found.map(Raw::shared), Some(new)));
                        }
                        Err((None, fresh)) if !way.waits() => {
                            return Err(refused(Cause::Busy, fresh, Some));
                        }
                        Err((None, _))
                            if order.is_contradicted_by_any([found, known.flatten()]) =>
                        {
                            return Ok((None, None));
                        }
                        Err((None, fresh)) => {
                            self.count_conflict(found.or(known.flatten()));
                            key = Pair::into_inner(fresh).0;
                        }
                        Err((Some(why), fresh)) => return Err(refused(why, fresh, Some)),
                    }
                }
            }
        }
    }
}
