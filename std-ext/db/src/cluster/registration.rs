//! The registration of a node under `node/<id>`.

use super::core::NodeId;
use super::view::Addresses;
use serde::{Deserialize, Serialize};

/// The registration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registration {
    /// A random number of the process.
    pub(super) nonce: u64,
    /// The IP address.
    pub(super) ip: String,
    /// The host name.
    #[serde(default)]
    pub(super) hostname: String,
    /// The port for clients; 0 for none.
    pub(super) port: u16,
    /// The port for clients with TLS; 0 for none.
    #[serde(default)]
    pub(super) tls_port: u16,
    /// The port for other nodes.
    pub(super) peer_port: u16,
    /// The program's version.
    #[serde(default)]
    pub(super) version: String,
    /// `primary`, `follower` or `loading`.
    #[serde(default)]
    pub(super) role: String,
    /// The last entry that it has.
    #[serde(default)]
    pub(super) applied: u64,
    /// The time that an entry of it would carry, in milliseconds since 1970.
    pub(super) wall: u64,
    /// Bytes of batches in etcd, as the primary counts them.
    #[serde(default)]
    pub(super) retained: u64,
}

impl Registration {
    /// Returns how others reach the node.
    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            ip: self.ip.clone(),
            hostname: self.hostname.clone(),
            port: self.port,
            tls_port: self.tls_port,
            peer_port: self.peer_port,
        }
    }

    /// Returns where peers reach the node, unless it has not told it.
    pub(super) fn peer_address(&self) -> Option<String> {
        let Self { ip, peer_port, .. } = self;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
        (!ip.is_empty() && *peer_port != 0).then(|| format!("{host}:{peer_port}"))
    }
}

/// A node that is registered.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) registration: Registration,
}

/// Returns how far the clocks of other nodes are ahead of `now`, in milliseconds.
pub(super) fn clocks(nodes: &[Node], own: NodeId, now: u64) -> Vec<(NodeId, i64)> {
    let others = nodes.iter().filter(|node| node.id != own);
    let ahead = |wall: u64| {
        let ahead = i128::from(wall) - i128::from(now);
        ahead.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    };
    others.map(|node| (node.id, ahead(node.registration.wall))).collect()
}
