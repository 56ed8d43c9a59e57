//! The progress of loading.

use crate::gauge::Gauge;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the progress is logged.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of loading, shared by the thread that opens a database and the threads that report on it.
#[derive(Debug)]
pub struct Progress {
    total: Gauge,
    done: Gauge,
    started: Instant,
    /// Seconds since 1970.
    started_at: u64,
    /// How many reports were logged.
    reports: Gauge,
    /// 1 while a node of a cluster waits for a place in a group.
    spare: Gauge,
}

impl Default for Progress {
    fn default() -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            total: Gauge::default(),
            done: Gauge::default(),
            started: Instant::now(),
            started_at: started_at.as_secs(),
            reports: Gauge::default(),
            spare: Gauge::default(),
        }
    }
}

impl Progress {
    /// Returns the bytes of all files to load, as far as that is known.
    pub fn total(&self) -> u64 {
        self.total.get()
    }

    /// Returns about how many of these bytes were loaded.
    pub fn done(&self) -> u64 {
        self.done.get().min(self.total())
    }

    /// Returns when loading started, in seconds since 1970.
    pub fn started_at(&self) -> u64 {
        self.started_at
    }

    /// Returns the loaded part in percent.
    pub fn percent(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an approximate number")]
        let part = |bytes: u64| bytes as f64;
        100.0 * part(self.done()) / part(self.total().max(1))
    }

    /// Estimates the time that the rest takes at the speed so far.
    pub fn remaining(&self) -> Duration {
        let (done, total) = (self.done(), self.total());
        let took = self.started.elapsed().as_millis() as u64;
        let remaining = took.saturating_mul(total - done.min(total)) / done.max(1);
        Duration::from_millis(remaining)
    }

    /// Returns whether a node of a cluster has nothing to load yet, because it waits for a place in a group.
    pub fn is_spare(&self) -> bool {
        self.spare.get() != 0
    }

    /// Notes whether a node of a cluster waits for a place in a group.
    #[doc(hidden)]
    pub fn set_spare(&self, spare: bool) {
        self.spare.set(spare.into());
    }

    /// Adds bytes to the total.
    pub(crate) fn add_total(&self, bytes: u64) {
        self.total.add(bytes);
    }

    /// Adds loaded bytes, and logs the progress if it is time.
    pub(crate) fn add_done(&self, bytes: u64) {
        self.done.add(bytes);
        let due = self.started.elapsed().as_secs() / REPORT_INTERVAL.as_secs();
        // Several threads load; the one that raises the number writes the report.
        if due > self.reports.get() && self.reports.raise(due) < due {
            let (percent, total, remaining) =
                (self.percent(), self.total() >> 20, self.remaining());
            tracing::info!("loading: {percent:.0} % of {total} MiB, about {remaining:.0?} left");
        }
    }
}
