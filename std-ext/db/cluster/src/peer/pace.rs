//! Spreads the keys that are sent for a move over time, while clients change keys of the group.

use hedgerow_db_engine::log::Lsn;
use std::time::Duration;
use tokio::time::Instant;

/// How often the clients are looked at.
const WINDOW: Duration = Duration::from_millis(50);
/// With fewer entries in a second, nobody notices that a move takes all that it gets.
const BUSY: u128 = 100;
/// The time for which no bytes were sent, and that the next ones may make up for.
const BURST: Duration = Duration::from_millis(50);
/// Nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// The bytes that were sent too early.
pub(super) struct Pace {
    /// Times the nanoseconds of a second. Negative if more may be sent at once.
    debt: i128,
    /// Up to when the debt is counted.
    at: Instant,
    /// When the clients were looked at last, and the last entry of the log then.
    looked: (Instant, Lsn),
    busy: bool,
}

impl Pace {
    /// Begins with clients that write, until it is known better.
    pub(super) fn new(now: Instant, last: Lsn) -> Self {
        Self { debt: 0, at: now, looked: (now, last), busy: true }
    }

    /// Counts bytes that were sent.
    pub(super) fn add(&mut self, bytes: usize) {
        self.debt += bytes as i128 * SECOND;
    }

    /// Returns how long nothing may be sent, given the bytes a second that may be sent while clients write, or 0 for no
    /// limit, and the last entry of the log.
    pub(super) fn pause(&mut self, now: Instant, rate: u64, last: Lsn) -> Duration {
        let (since, before) = self.looked;
        let past = now.saturating_duration_since(since);
        if past >= WINDOW {
            let entries = u128::from(last.saturating_sub(before));
            self.busy = entries * 1000 >= BUSY * past.as_millis();
            self.looked = (now, last);
        }
        let passed = nanoseconds(now.saturating_duration_since(self.at));
        self.at = now;
        // What was sent without a limit is not made up for later.
        if rate == 0 || !self.busy {
            self.debt = 0;
            return Duration::ZERO;
        }
        let rate = i128::from(rate);
        self.debt = (self.debt - passed * rate).max(-nanoseconds(BURST) * rate);
        // Centuries are as good as more: the caller asks again.
        Duration::from_nanos(u64::try_from((self.debt / rate).max(0)).unwrap_or(u64::MAX))
    }
}

fn nanoseconds(time: Duration) -> i128 {
    time.as_nanos().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends messages for ten seconds beside this number of entries a second. Returns the bytes.
    fn sent(rate: u64, entries: u64, message: usize) -> usize {
        let (begin, mut sent) = (Instant::now(), 0);
        let mut pace = Pace::new(begin, 7);
        for millisecond in 0..10_000_u64 {
            let now = begin + Duration::from_millis(millisecond);
            let last = 7 + millisecond * entries / 1000;
            // Ten messages in a millisecond at most.
            for _ in 0..10 {
                if pace.pause(now, rate, last).is_zero() {
                    pace.add(message);
                    sent += message;
                }
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_kept_while_clients_write() {
        for rate in [1_000_000, 8_000_000] {
            let (most, found) = (rate as usize * 10, sent(rate, 1000, 10_000));
            assert!((most * 95 / 100..most * 102 / 100).contains(&found), "{found} of {most}");
        }
        let one = sent(1, 1000, 10_000);
        assert_eq!(one, 10_000, "the second message comes after hours");
    }

    #[test]
    fn nothing_waits_without_a_limit_or_without_clients() {
        let all = 10_000 * 10 * 1000;
        assert_eq!(sent(0, 1000, 1000), all);
        let quiet = sent(1_000_000, 10, 1000);
        assert!(quiet > all * 9 / 10, "{quiet}");
    }

    #[test]
    fn a_pause_ends_when_the_limit_or_the_clients_go() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin, 0);
        pace.add(1000);
        assert_eq!(pace.pause(begin, 1, 0), Duration::from_secs(1000));
        assert_eq!(pace.pause(begin, 10, 0), Duration::from_secs(100));
        let later = begin + Duration::from_millis(40);
        assert_eq!(pace.pause(later, 1000, 100), Duration::from_millis(960));
        assert_eq!(pace.pause(later + WINDOW, 1000, 100), Duration::from_millis(910));
        // No entry for some time.
        assert_eq!(pace.pause(later + 2 * WINDOW, 1000, 100), Duration::ZERO);
        pace.add(1000);
        assert_eq!(pace.pause(later + 3 * WINDOW, 0, 1000), Duration::ZERO);
    }
}
