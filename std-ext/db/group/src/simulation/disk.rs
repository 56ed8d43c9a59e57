//! The local log in a node's folder: committed entries, and the marks of their batches.

use super::random::Random;
use crate::batch::{Batch, BatchPiece, encode_entry};
use crate::{Committed, Entry, HeldEntries, LogPosition, Lsn, Mark, Seq};

/// The batches with which a new store begins at most.
const WINDOW: usize = 30;

/// A folder. It outlives the process, but entries that were not forced are lost with the machine.
#[derive(Clone, Debug)]
pub struct Disk<T> {
    entries: Vec<Entry>,
    marks: Vec<Mark>,
    /// The last entry that a loss of power keeps.
    forced: Lsn,
    /// A snapshot of the real program, and the last entry that it may contain.
    snapshot: Option<(Lsn, T)>,
}

impl<T> Default for Disk<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), marks: Vec::new(), forced: 0, snapshot: None }
    }
}

impl<T: Clone> Disk<T> {
    /// The last entry.
    pub fn last(&self) -> Lsn {
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

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last snapshot of the real program.
    pub fn snapshot(&self) -> Option<&T> {
        self.snapshot.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// Keeps a snapshot, unless the disk lacks entries that it contains. Returns whether it does.
    pub(super) fn keep(&mut self, snapshot: &(Lsn, T)) -> bool {
        let complete = snapshot.0 <= self.forced;
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

    /// Returns the last batches, made again from entries and marks. Also returns the
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

    /// Returns the position in the store at which the node goes on. `time` is the latest of an entry.
    pub(super) fn position(&self, time: u64) -> LogPosition {
        self.mark_of(self.last()).map_or_else(LogPosition::default, |mark| mark.before(time))
    }
}
