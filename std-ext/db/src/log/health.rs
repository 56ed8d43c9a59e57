//! Whether the log can be written: one state, and the ways from one to the next.
//!
//! ```text
//! Healthy --a write fails--> Full --a write succeeds--> Healthy
//! Healthy, Full, Closing --the disk lost something, or the files are gone--> Failed
//! Healthy, Full --close--> Closing --all was tried--> Closed
//! ```
//!
//! The lock of the state is taken last of all.

use crate::log::error::LogError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether the log can be written.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Entries are written as they come.
    Healthy,
    /// The last write failed. No change begins, and the log's thread tries again.
    Full(LogError),
    /// No entry is taken; those that were taken are being written.
    Closing,
    /// No entry is taken. What is not safe never will be.
    Closed,
    /// As `Closed`, because of this.
    Failed(LogError),
}

/// The state, to be asked by any thread.
pub(super) struct Health {
    condition: Mutex<Condition>,
    /// Whether the condition is `Healthy`, to be asked without a lock.
    writable: AtomicBool,
    /// Entries that are not safe have to be rolled back.
    rolls_back: AtomicBool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            condition: Mutex::new(Condition::Healthy),
            writable: AtomicBool::new(true),
            rolls_back: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        // No thread panics in the middle of a change, so a poisoned condition is whole.
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn condition(&self) -> Condition {
        self.lock().clone()
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        !self.writable() && matches!(*self.lock(), Condition::Full(_))
    }

    #[inline]
    pub(super) fn writable(&self) -> bool {
        // Relaxed: a change asks under the lock of its shard. A rollback follows each failure and takes all these
        // locks, so a change that it does not undo comes after it and sees that no change may begin. What writes asks
        // under the lock of `back`, under which the log fails and heals.
        self.writable.load(Ordering::Relaxed)
    }

    /// Whether entries are taken. Those that are appended on a full disk are rolled back.
    pub(super) fn takes(&self) -> Result<(), LogError> {
        match &*self.lock() {
            Condition::Healthy | Condition::Full(_) => Ok(()),
            Condition::Closing | Condition::Closed => Err(LogError::Closed),
            Condition::Failed(why) => Err(why.clone()),
        }
    }

    /// Whether a new file may be begun.
    pub(super) fn is_healthy(&self) -> Result<(), LogError> {
        match &*self.lock() {
            Condition::Healthy => Ok(()),
            Condition::Closing | Condition::Closed => Err(LogError::Closed),
            Condition::Full(why) | Condition::Failed(why) => Err(why.clone()),
        }
    }

    /// Whether what is not safe may yet become so.
    #[inline]
    pub(super) fn goes_on(&self) -> Result<(), LogError> {
        if self.writable() { Ok(()) } else { self.goes_on_unhealthy() }
    }

    #[cold]
    fn goes_on_unhealthy(&self) -> Result<(), LogError> {
        match &*self.lock() {
            Condition::Healthy | Condition::Full(_) | Condition::Closing => Ok(()),
            Condition::Closed => Err(LogError::Closed),
            Condition::Failed(why) => Err(why.clone()),
        }
    }

    /// A write failed. Whether it is the first.
    pub(super) fn full(&self, why: &LogError) -> bool {
        let mut condition = self.lock();
        let first = matches!(*condition, Condition::Healthy);
        if first {
            *condition = Condition::Full(why.clone());
            self.refuse();
        }
        first
    }

    /// A write succeeded. Whether it is the first after one that failed.
    #[inline]
    pub(super) fn healthy(&self) -> bool {
        !self.writable() && self.heals()
    }

    #[cold]
    fn heals(&self) -> bool {
        let mut condition = self.lock();
        let first = matches!(*condition, Condition::Full(_));
        if first {
            *condition = Condition::Healthy;
            // Relaxed: as in `writable`.
            self.writable.store(true, Ordering::Relaxed);
        }
        first
    }

    /// What is not safe never will be. The first reason stays.
    pub(super) fn failed(&self, why: LogError) -> LogError {
        let mut condition = self.lock();
        if let Condition::Failed(first) = &*condition {
            return first.clone();
        }
        *condition = Condition::Failed(why.clone());
        self.refuse();
        why
    }

    /// No more entries are taken.
    pub(super) fn closing(&self) {
        let mut condition = self.lock();
        if matches!(*condition, Condition::Healthy | Condition::Full(_)) {
            *condition = Condition::Closing;
        }
        // Relaxed: as in `writable`.
        self.writable.store(false, Ordering::Relaxed);
    }

    /// All was tried that could be.
    pub(super) fn closed(&self) {
        let mut condition = self.lock();
        if !matches!(*condition, Condition::Failed(_)) {
            *condition = Condition::Closed;
        }
    }

    fn refuse(&self) {
        // Relaxed: as in `writable`.
        self.writable.store(false, Ordering::Relaxed);
        // Relaxed: the thread that takes this takes locks before it acts on it.
        self.rolls_back.store(true, Ordering::Relaxed);
    }

    /// Whether entries have to be rolled back; the caller sees to it.
    pub(super) fn take_rollback(&self) -> bool {
        // Relaxed: as in `refuse`.
        self.rolls_back.load(Ordering::Relaxed) && self.rolls_back.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    fn write() -> LogError {
        LogError::Write(Arc::new(io::ErrorKind::StorageFull.into()))
    }

    fn sync() -> LogError {
        LogError::Sync(Arc::new(io::Error::other("lost")))
    }

    #[test]
    fn a_full_disk_heals() {
        let health = Health::new();
        assert!(health.writable() && !health.take_rollback() && !health.healthy());
        assert!(health.full(&write()) && !health.full(&write()), "the first failure counts");
        assert!(!health.writable() && health.is_full());
        assert!(health.takes().is_ok() && health.goes_on().is_ok() && health.is_healthy().is_err());
        assert!(health.take_rollback() && !health.take_rollback(), "one thread rolls back");
        assert!(health.healthy() && health.writable());
    }

    #[test]
    fn a_failure_is_the_end() {
        let health = Health::new();
        assert!(matches!(health.failed(sync()), LogError::Sync(_)));
        assert!(matches!(health.failed(write()), LogError::Sync(_)), "the first reason stays");
        assert!(health.take_rollback());
        for change in [Health::closing, Health::closed] {
            change(&health);
            assert!(!health.healthy() && !health.full(&write()) && !health.writable());
            for asked in [health.takes(), health.goes_on(), health.is_healthy()] {
                assert!(matches!(asked, Err(LogError::Sync(_))), "{asked:?}");
            }
        }
    }

    #[test]
    fn what_was_taken_is_written_before_the_end() {
        let health = Health::new();
        health.closing();
        assert!(matches!(health.takes(), Err(LogError::Closed)) && !health.writable());
        assert!(health.goes_on().is_ok() && !health.full(&write()) && !health.healthy());
        health.closed();
        assert!(matches!(health.goes_on(), Err(LogError::Closed)) && !health.take_rollback());
    }
}
