//! Being the primary: batches, beats, the lease, the way out.

use super::state::{
    BatchLoad, Group, Lead, Leaving, PartsOut, Phase, ProcessExit, ReadKind, SeenTail, Trimming,
    TxnAttempt,
};
use crate::api::{Action, GroupRole};
use crate::batch::{Batch, BatchPiece, MOST_RAW, encode_entry, entry_bytes};
use crate::entry::{Committed, Entry, HeldEntries, LogPosition, Mark, NodeId};
use crate::format::{EntryFormat, time_behind};
use crate::join::Joiner;
use crate::reason::{ForkedValue, Notice, ReleaseReason, RestartReason, RoleReason, StopReason};
use crate::tail::Tail;
use crate::txn::{Put, Txn, ValueCompare};
use std::collections::VecDeque;
use std::sync::Arc;

/// The bytes of a batch that the store must take: less is no use.
const LEAST_LIMIT: usize = 8 << 10;
/// How long the state may take at least to let go of the group, in milliseconds: a command may hold its shards for
/// seconds, and a lease may be shorter.
const SHORTEST_HOLD: u64 = 5000;
/// How long the state may take for that after the role has ended, in milliseconds. Nobody waits for it, so a slow disk
/// has the time for some hundred MiB of entries.
const LONGEST_CLOSE: u64 = 60_000;

impl Group {
    /// The takeover was done: this node is the primary.
    pub(super) fn lead(&mut self, attempt: &TxnAttempt, out: &mut Vec<Action>) {
        let (Some(line), BatchLoad::Begin(entry)) = (attempt.line, attempt.load.clone()) else {
            return;
        };
        let (lsn, time, epoch) = (entry.lsn, entry.time, line.epoch);
        let position = LogPosition { time: attempt.before.time.max(time), ..attempt.after() };
        let mut trim = Trimming { due: self.now.boot, ..Trimming::default() };
        trim.add(line.seq, attempt.bytes());
        self.phase = Phase::Leading(Box::new(Lead {
            line,
            position,
            pending: VecDeque::new(),
            bytes: 0,
            last: lsn,
            part: None,
            limit: self.settings.most_batch.clamp(1, MOST_RAW),
            until: 0,
            sent: attempt.sent,
            last_txn: attempt.sent,
            begun: self.now.boot,
            serving: false,
            lease_check_wanted: false,
            leaving: None,
            primary: self.primary_text(epoch),
            trim,
        }));
        self.ahead.batches.clear();
        self.ahead.bytes = 0;
        self.filling = None;
        self.open = true;
        self.role = GroupRole::Primary;
        let mark = Mark { seq: line.seq, epoch, chain: attempt.before.chain, first: lsn };
        out.push(Action::Commit(Committed { mark, entries: vec![entry], after: position }));
        let reason = RoleReason::TookOver(self.why);
        out.push(Action::Role { role: GroupRole::Primary, epoch, lsn, time, reason });
        out.push(Action::CommitIndex(lsn));
        self.renew_lease(&line, attempt.sent, out);
        if self.exit != ProcessExit::No {
            self.leave(None, ReleaseReason::ProcessExit, false, out);
        } else if let Some(why) = self.unfit.clone() {
            // The trouble began while the takeover had no answer.
            self.leave(None, ReleaseReason::CannotServe(why), false, out);
        }
    }

    /// A transaction with this line was done: the lease counts from when it was first sent.
    fn renew_lease(&mut self, line: &Tail, sent: u64, out: &mut Vec<Action>) {
        let Phase::Leading(lead) = &mut self.phase else { return };
        // [C-8] From the sending of the first try, not from the answer: others count from when they received it.
        lead.until = lead.until.max(line.until(sent));
        lead.sent = lead.sent.max(sent);
        out.push(lead.lease_renewal(self.settings.lease_reads));
    }

    /// The answer of a read of `tail`: it confirms the primary as a transaction does [C-8].
    pub(super) fn lead_tail_read(
        &mut self,
        issued: u64,
        tail: &Tail,
        text: Vec<u8>,
        out: &mut Vec<Action>,
    ) {
        let (node, nonce) = (self.settings.node, self.settings.nonce);
        let Phase::Leading(lead) = &mut self.phase else { return };
        if tail.epoch > lead.line.epoch {
            return self.fence(Some((*tail, text)), out);
        }
        // An epoch has one process. This one wrote a line of it, so another one's is of another history.
        if tail.epoch != lead.line.epoch || tail.node != Some(node) || tail.nonce != nonce {
            return self.stop_fork(ForkedValue::Tail, out);
        }
        lead.sent = lead.sent.max(issued);
        out.push(lead.lease_renewal(self.settings.lease_reads));
    }

    /// A reply waits for a lease check.
    pub(super) fn lease_check_wanted(&mut self) {
        if let Phase::Leading(lead) = &mut self.phase {
            lead.lease_check_wanted = true;
        }
    }

    /// Takes the entries that workers appended.
    pub(super) fn append(&mut self, entries: Vec<Entry>, out: &mut Vec<Action>) {
        if entries.is_empty() {
            return;
        }
        let Phase::Leading(lead) = &mut self.phase else {
            // The state has changes that will never be committed.
            return self.end_fenced(out);
        };
        for entry in entries {
            // Those after a gap would be acknowledged without it.
            if entry.lsn != lead.last + 1 {
                let why = StopReason::Gap { found: entry.lsn, last: lead.last };
                return self.stop(why, out);
            }
            lead.last = entry.lsn;
            lead.bytes += entry_bytes(&entry);
            lead.pending.push_back(entry);
        }
    }

    /// Sends what is due, if no transaction is in flight.
    pub(super) fn lead_on(&mut self, out: &mut Vec<Action>) {
        self.end_unclosed(out);
        self.give_up_leaving(out);
        self.check_service(out);
        self.trim(out);
        if !self.watching.on && self.now.boot >= self.read_again {
            self.read_tail(true, out);
        }
        if !self.settings.lease_reads
            && self.reading.is_none()
            && let Phase::Leading(lead) = &mut self.phase
            && std::mem::take(&mut lead.lease_check_wanted)
        {
            self.read_tail(false, out);
        }
        if self.flight.is_some() {
            // One at a time: the next transaction compares the line that this one puts.
            return self.send_again(out);
        }
        let Phase::Leading(lead) = &self.phase else { return };
        if let Some(leaving) = &lead.leaving {
            if leaving.closed && (lead.is_drained() || leaving.force) {
                return self.release(out);
            }
            // The store accepts nothing, so only the state's answer is awaited, and no beat renews the lease.
            if leaving.force {
                return;
            }
        }
        let due = lead.beat_due(self.settings.lease);
        // Without a lease, the next read of `tail` proves: a transaction would cost the store's disks the same as a
        // batch.
        let beats = lead.lease_check_wanted && self.settings.lease_reads;
        if !lead.is_drained() || beats || self.now.boot >= due {
            self.send_batch(Vec::new(), false, out);
        }
    }

    /// Sends the next batch, or a beat. `others`: attempts with the same comparison that may have been done.
    fn send_batch(&mut self, others: Vec<TxnAttempt>, noted: bool, out: &mut Vec<Action>) {
        let settings = &self.settings;
        let Phase::Leading(lead) = &mut self.phase else { return };
        let (load, batch) = lead.next_load();
        let time = lead.time_behind(settings.format, &load);
        let position = lead.position;
        // An outcome is recognized by its line, so attempts that may have been done must not share one.
        let beats = others.len() as u64 + u64::from(batch.is_none());
        let ended = batch.as_ref().map_or(0, |batch| u64::from(batch.entries));
        let line = Tail {
            seq: position.seq + u64::from(batch.is_some()),
            lsn: position.lsn + ended,
            time: time.max(self.now.wall),
            beat: lead.line.beat + beats,
            lease: settings.lease,
            chain: batch.as_ref().map_or(position.chain, Batch::after),
            ..lead.line
        };
        let mut puts = vec![Put::Tail(line.to_string())];
        if let Some(batch) = batch {
            puts.push(Put::Batch(line.seq, batch.encode().into()));
        }
        let tail = lead.own_line();
        let txn = Arc::new(Txn { tail, members: ValueCompare::Any, halt: ValueCompare::Any, puts });
        // Nothing but the line is compared: a node that joins must not make a primary's batch fail.
        let sent = self.now.boot;
        lead.last_txn = sent;
        // With leases, this transaction is the check. A request that comes later asks for the next one.
        lead.lease_check_wanted &= !settings.lease_reads;
        // A shorter lease may count for others from now on, whether this node hears of it or not.
        let end = line.until(sent);
        if end < lead.until {
            lead.until = end;
            out.push(lead.lease_renewal(settings.lease_reads));
        }
        let before = position;
        // A build for the check of the chaos run's checkers, which must report the changes that this loses.
        #[cfg(hedgerow_no_fence)]
        let txn = Arc::new(Txn { tail: ValueCompare::Any, ..Txn::clone(&txn) });
        let attempt = TxnAttempt { txn, line: Some(line), sent, load, before };
        self.send(ReadKind::Append, attempt, out);
        if let Some(flight) = &mut self.flight {
            flight.others = others;
            flight.noted = noted;
        }
    }

    /// The store refuses the size of the transaction: cuts the batch smaller.
    pub(super) fn too_large(&mut self, out: &mut Vec<Action>) {
        let Some(mut flight) = self.flight.take() else { return };
        if let Phase::Leading(lead) = &mut self.phase
            && flight.kind == ReadKind::Append
        {
            // From the bytes that were refused. They are compressed and the limit is not, so halving the limit alone
            // might take many rounds.
            let size = lead.limit.min(flight.attempt.bytes().max(LEAST_LIMIT));
            if size > LEAST_LIMIT {
                lead.limit = (size / 2).max(LEAST_LIMIT);
                // An earlier try of the larger batch may have been done, at a member with another limit.
                let noted = flight.noted;
                let mut others = flight.others;
                if flight.unsure {
                    others.push(flight.attempt);
                }
                return self.send_batch(others, noted, out);
            }
            if !flight.unsure && flight.others.is_empty() {
                self.leave(None, ReleaseReason::BatchTooLarge, true, out);
                return;
            }
        }
        // An earlier try may have been done at another member. Only the same transaction finds out.
        flight.again = self.now.boot + 1000;
        self.flight = Some(flight);
    }

    /// A transaction of the primary was done.
    pub(super) fn appended(&mut self, attempt: &TxnAttempt, out: &mut Vec<Action>) {
        let Phase::Leading(lead) = &mut self.phase else { return };
        let Some(line) = attempt.line else { return };
        let mut after = LogPosition { time: lead.position.time, ..attempt.after() };
        lead.line = line;
        let mark = Mark {
            seq: after.seq,
            epoch: line.epoch,
            chain: attempt.before.chain,
            first: attempt.before.lsn + 1,
        };
        if !matches!(attempt.load, BatchLoad::None) {
            lead.trim.add(line.seq, attempt.bytes());
        }
        if let Some((mark, entries)) = lead.take(&attempt.load, mark) {
            after.time = time_behind(self.settings.format, after.time, &entries);
            out.push(Action::Commit(Committed { mark, entries, after }));
            out.push(Action::CommitIndex(after.lsn));
        }
        lead.position = after;
        self.renew_lease(&line, attempt.sent, out);
    }

    /// Begins to leave: refuses changes, and writes those that wait first.
    pub(super) fn leave(
        &mut self,
        to: Option<NodeId>,
        reason: ReleaseReason,
        force: bool,
        out: &mut Vec<Action>,
    ) {
        let Phase::Leading(lead) = &mut self.phase else { return };
        if let Some(leaving) = &mut lead.leaving {
            // A handover that was under way is not taken back any more.
            leaving.optional = false;
            leaving.force |= force;
            return;
        }
        lead.leaving = Some(Leaving {
            to,
            reason: reason.clone(),
            since: self.now.boot,
            time: 0,
            closed: false,
            optional: false,
            force,
        });
        out.push(Action::Note(Notice::Releasing(reason)));
        out.push(Action::Hold);
    }

    /// Hands the group over, if there is another member to take it.
    pub(super) fn hand_over(&mut self, to: Option<NodeId>, out: &mut Vec<Action>) {
        let node = self.settings.node;
        let others = self.members.as_ref().map_or(0, |members| {
            let others = members.list.0.iter().filter(|member| member.node != node);
            others.filter(|member| to.is_none_or(|to| to == member.node)).count()
        });
        // Releasing the group to nobody would only interrupt the writes.
        let (Phase::Leading(lead), 1..) = (&self.phase, others) else {
            out.push(Action::Note(Notice::HandOverRefused));
            return;
        };
        if lead.leaving.is_some() {
            // A release that must happen would be cancelled like a handover otherwise.
            out.push(Action::Note(Notice::HandOverIgnored));
            return;
        }
        self.leave(to, ReleaseReason::HandedOver, false, out);
        if let Phase::Leading(lead) = &mut self.phase
            && let Some(leaving) = &mut lead.leaving
        {
            leaving.optional = true;
        }
    }

    /// The process stops.
    pub(super) fn release_for_good(&mut self, out: &mut Vec<Action>) {
        self.exit = ProcessExit::Owed;
        self.leave(None, ReleaseReason::ProcessExit, false, out);
        self.finish_release(out);
    }

    /// Nothing is appended any more.
    pub(super) fn closed(&mut self, time: u64) {
        match &mut self.phase {
            Phase::Leading(lead) => {
                if let Some(leaving) = &mut lead.leaving {
                    leaving.closed = true;
                    leaving.time = time;
                }
            }
            _ => self.open = false,
        }
    }

    /// Lets go of the group if the state does not answer [`Action::Hold`]: its thread waits for a disk that hangs, or
    /// for a long command. A primary that went on beating would keep the group, and refuse all changes.
    ///
    /// The node is deposed then, although no other one has taken over yet.
    fn end_unclosed(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(lead) = &self.phase else { return };
        let most = (3 * lead.line.lease).max(SHORTEST_HOLD);
        let late = |leaving: &Leaving| {
            !leaving.closed && self.now.boot >= leaving.since.saturating_add(most)
        };
        if !lead.leaving.as_ref().is_some_and(late) {
            return;
        }
        if self.exit == ProcessExit::No {
            if lead.is_drained() {
                // The state has only what the log has, so it can follow as soon as it answers.
                return self.depose(RoleReason::HoldUnanswered, false, out);
            }
            // The state has changes that the store may never get, so it cannot follow. It waits for the store as long
            // as the process could not begin anew: see `end_unclosed_follower`.
            if self.disk_hangs {
                return;
            }
        }
        self.tell_role(GroupRole::Follower, RoleReason::HoldUnanswered, out);
        self.phase = Phase::Stopped;
        self.flight = None;
        out.push(match self.exit {
            ProcessExit::No => Action::Restart(RestartReason::HoldUnanswered),
            // The process ends anyway.
            ProcessExit::Owed | ProcessExit::Told => Action::Released,
        });
    }

    /// Ends a primary that was deposed, or has [let go](Self::end_unclosed) of the group, and whose state does not say
    /// that nothing is appended any more: it would neither follow nor take over, and say nothing.
    ///
    /// Not while its disk hangs. The system may not be able to end a thread that waits for the disk: then the new
    /// process does not begin, and the old one answers no client any more. As it is, clients are told the next primary.
    pub(super) fn end_unclosed_follower(&mut self, out: &mut Vec<Action>) {
        if self.disk_hangs {
            self.deposed = self.now.boot;
        }
        let late = self.open && self.now.boot >= self.deposed.saturating_add(LONGEST_CLOSE);
        // A process that stops ends anyway.
        if !late || self.exit != ProcessExit::No {
            return;
        }
        self.phase = Phase::Stopped;
        self.flight = None;
        out.push(Action::Restart(RestartReason::NotClosed));
    }

    /// Takes back a hand-over that does not get through.
    fn give_up_leaving(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(lead) = &mut self.phase else { return };
        let late = |leaving: &Leaving| {
            leaving.optional && self.now.boot >= leaving.since.saturating_add(3 * lead.line.lease)
        };
        if lead.leaving.as_ref().is_some_and(late) {
            lead.leaving = None;
            out.push(Action::Note(Notice::HandOverCancelled));
            out.push(Action::Unhold);
        }
    }

    /// Leaves if the state does not serve for three leases, or if its clock is too far ahead.
    fn check_service(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(lead) = &self.phase else { return };
        if lead.leaving.is_some() {
            return;
        }
        if !lead.serving && self.now.boot >= lead.begun.saturating_add(3 * lead.line.lease) {
            return self.leave(None, ReleaseReason::NotServing, false, out);
        }
        if self.is_ahead_of_others() {
            // The member with the lowest clock; it is alive, since its clock is known. One that loads or whose disk
            // fails would not take over, and the others would wait for it. Without another one this node keeps the
            // group: a wrong clock is better than no primary.
            let members = self.members.as_ref().map(|members| &members.list);
            let fit =
                |id| members.is_some_and(|list| list.has(id)) && !self.others_unfit.contains(&id);
            let to = self.clocks.others.iter().filter(|clock| fit(clock.0));
            if let Some(&(to, _)) = to.min_by_key(|clock| clock.1) {
                self.clocks.others.clear();
                self.leave(Some(to), ReleaseReason::ClockAhead, false, out);
            }
        }
    }

    /// Gives the group away. The role ends *before* the transaction is sent: once it is, another may lead.
    fn release(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(lead) = &self.phase else { return };
        let Some(leaving) = &lead.leaving else { return };
        let reason = leaving.reason.clone();
        let drained = lead.is_drained();
        // [C-1] The line keeps the log's clock, and the time up to which this node may have removed expired keys.
        let line = Tail {
            node: leaving.to,
            nonce: 0,
            beat: lead.line.beat + 1,
            time: lead.line.time.max(self.now.wall).max(leaving.time),
            ..lead.line
        };
        let tail = lead.own_line();
        let puts = vec![Put::Tail(line.to_string())];
        let txn = Arc::new(Txn { tail, members: ValueCompare::Any, halt: ValueCompare::Any, puts });
        let (before, sent) = (lead.position, self.now.boot);
        // `resting` gives the others two leases to come. This node knows of the release first, and would often be the
        // first to take the group back.
        self.tell_role(GroupRole::Follower, RoleReason::Released(reason), out);
        self.follow_again(out);
        self.open = false;
        self.resting = sent.saturating_add(2 * line.lease);
        let attempt = TxnAttempt { txn, line: Some(line), sent, load: BatchLoad::None, before };
        self.send(ReadKind::HandBack, attempt, out);
        // Only with `force`. These changes were never acknowledged, and nothing undoes them.
        if !drained {
            self.end_fenced(out);
        }
    }

    /// Another node is the primary.
    pub(super) fn fence(&mut self, by: Option<(Tail, Vec<u8>)>, out: &mut Vec<Action>) {
        if cfg!(hedgerow_no_fence) {
            return;
        }
        let Phase::Leading(lead) = &self.phase else { return };
        let drained = lead.is_drained();
        // During a handover the state may have answered already. It need not be awaited again.
        let closed = lead.leaving.as_ref().is_some_and(|leaving| leaving.closed);
        let reason = RoleReason::Deposed(by.as_ref().and_then(|by| by.0.node));
        self.depose(reason, closed, out);
        if !drained {
            // [C-6] The state has changes that may not be in the log.
            return self.end_fenced(out);
        }
        if let Some((tail, text)) = by {
            self.see(tail, text, out);
        }
        self.finish_release(out);
    }

    /// Turns a primary into a follower that has not released the group. `closed`: nothing is appended any more.
    fn depose(&mut self, reason: RoleReason, closed: bool, out: &mut Vec<Action>) {
        self.tell_role(GroupRole::Follower, reason, out);
        self.flight = None;
        self.follow_again(out);
        self.open = !closed;
        self.deposed = self.now.boot;
    }

    /// Ends, because the state has changes that are not in the log. Nothing undoes them: the recovery of a new process
    /// begins without them.
    fn end_fenced(&mut self, out: &mut Vec<Action>) {
        self.phase = Phase::Stopped;
        self.flight = None;
        out.push(Action::Fenced);
    }

    /// Turns a primary into a follower at the same position.
    fn follow_again(&mut self, out: &mut Vec<Action>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Following);
        let Phase::Leading(lead) = phase else { return };
        self.log =
            Joiner::new(self.settings.format, lead.position, HeldEntries::up_to(lead.position.lsn));
        self.applying.queue.clear();
        self.applying.bytes = 0;
        self.applying.applied = lead.position.lsn;
        self.ahead.batches.clear();
        self.ahead.bytes = 0;
        self.ahead.wanted = lead.position.seq;
        let jitter = self.random(1 << 32);
        let received = self.now.boot;
        let text = lead.line.to_string().into_bytes();
        // Not updated while this node led: it was still the line before the takeover.
        self.seen = Some(SeenTail { tail: lead.line, text, received, jitter });
        self.watching.heard = self.now.boot;
        // The watch was not listened to.
        self.read_tail(false, out);
    }
}

impl Lead {
    fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.part.is_none()
    }

    /// The comparison that each of its transactions makes: nobody has written since this node did [C-4].
    fn own_line(&self) -> ValueCompare {
        ValueCompare::Is(self.line.to_string().into_bytes())
    }

    fn lease_renewal(&self, lease_reads: bool) -> Action {
        let until = if lease_reads { self.until } else { 0 };
        Action::RenewLease { epoch: self.line.epoch, until, sent: self.sent }
    }

    /// The time of the next beat, unless a batch goes before: a third of the lease in the store, or of the own setting
    /// if that is shorter by now.
    pub(super) fn beat_due(&self, lease: u64) -> u64 {
        self.last_txn + self.line.lease.min(lease) / 3
    }

    /// The entries of a batch, or the part of one. Without any, a beat.
    fn next_load(&mut self) -> (BatchLoad, Option<Batch>) {
        let Some(front) = self.pending.front() else { return (BatchLoad::None, None) };
        if self.part.is_none() && entry_bytes(front) > self.limit {
            let mut encoded = Vec::with_capacity(entry_bytes(front));
            encode_entry(front, &mut encoded);
            self.part = Some(PartsOut { encoded, done: 0, mark: None });
        }
        let mut raw = Vec::new();
        let (load, piece, entries) = if let Some(part) = &self.part {
            let end = part.encoded.len().min(part.done + self.limit);
            raw.extend_from_slice(&part.encoded[part.done..end]);
            let last = end == part.encoded.len();
            let piece = if last { BatchPiece::LastPart } else { BatchPiece::Part };
            (BatchLoad::Part(end), piece, u32::from(last))
        } else {
            let mut count = 0;
            for entry in &self.pending {
                // Never at the first entry: that would go in parts.
                if raw.len() + entry_bytes(entry) > self.limit {
                    break;
                }
                encode_entry(entry, &mut raw);
                count += 1;
            }
            (BatchLoad::Entries(count), BatchPiece::Whole, count as u32)
        };
        let (epoch, first) = (self.line.epoch, self.position.lsn + 1);
        (load, Some(Batch { epoch, first, entries, piece, before: self.position.chain, raw }))
    }

    /// The latest time behind the entries that a batch completes: that of the line, if there is none.
    fn time_behind(&self, format: &dyn EntryFormat, load: &BatchLoad) -> u64 {
        let is_last = |end| self.part.as_ref().is_some_and(|part| end == part.encoded.len());
        let count = match load {
            BatchLoad::Entries(count) => *count,
            BatchLoad::Part(end) => usize::from(is_last(*end)),
            BatchLoad::None | BatchLoad::Begin(_) => 0,
        };
        time_behind(format, self.line.time, self.pending.iter().take(count))
    }

    /// Takes the entries that a transaction completed, with the mark of their first batch.
    fn take(&mut self, load: &BatchLoad, mark: Mark) -> Option<(Mark, Vec<Entry>)> {
        let (mark, count) = match load {
            BatchLoad::None | BatchLoad::Begin(_) => return None,
            BatchLoad::Entries(count) => (mark, *count),
            BatchLoad::Part(end) => {
                let part = self.part.as_mut()?;
                part.done = *end;
                // The mark of the first part, because a restarted node that began with the last one would lack the
                // rest.
                let first = *part.mark.get_or_insert(mark);
                if part.done < part.encoded.len() {
                    return None;
                }
                (first, 1)
            }
        };
        self.part = None;
        let entries: Vec<_> = self.pending.drain(..count.min(self.pending.len())).collect();
        self.bytes -= entries.iter().map(entry_bytes).sum::<usize>();
        Some((mark, entries))
    }
}

impl TxnAttempt {
    /// The bytes of the batch that it puts.
    pub(super) fn bytes(&self) -> usize {
        let batch = |put: &Put| if let Put::Batch(_, value) = put { value.len() } else { 0 };
        self.txn.puts.iter().map(batch).sum()
    }
}
