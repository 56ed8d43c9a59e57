//! The slow log: the last commands that took longer than `slowlog-log-slower-than`.

use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Arguments of an entry at most, and bytes of each.
const MAX_ARGUMENTS: usize = 32;
const MAX_BYTES: usize = 128;

/// The time from which on a command is slow by default, in nanoseconds.
pub(super) const DEFAULT_THRESHOLD: u64 = 10_000_000;

/// A command that took long.
#[derive(Clone, Debug)]
pub(in crate::command) struct SlowCommand {
    pub(in crate::command) id: u64,
    /// In seconds since 1970.
    pub(in crate::command) at: u64,
    pub(in crate::command) microseconds: u64,
    pub(in crate::command) arguments: Vec<Vec<u8>>,
    pub(in crate::command) address: String,
    pub(in crate::command) name: Vec<u8>,
}

/// The last slow commands of all threads.
#[derive(Debug)]
pub(in crate::command) struct SlowLog {
    entries: Mutex<SlowEntries>,
    /// In nanoseconds.
    threshold: Gauge,
    max_len: Gauge,
}

#[derive(Debug, Default)]
struct SlowEntries {
    /// The newest first.
    commands: VecDeque<SlowCommand>,
    next_id: u64,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            threshold: Gauge::new(DEFAULT_THRESHOLD),
            max_len: Gauge::new(128),
        }
    }
}

impl SlowLog {
    /// Returns the time from which on a command is slow, in nanoseconds.
    #[inline]
    pub(in crate::command) fn threshold(&self) -> u64 {
        self.threshold.get()
    }

    /// Sets the time in microseconds; a negative one logs nothing.
    pub(super) fn set_threshold(&self, microseconds: i64) {
        let nanoseconds = u64::try_from(microseconds).map_or(u64::MAX, |n| n.saturating_mul(1000));
        self.threshold.set(nanoseconds);
    }

    pub(super) fn set_max_len(&self, entries: u64) {
        self.max_len.set(entries);
    }

    /// Adds a command, whose id it chooses.
    pub(in crate::command) fn push(&self, mut command: SlowCommand) {
        let max_len = usize::try_from(self.max_len.get()).unwrap_or(usize::MAX);
        if max_len == 0 {
            return;
        }
        let mut entries = lock(&self.entries);
        command.id = entries.next_id;
        entries.next_id += 1;
        entries.commands.push_front(command);
        entries.commands.truncate(max_len);
    }

    pub(in crate::command) fn len(&self) -> usize {
        lock(&self.entries).commands.len()
    }

    pub(in crate::command) fn reset(&self) {
        lock(&self.entries).commands.clear();
    }

    /// Returns the last `count` commands, the newest first.
    pub(in crate::command) fn last(&self, count: usize) -> Vec<SlowCommand> {
        lock(&self.entries).commands.iter().take(count).cloned().collect()
    }
}

/// Copies arguments for an entry: at most 32, and at most 128 bytes of each.
pub(in crate::command) fn shortened(arguments: &[&[u8]]) -> Vec<Vec<u8>> {
    // As `slowlogCreateEntry`: the last of the 32 places says how many are missing.
    let shown = if arguments.len() > MAX_ARGUMENTS { MAX_ARGUMENTS - 1 } else { arguments.len() };
    let mut all: Vec<Vec<u8>> = arguments[..shown].iter().map(|argument| cut(argument)).collect();
    if shown < arguments.len() {
        all.push(format!("... ({} more arguments)", arguments.len() - shown).into_bytes());
    }
    all
}

fn cut(argument: &[u8]) -> Vec<u8> {
    let mut cut = argument[..argument.len().min(MAX_BYTES)].to_vec();
    if argument.len() > MAX_BYTES {
        let more = argument.len() - MAX_BYTES;
        cut.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
    }
    cut
}
