//! Reading the log: watch, gaps, chain, resync.

use super::state::{BatchRead, Group, HaltReason, Origin, Phase, SeenMembers, SeenTail, TailRead};
use crate::api::{Action, GroupRole, Read};
use crate::batch::Batch;
use crate::entry::Lsn;
use crate::entry::{HeldEntries, LogPosition, Seq};
use crate::halt::Objections;
use crate::join::{Joiner, NotNext};
use crate::members::Members;
use crate::reason::{ForkedValue, Notice, ReleaseReason, RoleReason, StopReason};
use crate::tail::Tail;
use crate::txn::TxnFailure;

/// The bytes of batches that wait for their turn, and of entries that wait to be applied.
const MOST_AHEAD: usize = 16 << 20;
/// The batches that one read requests.
const MOST_READ: u64 = 64;
/// The pause after a failed read, in milliseconds.
const PAUSE: u64 = 100;
/// The reads in sequence that find more than the watch told, after which the watch begins anew.
const MOST_LAGS: u32 = 2;

impl Group {
    /// The answer of a read of `tail`, `members` and what speaks against a takeover, all of one revision.
    pub(super) fn tail_read(
        &mut self,
        read: &TailRead,
        revision: u64,
        (tail, members, objections): (Option<Vec<u8>>, Option<Vec<u8>>, Objections),
        out: &mut Vec<Action>,
    ) {
        // Even if the answer is of no use below: otherwise the next read would be due at once.
        self.watching.heard = self.now.boot;
        if self.went_back(revision, read.revision, out) {
            return;
        }
        if read.rewatch || !self.watching.on {
            self.watching.on = true;
            self.watching.lags = 0;
            out.push(Action::Watch(revision + 1));
        }
        self.members_are(members, revision, out);
        if let Phase::Leading(lead) = &self.phase
            && read.age.0 != lead.line.epoch
        {
            // It began before this node took over, and may show the line of then.
            return;
        }
        let Some(text) = tail else {
            self.objections_are(objections, None, out);
            return self.tail_is_absent(read, out);
        };
        let tail = match Tail::parse(&text) {
            Ok(tail) => tail,
            Err(why) => return self.stop(StopReason::Unreadable(why), out),
        };
        // [C-13] A linearizable read never shows an earlier line than one that was known when the read began.
        if tail.age() < read.age {
            return self.stop_restored(out);
        }
        let known = &read.position;
        // A node that has just started knows no line, but it has entries. They were committed before they were stored
        // [C-9], so a healthy store counts them.
        if tail.seq < known.seq || tail.lsn < known.lsn {
            return self.halt(HaltReason::Fork(ForkedValue::Tail), out);
        }
        if self.forks(&tail, &text) {
            return self.stop_fork(ForkedValue::Tail, out);
        }
        self.objections_are(objections, Some(&tail), out);
        if matches!(self.phase, Phase::Leading(_)) {
            return self.lead_tail_read(read.issued, &tail, text, out);
        }
        // Not raised by later lines: under constant writes the node would never finish loading.
        if self.loaded_at.is_none() {
            self.loaded_at = Some(tail.lsn);
        }
        let newer = self.seen.as_ref().is_none_or(|seen| seen.tail.age() < tail.age());
        if newer {
            self.see(tail, text, out);
            self.watching.lags += 1;
            if self.watching.lags > MOST_LAGS {
                self.watching.lags = 0;
                out.push(Action::Watch(revision + 1));
            }
        } else {
            self.watching.lags = 0;
        }
    }

    /// Whether a line belongs to another history than the one that this node has read.
    fn forks(&self, tail: &Tail, text: &[u8]) -> bool {
        let here = self.log.position();
        // One history has one chain and one last entry for each batch.
        if tail.seq == here.seq && (tail.chain, tail.lsn) != (here.chain, here.lsn) {
            return true;
        }
        // While this node leads, `seen` is still the line before its takeover.
        !matches!(self.phase, Phase::Leading(_))
            && self
                .seen
                .as_ref()
                .is_some_and(|seen| seen.tail.age() == tail.age() && seen.text != text)
    }

    fn tail_is_absent(&mut self, read: &TailRead, out: &mut Vec<Action>) {
        // [C-13] Only a node without entries may create the group. If one with entries finds no line, the store was
        // emptied.
        if read.age == (0, 0, 0) && self.seen.is_none() && self.log.reaches() == 0 {
            self.absent = true;
            self.loaded_at = Some(0);
            return;
        }
        if read.age == (0, 0, 0) && read.position.lsn == 0 {
            // Another node created it while the read was under way: the watch has brought a line or a batch of it.
            if self.seen.is_none() {
                self.read_tail(false, out);
            }
            return;
        }
        self.halt(HaltReason::Emptied, out);
    }

    /// Takes what spoke against a takeover behind a line [C-14].
    fn objections_are(
        &mut self,
        objections: Objections,
        tail: Option<&Tail>,
        out: &mut Vec<Action>,
    ) {
        let nobody = Members::default();
        let members = self.members.as_ref().map_or(&nobody, |members| &members.list);
        // Of the records of disks, only those of members count: a node that was removed must not block the group.
        let lost = objections.against(tail, members);
        // Logged once, not with each read.
        if let Some(why) = lost.as_ref().filter(|_| self.lost.is_none()) {
            out.push(Action::Note(Notice::EntriesLost(why.clone())));
        }
        (self.objections, self.lost) = (objections, lost);
    }

    /// Takes a new line of `tail`.
    pub(super) fn see(&mut self, tail: Tail, text: Vec<u8>, out: &mut Vec<Action>) {
        self.absent = false;
        self.ahead.wanted = self.ahead.wanted.max(tail.seq);
        let jitter = self.random(1 << 32);
        self.seen = Some(SeenTail { tail, text, received: self.now.boot, jitter });
        self.note_flight_of_another(out);
    }

    /// The watch saw a line.
    pub(super) fn tail_watched(&mut self, text: Option<Vec<u8>>, out: &mut Vec<Action>) {
        // Not believed before a linearizable read has confirmed it: watches may be late and repeat themselves.
        let Some(text) = text else { return self.read_tail(false, out) };
        let tail = match Tail::parse(&text) {
            Ok(tail) => tail,
            Err(why) => return self.stop(StopReason::Unreadable(why), out),
        };
        if let Phase::Leading(lead) = &self.phase {
            // A watch may be late and repeat itself. A higher epoch exists only if this node was deposed.
            if tail.epoch > lead.line.epoch {
                self.fence(Some((tail, text)), out);
            }
            return;
        }
        let Some(seen) = &self.seen else {
            // The first line comes from a read.
            return self.read_tail(false, out);
        };
        // Two lines of one age are two histories. A read decides which of them the store has.
        if tail.age() == seen.tail.age() && text != seen.text {
            return self.read_tail(false, out);
        }
        if tail.age() > seen.tail.age() {
            self.watching.lags = 0;
            self.see(tail, text, out);
        }
    }

    /// Takes a value of `members`.
    pub(super) fn members_are(
        &mut self,
        text: Option<Vec<u8>>,
        revision: u64,
        out: &mut Vec<Action>,
    ) {
        if self.members.as_ref().is_some_and(|members| members.revision > revision) {
            return;
        }
        let list = match text.as_deref().map_or(Ok(Members::default()), Members::parse) {
            Ok(list) => list,
            Err(why) => return self.stop(StopReason::Unreadable(why), out),
        };
        self.members = Some(SeenMembers { text, list, revision });
        if self.is_member() {
            self.was_member = true;
        } else if self.was_member {
            // Only if it was one: a node that has just started has yet to join.
            out.push(Action::Note(Notice::Removed));
            self.leave(None, ReleaseReason::Removed, false, out);
        }
    }

    /// The watch saw a batch.
    pub(super) fn batch_watched(&mut self, seq: Seq, value: Vec<u8>, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Leading(_)) || seq < self.log.next() {
            return;
        }
        self.ahead.wanted = self.ahead.wanted.max(seq);
        if self.applying.resync {
            out.push(Action::Spool(seq, value));
        } else if self.ahead.bytes < MOST_AHEAD {
            // What does not fit becomes a gap, and is read later.
            self.keep(seq, value);
        }
    }

    fn keep(&mut self, seq: Seq, value: Vec<u8>) {
        self.ahead.bytes += value.len();
        // The watch and a read may bring the same batch.
        if let Some(old) = self.ahead.batches.insert(seq, value) {
            self.ahead.bytes -= old.len();
        }
    }

    /// Reads the batches that are next, as far as they are here.
    pub(super) fn pump(&mut self, out: &mut Vec<Action>) {
        while self.may_read() {
            let next = self.log.next();
            while let Some(entry) = self.ahead.batches.first_entry()
                && *entry.key() < next
            {
                self.ahead.bytes -= entry.remove().len();
            }
            let Some(value) = self.ahead.batches.remove(&next) else { return };
            self.ahead.bytes -= value.len();
            self.read_batch(next, &value, out);
        }
    }

    /// Whether the next batch may be read now.
    fn may_read(&self) -> bool {
        // While `open`, the state may have changes that the log lacks, and entries must not be applied on top [C-6].
        // A takeover without an answer decides which batch is next.
        matches!(self.phase, Phase::Following)
            && !self.applying.resync
            && !self.open
            && !self.is_candidate()
            && self.cannot_apply.is_none()
            && self.applying.bytes < MOST_AHEAD
    }

    fn read_batch(&mut self, seq: Seq, value: &[u8], out: &mut Vec<Action>) {
        let joined =
            Batch::decode(value).map_err(NotNext::Wrong).and_then(|batch| self.log.take(&batch));
        match joined {
            Ok(Some(committed)) => {
                // With 64 for each entry, so that many empty ones have a size.
                let bytes = committed.entries.iter().map(|entry| entry.changes.len() + 64).sum();
                self.applying.queue.push_back((committed.after.lsn, bytes));
                self.applying.bytes += bytes;
                out.push(Action::Apply(committed));
            }
            Ok(None) => {}
            Err(NotNext::Fork) => self.stop_fork(ForkedValue::Batch(seq), out),
            Err(NotNext::Wrong(why)) => self.stop(StopReason::UnreadableBatch { seq, why }, out),
        }
    }

    /// Requests the batches that the watch did not bring [C-10].
    pub(super) fn fill(&mut self, out: &mut Vec<Action>) {
        let from = self.log.next();
        let missing = from <= self.ahead.wanted && !self.ahead.batches.contains_key(&from);
        if !missing || self.filling.is_some() || self.now.boot < self.read_again || !self.may_read()
        {
            return;
        }
        let before = self.ahead.batches.keys().next().map_or(self.ahead.wanted, |first| first - 1);
        let to = before.min(self.ahead.wanted).min(from.saturating_add(MOST_READ - 1));
        let id = self.id();
        self.filling = Some(BatchRead { id, from });
        out.push(Action::Read { id, read: Read::Batches(from, to) });
    }

    pub(super) fn filled(
        &mut self,
        from: Seq,
        batches: Vec<(Seq, Vec<u8>)>,
        out: &mut Vec<Action>,
    ) {
        // The watch has brought these batches while the read was under way.
        if matches!(self.phase, Phase::Leading(_)) || from != self.log.next() {
            return;
        }
        // [C-10] A line counts this batch, so the store had it, and a primary has trimmed it.
        if batches.first().is_none_or(|(seq, _)| *seq != from) {
            return self.begin_resync(out);
        }
        for (wanted, (seq, value)) in (from..).zip(batches) {
            if seq != wanted {
                break;
            }
            self.keep(seq, value);
        }
    }

    /// The next batch was trimmed: this node was away for longer tha store keeps batches.
    fn begin_resync(&mut self, out: &mut Vec<Action>) {
        if self.origin == Origin::Unproved {
            return self.stop_unproved(out);
        }
        self.applying.resync = true;
        // The spool is on disk, and the store may trim them before the snapshot has come.
        let ahead = std::mem::take(&mut self.ahead.batches);
        self.ahead.bytes = 0;
        self.tell_role(GroupRole::Loading, RoleReason::BatchesTrimmed, out);
        let primary = self.seen.as_ref().and_then(|seen| seen.tail.holder());
        let (position, tail) = (*self.log.position(), self.ahead.wanted);
        out.push(Action::Resync { position, tail, primary });
        out.extend(ahead.into_iter().map(|(seq, value)| Action::Spool(seq, value)));
    }

    pub(super) fn resynced(
        &mut self,
        position: LogPosition,
        held: HeldEntries,
        out: &mut Vec<Action>,
    ) {
        if !self.applying.resync {
            return;
        }
        self.applying.resync = false;
        self.log = Joiner::new(self.settings.format, position, held);
        self.applying.queue.clear();
        self.applying.bytes = 0;
        self.applying.applied = held.last().max(position.lsn);
        self.ahead.wanted =
            self.ahead.wanted.max(self.seen.as_ref().map_or(0, |seen| seen.tail.seq));
        let seen = self.seen.as_ref().map(|seen| &seen.tail);
        let known = seen.filter(|tail| tail.seq >= position.seq && tail.lsn >= held.last());
        self.loaded_at = known.map(|tail| tail.lsn);
        if self.loaded_at.is_none() {
            // The peer has more than this node knows of, or another history: a read that begins now says which.
            let rewatch = self.reading.take().is_some_and(|reading| reading.rewatch);
            self.read_tail(rewatch, out);
        }
    }

    pub(super) fn applied(&mut self, lsn: Lsn) {
        // A report about an entry from before the takeover.
        if matches!(self.phase, Phase::Leading(_)) {
            return;
        }
        self.applying.applied = self.applying.applied.max(lsn);
        while let Some(&(last, bytes)) = self.applying.queue.front()
            && last <= lsn
        {
            self.applying.queue.pop_front();
            self.applying.bytes -= bytes;
        }
    }

    /// Becomes a follower once all is applied that was in the log when this node began to read it, and the
    /// entries that it had before are compared.
    pub(super) fn finish_loading(&mut self, out: &mut Vec<Action>) {
        let reached = self.loaded_at.is_some_and(|lsn| lsn <= self.applying.applied);
        if self.role == GroupRole::Loading
            && reached
            && self.log.has_compared()
            && !self.applying.resync
            && self.cannot_apply.is_none()
        {
            self.origin = Origin::Current;
            self.tell_role(GroupRole::Follower, RoleReason::CaughtUp, out);
        }
    }

    pub(super) fn read_failed(&mut self, failure: &TxnFailure, out: &mut Vec<Action>) {
        if !self.is_final(failure, out) {
            self.read_again = self.now.boot + PAUSE;
        }
    }
}
