//! The local log in a node's folder: committed entries, and the marks of their batches.

use super::random::Random;
use super::store::Store;
use crate::cluster::core::batch::{Batch, BatchPiece, encode_entry};
use crate::cluster::core::{Committed, Entry, HeldEntries, LogPosition, Mark, Seq};
use crate::log::Lsn;
use std::ops::Range;

/// The batches with which a new etcd begins at most.
const WINDOW: usize = 30;

/// A snapshot of the real state. Its shards were written one after the other, while entries were applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) sections: Vec<Section>,
    /// The last entry that it may contain.
    pub(super) last: Lsn,
    /// The latest time of these entries.
    pub(super) time: u64,
}

/// The records of some slots behind the entry `watermark`.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) slots: Range<u16>,
    pub(super) watermark: Lsn,
    pub(super) records: Vec<(Vec<u8>, Option<u64>, Vec<u8>)>,
}

/// A folder. It outlives the process, but entries that were not forced are lost with the machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    entries: Vec<Entry>,
    marks: Vec<Mark>,
    /// The last entry that a loss of power keeps.
    forced: Lsn,
    snapshot: Option<Snapshot>,
}

impl Disk {
    pub(super) fn last(&self) -> Lsn {
        self.entries.len() as Lsn
    }

    /// Appends committed entries. There is a mark in front of the first entry of each batch, and none elsewhere.
    pub(super) fn push(&mut self, committed: &Committed) -> Result<(), String> {
        for entry in &committed.entries {
            if entry.lsn != self.last() + 1 {
                return Err(format!(
                    "the local log gets entry {} after {}",
                    entry.lsn,
                    self.last()
                ));
            }
            if entry.lsn == committed.mark.first {
                self.marks.push(committed.mark);
            }
            self.entries.push(entry.clone());
        }
        Ok(())
    }

    pub(super) fn force(&mut self, up_to: Lsn) {
        self.forced = self.forced.max(up_to.min(self.last()));
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Keeps a snapshot, unless the disk lacks entries that it contains. Returns whether it does.
    pub(super) fn keep(&mut self, snapshot: &Snapshot) -> bool {
        let complete = snapshot.last <= self.forced;
        if complete {
            self.snapshot = Some(snapshot.clone());
        }
        complete
    }

    fn mark_of(&self, lsn: Lsn) -> Option<Mark> {
        self.marks.iter().rev().find(|mark| mark.first <= lsn).copied()
    }

    /// Returns the batch of the last entry.
    pub(super) fn mark_of_last(&self) -> Option<Mark> {
        self.mark_of(self.last())
    }

    /// Returns the batch of the last entry that is forced.
    pub(super) fn durable(&self) -> Option<Seq> {
        self.mark_of(self.forced).filter(|_| self.forced > 0).map(|mark| mark.seq)
    }

    /// Loses some entries that were not forced. Returns the number of entries, and whether part of a batch is left.
    pub(super) fn lose_power(&mut self, random: &mut Random) -> (u64, bool) {
        let lost = self.last() - random.between(self.forced, self.last() + 1);
        self.entries.truncate(usize::try_from(self.last() - lost).expect("fits"));
        let last = self.last();
        let whole = self.marks.iter().any(|mark| mark.first == last + 1);
        self.marks.retain(|mark| mark.first <= last);
        // All entries that are left are on the disk.
        self.forced = last;
        (lost, lost > 0 && !whole)
    }

    /// Returns the last batches, made again from entries and marks as `cluster adopt` makes them. Also returns the
    /// position behind them. Batches before one that does not come out the same are left out.
    #[allow(clippy::type_complexity)] // Named once, here.
    pub(super) fn window(&self) -> Option<(Vec<(Seq, Vec<u8>)>, LogPosition)> {
        let (mut batches, mut end) = (Vec::new(), None);
        let marks = &self.marks[self.marks.len().saturating_sub(WINDOW)..];
        for (at, mark) in marks.iter().enumerate() {
            let next = marks.get(at + 1);
            let last = next.map_or(self.last(), |next| next.first - 1);
            let (mut raw, mut entries, mut time) = (Vec::new(), 0, 0);
            let range = mark.first as usize - 1..last as usize;
            for entry in &self.entries[range] {
                encode_entry(entry, &mut raw);
                (entries, time) = (entries + 1, entry.time.max(time));
            }
            let (epoch, first, before) = (mark.epoch, mark.first, mark.chain);
            let batch = Batch { epoch, first, entries, piece: BatchPiece::Whole, before, raw };
            let chain = batch.after();
            if next.is_some_and(|next| (next.seq, next.chain) != (mark.seq + 1, chain)) {
                batches.clear();
                continue;
            }
            batches.push((mark.seq, batch.encode()));
            end = Some(LogPosition { seq: mark.seq, lsn: last, epoch, chain, time });
        }
        let end = end.filter(|_| !batches.is_empty())?;
        Some((batches, end))
    }

    /// Returns a copy as a peer gets it: all of it is forced there.
    pub(super) fn fetched(&self) -> Self {
        Self { forced: self.last(), ..self.clone() }
    }

    /// Returns the entries, of which those behind the last mark are compared.
    pub(super) fn held(&self) -> HeldEntries {
        let before = self.mark_of(self.last()).map_or(self.last(), |mark| mark.first - 1);
        let mut held = HeldEntries::up_to(before);
        let again = self.entries.iter().filter(|entry| entry.lsn > before);
        again.for_each(|entry| held.add(entry.time, &entry.changes));
        held
    }

    /// Returns the state, and the position in etcd at which the node goes on.
    pub(super) fn recover(&self) -> Result<(Store, LogPosition), String> {
        let mut store = Store::default();
        for entry in &self.entries {
            store.apply(entry.lsn, entry.time, &entry.changes)?;
        }
        let mark = self.mark_of(self.last());
        let position = mark.map_or_else(LogPosition::default, |mark| mark.before(store.time));
        Ok((store, position))
    }
}
