//! Handles: readers' slots that do not belong to a thread, and the guards that own one.

use super::collector::{Collector, Readers};
use super::guard::sealed::Sealed;
use super::guard::{Guard, HasGuard, SlotPtr, disown, out_of_memory};
use crate::error::TryReserveError;
use core::fmt;
use core::marker::PhantomData;

/// A reader's own slot, for code without thread-locals: each task or interrupt handler has one. Its guards serve all
/// maps without a [`Collector`]. [`Collector::handle`] makes one for the maps of a collector.
///
/// ```
/// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
/// let handle = hedgerow::owned::Handle::new();
/// let guard = handle.pin();
/// assert_eq!(map.with_guard(&guard).get(&7).map(String::as_str), Some("seven"));
/// ```
pub struct Handle {
    slot: SlotPtr,
    /// Keep the slot, if it is one of a collector.
    readers: Readers,
    /// Not `Sync`: only one thread at a time may count guards.
    owner: PhantomData<core::cell::Cell<()>>,
}

impl Handle {
    /// Creates a handle with a slot of its own. If there is no memory, the process aborts, as with std's collections.
    ///
    /// ```
    /// let handle = hedgerow::owned::Handle::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|_| out_of_memory())
    }

    /// As [`new`](Self::new), but returns an error if there is no memory.
    ///
    /// # Errors
    /// If the allocator has no memory for another block of slots.
    ///
    /// ```
    /// assert!(hedgerow::owned::Handle::try_new().is_ok());
    /// ```
    pub fn try_new() -> Result<Self, TryReserveError> {
        Self::of(Readers::new())
    }

    /// Makes a handle whose guards serve the maps of `readers`.
    pub(crate) fn of(readers: Readers) -> Result<Self, TryReserveError> {
        let slot = readers.domain().claim().ok_or(TryReserveError::Alloc)?.into();
        Ok(Self { slot, readers, owner: PhantomData })
    }

    /// Returns a guard, which holds until it is dropped. Wait-free; allocates nothing.
    ///
    /// ```
    /// let handle = hedgerow::owned::Handle::new();
    /// let (one, another) = (handle.pin(), handle.pin());
    /// assert_eq!(one.reader_id(), another.reader_id());
    /// ```
    #[inline]
    pub fn pin(&self) -> Guard<'_> {
        Guard::enter_in(self.readers.domain(), self.slot)
    }

    /// Returns a guard that owns its handle, and so may move to another thread.
    ///
    /// ```
    /// let guard = hedgerow::owned::Handle::new().into_guard();
    /// std::thread::spawn(move || drop(guard)).join().unwrap();
    /// ```
    #[must_use]
    pub fn into_guard(self) -> OwnedGuard {
        let guard = Guard::enter_in(self.readers.domain(), self.slot);
        let readers = self.readers.clone();
        // Dropping the handle orphans the slot, which the guard then gives back.
        drop(self);
        OwnedGuard { guard, _readers: readers }
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        disown(self.slot.get());
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("reader", &self.slot.get().number()).finish_non_exhaustive()
    }
}

/// A [`Guard`] that may move to another thread. A future may hold it across an `await`.
///
/// [`HashMap::pin_owned`](crate::HashMap::pin_owned) returns a map that holds one.
///
/// ```
/// # fn spawn<F: Future + Send>(_: F) {}
/// # async fn something() {}
/// static MAP: std::sync::LazyLock<hedgerow::HashMap<u32, String>> = std::sync::LazyLock::new(Default::default);
/// spawn(async {
///     let map = MAP.pin_owned(); // has an `OwnedGuard`
///     let name = map.get(&7);
///     something().await;
///     println!("{name:?}");
/// });
/// ```
pub struct OwnedGuard {
    /// Not of the lifetime that it has here, but as long-lived as this. Nothing returns it by value. Dropped first.
    guard: Guard<'static>,
    /// Keep the slot, if it is one of a collector.
    _readers: Readers,
}

// SAFETY: the slot belongs to this guard alone, because the guard cannot be cloned and its handle is gone. So one
// thread at a time pins, counts and unpins, and moving the guard to another thread orders the two.
unsafe impl Send for OwnedGuard {}
// SAFETY: a shared guard gives access to its number alone.
unsafe impl Sync for OwnedGuard {}

impl core::ops::Deref for OwnedGuard {
    type Target = Guard<'static>;
    fn deref(&self) -> &Guard<'static> {
        &self.guard
    }
}

impl fmt::Debug for OwnedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.guard.fmt(f)
    }
}

impl HasGuard for OwnedGuard {
    #[inline(always)]
    fn guard(&self) -> &Guard<'_> {
        &self.guard
    }
}

impl Sealed for OwnedGuard {}

impl Collector {
    /// Creates a handle whose guards are for the maps of this collector. If there is no memory, the process aborts, as
    /// with the collections of std.
    ///
    /// ```
    /// use hedgerow::{HashMap, owned::Collector};
    /// let collector = Collector::new();
    /// let map = HashMap::from([("rose", "red")]).with_collector(&collector);
    /// let handle = collector.handle();
    /// assert!(map.with_guard(&handle.pin()).get("rose").is_some());
    /// ```
    pub fn handle(&self) -> Handle {
        self.try_handle().unwrap_or_else(|_| out_of_memory())
    }

    /// As [`handle`](Self::handle), but returns an error if there is no memory.
    ///
    /// # Errors
    /// If the allocator has no memory for another block of slots.
    ///
    /// ```
    /// assert!(hedgerow::owned::Collector::new().try_handle().is_ok());
    /// ```
    pub fn try_handle(&self) -> Result<Handle, TryReserveError> {
        Handle::of(Readers::of(self))
    }
}

impl Readers {
    /// Makes a handle of its own.
    pub(crate) fn handle(&self) -> Handle {
        Handle::of(self.clone()).unwrap_or_else(|_| out_of_memory())
    }
}
