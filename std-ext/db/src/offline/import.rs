//! `hedgerow-db import`.

use super::folder;
use super::item::{ImportedKey, Item};
use super::replies::Executor;
use super::report::{ReportProgress, output_error};
use super::sources::{Selection, Sources, name_twice};
use super::summary::Summary;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::log::Fsync;
use hedgerow_db_engine::options::MAX_DATABASES;
use hedgerow_db_engine::request::{
    Answer, Change, ExpireCondition, Expiry, HashQuery, ListQuery, Query, Request, RequestError,
    SetQuery, SortedSetQuery, StreamQuery, ValueType,
};
use hedgerow_db_engine::{Db, Options, Session};
use hedgerow_db_redis::config::DataInvocation;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys are stored when this many wait, or this many bytes.
const KEYS: usize = 1000;
const BYTES: usize = 4 << 20;
/// The time at which an AOF is imported: no key has expired then. A later command may give a key a longer life.
const BEFORE_ALL_KEYS: u64 = 1;

/// Imports files into a directory. Returns whether no command failed that should not.
///
/// # Errors
/// If the files are damaged or contain something that cannot be stored, in which case nothing is; or if the directory
/// cannot be written.
pub(super) fn run(
    asked: &DataInvocation,
    out: &mut dyn Write,
    progress: &mut ReportProgress<'_>,
) -> Result<bool, String> {
    let sources = Sources::find(&asked.file)?;
    let selected = (&sources, asked.database);
    check_sources(asked, selected, out, progress, &|| false)?;
    let mut store = ImportStore::open(asked, sources.is_aof())?;
    let mut summary = store_sources(selected, &mut store, progress, &|| false)?;
    store.finish(&mut summary)?;
    write_summary(asked, &summary, out)
}

/// Files, and the database that is imported as database 0. Without one, all are, under their numbers.
type Selected<'a> = (&'a Sources, Option<u64>);

/// Reads files, to find what cannot be stored.
///
/// # Errors
/// If there is something, or damage; or if `stop` returns true.
pub(super) fn check_sources(
    asked: &DataInvocation,
    (sources, database): Selected<'_>,
    out: &mut dyn Write,
    progress: &mut ReportProgress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    let selection = Selection { database, now: TimeSource::System.now() };
    let (mut found, mut read) = (Summary::default(), 0);
    sources.read(selection, &mut found, &mut |item| {
        read += u64::from(ends_key(&item));
        progress.keys("checking", read);
        if let Item::Key(key) = item
            && database.is_none()
        {
            number_of(key.database)?;
        }
        if stop() { Err("the import was stopped; nothing was imported".to_owned()) } else { Ok(()) }
    })?;
    let Some(why) = found.refusal(asked) else { return Ok(()) };
    if asked.json {
        out.write_all(found.json().as_bytes()).map_err(|why| output_error(&why))?;
    }
    Err(why)
}

/// Stores files. Returns what was stored.
///
/// # Errors
/// If the database cannot be written, or `stop` returns true.
pub(super) fn store_sources(
    (sources, database): Selected<'_>,
    store: &mut ImportStore,
    progress: &mut ReportProgress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<Summary, String> {
    let selection = Selection { database, now: TimeSource::System.now() };
    let (mut summary, mut stored) = (Summary::default(), 0);
    sources.read(selection, &mut summary, &mut |item| {
        stored += u64::from(ends_key(&item));
        progress.keys("importing", stored);
        if stop() {
            return Err("the import was stopped; the directory has some of the keys".to_owned());
        }
        store.take(item)
    })?;
    Ok(summary)
}

/// Writes the result. Returns whether no command failed that should not.
pub(super) fn write_summary(
    asked: &DataInvocation,
    summary: &Summary,
    out: &mut dyn Write,
) -> Result<bool, String> {
    let text = if asked.json { summary.json() } else { summary.text() };
    out.write_all(text.as_bytes()).map_err(|why| output_error(&why))?;
    Ok(summary.failed.is_empty() || asked.skip_other_types)
}

/// The database that is filled.
pub(super) struct ImportStore {
    db: Db,
    session: Session,
    /// Whether entries keep the number of their database. Otherwise all are stored in database 0.
    keeps_databases: bool,
    /// The database of the entries that wait.
    database: u16,
    entries: Vec<ImportedKey>,
    bytes: usize,
    executor: Executor,
    failed: Summary,
    /// The time of the database, if it stands still until all commands are executed.
    time: Option<Arc<AtomicU64>>,
}

impl ImportStore {
    /// Opens the directory. If commands follow the keys, the clock stands still before all expirations.
    ///
    /// # Errors
    /// If it cannot be opened, or has keys that may not be replaced.
    pub(super) fn open(asked: &DataInvocation, has_commands: bool) -> Result<Self, String> {
        let dir = asked.dir.display();
        if folder::is_node(&asked.dir) {
            return Err(format!(
                "{dir} is the directory of a cluster node; send the keys to the cluster instead, with `hedgerow-db \
                 dump` and redis-cli -c"
            ));
        }
        let mut options = Options::at(&asked.dir);
        // The snapshot at the end is synced.
        (options.fsync, options.snapshot_after) = (Fsync::Never, 0);
        let time = has_commands.then(|| Arc::new(AtomicU64::new(BEFORE_ALL_KEYS)));
        if let Some(time) = &time {
            options.time = TimeSource::Manual(Arc::clone(time));
        }
        // All databases of Redis find a place.
        options.databases = MAX_DATABASES;
        if asked.live.is_some() {
            // It may last, so the log is replaced by a snapshot now and then.
            options.snapshot_after = Options::in_memory().snapshot_after;
        }
        let db = Db::open(options).map_err(|why| why.to_string())?;
        // Keys of other databases count, too.
        let keys = db.stats().keys;
        if keys != 0 && !asked.replace {
            return Err(format!("{dir} already has {keys} keys; --replace imports anyway"));
        }
        let (session, executor) = (db.session(), Executor::new());
        Ok(Self {
            db,
            session,
            keeps_databases: asked.database.is_none(),
            database: 0,
            entries: Vec::new(),
            bytes: 0,
            executor,
            failed: Summary::default(),
            // A running Redis decides itself when a key expires, to the end.
            time: time.filter(|_| asked.live.is_none()),
        })
    }

    pub(super) fn take(&mut self, item: Item<'_>) -> Result<(), String> {
        match item {
            Item::Key(entry) => {
                if self.keeps_databases && entry.database != u64::from(self.database) {
                    self.store_entries()?;
                    self.database = number_of(entry.database)?;
                }
                self.bytes += entry.key.len() + entry.value.len();
                self.entries.push(entry);
                if self.entries.len() >= KEYS || self.bytes >= BYTES {
                    self.store_entries()?;
                }
            }
            Item::Command(name, bytes) => {
                self.store_entries()?;
                if self.executor.push(name, bytes) {
                    self.execute()?;
                }
            }
        }
        Ok(())
    }

    /// Executes the commands that wait.
    ///
    /// # Errors
    /// If the log fails.
    pub(super) fn execute(&mut self) -> Result<(), String> {
        self.store_entries()?;
        self.executor.execute(&self.db, &mut self.session, &mut self.failed.failed)
    }

    fn store_entries(&mut self) -> Result<(), String> {
        if self.entries.is_empty() {
            return Ok(());
        }
        // A command may have selected another one.
        self.session.select(self.database).map_err(|why| why.to_string())?;
        let (mut requests, mut lengths) = (Vec::with_capacity(self.entries.len()), Vec::new());
        for entry in &self.entries {
            add_requests(entry, &mut requests, &mut lengths);
        }
        let mut error: Option<RequestError> = None;
        let lsn = self.session.execute(&requests, &mut |number, answer| match answer {
            Answer::Error(why) => error = Some(why),
            Answer::Int(length) => {
                lengths.retain(|one| (one.request, one.length) != (number, length));
            }
            _ => {}
        });
        if let Some(why) = error {
            return Err(why.to_string());
        }
        if let Some(wrong) = lengths.first() {
            return Err(name_twice(wrong.value_type));
        }
        self.db.log().wait(lsn).map_err(|why| why.to_string())?;
        self.entries.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Returns the first command that failed, and its reply.
    pub(super) fn first_error(&self) -> Option<&str> {
        self.executor.first_error.as_deref()
    }

    /// Stores the rest, and waits until all of it is durable.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub(super) fn finish(mut self, summary: &mut Summary) -> Result<(), String> {
        self.execute()?;
        summary.failed = self.failed.failed;
        if let Some(time) = self.time {
            let now = TimeSource::System.now();
            summary.expired += self.db.state().count_expired_by(now);
            // The snapshot leaves out what has expired by its time. Relaxed: a number that orders nothing.
            time.store(now, Ordering::Relaxed);
        }
        self.db.snapshot().map_err(|why| why.to_string())?;
        self.db.close().map_err(|why| why.to_string())
    }
}

/// Returns the number of a database of Redis.
fn number_of(database: u64) -> Result<u16, String> {
    let number = u16::try_from(database).ok().filter(|number| *number < MAX_DATABASES);
    number.ok_or_else(|| {
        format!(
            "database {database} of Redis cannot be imported; the highest number is {}",
            MAX_DATABASES - 1
        )
    })
}

/// Returns whether a key is complete with this item.
fn ends_key(item: &Item<'_>) -> bool {
    !matches!(item, Item::Key(ImportedKey { ends: None, .. }))
}

/// The length that a value of several parts has if each name came once.
struct ExpectedLength {
    /// The number of the request that asks for it.
    request: usize,
    length: i64,
    value_type: ValueType,
}

/// Adds the requests that store a key, or a part of it.
fn add_requests<'a>(
    entry: &'a ImportedKey,
    requests: &mut Vec<Request<'a>>,
    lengths: &mut Vec<ExpectedLength>,
) {
    let (key, value, is_last) = (&entry.key[..], entry.value.stored(), entry.ends.is_some());
    // The last part brings the expiration: a key that expired between two parts would come back, and stay.
    let expiry = entry.expires_at.filter(|_| is_last).map_or(Expiry::Never, Expiry::At);
    let change = Change::Restore { value, expiry, replace: true, usage: None };
    requests.push(Request::Change(key, change));
    if let Some(entries) = entry.ends.filter(|_| value.continues()) {
        let (value_type, length) = (value.value_type(), i64::try_from(entries).unwrap_or(i64::MAX));
        lengths.push(ExpectedLength { request: requests.len(), length, value_type });
        let query = match value_type {
            ValueType::Hash | ValueType::String => Query::Hash(HashQuery::Length),
            ValueType::Stream => Query::Stream(StreamQuery::Length),
            ValueType::List => Query::List(ListQuery::Length),
            ValueType::Set => Query::Members(SetQuery::Length),
            ValueType::SortedSet => Query::SortedSet(SortedSetQuery::Length),
        };
        requests.push(Request::Read(key, query));
        if entry.expires_at.is_some() {
            let condition = ExpireCondition::Always;
            requests.push(Request::Change(key, Change::Expire { expiry, condition, get: false }));
        }
    }
}
