//! Watches: streams of the changes to keys with a prefix.
//!
//! A thread that makes a change puts its log entry into each watcher's queue under the locks of the changed shards, so
//! changes of one key arrive in their order. Queues are bounded, and no writer waits for a watcher: a watcher that lags
//! behind loses its queue and gets an error.

use crate::bounds::{WATCH_QUEUE, WATCH_QUEUE_BYTES};
use crate::gauge::Gauge;
use crate::lock::lock;
use crate::log::change::{LoggedChanges, LoggedOp};
use crate::log::{Log, LogError, Lsn};
use std::error::Error;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type QueuedEntry = (Lsn, Arc<[u8]>);

/// One watcher's queue, as writers see it.
struct WatchQueue {
    entries: SyncSender<QueuedEntry>,
    /// Bytes of the queued entries.
    bytes: Arc<Gauge>,
}

impl WatchQueue {
    /// Queues an entry. Returns false if the watcher lags behind or is gone.
    fn push(&self, entry: Lsn, changes: &Arc<[u8]>) -> bool {
        let before = self.bytes.add(changes.len() as u64) as usize;
        // A single entry may be longer than the limit, so an empty queue takes any.
        (before == 0 || before + changes.len() <= WATCH_QUEUE_BYTES)
            && self.entries.try_send((entry, Arc::clone(changes))).is_ok()
    }
}

/// All watchers of a database.
#[derive(Default)]
pub(crate) struct Watchers {
    /// The number of queues, so that writers take no lock if there is none. A watch that begins before a change is
    /// ordered before it by other means, so the thread that makes the change sees the number.
    number: Gauge,
    queues: Mutex<Vec<WatchQueue>>,
}

impl Watchers {
    /// Queues an entry for all watchers.
    #[inline]
    pub(crate) fn push(&self, entry: Lsn, changes: &[u8]) {
        if self.number.get() != 0 {
            self.push_to_all(entry, changes);
        }
    }

    #[cold]
    fn push_to_all(&self, entry: Lsn, changes: &[u8]) {
        let changes: Arc<[u8]> = changes.into();
        let mut queues = lock(&self.queues);
        // Dropping a queue disconnects its watcher, which gets an error after the entries that it has.
        queues.retain(|queue| queue.push(entry, &changes));
        self.number.set(queues.len() as u64);
    }

    pub(crate) fn watch(&self, database: u16, prefix: &[u8], log: Arc<dyn Log>) -> Watch {
        let (queue, entries) = sync_channel(WATCH_QUEUE);
        let bytes: Arc<Gauge> = Arc::default();
        let mut queues = lock(&self.queues);
        queues.push(WatchQueue { entries: queue, bytes: Arc::clone(&bytes) });
        self.number.set(queues.len() as u64);
        let (prefix, events) = (prefix.to_vec(), Vec::new().into_iter());
        Watch { entries, bytes, database, prefix, log, events }
    }
}

/// A change that a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The log entry of the change.
    pub lsn: Lsn,
    /// The kind of the change.
    pub kind: EventKind,
}

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The key's value or expiration was changed.
    Changed(Vec<u8>),
    /// The key was removed. Keys that expire or are evicted are not reported.
    Removed(Vec<u8>),
    /// All keys of the database were removed.
    Cleared,
}

/// A stream of changes, made by [`Db::watch`](crate::Db::watch).
pub struct Watch {
    entries: Receiver<QueuedEntry>,
    /// Bytes of the queued entries.
    bytes: Arc<Gauge>,
    /// The database that is watched.
    database: u16,
    prefix: Vec<u8>,
    log: Arc<dyn Log>,
    events: std::vec::IntoIter<Event>,
}

impl Watch {
    /// Returns the next change once it is as durable as an acknowledged one; `None` if there is none within `timeout`.
    /// Blocks.
    ///
    /// # Errors
    /// [`WatchError::Lagged`] if more than 16,384 entries, or 64 MiB of them, were waiting: some changes are lost, and
    /// the watch is over. [`WatchError::Swapped`] if the database was swapped with another one; then it is over, too.
    /// [`WatchError::Log`] if the log has failed.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, WatchError> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(Some(event));
            }
            match self.entries.recv_timeout(timeout) {
                Ok((entry, changes)) => {
                    self.bytes.sub(changes.len() as u64);
                    match self.log.wait(entry) {
                        Ok(()) => {
                            let all = events(entry, self.database, &changes, &self.prefix)?;
                            self.events = all.into_iter();
                        }
                        // The change was rolled back before it was acknowledged to anyone.
                        Err(LogError::RolledBack) => {}
                        Err(why) => return Err(WatchError::Log(why)),
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(WatchError::Lagged),
            }
        }
    }
}

/// Returns the events of an entry for keys of a database with this prefix.
fn events(lsn: Lsn, own: u16, changes: &[u8], prefix: &[u8]) -> Result<Vec<Event>, WatchError> {
    // The database itself has encoded these bytes, so decoding does not fail.
    let changes = LoggedChanges::new(changes).map_while(Result::ok);
    let (mut events, mut database) = (Vec::new(), 0);
    let mut report = |key: &[u8], kind: fn(Vec<u8>) -> EventKind| {
        if key.starts_with(prefix) {
            events.push(Event { lsn, kind: kind(key.to_vec()) });
        }
    };
    for change in changes {
        match change {
            LoggedOp::Database(number) => database = number,
            LoggedOp::Swap(one, other) if one == own || other == own => {
                return Err(WatchError::Swapped);
            }
            LoggedOp::Move(key, to) if to == own => report(key, EventKind::Changed),
            LoggedOp::Change(..)
            | LoggedOp::Rename(..)
            | LoggedOp::Move(..)
            | LoggedOp::Clear(..)
                if database != own => {}
            LoggedOp::Move(key, _) => report(key, EventKind::Removed),
            LoggedOp::Change(key, crate::request::Change::Delete) => {
                report(key, EventKind::Removed);
            }
            LoggedOp::Change(key, _) => report(key, EventKind::Changed),
            LoggedOp::Rename(from, to) => {
                report(to, EventKind::Changed);
                report(from, EventKind::Removed);
            }
            LoggedOp::Clear(..) => report(prefix, |_| EventKind::Cleared),
            // Expired keys are not reported. The others change no key.
            LoggedOp::Clock(_)
            | LoggedOp::Begin(..)
            | LoggedOp::Watermark(_)
            | LoggedOp::Batch(_)
            | LoggedOp::Swap(..)
            | LoggedOp::Out(..)
            | LoggedOp::Own(..) => {}
        }
    }
    // The entry says so for each shard that had keys.
    events.dedup_by(|next, one| one.kind == EventKind::Cleared && next.kind == one.kind);
    Ok(events)
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why a watch is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchError {
    /// The watcher lagged behind, or the database is closed.
    Lagged,
    /// The database was swapped with another one, so all of its keys may be others.
    Swapped,
    /// The log has failed.
    Log(LogError),
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged => f.write_str("the watch lagged behind and lost changes"),
            Self::Swapped => f.write_str("the database was swapped with another"),
            Self::Log(why) => why.fmt(f),
        }
    }
}

impl Error for WatchError {}
