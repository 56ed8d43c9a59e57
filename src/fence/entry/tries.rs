//! What is done without waiting and without aborting, and the bodies that such an operation shares with the one
//! that waits.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::super::rank::Ranking;
use super::map::OrdMap;
use super::raw::{Doubt, Raw};
use crate::api::op::{Computed, Op};
use crate::bins::tags::Hash;
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::reclaim::borrowed::{Found, Ref};
use crate::reclaim::errors::Why;
use crate::reclaim::guard::{Guard, try_pin};
use crate::reclaim::pair::{Pair, occupied, refused};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Way};
use equivalent::Comparable;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// As [`insert`](Self::insert), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). Where `Clone` aborts for want of memory, this cannot help it.
    ///
    /// # Errors
    /// [`TryInsertError::Busy`] when a writer is inside the key's leaf, or inside the lists that a new leaf comes from,
    /// or when the leaf has changed again and again while it was read (64 times);
    /// [`TryInsertError::Alloc`] when there is no memory for the entry or a leaf; [`TryInsertError::Stalled`] when too
    /// many entries wait to be dropped. Each hands key and value back and leaves the map as it was.
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
        let way = self.owner().entries.trying();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of(key, value)) };
        let fresh = Self::fresh_by(way, key, value).map_err(|(why, (k, v))| why.of(k, v))?;
        self.store(fresh, way, |_| true, &guard).map_err(|(why, fresh)| {
            // What is there is wanted in any case, so there is a reason.
            refused(why.unwrap_or(Why::Busy), fresh, |value| value)
        })
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). That there is an entry already is none.
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
        let way = self.owner().entries.trying();
        match try_pin() {
            Ok(guard) => self.insert_if_absent_by(way, key, value, &guard),
            Err(_) => Err(Why::Alloc.of(key, value)),
        }
    }

    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] when a writer is inside the key's leaf, or has changed it again and again while it was read (64 times),
    /// or when there is no memory for a guard.
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
        let remove = |guard: &Guard<'_>| self.remove_by(key, |_| true, Way::Trying(Ok(())), guard);
        self.then_free_bounds(guard, remove)
    }

    /// As [`update`](Self::update), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit). Where `Clone` aborts for want of memory, this cannot help it.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert): with the value, if `f` has made one that was not stored; the key was
    /// only lent. The map is as it was. `f` runs once at most: if the entry was replaced meanwhile, the answer is
    /// `Busy`.
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
        let way = self.owner().entries.trying();
        // Before, because what is returned holds a guard.
        self.owner().entries.free_share();
        let nothing = |why: Why| why.of((), None);
        let guard = try_pin().map_err(|_| nothing(Why::Alloc))?;
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
                // If what `f` owns panics now, no guard is leaked.
                drop(f);
                // SAFETY: put there under the guard.
                Ok(Some(unsafe { Ref::of_pair(new, guard) }))
            }
            Err((why, fresh)) => {
                let (_, value) = Pair::into_inner(fresh);
                Err(why.unwrap_or(Why::Busy).of((), Some(value)))
            }
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert): with the value, if `make` has made one.
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
        let way = self.owner().entries.trying();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of(key, None)) };
        let got = self.get_or_insert_with_by(way, key, |_| make(), &guard)?;
        // SAFETY: met, or inserted, under the guard.
        Ok(unsafe { Ref::of_pair(got.shared(), guard) })
    }

    /// As [`compute`](Self::compute), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit) if it is to insert.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert): with the value, if `f` has made one that was not stored. The
    /// map is as it was. If the entry is replaced or removed while `f` runs, the answer is `Busy`.
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
        let way = self.owner().entries.trying();
        // Before, because what is returned holds guards.
        self.owner().entries.free_share();
        self.free_bounds();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of(key, None)) };
        let found = self.compute_by(way, key, f, &guard)?;
        // SAFETY: met under the guard, or put there.
        Ok(unsafe { Ref::of_pairs(found, guard) })
    }

    /// A node, unless there is no memory for it or no room for what it may replace.
    #[inline(always)]
    fn fresh_by(way: Way, key: K, value: V) -> Result<Fresh<Pair<K, V>>, (Why, (K, V))> {
        match way.room() {
            Ok(()) => Pair::new(Hash(0), key, value).map_err(|both| (Why::Alloc, both)),
            Err(why) => Err((why, (key, value))),
        }
    }

    #[inline(always)]
    pub(super) fn insert_if_absent_by(
        &self,
        way: Way,
        key: K,
        value: V,
        guard: &Guard<'_>,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        match self.find_by(way, &key, guard) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Err(OccupiedError::new(key, value, ()))),
            Err(Busy) => return Err(Why::Busy.of(key, value)),
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
        way: Way,
        key: K,
        make: impl FnOnce(&K) -> V,
        guard: &Guard<'_>,
    ) -> Result<Raw<K>, TryInsertError<K, Option<V>>> {
        match self.find_by(way, &key, guard) {
            Ok(None) => {}
            Ok(Some(raw)) => return Ok(raw),
            Err(Busy) => return Err(Why::Busy.of(key, None)),
        }
        let value = make(&key);
        let fresh = Self::fresh_by(way, key, value)
            .map_err(|(why, (key, value))| why.of(key, Some(value)))?;
        let mut there = Raw { rank: 0, node: Pair::stem(fresh.0.0) };
        let is_absent = |old: Option<Raw<K>>| {
            // If there is one, it is the answer: another lookup would call the key's `Ord` again.
            there = old.unwrap_or(there);
            old.is_none()
        };
        match self.store(fresh, way, is_absent, guard) {
            Err((Some(why), fresh)) => Err(refused(why, fresh, Some)),
            // Published, or met, while the guard is held.
            Ok(_) | Err((None, _)) => Ok(there),
        }
    }

    /// If the entry was replaced or removed while `f` ran, an operation that waits asks `f` again, and one that does
    /// not is refused: other threads could keep it here for ever.
    #[inline(always)]
    pub(super) fn compute_by(
        &self,
        way: Way,
        mut key: K,
        mut f: impl FnMut(Option<&V>) -> Op<V>,
        guard: &Guard<'_>,
    ) -> Result<Found<K, V>, TryInsertError<K, Option<V>>> {
        let (mut doubt, mut known) = (Doubt::new(), None);
        loop {
            let found = match known.take() {
                Some(found) => found,
                None => match self.find_by(way, &key, guard) {
                    Ok(found) => found,
                    Err(Busy) => return Err(Why::Busy.of(key, None)),
                },
            };
            // What is there instead is what the next attempt goes by.
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
                    Ok(None) if !way.waits() => return Err(Why::Busy.of(key, None)),
                    Ok(None) if doubt.is_stirred_by([found, known.flatten()]) => {
                        return Ok((None, None));
                    }
                    Ok(None) => {}
                    Ok(Some(removed)) => {
                        removed.retire();
                        return Ok((found.map(Raw::shared), None));
                    }
                    Err(Busy) => return Err(Why::Busy.of(key, None)),
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
                            return Err(refused(Why::Busy, fresh, Some));
                        }
                        Err((None, _)) if doubt.is_stirred_by([found, known.flatten()]) => {
                            return Ok((None, None));
                        }
                        Err((None, fresh)) => key = Pair::into_inner(fresh).0,
                        Err((Some(why), fresh)) => return Err(refused(why, fresh, Some)),
                    }
                }
            }
        }
    }
}
