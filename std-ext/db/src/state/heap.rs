//! Giving unused memory back to the system.
//!
//! glibc's allocator gives back by itself only what lies at the end of a heap, so one small allocation behind 100 MB of
//! free memory keeps all of it in the process. The maintenance thread therefore compares the resident set with what the
//! database uses, and asks the allocator to give back the pages that are free (`malloc_trim`) if the difference is
//! large and has grown since the last time. That holds an allocator's lock for a time by what is free; so it is done
//! seldom, and never by a thread that serves clients. Other allocators give back by themselves.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The resident set is looked up so often.
const PAUSE: Duration = Duration::from_millis(500);
/// So much more than the database uses may stay with the process, and an eighth.
const SLACK: usize = 32 << 20;

#[derive(Default)]
pub(crate) struct Heap(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    /// The least by which the resident set was larger than what the database used, since memory was given back.
    least: usize,
    /// Whether there was much to give back when it was last looked up.
    is_due: bool,
}

impl Heap {
    /// Gives memory back if the process has much more than the database uses: has had so twice in turn, since what was
    /// removed is freed a little later.
    pub(crate) fn look_after(&self, used: usize) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        seen.at = Some(Instant::now());
        let free = resident().saturating_sub(used);
        seen.least = seen.least.min(free);
        // What the last time could not give back is not asked for again.
        let is_due = free - seen.least >= SLACK + used / 8;
        if is_due && seen.is_due {
            give_back();
            seen.least = resident().saturating_sub(used);
        }
        seen.is_due = is_due;
    }
}

/// Gives unused memory back to the system. The time grows with the free memory.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: of the C library, with this signature.
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        let _ = malloc_trim(0);
    }
}

/// Bytes of the process in memory; 0 where the system does not tell.
pub(crate) fn resident() -> usize {
    /// Of memory, as the systems that have the file count.
    const PAGE: usize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|line| line.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * PAGE
}
