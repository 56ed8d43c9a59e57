//! Events that took long, which LATENCY shows.
//!
//! One monitor belongs to the database, its log, and the server: events happen on all of their threads. A thread takes
//! the monitor's lock only for an event that took long. If nothing is monitored, an event costs one look at a number.

use crate::gauge::Gauge;
use crate::lock::lock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Samples that are kept of each event.
const SAMPLES: usize = 160;

/// The names of events, which are Redis's.
pub mod event {
    /// A round of the maintenance thread over all shards, which removes expired keys.
    pub const EXPIRE_CYCLE: &str = "expire-cycle";
    /// A step that evicts keys until memory is within its limit, or the time of a step is over.
    pub const EVICTION_CYCLE: &str = "eviction-cycle";
    /// The removal of the keys that are evicted together.
    pub const EVICTION_DEL: &str = "eviction-del";
    /// A write to the log.
    pub const AOF_WRITE: &str = "aof-write";
    /// A write to the log while another thread synced it.
    pub const AOF_WRITE_PENDING_FSYNC: &str = "aof-write-pending-fsync";
    /// A sync of the log, for which replies wait.
    pub const AOF_FSYNC_ALWAYS: &str = "aof-fsync-always";
}

/// An event that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// In seconds since 1970.
    pub at: u64,
    pub milliseconds: u64,
}

/// The samples of one kind of event.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The oldest first.
    pub samples: VecDeque<Sample>,
    /// The longest one ever, in milliseconds.
    pub longest: u64,
}

/// Nanoseconds in a millisecond.
const NANOSECONDS: u64 = 1_000_000;

/// Returns the time in seconds since 1970.
pub fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The events that took as long as `latency-monitor-threshold`.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    /// In nanoseconds; 0 if nothing is monitored.
    threshold: Gauge,
    events: Mutex<BTreeMap<&'static str, Events>>,
}

impl LatencyMonitor {
    /// Returns the time from which on events are kept, in milliseconds; 0 if nothing is kept.
    pub fn threshold(&self) -> u64 {
        self.threshold.get() / NANOSECONDS
    }

    pub fn set_threshold(&self, milliseconds: u64) {
        self.threshold.set(milliseconds.saturating_mul(NANOSECONDS));
    }

    /// Keeps every event, however short.
    #[cfg(test)]
    pub(crate) fn keep_all(&self) {
        self.threshold.set(1);
    }

    /// Returns the time at which an event begins, if events are monitored.
    #[inline]
    pub fn begin(&self) -> Option<Instant> {
        (self.threshold.get() != 0).then(Instant::now)
    }

    /// Ends an event, and keeps it if it took long. Returns whether it did.
    pub fn end(&self, event: &'static str, began: Option<Instant>) -> bool {
        let Some(began) = began else { return false };
        let (took, threshold) = (began.elapsed().as_nanos() as u64, self.threshold.get());
        // The threshold may have become 0 meanwhile.
        let long = threshold != 0 && took >= threshold;
        if long {
            self.note(event, seconds_now(), took / NANOSECONDS);
        }
        long
    }

    /// Keeps an event. Of several in one second, only the longest is kept.
    pub fn note(&self, event: &'static str, at: u64, milliseconds: u64) {
        let mut all = lock(&self.events);
        let events = all.entry(event).or_default();
        events.longest = events.longest.max(milliseconds);
        match events.samples.back_mut() {
            Some(last) if last.at == at => last.milliseconds = last.milliseconds.max(milliseconds),
            _ => events.samples.push_back(Sample { at, milliseconds }),
        }
        if events.samples.len() > SAMPLES {
            events.samples.pop_front();
        }
    }

    /// Returns all kinds of events that have samples.
    pub fn all(&self) -> BTreeMap<&'static str, Events> {
        lock(&self.events).clone()
    }

    /// Forgets the events of these names, or all, and returns how many kinds there were.
    pub fn reset(&self, names: &[&[u8]]) -> usize {
        let mut all = lock(&self.events);
        let before = all.len();
        all.retain(|event, _| {
            let named = names.iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()));
            !names.is_empty() && !named
        });
        before - all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_sample_is_kept_of_each_second() {
        let monitor = LatencyMonitor::default();
        for (at, milliseconds) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            monitor.note("command", at, milliseconds);
        }
        let events = &monitor.all()["command"];
        let kept: Vec<(u64, u64)> =
            events.samples.iter().map(|sample| (sample.at, sample.milliseconds)).collect();
        assert_eq!((kept, events.longest), (vec![(1, 9), (2, 3)], 9));
        for at in 3..1000 {
            monitor.note("command", at, 1);
        }
        assert_eq!(monitor.all()["command"].samples.len(), SAMPLES, "samples take any memory");
        monitor.note("fast-command", 1, 1);
        assert_eq!(monitor.reset(&[b"none"]), 0);
        assert_eq!(monitor.reset(&[b"command"]), 1);
        assert_eq!(monitor.reset(&[]), 1);
        assert!(monitor.all().is_empty());
    }

    #[test]
    fn only_long_events_are_kept() {
        let monitor = LatencyMonitor::default();
        let ago = |milliseconds| Instant::now().checked_sub(Duration::from_millis(milliseconds));
        assert_eq!(monitor.begin(), None, "an event reads the clock while nothing is monitored");
        assert!(!monitor.end("one", ago(50)), "an event is kept while nothing is monitored");
        monitor.set_threshold(3_600_000);
        assert!(monitor.begin().is_some());
        assert!(!monitor.end("one", ago(50)), "a short event is kept");
        monitor.set_threshold(40);
        assert!(monitor.end("one", ago(50)));
        let all = monitor.all();
        assert!(all["one"].longest >= 50, "{all:?}");
        assert_eq!(monitor.threshold(), 40);
    }
}
