//! The clock by which the cluster counts time.
//!
//! Leases and timers count the time since the machine has started, also while it was suspended. std's `Instant` stands
//! still during a suspension, so a primary that slept would take its lease for valid.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The clock that does not stop while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// Other systems have no such clock that rustix knows. There, `cluster-reads log` is the setting that needs no clock.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Returns the milliseconds since the machine has started.
pub(crate) fn now() -> u64 {
    micros() / 1000
}

/// Returns the microseconds since the machine has started.
pub(crate) fn micros() -> u64 {
    #[cfg(test)]
    if let Some(set) = manual::get() {
        return set;
    }
    let now = clock_gettime(CLOCK);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanoseconds / 1000
}

/// Returns the time from now until `at`, in a form for timers.
pub(crate) fn until(at: u64) -> Duration {
    Duration::from_millis(at.saturating_sub(now()))
}

/// A clock that a test sets for its own thread.
#[cfg(test)]
pub(crate) mod manual {
    use std::cell::Cell;

    thread_local! {
        static MICROS: Cell<Option<u64>> = const { Cell::new(None) };
    }

    pub(crate) fn get() -> Option<u64> {
        MICROS.get()
    }

    /// Stops the clock at a time.
    pub(crate) fn set(micros: u64) {
        MICROS.set(Some(micros));
    }

    /// Lets the clock go on.
    pub(crate) fn clear() {
        MICROS.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let began = now();
        assert!(began > 0);
        std::thread::sleep(Duration::from_millis(20));
        let passed = now() - began;
        assert!((19..10_000).contains(&passed), "{passed} ms");
        assert_eq!(until(began), Duration::ZERO);
        assert!(until(now() + 60_000) > Duration::from_secs(50));
    }
}
