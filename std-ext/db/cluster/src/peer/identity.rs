//! The words that peers use of themselves.

use super::wire;
use crate::log::local_log::DurablePosition;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::{Epoch, NodeId, Seq};

/// The group that a message is about. A node of another group, another cluster, or another incarnation of the cluster
/// refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GroupId {
    /// The identity of the cluster.
    pub cluster: [u8; 16],
    /// Changes each time that the cluster's etcd is seeded anew from a folder.
    pub incarnation: u64,
    /// The number of the group.
    pub group: u32,
}

impl GroupId {
    /// Returns the identity that a node of this group sends.
    pub(super) fn sent_by(&self, node: NodeId) -> wire::Identity {
        wire::Identity {
            cluster: self.cluster.to_vec().into(),
            incarnation: self.incarnation,
            group: self.group,
            node: node.0.to_vec().into(),
        }
    }

    /// Checks that a message is about this group. Returns its sender.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn check(&self, sent: Option<&wire::Identity>) -> Result<NodeId, &'static str> {
        let node = self.check_cluster(sent)?;
        if sent.is_some_and(|sent| sent.group != self.group) {
            return Err("the peer is a node of another group");
        }
        Ok(node)
    }

    /// Checks that a message is of a node of this cluster, of any group. Returns its sender.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn check_cluster(
        &self,
        sent: Option<&wire::Identity>,
    ) -> Result<NodeId, &'static str> {
        let sent = sent.ok_or("the peer does not name its cluster")?;
        if sent.cluster[..] != self.cluster {
            return Err(
                "the peer is a node of another cluster: check cluster-name and cluster-etcd \
                        on both nodes",
            );
        }
        // An adoption keeps one history, and the sender may have entries of another.
        if sent.incarnation != self.incarnation {
            return Err(
                "the peer has another incarnation of this cluster, from before or after etcd was reseeded: restart \
                 it, or empty its directory",
            );
        }
        let node =
            sent.node[..].try_into().map_err(|_| "the peer's name does not have 20 bytes")?;
        Ok(NodeId(node))
    }
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The node.
    pub node: NodeId,
    /// Its role: `primary`, `follower`, `loading`.
    pub role: String,
    /// The epoch that it knows.
    pub epoch: Epoch,
    /// The last batch that it has applied.
    pub seq: Seq,
    /// The last entry that it has applied.
    pub lsn: Lsn,
    /// The time of that entry.
    pub time: u64,
    /// The entries and batches on its disk.
    pub durable: DurablePosition,
    /// The incarnation of its folder; zeros without one.
    pub folder: [u8; 16],
    /// The version of its program.
    pub version: String,
}

impl PeerStatus {
    pub(super) fn to_wire(&self, group: &GroupId) -> wire::StatusResponse {
        wire::StatusResponse {
            of: Some(group.sent_by(self.node)),
            role: self.role.clone(),
            epoch: self.epoch,
            seq: self.seq,
            lsn: self.lsn,
            time: self.time,
            durable_lsn: self.durable.lsn,
            durable_seq: self.durable.seq,
            folder: self.folder.to_vec().into(),
            version: self.version.clone(),
        }
    }

    /// Reads what `to_wire` makes.
    pub(super) fn from_wire(
        sent: wire::StatusResponse,
        group: &GroupId,
    ) -> Result<Self, &'static str> {
        Ok(Self {
            node: group.check(sent.of.as_ref())?,
            role: sent.role,
            epoch: sent.epoch,
            seq: sent.seq,
            lsn: sent.lsn,
            time: sent.time,
            durable: DurablePosition { lsn: sent.durable_lsn, seq: sent.durable_seq },
            folder: sent.folder[..]
                .try_into()
                .map_err(|_| "an incarnation does not have 16 bytes")?,
            version: sent.version,
        })
    }
}
