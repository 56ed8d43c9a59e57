//! `SnapshotMap`: a version that threads share, and replace.
//!
//! The map is a pointer to its current version, an ordinary [`PersistentMap`]. A reader takes a guard and follows the
//! pointer. A writer changes a clone, which copies a path, and replaces the pointer if it is still the same; otherwise
//! it begins again. The version that was replaced is garbage, as a removed entry of a [`HashMap`](crate::HashMap) is:
//! it is dropped when no guard is left that may have seen it, and drops what no other version shares.
//!
//! Two writers that work side by side would copy paths in vain. So a writer waits for its turn, but only for some time:
//! no writer waits for one that is descheduled.

mod ops;
mod traits;

use super::commit;
pub use super::commit::Conflict;
use super::current::Current;
use super::map::PersistentMap;
use crate::facade::lock::Lock;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::collector::{Collector, Readers};
use crate::reclaim::guard::{Guard, Stalled};
use crate::reclaim::methods::collector_methods;
use crate::reclaim::node::{List, NodePtr};
use crate::reclaim::pair::{KeyNode, out_of_memory};
use crate::reclaim::retired::{Fresh, NodeList, Retired, Unlinked};
use crate::sync::backoff::Backoff;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;
use core::ptr;

/// A node of the garbage: a version.
type Version<K, V> = KeyNode<PersistentMap<K, V>>;

/// The version that was replaced, which becomes garbage on drop; or the new one, if another writer was faster.
type Replaced<'a, K, V> = Result<Option<Unlinked<'a, Version<K, V>>>, Fresh<Version<K, V>>>;

/// A concurrent ordered map with snapshots of all its entries, which take a few nanoseconds.
///
/// [`snapshot`](Self::snapshot) returns the current version as a [`PersistentMap`], without a lock and without waiting;
/// writers go on meanwhile, and the snapshot stays as it is. Lookups take no lock either. Each change is atomic, also
/// one of many entries ([`write`](Self::write)), and so is a change that was prepared on a snapshot
/// ([`commit`](Self::commit)).
///
/// A change copies a path of nodes, 3.5 kilobytes in a map of a million pairs of numbers, because readers may be
/// using them. Writers take turns. If you need no snapshots, an [`OrdMap`](crate::OrdMap) takes changes several times
/// faster, and from many threads at once.
///
/// ```
/// use hedgerow::persistent::SnapshotMap;
///
/// let accounts = SnapshotMap::from([("ann", 60), ("bob", 40)]);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         for _ in 0..100 {
///             accounts.write(|accounts| {
///                 *accounts.get_mut("ann").unwrap() -= 1;
///                 *accounts.get_mut("bob").unwrap() += 1;
///             });
///         }
///     });
///     // No snapshot shows one change without the other.
///     assert_eq!(accounts.snapshot().values().sum::<i32>(), 100);
/// });
/// ```
///
/// # Guarantees
/// - Every operation is linearizable. Those that change nothing take place when they load the current version; changes
///   take place when they replace it.
/// - A thread that sees a version sees everything that happened before the change that made it.
/// - Lookups and snapshots are wait-free, but for the first guard of a thread, which may allocate. A change is
///   lock-free: it begins again if another one was faster.
/// - User code (closures, `Ord`, `Clone`, `Drop`) may panic, which leaves the map unchanged, and may use the same map:
///   nothing is locked that readers or other writers need. If it changes the map, the change that has called it begins
///   again. **If it changes the map at each call, that change never ends.**
/// - A value is dropped when no version has it any more: by a later change, by [`reclaim`](Self::reclaim), when a
///   snapshot is dropped, or with the map.
pub struct SnapshotMap<K, V> {
    /// Those of `retired`: every lookup reads this, apart from the garbage, which writers change.
    readers: Readers,
    /// The current version, or null for an empty one.
    current: Current<Version<K, V>>,
    /// What null stands for.
    empty: PersistentMap<K, V>,
    /// Held by the writer whose turn it is. Nothing depends on it.
    turn: Lock<()>,
    retired: Retired<Version<K, V>>,
}

// SAFETY: the map moves with its versions, and no other thread has a reference to one then.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for SnapshotMap<K, V> {}
// SAFETY: many threads read the versions, and any of them may drop one.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for SnapshotMap<K, V> {}

/// How often a writer looks whether its turn has come. Then it does not wait any longer.
const PATIENCE: usize = 64;

impl<K, V> SnapshotMap<K, V> {
    /// Returns an empty map. Allocates nothing, and fits a `static`.
    pub const fn new() -> Self {
        Self {
            readers: Readers::new(),
            current: Current::new(),
            empty: PersistentMap::new(),
            turn: Lock::new(()),
            retired: Retired::new(),
        }
    }

    collector_methods!("SnapshotMap");

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn set_readers(&mut self, readers: &Readers) {
        self.readers = readers.clone();
        self.retired.set_readers(readers);
    }

    /// Returns the current version and its node.
    fn load<'g>(&'g self, _guard: &'g Guard<'_>) -> (*mut Version<K, V>, &'g PersistentMap<K, V>) {
        let node = self.current.load();
        match ptr::NonNull::new(node) {
            // SAFETY: the version was current while the guard was held, so it is not dropped before the guard is.
            Some(version) => (node, unsafe { &NodePtr(version).live().fields().key }),
            None => (node, &self.empty),
        }
    }

    /// Returns the current version. It stays as it is, for as long as you keep it.
    ///
    /// Wait-free, O(1): it counts a handle of the root. Threads that take snapshots all the time contend for this
    /// count; [`pin`](Self::pin) writes nothing that is shared.
    ///
    /// ```
    /// let map = hedgerow::persistent::SnapshotMap::from([(1, 'a')]);
    /// let before = map.snapshot();
    /// map.insert(1, 'b');
    /// assert_eq!((before[&1], map.get_cloned(&1)), ('a', Some('b')));
    /// ```
    pub fn snapshot(&self) -> PersistentMap<K, V> {
        let guard = self.readers.pin();
        self.load(&guard).1.clone()
    }

    /// Returns the current version under a guard, for many lookups. It dereferences to a [`PersistentMap`].
    ///
    /// While you hold it, no version that is replaced from now on is dropped. Keep a [`snapshot`](Self::snapshot)
    /// instead if it is for long.
    ///
    /// ```
    /// let map = hedgerow::persistent::SnapshotMap::from([(1, 'a'), (2, 'b')]);
    /// let now = map.pin();
    /// map.remove(&1);
    /// assert_eq!(now.range(..2).next(), Some((&1, &'a')));
    /// ```
    pub fn pin(&self) -> PinnedVersion<'_, K, V> {
        let guard = self.readers.pin();
        let version = ptr::from_ref(self.load(&guard).1);
        PinnedVersion { version, _guard: guard }
    }

    /// Returns the entry of a key. Wait-free, O(log n).
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        self.borrow_entry(|map| map.get_key_value(key))
    }

    /// Returns a clone of a key's value. Wait-free, O(log n).
    pub fn get_cloned<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        let guard = self.readers.pin();
        self.load(&guard).1.get(key).cloned()
    }

    /// Returns whether the map has a key. Wait-free, O(log n).
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let guard = self.readers.pin();
        self.load(&guard).1.contains_key(key)
    }

    /// Returns the number of entries. Wait-free, O(1).
    pub fn len(&self) -> usize {
        let guard = self.readers.pin();
        self.load(&guard).1.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of versions that were replaced and have not been dropped yet. Lock-free.
    pub fn pending(&self) -> usize {
        self.retired.pending()
    }

    /// Drops the versions that were replaced and that no guard can see any more.
    pub fn reclaim(&self) {
        self.retired.reclaim();
    }

    /// Returns the readers whose guards keep replaced versions, as [`HashMap`](crate::HashMap::stalled_readers) does.
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([("rose", "red")]);
    /// let guard = hedgerow::owned::pin();
    /// map.remove("rose");
    /// map.reclaim();
    /// assert!(map.stalled_readers().any(|stalled| stalled.reader == guard.reader_id()));
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> + use<'_, K, V> {
        self.readers.stalled()
    }

    /// Returns the last version.
    pub fn into_inner(self) -> PersistentMap<K, V> {
        self.snapshot()
    }

    /// Makes `new` the current version, if `base` still is. Otherwise hands `new` back.
    fn replace(&self, base: *mut Version<K, V>, new: Fresh<Version<K, V>>) -> Replaced<'_, K, V> {
        if !self.current.replace(base, new.live().ptr().0.as_ptr()) {
            return Err(new);
        }
        new.take();
        // SAFETY: the node was the current one, and this thread alone has replaced it.
        Ok(ptr::NonNull::new(base).map(|base| unsafe { self.retired.unlinked(NodePtr(base)) }))
    }

    /// Waits for the turn of this writer, for some time.
    fn wait_for_turn(&self) -> Option<crate::facade::lock::Guard<'_, ()>> {
        let mut backoff = Backoff::spinning();
        for _ in 0..PATIENCE {
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
        self.write_by((), |map, ()| change(map), |_, _| ())
    }

    /// Changes the map as `change` does. If another writer was faster, `undo` takes back what the change has consumed
    /// from the version that was not published.
    fn write_by<S, R>(
        &self,
        mut input: S,
        mut change: impl FnMut(&mut PersistentMap<K, V>, S) -> R,
        mut undo: impl FnMut(PersistentMap<K, V>, R) -> S,
    ) -> R {
        let mut turn = None;
        loop {
            turn = turn.or_else(|| self.wait_for_turn());
            let guard = self.readers.pin();
            let (base, version) = self.load(&guard);
            let mut map = version.clone();
            let result = change(&mut map, input);
            if map.ptr_eq(version) {
                return result;
            }
            let new = Version::new(map).unwrap_or_else(out_of_memory::<K, V, _, _>);
            match self.replace(base, new) {
                Ok(replaced) => {
                    // Destructors run with nothing held, or a slow one would delay writers and keep garbage.
                    drop((turn, guard));
                    drop(replaced);
                    return result;
                }
                Err(new) => {
                    drop(guard);
                    input = undo(Version::into_inner(new), result);
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
        let change =
            |map: &mut PersistentMap<K, V>, (key, value)| map.insert_with_index(key, value);
        let undo = |mut map: PersistentMap<K, V>, inserted| map.undo_insert(inserted);
        let inserted = self.write_by((key, value), change, undo);
        inserted.replaced.map(|(_, value)| value)
    }

    /// Removes a key, and returns a clone of its value. O(log n).
    pub fn remove<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.write(|map| map.remove(key))
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

/// A version of a [`SnapshotMap`] under a guard. Dereferences to a [`PersistentMap`].
pub struct PinnedVersion<'a, K, V> {
    version: *const PersistentMap<K, V>,
    _guard: Guard<'a>,
}

impl<K, V> Deref for PinnedVersion<'_, K, V> {
    type Target = PersistentMap<K, V>;

    fn deref(&self) -> &PersistentMap<K, V> {
        // SAFETY: the version was current when the guard was taken, so it lives as long as the guard. It may be part of
        // the map, which is borrowed.
        unsafe { &*self.version }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for PinnedVersion<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<K, V> Drop for SnapshotMap<K, V> {
    fn drop(&mut self) {
        let mut all = List::new();
        if let Some(current) = ptr::NonNull::new(self.current.get_mut()) {
            // SAFETY: the map owns its current version, and uses it no more.
            unsafe { all.push(NodePtr(current)) };
        }
        self.retired.move_to(&mut all);
        // Drops all of them, even if a destructor panics.
        drop(NodeList(all));
    }
}

impl<K, V> From<PersistentMap<K, V>> for SnapshotMap<K, V> {
    fn from(map: PersistentMap<K, V>) -> Self {
        let made = Self::new();
        if !map.is_empty() {
            let node = Version::new(map).unwrap_or_else(out_of_memory::<K, V, _, _>);
            made.current.replace(ptr::null_mut(), node.take().0.as_ptr());
        }
        made
    }
}
