//! How long a script may run: by the time that the processor has spent on it, so that a busy machine stops no honest
//! script, and by the clock on the wall, so that other clients do not wait forever.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A script that got only this part of a processor is stopped nevertheless.
const LEAST_SHARE: u32 = 30;
/// The processor time that a script has taken is counted from this part of its limit on: most scripts end before, and
/// pay for no system call.
const UNCOUNTED: u32 = 16;

/// The time limit of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    limit: Duration,
    /// The processor time of the thread at which the script has taken its limit; unknown before the first look at it.
    ends_at: Option<Duration>,
    /// When the script is stopped in any case.
    latest: Instant,
    /// The thread's clock need not be read before: it is never faster than the one on the wall.
    next_look: Instant,
}

/// A limit that a script has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExceededLimit {
    /// Of processor time.
    Processor(Duration),
    /// Of time on the wall.
    Wall(Duration),
}

impl TimeLimit {
    /// Begins a run.
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        let latest = now + limit * LEAST_SHARE;
        Self { limit, ends_at: None, latest, next_look: now + limit / UNCOUNTED }
    }

    /// Returns the limit that was exceeded. `processor` returns the processor time of the thread.
    pub(super) fn check(
        &mut self,
        now: Instant,
        processor: impl FnOnce() -> Duration,
    ) -> Option<ExceededLimit> {
        if now < self.next_look {
            return None;
        }
        if now >= self.latest {
            return Some(ExceededLimit::Wall(self.limit * LEAST_SHARE));
        }
        let taken = processor();
        let counted = self.limit.saturating_sub(self.limit / UNCOUNTED);
        // The first look is after a sixteenth of the limit, all of which counts as taken.
        let ends_at = *self.ends_at.get_or_insert(taken + counted);
        let left = ends_at.saturating_sub(taken);
        if left.is_zero() {
            return Some(ExceededLimit::Processor(self.limit));
        }
        self.next_look = (now + left).min(self.latest);
        None
    }
}

/// Returns the processor time that this thread has taken.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(160);

    /// Runs a script that gets this part of a processor. Returns when it is stopped, and why.
    fn run(share: u32) -> (Duration, ExceededLimit, u32) {
        let (began, mut looks) = (Instant::now(), 0);
        let mut limit = TimeLimit::new(LIMIT, began);
        for passed in (0..10_000).map(Duration::from_millis) {
            let processor = || {
                looks += 1;
                Duration::from_secs(7) + passed / share
            };
            if let Some(exceeded) = limit.check(began + passed, processor) {
                return (passed, exceeded, looks);
            }
        }
        panic!("it is never stopped");
    }

    #[test]
    fn time_without_a_processor_does_not_count() {
        let stopped = ExceededLimit::Processor(LIMIT);
        assert_eq!(run(1), (LIMIT, stopped, 2), "a script that is never interrupted");
        let (passed, why, looks) = run(4);
        assert_eq!(why, stopped);
        assert!((600..=640).contains(&passed.as_millis()), "stopped after {passed:?}");
        assert!(looks < 40, "the clock of the thread was read {looks} times");
        assert_eq!(run(100).0, LIMIT * LEAST_SHARE, "no script runs for longer");
        assert_eq!(run(100).1, ExceededLimit::Wall(LIMIT * LEAST_SHARE));
    }

    #[test]
    fn the_clock_of_a_thread_counts_its_work() {
        let before = processor_time();
        std::thread::sleep(Duration::from_millis(20));
        let taken = processor_time().saturating_sub(before);
        assert!(taken < Duration::from_millis(20), "it counts sleep");
        while processor_time() == before {}
    }
}
