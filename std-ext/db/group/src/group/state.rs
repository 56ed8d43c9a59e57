//! The state of a group, and methods that all its parts use.

use crate::api::{Action, GroupRole, GroupSettings, Read};
use crate::entry::Lsn;
use crate::entry::{Entry, Epoch, LogPosition, Mark, NodeId, Now, Seq};
use crate::halt::{Halt, Objection, Objections};
use crate::join::Joiner;
use crate::members::Members;
use crate::reason::{ForkedValue, ReleaseReason, RoleReason, StopReason};
use crate::tail::{MOST_LEASE, Tail};
use crate::takeover::Takeover;
use crate::txn::{Txn, TxnFailure};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// One group, as one of its members sees it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not, by itself")]
pub struct Group {
    pub(super) settings: GroupSettings,
    pub(super) now: Now,
    pub(super) ids: u64,
    /// The highest revision of an answer.
    pub(super) revision: u64,
    pub(super) phase: Phase,
    /// The role that the driver was told last.
    pub(super) role: GroupRole,

    pub(super) seen: Option<SeenTail>,
    /// A read found no `tail`.
    pub(super) absent: bool,
    pub(super) members: Option<SeenMembers>,
    /// What spoke against a takeover when `tail` was read last, and whether that bars it.
    pub(super) objections: Objections,
    pub(super) lost: Option<Objection>,
    /// Whether this process saw itself in `members`.
    pub(super) was_member: bool,
    pub(super) clocks: PeerClocks,
    /// The other nodes that would not take the group over.
    pub(super) others_unfit: Vec<NodeId>,

    pub(super) watching: Watching,
    pub(super) reading: Option<TailRead>,
    pub(super) filling: Option<BatchRead>,
    /// When a failed read may be tried again.
    pub(super) read_again: u64,

    pub(super) log: Joiner,
    pub(super) ahead: Ahead,
    pub(super) applying: Applying,
    pub(super) cannot_apply: Option<String>,
    /// Why this node cannot lead, although it follows.
    pub(super) unfit: Option<String>,
    /// The entry at which a loading node becomes a follower.
    pub(super) loaded_at: Option<Lsn>,
    /// The workers of this node may still append: it was the primary, and [`Event::Closed`] has not come.
    ///
    /// [`Event::Closed`]: crate::api::Event::Closed
    pub(super) open: bool,
    /// When this node was deposed last, or its disk hung last after that: boot time.
    pub(super) deposed: u64,
    pub(super) disk_hangs: bool,

    pub(super) flight: Option<Flight>,
    pub(super) exit: ProcessExit,
    /// Not before this boot time: this node has just released the group.
    pub(super) resting: u64,
    /// Why the last takeover was allowed, which may be in flight.
    pub(super) why: Takeover,
    pub(super) origin: Origin,
    pub(super) quota: QuotaLevel,
}

/// When the node got the entries with which it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In this incarnation of the log; or they were compared with it since.
    Current,
    /// Before the store was seeded anew, perhaps without them.
    Unproved,
}

/// How much of its storage quota the store has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuotaLevel {
    Enough,
    Short,
}

/// Whether the process stops. If it does, it never takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessExit {
    No,
    /// [`Action::Released`] is owed.
    Owed,
    Told,
}

/// The clocks of the other nodes.
#[derive(Debug, Default)]
pub(super) struct PeerClocks {
    /// In milliseconds ahead of this node's.
    pub(super) others: Vec<(NodeId, i64)>,
    /// Whether the log says that the own clock is ahead.
    pub(super) noted: bool,
}

/// Whether this node writes the log.
#[derive(Debug)]
pub(super) enum Phase {
    Following,
    Leading(Box<Lead>),
    /// It stops, once the store has its record.
    Halting(Halting),
    Stopped,
}

/// How a node noticed that the store is not the one that it knew.
#[derive(Clone, Debug)]
pub(super) enum HaltReason {
    /// A revision or a line is older than one that it saw.
    Older,
    /// There is no log.
    Emptied,
    /// Another store answers, as after `etcdctl snapshot restore`.
    OtherStore,
    /// The log ends before the node's entries do, or has others.
    Fork(ForkedValue),
}

/// A node that stops, and tries to put its record first.
#[derive(Debug)]
pub(super) struct Halting {
    pub(super) reason: HaltReason,
    pub(super) halt: Halt,
    /// The action that waits for its answer. `None`: it is sent again at `again`.
    pub(super) id: Option<u64>,
    pub(super) again: u64,
    /// When it gives up: boot time.
    pub(super) until: u64,
}

impl Halting {
    /// When the record is due: boot time.
    pub(super) fn due(&self) -> Option<u64> {
        self.id.is_none().then_some(self.again)
    }
}

/// The last `tail` that was received.
#[derive(Clone, Debug)]
pub(super) struct SeenTail {
    pub(super) tail: Tail,
    /// The bytes to compare with.
    pub(super) text: Vec<u8>,
    /// When it was received: boot time.
    pub(super) received: u64,
    /// A random number for this line.
    pub(super) jitter: u64,
}

/// The last `members` that was received.
#[derive(Clone, Debug)]
pub(super) struct SeenMembers {
    /// The bytes to compare with. `None`: the key does not exist.
    pub(super) text: Option<Vec<u8>>,
    pub(super) list: Members,
    pub(super) revision: u64,
}

/// The watch on the store, which is a hint only [C-10].
#[derive(Debug, Default)]
pub(super) struct Watching {
    pub(super) on: bool,
    /// When anything was heard: boot time.
    pub(super) heard: u64,
    /// Reads in sequence that found what the watch had not told.
    pub(super) lags: u32,
}

/// A read of `tail` and `members`.
#[derive(Debug)]
pub(super) struct TailRead {
    pub(super) id: u64,
    /// When it was sent: boot time.
    pub(super) issued: u64,
    /// The age of the line that was known when the read began. A line before it means that the store went back.
    pub(super) age: (Epoch, Seq, u64),
    pub(super) revision: u64,
    /// The position that was known when the read began, and the last entry that the node had.
    pub(super) position: LogPosition,
    /// Watch from its revision on.
    pub(super) rewatch: bool,
}

/// A read of batches.
#[derive(Debug)]
pub(super) struct BatchRead {
    pub(super) id: u64,
    pub(super) from: Seq,
}

/// Batches that came, and are not read yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub(super) batches: BTreeMap<Seq, Vec<u8>>,
    pub(super) bytes: usize,
    /// The last batch that exists, as far as this node knows.
    pub(super) wanted: Seq,
}

/// Entries that the driver applies.
#[derive(Debug, Default)]
pub(super) struct Applying {
    /// The last entry of each [`Action::Apply`], and its bytes.
    pub(super) queue: VecDeque<(Lsn, usize)>,
    pub(super) bytes: usize,
    pub(super) applied: Lsn,
    /// A snapshot is fetched from a peer.
    pub(super) resync: bool,
}

/// The transaction without an answer.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) kind: ReadKind,
    /// The action that waits for its answer. `None`: it is sent again at `again`.
    pub(super) id: Option<u64>,
    pub(super) again: u64,
    pub(super) failures: u32,
    /// The highest revision that was known when it was sent last. An answer with a lower one is of the past.
    pub(super) revision: u64,
    pub(super) attempt: TxnAttempt,
    /// Earlier attempts with the same comparison, whose outcome is not known.
    pub(super) others: Vec<TxnAttempt>,
    /// Whether a try of `attempt` had an unknown outcome.
    pub(super) unsure: bool,
    /// Whether a failure was noted.
    pub(super) noted: bool,
}

/// One transaction, sent once or more often without any change.
#[derive(Clone, Debug)]
pub(super) struct TxnAttempt {
    pub(super) txn: Arc<Txn>,
    /// The line that it puts, if it puts one.
    pub(super) line: Option<Tail>,
    /// Boot time of its *first* try: the lease counts from here [C-8].
    pub(super) sent: u64,
    pub(super) load: BatchLoad,
    /// The chain before its batch.
    pub(super) before: LogPosition,
}

/// The purpose of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadKind {
    /// Adds this node to the members.
    Join,
    /// Makes this node the primary.
    Takeover,
    /// Appends a batch, or renews the lease.
    Append,
    /// Gives the group away.
    HandBack,
}

/// The batch that a transaction puts.
#[derive(Clone, Debug)]
pub(super) enum BatchLoad {
    None,
    /// The first entries that wait, this many.
    Entries(usize),
    /// The first entry that waits, up to this byte of its encoding.
    Part(usize),
    /// The entry that begins the epoch.
    Begin(Entry),
}

/// A primary.
#[derive(Debug)]
pub(super) struct Lead {
    /// The line that is in the store, as far as this node knows.
    pub(super) line: Tail,
    /// The position behind its batch.
    pub(super) position: LogPosition,
    /// Entries that the store does not have, and their bytes.
    pub(super) pending: VecDeque<Entry>,
    pub(super) bytes: usize,
    /// The last entry that was appended.
    pub(super) last: Lsn,
    /// The first entry that waits, if a part of it is in the store or on the way.
    pub(super) part: Option<PartsOut>,
    /// The bytes of a batch. Lower after the store refused one.
    pub(super) limit: usize,
    /// The end of the lease: boot time.
    pub(super) until: u64,
    /// When the last request was first sent that confirmed this node as the primary: boot time.
    pub(super) sent: u64,
    /// When the last transaction was sent, with any outcome: boot time.
    pub(super) last_txn: u64,
    /// When the takeover was done: boot time.
    pub(super) begun: u64,
    /// Whether the state serves clients as the primary's.
    pub(super) serving: bool,
    /// A reply waits for a transaction that is sent from now on.
    pub(super) lease_check_wanted: bool,
    pub(super) leaving: Option<Leaving>,
    /// The value of `primary`.
    pub(super) primary: String,
    pub(super) trim: Trimming,
}

/// An entry that goes in parts.
#[derive(Debug)]
pub(super) struct PartsOut {
    pub(super) encoded: Vec<u8>,
    /// The bytes that are in the store.
    pub(super) done: usize,
    pub(super) mark: Option<Mark>,
}

/// A primary on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) to: Option<NodeId>,
    pub(super) reason: ReleaseReason,
    /// When it began: boot time.
    pub(super) since: u64,
    /// The latest time by which the state may have removed expired keys.
    pub(super) time: u64,
    /// Nothing is appended any more.
    pub(super) closed: bool,
    /// Whether it is taken back if it takes too long.
    pub(super) optional: bool,
    /// Leaves also with entries that wait: the store refuses them for good.
    pub(super) force: bool,
}

/// The primary's trimming.
#[derive(Debug, Default)]
pub(super) struct Trimming {
    /// When it looks again what may go: boot time.
    pub(super) due: u64,
    /// When it looks again although nothing could go: boot time.
    pub(super) rests_until: u64,
    /// The number of the read without an answer.
    pub(super) reading: Option<u64>,
    /// The number of the deletion without an answer, and the first batch that it leaves.
    pub(super) deleting: Option<(u64, Seq)>,
    /// The first batch that the store still has.
    pub(super) first: Seq,
    /// The first batch that must stay.
    pub(super) watermark: Seq,
    /// The value of `members` that `watermark` was counted by.
    pub(super) counted: Option<Vec<u8>>,
    /// The batches of this epoch in the store, and their bytes.
    pub(super) kept: VecDeque<(Seq, usize)>,
    pub(super) kept_bytes: u64,
    /// Bytes since the last look.
    pub(super) fresh: u64,
}

impl Group {
    pub(super) fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// The next random number (xorshift).
    pub(super) fn random(&mut self, below: u64) -> u64 {
        let state = &mut self.settings.random;
        // xorshift never leaves 0.
        *state |= 1;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) % below.max(1)
    }

    /// The lease to reckon with: that of the last line, since its writer promised it.
    pub(super) fn lease(&self) -> u64 {
        self.seen.as_ref().map_or(self.settings.lease, |seen| seen.tail.lease)
    }

    pub(super) fn is_member(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.list.has(self.settings.node))
    }

    /// Ends everything.
    pub(super) fn stop(&mut self, why: StopReason, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        if matches!(self.phase, Phase::Leading(_)) {
            // First, while `epoch` is the primary's own.
            self.tell_role(GroupRole::Follower, RoleReason::Stopped, out);
        }
        self.phase = Phase::Stopped;
        self.flight = None;
        out.push(Action::Stop(why));
    }

    /// Tells a role other than `Primary`.
    pub(super) fn tell_role(&mut self, role: GroupRole, reason: RoleReason, out: &mut Vec<Action>) {
        let epoch = self.epoch();
        self.role = role;
        out.push(Action::Role { role, epoch, lsn: 0, time: 0, reason });
    }

    pub(super) fn epoch(&self) -> Epoch {
        match &self.phase {
            Phase::Leading(lead) => lead.line.epoch,
            _ => self.seen.as_ref().map_or(0, |seen| seen.tail.epoch),
        }
    }

    /// Notes the revision of an answer. Returns whether it went back since the request began: then the store was
    /// restored from a backup, and its numbers may be used a second time.
    pub(super) fn went_back(
        &mut self,
        revision: u64,
        at_begin: u64,
        out: &mut Vec<Action>,
    ) -> bool {
        if revision < at_begin {
            self.stop_restored(out);
            return true;
        }
        self.revision = self.revision.max(revision);
        false
    }

    pub(super) fn stop_restored(&mut self, out: &mut Vec<Action>) {
        self.halt(HaltReason::Older, out);
    }

    /// The store was seeded anew, and cannot show that it was seeded with this node's entries.
    pub(super) fn stop_unproved(&mut self, out: &mut Vec<Action>) {
        let own = self.log.reaches();
        self.stop(StopReason::Unproved { own }, out);
    }

    /// Stops if a failure is one that no repetition mends. Returns whether it did.
    pub(super) fn is_final(&mut self, failure: &TxnFailure, out: &mut Vec<Action>) -> bool {
        match failure {
            TxnFailure::WentBack => self.stop_restored(out),
            TxnFailure::OtherCluster => self.halt(HaltReason::OtherStore, out),
            // Without a record: nothing says that the store lacks entries, and it can be repaired.
            TxnFailure::Corrupt => self.stop(StopReason::Corrupt, out),
            _ => return false,
        }
        true
    }

    /// Reads `tail` and `members`, unless a read is under way.
    pub(super) fn read_tail(&mut self, rewatch: bool, out: &mut Vec<Action>) {
        if let Some(reading) = &mut self.reading {
            reading.rewatch |= rewatch;
            return;
        }
        let id = self.id();
        let (age, position) = match &self.phase {
            Phase::Leading(lead) => (lead.line.age(), lead.position),
            _ => (
                self.seen.as_ref().map_or((0, 0, 0), |seen| seen.tail.age()),
                // [C-13] A node that has just started has entries that it has not read again yet, and the store must
                // count them.
                LogPosition { lsn: self.log.reaches(), ..*self.log.position() },
            ),
        };
        self.reading = Some(TailRead {
            id,
            issued: self.now.boot,
            age,
            revision: self.revision,
            position,
            rewatch,
        });
        out.push(Action::Read { id, read: Read::Tail });
    }

    /// Sends a transaction for the first time.
    pub(super) fn send(&mut self, kind: ReadKind, attempt: TxnAttempt, out: &mut Vec<Action>) {
        let id = self.id();
        out.push(Action::Transact { id, txn: Arc::clone(&attempt.txn) });
        self.flight = Some(Flight {
            kind,
            id: Some(id),
            again: 0,
            failures: 0,
            revision: self.revision,
            attempt,
            others: Vec::new(),
            unsure: false,
            noted: false,
        });
    }

    /// Sends the same transaction again, once its pause is over. Its lease still counts from the first try.
    pub(super) fn send_again(&mut self, out: &mut Vec<Action>) {
        let id = self.ids + 1;
        let (now, revision) = (self.now.boot, self.revision);
        let Some(flight) = &mut self.flight else { return };
        if flight.id.is_some() || now < flight.again {
            return;
        }
        self.ids = id;
        // `attempt.sent` stays: the first try may have been done [C-8].
        flight.id = Some(id);
        flight.revision = revision;
        out.push(Action::Transact { id, txn: Arc::clone(&flight.attempt.txn) });
    }
}

/// A setting of the lease within its bounds, so that every line that this node writes can be read.
pub(super) fn lease(lease: u64) -> u64 {
    lease.clamp(1, MOST_LEASE)
}
