//! The place in the group's log that a relay has reached.

use crate::log::Lsn;

/// The number of a batch in etcd. The first batch is 1.
pub type Seq = u64;

/// The number of a primary's term. Each takeover adds one.
pub type Epoch = u64;

/// The running hash over all batches.
pub type Chain = [u8; 16];

/// The mark in front of the first entry of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The number of the batch. If the entry was too large for one batch, the number of its first part.
    pub seq: Seq,
    /// The epoch in which the batch was written.
    pub epoch: Epoch,
    /// The chain before the batch.
    pub chain_before: Chain,
    /// The number of the batch's first entry.
    pub first_lsn: Lsn,
}

/// A committed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The number of the entry.
    pub lsn: Lsn,
    /// The time at which it is applied.
    pub time: u64,
    /// Its changes, as bytes.
    pub changes: &'a [u8],
}

/// The place that a relay has reached.
///
/// A node continues with the batch of the mark, because the relay may have only a part of it: it reads that batch
/// again, checks the chain before it, and skips the entries up to `lsn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The mark of the last batch. None if the relay has no batch.
    pub mark: Option<Mark>,
    /// The number of the last entry; 0 if there never was one.
    pub lsn: Lsn,
    /// The last batch that the relay is known to have wholly; 0 if there is none.
    pub seq: Seq,
}

impl Position {
    /// Returns the position after recovery: the batch of the mark may be cut.
    pub fn recovered(mark: Option<Mark>, lsn: Lsn) -> Self {
        Self { mark, lsn, seq: mark.map_or(0, |mark| mark.seq.saturating_sub(1)) }
    }

    /// Returns the number of the next batch to read from etcd.
    pub fn next_seq(&self) -> Seq {
        self.seq.saturating_add(1)
    }
}

/// What is on the disk: all entries up to `lsn`, and all batches up to `seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// The number of the last entry.
    pub lsn: Lsn,
    /// The number of the last batch all of whose entries are there.
    pub seq: Seq,
}
