//! The last watermark that this node has logged, and when the next one is due.

use crate::log::Lsn;

/// Milliseconds between two watermarks.
const INTERVAL: u64 = 1000;

/// The last watermark that this node has logged.
#[derive(Default)]
pub(super) struct LoggedWatermark {
    /// When, by the clock.
    pub(super) at: u64,
    pub(super) entry: Lsn,
    /// There were keys with an expiration.
    pub(super) had_ttl: bool,
}

impl LoggedWatermark {
    /// Returns whether a second has passed since.
    pub(super) fn is_old(&self, now: u64) -> bool {
        now < self.at || now - self.at >= INTERVAL
    }

    /// Returns whether followers may have keys to remove by a later watermark. `last` is the last entry of the log.
    pub(super) fn is_outdated(&self, has_ttl: bool, last: Lsn) -> bool {
        // This node may have removed keys since. They must go at the followers, too.
        has_ttl || self.had_ttl || last != self.entry
    }
}
