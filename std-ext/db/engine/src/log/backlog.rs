//! The bytes that wait to be committed under `always`: entries, and the values that they have replaced.
//!
//! # Synchronization
//! `[BL-1]` The bytes of an entry are counted before its number is taken. A thread that reads the next number, as in
//! `[AP-2]` of `log/appends.rs`, and then the count, has counted every entry with a lower number. It may have counted
//! entries whose numbers are not taken yet, and they are removed too early. The other way round, bytes of a committed
//! entry would stay in the backlog until another entry is synced, and the server would read from no client meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the log was opened.
pub(super) struct Backlog {
    /// Whether entries wait. Under the other policies `commit` writes them.
    counts: bool,
    appended: AtomicU64,
    removed: AtomicU64,
}

impl Backlog {
    pub(super) fn new(counts: bool) -> Self {
        Self { counts, appended: AtomicU64::new(0), removed: AtomicU64::new(0) }
    }

    /// Counts an entry that is about to be appended.
    #[inline]
    pub(super) fn add(&self, bytes: usize) {
        if self.counts {
            // [BL-1] Relaxed: ordered by the release in `Appends::append`.
            self.appended.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Returns the bytes that were appended since the log was opened: at least those of the entries below the next
    /// number that the caller has read.
    pub(super) fn appended(&self) -> u64 {
        // [BL-1] Relaxed: ordered by the acquire in `Appends::next`.
        self.appended.load(Ordering::Relaxed)
    }

    /// Records that the entries are committed, or were discarded, that [`appended`](Self::appended) counted.
    pub(super) fn remove_up_to(&self, appended: u64) {
        // Relaxed: a count.
        self.removed.fetch_max(appended, Ordering::Relaxed);
    }

    /// Returns the bytes that wait to be committed.
    pub(super) fn bytes(&self) -> usize {
        // Relaxed: counts. If this reads an older total, the caller waits a cycle more or less.
        let removed = self.removed.load(Ordering::Relaxed);
        let waiting = self.appended.load(Ordering::Relaxed).saturating_sub(removed);
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use crate::log::faults::FaultyDisk;
    use crate::options::{Fsync, Options};
    use std::sync::Arc;

    #[test]
    fn a_rollback_leaves_no_backlog() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
        let mut options = Options::at(folder.path());
        options.fsync = Fsync::Always;
        let db = crate::Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
        let log = db.log();
        db.set("rose", "red").unwrap();
        assert_eq!(log.backlog(), 0, "a committed entry waits");
        disk.change(|faults| faults.room = Some(0));
        db.set("rose", "white").unwrap_err();
        assert_eq!(log.backlog(), 0, "discarded entries wait");
        disk.change(|faults| faults.room = None);
    }
}
