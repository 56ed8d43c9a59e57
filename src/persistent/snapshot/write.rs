//! Changes: by the writer whose turn it is, in a working copy and the log; or by anyone, in a clone that is published.

use super::SnapshotMap;
use super::version::{Shown, Version, VersionNode, Working, node_of};
use crate::facade::lock;
use crate::persistent::commit::{self, Conflict};
use crate::persistent::log::Change;
use crate::persistent::map::PersistentMap;
use crate::reclaim::node::NodePtr;
use crate::reclaim::retired::{Fresh, Unlinked};
use crate::sync::backoff::Backoff;
use core::borrow::Borrow;
use core::ptr;

/// How often a writer looks whether its turn has come. Then it does not wait any longer.
const PATIENCE: usize = 64;

/// As above, of a reader that has found changes in the log.
const READER_PATIENCE: usize = 16;

/// Whether another thread has replaced the version that a reader has found. If not, it has lost patience.
struct IsReplaced(bool);

type Turn<'a, K, V> = lock::Guard<'a, Working<K, V>>;

/// The version that was replaced, which becomes garbage on drop; or nothing, if another thread was faster.
type Replaced<'a, K, V> = Option<Unlinked<'a, VersionNode<K, V>>>;

impl<K, V> SnapshotMap<K, V> {
    /// Makes `new`, which has the first `len` changes of the log that was found, the current version. Otherwise hands
    /// it back.
    fn replace(
        &self,
        found: &Shown<'_, K, V>,
        len: usize,
        new: Fresh<VersionNode<K, V>>,
    ) -> Result<Replaced<'_, K, V>, Fresh<VersionNode<K, V>>> {
        // Sealed before it is replaced, or changes that are appended in between would be lost.
        if found.version.is_some_and(|version| version.log.seal() != len) {
            return Err(new);
        }
        if !self.current.replace(found.node, new.live().ptr().0.as_ptr()) {
            return Err(new);
        }
        new.take();
        // SAFETY: the node was the current one, and this thread alone has replaced it.
        Ok(ptr::NonNull::new(found.node)
            .map(|base| unsafe { self.retired.unlinked(NodePtr(base)) }))
    }

    /// Replaces the version that was found by `map`, which has the changes of its sealed log, unless another thread has
    /// replaced it. Runs no destructor of a version that was published: the caller holds a guard.
    fn replace_by_log(&self, found: &Shown<'_, K, V>, len: usize, map: PersistentMap<K, V>) {
        if let Ok(Some(replaced)) = self.replace(found, len, node_of(map, found.number() + 1)) {
            replaced.retire();
        }
    }

    /// Publishes the changes of the log for a reader: replaces the version that was found, unless another thread does.
    pub(super) fn publish(&self, found: &Shown<'_, K, V>, version: &Version<K, V>) {
        match self.turn_of_reader(found) {
            Ok(mut turn) => {
                turn.judge(version.log.len());
                self.publish_in_turn(found, version, &mut turn);
            }
            Err(IsReplaced(true)) => {}
            Err(IsReplaced(false)) => self.publish_out_of_turn(found, version),
        }
    }

    /// Returns a clone of the working copy, for a reader: nothing is published. If that fails, the version that was
    /// found has been replaced.
    pub(super) fn share_copy(
        &self,
        found: &Shown<'_, K, V>,
        version: &Version<K, V>,
    ) -> Option<PersistentMap<K, V>> {
        match self.turn_of_reader(found) {
            Ok(mut turn) => {
                // SAFETY: this has the turn, and the version is of this map.
                let copy = unsafe { turn.share(version) };
                if copy.is_none() {
                    self.publish_in_turn(found, version, &mut turn);
                }
                return copy;
            }
            Err(IsReplaced(true)) => {}
            Err(IsReplaced(false)) => self.publish_out_of_turn(found, version),
        }
        None
    }

    /// Waits for the turn for some time, but only while the version that was found is current.
    fn turn_of_reader(&self, found: &Shown<'_, K, V>) -> Result<Turn<'_, K, V>, IsReplaced> {
        let mut backoff = Backoff::spinning();
        for _ in 0..READER_PATIENCE + found.waits_worth() {
            let turn = self.turn.try_lock();
            if self.current.load() != found.node {
                return Err(IsReplaced(true));
            }
            if let Some(turn) = turn {
                return Ok(turn);
            }
            let _ = backoff.wait();
        }
        Err(IsReplaced(false))
    }

    fn publish_in_turn(
        &self,
        found: &Shown<'_, K, V>,
        version: &Version<K, V>,
        turn: &mut Working<K, V>,
    ) {
        let len = version.log.seal();
        turn.weight += len;
        // SAFETY: the caller has the turn.
        let map = unsafe { turn.take(version) };
        self.replace_by_log(found, len, map);
    }

    fn publish_out_of_turn(&self, found: &Shown<'_, K, V>, version: &Version<K, V>) {
        let len = version.log.seal();
        // SAFETY: just sealed.
        let map = unsafe { version.replayed() };
        self.replace_by_log(found, len, map);
    }

    /// Waits for the turn of this writer, for some time.
    fn wait_for_turn(&self, patience: usize) -> Option<Turn<'_, K, V>> {
        let mut backoff = Backoff::spinning();
        for _ in 0..patience {
            if let Some(turn) = self.turn.try_lock() {
                return Some(turn);
            }
            let _ = backoff.wait();
        }
        None
    }
}

impl<K: Ord + Clone, V: Clone> SnapshotMap<K, V> {
    /// Changes the map by a closure, as one atomic step, and returns the closure's result.
    ///
    /// The closure gets a version of its own, which becomes the current one. **It is called again if another writer was
    /// faster**, so it should have no other effects. Changes in one call copy each node at most once, so many in one
    /// call are much cheaper than many calls.
    ///
    /// No other thread waits for the closure. If it panics, the map is unchanged. It may use the map, and reads the
    /// current version there; if it changes the map there, it is called again, so it must not do so each time. While it
    /// runs, removed entries are kept in all maps without a collector, or in those with the map's
    /// [collector](Self::with_collector).
    ///
    /// ```
    /// let map = hedgerow::persistent::SnapshotMap::from([("a", 1), ("b", 2)]);
    /// let sum = map.write(|map| {
    ///     let sum = map.values().sum::<i32>();
    ///     map.insert("sum", sum);
    ///     sum
    /// });
    /// assert_eq!((sum, map.len()), (3, 3));
    /// ```
    pub fn write<R>(&self, mut change: impl FnMut(&mut PersistentMap<K, V>) -> R) -> R {
        self.attempt(false, &mut None, |map, _| change(map))
    }

    /// Changes one entry by `attempt`, which is called again if another writer was faster. It leaves the change that it
    /// has made, for the log, or nothing if it has made none. The next attempt gets it back.
    pub(super) fn edit<R>(
        &self,
        mut change: Option<Change<K, V>>,
        attempt: impl FnMut(&mut PersistentMap<K, V>, &mut Option<Change<K, V>>) -> R,
    ) -> R {
        self.attempt(true, &mut change, attempt)
    }

    fn attempt<R>(
        &self,
        mut logs: bool,
        change: &mut Option<Change<K, V>>,
        mut attempt: impl FnMut(&mut PersistentMap<K, V>, &mut Option<Change<K, V>>) -> R,
    ) -> R {
        let (mut turn, mut patience) = (None, PATIENCE);
        loop {
            turn = turn.or_else(|| self.wait_for_turn(patience));
            let guard = self.readers.pin();
            let found = self.current(&guard);
            if turn.is_none() && patience == PATIENCE && found.waits_worth() > 0 {
                patience = found.waits_worth();
                continue;
            }
            if logs
                && let (Some(working), Some(version)) = (&mut turn, found.version)
                && working.uses_log(version)
            {
                if let Some(result) = working.edit(version, change, &mut attempt) {
                    let is_heavy = working.is_heavy();
                    // Destructors run with nothing held, or a slow one would delay writers and keep garbage.
                    drop((turn, guard));
                    if is_heavy {
                        self.retired.reclaim();
                    }
                    return result;
                }
                // The log was sealed, or there is no memory.
                logs = false;
                continue;
            }
            if let Some(version) = found.version.filter(|version| version.log.len() > 0) {
                match &mut turn {
                    Some(working) => {
                        working.judge(version.log.len());
                        self.publish_in_turn(&found, version, working);
                    }
                    None => self.publish_out_of_turn(&found, version),
                }
                continue;
            }
            let base = found.map(&self.empty);
            let mut map = base.clone();
            let result = attempt(&mut map, change);
            if map.ptr_eq(base) {
                return result;
            }
            match self.replace(&found, 0, node_of(map, found.number() + 1)) {
                Ok(replaced) => {
                    drop((turn, guard));
                    drop(replaced);
                    return result;
                }
                Err(new) => {
                    drop(guard);
                    drop(new);
                }
            }
        }
    }

    /// Stores a value, and returns a clone of the one that it replaces. Keeps the old key. O(log n).
    ///
    /// ```
    /// let map = hedgerow::persistent::SnapshotMap::new();
    /// assert_eq!(map.insert(7, "seven"), None);
    /// assert_eq!(map.insert(7, "sieben"), Some("seven"));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        self.edit(Some(Change::Put(key, value)), |map, change| match change {
            Some(Change::Put(key, value)) => map.insert(key.clone(), value.clone()),
            _ => unreachable!("each attempt gets what the one before it has left"),
        })
    }

    /// Removes a key, and returns a clone of its value. O(log n).
    pub fn remove<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.edit(None, |map, change| {
            let removed = map.remove_entry(key);
            *change = None;
            let (key, value) = removed?;
            *change = Some(Change::Remove(key));
            Some(value)
        })
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.write(PersistentMap::clear);
    }

    /// Publishes the changes that lead from the snapshot `base` to `new`, if nobody has changed the same keys since.
    ///
    /// If `base` is still the current version, `new` replaces it. Otherwise the changes from `base` to `new` are
    /// applied to the current version, provided that it has, for each key that they concern, what `base` has. This is a
    /// transaction with *snapshot isolation*: of two that change the same key, the first one wins. Keys that a
    /// transaction has read and not changed are not compared.
    ///
    /// Takes O(d log n) for `d` changes.
    ///
    /// # Errors
    /// [`Conflict`], with the keys that others have changed and the version in which they have. Nothing has changed.
    ///
    /// ```
    /// let map = hedgerow::persistent::SnapshotMap::from([("a", 1), ("b", 2)]);
    /// let base = map.snapshot();
    /// let mut new = base.clone();
    /// new.insert("a", 10);
    /// map.insert("b", 20);
    /// assert!(map.commit(&base, &new).is_ok(), "another key");
    /// map.insert("a", 11);
    /// assert_eq!(map.commit(&base, &new).unwrap_err().keys, ["a"]);
    /// ```
    pub fn commit(
        &self,
        base: &PersistentMap<K, V>,
        new: &PersistentMap<K, V>,
    ) -> Result<(), Conflict<K, V>>
    where
        V: PartialEq,
    {
        self.write(|map| commit::merge(map, base, new))
    }
}
