//! A reader's place, in which it says what it is doing.
//!
//! # Synchronization
//! - Who owns a slot has its seat ([`seat`](super::seat)), `[SE-1]` ↔ `[SE-2]`: a new owner comes after all that the
//!   old one did, its last announcement included.
//! - What a reader says is the protocol's that stands on this: `epoch`, [`sides`](super::sides). That it fences is that
//!   of [`barrier`](super::barrier): `[AB-3]`.

use crate::facade::atomic::AtomicUsize;
#[cfg(feature = "alloc")]
use crate::facade::atomic::Ordering;
use crate::sync::cache::CachePadded;
use crate::sync::claim::Claim;

/// The owner fences, is asked to in each announcement, or executes no fence; for [`sides`](super::sides). A new slot
/// has the first, which is zero: a table in a `static` is all zeros, and so takes no flash.
pub(crate) const FENCING: usize = 0;
pub(crate) const ASKED: usize = 1;
pub(crate) const LIGHT: usize = 2;
/// The owner fences and does not stop, for [`epoch`](super::epoch).
#[cfg(feature = "alloc")]
const AGREED: usize = 3;

/// A reader's place.
pub(crate) struct Slot {
    /// What the reader says; 0 in the beginning.
    pub(crate) word: AtomicUsize,
    /// The owner's own note; nobody else looks at it.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models pin without counting.
    pub(crate) note: AtomicUsize,
    /// A note of whoever waits for readers; the owner never looks at it.
    pub(crate) awaited: AtomicUsize,
    /// Whether the owner fences: what both have agreed on.
    pub(crate) fencing: AtomicUsize,
    /// The owner's.
    owner: Claim,
    number: usize,
}

impl Slot {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(number: usize, claimed: bool) -> CachePadded<Self> {
            CachePadded::new(Self {
                word: AtomicUsize::new(0),
                note: AtomicUsize::new(0),
                awaited: AtomicUsize::new(0),
                fencing: AtomicUsize::new(FENCING),
                owner: Claim::new(claimed),
                number,
            })
        }
    }

    /// Numbers tell the slots of a registry apart.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code))] // Fixed tables know theirs by where they lie.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Makes the slot the caller's own, if it is nobody's.
    pub(crate) fn claim(&self) -> bool {
        !self.owner.is_taken() && self.owner.take()
    }

    /// Says that the owner, which is pinned and has executed a fence, fences from now on, as do all later owners.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn agree(&self) {
        // relaxed: the owner's own store, or that of an earlier owner.
        if self.fencing.load(Ordering::Relaxed) != AGREED {
            // [AB-3] release: pairs with `has_agreed`.
            self.fencing.store(AGREED, Ordering::Release);
        }
    }

    /// Whether the owner of the slot fences, and is not pinned by a look that did not. The caller has told readers to
    /// fence.
    #[cfg(feature = "alloc")]
    pub(crate) fn has_agreed(&self) -> bool {
        // [AB-3] acquire: pairs with `agree`.
        if self.fencing.load(Ordering::Acquire) == AGREED {
            return true;
        }
        // A slot without an owner: the caller speaks for the next owner, which comes after this.
        if !self.claim() {
            return false;
        }
        self.agree();
        self.release();
        true
    }

    /// Gives the slot back. The caller owns it, and has unsaid what it said in it.
    pub(crate) fn release(&self) {
        self.owner.release();
    }
}
