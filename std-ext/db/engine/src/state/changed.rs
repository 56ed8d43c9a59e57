//! The memory that a thread's changes keep until their log entries are committed: the entries, and the values that they
//! have replaced, which a rollback needs. A thread stops executing commands when that is much, and commits.

use crate::bounds::LOG_BACKLOG;
use std::cell::Cell;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes of a change.
pub(super) fn note(bytes: usize) {
    BYTES.set(BYTES.get().saturating_add(bytes));
}

/// Returns whether this thread's changes since the last [`reset`] are as many as should wait for a commit.
#[inline]
pub fn is_much() -> bool {
    BYTES.get() > LOG_BACKLOG
}

/// Begins to count anew: the changes so far were committed.
#[inline]
pub fn reset() {
    BYTES.set(0);
}
