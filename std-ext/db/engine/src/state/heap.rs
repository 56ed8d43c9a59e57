//! Returning unused memory to the system.
//!
//! glibc's allocator returns memory by itself only from the end of its heap. One small allocation behind 100 MB of free
//! memory keeps all of it in the process. So the maintenance thread compares the resident set with the memory that the
//! database uses. If the difference is large and has increased since the last time, it calls `malloc_trim`, which
//! returns free pages.
//!
//! `malloc_trim` may miss what is freed while it runs, so it is called again later, less and less often while it
//! returns little. It holds the allocator's lock for a time that grows with the free memory. Therefore it is called
//! rarely, and by a thread that serves clients only for MEMORY PURGE. Other allocators return memory by themselves.

use crate::state::slabs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The pause between two look-ups of the resident set.
const PAUSE: Duration = Duration::from_millis(500);
/// The process may keep this much more than the database uses, and an eighth of that.
const SLACK: usize = 32 << 20;
/// If a trim has left free memory, it is retried after the first pause. The pause doubles up to the second while a trim
/// returns little.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

#[derive(Default)]
pub(crate) struct HeapTrimmer(Mutex<TrimState>);

#[derive(Default)]
struct TrimState {
    at: Option<Instant>,
    /// The smallest difference between resident set and used memory since the last trim.
    least: usize,
    /// Whether a trim seemed due at the last look-up.
    is_due: bool,
    /// When to trim again, and after which pause.
    retry: Option<(Instant, Duration)>,
}

impl HeapTrimmer {
    /// Trims the heap if the process has much more memory than the database uses. Two consecutive look-ups must agree,
    /// since removed records are freed a little later.
    pub(crate) fn trim_if_due(&self, used: usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.at.is_some_and(|at| now < at + PAUSE) {
            return;
        }
        state.at = Some(now);
        let free = resident().saturating_sub(used);
        if state.should_trim(free, used, now) {
            trim();
            state.trimmed(free, resident().saturating_sub(used), now);
        }
    }
}

impl TrimState {
    /// Whether to trim now. `free` is the memory of the process beyond the `used` bytes.
    fn should_trim(&mut self, free: usize, used: usize, now: Instant) -> bool {
        self.least = self.least.min(free);
        let much = SLACK + used / 8;
        let is_time = self.retry.is_some_and(|(at, _)| at <= now);
        let was_due = self.is_due;
        // Memory that the last trim could not return is tried again only after the pause.
        self.is_due = free - self.least >= much || free >= much && is_time;
        self.is_due && was_due
    }

    /// Records a trim, and how much was free before and after it.
    fn trimmed(&mut self, before: usize, after: usize, now: Instant) {
        self.least = after;
        let (first, longest) = RETRY;
        let pause = match self.retry {
            Some((_, pause)) if before.saturating_sub(after) < SLACK / 4 => {
                (pause * 2).min(longest)
            }
            _ => first,
        };
        self.retry = Some((now + pause, pause));
    }
}

/// Returns unused memory to the system. Takes longer the more memory is free.
pub fn trim() {
    // malloc knows nothing of the slabs that are empty within its blocks.
    slabs::purge();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: this is the C library's declaration. The function has no precondition.
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // If another allocator serves the process, this initializes glibc's. Two threads that do so at once count one
        // thread too few, and the second one to end aborts the process (seen under AddressSanitizer, glibc 2.36).
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = malloc_trim(0);
    }
}

/// Returns the resident set size of the process in bytes, and 0 if the system does not tell.
pub fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|line| line.split(' ').nth(1)?.parse::<usize>().ok());
    // Not 4096 on all machines: kernels for ARM may have pages of 16 or 64 KiB.
    pages.unwrap_or(0) * rustix::param::page_size()
}

#[cfg(test)]
mod tests {
    use super::{PAUSE, RETRY, SLACK, TrimState, resident};
    use std::time::{Duration, Instant};

    #[test]
    fn memory_that_is_freed_too_late_is_returned_later() {
        let (mut state, mut now) = (TrimState::default(), Instant::now());
        let mut is_asked = |state: &mut TrimState, free| {
            now += PAUSE;
            state.should_trim(free, 0, now).then_some(now)
        };
        assert!(is_asked(&mut state, 3 * SLACK).is_none(), "asked at once");
        let at = is_asked(&mut state, 3 * SLACK).expect("much is free at two checks");
        // Two thirds were freed too late for the trim.
        state.trimmed(3 * SLACK, 2 * SLACK, at);
        let again =
            (0..20).find_map(|_| is_asked(&mut state, 2 * SLACK)).expect("never asked again");
        assert!(again >= at + RETRY.0, "asked again at once");
    }

    #[test]
    fn memory_that_cannot_be_returned_is_trimmed_less_and_less_often() {
        let (mut state, began) = (TrimState::default(), Instant::now());
        let (mut now, mut asked) = (began, 0);
        while now < began + Duration::from_secs(3600) {
            now += PAUSE;
            if state.should_trim(2 * SLACK, 0, now) {
                state.trimmed(2 * SLACK, 2 * SLACK, now);
                asked += 1;
            }
        }
        assert!((12..=24).contains(&asked), "asked {asked} times within an hour");
    }

    /// The file `status` has it in KiB, whatever the size of a page.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_resident_set_is_as_large_as_the_system_says() {
        let agree = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
            let (wanted, found) = (kibibytes << 10, resident());
            (wanted / 2..wanted * 2).contains(&found)
        };
        // Other tests may allocate much between the two looks.
        assert!((0..100).any(|_| agree()), "{} bytes", resident());
    }
}
