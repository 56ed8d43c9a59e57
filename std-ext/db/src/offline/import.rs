//! `hedgerow-db import`.

use super::folder;
use super::item::Item;
use super::replies::Executor;
use super::report::{Progress, output_error};
use super::sources::{Selection, Sources};
use super::summary::Summary;
use crate::clock::TimeSource;
use crate::config::DataInvocation;
use crate::log::Fsync;
use crate::rdb::Entry;
use crate::request::{Answer, Change, Expiry, Request, RequestError, SetCondition};
use crate::{Db, Options, Session};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    progress: &mut Progress<'_>,
) -> Result<bool, String> {
    let sources = Sources::find(&asked.file)?;
    let selection =
        Selection { database: asked.database.unwrap_or(0), now: TimeSource::System.now() };
    let (mut found, mut read) = (Summary::default(), 0);
    sources.read(selection, &mut found, &mut |_| {
        read += 1;
        progress.keys("checking", read);
        Ok(())
    })?;
    if let Some(why) = found.refusal(asked) {
        if asked.json {
            out.write_all(found.json().as_bytes()).map_err(|why| output_error(&why))?;
        }
        return Err(why);
    }
    let mut store = Store::open(asked, &sources)?;
    let mut summary = Summary::default();
    let mut stored = 0;
    sources.read(selection, &mut summary, &mut |item| {
        stored += 1;
        progress.keys("importing", stored);
        store.take(item)
    })?;
    store.finish(&mut summary)?;
    let text = if asked.json { summary.json() } else { summary.text() };
    out.write_all(text.as_bytes()).map_err(|why| output_error(&why))?;
    Ok(summary.failed.is_empty() || asked.skip_other_types)
}

/// The database that is filled.
struct Store {
    db: Db,
    session: Session,
    entries: Vec<Entry>,
    bytes: usize,
    executor: Executor,
    failed: Summary,
}

impl Store {
    fn open(asked: &DataInvocation, sources: &Sources) -> Result<Self, String> {
        let dir = asked.dir.display();
        if folder::is_node(&asked.dir) {
            return Err(format!(
                "{dir} is the directory of a node of a cluster; send the keys to the cluster instead, with \
                 `hedgerow-db dump` and redis-cli -c"
            ));
        }
        let mut options = Options::at(&asked.dir);
        // The snapshot at the end is synced.
        (options.fsync, options.snapshot_after) = (Fsync::Never, 0);
        if sources.is_aof() {
            options.time = TimeSource::Manual(Arc::new(AtomicU64::new(BEFORE_ALL_KEYS)));
        }
        let db = Db::open(options).map_err(|why| why.to_string())?;
        // Keys of other databases count, too.
        let keys = db.stats().keys;
        if keys != 0 && !asked.replace {
            return Err(format!("{dir} has {keys} keys; --replace imports into it"));
        }
        let (session, executor) = (db.session(), Executor::new());
        Ok(Self {
            db,
            session,
            entries: Vec::new(),
            bytes: 0,
            executor,
            failed: Summary::default(),
        })
    }

    fn take(&mut self, item: Item<'_>) -> Result<(), String> {
        match item {
            Item::Entry(entry) => {
                self.bytes += entry.key.len() + entry.value.as_ref().map_or(0, Vec::len);
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

    fn execute(&mut self) -> Result<(), String> {
        self.executor.execute(&self.db, &mut self.session, &mut self.failed.failed)
    }

    fn store_entries(&mut self) -> Result<(), String> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let requests: Vec<_> = self.entries.iter().filter_map(set).collect();
        let mut error: Option<RequestError> = None;
        let lsn = self.session.execute(&requests, &mut |_, answer| {
            if let Answer::Error(why) = answer {
                error = Some(why);
            }
        });
        if let Some(why) = error {
            return Err(why.to_string());
        }
        self.db.log().wait(lsn).map_err(|why| why.to_string())?;
        self.entries.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Stores the rest, and makes all of it safe.
    fn finish(mut self, summary: &mut Summary) -> Result<(), String> {
        self.store_entries()?;
        self.execute()?;
        summary.failed = self.failed.failed;
        self.db.snapshot().map_err(|why| why.to_string())?;
        self.db.close().map_err(|why| why.to_string())
    }
}

fn set(entry: &Entry) -> Option<Request<'_>> {
    let value = entry.value.as_ref().ok()?;
    let expiry = entry.expires_at.map_or(Expiry::Never, Expiry::At);
    let condition = SetCondition::Always;
    Some(Request::Change(&entry.key, Change::Set { value, condition, expiry, get: false }))
}
