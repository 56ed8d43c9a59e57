//! Reading: handles, guards, and views of many keys at once.

use super::inner::Inner;
use super::side::View;
use super::snapshot::Snapshot;
use super::storage::{Boxed, Storage};
use super::writer::WriteHandle;
use crate::api::hasher::DefaultHashBuilder;
use crate::error::TryReserveError;
use crate::sync::shared::Shared;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::Slot;
use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use equivalent::Equivalent;

/// Reads what was published last. One for each thread, task or interrupt handler: a handle can be sent and
/// cloned, not shared. To share something that makes handles, see [`factory`](Self::factory).
///
/// # Guarantees
/// - A read is wait-free: it waits neither for the writer nor for other readers, whoever is descheduled, and
///   allocates nothing. With `std-ext` on Linux it mostly executes neither a fence nor a locked instruction.
/// - What a read meets is one published state, all of it; on one handle states never go back.
/// - Reads linearize where they load the map's state.
/// - The map lives until its last handle is dropped, the writer's or a reader's.
pub struct ReadHandle<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    shared: Shared<Inner<K, V, S, P>>,
    slot: NonNull<Slot>,
    /// What was shown at the last look, and where that side was.
    known: Cell<SideState>,
    view: Cell<View<P::Entry>>,
}

// SAFETY: the slot is the handle's own and lives as long as the shared part; entries are read as that allows.
unsafe impl<K, V, S, P> Send for ReadHandle<K, V, S, P>
where
    K: Send + Sync,
    V: Send + Sync,
    S: Send + Sync,
    P: Storage<K, V>,
{
}

impl<K, V, S, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    pub(super) fn try_new(shared: &Shared<Inner<K, V, S, P>>) -> Result<Self, TryReserveError> {
        let shared = shared.clone();
        let slot = shared.claim().ok_or(TryReserveError::Alloc)?;
        // SAFETY: a slot of the shared part, and this is its owner now.
        let looks = unsafe { slot.as_ref() };
        let known = shared.sides.begin_read(looks, SideState::NEVER);
        // SAFETY: its owner looks, and was told this.
        let view = unsafe { shared.view(known) };
        Sides::end_read(looks);
        Ok(Self { shared, slot, known: Cell::new(known), view: Cell::new(view) })
    }

    pub(super) fn new(shared: &Shared<Inner<K, V, S, P>>) -> Self {
        Self::try_new(shared).unwrap_or_else(|_| handle_alloc_error(Layout::new::<Slot>()))
    }

    fn slot(&self) -> &Slot {
        // SAFETY: a slot of the shared part, which lives as long as the handle.
        unsafe { self.slot.as_ref() }
    }

    /// A view of many keys at once: all of one published state, until the snapshot is dropped.
    ///
    /// Wait-free; allocates nothing. Gets under one snapshot cost what a plain hash table's cost. Meanwhile the
    /// writer can publish once more, and then goes on beside, see [`WriteHandle::stalled_readers`].
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.extend([("from", 1), ("to", 2)]);
    /// w.publish();
    /// let snapshot = r.enter();
    /// assert_eq!((snapshot.get("from"), snapshot.get("to")), (Some(&1), Some(&2)));
    /// ```
    #[inline(always)]
    pub fn enter(&self) -> Snapshot<'_, K, V, S, P> {
        let known = self.known.get();
        let shown = self.shared.sides.begin_read(self.slot(), known);
        if shown != known || !SideState::IS_UNIQUE {
            return Snapshot::new(self, self.refresh_view(shown));
        }
        Snapshot::new(self, self.view.get())
    }

    #[inline(never)]
    fn refresh_view(&self, state: SideState) -> View<P::Entry> {
        // SAFETY: the handle looks, and was told this.
        let view = unsafe { self.shared.view(state) };
        if Sides::is_outermost_read(self.slot()) {
            self.view.set(view);
            self.known.set(state);
        }
        view
    }

    /// Ends the handle's latest look.
    #[inline(always)]
    pub(super) fn end_read(&self) {
        Sides::end_read(self.slot());
    }

    pub(super) fn shared(&self) -> &Inner<K, V, S, P> {
        &self.shared
    }

    /// The number of entries.
    ///
    /// Wait-free; O(1).
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// assert_eq!(r.len(), 0);
    /// w.publish();
    /// assert_eq!(r.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.enter().len()
    }

    /// Whether there are no entries. Wait-free; O(1).
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(r.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many publishes there were up to what this handle's next read will see at least. Wait-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// w.publish();
    /// assert_eq!(r.generation(), 1);
    /// ```
    pub fn generation(&self) -> u64 {
        self.enter().generation()
    }

    /// Returns the number under which [`WriteHandle::stalled_readers`] lists this handle.
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// println!("reader {}", r.reader_id());
    /// ```
    pub fn reader_id(&self) -> usize {
        self.slot().number()
    }

    /// The writer's handle, if nobody has it: its owner dropped it, or panicked. What was not published yet is
    /// there still, to be published or not. Lock-free.
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
        WriteHandle::take(&self.shared)
    }

    /// Something that makes handles of this map and, other than a handle, can be shared.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// w.publish();
    /// let factory = r.factory();
    /// std::thread::scope(|s| {
    ///     for _ in 0..2 {
    ///         s.spawn(|| assert_eq!(factory.handle().get_copied(&1), Some('a')));
    ///     }
    /// });
    /// ```
    pub fn factory(&self) -> ReadHandleFactory<K, V, S, P> {
        ReadHandleFactory { shared: self.shared.clone() }
    }

    /// As `clone`, but says when there is no memory.
    ///
    /// # Errors
    /// When all slots are taken and the allocator has no memory for more of them.
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// let other = r.try_clone().expect("there is memory");
    /// assert!(other.is_empty());
    /// ```
    pub fn try_clone(&self) -> Result<Self, TryReserveError> {
        Self::try_new(&self.shared)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    /// The key's value, held as long as the guard is.
    ///
    /// Wait-free; allocates nothing; O(1) expected. Calls the hasher once, and `Eq` for the key that is found
    /// and for one in a hundred others.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", String::from("red"));
    /// w.publish();
    /// assert_eq!(r.get("rose").as_deref().map(String::as_str), Some("red"));
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<ReadGuard<'_, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let snapshot = self.enter();
        let value = NonNull::from(snapshot.get(key)?);
        // The guard looks away instead.
        core::mem::forget(snapshot);
        Some(ReadGuard { value, slot: self.slot(), handle: PhantomData })
    }

    /// What `with` makes of the key's value.
    ///
    /// Wait-free, if `with` is.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", String::from("red"));
    /// w.publish();
    /// assert_eq!(r.get_with("rose", |colour| colour.len()), Some(3));
    /// ```
    #[inline]
    pub fn get_with<Q, R>(&self, key: &Q, with: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.enter().get(key).map(with)
    }

    /// A copy of the key's value. Wait-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::inline();
    /// w.insert(7, 'a');
    /// w.publish();
    /// assert_eq!(r.get_copied(&7), Some('a'));
    /// ```
    #[inline]
    pub fn get_copied<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Copy,
    {
        self.enter().get(key).copied()
    }

    /// A clone of the key's value. Wait-free, if `V::clone` is.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", String::from("red"));
    /// w.publish();
    /// assert_eq!(r.get_cloned("rose"), Some("red".into()));
    /// ```
    #[inline]
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.enter().get(key).cloned()
    }

    /// Returns a clone of the value of `key`, or the default value. Inserts nothing. Wait-free, if `V::clone` and
    /// `V::default` are.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 1);
    /// w.publish();
    /// assert_eq!((r.get_or_default(&7), r.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone + Default,
    {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Whether there is an entry for `key`. Wait-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert!(!r.contains_key(&7));
    /// w.publish();
    /// assert!(r.contains_key(&7));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.enter().contains_key(key)
    }
}

impl<K, V, S, P: Storage<K, V>> Clone for ReadHandle<K, V, S, P> {
    /// Another handle. Lock-free; allocates a handle's slot only where there were never so many handles at a
    /// time, and then as std's collections do. May be called while this handle's guards are held.
    fn clone(&self) -> Self {
        Self::new(&self.shared)
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for ReadHandle<K, V, S, P> {
    fn drop(&mut self) {
        // Guards that were forgotten hold nothing any more: they borrowed the handle.
        Sides::end_all_reads(self.slot());
        self.slot().release();
    }
}

impl<K, V, S, P: Storage<K, V>> fmt::Debug for ReadHandle<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHandle").field("reader", &self.reader_id()).finish_non_exhaustive()
    }
}

/// Makes [`ReadHandle`]s; other than them it can be shared between threads.
pub struct ReadHandleFactory<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    shared: Shared<Inner<K, V, S, P>>,
}

impl<K, V, S, P: Storage<K, V>> ReadHandleFactory<K, V, S, P> {
    /// A handle of the caller's own. As a handle's `clone`.
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(r.factory().handle().is_empty());
    /// ```
    #[must_use]
    pub fn handle(&self) -> ReadHandle<K, V, S, P> {
        ReadHandle::new(&self.shared)
    }
}

impl<K, V, S, P: Storage<K, V>> Clone for ReadHandleFactory<K, V, S, P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K, V, S, P: Storage<K, V>> fmt::Debug for ReadHandleFactory<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHandleFactory").finish_non_exhaustive()
    }
}

/// A value that a reader looks at.
///
/// While it is held the writer can publish once more, and then goes on beside
/// ([`WriteHandle::stalled_readers`]).
pub struct ReadGuard<'a, V> {
    value: NonNull<V>,
    slot: &'a Slot,
    /// Neither `Send` nor `Sync`: the slot is of the handle's thread.
    handle: PhantomData<(&'a V, *mut ())>,
}

impl<'a, V> ReadGuard<'a, V> {
    /// A guard of a part of the value.
    ///
    /// ```
    /// use hedgerow::left_right::ReadGuard;
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, (1, 'a'));
    /// w.publish();
    /// let letter = r.get(&7).map(|guard| ReadGuard::map(guard, |pair| &pair.1));
    /// assert_eq!(letter.as_deref(), Some(&'a'));
    /// ```
    pub fn map<U>(guard: Self, part: impl FnOnce(&V) -> &U) -> ReadGuard<'a, U> {
        let value = NonNull::from(part(&guard));
        let slot = guard.slot;
        core::mem::forget(guard);
        ReadGuard { value, slot, handle: PhantomData }
    }
}

impl<V> Deref for ReadGuard<'_, V> {
    type Target = V;

    #[inline(always)]
    fn deref(&self) -> &V {
        // SAFETY: found by the look that ends with this guard.
        unsafe { self.value.as_ref() }
    }
}

impl<V> Drop for ReadGuard<'_, V> {
    #[inline(always)]
    fn drop(&mut self) {
        Sides::end_read(self.slot);
    }
}

impl<V: fmt::Debug> fmt::Debug for ReadGuard<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
