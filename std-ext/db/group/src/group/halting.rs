//! The end of a node that finds that the store went back: it says first which entries it has [C-14].

use super::state::{Group, HaltReason, Halting, Origin, Phase};
use crate::api::{Action, GroupRole};
use crate::entry::Lsn;
use crate::halt::{Halt, HaltOutcome};
use crate::reason::{ForkedValue, RoleReason, StopReason};
use crate::txn::TxnFailure;

/// How long a node tries to put its record, in milliseconds. If it is started again, it tries again.
const MOST_TIME: u64 = 30_000;
/// The pause before it tries again, in milliseconds.
const PAUSE: u64 = 200;
impl Group {
    /// Begins to stop. Nothing is read, applied or written any more but the record.
    pub(super) fn halt(&mut self, reason: HaltReason, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopped | Phase::Halting(_)) {
            return;
        }
        if self.origin == Origin::Unproved {
            // Whether its entries belong to this incarnation is not known, so they speak against nobody.
            return self.stop_unproved(out);
        }
        let halt = self.reach();
        if matches!(self.phase, Phase::Leading(_)) {
            self.tell_role(GroupRole::Follower, RoleReason::StoreWentBack, out);
        }
        self.flight = None;
        let (again, until) = (self.now.boot, self.now.boot.saturating_add(MOST_TIME));
        self.phase = Phase::Halting(Halting { reason, halt, id: None, again, until });
    }

    pub(super) fn stop_fork(&mut self, value: ForkedValue, out: &mut Vec<Action>) {
        self.stop(StopReason::Forked(value), out);
    }

    /// The end of this node's copy of the log.
    fn reach(&self) -> Halt {
        let node = self.settings.node;
        if let Phase::Leading(lead) = &self.phase {
            // Without entries that wait for the log: nobody was told that they succeeded, so they need no protection.
            let (seq, lsn) = (lead.position.seq, lead.position.lsn);
            return Halt { node, epoch: lead.line.epoch, seq, lsn };
        }
        let position = self.log.position();
        // A node that has just started is before the batch of its last mark, which it has.
        let seq = position.seq + u64::from(!self.log.has_compared());
        Halt { node, epoch: position.epoch, seq, lsn: self.log.reaches() }
    }

    /// Sends what is due.
    pub(super) fn halt_on(&mut self, out: &mut Vec<Action>) {
        let (id, now) = (self.ids + 1, self.now.boot);
        let Phase::Halting(halting) = &mut self.phase else { return };
        if halting.id.is_none() && now >= halting.again {
            halting.id = Some(id);
            let halt = halting.halt;
            self.ids = id;
            out.push(Action::Halt { id, halt });
        }
    }

    /// The answer of [`Action::Halt`].
    pub(super) fn halted(
        &mut self,
        id: u64,
        outcome: Result<HaltOutcome, TxnFailure>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Halting(halting) = &mut self.phase else { return };
        if halting.id.take_if(|of| *of == id).is_none() {
            return;
        }
        let own = halting.halt.lsn;
        let why = match outcome {
            Ok(outcome) => halting.reason.stop(own, outcome),
            Err(failure) if self.now.boot >= halting.until => {
                StopReason::EntriesLostUnsaid { own, failure }
            }
            Err(_) => {
                halting.again = self.now.boot.saturating_add(PAUSE);
                return;
            }
        };
        self.stop(why, out);
    }
}

impl HaltReason {
    /// Returns why a node with entries up to `own` stops.
    fn stop(&self, own: Lsn, outcome: HaltOutcome) -> StopReason {
        match (outcome, self) {
            (HaltOutcome::Recorded(end), _) => StopReason::EntriesLost { own, end },
            (HaltOutcome::TakenOver(end), _) => StopReason::EntriesReplaced { own, end },
            (HaltOutcome::Complete(end), Self::Older) => StopReason::StoreWentBack { end },
            (_, Self::OtherStore) => StopReason::OtherStore,
            (HaltOutcome::OtherCluster, Self::Older) => StopReason::OtherGroup { own },
            (_, Self::Emptied) => StopReason::Emptied { own },
            (_, Self::Fork(value)) => StopReason::Forked(*value),
        }
    }
}
