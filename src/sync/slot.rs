//! A reader's place, in which it says what it is doing.
//!
//! # Synchronization
//! - Who owns a slot has its seat ([`seat`](super::seat)), `[SE-1]` ↔ `[SE-2]`: a new owner comes after all that the
//!   old one did, its last announcement included.
//! - What a reader says is the protocol's that stands on this: `epoch`, [`sides`](super::sides).

use crate::facade::atomic::AtomicUsize;
use crate::sync::cache::CachePadded;
use crate::sync::seat::Seat;

/// The owner executes no fence, is asked to in each announcement, or does; for [`sides`](super::sides).
pub(crate) const LIGHT: usize = 0;
pub(crate) const ASKED: usize = 1;
pub(crate) const FENCING: usize = 2;

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
    seat: Seat,
    number: usize,
}

impl Slot {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(number: usize, claimed: bool) -> CachePadded<Self> {
            CachePadded(Self {
                word: AtomicUsize::new(0),
                note: AtomicUsize::new(0),
                awaited: AtomicUsize::new(0),
                fencing: AtomicUsize::new(FENCING),
                seat: Seat::new(claimed),
                number,
            })
        }
    }

    /// Numbers tell the slots of a registry apart.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Makes the slot the caller's own, if it is nobody's.
    pub(crate) fn claim(&self) -> bool {
        !self.seat.is_taken() && self.seat.take()
    }

    /// Gives the slot back. The caller owns it, and has unsaid what it said in it.
    pub(crate) fn release(&self) {
        self.seat.leave();
    }
}
