//! A global allocator that fails when a test says so, counts, and calls back.
//!
//! Everything is per thread, so tests that run side by side do not disturb each other. A test
//! binary uses it by `#[global_allocator] static ALLOCATOR: Injected = Injected;`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// The system's allocator, with the plan of the current thread in front of it.
pub(crate) struct Injected;

#[derive(Clone, Copy)]
struct Plan {
    /// The number of allocations that still succeed.
    spared: u64,
    /// The number of allocations after them that fail.
    doomed: u64,
    hook: Option<fn()>,
}

const PEACE: Plan = Plan { spared: u64::MAX, doomed: 0, hook: None };

/// The allocations of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) allocations: u64,
    pub(crate) failures: u64,
    /// Bytes allocated less bytes freed.
    pub(crate) live: isize,
}

thread_local! {
    static PLAN: Cell<Plan> = const { Cell::new(PEACE) };
    /// The most live bytes since the last call of [`peak`].
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { allocations: 0, failures: 0, live: 0 }) };
}

/// Ends the plan, even if the work panics.
struct Peace;

impl Drop for Peace {
    fn drop(&mut self) {
        PLAN.set(PEACE);
    }
}

/// Runs `work` with the `doomed` allocations after the next `spared` ones failing.
pub(crate) fn failing<R>(spared: u64, doomed: u64, work: impl FnOnce() -> R) -> (R, Counts) {
    counted(|| {
        let _peace = Peace;
        PLAN.set(Plan { spared, doomed, hook: None });
        work()
    })
}

/// Runs `work` with an allocator that does not fail, and restores the plan afterwards.
pub(crate) fn unfailing<R>(work: impl FnOnce() -> R) -> R {
    struct Back(Plan);
    impl Drop for Back {
        fn drop(&mut self) {
            PLAN.set(self.0);
        }
    }
    let _back = Back(PLAN.replace(PEACE));
    work()
}

/// Ends the plan, because a panic allocates.
pub(crate) fn stop_failing() {
    PLAN.set(PEACE);
}

/// Runs `work` and calls `hook` before every allocation. Allocations of `hook` itself succeed, and do not call it.
pub(crate) fn hooked<R>(hook: fn(), work: impl FnOnce() -> R) -> R {
    let _peace = Peace;
    PLAN.set(Plan { hook: Some(hook), ..PEACE });
    work()
}

/// Runs `work` and returns its allocations in this thread.
pub(crate) fn counted<R>(work: impl FnOnce() -> R) -> (R, Counts) {
    let before = COUNTS.get();
    let result = work();
    let after = COUNTS.get();
    let counts = Counts {
        allocations: after.allocations - before.allocations,
        failures: after.failures - before.failures,
        live: after.live - before.live,
    };
    (result, counts)
}

/// Runs `work` and returns the most bytes that it had allocated at once.
pub(crate) fn peak<R>(work: impl FnOnce() -> R) -> (R, isize) {
    let before = COUNTS.get().live;
    PEAK.set(before);
    let result = work();
    (result, PEAK.get() - before)
}

/// Whether the plan lets this allocation through.
fn admitted() -> bool {
    let mut plan = PLAN.get();
    if let Some(hook) = plan.hook.take() {
        PLAN.set(PEACE);
        hook();
        PLAN.set(Plan { hook: Some(hook), ..PEACE });
        return true;
    }
    let admitted = plan.spared > 0 || plan.doomed == 0;
    if plan.spared > 0 {
        plan.spared -= u64::from(plan.spared != u64::MAX);
    } else {
        plan.doomed = plan.doomed.saturating_sub(1);
    }
    PLAN.set(plan);
    admitted
}

/// Counts an allocation at `pointer` that replaces `old` bytes by `new` ones.
fn book(pointer: *mut u8, old: usize, new: usize) -> *mut u8 {
    let mut counts = COUNTS.get();
    counts.allocations += 1;
    if pointer.is_null() {
        counts.failures += 1;
    } else {
        counts.live += new.cast_signed() - old.cast_signed();
        PEAK.set(PEAK.get().max(counts.live));
    }
    COUNTS.set(counts);
    pointer
}

// SAFETY: every block comes from `System` with the caller's layout and goes back to it with the
// same one; a refusal is a null pointer, as the trait has it.
unsafe impl GlobalAlloc for Injected {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let pointer = if admitted() {
            // SAFETY: the caller's promise about `layout` is passed on.
            unsafe { System.alloc(layout) }
        } else {
            null_mut()
        };
        book(pointer, 0, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let pointer = if admitted() {
            // SAFETY: the caller's promise about `layout` is passed on.
            unsafe { System.alloc_zeroed(layout) }
        } else {
            null_mut()
        };
        book(pointer, 0, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let pointer = if admitted() {
            // SAFETY: the caller's promises about all three are passed on.
            unsafe { System.realloc(block, layout, size) }
        } else {
            null_mut()
        };
        book(pointer, layout.size(), size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let mut counts = COUNTS.get();
        counts.live -= layout.size().cast_signed();
        COUNTS.set(counts);
        // SAFETY: the caller's promise that `block` came from here with `layout` is passed on, and
        // here it came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}
