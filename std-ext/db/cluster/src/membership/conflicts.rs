//! Settings of other nodes that do not go together with those of this one: [`Conflicts`].
//!
//! The group works nevertheless, since entries reach its nodes by etcd. Without a word, the operator would learn of
//! them when a node needs the data of another, or when another node becomes primary.

use crate::measure::failures::Failures;
use crate::membership::registration::{RegisteredNode, Registration};
use hedgerow_db_group::NodeId;
use std::collections::BTreeMap;

/// The conflicts that are there, and whether the operator has heard of each.
#[derive(Default)]
pub(crate) struct Conflicts(BTreeMap<(NodeId, NodeConflict), Failures>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NodeConflict {
    /// Only one of the two uses TLS on its peer port.
    Tls,
    /// Both announce the same address.
    Address,
    /// Nodes of a group keep different amounts of data.
    Memory,
}

impl Conflicts {
    /// Takes this node and all that are registered now. Returns what the operator is told: once of each conflict that
    /// lasts longer than the registration of a node that has ended.
    pub(crate) fn found(
        &mut self,
        own: (NodeId, &Registration),
        nodes: &[RegisteredNode],
        now: u64,
    ) -> Vec<String> {
        let others = nodes.iter().filter(|node| node.id != own.0);
        let all = others.flat_map(|node| {
            let found = conflicts(own.1, &node.registration);
            found.map(move |conflict| (node, conflict))
        });
        let all: Vec<_> = all.collect();
        self.0.retain(|known, _| all.iter().any(|(node, conflict)| *known == (node.id, *conflict)));
        let new = all.into_iter().filter(|(node, conflict)| {
            self.0.entry((node.id, *conflict)).or_default().must_be_told(now)
        });
        new.map(|(node, conflict)| text(own.1, node, conflict)).collect()
    }
}

fn conflicts(own: &Registration, other: &Registration) -> impl Iterator<Item = NodeConflict> {
    // A node of an earlier version tells neither of these settings.
    let tls = other.peer_tls.is_some() && own.peer_tls != other.peer_tls;
    let memory = own.memory.is_some() && other.memory.is_some() && own.memory != other.memory;
    let ports = |of: &Registration| [of.port, of.tls_port, of.peer_port];
    let same_port =
        ports(own).into_iter().zip(ports(other)).any(|(one, other)| one != 0 && one == other);
    let found = [
        (NodeConflict::Tls, tls),
        (NodeConflict::Address, own.ip == other.ip && same_port),
        (NodeConflict::Memory, own.group == other.group && memory),
    ];
    found.into_iter().filter_map(|(conflict, is_there)| is_there.then_some(conflict))
}

fn text(own: &Registration, node: &RegisteredNode, conflict: NodeConflict) -> String {
    let other = &node.registration;
    let at = other.peer_address().unwrap_or_default();
    let node = format!("the node {} at {at}", node.id);
    match conflict {
        NodeConflict::Tls => {
            let (uses, does) = match other.peer_tls {
                Some(true) => ("uses TLS between nodes", "does not"),
                _ => ("does not use TLS between nodes", "does"),
            };
            format!(
                "{node} {uses}, and this one {does}, so neither can fetch the other's data or send it pub/sub \
                 messages: set `tls-cert-file`, `tls-key-file` and `tls-ca-cert-file` on all nodes or on none"
            )
        }
        NodeConflict::Address => format!(
            "{node} announces the same address as this node, so clients and other nodes reach only one of the two: \
             give them different `cluster-announce-ip`, `cluster-announce-port` or `cluster-announce-peer-port`"
        ),
        NodeConflict::Memory => {
            let settings = |of: &Registration| of.memory.clone().unwrap_or_default();
            format!(
                "{node} has different memory settings ({}) from this node's ({}). The primary evicts keys or \
                 refuses writes by its own settings, so a failover may remove keys from all nodes. Set `maxmemory` \
                 and `maxmemory-policy` to the same values on all nodes of a group",
                settings(other),
                settings(own)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::failures::UNHEARD;

    fn node(number: u8) -> RegisteredNode {
        let registration = Registration {
            ip: format!("10.0.0.{number}"),
            port: 6379,
            peer_port: 16379,
            peer_tls: Some(false),
            memory: Some("0 noeviction".into()),
            ..Registration::default()
        };
        RegisteredNode { id: NodeId([number; 20]), registration }
    }

    type Change = fn(&mut Registration);

    fn with(number: u8, change: impl FnOnce(&mut Registration)) -> RegisteredNode {
        let mut node = node(number);
        change(&mut node.registration);
        node
    }

    /// Returns what a node is told of another one that stays.
    fn told(other: RegisteredNode) -> Vec<String> {
        let (own, nodes, mut all) = (node(1), [node(1), other], Conflicts::default());
        let at = |all: &mut Conflicts, now| all.found((own.id, &own.registration), &nodes, now);
        assert!(at(&mut all, 1000).is_empty(), "a node that has just ended is one");
        at(&mut all, 1000 + UNHEARD + 1)
    }

    #[test]
    fn each_conflict_has_its_words() {
        let cases: [(&str, Change); 3] = [
            ("uses TLS between nodes, and this one does not", |other| other.peer_tls = Some(true)),
            ("announces the same address", |other| other.ip = "10.0.0.1".into()),
            ("(100 allkeys-lru) from this node's (0 noeviction)", |other| {
                other.memory = Some("100 allkeys-lru".into());
            }),
        ];
        for (says, change) in cases {
            let told = told(with(2, change));
            assert!(told.len() == 1 && told[0].contains(says), "{told:?} for {says}");
        }
        assert!(told(node(2)).is_empty(), "a node with the same settings conflicts");
        let earlier = told(with(2, |other| (other.peer_tls, other.memory) = (None, None)));
        assert!(earlier.is_empty(), "an earlier version conflicts: {earlier:?}");
        let elsewhere = told(with(2, |other| (other.group, other.memory) = (1, Some("9".into()))));
        assert!(elsewhere.is_empty(), "another group has the same memory: {elsewhere:?}");
    }

    #[test]
    fn each_conflict_is_told_once() {
        let own = node(1);
        let nodes = [node(1), with(2, |other| other.peer_tls = Some(true)), node(3)];
        let mut all = Conflicts::default();
        let mut at = |nodes: &[RegisteredNode], now| {
            all.found((own.id, &own.registration), nodes, now).len()
        };
        assert_eq!((at(&nodes, 0), at(&nodes, UNHEARD + 1)), (0, 1));
        assert_eq!(at(&nodes, 2 * UNHEARD), 0, "it is told again and again");
        assert_eq!(at(&nodes[2..], 3 * UNHEARD), 0);
        let again = (at(&nodes, 4 * UNHEARD), at(&nodes, 5 * UNHEARD + 1));
        assert_eq!(again, (0, 1), "the node was away and is not told again");
    }
}
