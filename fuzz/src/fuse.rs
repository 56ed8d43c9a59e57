//! User code that panics after a number of steps that the input chooses.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    /// Steps of user code until the next panic.
    static FUSE: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// The payload of a planned panic, which the panic hook does not see.
struct Planned;

/// Counts a step; all user code calls it.
pub fn step() {
    let left = FUSE.get();
    if left == 0 {
        FUSE.set(u64::MAX);
        resume_unwind(Box::new(Planned));
    }
    FUSE.set(left - 1);
}

/// Runs `work`, which panics after this many `steps`, if it does that many; returns `None` if it panicked.
pub fn survives<R>(steps: Option<u64>, work: impl FnOnce() -> R) -> Option<R> {
    FUSE.set(steps.unwrap_or(u64::MAX));
    let result = catch_unwind(AssertUnwindSafe(work));
    FUSE.set(u64::MAX);
    match result {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Planned>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// A key whose hash and comparison are steps.
#[derive(Clone, Copy, Debug)]
pub struct Fused(pub u16);

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        step();
        self.0 == other.0
    }
}

impl Eq for Fused {}

impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        step();
        state.write_u64(self.0.into());
    }
}
