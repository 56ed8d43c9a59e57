//! The counts of one thread while it executes commands.

use super::Diagnostics;
use super::counters::CommandCounters;
use crate::command::table::NUMBERS;
use std::sync::Arc;
use std::time::Instant;

/// The commands that one thread has executed since it last read the clock.
#[derive(Debug)]
pub(in crate::command) struct CallMeter {
    pub(in crate::command) diagnostics: Arc<Diagnostics>,
    counters: Arc<CommandCounters>,
    /// When the clock was last read.
    last: Instant,
    /// Calls since then, by the commands' numbers.
    calls: [u32; NUMBERS],
    /// The numbers of the commands that were called.
    called: Vec<usize>,
    /// The time of the commands of a connection's turn, in nanoseconds.
    spent: u64,
    /// Whether the next input belongs to the same turn.
    continues: bool,
}

/// Commands that were executed together, and took long.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Slow {
    /// The time of all together, in nanoseconds.
    pub(in crate::command) took: u64,
}

impl Default for CallMeter {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl CallMeter {
    pub(in crate::command) fn new(diagnostics: Arc<Diagnostics>) -> Self {
        let counters = diagnostics.register();
        let (calls, called) = ([0; NUMBERS], Vec::with_capacity(NUMBERS));
        let last = Instant::now();
        Self { diagnostics, counters, last, calls, called, spent: 0, continues: false }
    }

    /// Notes the time from which on commands are executed.
    pub(in crate::command) fn begin(&mut self, now: Instant) {
        self.last = now;
    }

    /// Notes that the next input belongs to the same turn of a connection.
    pub(in crate::command) fn continue_turn(&mut self) {
        self.continues = true;
    }

    /// Notes that input follows: that of another turn, unless `continue_turn` was called.
    #[inline]
    pub(in crate::command) fn begin_input(&mut self) {
        if !std::mem::take(&mut self.continues) {
            self.spent = 0;
        }
    }

    /// Returns how long the measured commands of this turn took together, in nanoseconds.
    #[inline]
    pub(in crate::command) fn spent(&self) -> u64 {
        self.spent
    }

    /// Counts a command that was executed, or added to a batch.
    #[inline]
    pub(in crate::command) fn count(&mut self, number: usize) {
        let calls = &mut self.calls[number];
        *calls += 1;
        // A list of those that were called, because `lap` would otherwise look at the counters of all commands.
        if *calls == 1 {
            self.note_called(number);
        }
    }

    #[inline(never)]
    fn note_called(&mut self, number: usize) {
        self.called.push(number);
    }

    /// Divides the time since the last call of this function among the commands that were executed since then. Returns
    /// them if they took long.
    #[inline]
    pub(in crate::command) fn lap(&mut self) -> Option<Slow> {
        if self.called.is_empty() {
            return None;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.last).as_nanos() as u64;
        self.last = now;
        self.spent += took;
        let tracks = self.diagnostics.tracks_latency();
        let calls: u64 = self.called.iter().map(|number| u64::from(self.calls[*number])).sum();
        // All of them may have been rejected.
        let share = took / calls.max(1);
        for &number in &self.called {
            let calls = std::mem::take(&mut self.calls[number]);
            self.counters.add_calls(number, calls.into(), share, tracks);
        }
        self.called.clear();
        (took >= self.diagnostics.slow_after()).then_some(Slow { took })
    }

    /// Counts a command that was not executed, because of its arguments or the state of its connection.
    #[cold]
    pub(in crate::command) fn reject(&mut self, number: usize) {
        self.counters.add_rejected(number);
    }

    /// Counts a command as rejected that was counted as a call when it was added to a batch.
    #[cold]
    pub(in crate::command) fn reject_counted(&mut self, number: usize) {
        self.calls[number] = self.calls[number].saturating_sub(1);
        self.reject(number);
    }

    /// Counts a command whose reply is an error.
    #[cold]
    pub(in crate::command) fn fail(&mut self, number: usize) {
        self.counters.add_failed(number);
    }
}
