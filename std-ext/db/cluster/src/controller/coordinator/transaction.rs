//! The transaction that carries a decision out, if all that it rests on still holds.

use super::decide::{Decision, DecisionKind};
use super::view::{CoordinatorView, GroupView};
use crate::etcd::{Compare, EtcdTransaction, Keys as KeyRange, Operation};
use crate::membership::desired::Desired;
use crate::membership::keys::GroupKeys;
use crate::membership::member_removal;
use crate::membership::place::NodeAssignment;
use hedgerow_db_group::NodeId;
use serde::Serialize;

/// The value of `last-decision`.
#[derive(Serialize)]
struct LastDecision {
    by: String,
    did: String,
}

/// Returns the transaction of a decision of the node `by` in a term. `last` is the revision of the decision before it.
///
/// Comparing that revision puts all decisions of all coordinators in one order: none rests on a state from before the
/// last one. Two coordinators with the same view could otherwise give the last place of a group to two nodes, or
/// remove two members at once.
pub(super) fn transaction(
    decision: &Decision,
    view: &CoordinatorView,
    keys: &GroupKeys,
    by: (NodeId, u64),
    last: Option<u64>,
) -> EtcdTransaction {
    let keys = keys.of_group(decision.group);
    let transaction = match decision.kind {
        DecisionKind::Place => place(decision, view, &keys),
        DecisionKind::Withdraw => withdraw(decision, &keys),
        DecisionKind::Forget => forget(decision, view, &keys),
        DecisionKind::Leave => leave(decision, view, &keys),
    };
    in_order(transaction, &keys, by, last, decision.to_string())
}

/// Returns the transaction that changes the number of nodes that the cluster wants, if it is still the one that was
/// read.
pub(super) fn want(
    desired: &Desired,
    view: &CoordinatorView,
    keys: &GroupKeys,
    by: (NodeId, u64),
    last: Option<u64>,
) -> EtcdTransaction {
    let transaction = EtcdTransaction {
        compare: vec![is_revision(keys.desired(), view.desired_revision)],
        then: vec![Operation::put(keys.desired(), desired.print())],
        otherwise: Vec::new(),
    };
    let Desired { nodes, target, reason, .. } = desired;
    in_order(transaction, keys, by, last, format!("{nodes} nodes, later {target}: {reason}"))
}

/// Puts a transaction into the order of all decisions.
fn in_order(
    mut transaction: EtcdTransaction,
    keys: &GroupKeys,
    by: (NodeId, u64),
    last: Option<u64>,
    did: String,
) -> EtcdTransaction {
    let (node, term) = by;
    // By its creation: the coordinator rewrites the value within its term.
    transaction.compare.push(Compare::Created { key: keys.coordinator().into(), revision: term });
    transaction.compare.push(is_revision(keys.last_decision(), last));
    let value = LastDecision { by: node.to_string(), did };
    let value = serde_json::to_string(&value).unwrap_or_default();
    transaction.then.push(Operation::put(keys.last_decision(), value));
    transaction
}

/// Compares the revision of a key, or its absence.
fn is_revision(key: String, revision: Option<u64>) -> Compare {
    let key = key.into();
    match revision {
        Some(revision) => Compare::Modified { key, revision },
        None => Compare::Absent { key },
    }
}

/// Compares the value of a key, or its absence.
fn is_value(key: String, value: Option<&[u8]>) -> Compare {
    let key = key.into();
    match value {
        Some(value) => Compare::Value { key, value: value.to_vec().into() },
        None => Compare::Absent { key },
    }
}

/// Gives a place to a node that has none, that still waits, and whose group has the same members.
fn place(decision: &Decision, view: &CoordinatorView, keys: &GroupKeys) -> EtcdTransaction {
    let id = decision.node.to_string();
    let group = view.groups.get(&decision.group);
    let members = group.and_then(|group| group.members_text.as_deref());
    let place = NodeAssignment::of(decision.group);
    let mut compare = vec![
        Compare::Absent { key: keys.place(&id).into() },
        Compare::Present { key: keys.node(&id).into() },
        is_value(keys.members(), members),
    ];
    if group.is_none() {
        // A new group has no log.
        compare.push(Compare::Absent { key: keys.tail().into() });
    }
    EtcdTransaction {
        compare,
        then: vec![Operation::put(keys.place(&id), place.print())],
        otherwise: Vec::new(),
    }
}

/// Makes a node leave, if no move has begun since, and its group has the same members and the same primary. Those that
/// have all data must still be there.
fn leave(decision: &Decision, view: &CoordinatorView, keys: &GroupKeys) -> EtcdTransaction {
    let id = decision.node.to_string();
    let Some(group) = view.groups.get(&decision.group) else { return EtcdTransaction::default() };
    let before = view.places.get(&decision.node).map(|place| place.print());
    let mut compare = vec![
        is_value(keys.place(&id), before.as_deref().map(str::as_bytes)),
        // Each new move changes this key, and may bring the group slots.
        is_value(keys.last_move(), view.last_move.as_deref()),
        is_value(keys.members(), group.members_text.as_deref()),
        is_value(keys.primary(), group.primary.as_deref()),
    ];
    compare.extend(whole(group, view, keys, decision.node));
    EtcdTransaction {
        compare,
        then: vec![Operation::put(keys.place(&id), NodeAssignment::left(decision.group).print())],
        otherwise: Vec::new(),
    }
}

/// Compares that the members with all data are there, but for one node.
fn whole<'a>(
    group: &'a GroupView,
    view: &'a CoordinatorView,
    keys: &'a GroupKeys,
    but: NodeId,
) -> impl Iterator<Item = Compare> + 'a {
    let others = group.members.0.iter().map(|member| member.node).filter(move |node| *node != but);
    let whole = others.filter(|node| group.has_whole(*node, view));
    whole.map(|node| Compare::Present { key: keys.node(&node.to_string()).into() })
}

/// Takes a place back from a node that has not come.
fn withdraw(decision: &Decision, keys: &GroupKeys) -> EtcdTransaction {
    let (id, place) = (decision.node.to_string(), NodeAssignment::of(decision.group));
    EtcdTransaction {
        compare: vec![
            Compare::Value { key: keys.place(&id).into(), value: place.print().into() },
            // If it has registered itself meanwhile, it may be joining.
            Compare::Absent { key: keys.node(&id).into() },
        ],
        then: vec![Operation::Delete(KeyRange::one(keys.place(&id)))],
        otherwise: Vec::new(),
    }
}

/// Removes a member that has not come back, of a group with the same primary, whose other members are still there.
fn forget(decision: &Decision, view: &CoordinatorView, keys: &GroupKeys) -> EtcdTransaction {
    let Some(group) = view.groups.get(&decision.group) else { return EtcdTransaction::default() };
    let (members, text) = (&group.members, group.members_text.as_deref());
    let mut transaction = member_removal::removal(keys, members, text, decision.node);
    transaction.compare.push(is_value(keys.primary(), group.primary.as_deref()));
    transaction.compare.extend(whole(group, view, keys, decision.node));
    transaction
}
