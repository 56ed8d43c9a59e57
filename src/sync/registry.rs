//! Slots in which readers announce themselves.
//!
//! Slots come in blocks that are freed with the registry, not before. So a reader's slot does not move, and a scan
//! needs no lock. A released slot is claimed again before a new block is allocated.
//!
//! # Synchronization
//! - `[RG-1]` release compare-and-swap that links a block, and release addition that raises its number of slots in use
//!   ↔ `[RG-2]` acquire loads of both: a thread that finds a block sees its slots initialized. A scan after a heavy
//!   barrier (`[AB-2]`) finds the slot of each reader whose announcement it must see, because the reader linked the
//!   block and raised the number before it announced itself.
//! - Ownership of a slot is ordered by the slot ([`slot`](super::slot)), and the announcements by the protocol that
//!   uses them ([`epoch`](super::epoch), [`sides`](super::sides)).

use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::cache::CachePadded;
use crate::sync::slot::ReaderSlot;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

/// Slots in a block.
pub(crate) const BLOCK: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };

struct SlotBlock {
    /// How many of the first slots have ever been claimed. A scan leaves out the others.
    used: AtomicUsize,
    slots: Vec<CachePadded<ReaderSlot>>,
    next: AtomicPtr<SlotBlock>,
}

/// All slots, as a list of blocks.
pub(crate) struct Registry {
    first: AtomicPtr<SlotBlock>,
}

impl Registry {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self { first: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Returns a slot of the caller's own, until it releases the slot, or `None` if there is no memory for another
    /// block. Lock-free. Allocates only if all slots are claimed.
    pub(crate) fn claim(&self) -> Option<&ReaderSlot> {
        self.claim_from(0)
    }

    /// As `claim`, but tries the slots of each block from number `start` on: threads that begin apart do not contend.
    pub(crate) fn claim_from(&self, start: usize) -> Option<&ReaderSlot> {
        let (mut link, mut count) = (&self.first, 0);
        loop {
            // [RG-2] acquire: pairs with [RG-1], so the block is seen initialized.
            let block = link.load(Ordering::Acquire);
            // SAFETY: null, or a block that lives as long as the registry.
            if let Some(block) = unsafe { block.as_ref() } {
                let mut order = (0..BLOCK).map(|step| (start + step) % BLOCK);
                if let Some(at) = order.find(|&at| block.slots[at].claim()) {
                    // [RG-2] acquire: pairs with [RG-1]. If the number covers the slot already, the owner comes after
                    // the thread that raised it, as it would come after its own addition.
                    if block.used.load(Ordering::Acquire) <= at {
                        // [RG-1] release: pairs with [RG-2]. Raised before the owner announces itself, or scans would
                        // miss the announcement.
                        block.used.fetch_max(at + 1, Ordering::Release);
                    }
                    return Some(&block.slots[at]);
                }
                (link, count) = (&block.next, count + BLOCK);
                continue;
            }
            let mut slots = Vec::new();
            slots.try_reserve_exact(BLOCK).ok()?;
            let slot = |number| ReaderSlot::new(number, number == count, self.id());
            slots.extend((count..count + BLOCK).map(slot));
            let mut room = Vec::new();
            room.try_reserve_exact(1).ok()?;
            let next = AtomicPtr::new(ptr::null_mut());
            room.push(SlotBlock { used: AtomicUsize::new(1), slots, next });
            // A boxed slice of one element has the layout of a box.
            let made = Box::into_raw(room.into_boxed_slice()).cast::<SlotBlock>();
            let none = ptr::null_mut();
            // [RG-1] release: pairs with [RG-2]. relaxed if it fails: the loop loads the link again.
            if link.compare_exchange(none, made, Ordering::Release, Ordering::Relaxed).is_ok() {
                // SAFETY: the block was just made, and from here on it lives as long as the registry.
                return unsafe { (*made).slots.first() }.map(|slot| &**slot);
            }
            // SAFETY: the swap failed, so no other thread has seen the block.
            drop(unsafe { Box::from_raw(made) });
        }
    }

    /// Returns the number that tells registries apart: the address, so this is of use only for a registry that does not
    /// move after its first claim.
    pub(crate) fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// Returns all slots that have ever been claimed.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &ReaderSlot> {
        let mut link = &self.first;
        let blocks = core::iter::from_fn(move || {
            // [RG-2] acquire: pairs with [RG-1], so the block is seen initialized.
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
        // relaxed: `&mut self` means that every other use happened before.
        let mut next = self.first.load(Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: `claim` made it by `Box::into_raw`, and each block is in the list once.
            let block = unsafe { Box::from_raw(next) };
            // relaxed: as above.
            next = block.next.load(Ordering::Relaxed);
        }
    }
}
