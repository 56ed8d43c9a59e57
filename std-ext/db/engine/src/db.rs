//! The database.

mod answers;
mod hashes;
mod lists;
mod sets;
mod sorted_sets;
mod streams;

use crate::background::BackgroundTasks;
use crate::clock::{ExpiryClock, milliseconds};
use crate::error::Error;
use crate::event_flags::EventFlags;
use crate::lock::lock;
use crate::log::disk::{Disk, SystemDisk};
use crate::log::file::FileLog;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::ENTRY_HEADER;
use crate::log::none::NoLog;
use crate::log::{BatchMark, EntryReplay, LOG, Log, LogError, Lsn, OpenError, Position, Recovered};
use crate::options::Options;
use crate::progress::Progress;
use crate::request::{
    Answer, Change, ExpireCondition, Expiry, MultiKeyOp, Query, Request, RequestError, SetCondition,
};
use crate::script_settings::ScriptSettings;
use crate::session::Session;
use crate::slot_set::SlotSet;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::state::databases::DatabaseStats;
use crate::state::load::{LoadingShards, ReplayedState};
use crate::state::noted_events::Publish;
use crate::watch::Watch;
use answers::{bytes, done, int};
pub use hashes::HashEntry;
pub use sorted_sets::ScoredMember;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
pub use streams::StreamEntry;

/// An open database. Clones share it, and dropping the last one closes it.
///
/// Each method executes one request, and waits until the log is as durable as the options require. A thread with many
/// requests uses its own [`Session`], and sends them in batches.
///
/// ```
/// # use hedgerow_db_engine as hedgerow_db;
/// use hedgerow_db::{Db, Options};
///
/// let db = Db::open(Options::in_memory())?;
/// db.set("rose", "red")?;
/// assert_eq!(db.add("petals", 5)?, 5);
/// assert_eq!(db.get("rose")?.as_deref(), Some(&b"red"[..]));
/// assert!(db.delete("rose")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// There are [several databases](crate::Options::databases), with keys of their own. [`Db::open`] returns database 0,
/// and [`Db::database`] another one, in the same folder and log.
#[derive(Clone)]
pub struct Db {
    inner: Arc<DbInner>,
    /// The number of the database.
    database: u16,
}

struct DbInner {
    state: Arc<State>,
    options: Options,
    opened: Opened,
    /// Sessions for callers that have none of their own.
    sessions: Mutex<Vec<Session>>,
    background: BackgroundTasks,
    script_settings: Arc<ScriptSettings>,
}

/// The data that was loaded when the database was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Opened {
    /// Keys in the snapshot; 0 without one.
    pub snapshot_keys: u64,
    /// Log entries after the snapshot.
    pub log_entries: u64,
    /// Bytes truncated from the end of the log, from the first incomplete entry on. A crash during a write leaves an
    /// incomplete entry.
    pub truncated_bytes: u64,
    /// Complete entries among the truncated bytes, as a power failure may leave them if they were not flushed. They are
    /// saved in a file whose name begins with `cut-`.
    pub discarded_entries: u64,
    /// How long opening took.
    pub took: Duration,
}

/// Statistics of the database. They are exact while no other thread uses it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Keys of all databases, including expired ones that have not been removed yet.
    pub keys: u64,
    /// Keys with an expiration.
    pub expires: u64,
    /// Bytes of memory for keys, values and tables.
    pub memory: u64,
    /// The limit of memory; 0 for none.
    pub max_memory: u64,
    /// Keys removed because they expired.
    pub expired: u64,
    /// Keys evicted.
    pub evicted: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// The last entry of the log.
    pub last_entry: Lsn,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Log entries since the last snapshot.
    pub entries_since_snapshot: u64,
    /// Whether a snapshot is being written.
    pub snapshot_in_progress: bool,
    /// When the last snapshot since opening was written, in seconds since 1970; 0 for none.
    pub last_snapshot_at: u64,
    /// Whether the last snapshot failed.
    pub snapshot_failed: bool,
    /// The longest time for which the last snapshot locked a shard.
    pub snapshot_pause: Duration,
    /// The number of shards of each database.
    pub shards: usize,
}

impl Db {
    /// Opens a database: loads the newest snapshot and replays the log since. An incomplete entry at the end of the
    /// log, as a crash leaves it, is truncated; [`opened`](Self::opened) reports that.
    ///
    /// # Errors
    /// If the directory cannot be read, is in use, or contains damaged data. No file is changed then.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_on_disk(options, Arc::new(SystemDisk))
    }

    /// Opens a database as [`open`](Self::open) does, and reports the progress meanwhile.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with_progress(options: Options, progress: &Progress) -> Result<Self, OpenError> {
        Self::open_with(options, Arc::new(SystemDisk), progress)
    }

    /// Opens a database as [`open`](Self::open) does, on the caller's disk: for tests of failing disks.
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
        let (_span, began) = (tracing::debug_span!("open").entered(), std::time::Instant::now());
        let shards = LoadingShards::new(&options);
        let mut opened = Opened::default();
        let mut claimed = None;
        let (log, time, latency): (Arc<dyn Log>, u64, _) = match &options.folder {
            None => (Arc::new(NoLog::new()), 0, Arc::default()),
            Some(folder) => {
                let folder = Folder::claim_on(folder, disk)?;
                let (log, found) = recover(&folder, &options, &shards, &mut opened, progress)?;
                claimed = Some(folder);
                let latency = Arc::clone(log.latency());
                (Arc::new(log), found.time, latency)
            }
        };
        let clock = ExpiryClock::starting(options.time.clone(), time);
        let mut state = State::new(shards, log, clock, &options);
        state.latency = latency;
        let state = Arc::new(state);
        let weak = Arc::downgrade(&state);
        state.log.on_failure(Box::new(move || {
            if let Some(state) = weak.upgrade() {
                state.roll_back();
            }
        }));
        state.follow_clock();
        opened.took = began.elapsed();
        Ok(Self::over(state, claimed, options, opened))
    }

    /// Starts the background tasks of a state that was loaded.
    #[doc(hidden)]
    pub fn over(
        state: Arc<State>,
        folder: Option<Arc<Folder>>,
        options: Options,
        opened: Opened,
    ) -> Self {
        let background = BackgroundTasks::start(&state, folder, options.snapshot_after);
        let sessions = Mutex::default();
        let script_settings =
            ScriptSettings::new(options.script_time_limit, options.allow_undeclared_keys);
        let inner = Arc::new(DbInner {
            state,
            options,
            opened,
            sessions,
            background,
            script_settings: Arc::new(script_settings),
        });
        Self { inner, database: 0 }
    }

    /// Returns the settings of scripts.
    #[doc(hidden)]
    pub fn script_settings(&self) -> &Arc<ScriptSettings> {
        &self.inner.script_settings
    }

    /// Returns the state.
    #[doc(hidden)]
    pub fn state(&self) -> &Arc<State> {
        &self.inner.state
    }

    /// Returns the time by which keys expire, in milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.inner.state.clock.now()
    }

    /// Returns the database of a number, which shares log, memory and sessions with this one.
    ///
    /// ```
    /// # use hedgerow_db_engine as hedgerow_db;
    /// use hedgerow_db::{Db, Options};
    ///
    /// let db = Db::open(Options::in_memory())?;
    /// let other = db.database(1)?;
    /// db.set("rose", "red")?;
    /// assert_eq!(other.get("rose")?, None);
    /// other.set("rose", "white")?;
    /// other.clear()?;
    /// assert_eq!((db.len(), other.len()), (1, 0));
    /// db.swap_databases(0, 1)?;
    /// assert_eq!(other.get("rose")?.as_deref(), Some(&b"red"[..]));
    /// assert!(db.database(16).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RequestError::NoSuchDatabase`] if the [options](Options::databases) do not have as many.
    pub fn database(&self, number: u16) -> Result<Self, RequestError> {
        self.inner.state.databases.check(number)?;
        Ok(Self { inner: Arc::clone(&self.inner), database: number })
    }

    /// Returns the number of this database.
    pub fn number(&self) -> u16 {
        self.database
    }

    /// Gives two databases each other's keys, at one point in time. No key is moved, so it takes as long for many keys
    /// as for few. Their [watches](Self::watch) end.
    ///
    /// # Errors
    /// As [`set`](Self::set), and if there is no such database.
    pub fn swap_databases(&self, one: u16, other: u16) -> Result<(), Error> {
        self.execute(Request::MultiKey(MultiKeyOp::SwapDatabases(one, other)), done)
    }

    /// Returns the number of keys of each database that has any.
    pub fn database_stats(&self) -> Vec<DatabaseStats> {
        self.inner.state.database_stats()
    }

    /// Makes a session: a thread's access for many requests at once. It begins with this database.
    pub fn session(&self) -> Session {
        let mut session = Session::new(Arc::clone(&self.inner.state));
        session.set_database(self.database);
        session
    }

    /// Returns the log, which says when answers may be shown.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.inner.state.log
    }

    /// Returns the options it was opened with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Returns what opening has loaded.
    pub fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    /// Returns the statistics.
    pub fn stats(&self) -> Stats {
        use std::sync::atomic::Ordering::Relaxed;
        let (state, done) = (&self.inner.state, self.inner.background.snapshot_status());
        let (hits, misses) = state.hits_and_misses();
        let owned = state.owned_at_once();
        let last = state.log.last();
        Stats {
            keys: owned.keys as u64,
            expires: owned.with_ttl as u64,
            memory: state.memory() as u64,
            max_memory: state.limit.bytes() as u64,
            // Relaxed: statistics; no other memory is published through them.
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
            shards: state.shards.per_keyspace(),
        }
    }

    /// Wakes the thread that evicts, because a limit has changed.
    pub(crate) fn wake_background(&self) {
        self.inner.background.wake();
    }

    /// Sets whether scripts may access keys that they do not declare.
    pub fn set_allow_undeclared_keys(&self, allow: bool) {
        self.inner.script_settings.set_allow_undeclared_keys(allow);
    }

    /// Sets how many milliseconds of processor time a script may take; 0 for no limit.
    pub fn set_script_time_limit(&self, milliseconds: u64) {
        self.inner.script_settings.set_time_limit(milliseconds);
    }

    /// Sets the function that publishes events about keys, in place of an earlier one. It is called under the locks
    /// of shards, so it must take a bounded time, and not use the database.
    #[doc(hidden)]
    pub fn on_key_event(&self, publish: Publish) {
        self.inner.state.key_events.on_event(publish);
    }

    /// Sets the kinds of events about keys that are published, in letters. Invalid letters publish nothing.
    #[doc(hidden)]
    pub fn set_key_events(&self, letters: &str) {
        self.inner.state.set_key_events(EventFlags::parse(letters).unwrap_or_default());
    }

    /// Sets the most bytes a second that are sent for a move of slots while clients write; 0 for no limit.
    #[doc(hidden)]
    pub fn set_move_rate(&self, bytes: u64) {
        self.inner.state.set_move_rate(bytes);
    }

    /// Starts to watch the changes of keys of this database with a prefix.
    ///
    /// ```
    /// # use hedgerow_db_engine as hedgerow_db;
    /// use hedgerow_db::{Db, Options};
    /// use hedgerow_db::watch::EventKind;
    /// use std::time::Duration;
    ///
    /// let db = Db::open(Options::in_memory())?;
    /// let mut watch = db.watch("ro");
    /// db.set("daisy", "white")?;
    /// db.set("rose", "red")?;
    /// let event = watch.next(Duration::ZERO)?.expect("it was changed above");
    /// assert_eq!(event.kind, EventKind::Changed(b"rose".into()));
    /// assert_eq!(watch.next(Duration::ZERO)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch(&self, prefix: impl AsRef<[u8]>) -> Watch {
        let state = &self.inner.state;
        state.watchers.watch(self.database, prefix.as_ref(), Arc::clone(&state.log))
    }

    /// Writes a snapshot and removes the log before it. Blocks until that is done; other threads are not blocked.
    ///
    /// # Errors
    /// If the snapshot cannot be written. The log stays as it is.
    pub fn snapshot(&self) -> Result<(), Error> {
        self.inner.background.snapshot_now(&self.inner.state)
    }

    /// Starts a snapshot in the background. Returns false if one is being written already. Whether it succeeded is in
    /// the [statistics](Self::stats).
    pub fn snapshot_soon(&self) -> bool {
        self.inner.background.snapshot_soon()
    }

    /// Starts a snapshot in the background. If one is being written, starts another one after it, and returns false.
    pub fn schedule_snapshot(&self) -> bool {
        self.inner.background.schedule_snapshot()
    }

    /// Writes and flushes the rest of the log, and refuses changes from then on.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn close(&self) -> Result<(), Error> {
        Ok(self.log().close()?)
    }

    /// Returns the number of rollbacks: how often changes were undone because the log could not be written.
    #[doc(hidden)]
    pub fn rollbacks(&self) -> u64 {
        self.inner.state.rollbacks()
    }

    /// Rolls back the changes that the log does not have.
    #[cfg(any(test, feature = "test-support"))]
    #[doc(hidden)]
    pub fn roll_back(&self) {
        self.inner.state.roll_back();
    }

    #[doc(hidden)]
    pub fn with_session<R>(&self, with: impl FnOnce(&mut Session) -> R) -> R {
        let mut sessions = lock(&self.inner.sessions);
        let session = sessions.pop();
        drop(sessions);
        let mut session = session.unwrap_or_else(|| self.session());
        session.set_database(self.database);
        let made = with(&mut session);
        // A session that a panic has left in the middle of a request is not reused.
        lock(&self.inner.sessions).push(session);
        made
    }

    /// Executes one request, and waits until its answer may leave.
    #[doc(hidden)]
    pub fn execute<R>(
        &self,
        request: Request<'_>,
        take: impl FnOnce(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        let (mut take, mut taken) = (Some(take), None);
        let epoch = self.log().epoch();
        let lsn = self.with_session(|session| {
            session
                .execute(&[request], &mut |_, answer| taken = take.take().map(|take| take(answer)))
        });
        let read_index = self.log().read_index(epoch);
        self.log().wait(lsn)?;
        self.log().wait_lease_check(&read_index)?;
        Ok(taken.expect("every request is answered")?)
    }

    /// Executes a read, and repeats it if a change that it saw was rolled back.
    fn read<R>(&self, key: &[u8], query: Query<'_>, take: fn(Answer<'_>) -> R) -> Result<R, Error> {
        loop {
            let take = |answer: Answer<'_>| match answer {
                Answer::Error(error) => Err(error),
                answer => Ok(take(answer)),
            };
            match self.execute(Request::Read(key, query), take) {
                Err(Error::Log(LogError::RolledBack)) => {}
                result => return result,
            }
        }
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// [`Error::Log`] if the read saw a change that was not committed yet, and the log failed. [`Error::Request`] if
    /// the value is not a string ([`RequestError::WrongType`]), or the key belongs to another group of a cluster.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.read(key.as_ref(), Query::Value, bytes)
    }

    /// Returns whether a key exists.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.read(key.as_ref(), Query::Exists, |answer| answer == Answer::Int(1))
    }

    /// Stores a value without expiration.
    ///
    /// # Errors
    /// [`Error`] says why it was not stored, or may be lost.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.set_until(key, value, Expiry::Never)
    }

    /// Stores a value that expires after `ttl`.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<(), Error> {
        let end = self.inner.state.clock.now().saturating_add(milliseconds(ttl));
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

    /// Stores a value if the key does not exist. Returns whether it was stored.
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

    /// Stores several pairs atomically: readers see all of them or none.
    ///
    /// # Errors
    /// As [`set`](Self::set); then no pair is stored.
    pub fn set_all(&self, pairs: &[(&[u8], &[u8])]) -> Result<(), Error> {
        self.execute(Request::MultiKey(MultiKeyOp::SetAll(pairs)), done)
    }

    /// Removes a key. Returns whether it existed.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.execute(Request::Change(key.as_ref(), Change::Delete), int)? == 1)
    }

    /// Adds to a decimal integer, and returns the sum. A missing key counts as 0.
    ///
    /// # Errors
    /// As [`set`](Self::set), and if the value is no integer, or no string.
    pub fn add(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.execute(Request::Change(key.as_ref(), Change::Increment(by)), int)
    }

    /// Appends to a value, and returns its length. A missing key counts as empty.
    ///
    /// # Errors
    /// As [`set`](Self::set), and if the value is not a string.
    pub fn append(&self, key: impl AsRef<[u8]>, tail: impl AsRef<[u8]>) -> Result<usize, Error> {
        let change = Change::Append(tail.as_ref());
        Ok(self.execute(Request::Change(key.as_ref(), change), int)?.cast_unsigned() as usize)
    }

    /// Sets the time to live of a key. Returns whether the key exists.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn expire(&self, key: impl AsRef<[u8]>, after: Duration) -> Result<bool, Error> {
        let end = self.inner.state.clock.now().saturating_add(milliseconds(after));
        let expiry = Expiry::At(end);
        let change = Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
        Ok(self.execute(Request::Change(key.as_ref(), change), int)? == 1)
    }

    /// Returns the number of keys of this database, including expired ones that have not been removed yet.
    pub fn len(&self) -> usize {
        self.with_session(|session| session.len())
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all keys of this database.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn clear(&self) -> Result<(), Error> {
        self.execute(Request::MultiKey(MultiKeyOp::Clear), done)
    }
}

impl fmt::Debug for Db {
    /// Shows the statistics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("figures", &self.stats()).finish()
    }
}

impl Drop for DbInner {
    fn drop(&mut self) {
        self.background.stop();
        // No caller is left to get the error. Acknowledged changes are as durable as the options promise.
        if let Err(why) = self.state.log.close() {
            tracing::error!("{why}");
        }
    }
}

/// The contents of a folder, besides the keys.
#[derive(Default)]
#[doc(hidden)]
pub struct FolderContents {
    /// The latest time in the log.
    #[doc(hidden)]
    pub time: u64,
    /// The last watermark.
    #[doc(hidden)]
    pub watermark: u64,
    /// The last mark of a batch, and its entry.
    #[doc(hidden)]
    pub batch: Option<(Lsn, BatchMark)>,
    /// The position of a cluster's log that the snapshot contains.
    #[doc(hidden)]
    pub snapshot: Option<Position>,
    /// The slots that the group has got and lost in the log.
    #[doc(hidden)]
    pub slots: Vec<(SlotSet, bool)>,
}

/// Loads the data of a directory.
#[doc(hidden)]
pub fn recover(
    folder: &Arc<Folder>,
    options: &Options,
    shards: &LoadingShards,
    opened: &mut Opened,
    progress: &Progress,
) -> Result<(FileLog, FolderContents), OpenError> {
    progress.add_total(log_bytes(folder)?);
    let snapshot = Snapshot::newest(folder)?;
    recover_by(snapshot.as_ref(), shards, opened, progress, |from, above, replay| {
        let check = || check_databases(folder, shards);
        FileLog::open_checked(Arc::clone(folder), options.fsync, from, above, replay, &check)
    })
}

/// Loads the data of a directory, and changes nothing in it.
#[doc(hidden)]
pub fn load_only(folder: &Arc<Folder>, shards: &LoadingShards) -> Result<Opened, OpenError> {
    let (mut opened, progress) = (Opened::default(), Progress::default());
    let snapshot = Snapshot::newest_complete(folder)?;
    recover_by(snapshot.as_ref(), shards, &mut opened, &progress, |from, above, replay| {
        Ok(((), crate::log::survey(folder, from, above, replay)?))
    })?;
    check_databases(folder, shards)?;
    Ok(opened)
}

/// Returns an error if a database has keys that will not exist.
fn check_databases(folder: &Folder, shards: &LoadingShards) -> Result<(), OpenError> {
    shards.missing().map_or(Ok(()), |(database, databases)| {
        let folder = folder.path().into();
        Err(OpenError::NoSuchDatabase { folder, database, databases })
    })
}

/// Loads a snapshot, and the entries of the log that `open` opens: those from a number on, behind a snapshot that has
/// some of the entries up to another number.
fn recover_by<L>(
    snapshot: Option<&Snapshot>,
    shards: &LoadingShards,
    opened: &mut Opened,
    progress: &Progress,
    open: impl FnOnce(Lsn, Lsn, &mut EntryReplay<'_>) -> Result<(L, Recovered), OpenError>,
) -> Result<(L, FolderContents), OpenError> {
    let mut watermarks = vec![0; usize::from(crate::slots::SLOTS)];
    let (mut time, mut least, mut above) = (0, 0, 0);
    if let Some(snapshot) = snapshot {
        progress.add_total(snapshot.bytes());
        load(snapshot, shards, progress)?;
        for section in snapshot.sections() {
            let slots = usize::from(section.slots.start)..usize::from(section.slots.end);
            watermarks[slots].fill(section.watermark);
            opened.snapshot_keys += section.entries;
        }
        (time, above) = (snapshot.time(), snapshot.last());
        least = watermarks.iter().copied().min().unwrap_or(0);
    }
    let (mut read, mut met) = (0, ReplayedState::default());
    let mut replay = |entry: Lsn, at: u64, changes: &[u8]| {
        read += (changes.len() + ENTRY_HEADER) as u64;
        if read > 1 << 20 {
            progress.add_done(std::mem::take(&mut read));
        }
        let from = |slot| watermarks[usize::from(slot)] + 1;
        shards.replay(entry, at, changes, from, &mut met)?;
        // Entries up to this one are older than the snapshot, whose time is later.
        if entry > above {
            time = if met.set_back == entry { at } else { time.max(at) };
        }
        Ok(())
    };
    let (log, found) = open(least + 1, above, &mut replay)?;
    opened.log_entries = found.entries;
    if let Some(cut) = &found.cut {
        (opened.truncated_bytes, opened.discarded_entries) = (cut.bytes, cut.entries);
    }
    let snapshot = snapshot.and_then(|snapshot| snapshot.position().cloned());
    // The log may begin behind the mark that the snapshot knows.
    let batch = met.batch.or(snapshot.as_ref().and_then(|position| position.batch));
    Ok((log, FolderContents { time, watermark: met.watermark, batch, snapshot, slots: met.slots }))
}

/// Returns the bytes of the log's files.
fn log_bytes(folder: &Folder) -> Result<u64, OpenError> {
    let mut bytes = 0;
    for first in folder.numbered(LOG)? {
        let file = folder.at(&numbered_name(LOG, first));
        // An unreadable file is reported when its entries are read.
        let size = folder.disk().read(&file).and_then(|file| file.metadata());
        bytes += size.map_or(0, |size| size.len());
    }
    Ok(bytes)
}

/// Loads a snapshot, its sections in parallel.
fn load(snapshot: &Snapshot, shards: &LoadingShards, progress: &Progress) -> Result<(), OpenError> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let sections = snapshot.sections();
    let work = || -> Result<(), OpenError> {
        loop {
            // Relaxed: the numbers must only differ.
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(section) = sections.get(number) else { return Ok(()) };
            shards.reserve(section.database, section.slots.clone(), section.entries as usize);
            let mut bytes = 0;
            snapshot.read_section(number, &mut |key, ends, value| {
                shards.load_into(section.database, key, ends, value);
                bytes += (key.len() + value.bytes().len()) as u64;
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
        others
            .into_iter()
            .fold(own, |all, one| all.and(one.join().expect("loading does not panic")))
    })
}
