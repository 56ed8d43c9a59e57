//! The state machine of a service.

use crate::format::{EntryFormat, time_behind};
use crate::{Entry, Lsn};
use std::fmt::Debug;

/// A deterministic state machine: entries in, state out. Its default is the state before the first entry.
pub trait Machine: Clone + Debug + Default {
    /// Applies the next entry of the log, at the entry's time.
    ///
    /// # Errors
    /// If no correct primary can have written the entry, with a sentence that says why.
    fn apply(&mut self, entry: &Entry) -> Result<(), String>;

    /// Returns a hash of the whole state. Nodes whose states differ behind the same entry break a rule.
    fn digest(&self) -> u64;
}

/// A machine, and the entries that it has.
#[derive(Clone, Debug)]
pub struct Replica<M> {
    /// The machine.
    pub machine: M,
    /// The last entry that was applied.
    pub last: Lsn,
    /// The latest time of an entry since the clock was set back last.
    pub time: u64,
}

impl<M: Machine> Default for Replica<M> {
    fn default() -> Self {
        Self { machine: M::default(), last: 0, time: 0 }
    }
}

impl<M: Machine> Replica<M> {
    pub(super) fn apply(&mut self, format: &dyn EntryFormat, entry: &Entry) -> Result<(), String> {
        if entry.lsn != self.last + 1 {
            return Err(format!("entry {} is applied after entry {}", entry.lsn, self.last));
        }
        self.machine.apply(entry)?;
        self.last = entry.lsn;
        self.time = time_behind(format, self.time, [entry]);
        Ok(())
    }

    pub(super) fn digest(&self) -> u64 {
        self.machine.digest()
    }
}
