//! Counts of a node since its start, for `/metrics`. Any thread adds to them, and any reads.

use super::core::Takeover;
use super::histogram::SizeHistogram;
use crate::gauge::Gauge;

/// Upper bounds of the buckets of batches by their bytes.
const SIZES: &[u64] =
    &[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20];
/// Upper bounds of the buckets of batches by their time, in microseconds.
const TIMES: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// The number of states that a move can be in.
pub(super) const MOVE_STATES: usize = 8;

/// Counts since the start, and a few states.
#[derive(Debug, Default)]
pub(super) struct ClusterCounters {
    /// How often the node became the primary, in the order of [`Takeover::KINDS`].
    pub(super) takeovers: [Gauge; Takeover::KINDS.len()],
    pub(super) batches: Batches,
    /// Deletions of batches that etcd may forget.
    pub(super) trims: Gauge,
    /// How often the node had to fetch its data from a peer.
    pub(super) resyncs: Gauge,
    pub(super) moves: Moves,
    pub(super) messages: Messages,
    /// The nodes that wait for a place in a group.
    pub(super) spares: Gauge,
    /// The number of the cluster's format.
    pub(super) format: Gauge,
    /// 1 while the node coordinates the cluster.
    pub(super) coordinates: Gauge,
    /// When the node's thread turned last, boot time.
    pub(super) turned: Gauge,
    /// Since when the node's disk is being forced, boot time; 0 while it is not.
    pub(super) forcing_since: Gauge,
}

/// Messages of channels, each counted for each other node.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Those that were put into the node's queue.
    pub(super) sent: Gauge,
    /// Those that were not, or that were still there when the node was gone.
    pub(super) lost: Gauge,
}

/// The batches that were sent to etcd, repeated ones included.
#[derive(Debug)]
pub(super) struct Batches {
    /// Their bytes.
    pub(super) sizes: SizeHistogram,
    /// The time until etcd confirmed them, in microseconds. One without an answer is not counted.
    pub(super) times: SizeHistogram,
    /// Their bytes before compression.
    pub(super) raw_bytes: Gauge,
}

impl Default for Batches {
    fn default() -> Self {
        let (sizes, times) = (SizeHistogram::new(SIZES, 1.0), SizeHistogram::new(TIMES, 1e6));
        Self { sizes, times, raw_bytes: Gauge::default() }
    }
}

/// The moves of the node's group, as its primary sees them.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// The moves that etcd has, by the number of their state.
    states: [Gauge; MOVE_STATES],
    /// Bytes of keys and values that this node has received.
    pub(super) bytes: Gauge,
    /// The longest time for which clients were held back for a move, in microseconds.
    pub(super) longest_hold: Gauge,
}

impl Moves {
    /// Notes the numbers of the states of all moves.
    pub(super) fn note(&self, states: impl Iterator<Item = usize>) {
        let mut counts = [0; MOVE_STATES];
        for state in states {
            counts[state] += 1;
        }
        self.states.iter().zip(counts).for_each(|(gauge, count)| gauge.set(count));
    }

    /// Returns the number of moves in each state.
    #[cfg(feature = "metrics")]
    pub(super) fn by_state(&self) -> [u64; MOVE_STATES] {
        self.states.each_ref().map(Gauge::get)
    }
}

/// How replies of a primary were confirmed: that no other node had taken over when they were evaluated.
#[derive(Debug, Default)]
pub(crate) struct LeaseCheckCounts {
    /// The lease had not ended.
    pub(crate) by_lease: Gauge,
    /// etcd has confirmed the primary since.
    pub(crate) by_log: Gauge,
    /// Neither was known yet, so etcd was asked.
    pub(crate) waited: Gauge,
}
