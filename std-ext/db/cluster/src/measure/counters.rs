//! Counts of a node since its start, for `/metrics`. Any thread adds to them, and any reads.

use crate::measure::histogram::SizeHistogram;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_group::Takeover;

/// Upper bounds of the buckets of batches by their bytes.
const SIZES: &[u64] =
    &[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20];
/// Upper bounds of the buckets of batches by their time, in microseconds.
const TIMES: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// The number of states that a move can be in.
pub(crate) const MOVE_STATES: usize = 8;

/// Counts since the start, and a few states.
#[derive(Debug, Default)]
pub(crate) struct ClusterCounters {
    /// How often the node became the primary, in the order of [`Takeover::KINDS`].
    pub(crate) takeovers: [Gauge; Takeover::KINDS.len()],
    pub(crate) batches: Batches,
    /// Deletions of batches that etcd may forget.
    pub(crate) trims: Gauge,
    /// How often the node had to fetch its data from a peer.
    pub(crate) resyncs: Gauge,
    pub(crate) moves: Moves,
    pub(crate) messages: Messages,
    /// The nodes that wait for a place in a group.
    pub(crate) spares: Gauge,
    /// The number of the cluster's format.
    pub(crate) format: Gauge,
    /// 1 while the node coordinates the cluster.
    pub(crate) coordinates: Gauge,
    /// When the node's thread turned last, boot time.
    pub(crate) turned: Gauge,
    /// Since when the node's disk is being forced, boot time; 0 while it is not.
    pub(crate) forcing_since: Gauge,
}

/// Messages of channels, each counted for each other node.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// Those that were put into the node's queue.
    pub(crate) sent: Gauge,
    /// Those that were not, or that were still there when the node was gone.
    pub(crate) lost: Gauge,
}

/// The batches that were sent to etcd, repeated ones included.
#[derive(Debug)]
pub(crate) struct Batches {
    /// Their bytes.
    pub(crate) sizes: SizeHistogram,
    /// The time until etcd confirmed them, in microseconds. One without an answer is not counted.
    pub(crate) times: SizeHistogram,
    /// Their bytes before compression.
    pub(crate) raw_bytes: Gauge,
}

impl Default for Batches {
    fn default() -> Self {
        let (sizes, times) = (SizeHistogram::new(SIZES, 1.0), SizeHistogram::new(TIMES, 1e6));
        Self { sizes, times, raw_bytes: Gauge::default() }
    }
}

/// The moves of the node's group, as its primary sees them.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// The moves that etcd has, by the number of their state.
    states: [Gauge; MOVE_STATES],
    /// Bytes of keys and values that this node has received.
    pub(crate) bytes: Gauge,
    /// The longest time for which clients were held back for a move, in microseconds.
    pub(crate) longest_hold: Gauge,
}

impl Moves {
    /// Notes the numbers of the states of all moves.
    pub(crate) fn note(&self, states: impl Iterator<Item = usize>) {
        let mut counts = [0; MOVE_STATES];
        for state in states {
            counts[state] += 1;
        }
        self.states.iter().zip(counts).for_each(|(gauge, count)| gauge.set(count));
    }

    /// Returns the number of moves in each state.
    #[cfg(feature = "metrics")]
    pub(crate) fn by_state(&self) -> [u64; MOVE_STATES] {
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
