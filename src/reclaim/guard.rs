//! Guards: a thread's announcement that it may be using entries of maps.

use crate::error::TryReserveError;
use crate::sync::epoch::{DOMAIN, Domain};
use crate::sync::slot::ReaderSlot;
use core::fmt;
use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

/// Set in the owner's note of a slot, beside the number of guards: the owner has gone, and the last guard releases the
/// slot.
const ORPHANED: usize = 1 << (usize::BITS - 1);

/// Keeps removed entries in memory: an entry that this thread has found is not dropped while the guard is held.
///
/// One guard serves all maps of its [`Collector`](crate::owned::Collector), or all maps without one. It locks nothing
/// and no operation waits for it, so any thread may write to any map, and take more guards, while it is held. Entries
/// that are removed in that time stay in memory: see [`HashMap::pending`](crate::HashMap::pending) and
/// [`HashMap::stalled_readers`](crate::HashMap::stalled_readers).
///
/// Most programs never name a guard. References returned by a map hold their own ([`Ref`](crate::owned::Ref)), and so
/// does the map that [`HashMap::pin`](crate::HashMap::pin) returns. Pass a guard explicitly with
/// [`HashMap::with_guard`](crate::HashMap::with_guard).
///
/// A guard is not `Send`, and neither is a future that holds one across an `await`, or a [`Ref`](crate::owned::Ref) or
/// iterator. In async code, copy the value with [`HashMap::get_cloned`](crate::HashMap::get_cloned), or hold an
/// [`OwnedGuard`](crate::owned::OwnedGuard), as [`HashMap::pin_owned`](crate::HashMap::pin_owned) does.
pub struct Guard<'a> {
    slot: SlotPtr,
    /// Neither `Send` nor `Sync`. Borrows the handle, the map or the collector, if the guard is from one.
    owner: PhantomData<(NotSend, &'a ())>,
}

/// A slot that lives as long as what has the pointer: the slots of the process live for ever, and those of a collector
/// as long as it. A [`Guard`] borrows the collector or what keeps it; a handle and an owned guard keep it. Not a
/// reference, because a function may drop its argument and with it the collector. A reference in an argument would have
/// to be valid until the function returns.
#[derive(Clone, Copy)]
pub(super) struct SlotPtr(NonNull<ReaderSlot>);

// SAFETY: it is used as a `&Slot`, and a slot is `Sync`.
unsafe impl Send for SlotPtr {}
// SAFETY: as above.
unsafe impl Sync for SlotPtr {}

impl From<&ReaderSlot> for SlotPtr {
    #[inline(always)]
    fn from(slot: &ReaderSlot) -> Self {
        Self(NonNull::from(slot))
    }
}

impl SlotPtr {
    #[inline(always)]
    pub(super) fn get(&self) -> &ReaderSlot {
        // SAFETY: what has the pointer borrows or keeps the slot's collector, see the type.
        unsafe { self.0.as_ref() }
    }
}

/// Neither `Send` nor `Sync`. The compiler's error about a guard across an `await` names the trait, which is never
/// implemented.
type NotSend = PhantomData<
    dyn GuardStaysInItsThreadSoUsePinOwnedOrGetClonedInFutures + Unpin + UnwindSafe + RefUnwindSafe,
>;

trait GuardStaysInItsThreadSoUsePinOwnedOrGetClonedInFutures {}

/// Returns the thread's own slot, if it has one.
#[inline(always)]
pub(crate) fn known_slot() -> Option<&'static ReaderSlot> {
    #[cfg(feature = "std")]
    return local::known_slot();
    #[cfg(not(feature = "std"))]
    None
}

/// Returns the slot of a thread that has none yet, or one for a single guard if threads have none.
#[cold]
pub(crate) fn first_slot() -> Result<&'static ReaderSlot, TryReserveError> {
    #[cfg(feature = "std")]
    if let Some(slot) = local::slot() {
        return Ok(slot);
    }
    slot_of_one_guard(&DOMAIN, 0)
}

/// Claims a slot for a single guard, which releases it: one that is pinned and has no owner. Looks from `start` on.
#[cold]
pub(crate) fn slot_of_one_guard(
    domain: &Domain,
    start: usize,
) -> Result<&ReaderSlot, TryReserveError> {
    let slot = domain.claim_from(start).ok_or(TryReserveError::Alloc)?;
    domain.pin(slot);
    slot.owner_note.store(ORPHANED);
    Ok(slot)
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

#[cold]
pub(crate) fn out_of_memory() -> ! {
    alloc::alloc::handle_alloc_error(core::alloc::Layout::new::<ReaderSlot>())
}

/// The thread's own slot.
#[cfg(feature = "std")]
mod local {
    use super::{DOMAIN, ReaderSlot, disown};
    use core::cell::Cell;

    std::thread_local! {
        /// The slot, from the first guard of the thread until `OWNER` is destroyed. It has no destructor, so an access
        /// need not check whether it is alive.
        static SLOT: Cell<Option<&'static ReaderSlot>> = const { Cell::new(None) };
        static OWNER: Owner = const { Owner(Cell::new(None)) };
    }

    /// Releases the slot when the thread ends.
    struct Owner(Cell<Option<&'static ReaderSlot>>);

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
    pub(crate) fn slot() -> Option<&'static ReaderSlot> {
        known_slot().or_else(first)
    }

    /// Returns the thread's slot, or `None` if it has none yet or is ending.
    #[inline(always)]
    pub(crate) fn known_slot() -> Option<&'static ReaderSlot> {
        SLOT.try_with(Cell::get).ok().flatten()
    }

    #[cold]
    fn first() -> Option<&'static ReaderSlot> {
        let claimed = |owner: &Owner| {
            let slot = owner.0.get().or_else(|| DOMAIN.claim());
            owner.0.set(slot);
            let _ = SLOT.try_with(|cached| cached.set(slot));
            slot
        };
        OWNER.try_with(claimed).ok().flatten()
    }
}

impl<'a> Guard<'a> {
    /// Takes a guard of a slot of the process, or of one that is pinned already.
    #[inline(always)]
    pub(crate) fn enter(slot: &'a ReaderSlot) -> Self {
        Self::enter_in(&DOMAIN, slot.into())
    }

    /// Takes a guard of a slot of `domain`, or of one that is pinned already.
    #[inline(always)]
    pub(super) fn enter_in(domain: &Domain, slot: SlotPtr) -> Self {
        let (owner_note, owner) = (&slot.get().owner_note, PhantomData);
        let count = owner_note.load();
        if count == 0 {
            domain.pin(slot.get());
        } else {
            // The highest bit is not part of the number.
            assert!(count | ORPHANED != usize::MAX, "more guards than can be counted");
        }
        owner_note.store(count + 1);
        Self { slot, owner }
    }

    /// Returns another guard of the same slot, for an addition. (Not `Clone`: threads may share an owned guard, and
    /// only one thread may count.)
    #[inline(always)]
    pub(crate) fn again(&self) -> Self {
        Self::enter_in(&DOMAIN, self.slot)
    }

    /// Returns true if the guard keeps the garbage of this domain.
    pub(crate) fn is_of(&self, domain: &Domain) -> bool {
        domain.has(self.slot.get())
    }

    /// Returns the number under which [`stalled_readers`](crate::owned::HashMap::stalled_readers) lists this guard.
    /// Each [`Collector`](crate::owned::Collector) has numbers of its own.
    ///
    /// ```
    /// let guard = hedgerow::owned::pin();
    /// println!("reader {}", guard.reader_id());
    /// ```
    pub fn reader_id(&self) -> usize {
        self.slot.get().number()
    }
}

impl Drop for Guard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let slot = self.slot.get();
        let count = slot.owner_note.load() - 1;
        slot.owner_note.store(count);
        if count == 0 {
            Domain::unpin(slot);
        } else if count == ORPHANED {
            give_back(slot);
        }
    }
}

#[cold]
fn give_back(slot: &ReaderSlot) {
    slot.owner_note.store(0);
    Domain::unpin(slot);
    slot.release();
}

/// Releases a slot whose owner goes, or leaves that to the slot's last guard.
pub(super) fn disown(slot: &ReaderSlot) {
    match slot.owner_note.load() {
        0 => slot.release(),
        count => slot.owner_note.store(count | ORPHANED),
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("reader", &self.reader_id()).finish_non_exhaustive()
    }
}

/// A reader whose guard is so old that removed entries cannot be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalled {
    /// The reader's number, which is [`Guard::reader_id`] of its guard.
    pub reader: usize,
    /// Epochs that have ended since the reader was pinned. One ends when garbage, of any maps with the same collector,
    /// could be dropped but for readers.
    pub epochs: usize,
}

/// Something that holds a [`Guard`]: the guard itself, an [`OwnedGuard`](crate::owned::OwnedGuard), or a reference to
/// either.
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

pub(super) mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Guard<'_> {}
    impl<G: Sealed> Sealed for &G {}
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A program may forget more guards than a word can count: on 32 bits within minutes. The count must not begin
    /// anew.
    #[test]
    fn no_more_guards_are_taken_than_can_be_counted() {
        let slot = DOMAIN.claim().expect("there is memory");
        let (guard, note) = (Guard::enter(slot), &slot.owner_note);
        for most in [ORPHANED - 1, usize::MAX] {
            note.store(most);
            let refused = catch_unwind(AssertUnwindSafe(|| core::mem::forget(guard.again())));
            note.store(1);
            // Without overflow checks, nothing but this message stops the count.
            let refused = refused.err().and_then(|why| why.downcast::<&str>().ok());
            let says = refused.is_some_and(|why| why.contains("more guards than can be counted"));
            assert!(says, "the count begins anew");
        }
        drop(guard);
        slot.release();
    }
}
