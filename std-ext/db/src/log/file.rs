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
use crate::log::frame::{self, HEADER};
use crate::log::health::{Condition, Health};
use crate::log::manifest::Manifest;
use crate::log::recover::{NAME, NEW, PROBE, Part, Recovered, Replay, recover};
use crate::log::rollback::RolledBack;
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
const KEPT: usize = 4 << 20;
/// So much room there has to be again on a disk that was full.
const ROOM: usize = 64 << 10;

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
    front: Mutex<Front>,
    back: Mutex<Back>,
    /// The files before the one that is written, oldest first.
    parts: Mutex<Vec<Part>>,
    /// Held by whoever forces the disk without the lock of `back`, until it is known whether that failed: the system
    /// tells an error once, so another who forces meanwhile would hear of none.
    forcing: Mutex<()>,
    health: Health,
    rolled_back: RolledBack,
    /// Number of the last entry that may be acknowledged.
    safe: AtomicU64,
    bytes: AtomicU64,
    work: Mutex<Work>,
    worked: Condvar,
    progress: Mutex<()>,
    progressed: Condvar,
    told: Mutex<Vec<Told>>,
    on_failure: Mutex<Option<Told>>,
}

type Told = Arc<dyn Fn() + Send + Sync>;

/// Where entries gather.
struct Front {
    buffer: Vec<u8>,
    next: Lsn,
}

/// What writes.
struct Back {
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
    forced: Lsn,
    /// Up to which entry the file says that all were forced.
    marked: Lsn,
    /// Whether all that is pending stands in the place of entries that were rolled back.
    only_places: bool,
    /// Whether somebody is to be told when the lock is free.
    news: bool,
}

/// What the log's thread is asked.
#[derive(Default)]
struct Work {
    /// Under `always`: up to which entry.
    wanted: Lsn,
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
        wanted: Lsn,
        above: Lsn,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Recovered), OpenError> {
        let found = recover(&folder, wanted, above, replay)?;
        let last = found.recovered.last;
        let refused = |why| folder.refused(why);
        let (part, salt, file) = if let Some((part, salt)) = found.open {
            let path = folder.at(&numbered_name(NAME, part.first));
            let file = folder.disk().reopen(&path).map_err(|why| OpenError::Io(path, why))?;
            // What was read may not be on the disk yet, and counts as safe from here on.
            file.sync().map_err(refused)?;
            (part, salt, file)
        } else {
            let salt = RandomState::new().hash_one(last) as u32;
            let file = begin(&folder, salt).map_err(refused)?;
            name(&folder, last + 1).map_err(refused)?;
            (Part { first: last + 1, bytes: HEADER as u64, marked: last }, salt, file)
        };
        folder.disk().sync_folder(folder.path()).map_err(refused)?;
        if !found.listed {
            Manifest { newest: part.first, kept: last }.write(&folder).map_err(refused)?;
        }
        let bytes = found.closed.iter().map(|part| part.bytes).sum::<u64>() + part.bytes;
        let shared = Arc::new(Shared {
            folder,
            fsync,
            salt,
            front: Mutex::new(Front { buffer: Vec::new(), next: last + 1 }),
            back: Mutex::new(Back::new(file, part, last)),
            parts: Mutex::new(found.closed),
            forcing: Mutex::new(()),
            health: Health::new(),
            rolled_back: RolledBack::default(),
            safe: AtomicU64::new(last),
            bytes: AtomicU64::new(bytes),
            work: Mutex::new(Work::default()),
            worked: Condvar::new(),
            progress: Mutex::new(()),
            progressed: Condvar::new(),
            told: Mutex::new(Vec::new()),
            on_failure: Mutex::new(None),
        });
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new().name("hedgerow-db log".into());
        let thread = thread.spawn(move || its.work()).map_err(|why| shared.folder.refused(why))?;
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
        if changes.len() > frame::LONGEST {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "an entry of 4 GiB");
            return Err(LogError::Write(Arc::new(why)));
        }
        let crc = frame::crc(changes);
        let mut front = lock(&self.shared.front);
        if !self.shared.health.writable() {
            self.shared.health.takes()?;
        }
        let lsn = front.next;
        front.next += 1;
        frame::put(&mut front.buffer, self.shared.salt, lsn, time, crc, changes);
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
            let mut work = lock(&shared.work);
            if work.wanted < lsn {
                work.wanted = lsn;
                drop(work);
                shared.worked.notify_one();
            }
        } else {
            shared.with_back(|back| {
                // Another may have written it while this one waited.
                if shared.safe() < lsn {
                    // What cannot be written is told below.
                    let _ = shared.write(back);
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

    fn on_progress(&self, told: Box<dyn Fn() + Send + Sync>) {
        lock(&self.shared.told).push(Arc::from(told));
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

    fn force(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        let _one = lock(&shared.forcing);
        if shared.fsync != Fsync::Always {
            // Most of it without the lock: commits go on meanwhile, and what they write need not be forced.
            return shared.force_written();
        }
        shared.with_back(|back| shared.write_and_force(back))
    }

    fn bytes(&self) -> u64 {
        // Relaxed: a figure.
        self.shared.bytes.load(Ordering::Relaxed)
    }

    fn close(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        shared.health.closing();
        lock(&shared.work).stop = true;
        shared.worked.notify_one();
        let thread = lock(&self.thread).take();
        // A callback that drops the last of the log runs on its thread, which ends by itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // It panics only where a callback does.
            let _ = thread.join();
        }
        let closed = {
            let _one = lock(&shared.forcing);
            shared.with_back(|back| shared.close(back))
        };
        // They may hold what holds the log.
        let told = std::mem::take(&mut *lock(&shared.told));
        let failed = lock(&shared.on_failure).take();
        drop((told, failed));
        closed
    }
}

impl Back {
    fn new(file: Arc<dyn DiskFile>, part: Part, last: Lsn) -> Self {
        Self {
            file,
            first: part.first,
            length: part.bytes,
            torn: false,
            pending: Vec::new(),
            taken: last,
            written: last,
            forced: last,
            marked: part.marked,
            only_places: false,
            news: false,
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
        self.safe() >= lsn && !self.rolled_back.has(lsn)
    }

    /// What became of an entry and all before it, where that is known.
    fn outcome(&self, lsn: Lsn) -> Option<Result<(), LogError>> {
        // Before it is asked what was rolled back: such numbers are passed by `safe` only after that was noted.
        let safe = self.safe();
        if self.rolled_back.has(lsn) {
            // What a disk has lost may be there when it is opened again.
            return Some(Err(match self.health.condition() {
                Condition::Failed(why) => why,
                _ => LogError::RolledBack,
            }));
        }
        if safe >= lsn {
            return Some(Ok(()));
        }
        match self.health.goes_on() {
            Err(why) => Some(Err(why)),
            Ok(()) if lsn == Lsn::MAX => Some(Err(LogError::RolledBack)),
            Ok(()) => None,
        }
    }

    fn with_back<T>(&self, with: impl FnOnce(&mut Back) -> T) -> T {
        let mut back = lock(&self.back);
        let result = with(&mut back);
        let news = std::mem::take(&mut back.news);
        drop(back);
        if news {
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
        let told = lock(&self.told).clone();
        for told in told {
            told();
        }
    }

    /// Writes all that was appended when it was called.
    fn write(&self, back: &mut Back) -> Result<(), LogError> {
        self.health.goes_on()?;
        self.put(back)?;
        self.take(back);
        self.put(back)
    }

    /// Takes what gathered; what was taken before is written.
    fn take(&self, back: &mut Back) {
        let mut front = lock(&self.front);
        std::mem::swap(&mut front.buffer, &mut back.pending);
        back.taken = front.next - 1;
        drop(front);
        if !back.pending.is_empty() {
            self.mark(back);
        }
    }

    /// Has the next write say what has been forced, where no write has said so.
    fn mark(&self, back: &mut Back) {
        if back.marked < back.forced {
            frame::mark(&mut back.pending, self.salt, back.forced);
            back.marked = back.forced;
        }
    }

    /// Says what has been forced, where nothing else is to be written.
    fn write_mark(&self, back: &mut Back) {
        if back.pending.is_empty() && !self.health.is_full() && back.forced == back.written {
            self.mark(back);
            // A mark that cannot be written is written with the next entries.
            let _ = self.put(back);
        }
    }

    /// Writes what was taken.
    fn put(&self, back: &mut Back) -> Result<(), LogError> {
        if back.pending.is_empty() && !self.health.is_full() {
            return Ok(());
        }
        let cut = if back.torn { back.file.cut(back.length) } else { Ok(()) };
        back.torn &= cut.is_err();
        let wrote = cut.and_then(|()| if self.health.is_full() { self.probe() } else { Ok(()) });
        if let Err(why) = wrote.and_then(|()| back.file.write(&back.pending)) {
            back.torn = back.torn || back.file.cut(back.length).is_err();
            return Err(self.failed(back, why));
        }
        let bytes = back.pending.len() as u64;
        back.length += bytes;
        // Relaxed: a figure.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        back.pending.clear();
        back.only_places = false;
        if back.pending.capacity() > KEPT {
            back.pending = Vec::new();
        }
        back.written = back.taken;
        if self.fsync != Fsync::Always && back.written > self.safe() {
            self.advance(back.written);
        }
        if self.health.healthy() {
            tracing::info!("the log is written again");
            back.news = true;
        }
        Ok(())
    }

    /// Whether a full disk has room again for more than a few bytes: else changes would begin and be rolled back again
    /// and again.
    fn probe(&self) -> io::Result<()> {
        let disk = self.folder.disk();
        let probed =
            disk.create(&self.folder.at(PROBE)).and_then(|file| file.write(&vec![0; ROOM]));
        let removed = disk.remove(&self.folder.at(PROBE));
        probed.and(removed)
    }

    fn failed(&self, back: &mut Back, why: io::Error) -> LogError {
        let why = LogError::Write(Arc::new(why));
        if self.health.full(&why) {
            tracing::error!(%why, "changes are refused until the log can be written");
            back.news = true;
            // The thread looks at the health under this lock.
            drop(lock(&self.work));
            self.worked.notify_one();
        }
        why
    }

    /// Forces all that was written, unless that has failed before: the system tells a failure once, and then takes what
    /// it has lost for kept.
    fn force(&self, back: &mut Back) -> Result<(), LogError> {
        self.health.goes_on()?;
        if back.forced == back.written {
            return Ok(());
        }
        if let Err(why) = back.file.sync() {
            return Err(self.lost(back, why));
        }
        self.see_file(back)?;
        self.forced(back, back.written);
        Ok(())
    }

    fn forced(&self, back: &mut Back, lsn: Lsn) {
        back.forced = back.forced.max(lsn);
        if self.fsync == Fsync::Always {
            // What was rolled back is behind it.
            self.advance(back.forced.max(self.safe()));
            back.news = true;
        }
    }

    /// The disk failed to keep what was written.
    fn lost(&self, back: &mut Back, why: io::Error) -> LogError {
        self.give_up(back, LogError::Sync(Arc::new(why)))
    }

    /// Sees that the file is still where it will be looked for.
    fn see_file(&self, back: &mut Back) -> Result<(), LogError> {
        let path = self.folder.at(&numbered_name(NAME, back.first));
        if back.file.is_at(&path) { Ok(()) } else { Err(self.give_up(back, LogError::Gone(path))) }
    }

    fn give_up(&self, back: &mut Back, why: LogError) -> LogError {
        tracing::error!(%why, "changes are refused until the database is opened again");
        back.news = true;
        self.health.failed(why)
    }

    /// Forgets what is not safe; the caller holds the locks of all shards, so that nothing is appended meanwhile.
    fn roll_back(&self) -> Option<Rollback> {
        let mut back = lock(&self.back);
        let back = &mut *back;
        if self.fsync == Fsync::Always && self.health.is_full() {
            // What is in the file stays in it, so it has to become safe. A disk that fails at that is told of below.
            let _ = self.force(back);
        }
        let mut front = lock(&self.front);
        let (safe, mark) = (self.safe(), front.next);
        match self.health.condition() {
            // There is room again, and all was written.
            Condition::Healthy | Condition::Closing | Condition::Closed => return None,
            Condition::Full(_) if safe + 1 == mark => return None,
            Condition::Full(_) | Condition::Failed(_) => {}
        }
        front.next += 1;
        front.buffer = Vec::new();
        back.pending.clear();
        // A mark may have been among it.
        back.marked = 0;
        self.mark(back);
        // Numbers follow each other in the file.
        for lsn in back.written + 1..=mark {
            frame::put(&mut back.pending, self.salt, lsn, 0, frame::crc(&[]), &[]);
        }
        (back.taken, back.only_places) = (mark, true);
        self.rolled_back.note(safe + 1, mark - 1);
        // The entry that stands for the rollback has no changes, so nothing of it can be lost.
        self.advance(mark);
        // The caller sees to it.
        let _ = self.health.take_rollback();
        Some(Rollback { safe, mark })
    }

    fn write_and_force(&self, back: &mut Back) -> Result<(), LogError> {
        self.write(back)?;
        self.force(back)
    }

    /// Writes and forces all that was appended when it was called, without the lock of `back` while the disk works. The
    /// caller has that of `forcing`, and the log's thread does not force meanwhile.
    fn force_written(&self) -> Result<(), LogError> {
        let (file, written) = self.with_back(|back| {
            self.write(back)?;
            Ok((Arc::clone(&back.file), back.written))
        })?;
        let forced = file.sync();
        self.with_back(|back| match forced {
            Ok(()) => {
                self.forced(back, written);
                Ok(())
            }
            Err(why) => Err(self.lost(back, why)),
        })
    }

    fn close(&self, back: &mut Back) -> Result<(), LogError> {
        if matches!(self.health.condition(), Condition::Closed) && back.forced == back.taken {
            return Ok(());
        }
        if back.only_places {
            // Nothing is lost with them.
            (back.taken, back.only_places) = (back.written, false);
            back.pending.clear();
        }
        let closed = self.write_and_force(back).and_then(|()| self.see_file(back));
        if closed.is_ok() {
            self.write_mark(back);
            // All that was promised is on the disk without.
            let _ = back.file.sync();
            let manifest = Manifest { newest: back.first, kept: back.forced };
            if let Err(why) = manifest.write(&self.folder) {
                tracing::warn!(%why, "the end of the log was not noted: nobody will see if it is cut off");
            }
        }
        self.health.closed();
        back.news = true;
        closed
    }

    fn last(&self) -> Lsn {
        lock(&self.front).next - 1
    }

    /// What the log's thread does until it is stopped.
    fn work(&self) {
        let mut pause = SECOND;
        while self.sleep(pause) {
            if self.fsync == Fsync::Always {
                // What fails is told of there.
                self.with_back(|back| {
                    let _ = self.write(back);
                    let _ = self.force(back);
                });
            } else {
                self.keep_second();
            }
            pause = if self.health.is_full() { RETRY } else { SECOND };
        }
    }

    /// Waits until there is something to do; whether there is, and not the end.
    fn sleep(&self, pause: Duration) -> bool {
        let mut work = lock(&self.work);
        if self.fsync == Fsync::Always && pause == SECOND {
            // After the end nothing more becomes safe.
            while !work.stop
                && !self.health.is_full()
                && (work.wanted <= self.safe() || self.health.goes_on().is_err())
            {
                work = self.worked.wait(work).unwrap_or_else(PoisonError::into_inner);
            }
        } else if !work.stop && (pause == RETRY || !self.health.is_full()) {
            let woken = self.worked.wait_timeout(work, pause);
            work = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        !work.stop
    }

    /// What is done once a second.
    fn keep_second(&self) {
        let _one = lock(&self.forcing);
        let (file, written, due) = self.with_back(|back| {
            // What fails is told of there.
            let there = self.health.goes_on().and_then(|()| self.see_file(back));
            let _ = there.and_then(|()| self.write(back));
            let goes_on = self.health.goes_on().is_ok();
            let due = self.fsync == Fsync::EverySecond && back.forced < back.written && goes_on;
            if !due && goes_on {
                self.write_mark(back);
            }
            (Arc::clone(&back.file), back.written, due)
        });
        if due {
            // Without the lock: commits go on meanwhile.
            let forced = file.sync();
            self.with_back(|back| match forced {
                Ok(()) => self.forced(back, written),
                Err(why) => drop(self.lost(back, why)),
            });
        }
    }

    fn rotate(&self) -> Result<Lsn, LogError> {
        let _one = lock(&self.forcing);
        self.health.is_healthy()?;
        let refused = |why| LogError::Write(Arc::new(why));
        // What takes long is done first, without the lock: making the file, and forcing most of the old one. Under
        // `always` that is forced already, and only under the lock.
        let file = begin(&self.folder, self.salt).map_err(refused)?;
        let (old, written) = self.with_back(|back| (Arc::clone(&back.file), back.written));
        let early = if self.fsync == Fsync::Always { None } else { Some(old.sync()) };
        // Where that fails, nobody knows which of the two files will be there.
        let names_forced = || self.folder.disk().sync_folder(self.folder.path());
        let first = self.with_back(|back| {
            match early {
                None => {}
                Some(Ok(())) => self.forced(back, written),
                Some(Err(why)) => return Err(self.lost(back, why)),
            }
            // The old part is whole on the disk before the new one takes entries, so that only the last can be torn.
            self.write_and_force(back)?;
            let first = back.written + 1;
            if first == back.first {
                return Ok(first);
            }
            name(&self.folder, first).map_err(refused)?;
            if self.fsync == Fsync::Always {
                // What is in the new part may be acknowledged as soon as the lock is free.
                names_forced().map_err(|why| self.lost(back, why))?;
            }
            let closed = Part { first: back.first, bytes: back.length, marked: back.marked };
            (back.file, back.first, back.length) = (file, first, HEADER as u64);
            // That there is another file says so.
            back.marked = back.forced;
            lock(&self.parts).push(closed);
            // Relaxed: a figure.
            self.bytes.fetch_add(HEADER as u64, Ordering::Relaxed);
            Ok(first)
        })?;
        if self.fsync != Fsync::Always {
            // Commits go on meanwhile. Whoever forces what is in the new part waits for the lock that is held here.
            names_forced().map_err(|why| self.with_back(|back| self.lost(back, why)))?;
        }
        // Before any older part is dropped.
        Manifest { newest: first, kept: first - 1 }.write(&self.folder).map_err(refused)?;
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
                let mut parts = lock(&self.parts);
                parts.push(oldest);
                parts.sort_unstable_by_key(|part| part.first);
                return Err(LogError::Write(Arc::new(why)));
            }
            // Relaxed: a figure.
            self.bytes.fetch_sub(oldest.bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes the oldest part from the list, if all its entries are before `first`.
    fn take_before(&self, first: Lsn) -> Option<Part> {
        // Both locks: where a part ends is where the next begins, which may be the one that is written.
        let back = lock(&self.back);
        let mut parts = lock(&self.parts);
        let next = parts.get(1).map_or(back.first, |part| part.first);
        (!parts.is_empty() && next <= first).then(|| parts.remove(0))
    }
}

/// Makes a file without entries, on the disk, which has no name that counts yet.
fn begin(folder: &Folder, salt: u32) -> io::Result<Arc<dyn DiskFile>> {
    let file = folder.disk().create(&folder.at(NEW))?;
    file.write(&frame::header(salt))?;
    file.sync()?;
    Ok(file)
}

/// Gives it the name of the part that begins with entry `first`.
fn name(folder: &Folder, first: Lsn) -> io::Result<()> {
    folder.disk().rename(&folder.at(NEW), &folder.at(&numbered_name(NAME, first)))
}
