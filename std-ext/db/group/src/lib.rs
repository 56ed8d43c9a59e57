//! The protocol of one group: a state machine that takes events and gives actions.
//!
//! Nothing here has a thread, a socket, a clock or randomness of its own. The driver of a node runs it, and so does the
//! simulation. [`Group::handle`] takes one [`Event`] and answers with [`Action`]s, which the driver carries out in
//! order.
//!
//! # The protocol
//! A group has one log in the store. `log/<seq>` holds a *batch* of entries, and the one line `tail` names the primary
//! and the last batch. Each transaction of the primary compares the value of `tail` with the line that it wrote last,
//! puts the next line, and at most one batch. At most one transaction is in flight. That one comparison is the fence,
//! the election and the proof that no batch is missing.
//!
//! - **Write.** An entry is committed once the transaction with its batch was done. Only then may it be acknowledged,
//!   and only then does the local log get it.
//! - **Lease.** Without entries, the primary puts a line with a higher `beat` every third of a lease. A transaction
//!   proves that nobody else had the group when it was first sent, and that nobody can have it until nine tenths of the
//!   lease later.
//! - **Takeover.** A member that has read the whole log, and has received no new line for a lease, a tenth of it and
//!   some more, puts the next epoch, the entry that begins it, and `primary` in one transaction. It compares `tail` and
//!   `members`.
//! - **Restart.** The next process of a primary that has died does not wait for its lease, if it has the lock that the
//!   dead process held. It takes over as any other node does, in a new epoch.
//! - **Hand-over.** The primary refuses changes, commits what waits, ends its role, and puts a line without a nonce:
//!   the node that the line names takes over at once.
//! - **Fencing.** A primary whose transaction is refused by another's line ends its role. Without unsafe changes it
//!   follows; else the process starts anew.
//! - **Trimming.** The primary deletes the batches that all members have on disk, by the list of members that the
//!   deletion compares. A member that lacks a deleted batch is resynced from a peer.
//!
//! # Claims
//! Each has a check that fails if the claim is broken (`mutations.toml` in this folder).
//!
//! - [C-1] The entry that begins an epoch has no earlier time than any entry since the clock was set back last, nor
//!   than the last line (`group/campaign.rs`). The driver raises the clock to it.
//! - [C-2] A node that cannot read an entry never takes over (`group/campaign.rs`).
//! - [C-3] Parts of an entry without an end before a new epoch never happened (`join.rs`).
//! - [C-4] No transaction of a deposed primary is done, because the value of `tail` differs (`txn.rs`, `tail.rs`).
//! - [C-5] A candidate has read all that `tail` counts, so nothing acknowledged is missing (`group/campaign.rs`).
//! - [C-6] No unsafe change is visible after fencing (`group/lead.rs`).
//! - [C-7] A node whose clock is ahead of the others does not lead (`group/campaign.rs`).
//! - [C-8] A lease counts from the first sending, by the length in the line. A lease belongs to its epoch
//!   (`group/lead.rs`, `group/campaign.rs`).
//! - [C-9] The local log has committed entries only (`group/lead.rs`, `join.rs`).
//! - [C-10] No batch is skipped. No batch is deleted that a member lacks, except by the rule of copies
//!   (`group/follow.rs`, `trim.rs`).
//! - [C-13] A node stops at another history, and at a store that went back (`join.rs`, `entry.rs`,
//!   `group/follow.rs`, `group/state.rs`).
//! - [C-14] A node that has more than a store that went back says so in the store before it stops. From then on
//!   nobody takes over (`halt.rs`, `group/halting.rs`, `group/campaign.rs`).
//! - [C-15] A node takes over from a process of its own without waiting for the lease only if that process has ended
//!   (`group/campaign.rs`, `processes.rs`).
//!
//! # Modules
//! - [`names`], [`entry`], [`chain`]: plain data. [`mod@format`]: what the protocol knows about the content of entries.
//! - [`tail`], [`members`], [`batch`]: the values in the store, read from any bytes.
//! - [`join`]: batches in, entries out.
//! - [`txn`]: transactions, and the meaning of their answers.
//! - [`takeover`]: the reasons for which a node takes its group over.
//! - [`trim`]: the rule for the batches that may go.
//! - [`halt`]: the record by which a node says that the store lost entries.
//! - [`reason`]: why a node takes a role, leaves it, or cannot go on.
//! - [`api`]: events and actions. `group`: the state machine.

pub mod api;
pub mod batch;
pub mod chain;
mod crc;
pub mod durable;
pub mod entry;
pub mod format;
mod group;
pub mod halt;
#[doc(hidden)]
pub mod hex;
#[cfg(test)]
mod hostile;
pub mod join;
pub mod members;
#[cfg(test)]
mod model;
pub mod names;
pub mod processes;
pub mod reason;
#[cfg(any(test, feature = "test-support"))]
#[doc(hidden)]
pub mod search;
#[cfg(any(test, feature = "simulation"))]
#[cfg_attr(docsrs, doc(cfg(feature = "simulation")))]
pub mod simulation;
pub mod tail;
pub mod takeover;
pub mod trim;
pub mod txn;

pub use api::{
    Action, Event, GroupRole, GroupSettings, GroupStatus, Read, ReadAnswer, WatchedChange,
};
pub use batch::Batch;
pub use chain::BatchChain;
pub use durable::DurableKey;
pub use entry::{Committed, Entry, Epoch, HeldEntries, LogPosition, Lsn, Mark, NodeId, Now, Seq};
pub use format::{EntryFormat, OpaqueEntries};
pub use group::Group;
pub use halt::{Halt, HaltOutcome, Objection, Objections};
pub use members::{Member, Members};
pub use reason::{
    Disqualification, ForkedValue, Notice, ReleaseReason, RestartReason, RoleReason, StopReason,
};
pub use tail::Tail;
pub use takeover::Takeover;
pub use txn::{Put, Txn, TxnFailure, TxnOutcome, ValueCompare, primary_value};
