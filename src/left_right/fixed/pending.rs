//! The writer's notes between publishes.

use crate::sync::sides::PendingSwap;
use heapless::Vec;

/// The bins in which the sides differ, and the last swap. The next writer takes it over.
pub(super) struct PendingChanges<const BINS: usize> {
    /// The bins in which the sides differ, each once.
    pub(super) dirty: Vec<u32, BINS>,
    pub(super) is_dirty: [bool; BINS],
    /// The last swap, if `is_swapping`. An `Option` that is `None` need not be all zeros, and then a `static` table
    /// would take flash.
    pub(super) swap: PendingSwap,
    /// Readers may still be in the read section of the side that `swap` made the write side.
    pub(super) is_swapping: bool,
}

impl<const BINS: usize> PendingChanges<BINS> {
    pub(super) const fn new() -> Self {
        Self {
            dirty: Vec::new(),
            is_dirty: [false; BINS],
            swap: PendingSwap::NONE,
            is_swapping: false,
        }
    }

    /// Notes that `bin` of the write side has changed.
    pub(super) fn mark(&mut self, bin: usize) {
        if !self.is_dirty[bin] {
            self.is_dirty[bin] = true;
            // The push cannot fail: `is_dirty` lists each bin once, and the list has room for all of them.
            let _ = self.dirty.push(bin as u32);
        }
    }
}
