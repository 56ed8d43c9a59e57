//! Plain data of the protocol: entries, and positions in the log.

use super::chain::BatchChain;
pub use super::names::{Epoch, Lsn, MOST_NUMBER, NodeId, NotANodeId, Seq};

/// The two clocks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since the machine started, time of suspension included (`CLOCK_BOOTTIME`).
    pub boot: u64,
    /// The time that an entry made now carries, in milliseconds since 1970.
    pub wall: u64,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub lsn: Lsn,
    /// The time at which its changes are made, in milliseconds since 1970.
    pub time: u64,
    /// The changes, which only the state machine reads: see [`EntryFormat`](super::EntryFormat).
    pub changes: Vec<u8>,
}

/// How far a copy of the log reaches: the last batch, and the state behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogPosition {
    /// The last batch.
    pub seq: Seq,
    /// The last complete entry.
    pub lsn: Lsn,
    /// The epoch of the last batch.
    pub epoch: Epoch,
    /// The chain behind the last batch.
    pub chain: BatchChain,
    /// The latest time of an entry since the clock was set back last.
    pub time: u64,
}

/// The mark that the local log writes in front of a batch. By it a restarted node finds its place in the store.
///
/// A restarted node begins with [`before`](Self::before): it reads the batch once more, checks the chain before it,
/// compares the entries that it has ([`HeldEntries`]), and skips them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The batch. For an entry in parts, its first part.
    pub seq: Seq,
    /// The epoch of the batch.
    pub epoch: Epoch,
    /// The chain before the batch.
    pub chain: BatchChain,
    /// The first entry of the batch.
    pub first: Lsn,
}

impl Mark {
    /// Returns the position before the batch. The epoch is that of the batch: earlier ones are not accepted any more.
    ///
    /// `time` is the latest time of an entry that the node has, since the clock was set back last.
    pub fn before(&self, time: u64) -> LogPosition {
        LogPosition {
            seq: self.seq.saturating_sub(1),
            lsn: self.first.saturating_sub(1),
            epoch: self.epoch,
            chain: self.chain,
            time,
        }
    }
}

/// The entries that a node has before it begins to read the log.
///
/// The chain before the batch of the last mark says nothing about that batch. So its entries are compared, by a hash,
/// with those that the node has [C-13].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldEntries {
    last: Lsn,
    hash: BatchChain,
    first: Lsn,
}

impl HeldEntries {
    /// All entries up to one. None of them is compared.
    pub fn up_to(last: Lsn) -> Self {
        Self { last, hash: BatchChain::default(), first: last.saturating_add(1) }
    }

    /// The entries from `first` to `last`, of which only the hash is known. All of them are compared.
    pub fn hashed(first: Lsn, last: Lsn, hash: BatchChain) -> Self {
        Self { last, hash, first }
    }

    /// Adds the next entry, as the log in the store has it: without the mark of its batch. It is compared.
    pub fn add(&mut self, time: u64, changes: &[u8]) {
        self.last += 1;
        self.hash = self.hash.with_entry(self.last, time, changes);
    }

    /// The last entry.
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// The hash of the entries that are compared.
    pub fn hash(&self) -> BatchChain {
        self.hash
    }

    /// The first entry that is compared; the one behind the last if there is no such entry.
    pub fn first(&self) -> Lsn {
        self.first
    }
}

/// Complete committed entries, in order, without gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The batch that the entries are from. The local log writes it in front of the entry `mark.first`, and leaves it
    /// out if the entries begin later: then it has it already.
    pub mark: Mark,
    /// The entries that the node does not have yet. At least one.
    pub entries: Vec<Entry>,
    /// The position behind them.
    pub after: LogPosition,
}
