//! The end of a node that finds that etcd went back: it says first which entries it has [C-14].

use super::state::{Group, HaltReason, Halting, Origin, Phase};
use crate::cluster::core::api::{Action, GroupRole};
use crate::cluster::core::halt::{Halt, HaltOutcome};
use crate::cluster::core::txn::TxnFailure;
use crate::log::Lsn;

/// How long a node tries to put its record, in milliseconds. If it is started again, it tries again.
const MOST_TIME: u64 = 30_000;
/// The pause before it tries again, in milliseconds.
const PAUSE: u64 = 200;
/// The remedy.
const ADOPT: &str = "Keep this directory and those of all nodes, stop all nodes, and run `hedgerow-db cluster adopt` \
                     with all of their directories";

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
            self.tell_role(GroupRole::Follower, "etcd went back", out);
        }
        self.flight = None;
        let (again, until) = (self.now.boot, self.now.boot.saturating_add(MOST_TIME));
        self.phase = Phase::Halting(Halting { reason, halt, id: None, again, until });
    }

    pub(super) fn stop_fork(&mut self, what: &str, out: &mut Vec<Action>) {
        self.stop(fork_text(what), out);
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
        let why = match outcome {
            Ok(outcome) => halting.reason.text(halting.halt.lsn, outcome),
            Err(failure) if self.now.boot >= halting.until => format!(
                "etcd seems to have lost entries (this node has entries up to {}), as if it was restored from a \
                 backup. The other nodes could not be told, because etcd did not answer ({failure:?}), so a node \
                 without these entries may take over. {ADOPT}",
                halting.halt.lsn
            ),
            Err(_) => {
                halting.again = self.now.boot.saturating_add(PAUSE);
                return;
            }
        };
        self.stop(why, out);
    }
}

impl HaltReason {
    /// Says what is wrong and what to do, for a node with entries up to `own`.
    fn text(&self, own: Lsn, outcome: HaltOutcome) -> String {
        match (outcome, self) {
            (HaltOutcome::Recorded(end), _) => format!(
                "etcd lost entries: its log ends with entry {end}, but this node has entries up to {own}. etcd was \
                 restored from a backup, or emptied. No node takes over before these entries are in etcd again. \
                 {ADOPT}"
            ),
            (HaltOutcome::TakenOver(end), _) => format!(
                "etcd lost entries, and another node has taken over since: the log in etcd ends with entry {end}, \
                 but this node has entries up to {own}, so there are two histories with acknowledged changes. Keep \
                 this directory. To continue with its history, stop all nodes and run `hedgerow-db cluster adopt` \
                 with it; to continue with the history in etcd, move this directory away, so that the node is \
                 resynced from the others"
            ),
            (HaltOutcome::Complete(end), Self::Older) => format!(
                "etcd has an older state than this node has seen: it was restored from a backup. Its log, which \
                 ends with entry {end}, has all entries of this node. Restart it together with all other nodes; a \
                 node with later entries reports them"
            ),
            (_, Self::OtherEtcd) => "the etcd endpoints belong to different etcd clusters, or etcd was replaced: \
                                     set cluster-etcd to the members of one cluster, and restart this node"
                .to_owned(),
            (HaltOutcome::OtherCluster, Self::Older) => format!(
                "etcd has an older state than this node has seen, and a different cluster of this name, or none: it \
                 was restored from a backup, or emptied. This node has entries up to {own}. {ADOPT}"
            ),
            (_, Self::Emptied) => format!(
                "etcd has no log of this group, but this node has it up to entry {own}: etcd was emptied, or \
                 cluster-name or cluster-etcd is wrong. If etcd is lost: {ADOPT}"
            ),
            (_, Self::Fork(what)) => fork_text(what),
        }
    }
}

/// Says that a value in etcd belongs to another history.
fn fork_text(what: &str) -> String {
    format!(
        "{what} in etcd belongs to a different history from this node's: etcd was restored from a backup and then \
         written to, or was filled from another directory, or this directory belongs to another cluster. Keep this \
         directory: it may have acknowledged changes that no other has. If the others are right, start this node \
         with an empty one, so that it is resynced; if this one is right, stop all nodes and run `hedgerow-db \
         cluster adopt` with it"
    )
}
