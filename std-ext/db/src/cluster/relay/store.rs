//! The relay itself: appends batches to the folder's log, and forces them to the disk.
//!
//! `push` copies a batch to the log's memory. The relay's thread writes it, so a slow disk delays no acknowledgement.
//! The bytes that wait are bounded: beyond [`MOST_BACKLOG`] `push` waits for the disk.
//!
//! # Failures
//! While the disk is full, the log keeps what was appended and tries again; the relay continues once there is room.
//! After a failed `fdatasync` it never does: `push` and `force` report it, and the node is a member without a disk
//! until it is restarted.
//!
//! # Lock order
//! `pushed`, `pins`; then the log's locks. A thread that waits for `progress` holds only that.

use super::error::RelayError;
use super::position::{Durable, Entry, Mark, Position, Seq};
use super::records::{self, Records};
use crate::lock::lock;
use crate::log::change;
use crate::log::file::FileLog;
use crate::log::frame::ENTRY_HEADER;
use crate::log::{Log, LogError, Lsn};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Bytes that may wait for the disk. `push` waits while there are more.
pub const MOST_BACKLOG: u64 = 64 << 20;

/// The committed entries in the node's own folder.
pub struct Relay {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    log: Arc<FileLog>,
    pushed: Mutex<Pushed>,
    progress: Mutex<Progress>,
    changed: Condvar,
    pins: Mutex<Pins>,
}

/// What was appended. Its lock serializes `push`.
struct Pushed {
    position: Position,
    /// The changes of the first entry of a batch, with the mark in front.
    marked: Vec<u8>,
}

/// How far the relay's thread has come.
#[derive(Default)]
struct Progress {
    /// The last entry that was appended, and the bytes of all entries up to it.
    appended: Lsn,
    appended_bytes: u64,
    /// The same, for those that the log has written.
    written: Lsn,
    written_bytes: u64,
    failed: Option<LogError>,
    stopping: bool,
}

/// The first entries that readers still need, with the number of readers of each.
#[derive(Default)]
struct Pins {
    firsts: BTreeMap<Lsn, usize>,
}

/// Whether the node's own disk keeps what the group commits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Condition {
    /// It does.
    Good,
    /// The last write failed, as on a full disk. The relay tries again.
    Full(LogError),
    /// It never will again: the node must be restarted.
    Failed(LogError),
}

impl Relay {
    /// Makes a relay of the log of an opened folder. `met` is the last mark that recovery has met; without one, the
    /// relay searches the segments, because recovery does not read entries that the snapshot contains.
    ///
    /// # Errors
    /// If a segment cannot be read, or the thread cannot be started.
    pub fn new(log: Arc<FileLog>, met: Option<Mark>) -> Result<Self, RelayError> {
        let mark = match met {
            Some(mark) => Some(mark),
            None => records::last_mark(log.folder(), log.safe())?,
        };
        let last = log.last();
        let progress = Progress { appended: last, written: last, ..Progress::default() };
        let shared = Arc::new(Shared {
            log,
            pushed: Mutex::new(Pushed {
                position: Position::recovered(mark, last),
                marked: Vec::new(),
            }),
            progress: Mutex::new(progress),
            changed: Condvar::new(),
            pins: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hedgerow-relay".into());
        let started = thread.spawn(move || of_thread.run());
        let thread = started.map_err(|why| LogError::Write(Arc::new(why)))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Appends the entries of a batch, and skips those that the relay has. `last_seq` is the number of the batch, or of
    /// the last part if the entry was too large for one.
    ///
    /// It does no I/O, but waits if too many bytes wait for the disk.
    ///
    /// # Errors
    /// [`RelayError::Gap`] if an entry is missing before these, and [`RelayError::Log`] if the disk has failed.
    pub fn push(
        &self,
        mark: &Mark,
        last_seq: Seq,
        entries: &[Entry<'_>],
    ) -> Result<(), RelayError> {
        let shared = &*self.shared;
        shared.wait_for_room()?;
        let mut pushed = lock(&shared.pushed);
        pushed.check(mark, last_seq, entries)?;
        let mut bytes = 0;
        for entry in entries.iter().filter(|entry| entry.lsn > pushed.position.lsn) {
            let Pushed { marked, .. } = &mut *pushed;
            let changes = if entry.lsn == mark.first_lsn {
                marked.clear();
                change::batch(mark.seq, mark.epoch, &mark.chain_before, marked);
                marked.extend_from_slice(entry.changes);
                &marked[..]
            } else {
                entry.changes
            };
            bytes += (ENTRY_HEADER + changes.len()) as u64;
            let lsn = shared.log.append(entry.time, changes)?;
            debug_assert_eq!(lsn, entry.lsn, "only the relay appends to its log");
        }
        todo!("update the position")
    }

    /// Returns the place that the relay has reached, including what is not written yet.
    pub fn position(&self) -> Position {
        lock(&self.shared.pushed).position
    }

    /// Writes and syncs all that was pushed before the call. Returns what is on the disk then.
    ///
    /// # Errors
    /// If the disk has failed or is full. Then nothing new is durable.
    pub fn force(&self) -> Result<Durable, RelayError> {
        let Position { lsn, seq, .. } = self.position();
        self.shared.log.sync()?;
        Ok(Durable { lsn, seq })
    }

    /// Returns whether the disk keeps what the group commits.
    pub fn condition(&self) -> Condition {
        todo!()
    }

    /// Returns the bytes that wait for the disk.
    pub fn backlog(&self) -> u64 {
        todo!()
    }

    /// Returns the log in the folder.
    pub fn log(&self) -> &Arc<FileLog> {
        &self.shared.log
    }

    /// Removes the segments all of whose entries are before `first`, but none that a reader needs, and not the last
    /// mark.
    ///
    /// # Errors
    /// If a segment cannot be removed. Nothing is lost by that.
    pub fn drop_before(&self, first: Lsn) -> Result<(), LogError> {
        let _ = first;
        todo!()
    }

    /// Keeps all entries that are there until the result is dropped.
    pub fn pin(&self) -> Pin {
        todo!()
    }

    /// Returns a reader of the entries from `first` on. Drop it soon: it keeps the segments.
    ///
    /// # Errors
    /// [`RelayError::Trimmed`] if the entry was removed.
    pub fn read_from(&self, first: Lsn) -> Result<Records, RelayError> {
        let _ = first;
        todo!()
    }

    /// Writes and syncs all entries, and rejects further ones.
    ///
    /// # Errors
    /// If that fails.
    pub fn close(&self) -> Result<(), LogError> {
        todo!()
    }
}
