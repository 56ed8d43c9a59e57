//! What is stored without waiting and without aborting, and the bodies that such an operation shares with
//! the one that waits.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::HashMap;
use super::nodes::NotAbsent;
use crate::api::op::{Computed, Op};
use crate::bins::tags;
use crate::error::{Busy, OccupiedError, TryInsertError};
use crate::reclaim::borrowed::{Found, Ref};
use crate::reclaim::errors::Why;
use crate::reclaim::guard::{Guard, try_pin};
use crate::reclaim::node::Live;
use crate::reclaim::pair::{Pair, occupied, refused};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Unlinked, Way};
use crate::sync::backoff::Backoff;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// As [`insert`](Self::insert), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// It may call the allocator. What it returns is put away under a short lock, which it waits for, when that is
    /// dropped.
    ///
    /// # Errors
    /// [`TryInsertError::Busy`] when a writer is inside the key's bin, [`TryInsertError::Alloc`] when there is
    /// no memory for the entry, [`TryInsertError::Stalled`] when too many entries wait to be dropped; each
    /// hands key and value back and leaves the map as it was.
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
        let way = self.nodes().retired().trying();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of(key, value)) };
        let fresh = Self::fresh_by(way, |key| self.hash(key), key, value);
        let fresh = fresh.map_err(|(why, (key, value))| why.of(key, value))?;
        let pair = fresh.0;
        // SAFETY: alive: ours, or published while the guard is held.
        let key = unsafe { &pair.live().fields().key };
        let same = |node: Live<'_, Pair<K, V>>| node.fields().key == *key;
        match self.nodes().insert(fresh, same, Backoff::never(), &guard) {
            Ok(before) => Ok(before.map(Removed::new)),
            Err((why, fresh)) => Err(refused(why.into(), fresh, |value| value)),
        }
    }

    /// As [`insert_if_absent`](Self::insert_if_absent), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). That there is an entry already is none.
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
        let way = self.nodes().retired().trying();
        match try_pin() {
            Ok(guard) => self.insert_if_absent_by(way, key, value, &guard),
            Err(_) => Err(Why::Alloc.of(key, value)),
        }
    }

    /// As [`remove`](Self::remove), but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a writer is inside the key's bin, or if there is no memory for a guard; the map is as it was.
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
        let way = Way::Trying(Ok(()));
        let removed = self.nodes().remove(self.hash(key), same, |_| true, way, &guard)?;
        Ok(removed.map(Removed::new))
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
        let way = self.nodes().retired().trying();
        // Before, because what is returned holds a guard.
        self.nodes().retired().free_share();
        let nothing = |why: Why| why.of((), None);
        let guard = try_pin().map_err(|_| nothing(Why::Alloc))?;
        let found = self.try_find(key, &guard).map_err(|busy| nothing(busy.into()))?;
        let Some(node) = found else { return Ok(None) };
        way.room().map_err(nothing)?;
        let pair = node.fields();
        let value = f(&pair.value);
        let fresh = Pair::new(node.hash(), pair.key.clone(), value);
        let fresh = fresh.map_err(|(_, value)| Why::Alloc.of((), Some(value)))?;
        let new = fresh.0;
        match self.nodes().replace_exactly(node, fresh, way, &guard) {
            Ok(before) => {
                before.into_iter().for_each(Unlinked::retire);
                // If what `f` owns panics now, no guard is leaked.
                drop(f);
                // SAFETY: put there under the guard.
                Ok(Some(unsafe { Ref::of_pair(new, guard) }))
            }
            Err((why, fresh)) => {
                let (_, value) = Pair::into_inner(fresh);
                Err(why.map_or(Why::Busy, Why::from).of((), Some(value)))
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
    /// let map = hedgerow::HashMap::<String, usize>::new();
    /// assert_eq!(map.try_get_or_insert_with("rose".into(), || 4).as_deref(), Ok(&4));
    /// ```
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<Ref<'_, K, V>, TryInsertError<K, Option<V>>> {
        let way = self.nodes().retired().trying();
        let Ok(guard) = try_pin() else { return Err(Why::Alloc.of(key, None)) };
        let got = self.get_or_insert_with_by(way, key, |_| make(), &guard)?.shared();
        // SAFETY: found, or inserted, under the guard.
        Ok(unsafe { Ref::of_pair(got, guard) })
    }

    /// As [`compute`](Self::compute), but neither waits nor aborts, and keeps the map's
    /// [limit](Self::set_pending_limit) where it is to insert.
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert): with the value, if `f` has made one that was not stored. The
    /// map is as it was. `f` runs once: if the entry was replaced meanwhile, the answer is `Busy`.
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
        let way = self.nodes().retired().trying();
        // Before, because what is returned holds guards.
        self.nodes().retired().free_share();
        match try_pin() {
            Ok(guard) => {
                let found = self.compute_by(way, key, f, &guard)?;
                // SAFETY: met under the guard, or put there.
                Ok(unsafe { Ref::of_pairs(found, guard) })
            }
            Err(_) => Err(Why::Alloc.of(key, None)),
        }
    }

    #[inline(always)]
    fn find_by<'a>(
        &'a self,
        way: Way,
        hash: tags::Hash,
        key: &K,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, Pair<K, V>>>, Busy> {
        self.nodes().find(hash, |node| node.fields().key == *key, way, guard)
    }

    /// A node, unless there is no memory for it or no room for what it may replace.
    #[inline(always)]
    fn fresh_by(
        way: Way,
        hash: impl FnOnce(&K) -> tags::Hash,
        key: K,
        value: V,
    ) -> Result<Fresh<Pair<K, V>>, (Why, (K, V))> {
        match way.room() {
            Ok(()) => Pair::new(hash(&key), key, value).map_err(|both| (Why::Alloc, both)),
            Err(why) => Err((why, (key, value))),
        }
    }

    /// Stores `fresh`, if its key has no entry. Else hands it back, with the entry or the reason.
    #[inline(always)]
    pub(super) fn store_absent<'a>(
        &'a self,
        fresh: Fresh<Pair<K, V>>,
        way: Way,
        guard: &'a Guard<'_>,
    ) -> Result<(), NotAbsent<'a, Pair<K, V>, Why>> {
        let pair = fresh.0;
        // SAFETY: alive: ours, or published while the guard is held.
        let key = unsafe { &pair.live().fields().key };
        let same = |node: Live<'_, Pair<K, V>>| node.fields().key == *key;
        let stored = self.nodes().insert_if_absent(fresh, same, way, guard);
        stored.map_err(|(found, fresh)| (found.map_err(Why::from), fresh))
    }

    #[inline(always)]
    pub(super) fn insert_if_absent_by(
        &self,
        way: Way,
        key: K,
        value: V,
        guard: &Guard<'_>,
    ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
        let hash = self.hash(&key);
        match self.find_by(way, hash, &key, guard) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Err(OccupiedError::new(key, value, ()))),
            Err(Busy) => return Err(Why::Busy.of(key, value)),
        }
        let fresh = Self::fresh_by(way, |_| hash, key, value);
        let fresh = fresh.map_err(|(why, (key, value))| why.of(key, value))?;
        match self.store_absent(fresh, way, guard) {
            Ok(()) => Ok(Ok(())),
            Err((Ok(_), fresh)) => Ok(Err(occupied(fresh))),
            Err((Err(why), fresh)) => Err(refused(why, fresh, |value| value)),
        }
    }

    #[inline(always)]
    pub(super) fn get_or_insert_with_by<'a>(
        &'a self,
        way: Way,
        key: K,
        make: impl FnOnce(&K) -> V,
        guard: &'a Guard<'_>,
    ) -> Result<Live<'a, Pair<K, V>>, TryInsertError<K, Option<V>>> {
        let hash = self.hash(&key);
        match self.find_by(way, hash, &key, guard) {
            Ok(Some(node)) => return Ok(node),
            Ok(None) => {}
            Err(Busy) => return Err(Why::Busy.of(key, None)),
        }
        if let Err(why) = way.room() {
            return Err(why.of(key, None));
        }
        let value = make(&key);
        let fresh = Self::fresh_by(way, |_| hash, key, value);
        let fresh = fresh.map_err(|(why, (key, value))| why.of(key, Some(value)))?;
        let node = fresh.0;
        match self.store_absent(fresh, way, guard) {
            // SAFETY: published while the guard is held.
            Ok(()) => Ok(unsafe { node.live() }),
            // What is there is the answer: to look it up again would be to ask the key's `Eq` again.
            Err((Ok(found), _)) => Ok(found),
            Err((Err(why), fresh)) => Err(refused(why, fresh, Some)),
        }
    }

    /// Calls the key's `Hash` once, and finds an entry again by its address: this ends even if `Hash` and `Eq` give
    /// different answers each time. Returns what was found and what was left.
    #[inline(always)]
    pub(super) fn compute_by(
        &self,
        way: Way,
        mut key: K,
        mut f: impl FnMut(Option<&V>) -> Op<V>,
        guard: &Guard<'_>,
    ) -> Result<Found<K, V>, TryInsertError<K, Option<V>>> {
        let hash = self.hash(&key);
        let mut known = None;
        loop {
            let found = match known.take() {
                Some(node) => Some(node),
                None => match self.find_by(way, hash, &key, guard) {
                    Ok(found) => found,
                    Err(Busy) => return Err(Why::Busy.of(key, None)),
                },
            };
            match (f(found.map(|node| &node.fields().value)), found) {
                (Op::Keep, _) | (Op::Remove, None) => {
                    let found = found.map(Live::shared);
                    return Ok((found, found));
                }
                (Op::Remove, Some(node)) => match self.nodes().remove_exactly(node, way, guard) {
                    Ok(Some(removed)) => {
                        removed.retire();
                        return Ok((Some(node.shared()), None));
                    }
                    // The entry was replaced or removed meanwhile: to look again counts as waiting.
                    Ok(None) if way.waits() => {}
                    Ok(None) | Err(Busy) => return Err(Why::Busy.of(key, None)),
                },
                (Op::Insert(value), _) => {
                    let fresh = Self::fresh_by(way, |_| hash, key, value);
                    let fresh = fresh.map_err(|(why, (key, value))| why.of(key, Some(value)))?;
                    let new = fresh.0;
                    let (why, fresh) = match found {
                        Some(node) => match self.nodes().replace_exactly(node, fresh, way, guard) {
                            Ok(before) => {
                                before.into_iter().for_each(Unlinked::retire);
                                return Ok((Some(node.shared()), Some(new)));
                            }
                            Err((why, fresh)) => (why.map(Why::from), fresh),
                        },
                        None => match self.store_absent(fresh, way, guard) {
                            Ok(()) => return Ok((None, Some(new))),
                            Err((Ok(node), fresh)) => {
                                known = Some(node);
                                (None, fresh)
                            }
                            Err((Err(why), fresh)) => (Some(why), fresh),
                        },
                    };
                    match why {
                        Some(why) => return Err(refused(why, fresh, Some)),
                        None if way.waits() => key = Pair::into_inner(fresh).0,
                        None => return Err(refused(Why::Busy, fresh, Some)),
                    }
                }
            }
        }
    }
}
