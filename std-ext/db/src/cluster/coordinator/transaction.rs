//! The transaction that carries a decision out, if all that it rests on still holds.

use super::decide::{Decision, DecisionKind};
use super::view::{Place, View};
use crate::cluster::core::NodeId;
use crate::cluster::etcd::{Compare, Keys as KeyRange, Operation, Transaction};
use crate::cluster::forgetting;
use crate::cluster::keys::Keys;
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
    view: &View,
    keys: &Keys,
    by: (NodeId, u64),
    last: Option<u64>,
) -> Transaction {
    let keys = keys.of_group(decision.group);
    let mut transaction = match decision.kind {
        DecisionKind::Place => place(decision, view, &keys),
        DecisionKind::Withdraw => withdraw(decision, &keys),
        DecisionKind::Forget => forget(decision, view, &keys),
    };
    let (node, term) = by;
    transaction.compare.push(Compare::Created { key: keys.coordinator().into(), revision: term });
    let key = keys.last_decision().into();
    transaction.compare.push(match last {
        Some(revision) => Compare::Modified { key, revision },
        None => Compare::Absent { key },
    });
    let value = LastDecision { by: node.to_string(), did: decision.to_string() };
    let value = serde_json::to_string(&value).unwrap_or_default();
    transaction.then.push(Operation::put(keys.last_decision(), value));
    transaction
}

/// Gives a place to a node that has none, that still waits, and whose group has the same members.
fn place(decision: &Decision, view: &View, keys: &Keys) -> Transaction {
    let id = decision.node.to_string();
    let group = view.groups.get(&decision.group);
    let members = group.and_then(|group| group.members_text.clone());
    let key = keys.members().into();
    let members = match members {
        Some(value) => Compare::Value { key, value: value.into() },
        None => Compare::Absent { key },
    };
    let place = Place { group: decision.group };
    Transaction {
        compare: vec![
            Compare::Absent { key: keys.place(&id).into() },
            Compare::Present { key: keys.node(&id).into() },
            members,
        ],
        then: vec![Operation::put(keys.place(&id), place.print())],
        otherwise: Vec::new(),
    }
}

/// Takes a place back from a node that has not come.
fn withdraw(decision: &Decision, keys: &Keys) -> Transaction {
    let (id, place) = (decision.node.to_string(), Place { group: decision.group });
    Transaction {
        compare: vec![
            Compare::Value { key: keys.place(&id).into(), value: place.print().into() },
            Compare::Absent { key: keys.node(&id).into() },
        ],
        then: vec![Operation::Delete(KeyRange::one(keys.place(&id)))],
        otherwise: Vec::new(),
    }
}

/// Removes a member that has not come back, of a group with the same primary, whose other members are still there.
fn forget(decision: &Decision, view: &View, keys: &Keys) -> Transaction {
    let Some(group) = view.groups.get(&decision.group) else { return Transaction::default() };
    let (members, text) = (&group.members, group.members_text.as_deref());
    let mut transaction = forgetting::removal(keys, members, text, decision.node);
    let key = keys.primary().into();
    transaction.compare.push(match &group.primary {
        Some(value) => Compare::Value { key, value: value.clone().into() },
        None => Compare::Absent { key },
    });
    let others = members.0.iter().map(|member| member.node);
    for node in others.filter(|node| group.has_whole(*node, view)) {
        let key = keys.node(&node.to_string()).into();
        transaction.compare.push(Compare::Present { key });
    }
    transaction
}
