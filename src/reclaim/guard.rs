//! Guards: a thread's announcement that it may be using entries of maps.

use crate::error::TryReserveError;
use crate::sync::epoch::{DOMAIN, Domain};
use crate::sync::slot::Slot;
use core::fmt;
use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// Set in the owner's note of a slot, beside the number of guards: the owner has gone, and the last guard releases the
/// slot.
const ORPHANED: usize = 1 << (usize::BITS - 1);

/// Keeps removed entries in memory: an entry that this thread has found is not dropped while the guard is held.
///
/// One guard serves all maps of [`owned`](crate::owned). It locks nothing and no operation waits for it, so any thread
/// may write to any map, and take more guards, while it is held. Entries that are removed in that time stay in memory:
/// see [`HashMap::pending`](crate::HashMap::pending) and [`HashMap::stalled_readers`](crate::HashMap::stalled_readers).
///
/// Most programs never name a guard. References returned by a map hold their own ([`Ref`](crate::owned::Ref)), and so
/// does the map that [`HashMap::pin`](crate::HashMap::pin) returns. Pass a guard explicitly with
/// [`HashMap::with_guard`](crate::HashMap::with_guard).
///
/// A guard is not `Send`, and neither is a future that holds one across an `await`, or a [`Ref`](crate::owned::Ref) or
/// iterator. In async code, copy the value with [`HashMap::get_cloned`](crate::HashMap::get_cloned), or hold an
/// [`OwnedGuard`], as [`HashMap::pin_owned`](crate::HashMap::pin_owned) does.
pub struct Guard<'a> {
    slot: &'static Slot,
    /// Neither `Send` nor `Sync`. Borrows the handle, if the guard is from one.
    owner: PhantomData<(NotSend, &'a ())>,
}

/// Neither `Send` nor `Sync`. The compiler's error about a guard across an `await` names the trait, which is never
/// implemented.
type NotSend = PhantomData<
    dyn GuardStaysInItsThreadSoUsePinOwnedOrGetClonedInFutures + Unpin + UnwindSafe + RefUnwindSafe,
>;

trait GuardStaysInItsThreadSoUsePinOwnedOrGetClonedInFutures {}

/// Returns a guard for this thread, which holds until it is dropped.
///
/// With feature `std` the guard uses the thread's own slot, and each further guard costs an addition. Without `std`,
/// each guard claims a slot of the process-wide registry by compare-and-swap. A [`Handle`] saves that.
///
/// Lock-free. Allocates only if more threads hold guards than ever before. If there is no memory then, the process
/// aborts; [`try_pin`] returns an error instead.
///
/// ```
/// use hedgerow::{BytesMap, HashMap};
///
/// let (ages, colours) = (HashMap::<String, u32>::new(), BytesMap::from([("rose", "red")]));
/// let guard = hedgerow::owned::pin();
/// let (ages, colours) = (ages.with_guard(&guard), colours.with_guard(&guard)); // one guard for both
/// let colour: &[u8] = colours.get("rose").unwrap();
/// colours.insert("rose", "white"); // no write waits for the guard
/// assert_eq!((colour, colours.get("rose").unwrap()), (&b"red"[..], &b"white"[..]));
/// assert_eq!(ages.get("ann"), None);
/// ```
#[inline(always)]
pub fn pin() -> Guard<'static> {
    try_pin().unwrap_or_else(|_| out_of_memory())
}

/// As [`pin`], but returns an error if there is no memory.
///
/// With feature `std`, a thread that has had a guard gets every further one without memory. So its operations under
/// [`pin`] cannot fail for that reason.
///
/// # Errors
/// If the allocator has no memory for another block of slots.
///
/// ```
/// let guard = hedgerow::owned::try_pin().expect("there is memory");
/// ```
#[inline(always)]
pub fn try_pin() -> Result<Guard<'static>, TryReserveError> {
    #[cfg(feature = "std")]
    if let Some(slot) = local::slot() {
        return Ok(Guard::enter(slot));
    }
    temporary()
}

/// Returns a guard with a slot of its own, which it releases when it is dropped.
#[cold]
fn temporary() -> Result<Guard<'static>, TryReserveError> {
    let guard = Guard::enter(claim()?);
    guard.orphan();
    Ok(guard)
}

/// Returns a number that tells threads apart, or 0 if there are no thread-locals.
#[inline]
pub(crate) fn reader() -> usize {
    #[cfg(feature = "std")]
    if let Some(slot) = local::slot() {
        return slot.number();
    }
    0
}

fn claim() -> Result<&'static Slot, TryReserveError> {
    DOMAIN.claim().ok_or(TryReserveError::Alloc)
}

#[cold]
fn out_of_memory() -> ! {
    alloc::alloc::handle_alloc_error(core::alloc::Layout::new::<Slot>())
}

/// The thread's own slot.
#[cfg(feature = "std")]
mod local {
    use super::{Slot, claim, disown};
    use core::cell::Cell;

    std::thread_local! {
        /// The slot, from the first guard of the thread until `OWNER` is destroyed. It has no destructor, so an access
        /// need not check whether it is alive.
        static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
        static OWNER: Owner = const { Owner(Cell::new(None)) };
    }

    /// Releases the slot when the thread ends.
    struct Owner(Cell<Option<&'static Slot>>);

    impl Drop for Owner {
        fn drop(&mut self) {
            if let Some(slot) = self.0.take() {
                // Destructors of other thread-locals may run after this, and must not use the slot.
                let _ = SLOT.try_with(|cached| cached.set(None));
                disown(slot);
            }
        }
    }

    /// Returns the thread's slot, or `None` if there is no memory for one or the thread is ending.
    #[inline(always)]
    pub(crate) fn slot() -> Option<&'static Slot> {
        match SLOT.try_with(Cell::get) {
            Ok(Some(slot)) => Some(slot),
            _ => first(),
        }
    }

    #[cold]
    fn first() -> Option<&'static Slot> {
        let claimed = |owner: &Owner| {
            let slot = owner.0.get().or_else(|| claim().ok());
            owner.0.set(slot);
            let _ = SLOT.try_with(|cached| cached.set(slot));
            slot
        };
        OWNER.try_with(claimed).ok().flatten()
    }
}

impl Guard<'_> {
    #[inline(always)]
    fn enter(slot: &'static Slot) -> Self {
        let count = slot.owner_note.load();
        if count == 0 {
            DOMAIN.pin(slot);
        } else {
            // The highest bit is not part of the number.
            assert!(count | ORPHANED != usize::MAX, "more guards than can be counted");
        }
        slot.owner_note.store(count + 1);
        Self { slot, owner: PhantomData }
    }

    /// Notes that the owner has gone: the last guard of the slot releases it.
    fn orphan(&self) {
        let count = self.slot.owner_note.load();
        self.slot.owner_note.store(count | ORPHANED);
    }

    /// Returns another guard of the same slot, for an addition. (Not `Clone`: threads may share an [`OwnedGuard`], and
    /// only one thread may count.)
    #[inline(always)]
    pub(crate) fn again(&self) -> Self {
        Self::enter(self.slot)
    }

    /// Returns the number under which [`stalled_readers`](crate::owned::HashMap::stalled_readers) lists this guard.
    ///
    /// ```
    /// let guard = hedgerow::owned::pin();
    /// println!("reader {}", guard.reader_id());
    /// ```
    pub fn reader_id(&self) -> usize {
        self.slot.number()
    }
}

impl Drop for Guard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let count = self.slot.owner_note.load() - 1;
        self.slot.owner_note.store(count);
        if count == 0 {
            Domain::unpin(self.slot);
        } else if count == ORPHANED {
            give_back(self.slot);
        }
    }
}

#[cold]
fn give_back(slot: &'static Slot) {
    slot.owner_note.store(0);
    Domain::unpin(slot);
    slot.release();
}

/// Releases a slot whose owner goes, or leaves that to the slot's last guard.
fn disown(slot: &'static Slot) {
    let guard = Guard::enter(slot);
    guard.orphan();
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("reader", &self.reader_id()).finish_non_exhaustive()
    }
}

/// A reader's own slot, for code without thread-locals: each task or interrupt handler has one.
///
/// ```
/// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
/// let handle = hedgerow::owned::Handle::new();
/// let guard = handle.pin();
/// assert_eq!(map.with_guard(&guard).get(&7).map(String::as_str), Some("seven"));
/// ```
pub struct Handle {
    slot: &'static Slot,
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
        Ok(Self { slot: claim()?, owner: PhantomData })
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
        Guard::enter(self.slot)
    }

    /// Returns a guard that owns its handle, and so may move to another thread.
    ///
    /// ```
    /// let guard = hedgerow::owned::Handle::new().into_guard();
    /// std::thread::spawn(move || drop(guard)).join().unwrap();
    /// ```
    #[must_use]
    pub fn into_guard(self) -> OwnedGuard {
        let guard = Guard::enter(self.slot);
        // Dropping the handle orphans the slot, which the guard then gives back.
        drop(self);
        OwnedGuard(guard)
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        disown(self.slot);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("reader", &self.slot.number()).finish_non_exhaustive()
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
pub struct OwnedGuard(Guard<'static>);

// SAFETY: the slot belongs to this guard alone, because the guard cannot be cloned and its handle is gone. So one
// thread at a time pins, counts and unpins, and moving the guard to another thread orders the two.
unsafe impl Send for OwnedGuard {}
// SAFETY: a shared guard gives access to its number alone.
unsafe impl Sync for OwnedGuard {}

impl core::ops::Deref for OwnedGuard {
    type Target = Guard<'static>;
    fn deref(&self) -> &Guard<'static> {
        &self.0
    }
}

impl fmt::Debug for OwnedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A reader whose guard is so old that removed entries cannot be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalled {
    /// The reader's number, which is [`Guard::reader_id`] of its guard.
    pub reader: usize,
    /// Epochs that have ended since the reader was pinned. One ends when garbage, of any maps, could be dropped but for
    /// readers.
    pub epochs: usize,
}

/// Returns all readers that have been pinned since an earlier epoch.
pub(crate) fn stalled() -> impl Iterator<Item = Stalled> {
    DOMAIN.stalled().map(|(reader, epochs)| Stalled { reader, epochs })
}

/// Something that holds a [`Guard`]: the guard itself, an [`OwnedGuard`], or a reference to either.
pub trait HasGuard: sealed::Sealed {
    /// Returns the guard.
    fn guard(&self) -> &Guard<'_>;
}

impl HasGuard for Guard<'_> {
    #[inline(always)]
    fn guard(&self) -> &Guard<'_> {
        self
    }
}

impl<G: HasGuard> HasGuard for &G {
    #[inline(always)]
    fn guard(&self) -> &Guard<'_> {
        (**self).guard()
    }
}

impl HasGuard for OwnedGuard {
    #[inline(always)]
    fn guard(&self) -> &Guard<'_> {
        &self.0
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Guard<'_> {}
    impl<G: Sealed> Sealed for &G {}
    impl Sealed for super::OwnedGuard {}
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A program may forget more guards than a word can count: on 32 bits within minutes. The count must not begin
    /// anew.
    #[test]
    fn no_more_guards_are_taken_than_can_be_counted() {
        let handle = Handle::new();
        let guard = handle.pin();
        let note = &guard.slot.owner_note;
        for most in [ORPHANED - 1, usize::MAX] {
            note.store(most);
            let refused = catch_unwind(AssertUnwindSafe(|| core::mem::forget(guard.again())));
            note.store(1);
            // Without overflow checks, nothing but this message stops the count.
            let refused = refused.err().and_then(|why| why.downcast::<&str>().ok());
            let says = refused.is_some_and(|why| why.contains("more guards than can be counted"));
            assert!(says, "the count begins anew");
        }
    }
}
