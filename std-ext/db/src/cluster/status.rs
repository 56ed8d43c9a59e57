//! The status of a node, for its metrics, its peers and the program.

use super::clock;
use super::core::{self, NodeId};
use super::space::EtcdSpace;
use crate::gauge::Gauge;
use crate::lock::lock;
use crate::log::Lsn;
use std::sync::{Arc, Mutex};

/// How long the node's thread may stand still, in milliseconds.
const STANDSTILL: u64 = 10_000;

/// How a node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The process must start anew: its state has changes that the group does not have, or its folder was renewed. The
    /// text says why.
    Restart(String),
    /// The node cannot go on. The text says what is wrong and what to do.
    Stop(String),
}

/// The knowledge of a node about itself and its group.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeStatus {
    /// `primary`, `follower` or `loading`.
    pub role: &'static str,
    /// Whether the node serves as the primary.
    pub serving: bool,
    /// The epoch of the group.
    pub epoch: u64,
    /// The node that the group's last line names as the primary.
    pub primary: Option<NodeId>,
    /// The last entry that is committed, as far as the node knows.
    pub safe: Lsn,
    /// The last entry that the node's state has.
    pub applied: Lsn,
    /// The last batch that the node has read.
    pub seq: u64,
    /// The time of the latest entry, in milliseconds since 1970.
    pub time: u64,
    /// Batches that the node has not read yet.
    pub behind: u64,
    /// Bytes that wait for etcd.
    pub pending: usize,
    /// Bytes of batches in etcd.
    pub retained: u64,
    /// Whether the node is a member of the group.
    pub member: bool,
    /// The end of the primary's lease by this node's boot clock, in milliseconds; 0 if it is not the primary.
    pub lease_until: u64,
    /// The last entry that the relay has, which need not be on the disk yet.
    pub relayed: Lsn,
    /// Why the node never becomes the primary, if there is a reason.
    pub disqualified: Option<String>,
    /// The space in etcd, as of some seconds ago.
    pub space: EtcdSpace,
    /// Whether changes are refused because etcd has hardly any space left.
    pub is_full: bool,
}

impl NodeStatus {
    pub(super) fn new(
        status: &core::Status,
        role: &'static str,
        serving: bool,
        relayed: Lsn,
    ) -> Self {
        Self {
            role,
            serving,
            epoch: status.epoch,
            primary: status.primary,
            safe: status.safe,
            applied: status.applied,
            seq: status.position.seq,
            time: status.position.time,
            behind: status.behind,
            pending: status.pending,
            retained: status.retained,
            member: status.member,
            lease_until: status.until,
            relayed,
            disqualified: status.disqualified.clone(),
            ..Self::default()
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// How often the node became the primary.
    pub(super) takeovers: Gauge,
    /// Batches that were sent to etcd, repeated ones included.
    pub(super) batches: Gauge,
    /// The bytes of these batches.
    pub(super) batch_bytes: Gauge,
    /// Deletions of batches that etcd may forget.
    pub(super) trims: Gauge,
    /// How often the node had to fetch its data from a peer.
    pub(super) resyncs: Gauge,
    /// The nodes that wait for a place in a group.
    pub(super) spares: Gauge,
    /// 1 while the node coordinates the cluster.
    pub(super) coordinates: Gauge,
    /// When the node's thread turned last, boot time.
    pub(super) turned: Gauge,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NodeCounts {
    /// How often the node became the primary.
    pub takeovers: u64,
    /// Batches that were sent to etcd, repeated ones included.
    pub batches: u64,
    /// The bytes of these batches.
    pub batch_bytes: u64,
    /// Deletions of batches that etcd may forget.
    pub trims: u64,
    /// How often the node had to fetch its data from a peer.
    pub resyncs: u64,
}

/// Reads the state of a node. Clones read the same.
#[derive(Clone, Debug, Default)]
pub struct NodeMonitor {
    pub(super) status: Arc<Mutex<NodeStatus>>,
    pub(super) counters: Arc<Counters>,
}

impl NodeMonitor {
    /// Returns what the node knows about itself and its group, as of a tenth of a second ago or less.
    pub fn status(&self) -> NodeStatus {
        lock(&self.status).clone()
    }

    /// Returns how many nodes wait for a place in a group, as of a second ago.
    pub fn spares(&self) -> u64 {
        self.counters.spares.get()
    }

    /// Returns whether the node coordinates the cluster: places nodes, and removes members that are gone for good.
    pub fn coordinates(&self) -> bool {
        self.counters.coordinates.get() != 0
    }

    /// Returns whether the node's thread turns. It never waits for etcd.
    pub fn is_alive(&self) -> bool {
        clock::now() < self.counters.turned.get() + STANDSTILL
    }

    /// Returns the counts since the start.
    pub fn counts(&self) -> NodeCounts {
        let Counters { takeovers, batches, batch_bytes, trims, resyncs, .. } = &*self.counters;
        let [takeovers, batches, batch_bytes, trims, resyncs] =
            [takeovers, batches, batch_bytes, trims, resyncs].map(Gauge::get);
        NodeCounts { takeovers, batches, batch_bytes, trims, resyncs }
    }
}
