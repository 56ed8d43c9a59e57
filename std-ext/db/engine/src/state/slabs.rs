//! Memory for records: a slab allocator with a size class every eight bytes.
//!
//! malloc adds a word to each block and rounds the sum up to 16 bytes; jemalloc and mimalloc have four size classes for
//! each doubling, and lose a tenth on average. Most of the memory of a database is small blocks, so here a block has no
//! word of its own, and at most seven bytes too many; the head and the end of a slab add one byte in a hundred. And
//! glibc's malloc merges adjacent free blocks: after a million keys have expired, one allocation may take a tenth of a
//! second for that.
//!
//! A *slab* is aligned to its size, and has a head and blocks of one class. The slabs of a class that have free blocks
//! are in lists by their use (`lists.rs`), and blocks are taken from one of the fullest, so that the others become
//! empty. An empty slab may serve another class (`pool.rs`). Each thread keeps some free blocks of each class
//! (`cache.rs`). (J. Bonwick, "The Slab Allocator", 1994; J. Bonwick and J. Adams, "Magazines and Vmem", 2001.)
//!
//! One block in use keeps a slab from other classes. So after most keys were removed, or values have another length,
//! much of the memory may be in slabs that are used little. Then the maintenance thread moves records out of these
//! (`compaction.rs`, `maintenance.rs`), as Redis does with `activedefrag`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

mod cache;
mod compaction;
mod lists;
mod pool;

pub(crate) use compaction::SlabCompaction;
pub use compaction::is_compacting;
use lists::{CLASSES, FreeBlock, STEP, SizeClass, SlabHead};
use pool::SLABS;

/// This much memory of empty slabs, and an eighth of the slabs that serve a class, is kept for new records.
const KEPT: usize = 4 << 20;

fn malloc_layout(size: usize) -> Layout {
    Layout::from_size_align(size, STEP).expect("far from the largest")
}

/// Allocates a block of `size` bytes, at least one, aligned for a `u64`. Ends the process if the system has no memory.
#[inline(always)]
pub(super) fn allocate(size: usize) -> NonNull<u8> {
    let block = match SizeClass::of(size) {
        Some(class) => cache::take(class).map(NonNull::cast),
        // SAFETY: the size is not zero.
        None => NonNull::new(unsafe { alloc(malloc_layout(size)) }),
    };
    block.unwrap_or_else(|| handle_alloc_error(malloc_layout(size)))
}

/// Frees a block.
///
/// # Safety
/// `allocate` has returned it for this size, it was not freed, and nothing refers to it.
#[inline(always)]
pub(super) unsafe fn free(block: NonNull<u8>, size: usize) {
    match SizeClass::of(size) {
        // SAFETY: the caller has promised it.
        Some(class) => unsafe { cache::give(class, block.cast()) },
        // SAFETY: `allocate` has used this layout for this size.
        None => unsafe { dealloc(block.as_ptr(), malloc_layout(size)) },
    }
}

/// Returns the bytes that a block takes: its share of a slab; or as glibc's malloc, a word more, and a multiple of 16.
#[inline]
pub(super) fn footprint(size: usize) -> usize {
    const SHARES: [u16; CLASSES] = {
        let mut shares = [0; CLASSES];
        let mut number = 0;
        while number < CLASSES {
            shares[number] = SizeClass(number).share() as u16;
            number += 1;
        }
        shares
    };
    match SizeClass::of(size) {
        Some(class) => SHARES[class.0].into(),
        None => (size + 8).next_multiple_of(16).max(32),
    }
}

/// Returns the bytes of slabs that no block in use takes. They serve new records of the same lengths.
pub(super) fn free_bytes() -> usize {
    SLABS.sizes().1
}

/// Gives all free blocks that this thread keeps back to their slabs.
pub(super) fn flush_cache() {
    cache::flush();
}

/// Whether a block is in a slab of which less than three quarters are used.
///
/// # Safety
/// `allocate` has returned it for this size, and it is not freed meanwhile.
pub(super) unsafe fn is_in_sparse_slab(block: NonNull<u8>, size: usize) -> bool {
    // SAFETY: the block is in use.
    SizeClass::of(size).is_some()
        && unsafe { SlabHead::is_sparse(SlabHead::of(block.cast::<FreeBlock>())) }
}

/// Gives the pages of empty slabs back to the system if they are many.
pub(super) fn purge_if_many() {
    SLABS.purge(KEPT + SLABS.sizes().0 / 8);
}

/// Gives the pages of all empty slabs back to the system.
pub(super) fn purge() {
    SLABS.purge(0);
}

#[cfg(test)]
mod tests;
