//! Readers' handles: each owns a slot, in which it announces its read sections.

use super::inner::LeftRightCore;
use super::side::SideView;
use super::storage::{Boxed, Storage};
use crate::api::hasher::DefaultHashBuilder;
use crate::error::TryReserveError;
use crate::facade::ScheduledRef;
use crate::sync::shared::Shared;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::ReaderSlot;
use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

/// A reader of a [`LeftRightMap`](super::LeftRightMap), which sees the state that was published last.
///
/// Each thread, task or interrupt handler has its own: a handle can be sent and cloned, but not shared. To create
/// handles in several threads, share a [`factory`](Self::factory).
///
/// # Guarantees
/// - Reads are wait-free, even if the writer or another reader is preempted, and allocate nothing. With `std-ext` on
///   Linux, most reads execute neither a fence nor a locked instruction.
/// - A read sees exactly one published state, and no later read of the same handle sees an older one. Its linearization
///   point is its load of the map's state.
/// - The map lives until its last handle is dropped, whether the writer's or a reader's.
pub struct ReadHandle<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    shared: Shared<LeftRightCore<K, V, S, P>>,
    slot: NonNull<ReaderSlot>,
    /// The state that the last outermost read section returned, and a view of that read side.
    known: Cell<SideState>,
    view: Cell<SideView<P::Entry>>,
}

// A read section ends when its guard is dropped, also by a panic.
impl<K, V, S, P: Storage<K, V>> UnwindSafe for ReadHandle<K, V, S, P> {}
impl<K, V, S, P: Storage<K, V>> RefUnwindSafe for ReadHandle<K, V, S, P> {}
// SAFETY: the handle owns its slot, which lives as long as the shared part. The shared part allows any thread to read
// entries.
unsafe impl<K, V, S, P> Send for ReadHandle<K, V, S, P>
where
    K: Send + Sync,
    V: Send + Sync,
    S: Send + Sync,
    P: Storage<K, V>,
{
}

impl<K, V, S, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    pub(super) fn try_new(
        shared: &Shared<LeftRightCore<K, V, S, P>>,
    ) -> Result<Self, TryReserveError> {
        let shared = shared.clone();
        let slot = shared.claim().ok_or(TryReserveError::Alloc)?;
        // SAFETY: the slot belongs to the shared part, which lives as long as `shared`.
        let owned = unsafe { slot.as_ref() };
        // This read section replaces the state that the slot's last owner stored. Otherwise the writer could take the
        // new handle's first read section for one of the last owner.
        let known = shared.sides.begin_read(owned, SideState::NEVER);
        // SAFETY: the read section that returned `known` has not ended.
        let view = unsafe { shared.view(known) };
        Sides::end_read(owned);
        Ok(Self { shared, slot, known: Cell::new(known), view: Cell::new(view) })
    }

    pub(super) fn new(shared: &Shared<LeftRightCore<K, V, S, P>>) -> Self {
        Self::try_new(shared).unwrap_or_else(|_| handle_alloc_error(Layout::new::<ReaderSlot>()))
    }

    pub(super) fn slot(&self) -> &ReaderSlot {
        // SAFETY: the slot belongs to the shared part, which lives as long as the handle.
        unsafe { self.slot.as_ref() }
    }

    /// Begins a read section, which [`end_read`](Self::end_read) ends, and returns a view of the read side.
    #[inline(always)]
    pub(super) fn begin_read(&self) -> SideView<P::Entry> {
        let known = self.known.get();
        let state = self.shared.sides.begin_read(self.slot(), known);
        // The same state means the same side, so the view of the last read section still holds. If swap counts soon
        // wrap around, an equal state may be another one.
        if state != known || !SideState::IS_UNIQUE {
            return self.refresh_view(state);
        }
        self.view.get()
    }

    #[inline(never)]
    fn refresh_view(&self, state: SideState) -> SideView<P::Entry> {
        // SAFETY: the read section that returned `state` has not ended.
        let view = unsafe { self.shared.view(state) };
        // A nested read section does not store its state in the slot, so the next outer one must not rely on it.
        if Sides::is_outermost_read(self.slot()) {
            self.view.set(view);
            self.known.set(state);
        }
        view
    }

    /// Ends the handle's latest read section.
    #[inline(always)]
    pub(super) fn end_read(&self) {
        let _operation = self.scheduled().operation();
        Sides::end_read(self.slot());
    }

    pub(super) fn scheduled(&self) -> ScheduledRef<'_> {
        self.shared.sides.scheduled.by_ref()
    }

    pub(super) fn shared(&self) -> &Shared<LeftRightCore<K, V, S, P>> {
        &self.shared
    }

    /// Returns the number under which [`WriteHandle::stalled_readers`](super::WriteHandle::stalled_readers) lists this
    /// handle.
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// println!("reader {}", r.reader_id());
    /// ```
    pub fn reader_id(&self) -> usize {
        self.slot().number()
    }

    /// Returns a factory, which makes handles of this map and, unlike a handle, can be shared between threads.
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

    /// As `clone`, but returns an error if there is no memory.
    ///
    /// # Errors
    /// If all slots are taken and the allocator has no memory for more.
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

impl<K, V, S, P: Storage<K, V>> Clone for ReadHandle<K, V, S, P> {
    /// Returns another handle. Lock-free. Allocates only if there have never been as many handles at a time; if there
    /// is no memory then, the process aborts. May be called while guards of this handle are held.
    fn clone(&self) -> Self {
        Self::new(&self.shared)
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for ReadHandle<K, V, S, P> {
    fn drop(&mut self) {
        let _operation = self.scheduled().operation();
        // A forgotten guard has not ended its read section. It borrowed the handle, so no thread uses it now.
        Sides::end_all_reads(self.slot());
        self.slot().release();
    }
}

impl<K, V, S, P: Storage<K, V>> fmt::Debug for ReadHandle<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHandle").field("reader", &self.reader_id()).finish_non_exhaustive()
    }
}

/// Makes [`ReadHandle`]s. Unlike them it can be shared between threads.
pub struct ReadHandleFactory<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    shared: Shared<LeftRightCore<K, V, S, P>>,
}

// It only makes handles.
impl<K, V, S, P: Storage<K, V>> UnwindSafe for ReadHandleFactory<K, V, S, P> {}
impl<K, V, S, P: Storage<K, V>> RefUnwindSafe for ReadHandleFactory<K, V, S, P> {}

impl<K, V, S, P: Storage<K, V>> ReadHandleFactory<K, V, S, P> {
    /// Returns a new handle, as `clone` of a handle does.
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
