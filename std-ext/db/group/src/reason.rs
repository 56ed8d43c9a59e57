//! Why a node takes a role, leaves it, or cannot go on, for programs to match on and for logs.
//!
//! `Display` names no remedy that depends on the program: what its operators call the store, and which of its commands
//! fills a store again. A program that has better words matches instead.

use super::entry::{NodeId, Seq};
use super::halt::{Halt, Objection};
use super::takeover::Takeover;
use super::txn::TxnFailure;
use crate::entry::Lsn;
use std::fmt;

/// Why a node has the role that [`Action::Role`](super::Action::Role) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleReason {
    /// It has read and applied the log.
    CaughtUp,
    /// The batches that it needs were trimmed.
    BatchesTrimmed,
    /// It took the group over.
    TookOver(Takeover),
    /// Another node has taken over: this one, if it is known.
    Deposed(Option<NodeId>),
    /// It released the group.
    Released(ReleaseReason),
    /// Its state did not answer [`Action::Hold`](super::Action::Hold).
    HoldUnanswered,
    /// The store has an older state than this node saw.
    StoreWentBack,
    /// The group cannot go on. [`Action::Stop`](super::Action::Stop) says why.
    Stopped,
}

/// Why a primary releases its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseReason {
    /// [`Event::HandOver`](super::Event::HandOver).
    HandedOver,
    /// [`Event::Exit`](super::Event::Exit).
    ProcessExit,
    /// [`Event::CannotServe`](super::Event::CannotServe), with its sentence.
    CannotServe(String),
    /// It was removed from the members.
    Removed,
    /// The store refuses even the smallest batch as too large.
    BatchTooLarge,
    /// Its state did not begin to serve within three leases.
    NotServing,
    /// Its clock is ahead of the others by more than the tolerated skew.
    ClockAhead,
}

/// Why the process must start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartReason {
    /// The state did not answer [`Action::Hold`](super::Action::Hold), and has changes that are not in the log.
    HoldUnanswered,
    /// The state of a deposed primary did not say [`Event::Closed`](super::Event::Closed) for a minute, although its
    /// disk does not hang.
    NotClosed,
}

/// Why a node never becomes the primary, as things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disqualification {
    /// It cannot apply an entry: [`Event::CannotApply`](super::Event::CannotApply), with its sentence.
    CannotApply(String),
    /// [`Event::CannotServe`](super::Event::CannotServe), with its sentence.
    CannotServe(String),
    /// The store lost entries.
    EntriesLost(Objection),
    /// Its clock is ahead of the others.
    ClockAhead,
    /// It was removed from the members.
    Removed,
}

/// What an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This node was removed from the members. It never takes over; if it is restarted, it adds itself again.
    Removed,
    /// The clock of this node is ahead of the others by more than the tolerated skew, so it does not take over.
    ClockAhead,
    /// The store lost entries. Nobody takes over until they are in it again.
    EntriesLost(Objection),
    /// This node cannot apply an entry of the log. It lags behind, and never takes over.
    CannotApply(String),
    /// This node releases the group.
    Releasing(ReleaseReason),
    /// A handover was refused: this node is not the primary, or the target is not another member.
    HandOverRefused,
    /// A handover was ignored: this node is releasing the group already.
    HandOverIgnored,
    /// A handover was cancelled: the store or this node's state did not answer in time.
    HandOverCancelled,
    /// A transaction keeps failing. The group sends it again and again.
    Failing(TxnFailure),
}

/// A value that does not belong to this node's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkedValue {
    /// The key `tail`.
    Tail,
    /// A batch.
    Batch(Seq),
}

/// Why the group cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// `tail` or `members` cannot be read, as this sentence says.
    Unreadable(String),
    /// A batch cannot be read.
    UnreadableBatch {
        /// The batch.
        seq: Seq,
        /// What is wrong with it.
        why: String,
    },
    /// The store reports that its data is damaged.
    Corrupt,
    /// The store has another history than this node.
    Forked(ForkedValue),
    /// The store lost entries. It has a record of that, so no node takes over.
    EntriesLost {
        /// The last entry of this node.
        own: Lsn,
        /// The last entry of the store.
        end: Lsn,
    },
    /// The store lost entries, and another node has taken over since: there are two histories.
    EntriesReplaced {
        /// The last entry of this node.
        own: Lsn,
        /// The last entry of the store.
        end: Lsn,
    },
    /// The store seems to have lost entries, and did not answer when this node was about to say so.
    EntriesLostUnsaid {
        /// The last entry of this node.
        own: Lsn,
        /// Why it could not say so.
        failure: TxnFailure,
    },
    /// The store has an older state than this node has seen, but all of this node's entries.
    StoreWentBack {
        /// The last entry of the store.
        end: Lsn,
    },
    /// The store has an older state than this node has seen, and a group that is not this node's, or none.
    OtherGroup {
        /// The last entry of this node.
        own: Lsn,
    },
    /// Answers came from another store.
    OtherStore,
    /// The store has no log, but this node has one.
    Emptied {
        /// The last entry of this node.
        own: Lsn,
    },
    /// The store was filled anew since this node stopped, and no longer has the batches that would show whether with
    /// this node's entries.
    Unproved {
        /// The last entry of this node.
        own: Lsn,
    },
    /// The driver gave [`Event::Appended`](super::Event::Appended) entries that do not follow the last one.
    Gap {
        /// The entry.
        found: Lsn,
        /// The last one.
        last: Lsn,
    },
}

impl fmt::Display for RoleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaughtUp => f.write_str("it has caught up with the log"),
            Self::BatchesTrimmed => {
                f.write_str("the store no longer has the batches that this node needs")
            }
            Self::TookOver(why) => why.fmt(f),
            Self::Deposed(Some(node)) => write!(f, "{node} has taken over"),
            Self::Deposed(None) => f.write_str("another node has taken over"),
            Self::Released(why) => why.fmt(f),
            Self::HoldUnanswered => RestartReason::HoldUnanswered.fmt(f),
            Self::StoreWentBack => f.write_str("the store went back"),
            Self::Stopped => f.write_str("the group cannot go on"),
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HandedOver => "it is handed over",
            Self::ProcessExit => "the process stops",
            Self::CannotServe(why) => why,
            Self::Removed => "it was removed from the members",
            Self::BatchTooLarge => "the store rejects even batches of 8 KiB as too large",
            Self::NotServing => "its state did not begin to serve within three leases",
            Self::ClockAhead => "its clock is ahead of the others by more than the tolerated skew",
        })
    }
}

impl fmt::Display for RestartReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HoldUnanswered => {
                "its state did not release the group within three leases, as if its disk hung"
            }
            Self::NotClosed => {
                "this node ceased to be the primary a minute ago, but its state has not released the group, although \
                 its disk does not hang"
            }
        })
    }
}

impl fmt::Display for Disqualification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotApply(why) | Self::CannotServe(why) => f.write_str(why),
            Self::EntriesLost(objection) => objection.fmt(f),
            Self::ClockAhead => f.write_str("its clock is ahead"),
            Self::Removed => f.write_str("it was removed"),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str(
                "this node was removed from the members of the group: it never takes over. Restart it to add it again",
            ),
            Self::ClockAhead => f.write_str(
                "the clock of this node is ahead of the others by more than the tolerated skew: it does not take \
                 over. Set the clock",
            ),
            Self::EntriesLost(objection) => {
                write!(f, "{objection}. No node takes over until this is repaired")
            }
            Self::CannotApply(why) => write!(
                f,
                "this node cannot apply an entry of the log ({why}): it lags behind and never takes over. If the \
                 other nodes run a later version, upgrade this one"
            ),
            Self::Releasing(why) => write!(f, "this node releases the group: {why}"),
            Self::HandOverRefused => f.write_str(
                "the handover was refused: this node is not the primary, or the target is not another member",
            ),
            Self::HandOverIgnored => f.write_str(
                "the handover was ignored: this node is already releasing the group",
            ),
            Self::HandOverCancelled => f.write_str(
                "the handover was cancelled: the store or this node's state did not answer in time",
            ),
            Self::Failing(failure) => {
                write!(f, "a transaction fails, and is sent again: {failure}")
            }
        }
    }
}

impl fmt::Display for ForkedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tail => f.write_str("The key tail"),
            Self::Batch(seq) => write!(f, "Batch {seq}"),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::UnreadableBatch { seq, why } => write!(f, "batch {seq} cannot be read ({why})"),
            Self::Corrupt => f.write_str("the store reports that its data is damaged"),
            Self::Forked(value) => write!(
                f,
                "{value} belongs to a different history from this node's: the store was restored from a backup and \
                 then written to, or this node's data belongs to another group"
            ),
            Self::EntriesLost { own, end } => write!(
                f,
                "the store lost entries: its log ends with entry {end}, but this node has entries up to {own}. It was \
                 restored from a backup, or emptied. No node takes over before these entries are in it again"
            ),
            Self::EntriesReplaced { own, end } => write!(
                f,
                "the store lost entries, and another node has taken over since: the log ends with entry {end}, but \
                 this node has entries up to {own}, so there are two histories with acknowledged changes"
            ),
            Self::EntriesLostUnsaid { own, failure } => write!(
                f,
                "the store seems to have lost entries (this node has entries up to {own}). The other nodes could not \
                 be told ({failure}), so a node without these entries may take over"
            ),
            Self::StoreWentBack { end } => write!(
                f,
                "the store has an older state than this node has seen: it was restored from a backup. Its log, which \
                 ends with entry {end}, has all entries of this node"
            ),
            Self::OtherGroup { own } => write!(
                f,
                "the store has an older state than this node has seen, and a different group, or none. This node has \
                 entries up to {own}"
            ),
            Self::OtherStore => f.write_str("the answers are of another store"),
            Self::Emptied { own } => write!(
                f,
                "the store has no log of this group, but this node has it up to entry {own}: it was emptied"
            ),
            Self::Unproved { own } => write!(
                f,
                "the store was reseeded since this node stopped, and no longer has the batches that would show \
                 whether this node's entries, up to {own}, were kept"
            ),
            Self::Gap { found, last } => {
                write!(f, "entry {found} was appended after entry {last}")
            }
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = |f: &mut fmt::Formatter<'_>, end: &Lsn| {
            write!(f, "the store lost entries: its log ends with entry {end}, but ")
        };
        match self {
            Self::Said { end, node, lsn } => {
                lost(f, end)?;
                write!(f, "node {node} has {}", Halt::entries(*lsn))
            }
            Self::OnDisk { end, node } => {
                lost(f, end)?;
                write!(f, "node {node} has later ones on its disk")
            }
            Self::Unreadable => f.write_str("the key `halt` cannot be read"),
        }
    }
}

impl fmt::Display for TxnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) => write!(f, "the store did not answer ({why})"),
            Self::Busy(why) => write!(f, "the store is busy ({why})"),
            Self::TooLarge => f.write_str("the store refuses its size"),
            Self::NoSpace => f.write_str("the store is out of space"),
            Self::Denied(why) => write!(f, "the store denies access ({why})"),
            Self::Corrupt => f.write_str("the store reports damaged data"),
            Self::WentBack => f.write_str("the store went back"),
            Self::OtherCluster => f.write_str("another store answered"),
        }
    }
}
