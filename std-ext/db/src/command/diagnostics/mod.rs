//! What an operator learns about the commands that a server executes: how many, how long, which were slow, and which
//! errors they had.
//!
//! Each thread counts in a [`Tally`] of its own. A thread reads the clock once for each batch of a pipeline and divides
//! the batch's time among its commands: they are executed together, so none has a time of its own.

pub(super) mod counters;
pub(super) mod slow_log;
pub(super) mod tally;

use crate::db::Stats;
use crate::gauge::Gauge;
use crate::lock::lock;
use counters::{CommandCounters, CommandTotals, NUMBERS};
use slow_log::SlowLog;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Codes of errors that are counted apart. A script can make any number of codes.
const MAX_ERROR_CODES: usize = 128;
/// The code under which further errors are counted.
const OTHER_ERRORS: &str = "OTHER";

/// What all threads of a server share about the commands that they execute.
#[derive(Debug)]
pub struct Diagnostics {
    pub(super) slow_log: SlowLog,
    /// The counters of each thread.
    threads: Mutex<Vec<Arc<CommandCounters>>>,
    errors: Mutex<BTreeMap<String, u64>>,
    /// The sums when `CONFIG RESETSTAT` was last used.
    at_reset: Mutex<Baseline>,
    /// Whether latencies are counted by command: 1 or 0.
    latency_tracking: Gauge,
    /// The percentiles that `INFO latencystats` shows.
    percentiles: Mutex<Vec<f64>>,
}

/// The sums when they were last reset.
#[derive(Debug, Default)]
struct Baseline {
    commands: Vec<CommandTotals>,
    keyspace: KeyspaceCounts,
}

/// Counts of the database that `CONFIG RESETSTAT` resets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyspaceCounts {
    pub(super) expired: u64,
    pub(super) evicted: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl KeyspaceCounts {
    pub(super) fn of(stats: &Stats) -> Self {
        let Stats { expired, evicted, hits, misses, .. } = *stats;
        Self { expired, evicted, hits, misses }
    }
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self {
            slow_log: SlowLog::default(),
            threads: Mutex::default(),
            errors: Mutex::default(),
            at_reset: Mutex::default(),
            latency_tracking: Gauge::new(1),
            percentiles: Mutex::new(vec![50.0, 99.0, 99.9]),
        }
    }
}

impl Diagnostics {
    /// Returns the counters for another thread.
    fn register(&self) -> Arc<CommandCounters> {
        let counters = Arc::new(CommandCounters::default());
        lock(&self.threads).push(Arc::clone(&counters));
        counters
    }

    /// Applies a setting, as its kind has normalized it. Returns whether it is one of these.
    pub fn apply(&self, name: &str, value: &str) -> bool {
        let number = || value.parse::<i64>().unwrap_or(0);
        match name {
            "slowlog-log-slower-than" => self.slow_log.set_threshold(number()),
            "slowlog-max-len" => self.slow_log.set_max_len(number().cast_unsigned()),
            "latency-tracking" => self.latency_tracking.set((value == "yes").into()),
            "latency-tracking-info-percentiles" => {
                let all = value.split_whitespace().filter_map(|word| word.parse().ok());
                *lock(&self.percentiles) = all.collect();
            }
            _ => return false,
        }
        true
    }

    /// Returns whether every command is slow enough for the slow log.
    #[cfg(test)]
    pub(crate) fn logs_every_command(&self) -> bool {
        self.slow_log.threshold() == 0
    }

    /// Returns whether latencies are counted by command.
    fn tracks_latency(&self) -> bool {
        self.latency_tracking.get() != 0
    }

    pub(super) fn percentiles(&self) -> Vec<f64> {
        lock(&self.percentiles).clone()
    }

    /// Counts an error by its code, the first word of its text.
    pub(super) fn count_error(&self, text: &[u8]) {
        let code = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        let code = String::from_utf8_lossy(code);
        let mut errors = lock(&self.errors);
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
            return;
        }
        let code = if errors.len() < MAX_ERROR_CODES { &*code } else { OTHER_ERRORS };
        *errors.entry(code.to_owned()).or_default() += 1;
    }

    /// Returns the number of errors of each code.
    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        lock(&self.errors).clone()
    }

    /// Returns the sums of all threads since the start, by the commands' numbers.
    pub(crate) fn totals(&self) -> Vec<CommandTotals> {
        let mut all = vec![CommandTotals::default(); NUMBERS];
        for thread in &*lock(&self.threads) {
            thread.add_to(&mut all);
        }
        all
    }

    /// Returns the sums of all threads since `CONFIG RESETSTAT`, by the commands' numbers.
    pub(super) fn totals_since_reset(&self) -> Vec<CommandTotals> {
        let mut all = self.totals();
        for (now, then) in all.iter_mut().zip(&lock(&self.at_reset).commands) {
            now.subtract(then);
        }
        all
    }

    /// Subtracts what was counted before `CONFIG RESETSTAT`.
    pub(super) fn since_reset(&self, mut counts: KeyspaceCounts) -> KeyspaceCounts {
        let then = lock(&self.at_reset).keyspace;
        counts.expired = counts.expired.saturating_sub(then.expired);
        counts.evicted = counts.evicted.saturating_sub(then.evicted);
        counts.hits = counts.hits.saturating_sub(then.hits);
        counts.misses = counts.misses.saturating_sub(then.misses);
        counts
    }

    /// Resets what `CONFIG RESETSTAT` resets. Threads go on counting, so the present sums are kept and subtracted.
    pub(super) fn reset(&self, keyspace: KeyspaceCounts) {
        let commands = self.totals();
        *lock(&self.at_reset) = Baseline { commands, keyspace };
        lock(&self.errors).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_errors_are_limited() {
        let diagnostics = Diagnostics::default();
        for n in 0..2 * MAX_ERROR_CODES {
            diagnostics.count_error(format!("CODE{n} text").as_bytes());
        }
        diagnostics.count_error(b"CODE0 another");
        let errors = diagnostics.errors();
        assert_eq!(errors["CODE0"], 2);
        assert_eq!(errors.len(), MAX_ERROR_CODES + 1, "one client makes any number of codes");
        assert_eq!(errors[OTHER_ERRORS], MAX_ERROR_CODES as u64);
    }
}
