//! The interface between the database and its log.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The number of a log entry (log sequence number). The first entry is 1.
pub type Lsn = u64;

/// When the log is synced to the disk (`fdatasync`), as Redis's `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Before a change is acknowledged: acknowledged changes survive a power failure.
    Always,
    /// Once a second: acknowledged changes survive a crash of the process. A power failure loses up to the last two
    /// seconds.
    #[default]
    EverySecond,
    /// Whenever the system writes its page cache: acknowledged changes survive a crash of the process.
    Never,
}

/// A write-ahead log. Any number of threads may call all methods.
///
/// An entry is appended under the locks of the shards that it changes, so the log has the changes of one key in the
/// order in which they were made. `append` works in memory only. `commit` is called once for many entries, and without
/// locks.
///
/// An entry is *safe* once it may be acknowledged under the policy: written, or written and synced ([`Fsync`]).
pub trait Log: Send + Sync {
    /// Appends an entry: the time at which it is applied, and its changes as bytes. Does no I/O.
    ///
    /// Accepts entries also while the disk is full; they are rolled back. A thread that is about to change something
    /// calls [`writable`](Self::writable) first, under the locks of the shards that it changes.
    ///
    /// # Errors
    /// If the log is closed or has failed, or the changes exceed the limit of an entry.
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError>;

    /// Whether the log can be written. If not, no change may begin.
    fn writable(&self) -> bool;

    /// Sets the callback for the case that the log cannot be written any more.
    ///
    /// The log calls it from a thread that holds no lock, before the callbacks of [`on_progress`](Self::on_progress).
    /// The callback takes the locks of all shards, calls [`roll_back`](Self::roll_back), and undoes the changes that
    /// are not safe. Without a callback, a log whose disk is full keeps its entries until there is room.
    fn on_failure(&self, failed: Box<dyn Fn() + Send + Sync>) {
        drop(failed);
    }

    /// Discards all entries that are not safe, if the log cannot be written. From then on [`commit`](Self::commit)
    /// returns [`LogError::RolledBack`] for them.
    ///
    /// The caller holds the locks of all shards, so nothing is appended meanwhile. Under these locks it may still write
    /// and sync a file.
    fn roll_back(&self) -> Option<Rollback> {
        None
    }

    /// Returns the number of the last entry that was appended.
    fn last(&self) -> Lsn;

    /// Makes all entries up to `lsn` safe, or requests it. Returns whether they are safe already.
    ///
    /// Under `everysec` and `no` it writes the file. Under `always` another thread writes and syncs, and the callbacks
    /// of [`on_progress`](Self::on_progress) report it; this method never waits for a sync. `Lsn::MAX` stands for an
    /// entry that could not be appended.
    ///
    /// # Errors
    /// If the entries will never be safe. Entries before `lsn` that were rolled back do not count if `lsn` was appended
    /// later.
    fn commit(&self, lsn: Lsn) -> Result<bool, LogError>;

    /// As `commit`, but waits until the entries are safe.
    ///
    /// # Errors
    /// If they will never be.
    fn wait(&self, lsn: Lsn) -> Result<(), LogError>;

    /// Returns the number of the last entry that is safe.
    fn safe(&self) -> Lsn;

    /// Adds a callback that another thread calls whenever `safe` has grown, or the log has failed. It must only query
    /// the log.
    fn on_progress(&self, told: Box<dyn Fn() + Send + Sync>);

    /// Begins a new segment and returns the number of its first entry. The segments before it can be removed once a
    /// snapshot contains their entries.
    ///
    /// # Errors
    /// If the segment cannot be created. The log continues in the old one.
    fn rotate(&self) -> Result<Lsn, LogError>;

    /// Removes the segments all of whose entries are before `first`.
    ///
    /// # Errors
    /// If a segment cannot be removed. Nothing is lost by that.
    fn drop_before(&self, first: Lsn) -> Result<(), LogError>;

    /// Writes and syncs all entries that were appended before the call, under any policy.
    ///
    /// A snapshot needs this before it is finished: it may contain changes whose entries are in the log's memory only.
    ///
    /// # Errors
    /// If that fails.
    fn sync(&self) -> Result<(), LogError>;

    /// Returns the size of the log's files in bytes.
    fn bytes(&self) -> u64;

    /// Writes and syncs all entries, and rejects further ones.
    ///
    /// # Errors
    /// If that fails.
    fn close(&self) -> Result<(), LogError>;
}

/// The outcome of [`Log::roll_back`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The last entry that is safe. The entries after it were discarded.
    pub safe: Lsn,
    /// The entry that stands for the rollback: safe, and without changes. Reads after the rollback are as of this
    /// entry.
    pub mark: Lsn,
}

/// Why the log rejected an operation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LogError {
    /// A write failed. The log retries it.
    Write(Arc<io::Error>),
    /// `fdatasync` failed. Nobody can know what reached the disk, so the log rejects changes until the database is
    /// opened again.
    Sync(Arc<io::Error>),
    /// This segment was removed or replaced, so recovery would not find what is written to it. The log rejects changes
    /// until the database is opened again.
    Gone(PathBuf),
    /// The change was undone because the log could not be written, or a change of the same request was.
    RolledBack,
    /// The log was closed.
    Closed,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(why) => write!(f, "the log cannot be written: {why}"),
            Self::Sync(why) => write!(f, "the log cannot be synced to the disk: {why}"),
            Self::Gone(file) => {
                write!(f, "the log segment {} was removed or replaced", file.display())
            }
            Self::RolledBack => f.write_str("the change was undone: the log cannot be written"),
            Self::Closed => f.write_str("the log is closed"),
        }
    }
}

impl Error for LogError {}
