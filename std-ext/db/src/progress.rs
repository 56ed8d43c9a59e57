//! How far the data is loaded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the log of the program tells of it.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// How far the data is loaded: shared by the thread that opens a database and those that ask meanwhile. All of it is
/// figures, each by itself.
#[derive(Debug)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    started: Instant,
    /// Seconds since 1970.
    started_at: u64,
    /// How often it was told.
    reports: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            started: Instant::now(),
            started_at: started_at.as_secs(),
            reports: AtomicU64::new(0),
        }
    }
}

impl Progress {
    /// Bytes of the files that are loaded, as far as that is known.
    pub fn total(&self) -> u64 {
        // Relaxed: a figure.
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes of them that were loaded, about.
    pub fn done(&self) -> u64 {
        // Relaxed: a figure.
        self.done.load(Ordering::Relaxed).min(self.total())
    }

    /// Seconds since 1970 at which it began.
    pub fn started_at(&self) -> u64 {
        self.started_at
    }

    /// The loaded part of a hundred.
    pub fn percent(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let part = |bytes: u64| bytes as f64;
        100.0 * part(self.done()) / part(self.total().max(1))
    }

    /// How long the rest will take, if it goes on as it went.
    pub fn remaining(&self) -> Duration {
        let (done, total) = (self.done(), self.total());
        let took = self.started.elapsed().as_millis() as u64;
        let remaining = took.saturating_mul(total - done.min(total)) / done.max(1);
        Duration::from_millis(remaining)
    }

    /// Notes that `bytes` more bytes will be loaded.
    pub(crate) fn add_total(&self, bytes: u64) {
        // Relaxed: a figure.
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that `bytes` more bytes were loaded.
    pub(crate) fn add_done(&self, bytes: u64) {
        // Relaxed: a figure.
        self.done.fetch_add(bytes, Ordering::Relaxed);
        let due = self.started.elapsed().as_secs() / REPORT_INTERVAL.as_secs();
        // Relaxed: a figure; of several threads one tells.
        if due > self.reports.load(Ordering::Relaxed)
            && self.reports.fetch_max(due, Ordering::Relaxed) < due
        {
            let (percent, total, remaining) =
                (self.percent(), self.total() >> 20, self.remaining());
            tracing::info!("loading: {percent:.0} % of {total} MiB, some {remaining:.0?} left");
        }
    }
}
