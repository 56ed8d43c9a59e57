//! A global allocator that keeps what is freed for a while, and ends the process when a block is freed twice.
//!
//! The system's allocator notices some of that, and says so in other words each time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::process::abort;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first bytes that are freed stay as they are; those after them are given back.
const KEPT: usize = 256 << 20;
/// In front of each block, aligned as `malloc` aligns. Larger alignments are left to the system.
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
