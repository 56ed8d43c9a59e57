//! The clock by which keys expire.
//!
//! It is the system's clock, but does not go back by itself:
//!
//! - If the system's clock is set back by up to a second, this clock stands still until the system's has caught up.
//! - If it is set back by more, the database removes all keys that had expired, logs that
//!   (`State::follow_clock`), and continues from the system's time.
//!
//! So an expired key never comes back, and the clock is wrong for no longer than the system's was.
//!
//! The same holds for the time of the last log entry: a database that is opened at an earlier time removes the keys
//! that had expired by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds by which the system's clock may be set back before this clock follows it.
const LITTLE: u64 = 1000;

/// The source of the time.
#[derive(Clone, Debug, Default)]
pub enum TimeSource {
    /// The system's clock.
    #[default]
    System,
    /// A number of milliseconds since 1970 that a test sets.
    Manual(Arc<AtomicU64>),
}

impl TimeSource {
    /// Returns the time in milliseconds since 1970.
    #[doc(hidden)]
    pub fn now(&self) -> u64 {
        match self {
            Self::System => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                now.as_secs() * 1000 + u64::from(now.subsec_millis())
            }
            // Relaxed: a number that orders nothing.
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }
}

/// Returns a length of time in milliseconds.
#[doc(hidden)]
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The clock by which keys expire.
#[derive(Debug)]
#[doc(hidden)]
pub struct ExpiryClock {
    source: TimeSource,
    /// The latest time that was returned, or that the log contains.
    latest: AtomicU64,
}

impl ExpiryClock {
    /// Creates a clock that begins no earlier than `least`, the time of the log.
    #[doc(hidden)]
    pub fn starting(source: TimeSource, least: u64) -> Self {
        let latest = source.now().max(least);
        Self { source, latest: AtomicU64::new(latest) }
    }

    /// Returns the time in milliseconds since 1970.
    #[inline]
    #[doc(hidden)]
    pub fn now(&self) -> u64 {
        let now = self.source.now();
        // Relaxed: the number only grows, except under the locks of all shards, and a thread that makes a change calls
        // this under the lock of its shard.
        let latest = self.latest.load(Ordering::Relaxed);
        if now > latest {
            // Relaxed: as above.
            self.latest.fetch_max(now, Ordering::Relaxed);
        }
        now.max(latest)
    }

    /// Returns the time if the source is so far behind it that this clock should follow.
    #[doc(hidden)]
    pub fn ahead(&self) -> Option<u64> {
        // Relaxed: for the reason given in `now`.
        let latest = self.latest.load(Ordering::Relaxed);
        self.is_far_behind(latest).then_some(latest)
    }

    /// Returns whether `time` is more than [`LITTLE`] later than the source, so that a clock at `time` needs to be set
    /// back. The clock's own time does not matter: several small raises must not add up.
    #[doc(hidden)]
    pub fn is_far_behind(&self, time: u64) -> bool {
        time.saturating_sub(self.source.now()) > LITTLE
    }

    /// Continues from a later time, because setting the clock back was undone.
    #[doc(hidden)]
    pub fn raise(&self, to: u64) {
        // Relaxed: for the reason given in `now`.
        self.latest.fetch_max(to, Ordering::Relaxed);
    }

    /// Sets the clock back to the time of its source if it still is at `from`. Returns the new time. The caller holds
    /// the locks of all shards.
    #[doc(hidden)]
    pub fn set_back(&self, from: u64) -> Option<u64> {
        let now = self.source.now();
        // Relaxed: for the reason given in `now`.
        let set = self.latest.compare_exchange(from, now, Ordering::Relaxed, Ordering::Relaxed);
        set.is_ok().then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_back_only_when_it_is_told_to() {
        let source = Arc::new(AtomicU64::new(10_000));
        let set = |to| source.store(to, Ordering::Relaxed);
        let clock = ExpiryClock::starting(TimeSource::Manual(Arc::clone(&source)), 9_000);
        assert_eq!((clock.now(), clock.ahead()), (10_000, None));
        set(9_000);
        assert_eq!((clock.now(), clock.ahead()), (10_000, None), "it stands still");
        set(8_999);
        assert_eq!((clock.now(), clock.ahead()), (10_000, Some(10_000)));
        assert_eq!(clock.set_back(9_999), None, "the time has changed");
        assert_eq!(clock.set_back(10_000), Some(8_999));
        assert_eq!((clock.now(), clock.ahead()), (8_999, None));
        set(20_000);
        assert_eq!(clock.now(), 20_000, "it follows at once");
        assert_eq!(ExpiryClock::starting(TimeSource::Manual(source), 30_000).now(), 30_000);
    }

    #[test]
    fn small_raises_do_not_add_up() {
        let source = TimeSource::Manual(Arc::new(AtomicU64::new(10_000)));
        let clock = ExpiryClock::starting(source, 0);
        for to in [10_900, 11_000] {
            assert!(!clock.is_far_behind(to), "a raise by up to a second is refused");
            clock.raise(to);
            assert_eq!(clock.ahead(), None, "the clock would be set back");
        }
        assert!(clock.is_far_behind(11_001), "small raises add up");
    }
}
