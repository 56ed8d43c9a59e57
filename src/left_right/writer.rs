//! The writer's handle. Readers see its changes when it publishes them.

use super::inner::LeftRightCore;
use super::pending::Batched;
use super::reader::ReadHandle;
#[cfg(feature = "std")]
use super::storage::Reclaimable;
use super::storage::{Boxed, Storage};
use super::writer_core::WriterCore;
use super::writer_view::WriterView;
use crate::api::hasher::DefaultHashBuilder;
use crate::error::TryInsertError;
use crate::error::TryReserveError;
use crate::sync::backoff::Backoff;
#[cfg(feature = "std")]
use crate::sync::holder::Holder;
use crate::sync::shared::Shared;
use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::error::Error;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::panic::{RefUnwindSafe, UnwindSafe};
use equivalent::Equivalent;
#[cfg(feature = "std")]
use std::sync::Arc;

/// The writer of a [`LeftRightMap`](super::LeftRightMap): changes the map, and publishes the changes atomically.
///
/// There is one writer at a time. If the handle is dropped or its thread panics, [`ReadHandle::writer`] returns a new
/// one, which keeps the unpublished changes.
///
/// # Guarantees
/// - **Waiting:** [`publish`](Self::publish), [`wait_for_readers`](Self::wait_for_readers), [`retain`](Self::retain),
///   [`clear`](Self::clear) and [`shrink_to_fit`](Self::shrink_to_fit) wait for readers that have been reading since
///   before the last publish. The first change after a publish may wait briefly. Other changes never wait: while such a
///   reader exists they are deferred, at the cost of an insertion into a hash table each.
/// - **Cost:** a publish takes time proportional to the number of changes, or, after growth, to the size of the map.
///   The first change after a publish does most of that work.
/// - **User code:** each closure runs once, and copying a change to the other table runs no user code. `Hash`, `Eq`,
///   `Clone`, `Drop` and closures may panic, and may use read handles of the same map.
/// - **Drops:** every key and value is dropped exactly once: at once if no reader has seen it; otherwise by the first
///   change after the publish that removed it, or by [`wait_for_readers`](Self::wait_for_readers); the rest with the
///   last handle.
/// - **Inconsistent keys:** a key whose `Hash` contradicts its `Eq` may or may not be found, and may have two entries.
///   If `Hash` returns different values each time, other [`Inline`](super::Inline) entries may not be found either.
///   Published states are not affected.
pub struct WriteHandle<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    shared: Shared<LeftRightCore<K, V, S, P>>,
    /// Entries that a batch has not stored yet. The writer has some only while there is a batch, or if that was leaked.
    pub(super) batched: Batched<K, V>,
}

// User code runs only while the map is in a state that a panic may leave behind.
impl<K, V, S, P: Storage<K, V>> UnwindSafe for WriteHandle<K, V, S, P> {}
impl<K, V, S, P: Storage<K, V>> RefUnwindSafe for WriteHandle<K, V, S, P> {}

/// Statistics of a map, from [`WriteHandle::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftRightStats {
    /// Entries, unpublished changes included.
    pub len: usize,
    /// Bytes of both tables and of the writer's notes. Boxed entries are not counted.
    pub memory_bytes: usize,
}

#[cold]
pub(super) fn out_of_memory<T>(why: TryReserveError) -> T {
    match why {
        TryReserveError::CapacityOverflow => panic!("capacity overflow"),
        TryReserveError::Alloc => handle_alloc_error(Layout::new::<usize>()),
    }
}

impl<K, V, S, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    /// Returns the writer's handle if there is none: its owner dropped it, or panicked. Changes that were not published
    /// are kept, and the new writer may publish them. Lock-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// assert!(r.writer().is_none());
    /// drop(w);
    /// let mut w = r.writer().unwrap();
    /// w.publish();
    /// assert_eq!(r.get_copied(&1), Some('a'));
    /// ```
    pub fn writer(&self) -> Option<WriteHandle<K, V, S, P>> {
        WriteHandle::take(self.shared())
    }
}

impl<K, V, S, P: Storage<K, V>> WriteHandle<K, V, S, P> {
    /// Makes the first writer of a new map, which holds the writer's claim.
    pub(super) fn new(shared: Shared<LeftRightCore<K, V, S, P>>) -> Self {
        Self { shared, batched: Batched::new() }
    }

    pub(super) fn take(shared: &Shared<LeftRightCore<K, V, S, P>>) -> Option<Self> {
        shared.claim_writing().then(|| {
            #[cfg_attr(not(feature = "std"), allow(unused_mut))]
            let mut writer = Self::new(shared.clone());
            // The last writer's lock is gone. If its guard was leaked, its note says for good that a thread has it.
            #[cfg(feature = "std")]
            writer.share(None);
            writer
        })
    }

    #[inline(always)]
    pub(super) fn core(&mut self) -> WriterCore<'_, K, V, S, P> {
        // SAFETY: this handle holds the writer's claim, and the result borrows it mutably.
        unsafe { WriterCore::new(&self.shared) }
    }

    /// Notes the lock under which this handle is used from now on; `None` if there is none.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn share(&mut self, lock: Option<&Arc<Holder>>) {
        // SAFETY: this handle holds the writer's claim and is borrowed mutably, so nothing else uses the changes.
        let noted = unsafe { &mut self.shared.pending_mut().lock };
        if noted.as_ref().map(Arc::as_ptr) != lock.map(Arc::as_ptr) {
            *noted = lock.cloned();
        }
    }

    /// Returns true if entries are set aside, because this thread held the lock when they became reclaimable.
    #[cfg(feature = "std")]
    pub(super) fn has_reclaimable(&mut self) -> bool {
        self.core().has_reclaimable()
    }

    /// Takes the entries that were set aside.
    #[cfg(feature = "std")]
    pub(super) fn take_reclaimable(&mut self) -> Reclaimable<K, V, P> {
        self.core().take_reclaimable()
    }

    fn view(&self) -> WriterView<'_, K, V, S, P> {
        // SAFETY: this handle holds the writer's claim. The result borrows the handle, so no `WriterCore` is made.
        WriterView::new(&self.shared, unsafe { self.shared.pending() })
    }

    /// Returns a new read handle, as `clone` of a [`ReadHandle`] does.
    ///
    /// ```
    /// let (mut w, _) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// w.publish();
    /// assert_eq!(w.read_handle().get_copied(&7), Some('a'));
    /// ```
    pub fn read_handle(&self) -> ReadHandle<K, V, S, P> {
        ReadHandle::new(&self.shared)
    }

    /// Returns the number of entries, unpublished changes included. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert_eq!(w.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Returns true if there are no entries, unpublished changes included. O(1).
    ///
    /// ```
    /// let (w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(w.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of entries that fit before the table grows. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.reserve(100);
    /// assert!(w.capacity() >= 100);
    /// ```
    pub fn capacity(&self) -> usize {
        self.view().capacity()
    }

    /// Returns statistics of the map, unpublished changes included. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.insert(7, 7);
    /// let stats = w.stats();
    /// assert!(stats.len == 1 && stats.memory_bytes > 0);
    /// ```
    pub fn stats(&self) -> LeftRightStats {
        let view = self.view();
        LeftRightStats { len: view.len(), memory_bytes: view.bytes() }
    }

    /// Returns true if there are changes that readers cannot see. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert!(w.has_changes());
    /// w.publish();
    /// assert!(!w.has_changes());
    /// ```
    pub fn has_changes(&self) -> bool {
        !self.batched.is_empty() || self.view().is_changed()
    }

    /// Returns the number of publishes.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// w.publish();
    /// assert_eq!((w.generation(), r.generation()), (1, 1));
    /// ```
    pub fn generation(&self) -> u64 {
        self.view().generation()
    }

    /// Returns the [`reader_id`](ReadHandle::reader_id) of each reader that has been reading since before the last
    /// publish. Such readers keep the entries that it replaced alive, and delay the next publish. A reader that has
    /// finished and begun another read may still be listed once.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// w.publish();
    /// let guard = r.get(&7);
    /// w.insert(7, 'b');
    /// assert!(w.try_publish().is_ok());
    /// assert_eq!(w.stalled_readers().collect::<Vec<_>>(), [r.reader_id()]);
    /// w.insert(7, 'c');
    /// assert!(w.try_publish().is_err());
    /// drop(guard);
    /// assert!(w.try_publish().is_ok());
    /// assert_eq!(r.get_copied(&7), Some('c'));
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = usize> {
        self.view().stalled_readers()
    }

    /// Returns the map's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// let (w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.hasher().hash_one(7);
    /// ```
    pub fn hasher(&self) -> &S {
        &self.shared.hash_builder
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> WriteHandle<K, V, S, P> {
    /// Stores `value` under `key`, and returns `true` if it replaced another value. Readers see it after the next
    /// publish.
    ///
    /// To see the old value, call [`get`](Self::get) first. `insert` cannot return it, because readers may still hold
    /// it.
    ///
    /// Waits for no reader, except briefly after a publish. Allocates the entry, unless entries are inline, and
    /// sometimes a larger table. O(1) amortized. If there is no memory, the process aborts;
    /// [`try_insert`](Self::try_insert) returns an error instead.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// assert!(!w.insert("rose", "red"));
    /// assert!(w.insert("rose", "white"));
    /// w.publish();
    /// assert_eq!(r.get_copied("rose"), Some("white"));
    /// ```
    pub fn insert(&mut self, key: K, value: V) -> bool {
        self.flush().unwrap_or_else(out_of_memory);
        let hash = self.core().hash(&key);
        let replaced = self
            .core()
            .insert(hash, key, value)
            .unwrap_or_else(|_| out_of_memory(TryReserveError::Alloc));
        self.core().count();
        replaced
    }

    /// As [`insert`](Self::insert), but returns an error if there is no memory.
    ///
    /// # Errors
    /// If the allocator has no memory for the entry, a larger table or a note. The error hands back key and value.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// assert_eq!(w.try_insert("rose", "red"), Ok(false));
    /// ```
    pub fn try_insert(&mut self, key: K, value: V) -> Result<bool, TryInsertError<K, V>> {
        if self.flush().is_err() {
            return Err(TryInsertError::Alloc { key, value });
        }
        let hash = self.core().hash(&key);
        let replaced = self.core().insert(hash, key, value);
        let replaced = replaced.map_err(|(key, value)| TryInsertError::Alloc { key, value })?;
        self.core().count();
        Ok(replaced)
    }

    /// Removes the entry of `key`, and returns `true` if there was one. Readers see that after the next publish. The
    /// entry is not returned, because readers may still hold it.
    ///
    /// Waits for no reader, except briefly after a publish. O(1) expected. Allocates only while readers are stalled, to
    /// note the change; and the first change after that may need a larger table for the deferred changes.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", "red");
    /// w.publish();
    /// assert!(w.remove("rose"));
    /// assert!(r.contains_key("rose"));
    /// w.publish();
    /// assert!(!r.contains_key("rose"));
    /// ```
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.try_remove(key).unwrap_or_else(out_of_memory)
    }

    /// As [`remove`](Self::remove), but returns an error if there is no memory.
    ///
    /// # Errors
    /// If readers are stalled and the allocator has no memory for a note, or if it has none for the larger table that
    /// the deferred changes need.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert_eq!(w.try_remove(&7), Ok(false));
    /// ```
    pub fn try_remove<Q>(&mut self, key: &Q) -> Result<bool, TryReserveError>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.flush()?;
        let removed = self.core().remove(key)?;
        self.core().count();
        Ok(removed)
    }

    /// Replaces the value of `key` by the result of `with`, and returns `true` if there was one. Calls `with` once, or
    /// not at all if there is no entry. To see the new value, call [`get`](Self::get).
    ///
    /// Waits for no reader, except briefly after a publish. Allocates as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", 1);
    /// assert!(w.update("rose", |count| count + 1));
    /// w.publish();
    /// assert_eq!(r.get_copied("rose"), Some(2));
    /// ```
    pub fn update<Q>(&mut self, key: &Q, with: impl FnOnce(&V) -> V) -> bool
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.try_update(key, with).unwrap_or_else(out_of_memory)
    }

    /// As [`update`](Self::update), but returns an error and leaves the value unchanged if there is no memory.
    ///
    /// # Errors
    /// If the allocator has no memory for the entry, a larger table or a note. `with` may have been called.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", 1);
    /// assert_eq!(w.try_update("rose", |count| count + 1), Ok(true));
    /// assert_eq!(w.get("rose"), Some(&2));
    /// ```
    pub fn try_update<Q>(
        &mut self,
        key: &Q,
        with: impl FnOnce(&V) -> V,
    ) -> Result<bool, TryReserveError>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.flush()?;
        let updated = self.core().update(key, with)?;
        self.core().count();
        Ok(updated)
    }

    /// Removes all entries for which `keep` returns false.
    ///
    /// Waits for readers that have been reading since before the last publish. Then it makes deferred changes and
    /// stores the entries of a leaked batch, which may allocate; the removal itself allocates nothing. O(capacity).
    /// If `keep` panics, the entries that it rejected before are removed.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.extend((0..10).map(|n| (n, n)));
    /// w.retain(|_, n| n % 2 == 0);
    /// assert_eq!(w.len(), 5);
    /// ```
    pub fn retain(&mut self, keep: impl FnMut(&K, &V) -> bool) {
        self.wait();
        self.core().retain(keep);
        self.core().count();
    }

    /// Removes all entries, and keeps the memory. Waits as [`retain`](Self::retain) does. O(capacity).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// w.clear();
    /// assert!(w.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.wait();
        self.core().clear();
        self.core().count();
    }

    /// Makes room for `additional` more entries, so that inserting them does not grow the table.
    ///
    /// Waits for no reader. While readers are stalled, it makes room for as many deferred changes instead.
    ///
    /// # Panics
    /// If the capacity cannot be addressed. If there is no memory, the process aborts, as with std's collections.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.reserve(1000);
    /// ```
    pub fn reserve(&mut self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(out_of_memory);
    }

    /// As [`reserve`](Self::reserve), but returns an error if there is no memory.
    ///
    /// # Errors
    /// If the capacity cannot be addressed, or the allocator has no memory for it.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(w.try_reserve(usize::MAX).is_err());
    /// ```
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), TryReserveError> {
        self.flush()?;
        self.core().reserve(additional)
    }

    /// Frees memory that the entries do not need, when the change has been published. Waits as [`retain`](Self::retain)
    /// does. O(capacity). Does nothing if there is no memory for the smaller table.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.reserve(1000);
    /// w.shrink_to_fit();
    /// assert!(w.capacity() < 1000);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.wait();
        // Without memory for the smaller table the larger one stays, as documented.
        let _ = self.core().shrink_to_fit();
    }

    fn wait(&mut self) {
        self.flush().unwrap_or_else(out_of_memory);
        self.core().wait(&mut Backoff::spinning()).unwrap_or_else(out_of_memory);
    }

    /// Returns the value of `key`, unpublished changes included. O(1) expected.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", "red");
    /// assert_eq!(w.get("rose"), Some(&"red"));
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.view().get(key).map(|(_, value)| value)
    }

    /// Returns the stored key and value of `key`, unpublished changes included. O(1) expected.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", "red");
    /// assert_eq!(w.get_key_value("rose"), Some((&"rose", &"red")));
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.view().get(key)
    }

    /// Returns true if there is an entry for `key`, unpublished changes included. O(1) expected.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", "red");
    /// assert!(w.contains_key("rose"));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key).is_some()
    }

    /// Returns an iterator over all entries, unpublished changes included, in no particular order.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.extend([(1, 'a'), (2, 'b')]);
    /// assert_eq!(w.iter().map(|(key, _)| key).sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.view().entries()
    }

    /// Publishes all changes: reads that begin afterwards see them.
    ///
    /// Waits for all readers that have been reading since before the *previous* publish. If *this* thread holds such a
    /// guard or snapshot, it waits forever; [`try_publish`](Self::try_publish) never waits. The replaced entries are
    /// dropped by the next change or by [`wait_for_readers`](Self::wait_for_readers). Does nothing if nothing has
    /// changed. Linearizes when the two tables are swapped.
    ///
    /// O(1). The next change or publish takes O(changes published), and once O(capacity) after growth, `clear` or
    /// `shrink_to_fit`.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([("from", 1), ("to", 2)]);
    /// assert!(r.is_empty());
    /// w.publish();
    /// assert_eq!(r.len(), 2);
    /// ```
    pub fn publish(&mut self) {
        self.flush().unwrap_or_else(out_of_memory);
        self.core().publish(&mut Backoff::spinning()).unwrap_or_else(out_of_memory);
    }

    /// Waits until no reader sees the state before the last publish, and drops the entries that the publish replaced.
    ///
    /// The next change does the same, and the next publish waits as long. If *this* thread holds a guard or snapshot of
    /// that state, it waits forever; [`is_pending`](Self::is_pending) never waits. O(changes published).
    ///
    /// ```
    /// use std::rc::Rc;
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// let rose = Rc::new("rose");
    /// w.insert(7, Rc::clone(&rose));
    /// w.publish();
    /// w.remove(&7);
    /// w.publish();
    /// w.wait_for_readers();
    /// assert_eq!(Rc::strong_count(&rose), 1);
    /// ```
    pub fn wait_for_readers(&mut self) {
        self.wait();
    }

    /// Returns `true` while a reader may see the state before the last publish. Never waits.
    ///
    /// If it returns `false`, it has applied the deferred changes and dropped the replaced entries, as
    /// [`wait_for_readers`](Self::wait_for_readers) does. It also returns `true` if there is no memory for those
    /// changes.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// let snapshot = r.enter();
    /// w.insert(7, 'a');
    /// w.try_publish().unwrap();
    /// assert!(w.is_pending());
    /// drop(snapshot);
    /// assert!(!w.is_pending());
    /// ```
    pub fn is_pending(&mut self) -> bool {
        self.core().wait(&mut Backoff::never()) != Ok(true)
    }

    /// Publishes as [`publish`](Self::publish) does, but never waits: for interrupt handlers, and for programs whose
    /// readers hold guards for long.
    ///
    /// After `Ok`, new reads see all changes, although some readers may still see the previous state
    /// ([`stalled_readers`](Self::stalled_readers)).
    ///
    /// # Errors
    /// [`Pending`] if readers still see the state before the *last* publish, or if there is no memory for the deferred
    /// changes. The changes are kept, and the caller can try again.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert!(w.try_publish().is_ok());
    /// assert_eq!(r.get_copied(&7), Some('a'));
    /// ```
    pub fn try_publish(&mut self) -> Result<(), Pending> {
        match self.publish_now() {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Pending { readers: self.stalled_readers().count() }),
        }
    }

    /// Publishes without waiting. Returns false if a reader is in the way.
    ///
    /// # Errors
    /// If there is no memory for the deferred changes.
    pub(super) fn publish_now(&mut self) -> Result<bool, TryReserveError> {
        self.flush()?;
        self.core().publish(&mut Backoff::never())
    }

    /// Makes every `operations`-th change publish all changes. 0, the default, turns that off. While a reader prevents
    /// the publish, each further change tries again, without waiting.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.publish_every(2);
    /// w.insert(1, 'a');
    /// assert!(r.is_empty());
    /// w.insert(2, 'b');
    /// assert_eq!(r.len(), 2);
    /// ```
    pub fn publish_every(&mut self, operations: usize) {
        self.core().publish_every(operations);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> Extend<(K, V)> for WriteHandle<K, V, S, P> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let entries = entries.into_iter();
        // Half of the keys may have entries already: std's maps reserve in the same way.
        let (least, _) = entries.size_hint();
        self.reserve(if self.is_empty() { least } else { least.div_ceil(2) });
        self.batch().extend(entries);
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for WriteHandle<K, V, S, P> {
    fn drop(&mut self) {
        self.shared.release_writing();
    }
}

impl<K, V, S, P> fmt::Debug for WriteHandle<K, V, S, P>
where
    K: fmt::Debug + Hash,
    V: fmt::Debug,
    S: BuildHasher,
    P: Storage<K, V>,
{
    /// Formats all entries, unpublished changes included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.view().entries()).finish()
    }
}

/// The error of [`WriteHandle::try_publish`]: the changes could not be published yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The number of readers that prevent the publish. 0 if they have just finished, or if there is no memory for the
    /// deferred changes.
    pub readers: usize,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.readers {
            0 => f.write_str(
                "changes are not published: a reader was in the way, or there was no memory",
            ),
            n => write!(f, "{n} readers have been reading since before the last publish"),
        }
    }
}

impl Error for Pending {}
