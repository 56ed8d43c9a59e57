//! The words that peers use of themselves.

use crate::cluster::relay::{Durable, Epoch, Seq};
use crate::log::Lsn;

/// The identity of a node: 20 bytes, which clients see as 40 hexadecimal digits.
pub type NodeId = [u8; 20];

/// The group that a message is about. Nodes of another group, another cluster, or of a cluster that was seeded anew
/// refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Group {
    /// The identity of the cluster.
    pub cluster: [u8; 16],
    /// Changes each time that the cluster's etcd is seeded anew from a folder.
    pub incarnation: u64,
    /// The number of the group.
    pub group: u32,
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PeerStatus {
    /// The node.
    pub node: NodeId,
    /// What it is: `primary`, `follower`, `loading`.
    pub role: String,
    /// The epoch that it knows.
    pub epoch: Epoch,
    /// The last batch that it has applied.
    pub seq: Seq,
    /// The last entry that it has applied.
    pub lsn: Lsn,
    /// The time of that entry.
    pub time: u64,
    /// What is on its disk.
    pub durable: Durable,
    /// The identity of its folder; zeros without one.
    pub folder: [u8; 16],
    /// The version of its program.
    pub version: String,
}
