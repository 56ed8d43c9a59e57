//! Whether the log can be written: a state machine.
//!
//! ```text
//! Healthy --a write fails--> Full --a write succeeds--> Healthy
//! Healthy, Full, Closing --a sync fails, or the segment is gone or another process's--> Failed
//! Healthy, Full --close--> Closing --the last write was tried--> Closed
//! ```
//!
//! A thread that holds the lock of the state takes no other lock.

use crate::log::api::LogError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether the log can be written.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Entries are accepted and written.
    Healthy,
    /// The last write failed. No change begins, and the log's thread retries the write.
    Full(LogError),
    /// New entries are rejected. Those that were accepted are being written.
    Closing,
    /// New entries are rejected. Uncommitted entries never will be committed.
    Closed,
    /// As `Closed`, because of this error.
    Failed(LogError),
}

/// The condition of the log, shared by all threads.
pub(super) struct Health {
    condition: Mutex<Condition>,
    /// Whether the condition is `Healthy`: a copy that is read without the lock.
    writable: AtomicBool,
    /// Whether the owner still has to roll back uncommitted entries.
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
        // A poisoned lock is fine: no thread panics in the middle of a change.
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
        // Relaxed: a thread that changes something calls this under the lock of its shard. A rollback follows each
        // failure and takes the locks of all shards. So a change either comes before the rollback, which undoes it, or
        // after it, and then sees that no change may begin. Threads that write the file call this under the lock of
        // `writer`, under which the condition changes.
        self.writable.load(Ordering::Relaxed)
    }

    /// Whether entries are accepted. Entries that are appended while the disk is full are rolled back.
    pub(super) fn accepts_entries(&self) -> Result<(), LogError> {
        match &*self.lock() {
            Condition::Healthy | Condition::Full(_) => Ok(()),
            Condition::Closing | Condition::Closed => Err(LogError::Closed),
            Condition::Failed(why) => Err(why.clone()),
        }
    }

    /// Whether a new segment may be created.
    pub(super) fn is_healthy(&self) -> Result<(), LogError> {
        match &*self.lock() {
            Condition::Healthy => Ok(()),
            Condition::Closing | Condition::Closed => Err(LogError::Closed),
            Condition::Full(why) | Condition::Failed(why) => Err(why.clone()),
        }
    }

    /// Whether uncommitted entries may still be committed.
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

    /// Records that a write failed. Returns whether it is the first.
    pub(super) fn write_failed(&self, why: &LogError) -> bool {
        let mut condition = self.lock();
        let first = matches!(*condition, Condition::Healthy);
        if first {
            *condition = Condition::Full(why.clone());
            self.stop_changes();
        }
        first
    }

    /// Records that a write succeeded. Returns whether it is the first after a failed one.
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
            // Relaxed: for the reason given in `writable`.
            self.writable.store(true, Ordering::Relaxed);
        }
        first
    }

    /// Records that uncommitted entries will never be committed. If there was an earlier error, it stays, and is
    /// returned.
    pub(super) fn fail(&self, why: LogError) -> LogError {
        let mut condition = self.lock();
        if let Condition::Failed(first) = &*condition {
            return first.clone();
        }
        *condition = Condition::Failed(why.clone());
        self.stop_changes();
        why
    }

    /// Rejects further entries.
    pub(super) fn begin_close(&self) {
        let mut condition = self.lock();
        if matches!(*condition, Condition::Healthy | Condition::Full(_)) {
            *condition = Condition::Closing;
        }
        // Relaxed: for the reason given in `writable`.
        self.writable.store(false, Ordering::Relaxed);
    }

    /// Records that everything was written that could be.
    pub(super) fn finish_close(&self) {
        let mut condition = self.lock();
        if !matches!(*condition, Condition::Failed(_)) {
            *condition = Condition::Closed;
        }
    }

    fn stop_changes(&self) {
        // Relaxed: for the reason given in `writable`.
        self.writable.store(false, Ordering::Relaxed);
        // Relaxed: the thread that clears this flag takes the locks of all shards before it acts on it.
        self.needs_rollback.store(true, Ordering::Relaxed);
    }

    /// Returns whether a rollback is due, and clears the flag: the caller has to do it.
    pub(super) fn take_rollback(&self) -> bool {
        // Relaxed: for the reason given in `stop_changes`.
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
    fn a_full_disk_recovers() {
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
    fn a_failure_is_final() {
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
    fn accepted_entries_are_written_before_the_close() {
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
