//! The interface between the database and its log.

use crate::slot_set::SlotSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The number of a log entry (log sequence number). The first entry is 1.
pub type Lsn = u64;

/// The number of a term in which one node of a cluster appends to the log. One node alone has epoch 0 for ever.
pub type Epoch = u64;

/// The point in the log's history as of which some requests were evaluated, as Raft's read index. Raft records a
/// commit index; here it is a time, because an answer brings the number of its own entry. [`Log::read_index`] returns
/// it. Of two values with the same epoch, the later one compares greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadIndex {
    /// The log's epoch before the first request was evaluated.
    pub epoch: Epoch,
    /// A time after the last request was evaluated. Only the log knows its unit.
    pub time: u64,
}

/// Whether this node was still the primary when some answers were evaluated, so that they may leave.
///
/// Answers of a node that has been deposed, and does not know it, would show old values. The log checks the clock
/// against the node's lease or, if leases are not to be relied on, asks etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseCheck {
    /// They may leave, as soon as their log entry is committed.
    Passed,
    /// The log does not know yet.
    Pending,
    /// The epoch ended before the check passed. These answers must never leave, and their outcome is
    /// unknown to the client.
    Failed,
}

/// The length from which on a log in files begins a new entry instead of making one longer.
const LONG_ENTRY: usize = 16 << 20;

/// A write-ahead log. Any number of threads may call all methods.
///
/// An entry is appended under the locks of the shards that it changes, so the log has the changes of one key in the
/// order in which they were made. `append` works in memory only. `commit` is called once for many entries, and without
/// locks.
///
/// An entry is *committed* once it may be acknowledged under the policy: written, or written and synced
/// ([`Fsync`](crate::log::Fsync)).
pub trait Log: Send + Sync {
    /// Appends an entry: the time at which it is applied, and its changes as bytes. Does no I/O.
    ///
    /// Accepts entries also while the disk is full; they are rolled back. A thread that is about to change something
    /// calls [`writable`](Self::writable) first, under the locks of the shards that it changes.
    ///
    /// The same holds for the log of a cluster: a change that began while this node was the primary is appended, and
    /// raises `last`, even if the node was deposed meanwhile. Otherwise the state would contain a change of which
    /// nobody knows.
    ///
    /// # Errors
    /// If the log is closed or has failed, or the changes exceed the limit of an entry.
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError>;

    /// As [`append`](Self::append), for changes that keep `held` bytes of replaced values in memory until the entry is
    /// committed. A log that counts its [`backlog`](Self::backlog) adds them to it.
    ///
    /// # Errors
    /// As `append`.
    fn append_holding(&self, time: u64, changes: &[u8], held: usize) -> Result<Lsn, LogError> {
        let _ = held;
        self.append(time, changes)
    }

    /// Whether the log can be written. If not, no change may begin. The log of a cluster can be written at the primary
    /// only.
    fn writable(&self) -> bool;

    /// Whether changes are refused only because the log has hardly any room left, while all else goes on. Then
    /// [`writable`](Self::writable) returns false.
    fn is_full(&self) -> bool {
        false
    }

    /// Sets the callback for the case that the log cannot be written any more.
    ///
    /// The log calls it from a thread that holds no lock, before the callbacks of [`on_progress`](Self::on_progress).
    /// The callback takes the locks of all shards, calls [`roll_back`](Self::roll_back), and undoes the changes that
    /// are not committed. Without a callback, a log whose disk is full keeps its entries until there is room.
    fn on_failure(&self, failed: Box<dyn Fn() + Send + Sync>) {
        drop(failed);
    }

    /// Discards all uncommitted entries if the log cannot be written. From then on [`commit`](Self::commit)
    /// returns [`LogError::RolledBack`] for them.
    ///
    /// The caller holds the locks of all shards, so nothing is appended meanwhile. Under these locks it may still write
    /// and sync a file.
    fn roll_back(&self) -> Option<Rollback> {
        None
    }

    /// Returns the number of the last entry that was appended.
    fn last(&self) -> Lsn;

    /// Commits all entries up to `lsn`, or requests it. Returns whether they are committed already.
    ///
    /// Under `everysec` and `no` it writes the file. Under `always` another thread writes and syncs, and the callbacks
    /// of [`on_progress`](Self::on_progress) report it; this method never waits for a sync. `Lsn::MAX` stands for an
    /// entry that could not be appended.
    ///
    /// # Errors
    /// If the entries will never be committed. Entries before `lsn` that were rolled back do not count if `lsn` was
    /// appended later.
    fn commit(&self, lsn: Lsn) -> Result<bool, LogError>;

    /// As `commit`, but waits until the entries are committed.
    ///
    /// # Errors
    /// If they will never be.
    fn wait(&self, lsn: Lsn) -> Result<(), LogError>;

    /// Returns the number of the last committed entry.
    fn committed(&self) -> Lsn;

    /// Adds a callback that another thread calls whenever `committed` has grown, a pending lease check was decided,
    /// or the log has failed. It must only query the log.
    fn on_progress(&self, told: Box<dyn Fn() + Send + Sync>);

    /// Returns the present epoch. It changes whenever this node becomes the primary, and when it ceases to be.
    fn epoch(&self) -> Epoch {
        0
    }

    /// Returns the time of an evaluation that has just ended. `before` is the [`epoch`](Self::epoch) from before its
    /// first request.
    ///
    /// A worker evaluates many requests and calls this once. In this order, a check of the later time covers all of
    /// them.
    fn read_index(&self, before: Epoch) -> ReadIndex {
        ReadIndex { epoch: before, time: 0 }
    }

    /// Returns whether the answers of an evaluation may leave. An answer needs this *and* its entry to be committed,
    /// also an answer that changed nothing.
    ///
    /// A check that passes covers all earlier read indexes of the same epoch, until the epoch ends. Then none passes
    /// any more, and an answer whose entry was not committed by then must not leave. So check the lease only after the
    /// entry is known to be committed.
    fn check_lease(&self, read_index: &ReadIndex) -> LeaseCheck {
        let _ = read_index;
        LeaseCheck::Passed
    }

    /// Waits until the answers of an evaluation may leave.
    ///
    /// # Errors
    /// [`LogError::Deposed`] if they must never leave.
    fn wait_lease_check(&self, read_index: &ReadIndex) -> Result<(), LogError> {
        let _ = read_index;
        Ok(())
    }

    /// Returns the number of bytes from which on an entry gets no more changes. One more change may make it longer.
    fn longest_entry(&self) -> usize {
        LONG_ENTRY
    }

    /// Returns the largest number of bytes of keys and values that one request may add to the log. Longer requests are
    /// refused before anything is changed.
    fn largest_request(&self) -> usize {
        usize::MAX
    }

    /// Returns the bytes of entries that wait to be committed, and of the values that they have replaced. The server
    /// stops reading from its clients while they are too many. A log may leave out what the next
    /// [`commit`](Self::commit) commits.
    fn backlog(&self) -> usize {
        0
    }

    /// Returns where a log that nodes share stands, for the header of a snapshot that contains its entries up to
    /// `last`; `None` for a log of one node.
    fn position(&self, last: Lsn) -> Option<Position> {
        let _ = last;
        None
    }

    /// Returns the hash slots whose keys the log is about. A log of one node is about all of them.
    fn slots(&self) -> SlotSet {
        SlotSet::all()
    }

    /// Notes, on a follower, that the group has got or lost slots by an entry. The primary's log sees that when the
    /// entry is appended. The caller holds the locks of the slots' shards, and publishes the entry afterwards.
    fn assign_slots(&self, entry: Lsn, slots: &SlotSet, owned: bool) {
        let _ = (entry, slots, owned);
    }

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
    /// The last committed entry. The entries after it were discarded.
    pub committed: Lsn,
    /// The entry that stands for the rollback: committed, and without changes. Reads after the rollback are as of this
    /// entry.
    pub mark: Lsn,
}

/// The mark of a batch of entries in a cluster's log. A node's own copy of the log has it as the first change of the
/// first entry of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMark {
    /// The number of the batch. Of an entry in parts, the number of the first part.
    pub seq: u64,
    /// The epoch in which the batch was appended.
    pub epoch: Epoch,
    /// The running hash of all batches before this one.
    pub chain_before: [u8; 16],
}

/// The hash of those entries of the last batch that a snapshot contains. A node whose own log does not have them any
/// more compares them by it with the batch in the cluster's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHash {
    /// The first entry that counts: that of the batch, or a later one if the earlier ones were not known.
    pub first: Lsn,
    /// The last entry that counts, which is the last one of the snapshot.
    pub last: Lsn,
    /// The running hash of these entries.
    pub hash: [u8; 16],
}

/// Where a log that nodes share stands, as a snapshot contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The group of nodes that share the log.
    pub group: u32,
    /// The incarnation of the group's log. A log that was made anew has another one.
    pub incarnation: u64,
    /// The epoch of the last entry.
    pub epoch: Epoch,
    /// The hash slots that the group has.
    pub slots: SlotSet,
    /// The mark of the batch that contains the last entry, and the number of the batch's first entry; `None` if there
    /// is no entry.
    pub batch: Option<(Lsn, BatchMark)>,
    /// The hash of the entries of this batch, if it is known.
    pub batch_hash: Option<BatchHash>,
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
    /// Another process has written to this segment, or has locked this folder. The log rejects changes until the
    /// database is opened again.
    Shared(PathBuf),
    /// The change was undone because the log could not be written, or a change of the same request was.
    RolledBack,
    /// This node is not the primary any more. Whether the change was made is unknown: the new primary may have it.
    Deposed,
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
            Self::Shared(path) => write!(
                f,
                "another process has opened or written {}: stop all servers that use this directory, and copy it \
                 before you restart one",
                path.display()
            ),
            Self::RolledBack => f.write_str("the change was undone: the log cannot be written"),
            Self::Deposed => f.write_str(
                "this node is no longer the primary; whether the change was made is unknown",
            ),
            Self::Closed => f.write_str("the log is closed"),
        }
    }
}

impl Error for LogError {}
