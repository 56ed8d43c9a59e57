//! Telling of changes, to whoever watches.
//!
//! Whoever makes a change hands its entry of the log, under the locks of the shards that it changed, to each watcher's
//! queue; so changes of one key are told in their order. Queues are bounded, and nobody waits for a watcher: one that
//! falls behind is told so, and nothing more.

use crate::limits::{WATCH_QUEUE, WATCH_QUEUE_BYTES};
use crate::log::change::{Changes, LoggedOp};
use crate::log::{Log, LogError, Lsn};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Entry = (Lsn, Arc<[u8]>);

/// Where entries are queued for one watcher.
struct Queue {
    entries: SyncSender<Entry>,
    /// Bytes of the entries in it.
    bytes: Arc<AtomicUsize>,
}

impl Queue {
    /// Whether the watcher will be told: not if it has fallen behind, or is gone.
    fn tell(&self, entry: Lsn, changes: &Arc<[u8]>) -> bool {
        // Relaxed: a figure by itself.
        let before = self.bytes.fetch_add(changes.len(), Ordering::Relaxed);
        // A single entry may be longer than all that may wait.
        (before == 0 || before + changes.len() <= WATCH_QUEUE_BYTES)
            && self.entries.try_send((entry, Arc::clone(changes))).is_ok()
    }
}

/// Who watches.
#[derive(Default)]
pub(crate) struct Watchers {
    /// How many, so that those who make changes need no lock where there is none.
    number: AtomicUsize,
    queues: Mutex<Vec<Queue>>,
}

impl Watchers {
    /// Hands an entry to all.
    #[inline]
    pub(crate) fn tell(&self, entry: Lsn, changes: &[u8]) {
        // Relaxed: who began to watch before this change was begun has synchronized with its thread by whatever says
        // so, and is seen.
        if self.number.load(Ordering::Relaxed) != 0 {
            self.tell_all(entry, changes);
        }
    }

    #[cold]
    fn tell_all(&self, entry: Lsn, changes: &[u8]) {
        let changes: Arc<[u8]> = changes.into();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // A queue that has no room ends: the watcher comes to its end and is told.
        queues.retain(|queue| queue.tell(entry, &changes));
        // Relaxed: as in `tell`; changed under the lock only.
        self.number.store(queues.len(), Ordering::Relaxed);
    }

    pub(crate) fn watch(&self, prefix: &[u8], log: Arc<dyn Log>) -> Watch {
        let (queue, entries) = sync_channel(WATCH_QUEUE);
        let bytes: Arc<AtomicUsize> = Arc::default();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.push(Queue { entries: queue, bytes: Arc::clone(&bytes) });
        // Relaxed: as above.
        self.number.store(queues.len(), Ordering::Relaxed);
        Watch { entries, bytes, prefix: prefix.to_vec(), log, events: Vec::new().into_iter() }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The log's entry that made it.
    pub lsn: Lsn,
    /// What was changed.
    pub kind: EventKind,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The key's value, or until when it lives.
    Changed(Vec<u8>),
    /// The key was removed. Keys that end by themselves, or are evicted, are not told.
    Removed(Vec<u8>),
    /// All keys were removed.
    Cleared,
}

/// Tells of changes, as [`Db::watch`](crate::Db::watch) began it.
pub struct Watch {
    entries: Receiver<Entry>,
    /// Bytes of the entries that wait.
    bytes: Arc<AtomicUsize>,
    prefix: Vec<u8>,
    log: Arc<dyn Log>,
    events: std::vec::IntoIter<Event>,
}

impl Watch {
    /// The next change, once it is as safe as an acknowledgement; none within `timeout`. Blocks.
    ///
    /// # Errors
    /// [`WatchError::Lagged`] when more than sixteen thousand changes, or 64 MiB of them, have waited to be told: some
    /// are lost, and no more will come. [`WatchError::Log`] when the log has failed.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, WatchError> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(Some(event));
            }
            match self.entries.recv_timeout(timeout) {
                Ok((entry, changes)) => {
                    // Relaxed: as in `tell`.
                    self.bytes.fetch_sub(changes.len(), Ordering::Relaxed);
                    match self.log.wait(entry) {
                        Ok(()) => self.events = events(entry, &changes, &self.prefix).into_iter(),
                        // It was undone before anybody was told.
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

/// What an entry tells of keys that begin so.
fn events(lsn: Lsn, changes: &[u8], prefix: &[u8]) -> Vec<Event> {
    // The database has made these bytes: there is no other kind.
    let changes = Changes::new(changes).map_while(Result::ok);
    let mut events = Vec::new();
    let mut event = |key: &[u8], kind: fn(Vec<u8>) -> EventKind| {
        if key.starts_with(prefix) {
            events.push(Event { lsn, kind: kind(key.to_vec()) });
        }
    };
    for change in changes {
        match change {
            LoggedOp::Change(key, crate::request::Change::Delete) => event(key, EventKind::Removed),
            LoggedOp::Change(key, _) => event(key, EventKind::Changed),
            LoggedOp::Rename(from, to) => {
                event(to, EventKind::Changed);
                event(from, EventKind::Removed);
            }
            LoggedOp::Clear(..) => event(prefix, |_| EventKind::Cleared),
            // Keys that end by themselves are not told.
            LoggedOp::Clock(_) => {}
        }
    }
    // The log tells it of each shard that had something.
    events.dedup_by(|next, one| one.kind == EventKind::Cleared && next.kind == one.kind);
    events
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why a watch ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchError {
    /// It has fallen behind, or the database is gone.
    Lagged,
    /// The log has failed.
    Log(LogError),
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged => f.write_str("the watch has fallen behind"),
            Self::Log(why) => why.fmt(f),
        }
    }
}

impl Error for WatchError {}
