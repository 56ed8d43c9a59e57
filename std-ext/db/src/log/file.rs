//! The log in files of its own.
//!
//! Entries are put into a buffer (`front`) under a short lock, where they get their numbers; who writes (`back`) takes
//! all that gathered there with one swap of buffers and one write. Under `everysec` and `no` that is whoever commits
//! first, and others find their entries written already; under `always` it is the log's thread, which forces the disk
//! once for all that came meanwhile.
//!
//! What gathers between two commits is bounded by nothing here: each loop of the server commits at the end of its turn,
//! so that it is what one turn of each changes.
//!
//! Whether the log can be written is one state, `Condition` in `log/health.rs`. A write that fails (the disk
//! is full) makes it `Full`: what was written of it is cut off again, and no change begins. Then the log calls its
//! owner, which undoes in memory what is not safe and has the log forget the entries
//! ([`roll_back`](Log::roll_back)). In their place the log writes entries without changes, since numbers follow each
//! other; that, tried ten times a second, is how it learns that there is room again.
//!
//! Forcing the disk that fails is the end (`Failed`): the system may have dropped what it could not write, so nothing
//! can be promised any more, and it is not forced again, which might well succeed. The same holds if a file
//! of the log was removed.
//!
//! Locks are taken in this order: shards, `forcing`, `back`, then `front`, `parts` or `work`, then `health`;
//! `progress`, `told` and `on_failure` alone.

use crate::log::api::{Fsync, Log, Lsn, Rollback};
use crate::log::disk::DiskFile;
use crate::log::error::{LogError, OpenError};
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::{self, FILE_HEADER};
use crate::log::health::{Condition, Health};
use crate::log::manifest::Manifest;
use crate::log::recover::{NAME, NEW, PROBE, Recovered, Replay, Segment, recover};
use crate::log::rollback::RolledBackRanges;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long after a write that failed it is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How often `everysec` forces the disk.
const SECOND: Duration = Duration::from_secs(1);
/// A buffer that has grown beyond this is not kept.
const MAX_RETAINED: usize = 4 << 20;
/// So much room there has to be again on a disk that was full.
const MIN_FREE: usize = 64 << 10;

/// A log in files of its own, in a folder that nobody else has open.
pub struct FileLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    folder: Arc<Folder>,
    fsync: Fsync,
    /// Begins every check of an entry's head; the same in all files, so that an entry is good for any of them.
    salt: u32,
    write_buffer: Mutex<WriteBuffer>,
    writer: Mutex<Writer>,
    /// The files before the one that is written, oldest first.
    closed_segments: Mutex<Vec<Segment>>,
    /// Held by whoever forces the disk without the lock of `back`, until it is known whether that failed: the system
    /// tells an error once, so another who forces meanwhile would hear of none.
    sync_lock: Mutex<()>,
    health: Health,
    rolled_back: RolledBackRanges,
    /// Number of the last entry that may be acknowledged.
    safe: AtomicU64,
    bytes: AtomicU64,
    sync_request: Mutex<SyncRequest>,
    sync_requested: Condvar,
    progress: Mutex<()>,
    progressed: Condvar,
    on_progress: Mutex<Vec<Callback>>,
    on_failure: Mutex<Option<Callback>>,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

/// Where entries gather.
struct WriteBuffer {
    bytes: Vec<u8>,
    next_lsn: Lsn,
}

/// What writes.
struct Writer {
    file: Arc<dyn DiskFile>,
    /// Number of the file's first entry.
    first: Lsn,
    length: u64,
    /// Whether part of an entry stands behind `length`, of a write that failed, which could not be cut off.
    torn: bool,
    /// What was taken from the front and is not written, and the number of the last entry in it.
    pending: Vec<u8>,
    taken: Lsn,
    /// Numbers of the last entries written and forced.
    written: Lsn,
    synced: Lsn,
    /// Up to which entry the file says that all were forced.
    marked: Lsn,
    /// Whether all that is pending stands in the place of entries that were rolled back.
    only_fillers: bool,
    /// Whether somebody is to be told when the lock is free.
    notify: bool,
}

/// What the log's thread is asked.
#[derive(Default)]
struct SyncRequest {
    /// Under `always`: up to which entry.
    up_to: Lsn,
    stop: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics in the middle of a change of what these protect.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileLog {
    /// Opens the log of a folder, or begins one: tells `replay` each entry from `wanted` on, in order. `above` is the
    /// last entry that a snapshot has seen (0: none), which the log must reach.
    ///
    /// # Errors
    /// When the log is damaged elsewhere than at its end, or the system refuses.
    pub fn open(
        folder: Arc<Folder>,
        fsync: Fsync,
        from: Lsn,
        snapshot_lsn: Lsn,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Recovered), OpenError> {
        let found = recover(&folder, from, snapshot_lsn, replay)?;
        let last = found.recovered.last;
        let refused = |why| folder.io_error(why);
        let (segment, salt, file) = if let Some((segment, salt)) = found.open {
            let path = folder.at(&numbered_name(NAME, segment.first));
            let file = folder.disk().reopen(&path).map_err(|why| OpenError::Io(path, why))?;
            // What was read may not be on the disk yet, and counts as safe from here on.
            file.sync().map_err(refused)?;
            (segment, salt, file)
        } else {
            let salt = RandomState::new().hash_one(last) as u32;
            let file = create_segment(&folder, salt).map_err(refused)?;
            name_segment(&folder, last + 1).map_err(refused)?;
            (Segment { first: last + 1, bytes: FILE_HEADER as u64, marked: last }, salt, file)
        };
        folder.disk().sync_folder(folder.path()).map_err(refused)?;
        if !found.has_manifest {
            Manifest { newest: segment.first, synced: last }.write(&folder).map_err(refused)?;
        }
        let bytes = found.closed.iter().map(|segment| segment.bytes).sum::<u64>() + segment.bytes;
        let shared = Arc::new(Shared {
            folder,
            fsync,
            salt,
            write_buffer: Mutex::new(WriteBuffer { bytes: Vec::new(), next_lsn: last + 1 }),
            writer: Mutex::new(Writer::new(file, segment, last)),
            closed_segments: Mutex::new(found.closed),
            sync_lock: Mutex::new(()),
            health: Health::new(),
            rolled_back: RolledBackRanges::default(),
            safe: AtomicU64::new(last),
            bytes: AtomicU64::new(bytes),
            sync_request: Mutex::new(SyncRequest::default()),
            sync_requested: Condvar::new(),
            progress: Mutex::new(()),
            progressed: Condvar::new(),
            on_progress: Mutex::new(Vec::new()),
            on_failure: Mutex::new(None),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("hedgerow-db log".into());
        let thread =
            thread.spawn(move || of_thread.run()).map_err(|why| shared.folder.io_error(why))?;
        Ok((Self { shared, thread: Mutex::new(Some(thread)) }, found.recovered))
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.close();
    }
}

impl Log for FileLog {
    #[inline]
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError> {
        if changes.len() > frame::MAX_CHANGES {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "an entry of 4 GiB");
            return Err(LogError::Write(Arc::new(why)));
        }
        let crc = frame::crc(changes);
        let mut incoming = lock(&self.shared.write_buffer);
        if !self.shared.health.writable() {
            self.shared.health.accepts_entries()?;
        }
        let lsn = incoming.next_lsn;
        incoming.next_lsn += 1;
        frame::encode(&mut incoming.bytes, self.shared.salt, lsn, time, crc, changes);
        Ok(lsn)
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
        if shared.is_safe(lsn) {
            return Ok(true);
        }
        if lsn == Lsn::MAX {
            // There is no such entry, and nothing to be written for it.
        } else if shared.fsync == Fsync::Always {
            let mut request = lock(&shared.sync_request);
            if request.up_to < lsn {
                request.up_to = lsn;
                drop(request);
                shared.sync_requested.notify_one();
            }
        } else {
            shared.with_writer(|writer| {
                // Another may have written it while this one waited.
                if shared.safe() < lsn {
                    // What cannot be written is told below.
                    let _ = shared.write_appended(writer);
                }
            });
            if shared.is_safe(lsn) {
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
    fn safe(&self) -> Lsn {
        self.shared.safe()
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
        let _one = lock(&shared.sync_lock);
        if shared.fsync != Fsync::Always {
            // Most of it without the lock: commits go on meanwhile, and what they write need not be forced.
            return shared.sync_written();
        }
        shared.with_writer(|writer| shared.write_and_sync(writer))
    }

    fn bytes(&self) -> u64 {
        // Relaxed: a figure.
        self.shared.bytes.load(Ordering::Relaxed)
    }

    fn close(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        shared.health.begin_close();
        lock(&shared.sync_request).stop = true;
        shared.sync_requested.notify_one();
        let thread = lock(&self.thread).take();
        // A callback that drops the last of the log runs on its thread, which ends by itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // It panics only where a callback does.
            let _ = thread.join();
        }
        let closed = {
            let _one = lock(&shared.sync_lock);
            shared.with_writer(|writer| shared.close(writer))
        };
        // They may hold what holds the log.
        let on_progress = std::mem::take(&mut *lock(&shared.on_progress));
        let failed = lock(&shared.on_failure).take();
        drop((on_progress, failed));
        closed
    }
}

impl Writer {
    fn new(file: Arc<dyn DiskFile>, segment: Segment, last: Lsn) -> Self {
        Self {
            file,
            first: segment.first,
            length: segment.bytes,
            torn: false,
            pending: Vec::new(),
            taken: last,
            written: last,
            synced: last,
            marked: segment.marked,
            only_fillers: false,
            notify: false,
        }
    }
}

impl Shared {
    fn safe(&self) -> Lsn {
        // Pairs with the release in `advance`: who acknowledges an entry has it written before.
        self.safe.load(Ordering::Acquire)
    }

    /// Under the lock of `back` only.
    fn advance(&self, lsn: Lsn) {
        // Pairs with the acquire in `safe`.
        self.safe.store(lsn, Ordering::Release);
    }

    /// Whether an entry may be acknowledged.
    #[inline]
    fn is_safe(&self, lsn: Lsn) -> bool {
        // In this order: as in `outcome`.
        self.safe() >= lsn && !self.rolled_back.contains(lsn)
    }

    /// What became of an entry and all before it, where that is known.
    fn outcome(&self, lsn: Lsn) -> Option<Result<(), LogError>> {
        // Before it is asked what was rolled back: such numbers are passed by `safe` only after that was noted.
        let safe = self.safe();
        if self.rolled_back.contains(lsn) {
            // What a disk has lost may be there when it is opened again.
            return Some(Err(match self.health.condition() {
                Condition::Failed(why) => why,
                _ => LogError::RolledBack,
            }));
        }
        if safe >= lsn {
            return Some(Ok(()));
        }
        match self.health.can_progress() {
            Err(why) => Some(Err(why)),
            Ok(()) if lsn == Lsn::MAX => Some(Err(LogError::RolledBack)),
            Ok(()) => None,
        }
    }

    fn with_writer<T>(&self, with: impl FnOnce(&mut Writer) -> T) -> T {
        let mut writer = lock(&self.writer);
        let result = with(&mut writer);
        let notify = std::mem::take(&mut writer.notify);
        drop(writer);
        if notify {
            self.tell();
        }
        result
    }

    fn tell(&self) {
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

    /// Writes all that was appended when it was called.
    fn write_appended(&self, writer: &mut Writer) -> Result<(), LogError> {
        self.health.can_progress()?;
        self.write_pending(writer)?;
        self.take(writer);
        self.write_pending(writer)
    }

    /// Takes what gathered; what was taken before is written.
    fn take(&self, writer: &mut Writer) {
        let mut incoming = lock(&self.write_buffer);
        std::mem::swap(&mut incoming.bytes, &mut writer.pending);
        writer.taken = incoming.next_lsn - 1;
        drop(incoming);
        if !writer.pending.is_empty() {
            self.append_sync_mark(writer);
        }
    }

    /// Has the next write say what has been forced, where no write has said so.
    fn append_sync_mark(&self, writer: &mut Writer) {
        if writer.marked < writer.synced {
            frame::sync_mark(&mut writer.pending, self.salt, writer.synced);
            writer.marked = writer.synced;
        }
    }

    /// Says what has been forced, where nothing else is to be written.
    fn write_sync_mark(&self, writer: &mut Writer) {
        if writer.pending.is_empty() && !self.health.is_full() && writer.synced == writer.written {
            self.append_sync_mark(writer);
            // A mark that cannot be written is written with the next entries.
            let _ = self.write_pending(writer);
        }
    }

    /// Writes what was taken.
    fn write_pending(&self, writer: &mut Writer) -> Result<(), LogError> {
        if writer.pending.is_empty() && !self.health.is_full() {
            return Ok(());
        }
        let cut = if writer.torn { writer.file.cut(writer.length) } else { Ok(()) };
        writer.torn &= cut.is_err();
        let wrote =
            cut.and_then(|()| if self.health.is_full() { self.probe_free_space() } else { Ok(()) });
        if let Err(why) = wrote.and_then(|()| writer.file.write(&writer.pending)) {
            writer.torn = writer.torn || writer.file.cut(writer.length).is_err();
            return Err(self.write_failed(writer, why));
        }
        let bytes = writer.pending.len() as u64;
        writer.length += bytes;
        // Relaxed: a figure.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        writer.pending.clear();
        writer.only_fillers = false;
        if writer.pending.capacity() > MAX_RETAINED {
            writer.pending = Vec::new();
        }
        writer.written = writer.taken;
        if self.fsync != Fsync::Always && writer.written > self.safe() {
            self.advance(writer.written);
        }
        if self.health.write_succeeded() {
            tracing::info!("the log is written again");
            writer.notify = true;
        }
        Ok(())
    }

    /// Whether a full disk has room again for more than a few bytes: else changes would begin and be rolled back again
    /// and again.
    fn probe_free_space(&self) -> io::Result<()> {
        let disk = self.folder.disk();
        let probed =
            disk.create(&self.folder.at(PROBE)).and_then(|file| file.write(&vec![0; MIN_FREE]));
        let removed = disk.remove(&self.folder.at(PROBE));
        probed.and(removed)
    }

    fn write_failed(&self, writer: &mut Writer, why: io::Error) -> LogError {
        let why = LogError::Write(Arc::new(why));
        if self.health.write_failed(&why) {
            tracing::error!(%why, "changes are refused until the log can be written");
            writer.notify = true;
            // The thread looks at the health under this lock.
            drop(lock(&self.sync_request));
            self.sync_requested.notify_one();
        }
        why
    }

    /// Forces all that was written, unless that has failed before: the system tells a failure once, and then takes what
    /// it has lost for kept.
    fn sync(&self, writer: &mut Writer) -> Result<(), LogError> {
        self.health.can_progress()?;
        if writer.synced == writer.written {
            return Ok(());
        }
        if let Err(why) = writer.file.sync() {
            return Err(self.sync_failed(writer, why));
        }
        self.check_file(writer)?;
        self.note_synced(writer, writer.written);
        Ok(())
    }

    fn note_synced(&self, writer: &mut Writer, lsn: Lsn) {
        writer.synced = writer.synced.max(lsn);
        if self.fsync == Fsync::Always {
            // What was rolled back is behind it.
            self.advance(writer.synced.max(self.safe()));
            writer.notify = true;
        }
    }

    /// The disk failed to keep what was written.
    fn sync_failed(&self, writer: &mut Writer, why: io::Error) -> LogError {
        self.fail(writer, LogError::Sync(Arc::new(why)))
    }

    /// Sees that the file is still where it will be looked for.
    fn check_file(&self, writer: &mut Writer) -> Result<(), LogError> {
        let path = self.folder.at(&numbered_name(NAME, writer.first));
        if writer.file.is_at(&path) { Ok(()) } else { Err(self.fail(writer, LogError::Gone(path))) }
    }

    fn fail(&self, writer: &mut Writer, why: LogError) -> LogError {
        tracing::error!(%why, "changes are refused until the database is opened again");
        writer.notify = true;
        self.health.fail(why)
    }

    /// Forgets what is not safe; the caller holds the locks of all shards, so that nothing is appended meanwhile.
    fn roll_back(&self) -> Option<Rollback> {
        let mut writer = lock(&self.writer);
        let writer = &mut *writer;
        if self.fsync == Fsync::Always && self.health.is_full() {
            // What is in the file stays in it, so it has to become safe. A disk that fails at that is told of below.
            let _ = self.sync(writer);
        }
        let mut incoming = lock(&self.write_buffer);
        let (safe, mark) = (self.safe(), incoming.next_lsn);
        match self.health.condition() {
            // There is room again, and all was written.
            Condition::Healthy | Condition::Closing | Condition::Closed => return None,
            Condition::Full(_) if safe + 1 == mark => return None,
            Condition::Full(_) | Condition::Failed(_) => {}
        }
        incoming.next_lsn += 1;
        incoming.bytes = Vec::new();
        writer.pending.clear();
        // A mark may have been among it.
        writer.marked = 0;
        self.append_sync_mark(writer);
        // Numbers follow each other in the file.
        for lsn in writer.written + 1..=mark {
            frame::encode(&mut writer.pending, self.salt, lsn, 0, frame::crc(&[]), &[]);
        }
        (writer.taken, writer.only_fillers) = (mark, true);
        self.rolled_back.add(safe + 1, mark - 1);
        // The entry that stands for the rollback has no changes, so nothing of it can be lost.
        self.advance(mark);
        // The caller sees to it.
        let _ = self.health.take_rollback();
        Some(Rollback { safe, mark })
    }

    fn write_and_sync(&self, writer: &mut Writer) -> Result<(), LogError> {
        self.write_appended(writer)?;
        self.sync(writer)
    }

    /// Writes and forces all that was appended when it was called, without the lock of `back` while the disk works. The
    /// caller has that of `forcing`, and the log's thread does not force meanwhile.
    fn sync_written(&self) -> Result<(), LogError> {
        let (file, written) = self.with_writer(|writer| {
            self.write_appended(writer)?;
            Ok((Arc::clone(&writer.file), writer.written))
        })?;
        let synced = file.sync();
        self.with_writer(|writer| match synced {
            Ok(()) => {
                self.note_synced(writer, written);
                Ok(())
            }
            Err(why) => Err(self.sync_failed(writer, why)),
        })
    }

    fn close(&self, writer: &mut Writer) -> Result<(), LogError> {
        if matches!(self.health.condition(), Condition::Closed) && writer.synced == writer.taken {
            return Ok(());
        }
        if writer.only_fillers {
            // Nothing is lost with them.
            (writer.taken, writer.only_fillers) = (writer.written, false);
            writer.pending.clear();
        }
        let closed = self.write_and_sync(writer).and_then(|()| self.check_file(writer));
        if closed.is_ok() {
            self.write_sync_mark(writer);
            // All that was promised is on the disk without.
            let _ = writer.file.sync();
            let manifest = Manifest { newest: writer.first, synced: writer.synced };
            if let Err(why) = manifest.write(&self.folder) {
                tracing::warn!(%why, "the end of the log was not noted: nobody will see if it is cut off");
            }
        }
        self.health.finish_close();
        writer.notify = true;
        closed
    }

    fn last(&self) -> Lsn {
        lock(&self.write_buffer).next_lsn - 1
    }

    /// What the log's thread does until it is stopped.
    fn run(&self) {
        let mut pause = SECOND;
        while self.sleep(pause) {
            if self.fsync == Fsync::Always {
                // What fails is told of there.
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

    /// Waits until there is something to do; whether there is, and not the end.
    fn sleep(&self, pause: Duration) -> bool {
        let mut request = lock(&self.sync_request);
        if self.fsync == Fsync::Always && pause == SECOND {
            // After the end nothing more becomes safe.
            while !request.stop
                && !self.health.is_full()
                && (request.up_to <= self.safe() || self.health.can_progress().is_err())
            {
                request = self.sync_requested.wait(request).unwrap_or_else(PoisonError::into_inner);
            }
        } else if !request.stop && (pause == RETRY || !self.health.is_full()) {
            let woken = self.sync_requested.wait_timeout(request, pause);
            request = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        !request.stop
    }

    /// What is done once a second.
    fn sync_each_second(&self) {
        let _one = lock(&self.sync_lock);
        let (file, written, due) = self.with_writer(|writer| {
            // What fails is told of there.
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
            // Without the lock: commits go on meanwhile.
            let synced = file.sync();
            self.with_writer(|writer| match synced {
                Ok(()) => self.note_synced(writer, written),
                Err(why) => drop(self.sync_failed(writer, why)),
            });
        }
    }

    fn rotate(&self) -> Result<Lsn, LogError> {
        let _one = lock(&self.sync_lock);
        self.health.is_healthy()?;
        let refused = |why| LogError::Write(Arc::new(why));
        // What takes long is done first, without the lock: making the file, and forcing most of the old one. Under
        // `always` that is forced already, and only under the lock.
        let file = create_segment(&self.folder, self.salt).map_err(refused)?;
        let (old, written) = self.with_writer(|writer| (Arc::clone(&writer.file), writer.written));
        let early = if self.fsync == Fsync::Always { None } else { Some(old.sync()) };
        // Where that fails, nobody knows which of the two files will be there.
        let sync_names = || self.folder.disk().sync_folder(self.folder.path());
        let first = self.with_writer(|writer| {
            match early {
                None => {}
                Some(Ok(())) => self.note_synced(writer, written),
                Some(Err(why)) => return Err(self.sync_failed(writer, why)),
            }
            // The old part is whole on the disk before the new one takes entries, so that only the last can be torn.
            self.write_and_sync(writer)?;
            let first = writer.written + 1;
            if first == writer.first {
                return Ok(first);
            }
            name_segment(&self.folder, first).map_err(refused)?;
            if self.fsync == Fsync::Always {
                // What is in the new part may be acknowledged as soon as the lock is free.
                sync_names().map_err(|why| self.sync_failed(writer, why))?;
            }
            let closed =
                Segment { first: writer.first, bytes: writer.length, marked: writer.marked };
            (writer.file, writer.first, writer.length) = (file, first, FILE_HEADER as u64);
            // That there is another file says so.
            writer.marked = writer.synced;
            lock(&self.closed_segments).push(closed);
            // Relaxed: a figure.
            self.bytes.fetch_add(FILE_HEADER as u64, Ordering::Relaxed);
            Ok(first)
        })?;
        if self.fsync != Fsync::Always {
            // Commits go on meanwhile. Whoever forces what is in the new part waits for the lock that is held here.
            sync_names().map_err(|why| self.with_writer(|writer| self.sync_failed(writer, why)))?;
        }
        // Before any older part is dropped.
        Manifest { newest: first, synced: first - 1 }.write(&self.folder).map_err(refused)?;
        Ok(first)
    }

    fn drop_before(&self, first: Lsn) -> Result<(), LogError> {
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
            // Relaxed: a figure.
            self.bytes.fetch_sub(oldest.bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes the oldest part from the list, if all its entries are before `first`.
    fn take_before(&self, first: Lsn) -> Option<Segment> {
        // Both locks: where a part ends is where the next begins, which may be the one that is written.
        let writer = lock(&self.writer);
        let mut closed_segments = lock(&self.closed_segments);
        let next = closed_segments.get(1).map_or(writer.first, |segment| segment.first);
        (!closed_segments.is_empty() && next <= first).then(|| closed_segments.remove(0))
    }
}

/// Makes a file without entries, on the disk, which has no name that counts yet.
fn create_segment(folder: &Folder, salt: u32) -> io::Result<Arc<dyn DiskFile>> {
    let file = folder.disk().create(&folder.at(NEW))?;
    file.write(&frame::file_header(salt))?;
    file.sync()?;
    Ok(file)
}

/// Gives it the name of the part that begins with entry `first`.
fn name_segment(folder: &Folder, first: Lsn) -> io::Result<()> {
    folder.disk().rename(&folder.at(NEW), &folder.at(&numbered_name(NAME, first)))
}
