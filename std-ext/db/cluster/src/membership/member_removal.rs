//! When a member may be removed from its group, and the transaction that does it. `hedgerow-db cluster forget` and the
//! coordinator share both.

use crate::etcd::{Compare, EtcdTransaction, Keys as KeyRange, Operation};
use crate::membership::durable::Durable;
use crate::membership::keys::GroupKeys;
use hedgerow_db_group::{Members, NodeId, Seq};

/// Why a member cannot be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemovalRefusal {
    /// It is registered, so it runs.
    Registered,
    /// The last line of the log names it as the primary.
    Primary,
    /// There is no other member.
    OnlyMember,
    /// Without it, only this many members would have the data.
    Copies(usize),
}

/// A member that may be removed.
pub(crate) struct LeavingNode<'a> {
    pub(crate) node: NodeId,
    pub(crate) members: &'a Members,
    /// Whether it is registered.
    pub(crate) is_registered: bool,
    /// The primary by the last line of the log.
    pub(crate) holder: Option<NodeId>,
    /// How many other members have the log's beginning on disk.
    pub(crate) left: usize,
}

impl LeavingNode<'_> {
    /// Checks that the member is gone, and that `copies` members have the data without it.
    pub(crate) fn check(&self, copies: usize) -> Result<(), RemovalRefusal> {
        match self {
            Self { is_registered: true, .. } => Err(RemovalRefusal::Registered),
            Self { holder, node, .. } if *holder == Some(*node) => Err(RemovalRefusal::Primary),
            Self { members, .. } if members.0.len() == 1 => Err(RemovalRefusal::OnlyMember),
            Self { left, .. } if *left < copies => Err(RemovalRefusal::Copies(*left)),
            Self { .. } => Ok(()),
        }
    }
}

/// Returns whether a node holds all data together with the batches that etcd has, the first of which is `first`.
pub(crate) fn is_whole(durable: &[(NodeId, Durable)], first: Option<Seq>, node: NodeId) -> bool {
    let found = durable.iter().find(|(of, _)| *of == node);
    found.is_some_and(|(_, durable)| durable.seq + 1 >= first.unwrap_or(1))
}

/// Returns the transaction that removes a member, if the members are those that were read and it has not come back.
pub(crate) fn removal(
    keys: &GroupKeys,
    members: &Members,
    members_text: Option<&[u8]>,
    node: NodeId,
) -> EtcdTransaction {
    let name = node.to_string();
    let value = members_text.unwrap_or_default().to_vec().into();
    EtcdTransaction {
        compare: vec![
            Compare::Value { key: keys.members().into(), value },
            Compare::Absent { key: keys.node(&name).into() },
        ],
        then: vec![
            Operation::put(keys.members(), members.without(node).print()),
            Operation::Delete(KeyRange::one(keys.durable(&name))),
            Operation::Delete(KeyRange::one(keys.place(&name))),
        ],
        otherwise: Vec::new(),
    }
}
