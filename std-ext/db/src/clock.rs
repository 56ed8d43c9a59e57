//! The time by which keys end.
//!
//! It is the system's, with one exception: it does not go back by itself. If the system's clock is set back a little,
//! the time stands until that is passed. If it is set back by more, all keys that had ended by then are removed, the
//! log is told so ([`State::follow_clock`](crate::state::State::follow_clock)), and then the time is the system's
//! again. So a key that has ended stays so, and a clock that was wrong for a while is wrong no longer than that.
//!
//! The same goes for the time of the log, which is that of its last entry: a database that is opened at an earlier
//! time removes what had ended by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds that the system's clock may be set back without being followed.
const LITTLE: u64 = 1000;

/// What tells the time.
#[derive(Clone, Debug, Default)]
pub enum TimeSource {
    /// The system's clock.
    #[default]
    System,
    /// This number of milliseconds since 1970: for tests.
    Manual(Arc<AtomicU64>),
}

impl TimeSource {
    fn now(&self) -> u64 {
        match self {
            Self::System => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                now.as_secs() * 1000 + u64::from(now.subsec_millis())
            }
            // Relaxed: a number by itself.
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }
}

/// The time by which keys end.
#[derive(Debug)]
pub(crate) struct Clock {
    source: TimeSource,
    /// The latest that was told, or that the log knows.
    latest: AtomicU64,
}

impl Clock {
    /// Not before `least`, the time of the log.
    pub(crate) fn starting(source: TimeSource, least: u64) -> Self {
        let latest = source.now().max(least);
        Self { source, latest: AtomicU64::new(latest) }
    }

    /// Milliseconds since 1970.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        let now = self.source.now();
        // Relaxed: a number by itself, which only grows but under the locks of all shards; a change asks under the lock
        // of its own.
        let latest = self.latest.load(Ordering::Relaxed);
        if now > latest {
            // Relaxed: as above.
            self.latest.fetch_max(now, Ordering::Relaxed);
        }
        now.max(latest)
    }

    /// The time, if the source is so far behind it that the time should follow.
    pub(crate) fn ahead(&self) -> Option<u64> {
        // Relaxed: as in `now`.
        let latest = self.latest.load(Ordering::Relaxed);
        (latest.saturating_sub(self.source.now()) > LITTLE).then_some(latest)
    }

    /// Goes on from a later time: that it was set back was undone.
    pub(crate) fn raise(&self, to: u64) {
        // Relaxed: as in `now`.
        self.latest.fetch_max(to, Ordering::Relaxed);
    }

    /// Sets the time back to that of the source, if it is still `from`; to when. The caller has the locks of all
    /// shards.
    pub(crate) fn set_back(&self, from: u64) -> Option<u64> {
        let now = self.source.now();
        // Relaxed: as in `now`.
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
        let clock = Clock::starting(TimeSource::Manual(Arc::clone(&source)), 9_000);
        assert_eq!((clock.now(), clock.ahead()), (10_000, None));
        set(9_000);
        assert_eq!((clock.now(), clock.ahead()), (10_000, None), "a little is waited for");
        set(8_999);
        assert_eq!((clock.now(), clock.ahead()), (10_000, Some(10_000)));
        assert_eq!(clock.set_back(9_999), None, "it is another time by now");
        assert_eq!(clock.set_back(10_000), Some(8_999));
        assert_eq!((clock.now(), clock.ahead()), (8_999, None));
        set(20_000);
        assert_eq!(clock.now(), 20_000, "it follows at once");
        assert_eq!(Clock::starting(TimeSource::Manual(source), 30_000).now(), 30_000);
    }
}
