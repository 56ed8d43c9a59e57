//! The time by which keys end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 as the system told when this was made, counted on by a clock that never goes back: a key
/// that has ended stays so, whatever becomes of the system's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    at: u64,
}

impl Clock {
    /// Not before `least`: what the log has seen does not come again.
    pub(crate) fn starting(least: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { began: Instant::now(), at: (now.as_millis() as u64).max(least) }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.at.saturating_add(self.began.elapsed().as_millis() as u64)
    }
}
