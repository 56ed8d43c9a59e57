//! The write-ahead log in files of its own: `FileLog`.
//!
//! This file has the log's interface and its thread. How entries get to the disk is in `log/writer.rs`.

use crate::gauge::Gauge;
use crate::latency_monitor::LatencyMonitor;
use crate::lock::lock;
use crate::log::api::{Log, LogError, Lsn, Rollback};
use crate::log::appends::Appends;
use crate::log::backlog::Backlog;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::{self, FILE_HEADER};
use crate::log::health::Health;
use crate::log::manifest::Manifest;
use crate::log::open_error::OpenError;
use crate::log::recover::{EntryReplay, LogSegment, NAME, Recovered, recover};
use crate::log::rollback::RolledBackRanges;
use crate::log::writer::{LogShared, SegmentWriter, SyncRequest, create_segment, name_segment};
use crate::options::Fsync;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A log in files of its own, in a folder that no other process has open.
pub struct FileLog {
    shared: Arc<LogShared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FileLog {
    /// Opens the log of a folder, or creates one, and calls `replay` with each entry from `from` on, in order. The log
    /// must reach to `snapshot_lsn`, the last entry that the snapshot contains (0: no snapshot).
    ///
    /// # Errors
    /// If the log is damaged elsewhere than at its tail, or the system returns an error.
    pub fn open(
        folder: Arc<Folder>,
        fsync: Fsync,
        from: Lsn,
        snapshot_lsn: Lsn,
        replay: &mut EntryReplay<'_>,
    ) -> Result<(Self, Recovered), OpenError> {
        Self::open_checked(folder, fsync, from, snapshot_lsn, replay, &|| Ok(()))
    }

    /// As [`open`](Self::open), if `check` returns no error when all entries were replayed. With an error, the folder
    /// stays as it is.
    pub(crate) fn open_checked(
        folder: Arc<Folder>,
        fsync: Fsync,
        from: Lsn,
        snapshot_lsn: Lsn,
        replay: &mut EntryReplay<'_>,
        check: &dyn Fn() -> Result<(), OpenError>,
    ) -> Result<(Self, Recovered), OpenError> {
        let found = recover(&folder, from, snapshot_lsn, replay, check)?;
        let last = found.recovered.last;
        let io_error = |why| folder.io_error(why);
        let (segment, salt, file) = if let Some((segment, salt)) = found.open {
            let path = folder.at(&numbered_name(NAME, segment.first));
            let file = folder.disk().reopen(&path).map_err(|why| OpenError::Io(path, why))?;
            // Entries that were just read may be in the page cache only. From here on they count as committed.
            file.sync().map_err(io_error)?;
            (segment, salt, file)
        } else {
            let salt = RandomState::new().hash_one(last) as u32;
            let file = create_segment(&folder, salt).map_err(io_error)?;
            name_segment(&folder, last + 1).map_err(io_error)?;
            (LogSegment { first: last + 1, bytes: FILE_HEADER as u64, marked: last }, salt, file)
        };
        folder.disk().sync_folder(folder.path()).map_err(io_error)?;
        if !found.has_manifest {
            Manifest { newest: segment.first, synced: last }.write(&folder).map_err(io_error)?;
        }
        let bytes = found.closed.iter().map(|segment| segment.bytes).sum::<u64>() + segment.bytes;
        let shared = Arc::new(LogShared {
            folder,
            fsync,
            salt,
            appends: Appends::new(last + 1),
            writer: Mutex::new(SegmentWriter::new(file, segment, last)),
            closed_segments: Mutex::new(found.closed),
            sync_lock: Mutex::new(()),
            health: Health::new(),
            rolled_back: RolledBackRanges::default(),
            committed: AtomicU64::new(last),
            bytes: AtomicU64::new(bytes),
            sync_request: Mutex::new(SyncRequest::default()),
            sync_requested: Condvar::new(),
            progress: Mutex::new(()),
            progressed: Condvar::new(),
            on_progress: Mutex::new(Vec::new()),
            on_failure: Mutex::new(None),
            latency: Arc::default(),
            syncing: Gauge::default(),
            backlog: Backlog::new(fsync == Fsync::Always),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("hedgerow-db log".into());
        let thread =
            thread.spawn(move || of_thread.run()).map_err(|why| shared.folder.io_error(why))?;
        Ok((Self { shared, thread: Mutex::new(Some(thread)) }, found.recovered))
    }

    /// Returns the monitor to which the log adds the writes and syncs that took long.
    #[doc(hidden)]
    pub fn latency(&self) -> &Arc<LatencyMonitor> {
        &self.shared.latency
    }
}

/// Methods for nodes of a cluster.
impl FileLog {
    /// Returns the folder of the log.
    #[doc(hidden)]
    pub fn folder(&self) -> &Arc<Folder> {
        &self.shared.folder
    }

    /// Returns why the log cannot be written at present, if it cannot. [`LogError::Write`] may pass.
    #[doc(hidden)]
    pub fn trouble(&self) -> Option<LogError> {
        self.shared.health.is_healthy().err()
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        // Only `close` reports an error.
        let _ = self.close();
    }
}

impl Log for FileLog {
    #[inline]
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError> {
        self.append_holding(time, changes, 0)
    }

    fn append_holding(&self, time: u64, changes: &[u8], held: usize) -> Result<Lsn, LogError> {
        if changes.len() > frame::MAX_CHANGES {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "an entry of more than 4 GiB");
            return Err(LogError::Write(Arc::new(why)));
        }
        let shared = &*self.shared;
        // Before the lock: it is most of the work.
        let crc = frame::crc(changes);
        // A full disk is no error here: the change was made already, and the rollback undoes it.
        let check =
            || if shared.health.writable() { Ok(()) } else { shared.health.accepts_entries() };
        shared.backlog.add(changes.len().saturating_add(held));
        shared.appends.append(check, |buffer, lsn| {
            frame::encode(buffer, shared.salt, lsn, time, crc, changes);
        })
    }

    #[inline]
    fn writable(&self) -> bool {
        self.shared.health.writable()
    }

    fn last(&self) -> Lsn {
        self.shared.last()
    }

    fn commit(&self, lsn: Lsn) -> Result<bool, LogError> {
        let shared = &*self.shared;
        if shared.is_committed(lsn) {
            return Ok(true);
        }
        if lsn == Lsn::MAX {
            // `MAX` stands for an entry that could not be appended, so there is nothing to write.
        } else if shared.fsync == Fsync::Always {
            let mut request = lock(&shared.sync_request);
            if request.up_to < lsn {
                request.up_to = lsn;
                drop(request);
                shared.sync_requested.notify_one();
            }
        } else {
            shared.with_writer(|writer| {
                // Another thread may have written the entry while this one waited for the lock.
                if shared.committed() < lsn {
                    // `outcome` reports the error below.
                    let _ = shared.write_appended(writer);
                }
            });
            if shared.is_committed(lsn) {
                return Ok(true);
            }
        }
        shared.outcome(lsn).map_or(Ok(false), |outcome| outcome.map(|()| true))
    }

    fn wait(&self, lsn: Lsn) -> Result<(), LogError> {
        let shared = &*self.shared;
        if self.commit(lsn)? {
            return Ok(());
        }
        // `call_back` takes this lock before it notifies, so no notification comes between the check and the wait.
        let mut progress = lock(&shared.progress);
        loop {
            if let Some(outcome) = shared.outcome(lsn) {
                return outcome;
            }
            let woken = shared.progressed.wait(progress);
            progress = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[inline]
    fn committed(&self) -> Lsn {
        self.shared.committed()
    }

    fn on_progress(&self, on_progress: Box<dyn Fn() + Send + Sync>) {
        lock(&self.shared.on_progress).push(Arc::from(on_progress));
    }

    fn on_failure(&self, failed: Box<dyn Fn() + Send + Sync>) {
        *lock(&self.shared.on_failure) = Some(Arc::from(failed));
    }

    fn roll_back(&self) -> Option<Rollback> {
        self.shared.roll_back()
    }

    fn rotate(&self) -> Result<Lsn, LogError> {
        self.shared.rotate()
    }

    fn drop_before(&self, first: Lsn) -> Result<(), LogError> {
        self.shared.drop_before(first)
    }

    fn sync(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        let _sync = lock(&shared.sync_lock);
        if shared.fsync != Fsync::Always {
            // Most of it is synced without the lock, so commits go on meanwhile. Bytes that they write need not be
            // synced here.
            return shared.sync_written();
        }
        shared.with_writer(|writer| shared.write_and_sync(writer))
    }

    fn backlog(&self) -> usize {
        self.shared.backlog.bytes()
    }

    fn bytes(&self) -> u64 {
        // Relaxed: a count.
        self.shared.bytes.load(Ordering::Relaxed)
    }

    fn close(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        shared.health.begin_close();
        lock(&shared.sync_request).stop = true;
        shared.sync_requested.notify_one();
        let thread = lock(&self.thread).take();
        // A callback that drops the last reference to the log runs on the log's own thread, which must not join itself.
        // That thread ends by itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // It panics only if a callback does.
            let _ = thread.join();
        }
        let closed = {
            let _sync = lock(&shared.sync_lock);
            shared.with_writer(|writer| shared.close(writer))
        };
        // Callbacks may own what owns the log: without this, neither would be freed.
        let on_progress = std::mem::take(&mut *lock(&shared.on_progress));
        let failed = lock(&shared.on_failure).take();
        drop((on_progress, failed));
        closed
    }
}
