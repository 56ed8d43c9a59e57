//! A global allocator that keeps freed blocks for a while, and ends the process if a block is freed twice.
//!
//! The system's allocator notices only some of that, with another message each time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::process::abort;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of bytes that the allocator keeps; it returns later ones to the system.
const KEPT: usize = 256 << 20;
/// The header of each block, aligned as `malloc` aligns. Blocks of larger alignment have none.
const HEAD: usize = 16;
const LIVE: usize = 0x11FE_11FE;
const FREED: usize = 0xDEAD_F4EE;

pub(crate) struct Quarantine;

static FREED_BYTES: AtomicUsize = AtomicUsize::new(0);

fn with_head(layout: Layout) -> Option<Layout> {
    let fits = layout.align() <= HEAD;
    fits.then(|| Layout::from_size_align(layout.size().checked_add(HEAD)?, HEAD).ok()).flatten()
}

// SAFETY: blocks are the system's, and each is `HEAD` bytes longer than was asked for.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout is that of the caller, or one with a head.
        unsafe {
            let Some(whole) = with_head(layout) else { return System.alloc(layout) };
            let block = System.alloc(whole);
            if block.is_null() {
                return block;
            }
            block.cast::<usize>().write(LIVE);
            block.add(HEAD)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `alloc` made the block, with a head in front of it. One that was freed before is still there as long
        // as it is kept.
        unsafe {
            let Some(whole) = with_head(layout) else { return System.dealloc(block, layout) };
            let head = block.sub(HEAD);
            if head.cast::<usize>().replace(FREED) == FREED {
                let _ = std::io::stderr().write_all(b"a block was freed twice\n");
                abort();
            }
            if FREED_BYTES.fetch_add(whole.size(), Ordering::Relaxed) > KEPT {
                System.dealloc(head, whole);
            }
        }
    }
}
