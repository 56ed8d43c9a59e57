//! A fuse: counts calls of user code down to a planned panic.

use super::planned_panic;
use std::cell::Cell;

thread_local! {
    /// The calls that are left; `u32::MAX` for no limit.
    pub(crate) static FUSE: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// Counts a call. Panics once, if none was left.
pub(crate) fn burn() {
    let left = FUSE.get();
    if left == 0 {
        FUSE.set(u32::MAX);
        planned_panic();
    }
    if left != u32::MAX {
        FUSE.set(left - 1);
    }
}
