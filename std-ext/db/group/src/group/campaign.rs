//! Becoming the primary: membership, the wait for a lease, the takeover.

use super::state::{
    BatchLoad, Group, Phase, ProcessExit, ReadKind, SeenMembers, SeenTail, TxnAttempt,
};
use crate::api::Action;
use crate::batch::{Batch, BatchPiece, encode_entry};
use crate::entry::{Entry, LogPosition, NodeId};
use crate::members::Members;
use crate::reason::{ForkedValue, Notice, StopReason};
use crate::tail::Tail;
use crate::takeover::Takeover;
use crate::txn::{Put, Txn, TxnFailure, TxnOutcome, ValueCompare, primary_value};
use std::sync::Arc;

/// The shortest and the longest pause before a transaction is sent again, in milliseconds.
const SHORTEST_PAUSE: u64 = 10;
const LONGEST_PAUSE: u64 = 1000;

impl Group {
    pub(super) fn is_candidate(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.kind == ReadKind::Takeover)
    }

    /// Adds this node to the members, once in the life of a process.
    pub(super) fn join(&mut self, out: &mut Vec<Action>) {
        let Some(members) = &self.members else { return };
        // Only once: a node that `forget` has removed would otherwise add itself again at once.
        if self.was_member || self.flight.is_some() || self.exit != ProcessExit::No {
            return;
        }
        let list = members.list.with(self.settings.node, self.now.wall);
        let txn = Arc::new(Txn {
            // Other nodes may write the log meanwhile. Only the list must be the one that was read, or a node that
            // joins at the same time would be lost.
            tail: ValueCompare::Any,
            members: compare(members.text.as_ref()),
            halt: ValueCompare::Any,
            puts: vec![Put::Members(list.print())],
        });
        let sent = self.now.boot;
        let before = *self.log.position();
        let attempt = TxnAttempt { txn, line: None, sent, load: BatchLoad::None, before };
        self.send(ReadKind::Join, attempt, out);
    }

    /// The time at which this node may take over. `None`: it may not, as things are.
    pub(super) fn campaign_due(&self) -> Option<u64> {
        // Not while `open`: workers may still append entries of the epoch that has ended, and these would be taken for
        // entries of the new one.
        let idle = matches!(self.phase, Phase::Following)
            && self.flight.is_none()
            && self.exit == ProcessExit::No
            && !self.open
            && !self.applying.resync;
        let barred = self.cannot_apply.is_some() || self.unfit.is_some() || self.is_ahead();
        // [C-14] The wait goes on until an operator has decided.
        let barred = barred || self.lost.is_some();
        if !idle || barred || !self.is_member() {
            return None;
        }
        let Some(seen) = &self.seen else {
            // A read must have found no line. That the watch has shown none proves nothing.
            return self.absent.then_some(0);
        };
        // [C-5] Applied as well as read: a primary no longer counts what its state applies.
        let caught_up =
            self.log.position().seq == seen.tail.seq && self.applying.applied >= seen.tail.lsn;
        // A line that names this node asks it to come back at once, however short ago it released the group.
        let named = seen.tail.nonce == 0 && seen.tail.node == Some(self.settings.node);
        let resting = if named { 0 } else { self.resting };
        caught_up.then(|| resting.max(self.due(seen)))
    }

    /// When a line allows this node to take over.
    fn due(&self, seen: &SeenTail) -> u64 {
        // [C-8] The length that the holder claimed, not the own setting.
        let lease = seen.tail.lease;
        let claimable = seen.tail.claimable(seen.received);
        // Candidates that try together only refuse each other, so each waits an eighth of a lease longer than the one
        // before.
        let rank = self.rank(seen.tail.node).saturating_mul(lease / 8);
        let released = seen.tail.nonce == 0;
        match seen.tail.node {
            Some(node) if released && node == self.settings.node => seen.received,
            // Nobody has a lease, so the rank alone decides.
            None if released => seen.received.saturating_add(rank),
            Some(_) if self.may_take_back(&seen.tail) => seen.received,
            // Also after a handover to another node. It may have taken over with a line that has not arrived here yet.
            _ => claimable.saturating_add(rank).saturating_add(seen.jitter % (lease / 8 + 1)),
        }
    }

    /// Whether a line is of a process of this node that has ended for certain, so that its lease protects nobody
    /// [C-15].
    ///
    /// The next epoch fences what that process has sent and the store has not received yet. To the other nodes this is
    /// a takeover like any other.
    ///
    /// Not once the lease has run out, although the process has ended all the same: the line may come from a backup of
    /// the store, and then the other nodes need the wait to say that they have more [C-14]. While the lease runs,
    /// nobody else has taken over, so nobody has more. The line's time is of this machine's clock.
    fn may_take_back(&self, tail: &Tail) -> bool {
        let is_own = tail.node == Some(self.settings.node);
        let is_fresh = self.now.wall <= tail.time.saturating_add(tail.lease);
        is_own && self.settings.former.contains(&tail.nonce) && is_fresh
    }

    /// The place of this node among the members that may take over.
    fn rank(&self, holder: Option<NodeId>) -> u64 {
        let Some(members) = &self.members else { return 0 };
        // In the order of the list, which all nodes read from the same value.
        let others = members.list.0.iter().filter(|member| Some(member.node) != holder);
        others.take_while(|member| member.node != self.settings.node).count() as u64
    }

    /// Whether the clock of this node is too far ahead to lead: entries carry it, and their times never go back, so
    /// keys would expire too early [C-7].
    ///
    /// Only a clock that is ahead of the others' median *and* of the last line's time is. The lowest may always lead.
    pub(super) fn is_ahead(&self) -> bool {
        let Some(seen) = &self.seen else { return false };
        let since = self.now.boot.saturating_sub(seen.received);
        let expected = seen.tail.time.saturating_add(since).saturating_add(self.settings.max_skew);
        self.now.wall > expected && self.is_ahead_of_others()
    }

    pub(super) fn is_ahead_of_others(&self) -> bool {
        let mut others: Vec<i64> = self.clocks.others.iter().map(|clock| clock.1).collect();
        others.sort_unstable();
        // They count from this node's clock: if the median is negative, this node is ahead of most others. Of two in
        // the middle, the later one.
        let median = others.get(others.len() / 2).copied().unwrap_or(0);
        let skew = i64::try_from(self.settings.max_skew).unwrap_or(i64::MAX);
        median < skew.saturating_neg()
    }

    /// Takes over if the time has come.
    pub(super) fn campaign(&mut self, out: &mut Vec<Action>) {
        let ahead = self.is_ahead();
        if ahead && !self.clocks.noted {
            out.push(Action::Note(Notice::ClockAhead));
        }
        self.clocks.noted = ahead;
        if self.campaign_due().is_some_and(|due| due <= self.now.boot) {
            self.take_over(out);
        }
    }

    /// Sends the one transaction that makes this node the primary: a new epoch, and the entry that begins it.
    fn take_over(&mut self, out: &mut Vec<Action>) {
        let Some(members) = &self.members else { return };
        let before = *self.log.position();
        let old = self.seen.as_ref();
        // [C-5] The candidate has all that the line counts, and nothing else.
        let counted = |tail: &Tail| (tail.seq, tail.lsn, tail.chain);
        if old.is_some_and(|seen| counted(&seen.tail) != (before.seq, before.lsn, before.chain)) {
            return self.stop_fork(ForkedValue::Tail, out);
        }
        // Also after an own process that has died. What it sent may still arrive, and its last entry may lack its end
        // [C-3].
        let epoch = old.map_or(0, |seen| seen.tail.epoch) + 1;
        // [C-1] By the log's clock if that is ahead of this one: other nodes have removed the keys that had expired by
        // it.
        let time = self.now.wall.max(before.time).max(old.map_or(0, |seen| seen.tail.time));
        let changes = self.settings.format.begin(epoch, self.settings.node);
        let entry = Entry { lsn: before.lsn + 1, time, changes };
        let mut raw = Vec::new();
        encode_entry(&entry, &mut raw);
        let batch = Batch {
            epoch,
            first: entry.lsn,
            entries: 1,
            piece: BatchPiece::Whole,
            before: before.chain,
            raw,
        };
        let line = Tail {
            epoch,
            node: Some(self.settings.node),
            nonce: self.settings.nonce,
            seq: before.seq + 1,
            lsn: entry.lsn,
            time,
            beat: 0,
            lease: self.settings.lease,
            chain: batch.after(),
        };
        let txn = Arc::new(Txn {
            tail: compare(old.map(|seen| &seen.text)),
            members: compare(members.text.as_ref()),
            // [C-14] A node may have said since the last read that it has more.
            halt: compare(self.objections.halt.as_ref()),
            puts: vec![
                Put::Tail(line.to_string()),
                Put::Batch(line.seq, batch.encode().into()),
                Put::Primary(self.primary_text(epoch)),
            ],
        });
        self.why = self.takeover_reason();
        let sent = self.now.boot;
        let attempt =
            TxnAttempt { txn, line: Some(line), sent, load: BatchLoad::Begin(entry), before };
        self.send(ReadKind::Takeover, attempt, out);
    }

    /// The value of `primary` while this node leads in an epoch.
    pub(super) fn primary_text(&self, epoch: u64) -> String {
        primary_value(epoch, self.settings.node, self.settings.nonce)
    }

    /// Why the last line allowed the takeover.
    fn takeover_reason(&self) -> Takeover {
        match &self.seen {
            None => Takeover::New,
            Some(SeenTail { tail, .. }) => match (tail.node, tail.nonce) {
                (Some(node), 0) if node == self.settings.node => Takeover::HandedOver,
                (None, _) => Takeover::Released,
                (Some(node), 0) => Takeover::NotTaken(node),
                _ if self.may_take_back(tail) => Takeover::TakenBack,
                (Some(node), _) => Takeover::LeaseEnded(node),
            },
        }
    }

    /// Returns why this node took the group over last, or tries to.
    pub fn takeover(&self) -> Takeover {
        self.why
    }

    /// The answer of a transaction.
    pub(super) fn transacted(&mut self, id: u64, outcome: TxnOutcome, out: &mut Vec<Action>) {
        // The answer of a transaction that was given up, because a newer line had made it pointless, counts no more.
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.id == Some(id)) else {
            return;
        };
        flight.id = None;
        let at_begin = flight.revision;
        match outcome {
            TxnOutcome::Done { revision } => {
                if !self.went_back(revision, at_begin, out)
                    && let Some(flight) = self.flight.take()
                {
                    self.done(flight.kind, &flight.attempt, revision, out);
                }
            }
            TxnOutcome::Refused { revision, tail, members } => {
                if !self.went_back(revision, at_begin, out) {
                    self.refused(revision, tail, members, out);
                }
            }
            TxnOutcome::Failed(failure) => self.failed(&failure, out),
        }
    }

    /// A comparison did not hold. If `tail` is a line that this transaction writes, an earlier try did it.
    fn refused(
        &mut self,
        revision: u64,
        tail: Option<Vec<u8>>,
        members: Option<Vec<u8>>,
        out: &mut Vec<Action>,
    ) {
        let Some(flight) = self.flight.take() else { return };
        if let Some(text) = &tail {
            let mut attempts = flight.others.iter().chain([&flight.attempt]);
            if let Some(attempt) = attempts.find(|attempt| attempt.writes(text)) {
                return self.done(flight.kind, attempt, revision, out);
            }
        }
        self.members_are(members, revision, out);
        let parsed = match tail.as_deref().map(Tail::parse).transpose() {
            Ok(parsed) => parsed.zip(tail),
            Err(why) => return self.stop(StopReason::Unreadable(why), out),
        };
        if matches!(self.phase, Phase::Leading(_)) {
            return match parsed {
                Some((line, _)) if self.is_older(&line) => self.stop_restored(out),
                Some(parsed) => self.fence(Some(parsed), out),
                // No transaction puts an older line, or deletes that of a primary.
                None => self.stop_restored(out),
            };
        }
        // The comparison reads what is linearizable, so it counts as a read. A line that is older than the one compared
        // with means that the store went back; the next read says so.
        if let Some((line, text)) = parsed
            && self.seen.as_ref().is_none_or(|seen| seen.tail.age() < line.age())
        {
            self.see(line, text, out);
        } else {
            self.read_tail(false, out);
        }
        self.finish_release(out);
    }

    fn is_older(&self, line: &Tail) -> bool {
        matches!(&self.phase, Phase::Leading(lead) if line.age() < lead.line.age())
    }

    /// There is no outcome: the table of `txn.rs`.
    fn failed(&mut self, failure: &TxnFailure, out: &mut Vec<Action>) {
        if self.is_final(failure, out) {
            return;
        }
        let lease = self.lease();
        let Some(flight) = &mut self.flight else { return };
        flight.failures += 1;
        // Doubles with each failure, up to an eighth of the lease, so that a primary has several tries while its lease
        // runs.
        let growing = SHORTEST_PAUSE << flight.failures.min(7);
        let pause = match failure {
            TxnFailure::Unknown(_) => {
                flight.unsure = true;
                growing.min(lease / 8)
            }
            TxnFailure::NoSpace => {
                flight.unsure = true;
                out.push(Action::ReclaimQuota);
                lease / 4
            }
            TxnFailure::TooLarge => return self.too_large(out),
            TxnFailure::Busy(_) => growing.min(lease / 8),
            // `Denied`, too: only an operator can mend it, but then the node needs no restart.
            _ => LONGEST_PAUSE,
        };
        flight.again = self.now.boot + pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        // One or two failures are routine, as when the store elects a leader.
        if flight.failures > 2 && !flight.noted {
            flight.noted = true;
            out.push(Action::Note(Notice::Failing(failure.clone())));
        }
        // Deletions are what the store still accepts.
        if *failure == TxnFailure::NoSpace {
            self.trim_now();
        }
    }

    /// A transaction was done.
    fn done(&mut self, kind: ReadKind, attempt: &TxnAttempt, revision: u64, out: &mut Vec<Action>) {
        match kind {
            ReadKind::Join => self.joined(attempt, revision),
            ReadKind::Takeover => self.lead(attempt, out),
            ReadKind::Append => self.appended(attempt, out),
            ReadKind::HandBack => {
                if let Some(line) = attempt.line {
                    let text = line.to_string().into_bytes();
                    self.see(line, text, out);
                }
                self.finish_release(out);
            }
        }
    }

    fn joined(&mut self, attempt: &TxnAttempt, revision: u64) {
        let Some(Put::Members(text)) = attempt.txn.puts.first() else { return };
        let text = text.clone().into_bytes();
        if let Ok(list) = Members::parse(&text) {
            // With the revision, so that an older list, which the watch may still report, is not taken for a removal.
            self.members = Some(SeenMembers { text: Some(text), list, revision });
            self.was_member = true;
        }
    }

    /// A newer line ends a takeover or a release without an answer: its comparison can never hold again.
    pub(super) fn note_flight_of_another(&mut self, out: &mut Vec<Action>) {
        let Some(flight) = &self.flight else { return };
        let Some(seen) = &self.seen else { return };
        // Joining compares no line, and what becomes of a primary's batch is decided by `fence`.
        if !matches!(flight.kind, ReadKind::Takeover | ReadKind::HandBack) {
            return;
        }
        let mine = flight.attempt.writes(&seen.text);
        let stale = match flight.attempt.line {
            Some(line) => seen.tail.age() > line.age() || !mine && seen.tail.age() == line.age(),
            None => false,
        };
        if mine && let Some(flight) = self.flight.take() {
            self.done(flight.kind, &flight.attempt, self.revision, out);
        } else if stale {
            self.flight = None;
            self.finish_release(out);
        }
    }

    /// Says that the group is released, if somebody waits for that.
    pub(super) fn finish_release(&mut self, out: &mut Vec<Action>) {
        // The process need not wait to join: it only waits until it cannot be the primary any more.
        let busy = self.flight.as_ref().is_some_and(|flight| flight.kind != ReadKind::Join);
        if self.exit == ProcessExit::Owed && !busy && !matches!(self.phase, Phase::Leading(_)) {
            self.exit = ProcessExit::Told;
            out.push(Action::Released);
        }
    }
}

impl TxnAttempt {
    /// Whether this transaction puts this line.
    pub(super) fn writes(&self, text: &[u8]) -> bool {
        // [C-4] The whole text. A line of another node may have the same epoch, batch and beat.
        self.line.is_some_and(|line| line.to_string().as_bytes() == text)
    }

    /// The position behind its batch.
    pub(super) fn after(&self) -> LogPosition {
        let line = self.line.as_ref();
        LogPosition {
            seq: line.map_or(self.before.seq, |line| line.seq),
            lsn: line.map_or(self.before.lsn, |line| line.lsn),
            epoch: line.map_or(self.before.epoch, |line| line.epoch),
            chain: line.map_or(self.before.chain, |line| line.chain),
            time: self.before.time,
        }
    }
}

/// Returns the condition that a key still has the value that was read.
pub(super) fn compare(value: Option<&Vec<u8>>) -> ValueCompare {
    value.map_or(ValueCompare::Absent, |text| ValueCompare::Is(text.clone()))
}
