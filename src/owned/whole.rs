//! `HashMap` as a whole: walks, room, garbage, figures.

use super::iter::{ExtractIf, Iter};
use super::map::{HashMap, fail};
use super::nodes::OwnedStats;
use crate::error::TryReserveError;
use crate::reclaim::borrowed::{KeyRef, Ref};
use crate::reclaim::guard::{Stalled, stalled};
use crate::reclaim::removed::Removed;

impl<K, V, S> HashMap<K, V, S> {
    /// Entries that were replaced or removed and are not dropped yet: exact when nobody writes meanwhile, of the
    /// recent past otherwise. A [`Removed`](super::Removed) that is still held is not among them. Lock-free.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// map.insert(1, 'b');
    /// assert_eq!(map.pending(), 1);
    /// map.reclaim();
    /// ```
    pub fn pending(&self) -> usize {
        self.nodes.retired().pending()
    }

    /// Sets how many entries may be [`pending`](Self::pending) when something is inserted by a method that can refuse:
    /// [`try_insert`](Self::try_insert), [`try_insert_if_absent`](Self::try_insert_if_absent),
    /// [`try_update`](Self::try_update), [`try_compute`](Self::try_compute),
    /// [`try_get_or_insert_with`](Self::try_get_or_insert_with). `None`, as it is at first: any number.
    ///
    /// Where more are pending, such a method first drops those above the limit, and refuses where it cannot, since
    /// readers may be looking at them. So a guard that is held for ever bounds the memory instead of eating it:
    /// entries and garbage together grow by those methods until `limit` entries wait, and each thread that is
    /// just inserting adds one. All other methods neither look at the limit nor refuse; what they remove or
    /// replace counts.
    ///
    /// A reader that is only just looking something up counts as any other, so a method that was refused may succeed
    /// when it is tried again. Threads collect their garbage in batches: with a limit of less than some hundred
    /// entries for each of them, writers have to ask for barriers more often.
    ///
    /// ```
    /// use hedgerow::{HashMap, error::TryInsertError, owned::pin};
    ///
    /// let map = HashMap::<u32, u32>::new();
    /// map.set_pending_limit(Some(100));
    /// let guard = pin(); // and never dropped
    /// let refused = (0..).find_map(|n| map.try_insert(7, n).err()).unwrap();
    /// assert!(matches!(refused, TryInsertError::Stalled { key: 7, value: 102, .. }));
    /// assert_eq!(map.pending(), 101);
    /// ```
    pub fn set_pending_limit(&self, limit: Option<usize>) {
        self.nodes.retired().set_limit(limit);
    }

    /// What [`set_pending_limit`](Self::set_pending_limit) has set.
    ///
    /// ```
    /// assert_eq!(hedgerow::HashMap::<u32, u32>::new().pending_limit(), None);
    /// ```
    pub fn pending_limit(&self) -> Option<usize> {
        self.nodes.retired().limit()
    }

    /// Drops the garbage that no reader can be looking at any more, all at once.
    ///
    /// Operations that write drop a few entries each, some hundreds of entries late. Call this to drop all of them now.
    /// It executes a memory barrier on all threads, reads each reader's slot, and runs the destructors while no lock is
    /// held. If a destructor panics, the remaining entries are dropped later. If a destructor of this map's entries
    /// calls this, it drops nothing.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.nodes.retired().collect();
    }

    /// Readers, of whatever map, whose guards are older than the youngest batch of garbage: what they may be
    /// looking at cannot be dropped. Looks at each reader's slot; allocates nothing.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// let guard = hedgerow::owned::pin();
    /// drop(map.remove(&1));
    /// map.reclaim();
    /// assert!(map.stalled_readers().any(|stalled| stalled.reader == guard.reader_id()));
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> + use<K, V, S> {
        stalled()
    }

    /// Returns an iterator over all entries, in no particular order. It has a guard of its own, so it borrows nothing
    /// but the map; [`Pinned::iter`](super::Pinned::iter) returns plain references.
    ///
    /// Each bin's entries are as they were at one moment. A key that is present from the iterator's beginning to its
    /// end is returned exactly once, however the map grows; one that comes or goes meanwhile at most once. Allocates a
    /// buffer for one bin. Waits while a writer is inside the next bin.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// let mut all: Vec<_> = map.iter().map(|entry| (*entry.key(), *entry)).collect();
    /// all.sort();
    /// assert_eq!(all, [(1, 'a'), (2, 'b')]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.nodes)
    }

    /// Returns an iterator over all keys, as [`iter`](Self::iter) sees them. It has a guard of its own, and so has each
    /// key that it returns.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.keys().map(|key| *key).collect::<Vec<_>>(), [1]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = KeyRef<'_, K>> + use<'_, K, V, S> {
        self.iter().map(Ref::into_key)
    }

    /// Returns an iterator over all values, as [`iter`](Self::iter) sees them: a `Ref` dereferences to the value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.values().map(|value| *value).collect::<Vec<_>>(), ['a']);
    /// ```
    pub fn values(&self) -> Iter<'_, K, V> {
        self.iter()
    }

    /// Returns an iterator that removes the entries for which `wanted` returns true, one by one as it is asked for
    /// them. What it was not asked for stays in the map.
    ///
    /// `wanted` runs with nothing locked. If an entry is replaced or removed after `wanted` was called for it, this
    /// skips it. Each removal is atomic by itself. It goes from entry to entry as [`iter`](Self::iter) does. Blocks
    /// while another writer is inside an entry's bin. Allocates a buffer for some bins. The iterator holds one guard
    /// until it is dropped, so nothing that is removed from any map meanwhile is dropped before it.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// let odd: u32 = map.extract_if(|key, _| key % 2 == 1).map(|removed| *removed.value()).sum();
    /// assert_eq!((odd, map.len()), (165, 5));
    /// ```
    pub fn extract_if<F: FnMut(&K, &V) -> bool>(&self, wanted: F) -> ExtractIf<'_, K, V, F> {
        ExtractIf::new(&self.nodes, wanted)
    }

    /// Returns an iterator that removes all entries, one by one as it is asked for them. An entry that is inserted
    /// meanwhile may stay; so do all that it was not asked for. Blocks and allocates as
    /// [`extract_if`](Self::extract_if) does, and holds a guard as long.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.drain().map(|removed| *removed.key()).collect::<Vec<_>>(), [1]);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Removed<'_, K, V>> + use<'_, K, V, S> {
        self.extract_if(|_, _| true)
    }

    /// Keeps the entries for which `keep` says true.
    ///
    /// `keep` runs with nothing locked; where a bin changes between its being asked and the removal, the
    /// bin's entries are asked about again; a `keep` that writes to that bin each time never ends.
    /// Allocates a buffer for one bin.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// map.retain(|key, _| key % 2 == 0);
    /// assert_eq!(map.len(), 5);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.nodes.retain(|node| keep(&node.fields().key, &node.fields().value));
    }

    /// Removes every entry, bin by bin; keeps the table's memory. Allocates a buffer for one bin.
    ///
    /// An entry inserted meanwhile may stay.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// Makes room for `additional` more entries, so that inserting them makes the table no larger. The entries
    /// themselves are allocated one by one.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, u64>::new();
    /// map.reserve(1000);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(|why| fail(why));
    }

    /// As [`reserve`](Self::reserve), but says when it cannot.
    ///
    /// # Errors
    /// When the capacity cannot be addressed or the allocator has not got it.
    ///
    /// ```
    /// use hedgerow::error::TryReserveError;
    /// let map = hedgerow::HashMap::<u64, u64>::new();
    /// assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        self.nodes.reserve(additional)
    }

    /// Drops all garbage and gives back what memory the table does not need, by moving its pointers to a new
    /// one. The table stays as it is where there is no memory for that.
    ///
    /// ```
    /// let mut map: hedgerow::HashMap<u64, u64> = (0..10_000).map(|n| (n, n)).collect();
    /// map.retain(|key, _| *key < 10);
    /// map.shrink_to_fit();
    /// assert_eq!((map.len(), map.pending()), (10, 0));
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.nodes.shrink_to_fit();
    }

    /// Returns figures about the map. Walks its table's directory.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u64, u64> = (0..1000).map(|n| (n, n)).collect();
    /// let stats = map.stats();
    /// assert!(stats.len == 1000 && stats.memory_bytes < 40_000);
    /// ```
    pub fn stats(&self) -> OwnedStats {
        self.nodes.stats()
    }
}
