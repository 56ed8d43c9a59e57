//! `SnapshotMap`: a version that threads share, and replace.
//!
//! The map is a pointer to its current version: an ordinary [`PersistentMap`], and a log (`log.rs`) of the changes
//! since it was published. A reader takes a guard and follows the pointer. If the log is empty, the version is up to
//! date. Otherwise the reader publishes a version that has the changes, and its log is empty again. A snapshot is a
//! clone of the writers' working copy instead, so that the copy stays the only owner of its nodes when the snapshot is
//! dropped.
//!
//! So while nobody reads, writers publish nothing. The writer whose turn it is has a *working copy*, which is the
//! current version with the changes of its log. It changes nodes of it in place, once it has copied them from the
//! current version, and appends each change to the log, where it takes effect. A thousand insertions of one thread then
//! copy each node at most once, and not once each. If readers come often, a log pays nothing: a writer changes a clone
//! of the current version, which copies a path, and replaces the pointer.
//!
//! The working copy saves work, and nothing depends on it: the version and its log say what the map has. So nobody
//! waits for a writer that is descheduled, or whose turn takes long because of a slow closure. Readers and writers try
//! to get the turn for some time. Then they seal the log, replay it on a clone of the version, and replace that. The
//! writer whose turn it was cannot append to the sealed log, gives its working copy up, and begins again. Two writers
//! that work side by side would copy paths in vain, so they take turns as long as that works.
//!
//! A version that was replaced is garbage, as a removed entry of a [`HashMap`](crate::HashMap) is: it is dropped when
//! no guard is left that may have seen it, and drops what no other version shares.

mod ops;
mod traits;
mod version;
mod write;

pub use super::commit::Conflict;
use super::current::Current;
use super::map::PersistentMap;
use crate::facade::lock::Lock;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::collector::{Collector, Readers};
use crate::reclaim::guard::{Guard, Stalled};
use crate::reclaim::methods::collector_methods;
use crate::reclaim::node::{List, NodePtr};
use crate::reclaim::retired::{NodeList, Retired};
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;
use core::ptr;
use version::{Shown, Version, VersionNode, Working, node_of};

/// A concurrent ordered map with snapshots of all its entries, which take a few nanoseconds.
///
/// [`snapshot`](Self::snapshot) returns the current version as a [`PersistentMap`], without waiting for anyone; writers
/// continue meanwhile, and the snapshot stays as it is. Lookups do not wait either. Each change is atomic, also
/// one of many entries ([`write`](Self::write)), and so is a change that was prepared on a snapshot
/// ([`commit`](Self::commit)).
///
/// Writers take turns. While nobody reads, they change nodes in place, as in a [`PersistentMap`] without clones. The
/// first change of a node after a read or a snapshot copies it: a path of 3.5 kilobytes in a map of a million pairs of
/// numbers. If you need no snapshots, an [`OrdMap`](crate::OrdMap) takes changes from many threads at once.
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
/// - Every operation is linearizable.
/// - A thread that sees a version sees everything that happened before the change that made it.
/// - Lookups and snapshots are wait-free, but for the first guard of a thread, which may allocate. After changes, the
///   first of them publishes a version, which takes O(1) if it gets the writers' turn. If it does not, because a writer
///   is descheduled, it makes up to 4,080 changes once more itself. A change is lock-free: it begins again if another
///   one was faster.
/// - User code (closures, `Ord`, `Clone`, `Drop`) may panic, which leaves the map unchanged, and may use the same map:
///   nothing is locked that readers or other writers need. If it changes the map, the change that has called it begins
///   again. **If it changes the map at each call, that change never ends.**
/// - A value is dropped when no version has it any more: by a later change, by [`reclaim`](Self::reclaim), when a
///   snapshot is dropped, or with the map.
pub struct SnapshotMap<K, V> {
    /// Those of `retired`: every lookup reads this, apart from the garbage, which writers change.
    readers: Readers,
    /// The current version, or null for an empty one.
    current: Current<VersionNode<K, V>>,
    /// What null stands for.
    empty: PersistentMap<K, V>,
    /// Held by the writer whose turn it is.
    turn: Lock<Working<K, V>>,
    retired: Retired<VersionNode<K, V>>,
}

// SAFETY: the map moves with its versions, and no other thread has a reference to one then.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for SnapshotMap<K, V> {}
// SAFETY: many threads read the versions, and any of them may drop one.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for SnapshotMap<K, V> {}

impl<K, V> SnapshotMap<K, V> {
    /// Returns an empty map. Allocates nothing, and fits a `static`.
    pub const fn new() -> Self {
        Self {
            readers: Readers::new(),
            current: Current::new(),
            empty: PersistentMap::new(),
            turn: Lock::new(Working::new()),
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

    /// Returns the current version and its node, or null if none was published.
    #[inline(always)]
    fn current<'g>(&self, _guard: &'g Guard<'_>) -> Shown<'g, K, V> {
        let node = self.current.load();
        // SAFETY: the version was current while the guard was held, so it is not dropped before the guard is.
        let version =
            ptr::NonNull::new(node).map(|node| unsafe { &NodePtr(node).live().fields().key });
        Shown { node, version }
    }

    /// Returns the map as it is now, or as it was at some time since this call began.
    #[inline(always)]
    fn load<'g>(&'g self, guard: &'g Guard<'_>) -> &'g PersistentMap<K, V> {
        let found = self.current(guard);
        match found.version {
            Some(version) if version.log.len() > 0 => self.load_published(&found, version, guard),
            Some(version) => &version.map,
            None => &self.empty,
        }
    }

    /// Publishes the changes of the log.
    #[cold]
    #[inline(never)]
    fn load_published<'g>(
        &'g self,
        found: &Shown<'g, K, V>,
        version: &'g Version<K, V>,
        guard: &'g Guard<'_>,
    ) -> &'g PersistentMap<K, V> {
        self.publish(found, version);
        // The log of the version that is current now may have changes already, but all of them were made after it was
        // published, and that was after this call began.
        self.current(guard).map(&self.empty)
    }

    /// Returns the current version. It stays as it is, for as long as you keep it.
    ///
    /// Wait-free: it counts a handle of the root, O(1), and makes up to 4,080 changes once more if the writer that has
    /// made them is descheduled (see [Guarantees](Self#guarantees)). Threads that take snapshots all the time contend
    /// for the count; [`pin`](Self::pin) counts nothing.
    ///
    /// ```
    /// let map = hedgerow::persistent::SnapshotMap::from([(1, 'a')]);
    /// let before = map.snapshot();
    /// map.insert(1, 'b');
    /// assert_eq!((before[&1], map.get_cloned(&1)), ('a', Some('b')));
    /// ```
    pub fn snapshot(&self) -> PersistentMap<K, V> {
        let guard = self.readers.pin();
        let found = self.current(&guard);
        match found.version {
            Some(version) if version.log.len() > 0 => self.snapshot_of_log(&found, version, &guard),
            Some(version) => version.map.clone(),
            None => PersistentMap::new(),
        }
    }

    #[inline(never)]
    fn snapshot_of_log<'g>(
        &'g self,
        found: &Shown<'g, K, V>,
        version: &'g Version<K, V>,
        guard: &'g Guard<'_>,
    ) -> PersistentMap<K, V> {
        // As in `load_published`, if the version was replaced.
        self.share_copy(found, version)
            .unwrap_or_else(|| self.current(guard).map(&self.empty).clone())
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
        let version = ptr::from_ref(self.load(&guard));
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
        self.load(&guard).get(key).cloned()
    }

    /// Returns whether the map has a key. Wait-free, O(log n).
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let guard = self.readers.pin();
        self.load(&guard).contains_key(key)
    }

    /// Returns the number of entries. Wait-free; O(1) once logged changes are published, as for a lookup.
    pub fn len(&self) -> usize {
        let guard = self.readers.pin();
        self.load(&guard).len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of versions that were replaced and have not been dropped yet. Lock-free.
    pub fn pending(&self) -> usize {
        self.retired.pending()
    }

    /// Drops the versions that were replaced and that no guard can see any more, and what only they have.
    pub fn reclaim(&self) {
        // The log may have entries that the map has lost since.
        let _ = self.len();
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
            made.current.replace(ptr::null_mut(), node_of(map, 1).take().0.as_ptr());
        }
        made
    }
}
