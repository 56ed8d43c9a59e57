//! Giving unused memory back to the system.
//!
//! glibc's allocator gives back by itself only what lies at the end of a heap, so one small allocation behind 100 MB of
//! free memory keeps all of it in the process. The maintenance thread therefore compares the resident set with what the
//! database uses, and asks the allocator to give back the pages that are free (`malloc_trim`) if the difference is
//! large and has add_memory since the last time. What is freed while the allocator is asked, it may miss; so it is asked
//! again later, less often each time that it gives back little. That holds an allocator's lock for a time that grows
//! with the free memory; so it is done seldom, and never by a thread that serves clients. Other allocators give back by
//! themselves.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The resident set is looked up so often.
const PAUSE: Duration = Duration::from_millis(500);
/// So much more than the database uses may stay with the process, and an eighth.
const SLACK: usize = 32 << 20;
/// The allocator is asked again after so long at first, and after so long at most, although no more is free than it
/// left the last time.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

#[derive(Default)]
pub(crate) struct HeapTrimmer(Mutex<TrimState>);

#[derive(Default)]
struct TrimState {
    at: Option<Instant>,
    /// The least by which the resident set was larger than what the database used, since memory was given back.
    least: usize,
    /// Whether there was much to give back when it was last looked up.
    is_due: bool,
    /// When the allocator is asked again, and after which pause.
    retry: Option<(Instant, Duration)>,
}

impl HeapTrimmer {
    /// Gives memory back if the process has much more than the database uses: has had so twice in turn, since what was
    /// removed is freed a little later.
    pub(crate) fn trim_if_due(&self, used: usize) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if seen.at.is_some_and(|at| now < at + PAUSE) {
            return;
        }
        seen.at = Some(now);
        let free = resident().saturating_sub(used);
        if seen.should_trim(free, used, now) {
            trim();
            seen.trimmed(free, resident().saturating_sub(used), now);
        }
    }
}

impl TrimState {
    /// Whether the allocator is to be asked now, where so much is free beside what is used.
    fn should_trim(&mut self, free: usize, used: usize, now: Instant) -> bool {
        self.least = self.least.min(free);
        let much = SLACK + used / 8;
        let is_time = self.retry.is_some_and(|(at, _)| at <= now);
        let was_due = self.is_due;
        // What the last time could not give back is asked for again only after a pause.
        self.is_due = free - self.least >= much || free >= much && is_time;
        self.is_due && was_due
    }

    /// Notes that the allocator was asked, and how much was free before and after.
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

/// Gives unused memory back to the system. The time grows with the free memory.
pub(crate) fn trim() {
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

#[cfg(test)]
mod tests {
    use super::{PAUSE, RETRY, SLACK, TrimState};
    use std::time::{Duration, Instant};

    #[test]
    fn what_was_freed_too_late_is_given_back_later() {
        let (mut seen, mut now) = (TrimState::default(), Instant::now());
        let mut is_asked = |seen: &mut TrimState, free| {
            now += PAUSE;
            seen.should_trim(free, 0, now).then_some(now)
        };
        assert!(is_asked(&mut seen, 3 * SLACK).is_none(), "asked at once");
        let at = is_asked(&mut seen, 3 * SLACK).expect("much is free twice in turn");
        // Two thirds were freed after the allocator had looked at them.
        seen.trimmed(3 * SLACK, 2 * SLACK, at);
        let again =
            (0..20).find_map(|_| is_asked(&mut seen, 2 * SLACK)).expect("never asked again");
        assert!(again >= at + RETRY.0, "asked again at once");
    }

    #[test]
    fn what_cannot_be_given_back_is_asked_for_ever_less_often() {
        let (mut seen, began) = (TrimState::default(), Instant::now());
        let (mut now, mut asked) = (began, 0);
        while now < began + Duration::from_secs(3600) {
            now += PAUSE;
            if seen.should_trim(2 * SLACK, 0, now) {
                seen.trimmed(2 * SLACK, 2 * SLACK, now);
                asked += 1;
            }
        }
        assert!((12..=24).contains(&asked), "asked {asked} times within an hour");
    }
}
