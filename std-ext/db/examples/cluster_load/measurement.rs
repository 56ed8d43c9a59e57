//! Counts and latencies.

use super::settings::Settings;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
}

/// The answered requests of a run. Those of the warm-up count in the totals only.
#[derive(Debug)]
pub(crate) struct Measurement {
    from: Instant,
    to: Instant,
    counted: u64,
    writes: u64,
    reads: u64,
    /// The latencies of pipelines that were answered after the warm-up, in microseconds.
    write_latencies: Vec<u32>,
    read_latencies: Vec<u32>,
    /// Transactions of `batches`.
    pub(crate) batches: u64,
    /// Reads that found no value.
    pub(crate) misses: u64,
}

impl Measurement {
    /// Begins a run now. It lasts as long as the settings say.
    pub(crate) fn begin(settings: &Settings) -> Self {
        Self::new(Instant::now() + settings.warm, settings.time)
    }

    /// Begins a run now. It lasts until [`end`](Self::end).
    pub(crate) fn begin_open() -> Self {
        Self::new(Instant::now(), FOREVER)
    }

    fn new(from: Instant, time: Duration) -> Self {
        Self {
            from,
            to: from + time,
            counted: 0,
            writes: 0,
            reads: 0,
            write_latencies: Vec::new(),
            read_latencies: Vec::new(),
            batches: 0,
            misses: 0,
        }
    }

    /// Returns whether the time is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.to
    }

    /// Returns the time that is left.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.to.saturating_duration_since(now)
    }

    /// Counts requests that were sent together and are answered.
    pub(crate) fn note(&mut self, kind: Kind, requests: u64, sent: Instant, now: Instant) {
        let (all, latencies) = match kind {
            Kind::Write => (&mut self.writes, &mut self.write_latencies),
            Kind::Read => (&mut self.reads, &mut self.read_latencies),
        };
        *all += requests;
        if now >= self.from && now < self.to {
            self.counted += requests;
            let took = now.duration_since(sent).as_micros();
            latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
    }

    /// Ends the run.
    pub(crate) fn end(&mut self, now: Instant) {
        self.to = now;
    }

    /// Prints all on one line.
    pub(crate) fn json(mut self) -> String {
        let seconds = self.to.saturating_duration_since(self.from).as_secs_f64();
        let rate = if seconds > 0.0 { self.counted as f64 / seconds } else { 0.0 };
        let (writes, reads, batches, misses) = (self.writes, self.reads, self.batches, self.misses);
        let mut text = format!(
            r#"{{"rate":{rate:.1},"writes":{writes},"reads":{reads},"batches":{batches},"misses":{misses}"#
        );
        let latencies = [("write", &mut self.write_latencies), ("read", &mut self.read_latencies)];
        for (kind, latencies) in latencies {
            latencies.sort_unstable();
            for (name, part) in [("p50", 0.5), ("p99", 0.99), ("most", 1.0)] {
                let milliseconds = quantile(latencies, part) / 1000.0;
                // Writing to a String never fails.
                let _ = write!(text, r#","{kind}_{name}_ms":{milliseconds:.3}"#);
            }
        }
        text + "}"
    }
}

/// Returns the quantile of sorted numbers; 0 if there are none.
fn quantile(sorted: &[u32], part: f64) -> f64 {
    let place = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().map_or(0.0, f64::from)
}
