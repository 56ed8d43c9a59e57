//! The log of a database without persistence.

use crate::log::api::{Log, LogError, Lsn};
use crate::slot_set::SlotSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Numbers the entries and discards them. All of them count as committed.
#[derive(Debug, Default)]
pub struct NoLog {
    last: AtomicU64,
    closed: AtomicBool,
    /// The slots that it is about; `None` for all.
    slots: Option<Range<u16>>,
}

impl NoLog {
    /// Returns a log without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a log without entries about the keys of some slots.
    #[cfg(any(test, feature = "test-support"))]
    #[doc(hidden)]
    pub fn of(slots: Range<u16>) -> Self {
        Self { slots: Some(slots), ..Self::default() }
    }
}

impl Log for NoLog {
    fn append(&self, _time: u64, _changes: &[u8]) -> Result<Lsn, LogError> {
        if !self.writable() {
            return Err(LogError::Closed);
        }
        // Relaxed: only the numbers have to be unique.
        Ok(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn writable(&self) -> bool {
        // Relaxed: a change that runs concurrently with `close` may come before it.
        !self.closed.load(Ordering::Relaxed)
    }

    fn last(&self) -> Lsn {
        // Relaxed: a number that orders nothing.
        self.last.load(Ordering::Relaxed)
    }

    fn commit(&self, _lsn: Lsn) -> Result<bool, LogError> {
        Ok(true)
    }

    fn wait(&self, _lsn: Lsn) -> Result<(), LogError> {
        Ok(())
    }

    fn committed(&self) -> Lsn {
        self.last()
    }

    fn slots(&self) -> SlotSet {
        self.slots.clone().map_or_else(SlotSet::all, SlotSet::of_range)
    }

    fn on_progress(&self, _told: Box<dyn Fn() + Send + Sync>) {}

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
        // Relaxed: for the reason given in `writable`.
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_until_it_is_closed() {
        let log = NoLog::new();
        assert_eq!(log.append(7, b"change").unwrap(), 1);
        assert_eq!(log.append(7, b"change").unwrap(), 2);
        assert_eq!((log.last(), log.committed(), log.rotate().unwrap()), (2, 2, 3));
        assert!(log.commit(2).unwrap());
        log.close().unwrap();
        assert!(!log.writable());
        assert!(matches!(log.append(7, b"change"), Err(LogError::Closed)));
        assert_eq!(log.last(), 2);
    }
}
