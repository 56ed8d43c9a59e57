//! A log that a test controls: the committed entries, the confirmed evaluations, and the epoch.

use crate::lock::lock;
use crate::log::api::{Epoch, LeaseCheck, Log, LogError, Lsn, Position, ReadIndex};
use std::sync::{Condvar, Mutex, PoisonError};

type ProgressCallback = Box<dyn Fn() + Send + Sync>;

/// An entry: its number, its time and its changes.
pub type ManualEntry = (Lsn, u64, Vec<u8>);

#[derive(Default)]
pub struct ManualLog {
    state: Mutex<Manual>,
    changed: Condvar,
    callbacks: Mutex<Vec<ProgressCallback>>,
    longest_entry: Option<usize>,
    largest_request: Option<usize>,
    position: Mutex<Option<Position>>,
}

#[derive(Default)]
pub struct Manual {
    pub entries: Vec<ManualEntry>,
    pub last: Lsn,
    pub committed: Lsn,
    pub writable: bool,
    /// Refuses changes although this node is the primary.
    pub full: bool,
    pub epoch: Epoch,
    /// The epoch after the next entry that is appended.
    pub epoch_after_append: Option<Epoch>,
    /// Evaluations of the present epoch up to this time are confirmed.
    pub confirmed: u64,
    /// The number of calls of `check_lease` before the one that finds everything confirmed.
    pub confirmed_after: Option<usize>,
    /// The time of evaluations: the number of entries, plus one.
    pub now: u64,
    pub backlog: usize,
    /// The highest number that `commit` was called for.
    pub requested: Lsn,
}

impl ManualLog {
    /// Returns the log of a primary in epoch 1, all of whose entries are committed and all of whose evaluations are
    /// confirmed.
    pub fn trusting() -> Self {
        let log = Self::default();
        log.set(|state| {
            (state.writable, state.epoch) = (true, 1);
            (state.committed, state.confirmed) = (Lsn::MAX - 1, u64::MAX);
        });
        log
    }

    /// As `trusting`, with bounds of entries and requests.
    pub fn bounded(longest_entry: usize, largest_request: usize) -> Self {
        Self {
            longest_entry: Some(longest_entry),
            largest_request: Some(largest_request),
            ..Self::trusting()
        }
    }

    /// Changes the log, and notifies the threads that wait for it.
    pub fn set(&self, change: impl FnOnce(&mut Manual)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
        for callback in &*lock(&self.callbacks) {
            callback();
        }
    }

    pub fn get<R>(&self, read: impl FnOnce(&Manual) -> R) -> R {
        read(&lock(&self.state))
    }

    /// Waits until the log is in a state.
    pub fn wait_until(&self, wanted: impl Fn(&Manual) -> bool) {
        let state = lock(&self.state);
        let waited = self.changed.wait_while(state, |state| !wanted(state));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes an entry that a follower has applied.
    pub fn publish_last(&self, lsn: Lsn) {
        let mut state = lock(&self.state);
        state.last = lsn;
        state.committed = state.committed.max(lsn);
    }

    pub fn entries(&self) -> Vec<ManualEntry> {
        self.get(|state| state.entries.clone())
    }

    pub fn set_position(&self, position: Position) {
        *lock(&self.position) = Some(position);
    }
}

impl Log for ManualLog {
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError> {
        let mut state = lock(&self.state);
        (state.last, state.now) = (state.last + 1, state.now + 1);
        let lsn = state.last;
        state.entries.push((lsn, time, changes.to_vec()));
        if let Some(epoch) = state.epoch_after_append.take() {
            state.epoch = epoch;
        }
        Ok(lsn)
    }

    fn writable(&self) -> bool {
        self.get(|state| state.writable && !state.full)
    }

    fn is_full(&self) -> bool {
        self.get(|state| state.writable && state.full)
    }

    fn last(&self) -> Lsn {
        self.get(|state| state.last)
    }

    fn commit(&self, lsn: Lsn) -> Result<bool, LogError> {
        let mut state = lock(&self.state);
        state.requested = state.requested.max(lsn);
        self.changed.notify_all();
        if lsn == Lsn::MAX { Err(LogError::Deposed) } else { Ok(lsn <= state.committed) }
    }

    fn wait(&self, lsn: Lsn) -> Result<(), LogError> {
        self.wait_until(|state| lsn <= state.committed);
        Ok(())
    }

    fn committed(&self) -> Lsn {
        self.get(|state| state.committed)
    }

    fn on_progress(&self, told: ProgressCallback) {
        lock(&self.callbacks).push(told);
    }

    fn epoch(&self) -> Epoch {
        self.get(|state| state.epoch)
    }

    fn read_index(&self, before: Epoch) -> ReadIndex {
        ReadIndex { epoch: before, time: self.get(|state| state.now) + 1 }
    }

    fn check_lease(&self, read_index: &ReadIndex) -> LeaseCheck {
        let left = {
            let left = &mut lock(&self.state).confirmed_after;
            std::mem::replace(left, left.and_then(|left| left.checked_sub(1)))
        };
        if left == Some(0) {
            self.set(|state| state.confirmed = u64::MAX);
        }
        self.get(|state| match read_index.epoch == state.epoch {
            false => LeaseCheck::Failed,
            true if read_index.time <= state.confirmed => LeaseCheck::Passed,
            true => LeaseCheck::Pending,
        })
    }

    fn wait_lease_check(&self, read_index: &ReadIndex) -> Result<(), LogError> {
        self.wait_until(|state| {
            read_index.epoch != state.epoch || read_index.time <= state.confirmed
        });
        match self.check_lease(read_index) {
            LeaseCheck::Failed => Err(LogError::Deposed),
            LeaseCheck::Passed | LeaseCheck::Pending => Ok(()),
        }
    }

    fn longest_entry(&self) -> usize {
        self.longest_entry.unwrap_or(16 << 20)
    }

    fn largest_request(&self) -> usize {
        self.largest_request.unwrap_or(usize::MAX)
    }

    fn backlog(&self) -> usize {
        self.get(|state| state.backlog)
    }

    fn position(&self, _last: Lsn) -> Option<Position> {
        lock(&self.position).clone()
    }

    fn rotate(&self) -> Result<Lsn, LogError> {
        Ok(self.last() + 1)
    }

    fn drop_before(&self, _first: Lsn) -> Result<(), LogError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn close(&self) -> Result<(), LogError> {
        self.set(|state| state.writable = false);
        Ok(())
    }
}
