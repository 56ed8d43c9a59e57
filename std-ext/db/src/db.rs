//! The database itself.

use crate::background::BackgroundTasks;
use crate::clock::Clock;
use crate::error::Error;
use crate::log::change::{Changes, LoggedOp};
use crate::log::disk::{Disk, SystemDisk};
use crate::log::file::FileLog;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::ENTRY_HEADER;
use crate::log::none::NoLog;
use crate::log::{LOG, Log, LogError, Lsn, OpenError};
use crate::options::{Eviction, Options};
use crate::progress::Progress;
use crate::request::{
    Answer, Change, ExpireCondition, Expiry, MultiKeyOp, Query, Request, RequestError, SetCondition,
};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::state::load::LoadingShards;
use crate::watch::Watch;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An open database. Clones are the same database; it is closed with the last of them.
///
/// Its methods are what a program asks that has it inside; each waits until the log is as safe as the options say. A
/// thread that asks much has a [`Session`] of its own, and asks for many things at once.
///
/// ```
/// use hedgerow_db::{Db, Options};
///
/// let db = Db::open(Options::in_memory())?;
/// db.set("rose", "red")?;
/// assert_eq!(db.add("petals", 5)?, 5);
/// assert_eq!(db.get("rose")?.as_deref(), Some(&b"red"[..]));
/// assert!(db.delete("rose")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<State>,
    options: Options,
    opened: Opened,
    /// For those who have no session of their own.
    sessions: Mutex<Vec<Session>>,
    background: BackgroundTasks,
}

/// What was found when the database was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Opened {
    /// Keys of the snapshot; 0 without one.
    pub snapshot_keys: u64,
    /// Entries of the log behind it.
    pub log_entries: u64,
    /// Bytes at the end of the log that were cut off: from the first on that was no whole entry, as a crash in the
    /// middle of writing leaves it.
    pub truncated_bytes: u64,
    /// Whole entries among these, as a loss of power may leave them of what had not been forced to the disk. They are
    /// kept in a file whose name begins with `cut-`.
    pub discarded_entries: u64,
    /// How long that took.
    pub took: Duration,
}

/// What the database knows of itself. Exact where nobody asks meanwhile.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Keys, and those among them that have ended and were not removed yet.
    pub keys: u64,
    /// Keys with an end.
    pub expires: u64,
    /// Bytes of memory for keys, values and tables.
    pub memory: u64,
    /// What it may be; 0 for as much as there is.
    pub max_memory: u64,
    /// Keys that were removed because they had ended.
    pub expired: u64,
    /// Keys that were evicted.
    pub evicted: u64,
    /// Looks that found a value.
    pub hits: u64,
    /// Looks that found none.
    pub misses: u64,
    /// Last entry of the log.
    pub last_entry: Lsn,
    /// Bytes of its files.
    pub log_bytes: u64,
    /// Entries since the last snapshot.
    pub entries_since_snapshot: u64,
    /// Whether a snapshot is being made.
    pub snapshot_in_progress: bool,
    /// Seconds since 1970 of the last one that was made since this was opened; 0 for none.
    pub last_snapshot_at: u64,
    /// Whether the last one failed.
    pub snapshot_failed: bool,
    /// The longest time for which the last one kept a shard locked.
    pub snapshot_pause: Duration,
    /// Shards.
    pub shards: usize,
}

impl Db {
    /// Opens a database: loads the newest snapshot and makes the log's changes since. What is at the end of the log and
    /// no whole entry, as a crash leaves it, is cut off, and [`opened`](Self::opened) says so.
    ///
    /// # Errors
    /// [`OpenError`] where the folder cannot be read, is open already, or holds something else than was written. Nothing
    /// is changed then.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_on_disk(options, Arc::new(SystemDisk))
    }

    /// As [`open`](Self::open); tells meanwhile how far it is.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with_progress(options: Options, progress: &Progress) -> Result<Self, OpenError> {
        Self::open_with(options, Arc::new(SystemDisk), progress)
    }

    /// As [`open`](Self::open), with files on a disk of the caller's: for tests of disks that fail.
    ///
    /// # Errors
    /// As `open`.
    #[doc(hidden)]
    pub fn open_on_disk(options: Options, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::open_with(options, disk, &Progress::default())
    }

    fn open_with(
        options: Options,
        disk: Arc<dyn Disk>,
        progress: &Progress,
    ) -> Result<Self, OpenError> {
        let began = std::time::Instant::now();
        let shards = LoadingShards::new(&options);
        let mut opened = Opened::default();
        let mut claimed = None;
        let (log, time): (Arc<dyn Log>, u64) = match &options.folder {
            None => (Arc::new(NoLog::new()), 0),
            Some(folder) => {
                let folder = Folder::claim_on(folder, disk)?;
                let (log, time) = recover(&folder, &options, &shards, &mut opened, progress)?;
                claimed = Some(folder);
                (Arc::new(log), time)
            }
        };
        let clock = Clock::starting(options.time.clone(), time);
        let state = Arc::new(State::new(shards, log, clock, &options));
        let weak = Arc::downgrade(&state);
        state.log.on_failure(Box::new(move || {
            if let Some(state) = weak.upgrade() {
                state.roll_back();
            }
        }));
        state.follow_clock();
        opened.took = began.elapsed();
        let background = BackgroundTasks::start(&state, claimed, options.snapshot_after);
        let sessions = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { state, options, opened, sessions, background }) })
    }

    /// Milliseconds since 1970, by which keys end.
    pub fn now(&self) -> u64 {
        self.inner.state.clock.now()
    }

    /// A session: what a thread asks with.
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(&self.inner.state))
    }

    /// Its log, which says when answers may be shown.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.inner.state.log
    }

    /// How it was opened.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// What was found then.
    pub fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    /// What it knows of itself.
    pub fn stats(&self) -> Stats {
        use std::sync::atomic::Ordering::Relaxed;
        let (state, done) = (&self.inner.state, self.inner.background.snapshot_status());
        let (hits, misses) = state.hits_and_misses();
        let sum = |of: fn(&crate::state::shard::ShardStats) -> usize| -> u64 {
            state.shards.iter().map(|shard| of(shard.stats()) as u64).sum()
        };
        let last = state.log.last();
        Stats {
            keys: sum(|figures| figures.keys()),
            expires: sum(|figures| figures.keys_with_ttl()),
            memory: state.memory() as u64,
            max_memory: state.limit.bytes() as u64,
            // Relaxed: figures, each by itself.
            expired: state.expired.load(Relaxed),
            // Relaxed: as above.
            evicted: state.evicted.load(Relaxed),
            hits,
            misses,
            last_entry: last,
            log_bytes: state.log.bytes(),
            entries_since_snapshot: last.saturating_sub(done.entry),
            snapshot_in_progress: done.in_progress,
            last_snapshot_at: done.at,
            snapshot_failed: done.failed,
            snapshot_pause: done.pause,
            shards: state.shards.len(),
        }
    }

    /// What evicts or refuses from now on.
    pub fn eviction(&self) -> Eviction {
        self.inner.state.limit.eviction()
    }

    /// Changes how much memory is allowed; 0 for as much as there is. What is too much is evicted in the background.
    pub fn set_max_memory(&self, bytes: usize) {
        self.inner.state.limit.set_bytes(bytes);
        self.inner.background.wake();
    }

    /// Changes what happens at that limit. What is too much is evicted in the background.
    pub fn set_eviction(&self, how: Eviction) {
        self.inner.state.limit.set_eviction(how);
        self.inner.background.wake();
    }

    /// Tells of changes of keys that begin so, from now on.
    ///
    /// ```
    /// use hedgerow_db::{Db, Options};
    /// use hedgerow_db::watch::Changed;
    /// use std::time::Duration;
    ///
    /// let db = Db::open(Options::in_memory())?;
    /// let mut watch = db.watch("ro");
    /// db.set("daisy", "white")?;
    /// db.set("rose", "red")?;
    /// let event = watch.next(Duration::ZERO)?.expect("it was changed before");
    /// assert_eq!(event.changed, Changed::Key(b"rose".into()));
    /// assert_eq!(watch.next(Duration::ZERO)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch(&self, prefix: impl AsRef<[u8]>) -> Watch {
        let state = &self.inner.state;
        state.watchers.watch(prefix.as_ref(), Arc::clone(&state.log))
    }

    /// Writes a snapshot, and drops what the log needs no more. Blocks until that is done; others go on meanwhile.
    ///
    /// # Errors
    /// When it cannot be written; the log stays as it is.
    pub fn snapshot(&self) -> Result<(), Error> {
        self.inner.background.snapshot_now(&self.inner.state)
    }

    /// Has a snapshot written by another thread; whether one is, which it is not if there is one being written already.
    /// Does not block. Whether it succeeded is in the [figures](Self::figures).
    pub fn snapshot_soon(&self) -> bool {
        self.inner.background.snapshot_soon()
    }

    /// Writes what is to be written, and takes no more changes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(&self) -> Result<(), Error> {
        Ok(self.log().close()?)
    }

    /// How often changes were undone because the log could not be written.
    pub(crate) fn rollbacks(&self) -> u64 {
        self.inner.state.rollbacks()
    }

    /// Undoes what the log does not have.
    #[cfg(test)]
    pub(crate) fn roll_back(&self) {
        self.inner.state.roll_back();
    }

    pub(crate) fn with_session<R>(&self, with: impl FnOnce(&mut Session) -> R) -> R {
        let mut sessions = self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.pop();
        drop(sessions);
        let mut session = session.unwrap_or_else(|| self.session());
        let made = with(&mut session);
        // One that a panic left is not kept.
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        made
    }

    /// Asks one thing, and waits until the log is safe.
    fn execute<R>(
        &self,
        request: Request<'_>,
        take: impl FnOnce(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        let (mut take, mut taken) = (Some(take), None);
        let lsn = self.with_session(|session| {
            session
                .execute(&[request], &mut |_, answer| taken = take.take().map(|take| take(answer)))
        });
        self.log().wait(lsn)?;
        Ok(taken.expect("every ask is answered")?)
    }

    /// Asks what can be asked again: where a change that it saw was undone.
    fn read<R>(&self, key: &[u8], query: Query, take: fn(Answer<'_>) -> R) -> Result<R, Error> {
        loop {
            match self.execute(Request::Read(key, query), |answer| Ok(take(answer))) {
                Err(Error::Log(LogError::RolledBack)) => {}
                told => return told,
            }
        }
    }

    /// The key's value.
    ///
    /// # Errors
    /// [`Error::Log`] if it was changed and the log was closed before it had written that.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.read(key.as_ref(), Query::Value, bytes)
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.read(key.as_ref(), Query::Exists, |answer| answer == Answer::Int(1))
    }

    /// Stores a value, to live for ever.
    ///
    /// # Errors
    /// [`Error`] says why it was not stored, or may not last.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.set_until(key, value, Expiry::Never)
    }

    /// Stores a value, to live for so long.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), Error> {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let end = self.inner.state.clock.now().saturating_add(time);
        self.set_until(key, value, Expiry::At(end))
    }

    fn set_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expiry: Expiry,
    ) -> Result<(), Error> {
        let (value, condition) = (value.as_ref(), SetCondition::Always);
        let change = Change::Set { value, condition, expiry, get: false };
        self.execute(Request::Change(key.as_ref(), change), done)
    }

    /// Stores a value where the key is missing; whether that was so.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_if_absent(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let (value, condition, expiry) = (value.as_ref(), SetCondition::IfAbsent, Expiry::Never);
        let change = Change::Set { value, condition, expiry, get: false };
        self.execute(Request::Change(key.as_ref(), change), |answer| match answer {
            Answer::Error(error) => Err(error),
            answer => Ok(answer == Answer::Done),
        })
    }

    /// Stores several, of which everybody sees all or none.
    ///
    /// # Errors
    /// As [`set`](Self::set); none is stored then.
    pub fn set_all(&self, pairs: &[(&[u8], &[u8])]) -> Result<(), Error> {
        self.execute(Request::MultiKey(MultiKeyOp::SetAll(pairs)), done)
    }

    /// Removes the key; whether it was there.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.execute(Request::Change(key.as_ref(), Change::Delete), int)? == 1)
    }

    /// Adds to a number in decimal, and returns the sum; a missing key is 0.
    ///
    /// # Errors
    /// As [`set`](Self::set), and where the value is no number.
    pub fn add(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.execute(Request::Change(key.as_ref(), Change::Increment(by)), int)
    }

    /// Appends to the value, and returns its length; a missing key is empty.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn append(&self, key: impl AsRef<[u8]>, tail: impl AsRef<[u8]>) -> Result<usize, Error> {
        let change = Change::Append(tail.as_ref());
        Ok(self.execute(Request::Change(key.as_ref(), change), int)?.cast_unsigned() as usize)
    }

    /// Has the key end after so long; whether it is there.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn expire(&self, key: impl AsRef<[u8]>, after: Duration) -> Result<bool, Error> {
        let time = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let expiry = Expiry::At(self.inner.state.clock.now().saturating_add(time));
        let change = Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
        Ok(self.execute(Request::Change(key.as_ref(), change), int)? == 1)
    }

    /// How many keys there are, with those that have ended and were not removed yet.
    pub fn len(&self) -> usize {
        self.with_session(|session| session.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes everything.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn clear(&self) -> Result<(), Error> {
        self.execute(Request::MultiKey(MultiKeyOp::Clear), done)
    }
}

fn bytes(answer: Answer<'_>) -> Option<Vec<u8>> {
    match answer {
        Answer::Bytes(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

fn done(answer: Answer<'_>) -> Result<(), RequestError> {
    match answer {
        Answer::Error(error) => Err(error),
        _ => Ok(()),
    }
}

fn int(answer: Answer<'_>) -> Result<i64, RequestError> {
    match answer {
        Answer::Int(int) => Ok(int),
        Answer::Error(error) => Err(error),
        _ => Ok(0),
    }
}

impl fmt::Debug for Db {
    /// Figures only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("figures", &self.stats()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.stop();
        // Nobody is left to be told; what was acknowledged is as safe as it was.
        if let Err(why) = self.state.log.close() {
            tracing::error!("{why}");
        }
    }
}

/// Loads what the folder holds; the log, and the latest time that it knows.
fn recover(
    folder: &Arc<Folder>,
    options: &Options,
    shards: &LoadingShards,
    opened: &mut Opened,
    progress: &Progress,
) -> Result<(FileLog, u64), OpenError> {
    progress.add_total(log_bytes(folder)?);
    let snapshot = Snapshot::newest(folder)?;
    let mut floors = vec![0; usize::from(crate::state::slots::SLOTS)];
    let (mut time, mut least, mut above) = (0, 0, 0);
    if let Some(snapshot) = &snapshot {
        progress.add_total(snapshot.bytes());
        load(snapshot, shards, progress)?;
        for section in snapshot.sections() {
            let slots = usize::from(section.slots.start)..usize::from(section.slots.end);
            floors[slots].fill(section.floor);
            opened.snapshot_keys += section.entries;
        }
        (time, above) = (snapshot.time(), snapshot.last());
        least = floors.iter().copied().min().unwrap_or(0);
    }
    let mut read = 0;
    let mut replay = |entry: Lsn, at: u64, changes: &[u8]| {
        // A snapshot was made later than the entries that it saw.
        if entry > above {
            time = if is_set_back(changes) { at } else { time.max(at) };
        }
        let time = at;
        read += (changes.len() + ENTRY_HEADER) as u64;
        if read > 1 << 20 {
            progress.add_done(std::mem::take(&mut read));
        }
        shards.replay(entry, time, changes, |slot| floors[usize::from(slot)] + 1)
    };
    let (log, found) =
        FileLog::open(Arc::clone(folder), options.fsync, least + 1, above, &mut replay)?;
    opened.log_entries = found.entries;
    if let Some(cut) = &found.cut {
        (opened.truncated_bytes, opened.discarded_entries) = (cut.bytes, cut.entries);
    }
    Ok((log, time))
}

/// Bytes of the files of the log.
fn log_bytes(folder: &Folder) -> Result<u64, OpenError> {
    let mut bytes = 0;
    for first in folder.numbered(LOG)? {
        let file = folder.at(&numbered_name(LOG, first));
        // One that cannot be read is told of when it is.
        let size = folder.disk().read(&file).and_then(|file| file.metadata());
        bytes += size.map_or(0, |size| size.len());
    }
    Ok(bytes)
}

/// Whether an entry says that the clock was set back, which it says alone.
fn is_set_back(changes: &[u8]) -> bool {
    matches!(Changes::new(changes).next(), Some(Ok(LoggedOp::Clock(_))))
}

/// Loads a snapshot, its sections side by side.
fn load(snapshot: &Snapshot, shards: &LoadingShards, progress: &Progress) -> Result<(), OpenError> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let sections = snapshot.sections();
    let work = || -> Result<(), OpenError> {
        loop {
            // Relaxed: only that each is another matters.
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(section) = sections.get(number) else { return Ok(()) };
            shards.reserve(section.slots.clone(), section.entries as usize);
            let mut bytes = 0;
            snapshot.read_section(number, &mut |key, ends, value| {
                shards.load(key, ends, value);
                bytes += (key.len() + value.len()) as u64;
                if bytes > 1 << 20 {
                    progress.add_done(std::mem::take(&mut bytes));
                }
            })?;
            progress.add_done(bytes);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores.min(16)).map(|_| scope.spawn(work)).collect();
        let own = work();
        others.into_iter().fold(own, |all, one| all.and(one.join().expect("loading panics not")))
    })
}
