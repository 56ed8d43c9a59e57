//! Guards: a thread's word that it may be looking at what a map holds.

use crate::error::TryReserveError;
use crate::facade::atomic::Ordering;
use crate::sync::epoch::{DOMAIN, Domain};
use crate::sync::slot::Slot;
use core::fmt;
use core::marker::PhantomData;

/// In a slot's note: the owner has gone, and the last of its guards gives the slot back.
const ORPHANED: usize = 1 << (usize::BITS - 1);

/// Says that this thread may be looking at entries of maps: none that it can have met is dropped meanwhile.
///
/// A guard serves all maps of [`owned`](crate::owned). It locks nothing and nobody waits for it: while it
/// is held, the same thread and others may write to the same map, or to others, or take further guards. What
/// it costs is memory: entries that are removed meanwhile stay until it is gone
/// ([`HashMap::pending`](crate::HashMap::pending),
/// [`HashMap::stalled_readers`](crate::HashMap::stalled_readers)).
///
/// Most callers never name one: what a map returns holds a guard of its own ([`Ref`](crate::owned::Ref)), and so does
/// the map that [`HashMap::pin`](crate::HashMap::pin) returns. [`HashMap::with_guard`](crate::HashMap::with_guard)
/// takes one that the caller has.
///
/// A guard stays in its thread. To hold one across an `await`, take an [`OwnedGuard`].
pub struct Guard<'a> {
    slot: &'static Slot,
    /// Neither `Send` nor `Sync`; borrows the handle, if it comes from one.
    owner: PhantomData<(*mut (), &'a ())>,
}

/// Returns a guard for this thread, which holds until it is dropped.
///
/// With feature `std` it is the thread's own, and taking another while one is held costs an addition.
/// Without, each guard claims a slot of the process-wide registry for itself, by compare-and-swap; a
/// [`Handle`] saves that.
///
/// Lock-free. Allocates only where more threads than ever before hold guards; running out of memory is
/// handled as in std's collections; [`try_pin`] says so instead.
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

/// As [`pin`], but says when there is no memory.
///
/// With feature `std`, a thread that has had a guard gets every further one: what it does under
/// [`pin`] needs no memory for that.
///
/// # Errors
/// When the allocator has no memory for another block of slots.
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

/// A guard with a slot of its own, which it gives back.
#[cold]
fn temporary() -> Result<Guard<'static>, TryReserveError> {
    let guard = Guard::enter(claim()?);
    guard.orphan();
    Ok(guard)
}

/// A number that tells threads apart, where it can.
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
        /// The slot, once the thread has one and until `OWNER` is gone. This has no destructor, so no access asks
        /// whether it still lives.
        static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
        static OWNER: Owner = const { Owner(Cell::new(None)) };
    }

    /// Gives the slot back when the thread ends.
    struct Owner(Cell<Option<&'static Slot>>);

    impl Drop for Owner {
        fn drop(&mut self) {
            if let Some(slot) = self.0.take() {
                // Destructors of other thread-locals that run after this must not find it.
                let _ = SLOT.try_with(|cached| cached.set(None));
                disown(slot);
            }
        }
    }

    /// None if there is no memory for one, and in a thread that is ending.
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
        // relaxed: only the slot's owner looks at its note: how many guards there are.
        let count = slot.note.load(Ordering::Relaxed);
        if count == 0 {
            DOMAIN.pin(slot);
        } else {
            assert!(count != ORPHANED - 1, "more guards than can be counted");
        }
        // relaxed: as above.
        slot.note.store(count + 1, Ordering::Relaxed);
        Self { slot, owner: PhantomData }
    }

    /// Has the slot given back with its last guard.
    fn orphan(&self) {
        // relaxed: only the slot's owner looks at its note.
        let count = self.slot.note.load(Ordering::Relaxed);
        // relaxed: as above.
        self.slot.note.store(count | ORPHANED, Ordering::Relaxed);
    }

    /// Another guard of the same reader, which costs an addition. (Not `Clone`: an [`OwnedGuard`] is shared by threads,
    /// and only one of them may count.)
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
        // relaxed: only the slot's owner looks at its note.
        let count = self.slot.note.load(Ordering::Relaxed) - 1;
        // relaxed: as above.
        self.slot.note.store(count, Ordering::Relaxed);
        if count == 0 {
            Domain::unpin(self.slot);
        } else if count == ORPHANED {
            give_back(self.slot);
        }
    }
}

#[cold]
fn give_back(slot: &'static Slot) {
    // relaxed: only the slot's owner looks at its note, and the next one comes after its release.
    slot.note.store(0, Ordering::Relaxed);
    Domain::unpin(slot);
    slot.release();
}

/// Gives a slot back whose owner goes, or leaves that to the guards that are left.
fn disown(slot: &'static Slot) {
    let guard = Guard::enter(slot);
    guard.orphan();
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("reader", &self.reader_id()).finish_non_exhaustive()
    }
}

/// A reader's own slot, for where there are no thread-locals: each task, or interrupt handler, has one.
///
/// ```
/// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
/// let handle = hedgerow::owned::Handle::new();
/// let guard = handle.pin();
/// assert_eq!(map.with_guard(&guard).get(&7).map(String::as_str), Some("seven"));
/// ```
pub struct Handle {
    slot: &'static Slot,
    /// Not `Sync`: one thread at a time counts the guards.
    owner: PhantomData<core::cell::Cell<()>>,
}

impl Handle {
    /// A handle with a slot of its own. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let handle = hedgerow::owned::Handle::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|_| out_of_memory())
    }

    /// As [`new`](Self::new), but says when there is no memory.
    ///
    /// # Errors
    /// When the allocator has no memory for another block of slots.
    ///
    /// ```
    /// assert!(hedgerow::owned::Handle::try_new().is_ok());
    /// ```
    pub fn try_new() -> Result<Self, TryReserveError> {
        Ok(Self { slot: claim()?, owner: PhantomData })
    }

    /// A guard, until it is dropped. Wait-free; allocates nothing.
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

    /// A guard that owns its handle, and so may move to another thread.
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

/// A [`Guard`] that may move to another thread: for futures, which may hold it across an `await`.
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

// SAFETY: the guard's slot is its own, since it cannot be cloned and its handle is gone: one thread at a
// time pins, counts and unpins, and moving it to another orders the two.
unsafe impl Send for OwnedGuard {}
// SAFETY: a shared guard offers nothing but its number, and its presence.
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

/// A reader whose guard is older than the youngest garbage, and keeps it from being dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalled {
    /// Its number, which [`Guard::reader_id`] tells its owner.
    pub reader: usize,
    /// Batches of garbage, of all maps, that were sealed since it was pinned.
    pub batches: usize,
}

/// All readers that are pinned since before the last batch was sealed.
pub(crate) fn stalled() -> impl Iterator<Item = Stalled> {
    DOMAIN.stalled().map(|(reader, batches)| Stalled { reader, batches })
}

/// What holds a [`Guard`]: the guard itself, an [`OwnedGuard`], or a reference to either.
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
