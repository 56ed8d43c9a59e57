//! What a node's log and its errors say of the group: the reasons of the protocol, in the words of this program's
//! settings and commands.

use hedgerow_db_group::{
    Disqualification, ForkedValue, Halt, Notice, Objection, ReleaseReason, RoleReason, StopReason,
    TxnFailure,
};

const ADOPT: &str = "Keep this directory and those of all nodes, stop all nodes, and run `hedgerow-db cluster adopt` \
                     with all of their directories";

pub(crate) fn role(reason: &RoleReason) -> String {
    match reason {
        RoleReason::BatchesTrimmed => "etcd no longer has the batches that this node needs".into(),
        RoleReason::StoreWentBack => "etcd went back".into(),
        RoleReason::Released(reason) => release(reason),
        _ => reason.to_string(),
    }
}

fn release(reason: &ReleaseReason) -> String {
    match reason {
        ReleaseReason::BatchTooLarge => {
            "etcd rejects even batches of 8 KiB as too large: raise its --max-request-bytes".into()
        }
        ReleaseReason::ClockAhead => {
            "its clock is ahead of the others by more than cluster-max-skew".into()
        }
        _ => reason.to_string(),
    }
}

/// Why nobody may take over.
pub(crate) fn objection(objection: &Objection) -> String {
    let lost = |end| format!("etcd lost entries: its log ends with entry {end}, but ");
    match objection {
        Objection::Said { end, node, lsn } => {
            format!("{}node {node} has {}", lost(end), Halt::entries(*lsn))
        }
        Objection::OnDisk { end, node } => {
            format!("{}node {node} has later ones on its disk", lost(end))
        }
        Objection::Unreadable => "the key `halt` in etcd cannot be read".into(),
    }
}

pub(crate) fn disqualification(reason: &Disqualification) -> String {
    match reason {
        Disqualification::EntriesLost(lost) => objection(lost),
        _ => reason.to_string(),
    }
}

pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Removed => "this node was removed from the members of the cluster: it never takes over. Restart it \
                            to add it again"
            .into(),
        Notice::ClockAhead => "the clock of this node is ahead of the others by more than cluster-max-skew: it does \
                               not take over. Set the clock"
            .into(),
        Notice::EntriesLost(lost) => format!(
            "{}. No node takes over until this is repaired: keep the directories of all nodes, stop all nodes, and \
             run `hedgerow-db cluster adopt` with all of their directories",
            objection(lost)
        ),
        Notice::Releasing(reason) => format!("this node releases the group: {}", release(reason)),
        Notice::HandOverCancelled => {
            "the handover was cancelled: etcd or this node's state did not answer in time".into()
        }
        Notice::Failing(failure) => failing(failure),
        Notice::CannotApply(_) | Notice::HandOverRefused | Notice::HandOverIgnored => {
            notice.to_string()
        }
    }
}

fn failing(failure: &TxnFailure) -> String {
    match failure {
        TxnFailure::Unknown(why) => {
            format!("etcd did not answer ({why}); sending the transaction again")
        }
        TxnFailure::NoSpace => {
            "etcd is out of space (alarm NOSPACE): writes wait. Raise its quota or defragment it, \
                                then disarm the alarm"
                .into()
        }
        TxnFailure::Denied(why) => format!(
            "etcd refuses this node's user ({why}): check cluster-etcd-user, its password or certificate, and its \
             role's permission on the keys /hedgerow/<cluster>/"
        ),
        TxnFailure::Busy(why) => format!("etcd is busy ({why}); sending the transaction again"),
        _ => "etcd rejected a transaction; sending it again".into(),
    }
}

/// Why the node cannot go on, and what to do.
pub(crate) fn stop(reason: &StopReason) -> String {
    match reason {
        StopReason::Unreadable(why) => why.clone(),
        StopReason::UnreadableBatch { seq, why } => format!(
            "batch {seq} in etcd cannot be read ({why}): this node stops, and changes nothing. If it is damaged, fill \
             etcd from the most advanced directory with `hedgerow-db cluster adopt`"
        ),
        StopReason::Corrupt => "etcd reports that its data is damaged (alarm CORRUPT): replace the damaged member of \
                                etcd, disarm the alarm, and restart this node"
            .into(),
        StopReason::Forked(value) => forked(*value),
        StopReason::EntriesLost { own, end } => format!(
            "etcd lost entries: its log ends with entry {end}, but this node has entries up to {own}. etcd was \
             restored from a backup, or emptied. No node takes over before these entries are in etcd again. {ADOPT}"
        ),
        StopReason::EntriesReplaced { own, end } => format!(
            "etcd lost entries, and another node has taken over since: the log in etcd ends with entry {end}, but \
             this node has entries up to {own}, so there are two histories with acknowledged changes. Keep this \
             directory. To continue with its history, stop all nodes and run `hedgerow-db cluster adopt` with it; to \
             continue with the history in etcd, move this directory away, so that the node is resynced from the others"
        ),
        StopReason::EntriesLostUnsaid { own, failure } => format!(
            "etcd seems to have lost entries (this node has entries up to {own}), as if it was restored from a \
             backup. The other nodes could not be told, because etcd did not answer ({failure:?}), so a node without \
             these entries may take over. {ADOPT}"
        ),
        StopReason::StoreWentBack { end } => format!(
            "etcd has an older state than this node has seen: it was restored from a backup. Its log, which ends with \
             entry {end}, has all entries of this node. Restart it together with all other nodes; a node with later \
             entries reports them"
        ),
        StopReason::OtherGroup { own } => format!(
            "etcd has an older state than this node has seen, and a different cluster of this name, or none: it was \
             restored from a backup, or emptied. This node has entries up to {own}. {ADOPT}"
        ),
        StopReason::OtherStore => "the etcd endpoints belong to different etcd clusters, or etcd was replaced: set \
                                   cluster-etcd to the members of one cluster, and restart this node"
            .into(),
        StopReason::Emptied { own } => format!(
            "etcd has no log of this group, but this node has it up to entry {own}: etcd was emptied, or cluster-name \
             or cluster-etcd is wrong. If etcd is lost: {ADOPT}"
        ),
        StopReason::Unproved { own } => format!(
            "etcd was reseeded since this node stopped, and no longer has the batches that would show whether this \
             node's entries, up to {own}, were kept. Keep this directory until you are certain. If the others are \
             right, start this node with an empty one, so that it is resynced; if this one is right, stop all nodes \
             and run `hedgerow-db cluster adopt` with it"
        ),
        StopReason::Gap { .. } => reason.to_string(),
    }
}

fn forked(value: ForkedValue) -> String {
    format!(
        "{value} in etcd belongs to a different history from this node's: etcd was restored from a backup and then \
         written to, or was filled from another directory, or this directory belongs to another cluster. Keep this \
         directory: it may have acknowledged changes that no other has. If the others are right, start this node \
         with an empty one, so that it is resynced; if this one is right, stop all nodes and run `hedgerow-db \
         cluster adopt` with it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_group::NodeId;

    #[test]
    fn what_operators_read_names_their_settings_and_commands() {
        let (own, end, node) = (7, 5, NodeId([2; 20]));
        let failure = TxnFailure::Unknown("no answer".into());
        let said = Objection::Said { end, node, lsn: own };
        let sentences = [
            role(&RoleReason::Released(ReleaseReason::BatchTooLarge)),
            role(&RoleReason::BatchesTrimmed),
            role(&RoleReason::StoreWentBack),
            notice(&Notice::Releasing(ReleaseReason::ClockAhead)),
            notice(&Notice::EntriesLost(said.clone())),
            notice(&Notice::ClockAhead),
            notice(&Notice::Failing(failure.clone())),
            notice(&Notice::Failing(TxnFailure::NoSpace)),
            notice(&Notice::HandOverCancelled),
            disqualification(&Disqualification::EntriesLost(said)),
            objection(&Objection::Unreadable),
            stop(&StopReason::Forked(ForkedValue::Batch(3))),
            stop(&StopReason::EntriesLost { own, end }),
            stop(&StopReason::EntriesReplaced { own, end }),
            stop(&StopReason::EntriesLostUnsaid { own, failure }),
            stop(&StopReason::StoreWentBack { end }),
            stop(&StopReason::OtherGroup { own }),
            stop(&StopReason::Emptied { own }),
            stop(&StopReason::Unproved { own }),
            stop(&StopReason::OtherStore),
            stop(&StopReason::Corrupt),
            stop(&StopReason::UnreadableBatch { seq: 3, why: "why".into() }),
        ];
        for sentence in sentences {
            let names = sentence.contains("etcd") || sentence.contains("cluster-max-skew");
            assert!(names && !sentence.contains("store "), "{sentence}");
        }
    }
}
