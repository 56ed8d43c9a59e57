//! Writing: one handle, whose changes readers see when it publishes them.

use super::inner::Inner;
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
use equivalent::Equivalent;
#[cfg(feature = "std")]
use std::sync::Arc;

/// Changes a map, and has readers see the changes all at once, when it publishes them.
///
/// There is one at a time. If it is dropped, or its thread panics, [`ReadHandle::writer`] gives another, which
/// goes on where this one was.
///
/// # Guarantees
/// - Closures run once, and a change is made to the other table without any user code. `Hash`, `Eq`, `Clone`, `Drop`
///   and closures run with nothing half done: they may panic, and they may use readers' handles of the same map. None
///   of them runs while a lock is held that a reader needs, for there is no such lock.
/// - A key whose `Hash` contradicts its `Eq` may be found or not, and there may be two of it. Other keys and what
///   readers see are not affected, except that other [`Inline`](super::Inline) entries may not be found where `Hash`
///   answers differently each time.
/// - Keys and values are dropped once: those that readers may have met, by the first change after the publish that hid
///   them ([`wait_for_readers`](Self::wait_for_readers) does it at once), others at once, and all that is left with the
///   last handle, the writer's or a reader's.
/// - No operation but [`publish`](Self::publish), [`wait_for_readers`](Self::wait_for_readers),
///   [`retain`](Self::retain), [`clear`](Self::clear) and [`shrink_to_fit`](Self::shrink_to_fit) waits for a reader,
///   but for the first change after a publish, and that not for long. While one has been looking since before the last
///   publish, changes are noted beside, at the price of a hash table's insertion each, and made later.
/// - Publishing costs time by what has changed, not by what is there; after growth, once by what is there. The first
///   change after a publish takes most of it.
pub struct WriteHandle<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    shared: Shared<Inner<K, V, S, P>>,
}

/// Figures about a map, from [`WriteHandle::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftRightStats {
    /// Entries, unpublished changes included.
    pub len: usize,
    /// Bytes of both tables and of notes about what has changed. Boxed entries come on top.
    pub memory_bytes: usize,
}

#[cold]
fn out_of_memory<T>(why: TryReserveError) -> T {
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
    /// Of a map just made.
    pub(super) fn new(shared: Shared<Inner<K, V, S, P>>) -> Self {
        Self { shared }
    }

    pub(super) fn take(shared: &Shared<Inner<K, V, S, P>>) -> Option<Self> {
        shared.claim_writing().then(|| Self { shared: shared.clone() })
    }

    fn core(&mut self) -> WriterCore<'_, K, V, S, P> {
        // SAFETY: this handle has the writer's place, and is borrowed mutably as long as the pen is.
        unsafe { WriterCore::new(&self.shared) }
    }

    /// The lock that is taken for each use of this handle from now on, or None.
    #[cfg(feature = "std")]
    pub(super) fn share(&mut self, lock: Option<Arc<Holder>>) {
        // SAFETY: this handle has the writer's place, and is borrowed mutably, so nobody else uses the draft.
        unsafe { self.shared.pending_mut() }.lock = lock;
    }

    /// Whether something was not dropped because this thread held the lock.
    #[cfg(feature = "std")]
    pub(super) fn has_reclaimable(&mut self) -> bool {
        self.core().has_reclaimable()
    }

    /// What was not dropped because this thread held the lock.
    #[cfg(feature = "std")]
    pub(super) fn take_reclaimable(&mut self) -> Reclaimable<K, V, P> {
        self.core().take_reclaimable()
    }

    fn view(&self) -> WriterView<'_, K, V, S, P> {
        // SAFETY: this handle has the writer's place, and is borrowed as long as the result, so no pen is made.
        WriterView::new(&self.shared, unsafe { self.shared.pending() })
    }

    /// Returns another reader's handle. As a [`ReadHandle`]'s `clone`.
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

    /// The number of entries, unpublished changes included. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert_eq!(w.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are no entries, unpublished changes included. O(1).
    ///
    /// ```
    /// let (w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(w.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries there is room for before the table grows. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.reserve(100);
    /// assert!(w.capacity() >= 100);
    /// ```
    pub fn capacity(&self) -> usize {
        self.view().capacity()
    }

    /// Returns figures about the map, unpublished changes included. O(1).
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

    /// Whether there are changes that readers do not see. O(1).
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert!(w.has_changes());
    /// w.publish();
    /// assert!(!w.has_changes());
    /// ```
    pub fn has_changes(&self) -> bool {
        self.view().is_changed()
    }

    /// How many publishes there were.
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

    /// Numbers ([`ReadHandle::reader_id`]) of the readers who have been looking since before the last publish. They
    /// keep what it replaced from being dropped, and the next publish from being done. Of one who let go and looks
    /// again this may not be told at once, but the next time.
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

    /// The map's hasher.
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
    /// Stores `value` under `key`; says whether it replaced another. Readers see it after the next publish.
    ///
    /// It does not return what it replaces: readers may hold that value, so it cannot be moved out; one that no reader
    /// has seen is dropped before this returns, so it cannot be lent; and a clone would cost every caller. Call
    /// [`get`](Self::get) before it to see that value.
    ///
    /// Waits for nobody, but for a moment after a publish. Allocates the entry, unless entries are kept inline, and now
    /// and then a larger table. O(1) amortized. Running out of memory is handled as in std's collections;
    /// [`try_insert`](Self::try_insert) says so instead.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// assert!(!w.insert("rose", "red"));
    /// assert!(w.insert("rose", "white"));
    /// w.publish();
    /// assert_eq!(r.get_copied("rose"), Some("white"));
    /// ```
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let replaced = self
            .core()
            .insert(key, value)
            .unwrap_or_else(|_| out_of_memory(TryReserveError::Alloc));
        self.core().count();
        replaced
    }

    /// As [`insert`](Self::insert), but says when there is no memory.
    ///
    /// # Errors
    /// When the allocator has no memory for the entry, a larger table, or a note; with key and value.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// assert_eq!(w.try_insert("rose", "red"), Ok(false));
    /// ```
    pub fn try_insert(&mut self, key: K, value: V) -> Result<bool, TryInsertError<K, V>> {
        let replaced = self.core().insert(key, value);
        let replaced = replaced.map_err(|(key, value)| TryInsertError::Alloc { key, value })?;
        self.core().count();
        Ok(replaced)
    }

    /// Removes the entry of `key`; says whether there was one. Readers see it after the next publish. It does not
    /// return the entry, for the reason that [`insert`](Self::insert) gives.
    ///
    /// Waits for nobody, but for a moment after a publish. Allocates only while readers are stuck, for a note. O(1)
    /// expected.
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

    /// As [`remove`](Self::remove), but says when there is no memory.
    ///
    /// # Errors
    /// When readers are stuck, or were, and the allocator has no memory for a note, or for a larger table to make
    /// what was noted.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert_eq!(w.try_remove(&7), Ok(false));
    /// ```
    pub fn try_remove<Q>(&mut self, key: &Q) -> Result<bool, TryReserveError>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let removed = self.core().remove(key)?;
        self.core().count();
        Ok(removed)
    }

    /// Replaces the key's value by what `with` makes of it; says whether there was one. `with` is called once,
    /// or not at all.
    ///
    /// It does not return a reference to the new value, which would cost every caller another look-up, because what it
    /// has changed may be published and copied before it returns ([`publish_every`](Self::publish_every)).
    /// [`get`](Self::get) is that look-up.
    ///
    /// Waits for nobody, but for a moment after a publish. Allocates as [`insert`](Self::insert) does.
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

    /// As [`update`](Self::update), but says when there is no memory: then the value is what it was.
    ///
    /// # Errors
    /// When the allocator has no memory for the entry, a larger table, or a note. `with` may have been called.
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
        let updated = self.core().update(key, with)?;
        self.core().count();
        Ok(updated)
    }

    /// Removes all entries for which `keep` does not hold.
    ///
    /// Waits for readers who have been looking since before the last publish. Allocates nothing. O(capacity). If
    /// `keep` panics, what it was asked about before is done.
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

    /// Removes all entries, and keeps the room. Waits as [`retain`](Self::retain) does. O(capacity).
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

    /// Room for `additional` entries more, so that inserting them does not have the table grow.
    ///
    /// Waits for nobody; while readers are stuck it makes room for so many notes instead.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.reserve(1000);
    /// ```
    pub fn reserve(&mut self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(out_of_memory);
    }

    /// As [`reserve`](Self::reserve), but says when there is no memory.
    ///
    /// # Errors
    /// When the capacity cannot be addressed or the allocator has not got it.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(w.try_reserve(usize::MAX).is_err());
    /// ```
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), TryReserveError> {
        self.core().reserve(additional)
    }

    /// Gives back room that the entries do not need, when the change has been published. Waits as
    /// [`retain`](Self::retain) does. O(capacity). Does nothing where there is no memory for the smaller table.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// w.reserve(1000);
    /// w.shrink_to_fit();
    /// assert!(w.capacity() < 1000);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.wait();
        // As it says.
        let _ = self.core().shrink_to_fit();
    }

    fn wait(&mut self) {
        self.core().wait(&mut Backoff::spinning()).unwrap_or_else(out_of_memory);
    }

    /// The key's value, unpublished changes included. O(1) expected.
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

    /// Key and value as they are stored, unpublished changes included. O(1) expected.
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

    /// Whether there is an entry for `key`, unpublished changes included. O(1) expected.
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

    /// All entries, unpublished changes included, in no order.
    ///
    /// ```
    /// let (mut w, _r) = hedgerow::LeftRightMap::new();
    /// w.extend([(1, 'a'), (2, 'b')]);
    /// assert_eq!(w.iter().map(|(key, _)| key).sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.view().entries()
    }

    /// Has readers see all changes.
    ///
    /// Waits until everybody who has been looking since before the *last* publish has looked away. A guard or snapshot
    /// that *this* thread holds since then is waited for too, for ever: [`try_publish`](Self::try_publish) does not
    /// wait. What was replaced is dropped with the next change, or by [`wait_for_readers`](Self::wait_for_readers).
    /// Linearizes where the sides change places. O(1); of the next change or publish O(changes published), and once
    /// O(capacity) after growth, `clear` or `shrink_to_fit`. Does nothing where nothing has changed.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([("from", 1), ("to", 2)]);
    /// assert!(r.is_empty());
    /// w.publish();
    /// assert_eq!(r.len(), 2);
    /// ```
    pub fn publish(&mut self) {
        self.core().publish(&mut Backoff::spinning()).unwrap_or_else(out_of_memory);
    }

    /// Waits until nobody is looking any more at what was shown before the last publish, and drops what it replaced.
    ///
    /// The next change does as much, and the next publish waits as long. A guard or snapshot that *this* thread holds
    /// is waited for too, for ever: [`is_pending`](Self::is_pending) does not wait. O(changes published).
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

    /// Returns true while a reader is still looking at what was shown before the last publish. Waits for nobody.
    ///
    /// If it returns false, the changes that were noted since have been made, and what was replaced is dropped, as by
    /// [`wait_for_readers`](Self::wait_for_readers). It returns true too if there is no memory for making them.
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

    /// As [`publish`](Self::publish), but waits for nobody: for interrupt handlers, and where readers may hold
    /// guards for long.
    ///
    /// If it returns `Ok`, readers see all changes; some may still be looking at what was before
    /// ([`stalled_readers`](Self::stalled_readers)).
    ///
    /// # Errors
    /// When readers are still looking at what was shown before the *last* publish, or there is no memory for making
    /// the changes that were noted since. Nothing is lost: this can be tried again.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert!(w.try_publish().is_ok());
    /// assert_eq!(r.get_copied(&7), Some('a'));
    /// ```
    pub fn try_publish(&mut self) -> Result<(), Pending> {
        match self.core().publish(&mut Backoff::never()) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Pending { readers: self.stalled_readers().count() }),
        }
    }

    /// Has every `operations`-th change publish all there are; 0, as in the beginning, for none.
    ///
    /// While a reader is in the way, every further change tries again, without waiting.
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
        // Half of them may be there already: as std's maps take it.
        let (least, _) = entries.size_hint();
        self.reserve(if self.is_empty() { least } else { least.div_ceil(2) });
        for (key, value) in entries {
            self.insert(key, value);
        }
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
    /// All entries, unpublished changes included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.view().entries()).finish()
    }
}

/// There are changes that readers do not see yet: see [`WriteHandle::try_publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// How many readers are in the way; 0 where they have just left, or it is memory that there is none of.
    pub readers: usize,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.readers {
            0 => f.write_str("not yet: there was a reader in the way, or no memory"),
            n => write!(f, "{n} readers have been looking since before the last publish"),
        }
    }
}

impl Error for Pending {}
