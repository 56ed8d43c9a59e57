//! Writing the log: group commit, sync, rollback, and rotation of segments.
//!
//! # The path of an entry
//! - `append` gives the entry its number (LSN) and encodes it into a buffer of the thread (`log/appends.rs`).
//! - A *group commit* takes all entries out of these buffers and writes them with one system call, under the lock of
//!   `writer`. Under `everysec` and `no` the first thread that calls `commit` does this for all; the others find their
//!   entries written. Under `always` the log's thread does it, and calls `fdatasync` once for all entries that arrived
//!   meanwhile.
//! - An entry is *committed*, and may be acknowledged, once it is written (`everysec`, `no`) or synced (`always`).
//!
//! This file does not bound the buffers. Each event loop of the server commits at the end of an iteration, and ends it
//! early after many changes. Under `always`, where a commit does not wait for the disk, `log/backlog.rs` counts what is
//! not committed, and the server makes no more changes while that is much.
//!
//! # Failures
//! `Condition` in `log/health.rs` says whether the log can be written.
//!
//! If a write fails, because the disk is full, the condition becomes `Full`. The log truncates the part that was
//! written, and no change begins any more. Then it calls its owner, which undoes the changes in memory that are not
//! committed and makes the log discard their entries (`Log::roll_back`). The numbers in a file have to be
//! consecutive, so the log writes *fillers* in their place: entries without changes. It tries that ten times a second,
//! and so notices when there is room again.
//!
//! If `fdatasync` fails, the condition becomes `Failed`, for good. The system may have discarded the pages that it
//! could not write, and a second `fdatasync` might still succeed, so the log never calls it again. The same holds if
//! the segment was removed or replaced, or if another process writes to it or has locked the folder
//! (`LogShared::check_file`).
//!
//! # Lock order
//! Shards, `sync_lock`, `writer`; then the buffers of `appends` in order, or one of `closed_segments` and
//! `sync_request`; then `health`. A thread that takes `progress`, `on_progress` or `on_failure` holds none of the
//! others.

use crate::gauge::Gauge;
use crate::latency_monitor::{LatencyMonitor, event};
use crate::lock::lock;
use crate::log::api::{LogError, Lsn, Rollback};
use crate::log::appends::{Appends, TakenEntries};
use crate::log::backlog::Backlog;
use crate::log::disk::DiskFile;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::{self, FILE_HEADER};
use crate::log::health::{Condition, Health};
use crate::log::manifest::Manifest;
use crate::log::recover::{LogSegment, NAME, NEW, PROBE};
use crate::log::rollback::RolledBackRanges;
use crate::options::Fsync;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The pause before a failed write is retried.
const RETRY: Duration = Duration::from_millis(100);
/// How often `everysec` syncs.
const SECOND: Duration = Duration::from_secs(1);
/// A buffer with a larger capacity is freed after it was written.
const MAX_RETAINED: usize = 4 << 20;
/// Bytes that must be free on a disk that was full, before changes are admitted again.
const MIN_FREE: usize = 64 << 10;

/// State that the log's handle and its thread share.
pub(super) struct LogShared {
    pub(super) folder: Arc<Folder>,
    pub(super) fsync: Fsync,
    /// The initial value of the checksums of entry headers. All segments have the same, so an entry is valid in any of
    /// them.
    pub(super) salt: u32,
    /// Entries that no thread has taken yet.
    pub(super) appends: Appends,
    pub(super) writer: Mutex<SegmentWriter>,
    /// All segments but the one that is being written, oldest first.
    pub(super) closed_segments: Mutex<Vec<LogSegment>>,
    /// Held by a thread that syncs without the lock of `writer`, until it has recorded whether that failed. The system
    /// reports an error once, so a second thread that synced meanwhile would see success.
    pub(super) sync_lock: Mutex<()>,
    pub(super) health: Health,
    pub(super) rolled_back: RolledBackRanges,
    /// Number of the last committed entry.
    pub(super) committed: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) sync_request: Mutex<SyncRequest>,
    pub(super) sync_requested: Condvar,
    pub(super) progress: Mutex<()>,
    pub(super) progressed: Condvar,
    pub(super) on_progress: Mutex<Vec<LogCallback>>,
    pub(super) on_failure: Mutex<Option<LogCallback>>,
    /// The events that took long.
    pub(super) latency: Arc<LatencyMonitor>,
    /// Whether a thread syncs without the lock of `writer`: 1 or 0.
    pub(super) syncing: Gauge,
    pub(super) backlog: Backlog,
}

pub(super) type LogCallback = Arc<dyn Fn() + Send + Sync>;

/// The segment that is being written. Its lock serializes writes.
pub(super) struct SegmentWriter {
    pub(super) file: Arc<dyn DiskFile>,
    /// Number of the segment's first entry.
    pub(super) first: Lsn,
    pub(super) length: u64,
    /// Whether a failed write left a part of an entry behind `length` that could not be truncated.
    pub(super) torn: bool,
    /// Entries that were appended, but cannot be written before others.
    pub(super) early: TakenEntries,
    /// Entries that are the next to be written, and the number of the last of them.
    pub(super) pending: Vec<u8>,
    pub(super) taken: Lsn,
    /// The bytes that had been appended when the last number was taken.
    pub(super) counted: u64,
    /// Numbers of the last entry that was written, and of the last that was synced.
    pub(super) written: Lsn,
    pub(super) synced: Lsn,
    /// The number in the file's last sync mark: all entries up to it were synced when the mark was written.
    pub(super) marked: Lsn,
    /// Whether `pending` holds only fillers.
    pub(super) only_fillers: bool,
    /// Whether to call the callbacks once the lock is released.
    pub(super) notify: bool,
}

/// Pending work of the log's thread.
#[derive(Default)]
pub(super) struct SyncRequest {
    /// Under `always`: sync up to this entry.
    pub(super) up_to: Lsn,
    pub(super) stop: bool,
}

impl SegmentWriter {
    pub(super) fn new(file: Arc<dyn DiskFile>, segment: LogSegment, last: Lsn) -> Self {
        Self {
            file,
            first: segment.first,
            length: segment.bytes,
            torn: false,
            early: TakenEntries::default(),
            pending: Vec::new(),
            taken: last,
            counted: 0,
            written: last,
            synced: last,
            marked: segment.marked,
            only_fillers: false,
            notify: false,
        }
    }
}

impl LogShared {
    pub(super) fn committed(&self) -> Lsn {
        // Acquire: pairs with the release in `advance`, so a thread that acknowledges an entry sees that it was
        // written.
        self.committed.load(Ordering::Acquire)
    }

    /// Only called under the lock of `writer`.
    pub(super) fn advance(&self, lsn: Lsn) {
        // Release: pairs with the acquire in `committed`, so a thread that reads this number sees that the entry was
        // written.
        self.committed.store(lsn, Ordering::Release);
    }

    /// Whether an entry may be acknowledged.
    #[inline]
    pub(super) fn is_committed(&self, lsn: Lsn) -> bool {
        // In this order, for the reason given in `outcome`.
        self.committed() >= lsn && !self.rolled_back.contains(lsn)
    }

    /// Returns whether an entry and all before it are committed, if that is decided.
    pub(super) fn outcome(&self, lsn: Lsn) -> Option<Result<(), LogError>> {
        // Read before `rolled_back`: `committed` passes the numbers of discarded entries only after `rolled_back`
        // contains them. In the other order, a discarded entry could pass for a committed one.
        let committed = self.committed();
        if self.rolled_back.contains(lsn) {
            // After a failed sync the entry may or may not be on the disk: the caller must not be told that it was
            // undone.
            return Some(Err(match self.health.condition() {
                Condition::Failed(why) => why,
                _ => LogError::RolledBack,
            }));
        }
        if committed >= lsn {
            return Some(Ok(()));
        }
        match self.health.can_progress() {
            Err(why) => Some(Err(why)),
            Ok(()) if lsn == Lsn::MAX => Some(Err(LogError::RolledBack)),
            Ok(()) => None,
        }
    }

    /// Calls `with` under the lock of `writer`. If `with` sets `notify`, calls the callbacks afterwards.
    pub(super) fn with_writer<T>(&self, with: impl FnOnce(&mut SegmentWriter) -> T) -> T {
        let mut writer = lock(&self.writer);
        let result = with(&mut writer);
        let notify = std::mem::take(&mut writer.notify);
        drop(writer);
        if notify {
            self.call_back();
        }
        result
    }

    /// Tells the owner and the waiting threads of progress or failure. The rollback comes first, so that a thread that
    /// is told of the failure finds the changes undone.
    pub(super) fn call_back(&self) {
        if self.health.take_rollback() {
            let failed = lock(&self.on_failure).clone();
            if let Some(failed) = failed {
                failed();
            }
        }
        drop(lock(&self.progress));
        self.progressed.notify_all();
        let on_progress = lock(&self.on_progress).clone();
        for callback in on_progress {
            callback();
        }
    }

    /// Writes all entries that were appended before the call.
    pub(super) fn write_appended(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        self.health.can_progress()?;
        if self.fsync == Fsync::Always {
            // The write may hide what another process has appended. Under the other policies a commit takes little more
            // time than this, and `sync_each_second` checks it.
            self.check_length(writer)?;
        }
        self.write_pending(writer)?;
        let next = self.appends.next();
        // After the number [BL-1].
        writer.counted = self.backlog.appended();
        while writer.taken + 1 < next {
            let before = writer.taken;
            self.take(writer);
            self.write_pending(writer)?;
            debug_assert!(writer.taken > before, "an entry that has a number is missing");
            if writer.taken == before {
                break;
            }
        }
        Ok(())
    }

    /// Takes appended entries. Those that were taken before have been written.
    fn take(&self, writer: &mut SegmentWriter) {
        writer.taken = self.appends.take(&mut writer.early, writer.taken, &mut writer.pending);
        if !writer.pending.is_empty() {
            self.append_sync_mark(writer);
        }
    }

    /// Puts a sync mark behind the pending entries, if the last one is out of date.
    pub(super) fn append_sync_mark(&self, writer: &mut SegmentWriter) {
        if writer.marked < writer.synced {
            frame::sync_mark(&mut writer.pending, self.salt, writer.synced);
            writer.marked = writer.synced;
        }
    }

    /// Writes a sync mark by itself, if there is nothing else to write.
    pub(super) fn write_sync_mark(&self, writer: &mut SegmentWriter) {
        if writer.pending.is_empty() && !self.health.is_full() && writer.synced == writer.written {
            self.append_sync_mark(writer);
            // If that fails, the next write contains the mark.
            let _ = self.write_pending(writer);
        }
    }

    /// Writes the pending entries.
    pub(super) fn write_pending(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        if writer.pending.is_empty() && !self.health.is_full() {
            return Ok(());
        }
        // Part of an entry would be damage in the middle of the segment if another entry followed it.
        let cut = if writer.torn { writer.file.cut(writer.length) } else { Ok(()) };
        writer.torn &= cut.is_err();
        let wrote =
            cut.and_then(|()| if self.health.is_full() { self.probe_free_space() } else { Ok(()) });
        if let Err(why) = wrote.and_then(|()| self.write_measured(writer)) {
            writer.torn = writer.torn || writer.file.cut(writer.length).is_err();
            return Err(self.write_failed(writer, why));
        }
        let bytes = writer.pending.len() as u64;
        writer.length += bytes;
        // Relaxed: a count.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        writer.pending.clear();
        writer.only_fillers = false;
        if writer.pending.capacity() > MAX_RETAINED {
            writer.pending = Vec::new();
        }
        writer.written = writer.taken;
        // A rollback has moved `committed` past its fillers already: `committed` must not go back.
        if self.fsync != Fsync::Always && writer.written > self.committed() {
            self.advance(writer.written);
        }
        if self.health.write_succeeded() {
            tracing::info!("the log can be written again; changes are accepted");
            writer.notify = true;
        }
        Ok(())
    }

    /// Writes the pending entries to the file, and measures how long that takes.
    fn write_measured(&self, writer: &SegmentWriter) -> io::Result<()> {
        let (began, syncing) = (self.latency.begin(), self.syncing.get() != 0);
        let wrote = writer.file.write(&writer.pending);
        // On many systems a write waits for a sync of the same file that another thread has begun.
        if self.latency.end(event::AOF_WRITE, began) && syncing {
            self.latency.end(event::AOF_WRITE_PENDING_FSYNC, began);
        }
        wrote
    }

    /// Syncs a file without the lock of `writer`. No reply waits for that, but writes may.
    fn sync_unlocked(&self, file: &dyn DiskFile) -> io::Result<()> {
        self.syncing.set(1);
        let synced = file.sync();
        self.syncing.set(0);
        synced
    }

    /// Checks that a disk that was full has more than a few bytes free. Otherwise changes would be admitted and rolled
    /// back again and again.
    pub(super) fn probe_free_space(&self) -> io::Result<()> {
        let disk = self.folder.disk();
        let probed =
            disk.create(&self.folder.at(PROBE)).and_then(|file| file.write(&vec![0; MIN_FREE]));
        let removed = disk.remove(&self.folder.at(PROBE));
        probed.and(removed)
    }

    /// Records that a write failed. The first failure wakes the log's thread, which retries the write.
    pub(super) fn write_failed(&self, writer: &mut SegmentWriter, why: io::Error) -> LogError {
        let why = LogError::Write(Arc::new(why));
        if self.health.write_failed(&why) {
            tracing::error!(%why, "the log cannot be written; changes are rejected until it can");
            writer.notify = true;
            // The thread checks the health under this lock before it sleeps. Without it, the notification could come
            // between its check and its sleep.
            drop(lock(&self.sync_request));
            self.sync_requested.notify_one();
        }
        why
    }

    /// Syncs all that was written. Does nothing if a sync has failed before: the system reports the error once, and
    /// from then on takes the lost pages for clean.
    pub(super) fn sync(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        self.health.can_progress()?;
        if writer.synced == writer.written {
            return Ok(());
        }
        let began = self.latency.begin().filter(|_| self.fsync == Fsync::Always);
        let synced = writer.file.sync();
        self.latency.end(event::AOF_FSYNC_ALWAYS, began);
        if let Err(why) = synced {
            return Err(self.sync_failed(writer, why));
        }
        self.check_file(writer)?;
        self.note_synced(writer, writer.written);
        Ok(())
    }

    pub(super) fn note_synced(&self, writer: &mut SegmentWriter, lsn: Lsn) {
        writer.synced = writer.synced.max(lsn);
        if self.fsync == Fsync::Always {
            // `committed` may be higher: a rollback passes the numbers of the entries that it discards.
            self.advance(writer.synced.max(self.committed()));
            self.backlog.remove_up_to(writer.counted);
            writer.notify = true;
        }
    }

    /// Records that `fdatasync` failed.
    pub(super) fn sync_failed(&self, writer: &mut SegmentWriter, why: io::Error) -> LogError {
        self.fail(writer, LogError::Sync(Arc::new(why)))
    }

    /// Checks that the segment still has its name: otherwise no recovery would find what is written to it. Also that
    /// no other process has written to it, or may have opened the folder.
    pub(super) fn check_file(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        let path = self.folder.at(&numbered_name(NAME, writer.first));
        if !writer.file.is_at(&path) {
            return Err(self.fail(writer, LogError::Gone(path)));
        }
        self.check_length(writer)?;
        if self.folder.keeps_lock() {
            return Ok(());
        }
        Err(self.fail(writer, LogError::Shared(self.folder.path().into())))
    }

    /// Checks that the segment has what this process has written, and nothing else.
    fn check_length(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        // A part of a failed write that could not be cut off leaves the file longer.
        if writer.torn || writer.file.length().is_none_or(|length| length == writer.length) {
            return Ok(());
        }
        let path = self.folder.at(&numbered_name(NAME, writer.first));
        Err(self.fail(writer, LogError::Shared(path)))
    }

    pub(super) fn fail(&self, writer: &mut SegmentWriter, why: LogError) -> LogError {
        tracing::error!(%why, "the log has failed; changes are rejected until the database is restarted");
        writer.notify = true;
        self.health.fail(why)
    }

    /// Discards the uncommitted entries. The caller holds the locks of all shards, so no entry is appended
    /// meanwhile.
    pub(super) fn roll_back(&self) -> Option<Rollback> {
        let mut writer = lock(&self.writer);
        let writer = &mut *writer;
        if self.fsync == Fsync::Always && self.health.is_full() {
            // Entries that are in the file are replayed at the next start, so they have to become durable. If this sync
            // fails, the condition below is `Failed`.
            let _ = self.sync(writer);
        }
        let mut appends = self.appends.lock_all();
        let (committed, mark) = (self.committed(), appends.next());
        match self.health.condition() {
            // There is room again, and the retry has written everything.
            Condition::Healthy | Condition::Closing | Condition::Closed => return None,
            Condition::Full(_) if committed + 1 == mark => return None,
            Condition::Full(_) | Condition::Failed(_) => {}
        }
        self.backlog.remove_up_to(self.backlog.appended());
        appends.discard(&mut writer.early);
        writer.pending.clear();
        // The cleared buffer may have contained a sync mark.
        writer.marked = 0;
        self.append_sync_mark(writer);
        // Fillers: recovery takes a gap between two numbers for damage.
        for lsn in writer.written + 1..=mark {
            frame::encode(&mut writer.pending, self.salt, lsn, 0, frame::crc(&[]), &[]);
        }
        (writer.taken, writer.only_fillers) = (mark, true);
        self.rolled_back.add(committed + 1, mark - 1);
        // The filler `mark` has no changes, so it is committed although it is not written.
        self.advance(mark);
        // The caller does the rollback.
        let _ = self.health.take_rollback();
        Some(Rollback { committed, mark })
    }

    pub(super) fn write_and_sync(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        self.write_appended(writer)?;
        self.sync(writer)
    }

    /// Writes all entries that were appended before the call, and syncs them without the lock of `writer`. The caller
    /// holds `sync_lock`, so no other thread syncs meanwhile.
    pub(super) fn sync_written(&self) -> Result<(), LogError> {
        let (file, written) = self.with_writer(|writer| {
            self.write_appended(writer)?;
            self.check_file(writer)?;
            Ok((Arc::clone(&writer.file), writer.written))
        })?;
        let synced = self.sync_unlocked(&*file);
        self.with_writer(|writer| match synced {
            Ok(()) => {
                self.note_synced(writer, written);
                Ok(())
            }
            Err(why) => Err(self.sync_failed(writer, why)),
        })
    }

    pub(super) fn close(&self, writer: &mut SegmentWriter) -> Result<(), LogError> {
        if matches!(self.health.condition(), Condition::Closed) && writer.synced == writer.taken {
            return Ok(());
        }
        if writer.only_fillers {
            // Fillers need not be written: the next start begins with the entry after the last written one.
            writer.only_fillers = false;
            writer.pending.clear();
        }
        let closed = self.write_and_sync(writer).and_then(|()| self.check_file(writer));
        if closed.is_ok() {
            self.write_sync_mark(writer);
            // An error does not matter: the entries themselves are synced.
            let _ = writer.file.sync();
            let manifest = Manifest { newest: writer.first, synced: writer.synced };
            if let Err(why) = manifest.write(&self.folder) {
                tracing::warn!(%why, "the manifest cannot be written; a truncated log would not be noticed");
            }
        }
        self.health.finish_close();
        writer.notify = true;
        closed
    }

    pub(super) fn last(&self) -> Lsn {
        self.appends.next() - 1
    }

    /// The loop of the log's thread.
    pub(super) fn run(&self) {
        let mut pause = SECOND;
        while self.sleep(pause) {
            if self.fsync == Fsync::Always {
                // `write_appended` and `sync` report errors to the health and to the callbacks.
                self.with_writer(|writer| {
                    let _ = self.write_appended(writer);
                    let _ = self.sync(writer);
                });
            } else {
                self.sync_each_second();
            }
            pause = if self.health.is_full() { RETRY } else { SECOND };
        }
    }

    /// Waits until there is something to do. Returns false if the thread has to end.
    pub(super) fn sleep(&self, pause: Duration) -> bool {
        let mut request = lock(&self.sync_request);
        if self.fsync == Fsync::Always && pause == SECOND {
            // After a failure no further entry is committed: there is nothing to wake up for.
            while !request.stop
                && !self.health.is_full()
                && (request.up_to <= self.committed() || self.health.can_progress().is_err())
            {
                request = self.sync_requested.wait(request).unwrap_or_else(PoisonError::into_inner);
            }
        } else if !request.stop && (pause == RETRY || !self.health.is_full()) {
            let woken = self.sync_requested.wait_timeout(request, pause);
            request = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        !request.stop
    }

    /// Writes and, under `everysec`, syncs. Called once a second.
    pub(super) fn sync_each_second(&self) {
        let _sync = lock(&self.sync_lock);
        let (file, written, due) = self.with_writer(|writer| {
            // Errors are reported to the health and to the callbacks.
            let there = self.health.can_progress().and_then(|()| self.check_file(writer));
            let _ = there.and_then(|()| self.write_appended(writer));
            let can_progress = self.health.can_progress().is_ok();
            let due =
                self.fsync == Fsync::EverySecond && writer.synced < writer.written && can_progress;
            if !due && can_progress {
                self.write_sync_mark(writer);
            }
            (Arc::clone(&writer.file), writer.written, due)
        });
        if due {
            // Without the lock of `writer`: commits go on meanwhile.
            let synced = self.sync_unlocked(&*file);
            self.with_writer(|writer| match synced {
                Ok(()) => self.note_synced(writer, written),
                Err(why) => drop(self.sync_failed(writer, why)),
            });
        }
    }

    pub(super) fn rotate(&self) -> Result<Lsn, LogError> {
        let _sync = lock(&self.sync_lock);
        self.health.is_healthy()?;
        let io_error = |why| LogError::Write(Arc::new(why));
        // The folder may be another one by now, or another process's.
        let (old, written) = self.with_writer(|writer| {
            self.check_file(writer)?;
            Ok((Arc::clone(&writer.file), writer.written))
        })?;
        // The slow steps come first and without the lock: creating the file, and syncing most of the old segment. Under
        // `always` the old segment is synced already, but for the entries that this thread syncs under the lock below.
        let file = create_segment(&self.folder, self.salt).map_err(io_error)?;
        let early =
            if self.fsync == Fsync::Always { None } else { Some(self.sync_unlocked(&*old)) };
        // If this fails, nobody knows which names are on the disk.
        let sync_names = || self.folder.disk().sync_folder(self.folder.path());
        let first = self.with_writer(|writer| {
            match early {
                None => {}
                Some(Ok(())) => self.note_synced(writer, written),
                Some(Err(why)) => return Err(self.sync_failed(writer, why)),
            }
            // The old segment is complete on the disk before the new one gets its first entry. So only the last segment
            // can have a torn tail.
            self.write_and_sync(writer)?;
            self.check_file(writer)?;
            let first = writer.written + 1;
            if first == writer.first {
                return Ok(first);
            }
            name_segment(&self.folder, first).map_err(io_error)?;
            if self.fsync == Fsync::Always {
                // Entries in the new segment may be acknowledged as soon as the lock is released, so its name has to be
                // on the disk before.
                sync_names().map_err(|why| self.sync_failed(writer, why))?;
            }
            let closed =
                LogSegment { first: writer.first, bytes: writer.length, marked: writer.marked };
            (writer.file, writer.first, writer.length) = (file, first, FILE_HEADER as u64);
            // The new segment itself says that the old one was synced.
            writer.marked = writer.synced;
            lock(&self.closed_segments).push(closed);
            // Relaxed: a count.
            self.bytes.fetch_add(FILE_HEADER as u64, Ordering::Relaxed);
            Ok(first)
        })?;
        if self.fsync != Fsync::Always {
            // Commits go on meanwhile. Entries in the new segment are synced under `sync_lock`, which this thread holds
            // until the name is on the disk.
            sync_names().map_err(|why| self.with_writer(|writer| self.sync_failed(writer, why)))?;
        }
        // Written before any older segment is removed, so that recovery notices a missing one.
        Manifest { newest: first, synced: first - 1 }.write(&self.folder).map_err(io_error)?;
        Ok(first)
    }

    pub(super) fn drop_before(&self, first: Lsn) -> Result<(), LogError> {
        while let Some(oldest) = self.take_before(first) {
            let path = self.folder.at(&numbered_name(NAME, oldest.first));
            let removed = self.folder.disk().remove(&path);
            if let Err(why) = removed.or_else(|why| match why.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(why),
            }) {
                let mut closed_segments = lock(&self.closed_segments);
                closed_segments.push(oldest);
                closed_segments.sort_unstable_by_key(|segment| segment.first);
                return Err(LogError::Write(Arc::new(why)));
            }
            // Relaxed: a count.
            self.bytes.fetch_sub(oldest.bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes the oldest segment out of the list, if all its entries are before `first`.
    pub(super) fn take_before(&self, first: Lsn) -> Option<LogSegment> {
        // Both locks: a segment ends where the next one begins, and the next one may be the one that is being written.
        let writer = lock(&self.writer);
        let mut closed_segments = lock(&self.closed_segments);
        let next = closed_segments.get(1).map_or(writer.first, |segment| segment.first);
        (!closed_segments.is_empty() && next <= first).then(|| closed_segments.remove(0))
    }
}

/// Creates an empty segment under a temporary name, and syncs it.
pub(super) fn create_segment(folder: &Folder, salt: u32) -> io::Result<Arc<dyn DiskFile>> {
    let file = folder.disk().create(&folder.at(NEW))?;
    file.write(&frame::file_header(salt))?;
    file.sync()?;
    Ok(file)
}

/// Gives a new segment its final name. Its first entry will be `first`.
pub(super) fn name_segment(folder: &Folder, first: Lsn) -> io::Result<()> {
    folder.disk().rename(&folder.at(NEW), &folder.at(&numbered_name(NAME, first)))
}
