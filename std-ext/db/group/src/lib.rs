//! A replicated log with fencing and leases, over any store with compare-and-swap.
//!
//! A *group* of nodes shares one log of entries, which a small store such as etcd keeps. One node, the *primary*,
//! appends to it; the others read it and apply each entry to their state. If the primary dies, another node takes over,
//! without losing an acknowledged entry, and without a moment in which two nodes may write or answer.
//!
//! Use it to replicate the state of a service of your own, a database, a queue, a scheduler, if you run etcd already or
//! would rather not run consensus inside your process. Entries are bytes that only your state machine reads.
//!
//! The crate is a state machine without threads, sockets, clocks or randomness (*sans-I/O*). Your *driver* gives
//! [`Group::handle`] one [`Event`] at a time and carries out the [`Action`]s that it answers with, in order. So the
//! same code runs on etcd, in memory, and in a [deterministic simulation](#testing) of your service.
//!
//! # Example
//! Two nodes and a [store in memory](MemoryStore). The first leads and dies; the second takes over with all entries.
//! `examples/memory.rs` has more of a driver, and `examples/etcd.rs` runs on etcd.
//! ```
//! use hedgerow_db_group::*;
//!
//! struct Node {
//!     group: Group,
//!     watches_from: u64,
//!     /// The state: here, the committed entries themselves.
//!     state: Vec<Vec<u8>>,
//! }
//!
//! impl Node {
//!     fn start(number: u8, now: Now) -> Self {
//!         // The random number tells processes of one node apart.
//!         let settings = GroupSettings::new(NodeId([number; 20]), 0x5EED + u64::from(number));
//!         let (position, held) = (LogPosition::default(), HeldEntries::up_to(0));
//!         let group = Group::new(settings, position, held, now);
//!         Self { group, watches_from: 1, state: Vec::new() }
//!     }
//!
//!     fn role(&self) -> GroupRole {
//!         self.group.status().role
//!     }
//!
//!     /// Handles an event, and what follows from it.
//!     fn handle(&mut self, store: &mut MemoryStore, now: Now, event: Event) {
//!         let mut events = vec![event];
//!         while let Some(event) = events.pop() {
//!             let mut actions = Vec::new();
//!             self.group.handle(now, event, &mut actions);
//!             for action in actions {
//!                 events.extend(store.answer(&action));
//!                 match action {
//!                     Action::Watch(from) => self.watches_from = from,
//!                     // Entries of another primary, or own ones that are committed now.
//!                     Action::Apply(committed) | Action::Commit(committed) => {
//!                         let last = committed.after.lsn;
//!                         self.state.extend(committed.entries.into_iter().map(|e| e.changes));
//!                         events.push(Event::Applied(last));
//!                     }
//!                     Action::Role { role: GroupRole::Primary, .. } => events.push(Event::Serving),
//!                     Action::Stop(why) => panic!("{why}"),
//!                     _ => {}
//!                 }
//!             }
//!         }
//!     }
//!
//!     /// Some time passes: the watch reports what has changed.
//!     fn tick(&mut self, store: &mut MemoryStore, now: Now) {
//!         if let Some((event, next)) = store.watch(self.watches_from) {
//!             self.watches_from = next;
//!             self.handle(store, now, event);
//!         }
//!         self.handle(store, now, Event::Tick);
//!     }
//! }
//!
//! let mut store = MemoryStore::default();
//! let mut now = Now { boot: 1_000, wall: 1_700_000_000_000 };
//! let (mut first, mut second) = (Node::start(1, now), Node::start(2, now));
//! for _ in 0..30 {
//!     now = Now { boot: now.boot + 100, wall: now.wall + 100 };
//!     first.tick(&mut store, now);
//!     second.tick(&mut store, now);
//! }
//! assert_eq!((first.role(), second.role()), (GroupRole::Primary, GroupRole::Follower));
//!
//! // The primary appends. It may acknowledge the entry once `Action::Commit` has come.
//! let lsn = first.group.status().last + 1;
//! let entry = Entry { lsn, time: now.wall, changes: b"hello".to_vec() };
//! first.handle(&mut store, now, Event::Appended(vec![entry]));
//! assert_eq!(first.state.last().unwrap(), b"hello");
//!
//! // It dies. The other node waits for its lease, reads the rest of the log, and takes over in a new epoch.
//! drop(first);
//! while second.role() != GroupRole::Primary {
//!     now = Now { boot: now.boot + 100, wall: now.wall + 100 };
//!     second.tick(&mut store, now);
//! }
//! assert_eq!(second.group.status().epoch, 2);
//! assert!(second.state.contains(&b"hello".to_vec()));
//! ```
//!
//! # What it guarantees
//! - **An entry that was reported as committed is in the log of every later primary**, at the same number, as long as
//!   the store keeps what it acknowledged.
//! - **All nodes apply the same entries in the same order**, each once.
//! - **Only one node writes.** A deposed primary's transactions are refused by the store, however late they arrive.
//! - **Linearizable reads.** At most one node holds the lease, so a primary that checks its lease after evaluating a
//!   read answers with the latest state. Without trust in clocks ([`GroupSettings::lease_reads`]), a read of the store
//!   takes the place of the lease.
//! - **A store that went back is noticed.** After a restore from a backup, nodes with later entries stop, say so in the
//!   store, and nobody takes over before an operator has decided.
//!
//! # What it needs
//! ## What the store must do
//! A few keys per group ([`Key`]), with values up to a MiB, and these operations:
//!
//! | operation | for | guarantee |
//! |---|---|---|
//! | read keys and a range | [`Action::Read`] | linearizable, all values of one revision |
//! | compare values, then put keys, or read | [`Action::Transact`] | atomic, linearizable, durable once acknowledged |
//! | compare values, then delete a range | [`Action::Trim`] | atomic |
//! | read, compare, put one key | [`Action::Halt`] | atomic |
//! | report changes since a revision | [`Action::Watch`] | none: changes may be late, doubled, or missing |
//!
//! Values are compared, never revisions or versions: after a restore these are used again. Revisions only need to grow.
//! etcd has all of this; so has a table of an SQL database with serializable transactions, and a store with
//! single-key compare-and-swap if all keys of a group are kept in one value. The driver must tell a request that was
//! certainly not done from one with an unknown outcome: see [`TxnFailure`].
//!
//! ## Clocks and leases
//! [`Now::boot`] must not stop while the machine is suspended (`CLOCK_BOOTTIME`), and the rates of two machines' clocks
//! may differ by up to a tenth. A primary uses its lease for nine tenths of its length, counted from when it *sent* the
//! transaction; others wait for eleven tenths, counted from when they *received* its line. [`Now::wall`] may be wrong:
//! entries carry it, but no decision about who leads rests on it, except that a node far ahead of the others does not
//! lead.
//!
//! ## What must be durable
//! - the store, as above;
//! - the [`NodeId`], so that a restarted node is the same member;
//! - on each node a *local log*: the entries of [`Action::Apply`] and [`Action::Commit`], each batch with its [`Mark`].
//!   It may lag: report what is on disk under [`Key::Durable`] (see [`DurableKey`]), and the store keeps the rest. A
//!   node without a local log reads the whole log again, or gets a snapshot from a peer.
//!
//! ## The state machine
//! Applying an entry must be deterministic, and not depend on the clock: use [`Entry::time`]. A primary may change its
//! state before an entry is committed, but must not show that state to clients. If it is deposed with such changes, it
//! starts again ([`Action::Fenced`]).
//!
//! # The life of an entry
//! 1. The primary evaluates a request, changes its state, and numbers the entry: [`Event::Appended`].
//! 2. While a transaction is in flight, entries gather. The next one puts them as one [batch](Batch), with the next
//!    line of `tail`, if `tail` is still the line that this primary wrote last.
//! 3. The store acknowledges: [`Action::Commit`], [`Action::CommitIndex`]. The primary answers its clients, once the
//!    lease is checked ([`Action::RenewLease`]).
//! 4. Watches report the batch to the others, or they read it: [`Action::Apply`].
//! 5. Each node writes it to its local log and reports that it is on disk.
//! 6. Once all members have it, or [`GroupSettings::copies`] of them if the store is short of space, the primary
//!    deletes the batch from the store: [`Action::Trim`].
//!
//! # Terms
//! | here | elsewhere |
//! |---|---|
//! | [`Epoch`] | Raft's term |
//! | `tail`, its whole value | fencing token: each write carries it, and the store refuses an old one |
//! | [`Lsn`]; committed entry | log index; commit index |
//! | lease | leader lease; also the time after which others may campaign |
//! | takeover | leader election, decided by one compare-and-swap instead of votes |
//! | [`Members`] | configuration; but members do not vote, they only have copies |
//! | resync | installing a snapshot |
//!
//! # Compared with other ways
//! **Raft in the process** (openraft, raft-rs) needs no other service, and commits in one round trip to a majority of
//! its own nodes. Each group then needs three nodes with disks that sync each write. Here the store is the majority: a
//! group has any number of nodes, two or even one, entries are durable although no node's disk has synced, and nodes
//! join and leave without a change of quorum. In return each commit is a transaction of the store, which
//! bounds throughput: etcd does some thousands a second, each with a batch of up to half a MiB.
//!
//! **A lock in etcd and a log elsewhere** is not enough. A process that holds the lock can be suspended, lose it, wake
//! up and write on, because nothing compares the lock when the log is written. A lock with a fencing token helps only
//! if the log refuses old tokens; then the log needs compare-and-swap. Here the log and the token are in one store, and
//! the same transaction that writes a batch compares the token.
//!
//! # Limits
//! - An entry has at most 1 GiB ([`batch::MOST_ENTRY`]); one that is larger than a batch goes in parts, and other
//!   entries wait meanwhile.
//! - A group has at most 256 members, and one primary: for more writes, use several groups.
//! - A failover takes a little more than a lease, a restart of the primary's process on the same machine
//!   ([`processes`]) and a [handover](Event::HandOver) take milliseconds.
//! - The crate trusts the nodes and the store: damaged values are detected, malicious ones are not.
//!
//! # Testing
//! With the feature `simulation`, the module `simulation` plays your state machine on a simulated store, network, disks
//! and clocks, with faults from a seed, and checks each answer. The crate's own tests use it, and its [model](#claims)
//! is searched exhaustively.
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
//! - [`key`]: their names. [`memory`]: a store in memory.
//! - [`txn`]: transactions, and the meaning of their answers.
//! - [`takeover`]: the reasons for which a node takes its group over.
//! - [`trim`]: the rule for the batches that may go.
//! - [`halt`]: the record by which a node says that the store lost entries.
//! - [`reason`]: why a node takes a role, leaves it, or cannot go on.
//! - [`api`]: events and actions. `group`: the state machine.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
pub mod key;
pub mod members;
pub mod memory;
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
pub use key::Key;
pub use members::{Member, Members};
pub use memory::MemoryStore;
pub use reason::{
    Disqualification, ForkedValue, Notice, ReleaseReason, RestartReason, RoleReason, StopReason,
};
pub use tail::Tail;
pub use takeover::Takeover;
pub use txn::{Put, Txn, TxnFailure, TxnOutcome, ValueCompare, primary_value};
