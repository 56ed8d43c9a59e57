//! Slots in which readers announce themselves.
//!
//! Slots come in blocks that are never freed while the registry lives, so a reader's slot stays where it is
//! and a scan needs no lock. A slot that was given back is claimed again before a new block is made.
//!
//! # Synchronization
//! - `[RG-1]` release compare-and-swap that links a block ↔ `[RG-2]` acquire load of the link: who finds
//!   a block finds its slots free and idle, or later. A scan that follows a heavy barrier (`[AB-2]`) finds
//!   the block of each reader whose announcement it must see, for the link was stored before that.
//! - `[RG-3]` release store that frees a slot ↔ `[RG-4]` acquire compare-and-swap that claims it: the
//!   new owner comes after all that the old one did, its last announcement included.
//! - The announcements themselves are the protocol's business that stands on this ([`epoch`](super::epoch)).

use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::cache::CachePadded;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

/// Slots in a block.
const BLOCK: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };

const FREE: usize = 0;
const CLAIMED: usize = 1;

/// A reader's place.
pub(crate) struct Slot {
    /// What the reader says; 0 is nothing.
    pub(crate) word: AtomicUsize,
    /// The owner's own note; nobody else looks at it.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models pin without counting.
    pub(crate) note: AtomicUsize,
    state: AtomicUsize,
    number: usize,
}

impl Slot {
    fn new(number: usize, state: usize) -> CachePadded<Self> {
        CachePadded(Self {
            word: AtomicUsize::new(0),
            note: AtomicUsize::new(0),
            state: AtomicUsize::new(state),
            number,
        })
    }

    /// Numbers tell the slots of a registry apart.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    fn claim(&self) -> bool {
        // relaxed: a first look, which decides nothing.
        self.state.load(Ordering::Relaxed) == FREE
            // [RG-4] acquire: pairs with [RG-3]; relaxed where it fails: we go on to the next.
            && self.state.compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the slot back. The caller owns it, and has unsaid what it said in it.
    pub(crate) fn release(&self) {
        // [RG-3] release: pairs with [RG-4].
        self.state.store(FREE, Ordering::Release);
    }
}

struct Block {
    slots: Vec<CachePadded<Slot>>,
    next: AtomicPtr<Block>,
}

/// All slots.
pub(crate) struct Registry {
    first: AtomicPtr<Block>,
}

impl Registry {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self { first: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// A slot of the caller's own, until it is released. None where there is no memory for another block.
    /// Lock-free; allocates only when all slots are claimed.
    pub(crate) fn claim(&self) -> Option<&Slot> {
        let (mut link, mut count) = (&self.first, 0);
        loop {
            // [RG-2] acquire: pairs with [RG-1].
            let block = link.load(Ordering::Acquire);
            // SAFETY: null, or a block that lives as long as the registry.
            if let Some(block) = unsafe { block.as_ref() } {
                if let Some(slot) = block.slots.iter().find(|slot| slot.claim()) {
                    return Some(slot);
                }
                (link, count) = (&block.next, count + BLOCK);
                continue;
            }
            let mut slots = Vec::new();
            slots.try_reserve_exact(BLOCK).ok()?;
            slots.extend(
                (count..count + BLOCK)
                    .map(|number| Slot::new(number, if number == count { CLAIMED } else { FREE })),
            );
            let mut room = Vec::new();
            room.try_reserve_exact(1).ok()?;
            room.push(Block { slots, next: AtomicPtr::new(ptr::null_mut()) });
            // A boxed slice of one has the layout of a box.
            let made = Box::into_raw(room.into_boxed_slice()).cast::<Block>();
            let none = ptr::null_mut();
            // [RG-1] release: pairs with [RG-2]; relaxed where it fails: the loop loads it again.
            if link.compare_exchange(none, made, Ordering::Release, Ordering::Relaxed).is_ok() {
                // SAFETY: just made, and lives as long as the registry from here on.
                return unsafe { (*made).slots.first() }.map(|slot| &**slot);
            }
            // SAFETY: the swap failed, so nobody else has seen the block.
            drop(unsafe { Box::from_raw(made) });
        }
    }

    /// All slots, claimed or not.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        let mut link = &self.first;
        let blocks = core::iter::from_fn(move || {
            // [RG-2] acquire: pairs with [RG-1].
            let block = link.load(Ordering::Acquire);
            // SAFETY: null, or a block that lives as long as the registry.
            let block = unsafe { block.as_ref() }?;
            link = &block.next;
            Some(block)
        });
        blocks.flat_map(|block| block.slots.iter().map(|slot| &**slot))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // relaxed: `&mut self` says that every other use happened before.
        let mut next = self.first.load(Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: made by `Box::into_raw` in `claim`, and met once.
            let block = unsafe { Box::from_raw(next) };
            // relaxed: as above.
            next = block.next.load(Ordering::Relaxed);
        }
    }
}
