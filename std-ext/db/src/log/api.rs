//! What the database needs of a log.

use crate::log::error::LogError;

/// The number of an entry of the log. The first has 1.
pub type Lsn = u64;

/// When what was written to the log is forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Before a change is acknowledged: what is acknowledged survives the loss of power.
    Always,
    /// Once a second: what is acknowledged survives the death of the process; the loss of power costs the last second
    /// or two.
    #[default]
    EverySecond,
    /// When the system likes: survives the death of the process.
    Never,
}

/// What the database asks of a log. All of it may be called by many threads.
///
/// An entry is appended under the locks of the shards that it changes, so that entries that change one key stand in
/// the log in the order in which they were made. `append` only notes it in memory; `commit` is called once for many,
/// without locks.
pub trait Log: Send + Sync {
    /// Notes an entry behind all others: the time at which it is applied, and its changes as bytes. Touches no file.
    /// Where the disk is full it is taken too, and rolled back with the others. A thread that is about to change
    /// something asks [`writable`](Self::writable) before, under the locks of the shards that it changes.
    ///
    /// # Errors
    /// When nothing will be written any more, or the changes are longer than an entry can be.
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError>;

    /// Whether the log can be written. When not, no change is to be begun.
    fn writable(&self) -> bool;

    /// Has `failed` called when the log cannot be written any more, by a thread that holds no lock and before
    /// [`on_progress`](Self::on_progress) is told: it takes the locks of all shards, calls
    /// [`roll_back`](Self::roll_back), and undoes what is not safe. Without it, a log whose disk is full keeps its
    /// entries until there is room.
    fn on_failure(&self, failed: Box<dyn Fn() + Send + Sync>) {
        drop(failed);
    }

    /// Forgets all entries that are not safe, if the log cannot be written. From then on, [`commit`](Self::commit)
    /// answers [`LogError::RolledBack`] for them. The caller holds the locks of all shards, so nothing is appended
    /// meanwhile. It may touch files, although shards are locked.
    fn roll_back(&self) -> Option<Rollback> {
        None
    }

    /// Number of the last entry that was appended.
    fn last(&self) -> Lsn;

    /// Sees to it that all entries up to `lsn` become as safe as the policy promises before an acknowledgement; whether
    /// they already are. `Lsn::MAX` stands for one that could not be appended. Writes files (`everysec`, `no`), but
    /// does not wait for a disk: under `always` another thread does, and `told` is called when there is more to
    /// acknowledge.
    ///
    /// # Errors
    /// When they will never be. Entries before `lsn` that were rolled back do not count, if `lsn` was appended later.
    fn commit(&self, lsn: Lsn) -> Result<bool, LogError>;

    /// As `commit`, but waits until they are.
    ///
    /// # Errors
    /// When they will never be.
    fn wait(&self, lsn: Lsn) -> Result<(), LogError>;

    /// Number of the last entry that may be acknowledged.
    fn safe(&self) -> Lsn;

    /// Has `told` called, by another thread, whenever `safe` has grown or the log has failed. It must not call the log
    /// to do more than ask.
    fn on_progress(&self, told: Box<dyn Fn() + Send + Sync>);

    /// Begins a new part of the log, so that the parts before can be dropped once a snapshot holds what is in them;
    /// the number of its first entry.
    ///
    /// # Errors
    /// When it cannot be made; the old one goes on.
    fn rotate(&self) -> Result<Lsn, LogError>;

    /// Drops parts all of whose entries are before `first`.
    ///
    /// # Errors
    /// When they cannot be removed, which loses nothing.
    fn drop_before(&self, first: Lsn) -> Result<(), LogError>;

    /// Forces to the disk all that was appended before, whatever the policy. A snapshot is not finished without: it may
    /// hold what only the log's memory has.
    ///
    /// # Errors
    /// When that cannot be done.
    fn sync(&self) -> Result<(), LogError>;

    /// Bytes in the log's files.
    fn bytes(&self) -> u64;

    /// Writes and forces all to the disk, and takes nothing more.
    ///
    /// # Errors
    /// When that cannot be done.
    fn close(&self) -> Result<(), LogError>;
}

/// What a log forgot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The last entry that is safe. All behind it are forgotten.
    pub safe: Lsn,
    /// The entry that stands for the rollback: safe, and without changes. What is seen afterwards is of this entry.
    pub mark: Lsn,
}
