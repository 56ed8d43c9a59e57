//! The free blocks that each thread keeps, so that most calls take no lock.

use super::lists::{CLASSES, FreeBlock, FreeChain, SizeClass};
use super::pool::SLABS;
use std::cell::Cell;
use std::ptr::NonNull;

/// The free blocks of one thread, of all classes.
struct Cache([Cell<FreeChain>; CLASSES]);

thread_local! {
    static CACHE: Cache = const { Cache([const { Cell::new(FreeChain::EMPTY) }; CLASSES]) };
}

/// Returns a free block of a class; nothing if the system has no memory.
#[inline(always)]
pub(super) fn take(class: SizeClass) -> Option<NonNull<FreeBlock>> {
    let block = CACHE.try_with(|cache| {
        let mut chain = cache.0[class.0].take();
        if chain.len() == 0 {
            SLABS.take(class, class.batch(), &mut chain);
        }
        let block = chain.pop();
        cache.0[class.0].set(chain);
        block
    });
    // A thread that ends may have no cache any more.
    block.unwrap_or_else(|_| {
        let mut one = FreeChain::EMPTY;
        SLABS.take(class, 1, &mut one);
        one.pop()
    })
}

/// Takes a block back.
///
/// # Safety
/// `take` has returned it for this class, and nothing refers to it.
#[inline(always)]
pub(super) unsafe fn give(class: SizeClass, block: NonNull<FreeBlock>) {
    let given = CACHE.try_with(|cache| {
        let mut chain = cache.0[class.0].take();
        // SAFETY: the caller has promised it.
        unsafe { chain.push(block) };
        if chain.len() > 2 * class.batch() {
            // SAFETY: all blocks of the chain have come in this way, or from these slabs.
            unsafe { SLABS.give(class, class.batch(), &mut chain) };
        }
        cache.0[class.0].set(chain);
    });
    if given.is_err() {
        let mut one = FreeChain::EMPTY;
        // SAFETY: the caller has promised it.
        unsafe {
            one.push(block);
            SLABS.give(class, 1, &mut one);
        }
    }
}

/// Gives all free blocks of this thread back to their slabs.
pub(super) fn flush() {
    let _ = CACHE.try_with(Cache::flush);
}

impl Cache {
    fn flush(&self) {
        for (number, chain) in self.0.iter().enumerate() {
            let mut chain = chain.take();
            if chain.len() > 0 {
                // SAFETY: the blocks of a chain are of its class, and of these slabs.
                unsafe { SLABS.give(SizeClass(number), chain.len(), &mut chain) };
            }
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.flush();
    }
}
