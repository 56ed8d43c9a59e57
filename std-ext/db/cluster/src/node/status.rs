//! The status of a node, for its metrics, its peers and the program.

use crate::etcd::EtcdClient;
use crate::measure::clock;
pub(crate) use crate::measure::counters::ClusterCounters;
use crate::measure::counters::LeaseCheckCounts;
#[cfg(feature = "metrics")]
use crate::measure::counters::MOVE_STATES;
#[cfg(feature = "metrics")]
use crate::measure::histogram::SizeHistogram;
#[cfg(feature = "metrics")]
use crate::moves::record::MoveState;
use crate::node::quota::EtcdQuota;
use crate::node::wording;
#[cfg(feature = "metrics")]
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::NodeId;
#[cfg(any(feature = "metrics", test))]
use hedgerow_db_group::Takeover;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How long the node's thread may stand still, in milliseconds.
const STANDSTILL: u64 = 10_000;

/// How a node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeExit {
    /// The process must start anew: its state has changes that the group does not have, or its folder was renewed. The
    /// text says why.
    Restart(String),
    /// The node cannot go on. The text says what is wrong and what to do.
    Stop(String),
}

/// The knowledge of a node about itself and its group.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not, by itself")]
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
    pub committed: Lsn,
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
    /// Until when the node counts as the primary, by its last transaction that etcd has confirmed: its boot clock, in
    /// milliseconds. 0 if it is not the primary.
    pub confirmed_until: u64,
    /// The last entry that the local log has, which need not be on the disk yet.
    pub contents: Lsn,
    /// Why the node never becomes the primary, if there is a reason.
    pub disqualified: Option<String>,
    /// Whether the node's own disk fails or hangs, so that the node does not count as a copy.
    pub disk_fails: bool,
    /// etcd's storage quota, as of some seconds ago.
    pub etcd_quota: EtcdQuota,
    /// Whether changes are refused because etcd's storage quota is nearly used up.
    pub is_full: bool,
}

impl NodeStatus {
    pub(crate) fn new(
        status: &hedgerow_db_group::GroupStatus,
        role: &'static str,
        serving: bool,
        contents: Lsn,
    ) -> Self {
        Self {
            role,
            serving,
            epoch: status.epoch,
            primary: status.primary,
            committed: status.committed,
            applied: status.applied,
            seq: status.position.seq,
            time: status.position.time,
            behind: status.behind,
            pending: status.pending,
            retained: status.retained,
            member: status.member,
            lease_until: status.until,
            confirmed_until: match &status.tail {
                Some(tail) if serving => tail.until(status.sent),
                _ => 0,
            },
            contents,
            disqualified: status.disqualified.as_ref().map(wording::disqualification),
            ..Self::default()
        }
    }
}

/// Reads the state of a node. Clones read the same.
#[derive(Clone, Debug, Default)]
pub struct NodeMonitor {
    pub(crate) status: Arc<Mutex<NodeStatus>>,
    pub(crate) counters: Arc<ClusterCounters>,
    /// Set when the node starts, as is the next one.
    pub(crate) lease_checks: Arc<OnceLock<Arc<LeaseCheckCounts>>>,
    pub(crate) etcd: Arc<OnceLock<EtcdClient>>,
}

impl NodeMonitor {
    /// Returns what the node knows about itself and its group, as of a tenth of a second ago or less.
    pub fn status(&self) -> NodeStatus {
        lock(&self.status).clone()
    }

    /// Returns how many messages of channels were sent to other nodes, and how many were lost.
    pub fn messages(&self) -> (u64, u64) {
        let messages = &self.counters.messages;
        (messages.sent.get(), messages.lost.get())
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

    /// Returns whether the node serves as the primary, and etcd has confirmed it within the lease. A primary that does
    /// not reach etcd waits for it, as long as no other node takes over.
    pub fn is_confirmed(&self) -> bool {
        clock::now() < lock(&self.status).confirmed_until
    }

    /// Returns how long the lease of the primary lasts that this node is; zero if it is none, or has no lease.
    pub fn lease_left(&self) -> Duration {
        Duration::from_millis(lock(&self.status).lease_until.saturating_sub(clock::now()))
    }

    /// Returns the number of the cluster's format, as of a second ago; 0 before it was read.
    pub fn format(&self) -> u64 {
        self.counters.format.get()
    }

    /// Returns how often the node had to fetch its data from another node.
    pub fn resyncs(&self) -> u64 {
        self.counters.resyncs.get()
    }
}

#[cfg(any(feature = "metrics", test))]
impl NodeMonitor {
    /// Returns how often the node became the primary, by reason.
    pub(crate) fn takeovers(&self) -> [(&'static str, u64); Takeover::KINDS.len()] {
        let counts = &self.counters.takeovers;
        std::array::from_fn(|kind| (Takeover::KINDS[kind], counts[kind].get()))
    }
}

#[cfg(test)]
impl NodeMonitor {
    /// Returns whether the node has deleted batches.
    pub(crate) fn has_trimmed(&self) -> bool {
        self.counters.trims.get() > 0
    }
}

#[cfg(all(test, feature = "metrics"))]
impl NodeMonitor {
    /// Returns the monitor of a node that does not run, with one member of etcd.
    pub(crate) fn with_etcd(url: &str) -> Self {
        let monitor = Self::default();
        let client = EtcdClient::connect(&crate::etcd::ClientSettings::new([url])).unwrap();
        assert!(monitor.etcd.set(client).is_ok());
        monitor
    }
}

/// Figures for `/metrics`.
#[cfg(feature = "metrics")]
impl NodeMonitor {
    /// Returns the bytes of the batches that were sent to etcd.
    pub(crate) fn batch_sizes(&self) -> &SizeHistogram {
        &self.counters.batches.sizes
    }

    /// Returns the bytes of these batches before compression.
    pub(crate) fn raw_bytes(&self) -> u64 {
        self.counters.batches.raw_bytes.get()
    }

    /// Returns the times until etcd confirmed them.
    pub(crate) fn batch_times(&self) -> &SizeHistogram {
        &self.counters.batches.times
    }

    /// Returns the deletions of batches in etcd.
    pub(crate) fn trims(&self) -> u64 {
        self.counters.trims.get()
    }

    /// Returns the moves from or to the group by state, if this node is its primary.
    pub(crate) fn moves(&self) -> [(String, u64); MOVE_STATES] {
        let counts = self.counters.moves.by_state();
        let serves = u64::from(lock(&self.status).serving);
        std::array::from_fn(|state| (MoveState::ALL[state].to_string(), serves * counts[state]))
    }

    /// Returns the bytes of keys and values that the node has received for moves.
    pub(crate) fn moved_bytes(&self) -> u64 {
        self.counters.moves.bytes.get()
    }

    /// Returns the longest time for which the node has held clients back for a move.
    pub(crate) fn longest_hold(&self) -> Duration {
        Duration::from_micros(self.counters.moves.longest_hold.get())
    }

    /// Returns how many replies were confirmed by the lease and by etcd, and how often etcd had to be asked.
    pub(crate) fn lease_checks(&self) -> [u64; 3] {
        let Some(counts) = self.lease_checks.get() else { return [0; 3] };
        [&counts.by_lease, &counts.by_log, &counts.waited].map(Gauge::get)
    }

    /// Returns the members of etcd with the number of requests that failed there.
    pub(crate) fn etcd_failures(&self) -> Vec<(&str, u64)> {
        self.etcd.get().map(EtcdClient::failures).unwrap_or_default()
    }
}
