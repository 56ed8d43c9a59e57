//! One group, as one of its members sees it.

mod campaign;
mod follow;
mod halting;
mod lead;
mod state;
#[cfg(test)]
mod tests;
mod trimming;

use super::api::{Action, Event, GroupRole, GroupSettings, GroupStatus, ReadAnswer, WatchedChange};
use super::entry::{Epoch, HeldEntries, LogPosition, NodeId, Now};
use super::halt::Objections;
use super::join::Joiner;
use super::members::Members;
use super::reason::{Disqualification, Notice, ReleaseReason};
use super::takeover::Takeover;
use super::txn::TxnFailure;
pub use state::Group;
use state::{Ahead, Applying, Origin, PeerClocks, Phase, ProcessExit, QuotaLevel, Watching};

impl Group {
    /// Makes the group of a node that has started.
    ///
    /// `position` is where it begins to read in the store, [`Mark::before`](super::Mark::before) the last mark of its
    /// local log (an empty local log: `LogPosition::default()`). `held` are the entries that its state has.
    pub fn new(
        mut settings: GroupSettings,
        position: LogPosition,
        held: HeldEntries,
        now: Now,
    ) -> Self {
        settings.nonce = settings.nonce.max(1);
        settings.lease = state::lease(settings.lease);
        let log = Joiner::new(settings.format, position, held);
        Self {
            settings,
            now,
            ids: 0,
            revision: 0,
            phase: Phase::Following,
            role: GroupRole::Loading,
            seen: None,
            absent: false,
            members: None,
            objections: Objections::default(),
            lost: None,
            was_member: false,
            clocks: PeerClocks::default(),
            others_unfit: Vec::new(),
            watching: Watching::default(),
            reading: None,
            filling: None,
            read_again: 0,
            log,
            ahead: Ahead::default(),
            applying: Applying { applied: held.last().max(position.lsn), ..Applying::default() },
            cannot_apply: None,
            unfit: None,
            loaded_at: None,
            open: false,
            deposed: 0,
            disk_hangs: false,
            flight: None,
            exit: ProcessExit::No,
            resting: 0,
            why: Takeover::default(),
            origin: Origin::Current,
            quota: QuotaLevel::Enough,
        }
    }

    /// Says that the store was seeded anew since the node got its entries, perhaps without them.
    ///
    /// Until they are compared with the log, nothing is fetched from a peer: that would replace entries that were lost
    /// without a word [C-13].
    #[must_use]
    pub fn of_an_earlier_incarnation(mut self) -> Self {
        if self.log.reaches() > 0 {
            self.origin = Origin::Unproved;
        }
        self
    }

    /// Handles an event. The actions are appended to `out`, in order. The first call should be [`Event::Tick`].
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        // The boot time never goes back, even if the caller's clock does: the lease depends on it.
        self.now = Now { boot: self.now.boot.max(now.boot), wall: now.wall };
        self.take(event, out);
        self.advance(out);
    }

    fn take(&mut self, event: Event, out: &mut Vec<Action>) {
        // It no longer believes this store. `Exit` is answered, because the process waits for that.
        if matches!(self.phase, Phase::Halting(_))
            && !matches!(event, Event::Halted { .. } | Event::Exit)
        {
            return;
        }
        match event {
            Event::Tick => {}
            Event::Read { id, answer } => self.read(id, answer, out),
            Event::Transacted { id, outcome } => self.transacted(id, outcome, out),
            Event::Trimmed { id, outcome } => self.trimmed(id, outcome == Ok(true)),
            Event::Halted { id, outcome } => self.halted(id, outcome, out),
            Event::Watched { revision, seen } => self.watched(revision, seen, out),
            Event::WatchLost => {
                self.watching.on = false;
                self.read_tail(true, out);
            }
            Event::Appended(entries) => self.append(entries, out),
            Event::Closed { time } => self.closed(time),
            Event::Applied(lsn) => self.applied(lsn),
            Event::CannotApply(why) => self.cannot(why, out),
            Event::Serving => self.serving(),
            Event::CannotServe(why) => {
                self.leave(None, ReleaseReason::CannotServe(why.clone()), false, out);
                self.unfit = Some(why);
            }
            Event::CanServe => self.unfit = None,
            Event::LeaseCheckWanted => self.lease_check_wanted(),
            Event::HandOver(to) => self.hand_over(to, out),
            Event::Exit => self.release_for_good(out),
            Event::Resynced { position, held } => self.resynced(position, held, out),
            Event::Clocks(clocks) => self.clocks.others = clocks,
            Event::Unfit(nodes) => self.others_unfit = nodes,
            Event::DiskHangs(hangs) => self.disk_hangs = hangs,
            Event::Lease(lease) => self.settings.lease = state::lease(lease),
            Event::QuotaShort(short) => {
                self.quota = if short { QuotaLevel::Short } else { QuotaLevel::Enough };
                self.trim_now();
            }
        }
    }

    /// Does what has become due or possible.
    fn advance(&mut self, out: &mut Vec<Action>) {
        // Asked again each time, because each of these steps may end the phase.
        if matches!(self.phase, Phase::Following) {
            self.end_unclosed_follower(out);
        }
        if matches!(self.phase, Phase::Following) {
            self.pump(out);
            self.fill(out);
            self.finish_loading(out);
            self.send_again(out);
            self.look(out);
            self.join(out);
            self.campaign(out);
        }
        if matches!(self.phase, Phase::Leading(_)) {
            self.lead_on(out);
        }
        self.halt_on(out);
    }

    fn read(&mut self, id: u64, answer: Result<ReadAnswer, TxnFailure>, out: &mut Vec<Action>) {
        if let Some(read) = self.reading.take_if(|reading| reading.id == id) {
            match answer {
                Ok(ReadAnswer::Tail { revision, tail, members, objections }) => {
                    self.tail_read(&read, revision, (tail, members, objections), out);
                }
                Ok(_) => {}
                Err(failure) => {
                    // A watch that was lost begins anew with the next answer.
                    self.watching.on &= !read.rewatch;
                    self.read_failed(&failure, out);
                }
            }
        } else if let Some(fill) = self.filling.take_if(|filling| filling.id == id) {
            match answer {
                Ok(ReadAnswer::Batches(batches)) => self.filled(fill.from, batches, out),
                Ok(_) => {}
                Err(failure) => self.read_failed(&failure, out),
            }
        } else if let Phase::Leading(lead) = &mut self.phase
            && lead.trim.reading.take_if(|reading| *reading == id).is_some()
        {
            match answer {
                Ok(ReadAnswer::Durable { revision, members, first, durable }) => {
                    self.members_are(members, revision, out);
                    self.durable(first, &durable);
                }
                Ok(_) => {}
                // The next look repeats it.
                Err(failure) => _ = self.is_final(&failure, out),
            }
        }
    }

    fn watched(&mut self, revision: u64, seen: Vec<WatchedChange>, out: &mut Vec<Action>) {
        self.watching.heard = self.now.boot;
        // Only the last value is of this revision. An earlier one may lack this node, which has joined since.
        let last = seen.iter().rposition(|change| matches!(change, WatchedChange::Members(_)));
        for (at, change) in seen.into_iter().enumerate() {
            match change {
                WatchedChange::Tail(text) => self.tail_watched(text, out),
                WatchedChange::Members(text) if Some(at) == last => {
                    self.members_are(text, revision, out);
                }
                WatchedChange::Members(_) => {}
                WatchedChange::Batch(seq, value) => self.batch_watched(seq, value, out),
            }
            if matches!(self.phase, Phase::Stopped | Phase::Halting(_)) {
                return;
            }
        }
    }

    fn cannot(&mut self, why: String, out: &mut Vec<Action>) {
        // No reason to end the process: what it has applied is right, and it serves reads until they are too old.
        out.push(Action::Note(Notice::CannotApply(why.clone())));
        self.cannot_apply = Some(why);
    }

    fn serving(&mut self) {
        if let Phase::Leading(lead) = &mut self.phase {
            lead.serving = true;
        }
    }

    /// Looks at `tail` if the watch has been silent for half a lease, and at first.
    fn look(&mut self, out: &mut Vec<Action>) {
        if self.reading.is_none() && self.now.boot >= self.look_due() {
            self.read_tail(false, out);
        }
    }

    fn look_due(&self) -> u64 {
        // Half a lease, while the primary beats every third: a silent watch is noticed before the lease seems to have
        // ended.
        let heard = if self.watching.on { self.watching.heard + self.lease() / 2 } else { 0 };
        heard.max(self.read_again)
    }

    /// The boot time at which [`Event::Tick`] is due.
    pub fn deadline(&self) -> u64 {
        // Steps that have no time below, like the end of a handover, are looked at this often.
        let mut due = self.now.boot + self.lease().min(1000);
        let mut sooner = |time: u64| due = due.min(time);
        if let Some(flight) = self.flight.as_ref().filter(|flight| flight.id.is_none()) {
            sooner(flight.again);
        }
        match &self.phase {
            Phase::Leading(lead) => {
                if self.flight.is_none() {
                    sooner(lead.beat_due(self.settings.lease));
                }
                if lead.trim.reading.is_none() && lead.trim.deleting.is_none() {
                    sooner(lead.trim.due);
                }
            }
            Phase::Following => {
                if self.reading.is_none() {
                    sooner(self.look_due());
                }
                if self.filling.is_none() && self.read_again > self.now.boot {
                    sooner(self.read_again);
                }
                if let Some(time) = self.campaign_due() {
                    sooner(time);
                }
            }
            Phase::Halting(halting) => halting.due().into_iter().for_each(sooner),
            Phase::Stopped => {}
        }
        // Never at once: all that was due has been done.
        due.max(self.now.boot + 1)
    }

    /// The bytes that wait for the log.
    pub fn pending(&self) -> usize {
        if let Phase::Leading(lead) = &self.phase { lead.bytes } else { 0 }
    }

    /// The members, once they are known.
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref().map(|members| &members.list)
    }

    /// The last epoch, and the node that holds the group unless it is released.
    pub fn holder(&self) -> (Epoch, Option<NodeId>) {
        let node = match &self.phase {
            Phase::Leading(_) => Some(self.settings.node),
            _ => self.seen.as_ref().and_then(|seen| seen.tail.holder()),
        };
        (self.epoch(), node)
    }

    fn disqualification(&self) -> Option<Disqualification> {
        if let Some(why) = &self.cannot_apply {
            return Some(Disqualification::CannotApply(why.clone()));
        }
        if let Some(why) = &self.unfit {
            return Some(Disqualification::CannotServe(why.clone()));
        }
        if let Some(lost) = &self.lost {
            return Some(Disqualification::EntriesLost(lost.clone()));
        }
        if self.is_ahead() {
            return Some(Disqualification::ClockAhead);
        }
        (self.was_member && !self.is_member()).then_some(Disqualification::Removed)
    }

    /// The state of the group for others.
    pub fn status(&self) -> GroupStatus {
        let position = *self.log.position();
        let seen = self.seen.as_ref();
        let (epoch, primary) = self.holder();
        let disqualified = self.disqualification();
        let status = GroupStatus {
            role: self.role,
            epoch,
            until: 0,
            sent: 0,
            committed: seen.map_or(0, |seen| seen.tail.lsn),
            last: self.log.reaches(),
            applied: self.applying.applied,
            pending: self.pending(),
            primary,
            tail: seen.map(|seen| seen.tail),
            received: seen.map_or(0, |seen| seen.received),
            position,
            behind: self.ahead.wanted.saturating_sub(position.seq),
            member: self.is_member(),
            retained: 0,
            disqualified,
        };
        let Phase::Leading(lead) = &self.phase else { return status };
        GroupStatus {
            until: if self.settings.lease_reads { lead.until } else { 0 },
            sent: lead.sent,
            committed: lead.position.lsn,
            last: lead.last,
            applied: lead.last,
            tail: Some(lead.line),
            received: lead.sent,
            position: lead.position,
            behind: 0,
            retained: lead.trim.retained(),
            ..status
        }
    }
}
