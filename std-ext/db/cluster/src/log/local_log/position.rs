//! The place in the group's log that a local log has reached.

use hedgerow_db_engine::log::change::{LoggedChanges, LoggedOp};
use hedgerow_db_engine::log::{BatchMark, Lsn, change};
use hedgerow_db_group::{BatchChain, Mark, Seq};

/// The place that a local log has reached. A node continues with [`Mark::before`]: the local log may have only a part
/// of the batch of the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalLogPosition {
    /// The mark of the last batch. None if the local log has no batch.
    pub mark: Option<Mark>,
    /// The number of the last entry; 0 if there never was one.
    pub lsn: Lsn,
}

impl LocalLogPosition {
    /// Returns the entries and batches that are durable once all entries up to this position are on the disk.
    pub fn durable(&self) -> DurablePosition {
        DurablePosition { lsn: self.lsn, seq: self.mark.map_or(0, |mark| mark.seq) }
    }

    /// Returns the number of the batch that a node with this local log reads first.
    pub fn next_seq(&self) -> Seq {
        self.mark.map_or(1, |mark| mark.seq)
    }
}

/// The entries and batches that are on the disk. etcd must keep the batch `seq`, because a restarted node reads it
/// again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurablePosition {
    /// The number of the last entry.
    pub lsn: Lsn,
    /// The batch of the last mark; 0 if there is none.
    pub seq: Seq,
}

/// Returns the mark in the changes of an entry, if the entry is the first of a batch.
pub fn mark_in(lsn: Lsn, changes: &[u8]) -> Option<Mark> {
    match LoggedChanges::new(changes).next() {
        Some(Ok(LoggedOp::Batch(mark))) => Some(mark_of(lsn, &mark)),
        _ => None,
    }
}

/// Returns the changes of the first entry of a batch as etcd has them: without the mark.
pub fn without_mark<'a>(mark: &Mark, changes: &'a [u8]) -> &'a [u8] {
    let mut encoded = Vec::new();
    change::batch(&logged_mark(mark), &mut encoded);
    changes.strip_prefix(&encoded[..]).unwrap_or(changes)
}

/// Returns a mark as the protocol has it. `first` is the number of the entry that it is in front of.
pub fn mark_of(first: Lsn, mark: &BatchMark) -> Mark {
    let BatchMark { seq, epoch, chain_before } = *mark;
    Mark { seq, epoch, chain: BatchChain(chain_before), first }
}

/// Returns a mark as the entries have it.
pub fn logged_mark(mark: &Mark) -> BatchMark {
    BatchMark { seq: mark.seq, epoch: mark.epoch, chain_before: mark.chain.0 }
}
