//! Batches in, entries out: checks that each batch continues the log, and puts parts together.

use super::batch::{self, Batch, BatchPiece};
use super::entry::{Committed, Entry, Epoch, HeldEntries, LogPosition, Mark, Seq};
use super::format::{EntryFormat, time_behind};
use crate::entry::Lsn;

/// The end of the log as a node has read it.
#[derive(Clone, Debug)]
pub struct Joiner {
    format: &'static dyn EntryFormat,
    position: LogPosition,
    /// The entries that the node had before it began to read.
    held: HeldEntries,
    /// The same, as far as they were read again.
    again: HeldEntries,
    parts: Option<EntryParts>,
}

/// The beginning of an entry in parts.
#[derive(Clone, Debug)]
struct EntryParts {
    mark: Mark,
    bytes: Vec<u8>,
}

/// A batch that does not continue the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotNext {
    /// It continues another history.
    Fork,
    /// Its contents are wrong.
    Wrong(String),
}

impl From<String> for NotNext {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl Joiner {
    /// Begins behind a position. Entries that the node has are compared, and left out.
    pub fn new(format: &'static dyn EntryFormat, position: LogPosition, held: HeldEntries) -> Self {
        let again = HeldEntries::up_to(held.first().saturating_sub(1));
        Self { format, position, held, again, parts: None }
    }

    /// The position behind the last batch.
    pub fn position(&self) -> &LogPosition {
        &self.position
    }

    /// The next batch.
    pub fn next(&self) -> Seq {
        self.position.seq + 1
    }

    /// The last complete entry, or the last that the node had if that is later.
    pub fn reaches(&self) -> Lsn {
        self.position.lsn.max(self.held.last())
    }

    /// Whether all that the node had was compared with the log.
    pub fn has_compared(&self) -> bool {
        self.position.lsn >= self.held.last()
    }

    /// Takes the next batch. Returns the entries that it completes, as far as the node does not have them.
    ///
    /// # Errors
    /// If it does not continue the log. Then nothing has changed.
    pub fn take(&mut self, batch: &Batch) -> Result<Option<Committed>, NotNext> {
        // [C-13] Before anything is looked at: all else could be right by accident.
        if batch.before != self.position.chain {
            return Err(NotNext::Fork);
        }
        if batch.epoch < self.position.epoch {
            return Err(wrong("it is of an earlier epoch"));
        }
        // The entry that begins an epoch fits into any batch.
        if batch.epoch > self.position.epoch && batch.piece != BatchPiece::Whole {
            return Err(wrong("an epoch begins with a part of an entry"));
        }
        if batch.first != self.position.lsn + 1 {
            return Err(wrong("its first entry does not follow the last one"));
        }
        let after = LogPosition {
            seq: self.next(),
            lsn: self.position.lsn + u64::from(batch.entries),
            epoch: batch.epoch,
            chain: batch.after(),
            time: self.position.time,
        };
        let mark =
            Mark { seq: self.next(), epoch: batch.epoch, chain: batch.before, first: batch.first };
        let (mark, entries, again) = match batch.piece {
            BatchPiece::Whole if self.continues(batch.epoch) => {
                return Err(wrong("the entry before it has no end"));
            }
            BatchPiece::Whole => {
                let entries = batch::decode_entries(&batch.raw, batch.first, batch.entries)?;
                let again = self.compared(&entries)?;
                (mark, entries, again)
            }
            BatchPiece::Part | BatchPiece::LastPart => {
                let parts = self.extended(mark, batch)?;
                if batch.piece == BatchPiece::Part {
                    self.parts = Some(parts);
                    self.position = after;
                    return Ok(None);
                }
                let read =
                    batch::decode_entries(&parts.bytes, batch.first, 1).map_err(NotNext::Wrong);
                let read = read.and_then(|entries| Ok((self.compared(&entries)?, entries)));
                match read {
                    Ok((again, entries)) => (parts.mark, entries, again),
                    Err(why) => {
                        self.take_back(parts, batch.raw.len());
                        return Err(why);
                    }
                }
            }
        };
        let after = LogPosition { time: time_behind(self.format, after.time, &entries), ..after };
        self.again = again;
        self.parts = None;
        self.position = after;
        // The state of a restarted node has the others.
        let new = entries.into_iter().filter(|entry| entry.lsn > self.held.last());
        let entries: Vec<_> = new.collect();
        Ok((!entries.is_empty()).then_some(Committed { mark, entries, after }))
    }

    /// Compares the entries that the node has already. The chain before their batch is the same in all histories that
    /// part with this batch [C-13].
    fn compared(&self, entries: &[Entry]) -> Result<HeldEntries, NotNext> {
        let mut again = self.again;
        for entry in entries {
            if entry.lsn == again.last().saturating_add(1) && entry.lsn <= self.held.last() {
                again.add(entry.time, &entry.changes);
            }
        }
        if again.last() == self.held.last() && again != self.held {
            return Err(NotNext::Fork);
        }
        Ok(again)
    }

    /// Whether the parts that are open belong to this epoch. Those of an earlier epoch never get an end: their primary
    /// was deposed, and its entry never happened [C-3].
    fn continues(&self, epoch: Epoch) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.mark.epoch == epoch)
    }

    /// Returns the parts with one more.
    fn extended(&mut self, mark: Mark, batch: &Batch) -> Result<EntryParts, NotNext> {
        let open = self.continues(batch.epoch);
        let (mark, before) = match &self.parts {
            Some(parts) if open => (parts.mark, parts.bytes.len()),
            _ => (mark, 0),
        };
        let start = if open { self.start() } else { &batch.raw };
        let whole = batch::entry_length(start).ok_or_else(|| wrong("a part is too short"))?;
        let length = before + batch.raw.len();
        // The first bytes tell the whole length, so parts that exceed it are refused before they are collected.
        if length > whole || (length == whole) != (batch.piece == BatchPiece::LastPart) {
            return Err(wrong("the parts of an entry are not as long as it"));
        }
        let mut bytes = if open { self.parts.take().map(|parts| parts.bytes) } else { None }
            .unwrap_or_default();
        bytes.extend_from_slice(&batch.raw);
        Ok(EntryParts { mark, bytes })
    }

    /// Opens the parts again that [`extended`](Self::extended) has taken, without the last `length` bytes.
    fn take_back(&mut self, mut parts: EntryParts, length: usize) {
        let before = parts.bytes.len() - length;
        // The first part of an entry leaves those that are open where they are.
        if before > 0 {
            parts.bytes.truncate(before);
            self.parts = Some(parts);
        }
    }

    fn start(&self) -> &[u8] {
        self.parts.as_ref().map_or(&[], |parts| &parts.bytes)
    }
}

fn wrong(why: &str) -> NotNext {
    NotNext::Wrong(why.to_owned())
}
