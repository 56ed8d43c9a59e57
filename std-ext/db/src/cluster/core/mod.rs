//! The protocol of one group: a state machine that takes events and gives actions.
//!
//! Nothing here has a thread, a socket, a clock or randomness of its own. The driver of a node runs it, and so does the
//! simulation. [`Group::handle`] takes one [`Event`] and answers with [`Action`]s, which the driver carries out in
//! order.
//!
//! # The protocol
//! A group has one log in etcd. `log/<seq>` holds a *batch* of entries, and the one line `tail` says who writes the log
//! and how far it reaches. Each transaction of the primary compares the value of `tail` with the line that it wrote
//! last, puts the next line, and at most one batch. At most one transaction is in flight. That one comparison is the
//! fence, the election and the proof that no batch is missing.
//!
//! - **Write.** An entry is committed once the transaction with its batch was done. Only then does the relay get it, and
//!   only then may it be acknowledged.
//! - **Lease.** Without entries, the primary puts a line with a higher `beat` every third of a lease. A transaction
//!   proves that nobody else had the group when it was first sent, and that nobody can have it until nine tenths of the
//!   lease later.
//! - **Takeover.** A member that has read the whole log, and has received no new line for a lease, a tenth of it and
//!   some more, puts the next epoch, the entry that begins it, and `primary` in one transaction. It compares `tail` and
//!   `members`.
//! - **Hand-over.** The primary refuses changes, commits what waits, ends its role, and puts a line without a nonce:
//!   the node that the line names takes over at once.
//! - **Fencing.** A primary whose transaction is refused by another's line ends its role. Without unsafe changes it
//!   follows; else the process starts anew.
//! - **Trimming.** The primary deletes the batches that all members have on disk. A member that lacks a deleted batch
//!   is resynced from a peer.
//!
//! # Claims
//! Each has a check that fails if the claim is broken (`tests/mutations.toml`).
//!
//! | label | claim | where |
//! |---|---|---|
//! | [C-1] | the time of the entry that begins an epoch is no earlier than any before it | `group/campaign.rs`, the driver raises the clock |
//! | [C-2] | a node that cannot read an entry never takes over | `group/campaign.rs` |
//! | [C-3] | parts of an entry without an end before a new epoch never happened | `join.rs` |
//! | [C-4] | no transaction of a deposed primary is done: the value of `tail` differs | `swap.rs`, `tail.rs` |
//! | [C-5] | the candidate has read all that `tail` counts, so nothing acknowledged is missing | `group/campaign.rs` |
//! | [C-6] | no unsafe change is visible after fencing | `group/lead.rs` |
//! | [C-7] | a node whose clock is ahead of the others does not lead | `group/campaign.rs` |
//! | [C-8] | a lease counts from the first sending, by the length in the line; a proof belongs to its epoch | `group/lead.rs`, `group/campaign.rs` |
//! | [C-9] | the relay has committed entries only | `group/lead.rs`, `join.rs` |
//! | [C-10] | no batch is skipped, and no batch is deleted that a member lacks, but by the rule of copies | `group/follow.rs`, `trim.rs` |
//! | [C-13] | a node stops at another history, and at an etcd that went back | `join.rs`, `group/state.rs`, `group/follow.rs` |
//!
//! # Modules
//! - [`entry`], [`chain`]: plain data.
//! - [`tail`], [`members`], [`batch`]: the values in etcd, read from any bytes.
//! - [`join`]: batches in, entries out.
//! - [`swap`]: transactions, and what their answers mean.
//! - [`trim`]: which batches may go.
//! - [`api`]: events and actions. `group`: the state machine.

pub mod api;
pub mod batch;
pub mod chain;
pub mod entry;
mod group;
#[cfg(test)]
mod hostile;
pub mod join;
pub mod members;
pub mod swap;
pub mod tail;
pub mod trim;

pub use api::{Action, Answer, Event, Read, Role, Seen, Settings, Status};
pub use batch::Batch;
pub use chain::Chain;
pub use entry::{Committed, Entry, Epoch, Mark, NodeId, Now, Position, Seq};
pub use group::Group;
pub use members::{Member, Members};
pub use swap::{Compare, Failure, Outcome, Put, Swap};
pub use tail::Tail;
