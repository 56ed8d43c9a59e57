//! Nodes that cannot reach each other, because only one of the two uses TLS on its peer port: [`UnlikePeers`].
//!
//! Their group works nevertheless, since entries reach it by etcd. Without a word, the operator would learn of it when
//! a node needs the data of another.

use super::core::NodeId;
use super::registration::{Node, Registration};
use std::collections::BTreeSet;

/// The nodes that this one cannot reach, and of which the operator has heard.
#[derive(Default)]
pub(super) struct UnlikePeers(BTreeSet<NodeId>);

impl UnlikePeers {
    /// Takes this node's registration and all that were just read. Returns what the operator is told.
    pub(super) fn found(&mut self, own: &Registration, nodes: &[Node]) -> Vec<String> {
        // A node of an earlier version does not say whether it uses TLS. One of the same address was this node before
        // it lost its folder.
        let is_unlike = |node: &&Node| {
            let other = &node.registration;
            other.peer_tls.is_some()
                && other.peer_tls != own.peer_tls
                && other.peer_address() != own.peer_address()
        };
        let unlike: Vec<_> = nodes.iter().filter(is_unlike).collect();
        self.0.retain(|id| unlike.iter().any(|node| node.id == *id));
        let new = unlike.into_iter().filter(|node| self.0.insert(node.id));
        new.map(text).collect()
    }
}

fn text(node: &Node) -> String {
    let (uses, other) = match node.registration.peer_tls {
        Some(true) => ("uses TLS between nodes", "does not"),
        _ => ("does not use TLS between nodes", "does"),
    };
    let at = node.registration.peer_address().unwrap_or_default();
    format!(
        "the node {} at {at} {uses}, and this one {other}, so neither can fetch the other's data or send it messages \
         of channels: set `tls-cert-file`, `tls-key-file` and `tls-ca-cert-file` on all nodes or on none",
        node.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8, peer_tls: Option<bool>) -> Node {
        let registration = Registration {
            ip: format!("10.0.0.{number}"),
            peer_port: 16379,
            peer_tls,
            ..Registration::default()
        };
        Node { id: NodeId([number; 20]), registration }
    }

    #[test]
    fn each_node_is_told_once() {
        let own = node(1, Some(false));
        let mut before = node(1, Some(true));
        before.id = NodeId([9; 20]);
        let nodes = [before, node(2, Some(true)), node(3, Some(false)), node(4, None)];
        let mut unlike = UnlikePeers::default();
        let told = unlike.found(&own.registration, &nodes);
        assert_eq!(told.len(), 1, "{told:?}");
        let says = format!(
            "{} at 10.0.0.2:16379 uses TLS between nodes, and this one does not",
            nodes[1].id
        );
        assert!(told[0].contains(&says), "{told:?}");
        assert!(unlike.found(&own.registration, &nodes).is_empty(), "it is told again and again");
        assert!(unlike.found(&own.registration, &nodes[2..]).is_empty());
        let told = unlike.found(&own.registration, &nodes);
        assert_eq!(told.len(), 1, "the node was away and is not told again");
        let own = node(1, Some(true));
        let told = unlike.found(&own.registration, &nodes[1..]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("does not use TLS between nodes, and this one does, so"),
            "{told:?}"
        );
    }
}
