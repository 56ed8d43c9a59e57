//! The local log itself: appends batches to the folder's log, and forces them to the disk.
//!
//! `push` copies a batch to the log's memory. The local log's thread has the log write it, so a slow disk delays no
//! acknowledgement. The bytes that wait for the disk are bounded: beyond [`MOST_BACKLOG`], `push` waits.
//!
//! # Failures
//! While the disk is full, the log keeps what was appended and tries again; the local log continues once there is room.
//! After a failed `fdatasync` it never does: `push` and `force` report it, and the node is a member without a disk
//! until it is restarted.
//!
//! # Lock order
//! `pushed`, then `progress`. `pins` is taken alone. The log's locks come last.

use super::error::LocalLogError;
use super::pins::{Pin, Pins};
use super::position::{DurablePosition, LocalLogPosition, logged_mark, without_mark};
use super::records::LocalRecords;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::frame::ENTRY_HEADER;
use hedgerow_db_engine::log::{BatchHash, Log, LogError, Lsn, change};
use hedgerow_db_group::{BatchChain, Committed, HeldEntries, Mark};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Bytes that may wait for the disk. `push` waits while there are more.
pub const MOST_BACKLOG: u64 = 64 << 20;

/// Marks that are remembered: some seconds of the fastest group.
const MOST_MARKS: usize = 16 << 10;

/// The committed entries in the node's own folder.
pub struct LocalLog {
    shared: Arc<LocalLogState>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct LocalLogState {
    log: Arc<FileLog>,
    pushed: Mutex<Pushed>,
    progress: Mutex<PushProgress>,
    changed: Condvar,
    pins: Arc<Pins>,
    /// The entries of a last batch that a snapshot contains. The log need not have them any more.
    in_snapshot: Mutex<Option<HeldEntries>>,
}

/// The last entry and batches that were appended. Its lock serializes `push`.
struct Pushed {
    lsn: Lsn,
    /// The marks of the last batches, oldest first.
    marks: VecDeque<Mark>,
    /// The changes of the first entry of a batch, with the mark in front.
    marked: Vec<u8>,
}

/// How far the log has come with the entries that were appended.
#[derive(Default)]
struct PushProgress {
    /// The last entry that was appended, and the bytes of all entries up to it.
    appended: Lsn,
    appended_bytes: u64,
    /// The same, for those that the log has written.
    written: Lsn,
    written_bytes: u64,
    failed: Option<LogError>,
    stopping: bool,
}

/// Whether the node's own disk keeps what the group commits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DiskCondition {
    /// It does.
    Good,
    /// The last write failed, as on a full disk. The local log tries again.
    Full(LogError),
    /// It never will again, until the node is restarted.
    Failed(LogError),
}

impl LocalLog {
    /// Makes a local log of the log of an opened folder. `last_mark` is the mark that recovery has found, in the log or
    /// in the snapshot.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn new(log: Arc<FileLog>, last_mark: Option<Mark>) -> Result<Self, LocalLogError> {
        let lsn = log.last();
        let progress = PushProgress { appended: lsn, written: lsn, ..PushProgress::default() };
        let marks = last_mark.into_iter().collect();
        let shared = Arc::new(LocalLogState {
            log,
            pushed: Mutex::new(Pushed { lsn, marks, marked: Vec::new() }),
            progress: Mutex::new(progress),
            changed: Condvar::new(),
            pins: Arc::default(),
            in_snapshot: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hedgerow-local".into());
        let started = thread.spawn(move || of_thread.run());
        let thread = started.map_err(|why| LogError::Write(Arc::new(why)))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Appends the entries of a batch, and skips those that the local log has.
    ///
    /// It does no I/O, but waits while too many bytes wait for the disk.
    ///
    /// # Errors
    /// [`LocalLogError::Gap`] if an entry is missing before these, and [`LocalLogError::Log`] if the disk has failed.
    pub fn push(&self, batch: &Committed) -> Result<(), LocalLogError> {
        let shared = &*self.shared;
        shared.wait_for_room()?;
        let mut pushed = lock(&shared.pushed);
        pushed.check(batch)?;
        let (mut bytes, have) = (0, pushed.lsn);
        let mut new = batch.entries.iter().filter(|entry| entry.lsn > have);
        let appended = new.try_for_each(|entry| {
            let Pushed { lsn, marked, .. } = &mut *pushed;
            let mut changes = &entry.changes[..];
            if entry.lsn == batch.mark.first {
                marked.clear();
                change::batch(&logged_mark(&batch.mark), marked);
                marked.extend_from_slice(changes);
                changes = marked;
            }
            *lsn = shared.log.append(entry.time, changes)?;
            assert_eq!(*lsn, entry.lsn, "only the local log appends to its log");
            bytes += (ENTRY_HEADER + changes.len()) as u64;
            Ok(())
        });
        // Also after a failure, since the entries before it were appended.
        pushed.note(batch.mark);
        let mut progress = lock(&shared.progress);
        progress.appended = pushed.lsn;
        progress.appended_bytes += bytes;
        drop(progress);
        shared.changed.notify_all();
        appended
    }

    /// Returns the place that the local log has reached, including entries that are not written yet.
    pub fn position(&self) -> LocalLogPosition {
        let pushed = lock(&self.shared.pushed);
        LocalLogPosition { mark: pushed.marks.back().copied(), lsn: pushed.lsn }
    }

    /// Notes the entries of the last batch that the newest snapshot contains, as its header says.
    pub fn set_in_snapshot(&self, hash: &BatchHash) {
        let held = HeldEntries::hashed(hash.first, hash.last, BatchChain(hash.hash));
        *lock(&self.shared.in_snapshot) = Some(held);
    }

    /// Returns the entries that the local log has. Those of the last batch are compared with etcd, except those of
    /// which neither the log nor the snapshot knows anything.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn held(&self) -> Result<HeldEntries, LocalLogError> {
        let LocalLogPosition { mark, lsn } = self.position();
        let Some(mark) = mark else { return Ok(HeldEntries::up_to(lsn)) };
        // They are read from the file.
        self.shared.log.wait(lsn)?;
        self.held_up_to(&mark, lsn)
    }

    /// Returns the hash of the entries up to `last` that are in the batch of `last`, for the header of a snapshot that
    /// ends with it. The local log has written this entry.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn batch_hash(&self, last: Lsn) -> Result<Option<BatchHash>, LocalLogError> {
        let Some(mark) = self.mark_at(last) else { return Ok(None) };
        let held = self.held_up_to(&mark, last)?;
        if held.first() > last {
            return Ok(None);
        }
        let hash = BatchHash { first: held.first(), last, hash: held.hash().0 };
        // The log may lose these entries as soon as the snapshot is there, and the next one begins from here.
        self.set_in_snapshot(&hash);
        Ok(Some(hash))
    }

    /// Returns the entries up to `last`, of which those of the batch of `mark` are compared.
    fn held_up_to(&self, mark: &Mark, last: Lsn) -> Result<HeldEntries, LocalLogError> {
        let known = *lock(&self.shared.in_snapshot);
        // One of an earlier batch begins before this one.
        let known = known.filter(|held| held.first() >= mark.first && held.last() <= last);
        let mut held = known.unwrap_or(HeldEntries::up_to(mark.first - 1));
        if held.last() == last {
            return Ok(held);
        }
        let opened = match self.read_from(held.last() + 1) {
            Err(LocalLogError::Trimmed { oldest, .. }) if oldest > last => {
                return Ok(HeldEntries::up_to(last));
            }
            Err(LocalLogError::Trimmed { oldest, .. }) => {
                held = HeldEntries::up_to(oldest - 1);
                self.read_from(oldest)
            }
            opened => opened,
        };
        let mut records = opened?;
        while held.last() < last {
            // One entry at a time: it may be large.
            let read = records.read(1)?;
            if read.is_empty() {
                return Ok(HeldEntries::up_to(last));
            }
            for record in read.iter().take_while(|record| record.lsn <= last) {
                let mut changes = &record.changes[..];
                if record.lsn == mark.first {
                    changes = without_mark(mark, changes);
                }
                held.add(record.time, changes);
            }
        }
        Ok(held)
    }

    /// Returns the mark of the batch that contains an entry. None if that batch was pushed too long ago, or the entry
    /// is before all batches.
    pub fn mark_at(&self, lsn: Lsn) -> Option<Mark> {
        let pushed = lock(&self.shared.pushed);
        pushed.marks.iter().rev().find(|mark| mark.first <= lsn).copied()
    }

    /// Writes and syncs all that was pushed before the call. Returns what is on the disk then.
    ///
    /// # Errors
    /// If the disk has failed or is full. Then nothing new is durable.
    pub fn force(&self) -> Result<DurablePosition, LocalLogError> {
        // Before the sync: entries that are pushed in the meantime may not be on the disk.
        let position = self.position();
        self.shared.log.sync()?;
        Ok(position.durable())
    }

    /// Returns whether the disk keeps what the group commits.
    pub fn condition(&self) -> DiskCondition {
        let failed = lock(&self.shared.progress).failed.clone();
        match (failed, self.shared.log.trouble()) {
            (None, None) => DiskCondition::Good,
            (None, Some(why @ LogError::Write(_))) => DiskCondition::Full(why),
            (Some(why), _) | (None, Some(why)) => DiskCondition::Failed(why),
        }
    }

    /// Returns the bytes that wait for the disk.
    pub fn backlog(&self) -> u64 {
        let progress = lock(&self.shared.progress);
        progress.appended_bytes - progress.written_bytes
    }

    /// Returns the log in the folder, for rotation and its size.
    pub fn log(&self) -> &Arc<FileLog> {
        &self.shared.log
    }

    /// Removes the segments all of whose entries are before `first`, but none that a reader needs.
    ///
    /// # Errors
    /// If a segment cannot be removed. Nothing is lost by that.
    pub fn drop_before(&self, first: Lsn) -> Result<(), LogError> {
        self.shared.pins.limit(first, |first| self.shared.log.drop_before(first))
    }

    /// Keeps all entries that are there until the result is dropped.
    pub fn pin(&self) -> Pin {
        Pin::new(&self.shared.pins)
    }

    /// Returns a reader of the entries from `first` on. Drop it soon: it keeps their segments.
    ///
    /// # Errors
    /// [`LocalLogError::Trimmed`] if the entry was removed.
    pub fn read_from(&self, first: Lsn) -> Result<LocalRecords, LocalLogError> {
        // All entries are kept while the reader is opened. Otherwise the first one might go between the check and the
        // pin.
        let mut pin = self.pin();
        let records = LocalRecords::open(Arc::clone(&self.shared.log), first)?;
        pin.raise(first);
        Ok(records.keeping(pin))
    }

    /// Writes and syncs all entries, and rejects further ones.
    ///
    /// # Errors
    /// If that fails.
    pub fn close(&self) -> Result<(), LogError> {
        let closed = self.shared.log.close();
        lock(&self.shared.progress).stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // It does not panic.
            let _ = thread.join();
        }
        closed
    }
}

impl Drop for LocalLog {
    fn drop(&mut self) {
        // Only `close` reports an error.
        let _ = self.close();
    }
}

impl Pushed {
    /// Checks that the entries are consecutive, and that no entry is missing before them.
    fn check(&self, batch: &Committed) -> Result<(), LocalLogError> {
        let mut wanted = self.lsn + 1;
        let Some(first) = batch.entries.first() else { return Ok(()) };
        if first.lsn <= self.lsn {
            wanted = first.lsn;
        }
        for entry in &batch.entries {
            if entry.lsn != wanted {
                return Err(LocalLogError::Gap { wanted, found: entry.lsn });
            }
            wanted += 1;
        }
        Ok(())
    }

    /// Remembers the mark of a batch, unless it is one that was pushed again.
    fn note(&mut self, mark: Mark) {
        if self.marks.back().is_none_or(|last| last.seq < mark.seq && last.first < mark.first) {
            if self.marks.len() == MOST_MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back(mark);
        }
    }
}

impl LocalLogState {
    /// Waits while too many bytes wait for the disk.
    fn wait_for_room(&self) -> Result<(), LocalLogError> {
        let mut progress = lock(&self.progress);
        loop {
            if let Some(why) = &progress.failed {
                return Err(LocalLogError::Log(why.clone()));
            }
            if progress.stopping {
                return Err(LocalLogError::Log(LogError::Closed));
            }
            if progress.appended_bytes - progress.written_bytes <= MOST_BACKLOG {
                return Ok(());
            }
            progress = self.wait(progress);
        }
    }

    fn wait<'a>(&self, progress: MutexGuard<'a, PushProgress>) -> MutexGuard<'a, PushProgress> {
        self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of the local log's thread: has the log write what was appended.
    fn run(&self) {
        let mut progress = lock(&self.progress);
        loop {
            while progress.appended == progress.written && !progress.stopping {
                progress = self.wait(progress);
            }
            if progress.stopping {
                return;
            }
            let (lsn, bytes) = (progress.appended, progress.appended_bytes);
            drop(progress);
            let outcome = self.log.wait(lsn);
            progress = lock(&self.progress);
            match outcome {
                Ok(()) => (progress.written, progress.written_bytes) = (lsn, bytes),
                Err(why) => {
                    if !matches!(why, LogError::Closed) {
                        tracing::error!(%why, "this node's disk accepts no more entries of the group");
                    }
                    progress.failed = Some(why);
                    drop(progress);
                    self.changed.notify_all();
                    return;
                }
            }
            self.changed.notify_all();
        }
    }
}
