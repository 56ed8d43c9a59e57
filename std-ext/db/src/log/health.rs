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
    needs_rollback: AtomicBool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            condition: Mutex::new(Condition::Healthy),
            writable: AtomicBool::new(true),
            needs_rollback: AtomicBool::new(false),
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
    pub(super) fn accepts_entries(&self) -> Result<(), LogError> {
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
    pub(super) fn can_progress(&self) -> Result<(), LogError> {
        if self.writable() { Ok(()) } else { self.can_progress_unhealthy() }
    }

    #[cold]
    fn can_progress_unhealthy(&self) -> Result<(), LogError> {
        match &*self.lock() {
            Condition::Healthy | Condition::Full(_) | Condition::Closing => Ok(()),
            Condition::Closed => Err(LogError::Closed),
            Condition::Failed(why) => Err(why.clone()),
        }
    }

    /// A write failed. Whether it is the first.
    pub(super) fn write_failed(&self, why: &LogError) -> bool {
        let mut condition = self.lock();
        let first = matches!(*condition, Condition::Healthy);
        if first {
            *condition = Condition::Full(why.clone());
            self.stop_changes();
        }
        first
    }

    /// A write succeeded. Whether it is the first after one that failed.
    #[inline]
    pub(super) fn write_succeeded(&self) -> bool {
        !self.writable() && self.recover()
    }

    #[cold]
    fn recover(&self) -> bool {
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
    pub(super) fn fail(&self, why: LogError) -> LogError {
        let mut condition = self.lock();
        if let Condition::Failed(first) = &*condition {
            return first.clone();
        }
        *condition = Condition::Failed(why.clone());
        self.stop_changes();
        why
    }

    /// No more entries are taken.
    pub(super) fn begin_close(&self) {
        let mut condition = self.lock();
        if matches!(*condition, Condition::Healthy | Condition::Full(_)) {
            *condition = Condition::Closing;
        }
        // Relaxed: as in `writable`.
        self.writable.store(false, Ordering::Relaxed);
    }

    /// All was tried that could be.
    pub(super) fn finish_close(&self) {
        let mut condition = self.lock();
        if !matches!(*condition, Condition::Failed(_)) {
            *condition = Condition::Closed;
        }
    }

    fn stop_changes(&self) {
        // Relaxed: as in `writable`.
        self.writable.store(false, Ordering::Relaxed);
        // Relaxed: the thread that takes this takes locks before it acts on it.
        self.needs_rollback.store(true, Ordering::Relaxed);
    }

    /// Whether entries have to be rolled back; the caller sees to it.
    pub(super) fn take_rollback(&self) -> bool {
        // Relaxed: as in `refuse`.
        self.needs_rollback.load(Ordering::Relaxed)
            && self.needs_rollback.swap(false, Ordering::Relaxed)
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
        assert!(health.writable() && !health.take_rollback() && !health.write_succeeded());
        assert!(
            health.write_failed(&write()) && !health.write_failed(&write()),
            "the first failure counts"
        );
        assert!(!health.writable() && health.is_full());
        assert!(
            health.accepts_entries().is_ok()
                && health.can_progress().is_ok()
                && health.is_healthy().is_err()
        );
        assert!(health.take_rollback() && !health.take_rollback(), "one thread rolls back");
        assert!(health.write_succeeded() && health.writable());
    }

    #[test]
    fn a_failure_is_the_end() {
        let health = Health::new();
        assert!(matches!(health.fail(sync()), LogError::Sync(_)));
        assert!(matches!(health.fail(write()), LogError::Sync(_)), "the first reason stays");
        assert!(health.take_rollback());
        for change in [Health::begin_close, Health::finish_close] {
            change(&health);
            assert!(
                !health.write_succeeded() && !health.write_failed(&write()) && !health.writable()
            );
            for asked in [health.accepts_entries(), health.can_progress(), health.is_healthy()] {
                assert!(matches!(asked, Err(LogError::Sync(_))), "{asked:?}");
            }
        }
    }

    #[test]
    fn what_was_taken_is_written_before_the_end() {
        let health = Health::new();
        health.begin_close();
        assert!(matches!(health.accepts_entries(), Err(LogError::Closed)) && !health.writable());
        assert!(
            health.can_progress().is_ok()
                && !health.write_failed(&write())
                && !health.write_succeeded()
        );
        health.finish_close();
        assert!(matches!(health.can_progress(), Err(LogError::Closed)) && !health.take_rollback());
    }
}
