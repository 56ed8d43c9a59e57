//! The events that the driver gives to a group, and the actions that the group answers with.

use super::batch::MOST_RAW;
use super::entry::{Committed, Entry, Epoch, HeldEntries, LogPosition, NodeId, Seq};
use super::format::{EntryFormat, OpaqueEntries};
use super::halt::{Halt, HaltOutcome, Objections};
use super::reason::{Disqualification, Notice, RestartReason, RoleReason, StopReason};
use super::tail::Tail;
use super::txn::{Txn, TxnFailure, TxnOutcome, ValueCompare};
use crate::entry::Lsn;
use std::sync::Arc;

/// The settings of a node in its group.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// The node.
    pub node: NodeId,
    /// What the protocol reads in entries.
    pub format: &'static dyn EntryFormat,
    /// A random number of this process. 0 is not one; it becomes 1.
    pub nonce: u64,
    /// The random numbers of processes of this node that have certainly ended [C-15].
    pub former: Vec<u64>,
    /// The lease in milliseconds.
    pub lease: u64,
    /// Whether the lease proves reads, or only a read of `tail`.
    pub lease_reads: bool,
    /// How far a clock may be ahead, in milliseconds.
    pub max_skew: u64,
    /// The members that have an entry on disk before the store may forget it.
    pub copies: usize,
    /// The bytes of batches in the store beyond which only `copies` counts. 256 MiB.
    pub most_retained: u64,
    /// The uncompressed bytes of a batch. 512 KiB; larger is taken as 512 KiB.
    pub most_batch: usize,
    /// The state of the group's random numbers. Any number; it should differ between processes.
    pub random: u64,
}

impl GroupSettings {
    /// Returns the usual settings of a node, with entries that mean nothing to the protocol and a lease of three
    /// seconds. `nonce` is a random number of this process.
    pub fn new(node: NodeId, nonce: u64) -> Self {
        Self {
            node,
            format: &OpaqueEntries,
            nonce,
            former: Vec::new(),
            lease: 3000,
            lease_reads: true,
            max_skew: 10_000,
            copies: 2,
            most_retained: 256 << 20,
            most_batch: MOST_RAW,
            random: nonce,
        }
    }
}

/// Something that happened.
///
/// For each [`Action::Read`], [`Action::Transact`], [`Action::Trim`] and [`Action::Halt`] the driver gives exactly one
/// answer with the same `id`, also when the store does not answer: every call has a deadline.
#[derive(Clone, Debug)]
pub enum Event {
    /// The time [`Group::deadline`](super::Group::deadline) has come. Harmless at any other time.
    Tick,
    /// The answer of a read.
    Read {
        /// The number of the action.
        id: u64,
        /// The values in the store, or the reason why there are none.
        answer: Result<ReadAnswer, TxnFailure>,
    },
    /// The answer of a transaction.
    Transacted {
        /// The number of the action.
        id: u64,
        /// The outcome.
        outcome: TxnOutcome,
    },
    /// The answer of [`Action::Trim`]: whether it was done, or refused because another node is the primary or the
    /// members are others.
    Trimmed {
        /// The number of the action.
        id: u64,
        /// The outcome.
        outcome: Result<bool, TxnFailure>,
    },
    /// The answer of [`Action::Halt`].
    Halted {
        /// The number of the action.
        id: u64,
        /// The outcome.
        outcome: Result<HaltOutcome, TxnFailure>,
    },
    /// The watch saw changes, in the order of the store. Duplicates, old ones and gaps do no harm.
    Watched {
        /// The revision of the last change.
        revision: u64,
        /// The changes.
        seen: Vec<WatchedChange>,
    },
    /// The watch ended, or the store has compacted what it should have told.
    WatchLost,
    /// Workers appended entries, in order. Also told when this node is not the primary any more: then the entries can
    /// never be committed, and the group says [`Action::Fenced`].
    Appended(Vec<Entry>),
    /// After [`Action::Hold`], or [`Action::Role`] with another role than `Primary`: nothing is appended any more, and
    /// all that had been appended was told before.
    Closed {
        /// The latest time by which the state may have removed expired keys. The next primary begins no earlier.
        time: u64,
    },
    /// The state has made all changes up to this entry.
    Applied(Lsn),
    /// The state cannot make the changes of the entry after the last one it reported, and says why. Nothing later may
    /// be applied. The node never becomes the primary [C-2].
    CannotApply(String),
    /// The state of the new primary serves its clients. That says nothing about a trouble that
    /// [`Event::CannotServe`] told.
    Serving,
    /// This node cannot be the primary: its disk fails, or a thread is stuck. It releases the group, and does not take
    /// it over until [`Event::CanServe`].
    CannotServe(String),
    /// All troubles that [`Event::CannotServe`] told have passed.
    CanServe,
    /// A reply waits for a lease check, and its evaluation is later than the last one.
    LeaseCheckWanted,
    /// Hand the group over to this node, or to any.
    HandOver(Option<NodeId>),
    /// The process stops: release the group, and never take it over again. Answered by [`Action::Released`].
    Exit,
    /// A resync ended: the node has this position now, all of it applied.
    Resynced {
        /// Where it begins to read in the store: [`Mark::before`](super::Mark::before) the last mark.
        position: LogPosition,
        /// The entries that it has.
        held: HeldEntries,
    },
    /// The clocks of the other live nodes, in milliseconds ahead of this node's.
    Clocks(Vec<(NodeId, i64)>),
    /// The other nodes that would not take the group over: they have no data yet, or their disks keep no entries.
    Unfit(Vec<NodeId>),
    /// Whether the node's own disk hangs, as far as is known.
    DiskHangs(bool),
    /// The lease of the settings changed.
    Lease(u64),
    /// Whether the store has little of its storage quota left. Then batches go from it as soon as `copies` members have
    /// them on disk.
    QuotaShort(bool),
}

/// A change that the watch saw.
#[derive(Clone, Debug)]
pub enum WatchedChange {
    /// `tail` has this value now. `None`: it was removed.
    Tail(Option<Vec<u8>>),
    /// `members` has this value now. `None`: it was removed.
    Members(Option<Vec<u8>>),
    /// A batch was put.
    Batch(Seq, Vec<u8>),
}

/// The answer of a read of the store. All reads are linearizable.
#[derive(Clone, Debug)]
pub enum ReadAnswer {
    /// For [`Read::Tail`]: all at one revision.
    Tail {
        /// The revision of the answer.
        revision: u64,
        /// The value of `tail`, if there is one.
        tail: Option<Vec<u8>>,
        /// The value of `members`, if there is one.
        members: Option<Vec<u8>>,
        /// What speaks against a takeover.
        objections: Objections,
    },
    /// For [`Read::Batches`]: batches in the order of their numbers, as many as one answer carries. The driver may take
    /// them from its spool. Empty if the first one is not there any more.
    Batches(Vec<(Seq, Vec<u8>)>),
    /// For [`Read::Durable`]: all at one revision.
    Durable {
        /// The revision of the answer.
        revision: u64,
        /// The value of `members`, if there is one.
        members: Option<Vec<u8>>,
        /// The lowest batch that the store still has.
        first: Option<Seq>,
        /// The values of `durable/<node>`: the node, and the `seq` of its record: the *mark* of the last entry on its
        /// disk, so that a node never needs an earlier batch after a restart.
        durable: Vec<(NodeId, Seq)>,
    },
}

/// A read of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// `tail`, `members`, `halt` and all of `durable/`, in one transaction.
    Tail,
    /// Batches from the first to the last number, both included. A partial answer begins with the first.
    Batches(Seq, Seq),
    /// `members`, the first batch, and all of `durable/`, in one transaction.
    Durable,
}

/// A task for the driver. The order matters within one call of [`Group::handle`](super::Group::handle).
#[derive(Clone, Debug)]
pub enum Action {
    /// Read from the store, linearizable.
    Read {
        /// The number of the action.
        id: u64,
        /// The values to read.
        read: Read,
    },
    /// Run a transaction. There is at most one without an answer, except for those that a later line of `tail` made
    /// pointless: they can never be done any more.
    Transact {
        /// The number of the action.
        id: u64,
        /// The transaction.
        txn: Arc<Txn>,
    },
    /// Delete the batches below a number if `primary` and `members` have these values. The transaction puts nothing:
    /// under NOSPACE the store refuses what puts.
    Trim {
        /// The number of the action.
        id: u64,
        /// The value of `primary` to compare.
        primary: String,
        /// The value that `members` must have.
        members: ValueCompare,
        /// The first batch that stays.
        below: Seq,
    },
    /// The store went back: say there what this node has, unless the store has as much [C-14].
    ///
    /// The driver believes the store anew for this: what it knows of revisions and of the store's identity does not
    /// count, but the cluster's id and incarnation do. Answered by [`Event::Halted`].
    Halt {
        /// The number of the action.
        id: u64,
        /// The record.
        halt: Halt,
    },
    /// Watch the group's keys from this revision on. Ends an earlier watch.
    Watch(u64),
    /// Apply these entries and give them to the local log. [`Event::Applied`] reports it.
    Apply(Committed),
    /// Entries of this node, the primary, are committed: give them to the local log. The state has them.
    Commit(Committed),
    /// Take this role.
    Role {
        /// The role.
        role: GroupRole,
        /// The epoch.
        epoch: Epoch,
        /// For `Primary`: the entry that begins the epoch. The next entry to append has the next number.
        lsn: Lsn,
        /// For `Primary`: the time of that entry. The node's clock must not be behind it [C-1].
        time: u64,
        /// Why.
        reason: RoleReason,
    },
    /// Refuse changes from now on, but keep the role: replies that wait still leave. Answer with [`Event::Closed`]
    /// within three leases, or five seconds if these are longer.
    Hold,
    /// Changes are accepted again: the hand-over did not work.
    Unhold,
    /// All entries up to this number are committed.
    CommitIndex(Lsn),
    /// Replies of this epoch may leave if they were evaluated before `sent`, or if the time is before `until`.
    /// Each one replaces the one before.
    RenewLease {
        /// The epoch.
        epoch: Epoch,
        /// The end of the lease: boot time. 0 if the lease proves nothing.
        until: u64,
        /// Boot time.
        sent: u64,
    },
    /// This node was the primary, and changed its state by entries that will never be committed. The process must
    /// start anew; the group does nothing any more.
    Fenced,
    /// The process must start anew. No further action follows.
    Restart(RestartReason),
    /// The batches that this node needs are gone from the store: fetch a snapshot and the local log from a peer. From
    /// now on [`Action::Spool`] gives new batches. Answer with [`Event::Resynced`]. The driver answers
    /// [`Read::Batches`] from its spool before it asks the store.
    Resync {
        /// The position that the node has.
        position: LogPosition,
        /// The last batch.
        tail: Seq,
        /// The primary, if there is one.
        primary: Option<NodeId>,
    },
    /// A batch seen during a resync: keep it.
    Spool(Seq, Vec<u8>),
    /// The store's storage quota is used up: compact the store, and disarm the alarm once there is room.
    ReclaimQuota,
    /// Answers [`Event::Exit`]: the group is released, or this node did not have it.
    Released,
    /// The group cannot go on. No further action follows.
    Stop(StopReason),
    /// A line for the log.
    Note(Notice),
}

/// The part that a node has in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRole {
    /// It has not caught up yet since it started, or is being resynced.
    Loading,
    /// It follows the log.
    Follower,
    /// It writes the log.
    Primary,
}

/// The state of a group as others may see it.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// The role of this node.
    pub role: GroupRole,
    /// The epoch of the last `tail`.
    pub epoch: Epoch,
    /// The end of the lease: boot time. 0 unless this node is the primary and leases prove reads.
    pub until: u64,
    /// When the last successful transaction was first sent: boot time.
    pub sent: u64,
    /// The last committed entry that this node knows of.
    pub committed: Lsn,
    /// The last entry that was appended here.
    pub last: Lsn,
    /// The last entry that the state has made.
    pub applied: Lsn,
    /// Bytes that wait for the log.
    pub pending: usize,
    /// The node in `tail`, unless the group is released.
    pub primary: Option<NodeId>,
    /// The last `tail` that was received.
    pub tail: Option<Tail>,
    /// When it was received: boot time.
    pub received: u64,
    /// The end of the log as far as this node has read it.
    pub position: LogPosition,
    /// Batches between `position` and `tail`.
    pub behind: u64,
    /// Whether this node is in `members`.
    pub member: bool,
    /// Bytes of batches in the store, as far as this node knows.
    pub retained: u64,
    /// Why this node never becomes the primary, if there is a reason.
    pub disqualified: Option<Disqualification>,
}
