//! Slots in which readers announce themselves.
//!
//! Slots come in blocks that are never freed while the registry lives, so a reader's slot stays where it is
//! and a scan needs no lock. A slot that was given back is claimed again before a new block is made.
//!
//! # Synchronization
//! - `[RG-1]` release compare-and-swap that links a block ↔ `[RG-2]` acquire load of the link: who finds
//!   a block finds its slots free and idle, or later. A scan that follows a heavy barrier (`[AB-2]`) finds
//!   the block of each reader whose announcement it must see, for the link was stored before that; and so it
//!   finds the number of slots to look at, which whoever claims one raises first.
//! - Who owns a slot is the slot's own business ([`slot`](super::slot)), the announcements themselves are that of
//!   the protocol that stands on this ([`epoch`](super::epoch), [`sides`](super::sides)).

use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::cache::CachePadded;
use crate::sync::slot::Slot;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

/// Slots in a block.
const BLOCK: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };

struct Block {
    /// So many of the first slots have been claimed at some time: a scan can leave the others out.
    used: AtomicUsize,
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
                if let Some(at) = block.slots.iter().position(|slot| slot.claim()) {
                    // [RG-1] release: pairs with [RG-2].
                    block.used.fetch_max(at + 1, Ordering::Release);
                    return Some(&block.slots[at]);
                }
                (link, count) = (&block.next, count + BLOCK);
                continue;
            }
            let mut slots = Vec::new();
            slots.try_reserve_exact(BLOCK).ok()?;
            slots.extend((count..count + BLOCK).map(|number| Slot::new(number, number == count)));
            let mut room = Vec::new();
            room.try_reserve_exact(1).ok()?;
            let next = AtomicPtr::new(ptr::null_mut());
            room.push(Block { used: AtomicUsize::new(1), slots, next });
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

    /// All slots that have ever been claimed.
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
        blocks.flat_map(|block| {
            // [RG-2] acquire: pairs with [RG-1].
            let used = block.used.load(Ordering::Acquire);
            block.slots[..used].iter().map(|slot| &**slot)
        })
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
