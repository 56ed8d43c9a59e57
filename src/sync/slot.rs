//! A reader's slot, in which it announces what it is doing.
//!
//! # Synchronization
//! - The owner holds the slot's claim ([`claim`](super::claim)), `[SE-1]` ↔ `[SE-2]`: a new owner sees all that the
//!   last one did, including its last announcement.
//! - The protocol that uses the slot orders the announcements: `epoch`, [`sides`](super::sides). Whether the owner
//!   fences is part of [`barrier`](super::barrier): `[AB-3]`.

use crate::facade::atomic::AtomicUsize;
#[cfg(feature = "alloc")]
use crate::facade::atomic::Ordering;
use crate::sync::cache::CachePadded;
use crate::sync::claim::Claim;
use crate::sync::hint::Private;

// Values of a slot about fences, for `sides`.
/// The owner executes a fence in each read section. A new slot says so: the value is zero, so a `static` table is all
/// zeros and takes no flash.
pub(crate) const FENCING: usize = 0;
/// The writer asks the owner to execute fences.
pub(crate) const ASKED: usize = 1;
/// The owner executes no fences.
pub(crate) const LIGHT: usize = 2;
/// For `epoch`: the owner executes fences, for good.
#[cfg(feature = "alloc")]
const AGREED: usize = 3;
/// For `epoch`: an owner has executed the fence of a new slot ([`ReaderSlot::is_new`]).
#[cfg(feature = "alloc")]
const KNOWN: usize = 4;

/// A reader's slot.
pub(crate) struct ReaderSlot {
    /// The reader's announcement; 0 at first.
    pub(crate) word: AtomicUsize,
    /// Used by the owner alone.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models pin without counting guards.
    pub(crate) owner_note: Private<AtomicUsize>,
    /// Used by the writer alone.
    pub(crate) writer_note: Private<AtomicUsize>,
    /// The agreement of owner and writer about fences.
    pub(crate) fencing: AtomicUsize,
    /// Held by the owner.
    owner: Claim,
    number: usize,
    /// The address of the registry that has the slot; 0 for a slot of a fixed table.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code))]
    registry: usize,
}

impl ReaderSlot {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(number: usize, claimed: bool, registry: usize) -> CachePadded<Self> {
            CachePadded::new(Self {
                word: AtomicUsize::new(0),
                owner_note: Private::<AtomicUsize>::new(0),
                writer_note: Private::<AtomicUsize>::new(0),
                fencing: AtomicUsize::new(FENCING),
                owner: Claim::new(claimed),
                number,
                registry,
            })
        }
    }

    /// Returns the number that tells the slots of a registry apart.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code))] // Fixed tables number slots by their addresses.
    #[inline]
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Returns the address of the registry that has the slot.
    #[cfg(feature = "alloc")]
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // No model takes guards.
    pub(crate) fn registry(&self) -> usize {
        self.registry
    }

    /// Returns true if no owner has called `note_known` yet. For the owner.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_new(&self) -> bool {
        // relaxed: the owner's own store, or one of an earlier owner, which [SE-2] ordered before this.
        self.fencing.load(Ordering::Relaxed) == FENCING
    }

    /// Says that the slot is not new any more, for all later owners. For the owner.
    #[cfg(feature = "alloc")]
    pub(crate) fn note_known(&self) {
        // relaxed: [SE-1] hands it on.
        self.fencing.store(KNOWN, Ordering::Relaxed);
    }

    /// Claims the slot, if it has no owner. Returns true if the caller now owns it.
    pub(crate) fn claim(&self) -> bool {
        !self.owner.is_taken() && self.owner.take()
    }

    /// Says that the owner, which is pinned and has executed a fence, executes fences from now on, as do later owners.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn agree(&self) {
        // relaxed: the owner's own store, or one of an earlier owner, which [SE-2] ordered before this.
        if self.fencing.load(Ordering::Relaxed) != AGREED {
            // [AB-3] release: pairs with `has_agreed`, so the writer comes after our pins without a fence.
            self.fencing.store(AGREED, Ordering::Release);
        }
    }

    /// Returns true if the owner executes fences, and no pin without a fence is left. The caller has told readers to
    /// execute fences.
    #[cfg(feature = "alloc")]
    pub(crate) fn has_agreed(&self) -> bool {
        // [AB-3] acquire: pairs with `agree`, so the caller comes after the owner's pins without a fence.
        if self.fencing.load(Ordering::Acquire) == AGREED {
            return true;
        }
        // The slot may have no owner. If so, the caller claims it, and agrees for the next owner.
        if !self.claim() {
            return false;
        }
        self.agree();
        self.release();
        true
    }

    /// Releases the slot. The caller owns it, and has ended its announcement.
    pub(crate) fn release(&self) {
        self.owner.release();
    }
}
