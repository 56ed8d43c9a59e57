//! Counts and times of the commands that a server executes, for its operator; the slow ones, and the errors.
//!
//! Each thread counts in a `CallMeter` of its own. It reads the clock once for each batch of a pipeline, and divides
//! the batch's time among the commands: they are executed together, and have no time of their own.

#[cfg(any(test, feature = "scripts"))]
pub(super) mod busy;
pub(super) mod call_meter;
pub(super) mod counters;
pub(super) mod monitoring;
pub(super) mod pause;
pub(super) mod slow_log;

use crate::command::table::NUMBERS;
use crate::pubsub::{Hub, Mailbox, Message, Subscriptions};
use counters::{CommandCounters, CommandTotals};
use hedgerow_db_engine::db::Stats;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::latency_monitor::LatencyMonitor;
use hedgerow_db_engine::lock::lock;
use pause::{Pause, PauseKind};
use slow_log::SlowLog;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The bytes of an error's code that are kept. A script can make codes of any length.
const LONGEST_ERROR_CODE: usize = 32;
/// Codes of errors that are counted apart. A script can make any number of codes.
const MAX_ERROR_CODES: usize = 128;
/// The code under which further errors are counted.
const OTHER_ERRORS: &str = "OTHER";

/// The clients that may use DEBUG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DebugAccess {
    /// None.
    No,
    /// Those on this machine.
    Local,
    /// All.
    Yes,
}

/// The part of the diagnostics that all threads of a server share.
#[derive(Debug)]
pub struct Diagnostics {
    pub(super) slow_log: SlowLog,
    /// The database's, whose own threads add events, too.
    pub(super) latency: Arc<LatencyMonitor>,
    /// The time from which on commands are looked at for the two above, in nanoseconds.
    slow_after: Gauge,
    pause: Pause,
    /// The clients whose next command waits for the end of a pause.
    postponed: Gauge,
    /// The clients whose last command waits for an element.
    waiting: Gauge,
    monitors: Mutex<Vec<Monitor>>,
    /// Scripts that run for longer than the time below.
    busy: Gauge,
    /// In milliseconds; 0 if scripts may run for any time.
    busy_after: Gauge,
    /// Reasons to look at requests before they are executed.
    observers: Gauge,
    /// The counters of each thread.
    threads: Mutex<Vec<Arc<CommandCounters>>>,
    errors: Mutex<BTreeMap<String, u64>>,
    /// The sums when `CONFIG RESETSTAT` was last used.
    at_reset: Mutex<Baseline>,
    /// [`DebugAccess`] as a number.
    debug_access: Gauge,
    /// Whether latencies are counted by command: 1 or 0.
    latency_tracking: Gauge,
    /// The percentiles that `INFO latencystats` shows.
    percentiles: Mutex<Vec<f64>>,
}

/// A client whose next command waits for the end of a pause.
#[derive(Debug)]
pub(crate) struct PostponedClient(Arc<Diagnostics>);

impl Drop for PostponedClient {
    fn drop(&mut self) {
        self.0.postponed.sub(1);
    }
}

/// A client whose last command waits for an element.
#[derive(Debug)]
pub(super) struct WaitingClient(Arc<Diagnostics>);

impl Drop for WaitingClient {
    fn drop(&mut self) {
        self.0.waiting.sub(1);
    }
}

/// A client that sees the commands of all others.
#[derive(Debug)]
struct Monitor {
    client: u64,
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
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
            latency: Arc::default(),
            slow_after: Gauge::new(slow_log::DEFAULT_THRESHOLD),
            pause: Pause::default(),
            postponed: Gauge::default(),
            waiting: Gauge::default(),
            busy: Gauge::default(),
            busy_after: Gauge::new(5000),
            monitors: Mutex::default(),
            observers: Gauge::default(),
            threads: Mutex::default(),
            errors: Mutex::default(),
            at_reset: Mutex::default(),
            debug_access: Gauge::default(),
            latency_tracking: Gauge::new(1),
            percentiles: Mutex::new(vec![50.0, 99.0, 99.9]),
        }
    }
}

impl Diagnostics {
    /// Makes the diagnostics of a server, with the monitor of its database.
    pub(crate) fn with_latency(latency: Arc<LatencyMonitor>) -> Self {
        Self { latency, ..Self::default() }
    }

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
            "latency-monitor-threshold" => self.latency.set_threshold(number().cast_unsigned()),
            "busy-reply-threshold" => self.busy_after.set(number().cast_unsigned()),
            "slowlog-max-len" => self.slow_log.set_max_len(number().cast_unsigned()),
            "enable-debug-command" => self.debug_access.set(match value {
                "yes" => DebugAccess::Yes,
                "local" => DebugAccess::Local,
                _ => DebugAccess::No,
            } as u64),
            "latency-tracking" => self.latency_tracking.set((value == "yes").into()),
            "latency-tracking-info-percentiles" => {
                let all = value.split_whitespace().filter_map(|word| word.parse().ok());
                *lock(&self.percentiles) = all.collect();
            }
            _ => return false,
        }
        // A threshold of 0 means that nothing is monitored; that of the slow log means every command.
        let monitored = match self.latency.threshold() {
            0 => u64::MAX,
            milliseconds => milliseconds.saturating_mul(1_000_000),
        };
        // One comparison for each batch, for both.
        self.slow_after.set(monitored.min(self.slow_log.threshold()));
        true
    }

    /// Returns the time from which on commands may belong to the slow log or the events, in nanoseconds.
    #[inline]
    fn slow_after(&self) -> u64 {
        self.slow_after.get()
    }

    /// Returns whether requests are looked at before they are executed.
    #[inline]
    pub(super) fn observes(&self) -> bool {
        self.observers.get() != 0
    }

    /// Adds a monitor, which gets its lines by the mailbox of its subscriptions.
    pub(super) fn add_monitor(&self, client: u64, subscriptions: &Subscriptions) {
        let (hub, mailbox) = (Arc::clone(subscriptions.hub()), Arc::clone(subscriptions.mailbox()));
        lock(&self.monitors).push(Monitor { client, hub, mailbox });
        self.observers.add(1);
    }

    pub(super) fn remove_monitor(&self, client: u64) {
        lock(&self.monitors).retain(|monitor| monitor.client != client);
        self.observers.sub(1);
    }

    /// Returns whether there are monitors.
    pub(super) fn is_monitored(&self) -> bool {
        !lock(&self.monitors).is_empty()
    }

    /// Sends a line to all monitors.
    pub(super) fn show_to_monitors(&self, line: &Message) {
        for monitor in &*lock(&self.monitors) {
            monitor.hub.send(&monitor.mailbox, line.clone());
        }
    }

    /// Begins a pause of the clients.
    pub(super) fn pause(&self, kind: PauseKind, time: Duration, now: Instant) {
        self.pause.begin(kind, time, now, &self.observers);
    }

    /// Ends the pause of the clients.
    pub(crate) fn unpause(&self) {
        self.pause.end(&self.observers);
    }

    /// Returns whether clients are paused.
    pub(crate) fn is_paused(&self, now: Instant) -> bool {
        self.observes() && self.paused(now).is_some()
    }

    /// Counts a client whose next command waits, until the result is dropped.
    pub(crate) fn postpone(self: &Arc<Self>) -> PostponedClient {
        self.postponed.add(1);
        PostponedClient(Arc::clone(self))
    }

    /// Returns whether a script runs for longer than `busy-reply-threshold`, so that other commands are refused.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get() != 0
    }

    /// Returns the time from which on a command occupies its loop for too long, if there is one.
    pub(crate) fn busy_after(&self) -> Option<Duration> {
        let milliseconds = self.busy_after.get();
        (milliseconds != 0).then(|| Duration::from_millis(milliseconds))
    }

    /// Counts a client whose last command waits for an element, until the result is dropped.
    pub(super) fn begin_wait(self: &Arc<Self>) -> WaitingClient {
        self.waiting.add(1);
        WaitingClient(Arc::clone(self))
    }

    /// Returns the number of clients whose next command waits for the end of a pause, or whose last one waits for an
    /// element. Redis counts both, too.
    pub(super) fn blocked_clients(&self) -> u64 {
        self.postponed.get() + self.waiting.get()
    }

    /// Returns the commands that wait because the clients are paused.
    pub(super) fn paused(&self, now: Instant) -> Option<PauseKind> {
        self.pause.kind(now, &self.observers)
    }

    /// Returns whether every command is slow enough for the slow log.
    #[cfg(test)]
    pub(crate) fn logs_every_command(&self) -> bool {
        self.slow_log.threshold() == 0
    }

    /// Returns the clients that may use DEBUG.
    pub(super) fn debug_access(&self) -> DebugAccess {
        let all = [DebugAccess::Yes, DebugAccess::Local];
        let access = all.into_iter().find(|access| *access as u64 == self.debug_access.get());
        access.unwrap_or(DebugAccess::No)
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
        // A script chooses the text.
        let code = String::from_utf8_lossy(&code[..code.len().min(LONGEST_ERROR_CODE)]);
        let mut errors = lock(&self.errors);
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
            return;
        }
        // Redis 7.0 counts each code, and a script that makes up codes takes memory without bound (`afterErrorReply`).
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
        // Before the present sums are read: a reset in between would subtract more than was counted.
        let at_reset = lock(&self.at_reset);
        let mut all = self.totals();
        for (now, then) in all.iter_mut().zip(&at_reset.commands) {
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
        // Under the lock, so that of two resets at the same time the later one counts.
        let mut at_reset = lock(&self.at_reset);
        *at_reset = Baseline { commands: self.totals(), keyspace };
        drop(at_reset);
        lock(&self.errors).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::AssertUnwindSafe;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Counts since a reset would wrap around to huge numbers.
    #[test]
    fn a_reset_subtracts_no_more_than_was_counted() {
        let (diagnostics, over) = (Diagnostics::default(), AtomicBool::new(false));
        let counters = diagnostics.register();
        // Relaxed: the flag stands for itself.
        let goes_on = || !over.load(Ordering::Relaxed);
        let read = |_| {
            let calls = diagnostics.totals_since_reset()[0].calls;
            assert!(calls < u64::MAX / 2, "more is subtracted than was counted");
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while goes_on() {
                    counters.add_calls(0, 1, 1, false);
                }
            });
            scope.spawn(|| {
                while goes_on() {
                    diagnostics.reset(KeyspaceCounts::default());
                }
            });
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| (0..3000).for_each(read)));
            // Relaxed: as above. Also if the check has failed, or the threads would run for ever.
            over.store(true, Ordering::Relaxed);
            assert!(result.is_ok(), "more is subtracted than was counted");
        });
    }

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
        let diagnostics = Diagnostics::default();
        diagnostics.count_error(&vec![b'E'; 1 << 20]);
        let lengths: Vec<_> = diagnostics.errors().into_keys().map(|code| code.len()).collect();
        assert_eq!(lengths, [LONGEST_ERROR_CODE], "a code of any length is kept");
    }
}
