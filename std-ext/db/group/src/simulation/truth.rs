//! The committed entries: each transaction that takes effect in the fake store is checked and replayed here.
//!
//! All that nodes apply, acknowledge and answer is compared with it.

use super::machine::{Machine, Replica};
use super::store::Transaction;
use crate::batch::{self, Batch, BatchPiece};
use crate::{Entry, EntryFormat, Lsn, NodeId, Tail};

/// The prefix of the batches' keys.
pub(super) const LOG: &str = "log/";

/// Returns the key of a batch.
pub(super) fn log_key(seq: u64) -> String {
    format!("{LOG}{seq:020}")
}

/// The committed entries.
#[derive(Clone, Debug)]
pub struct Truth<H> {
    format: &'static dyn EntryFormat,
    pub(super) tail: Option<Tail>,
    /// Entry n is at n - 1.
    pub(super) entries: Vec<Entry>,
    /// The digest behind each entry; the first is of the empty state.
    digests: Vec<u64>,
    /// The state behind the last entry.
    history: Replica<H>,
    /// How often the clock was set back.
    pub(super) set_backs: u64,
    /// The parts of an entry that is not complete, and their epoch.
    parts: Vec<u8>,
    parts_epoch: u64,
    /// The nodes that took the group over, in order.
    pub(super) holders: Vec<NodeId>,
    /// The line that the last takeover replaced.
    taken: Option<Tail>,
    /// Entries whose first parts were left behind by a takeover.
    pub(super) abandoned: u64,
    /// Entries that had several parts.
    pub(super) joined: u64,
    /// Lines with an earlier time than the one before.
    pub(super) set_back: u64,
}

impl<H: Machine> Truth<H> {
    pub(super) fn new(format: &'static dyn EntryFormat) -> Self {
        Self {
            format,
            tail: None,
            entries: Vec::new(),
            digests: Vec::new(),
            history: Replica::default(),
            set_backs: 0,
            parts: Vec::new(),
            parts_epoch: 0,
            holders: Vec::new(),
            taken: None,
            abandoned: 0,
            joined: 0,
            set_back: 0,
        }
    }

    /// The state behind the last committed entry.
    pub fn history(&self) -> &H {
        &self.history.machine
    }

    /// The last committed entry.
    pub fn last(&self) -> Lsn {
        self.entries.len() as Lsn
    }

    pub(super) fn digest(&self, lsn: Lsn) -> Option<u64> {
        if lsn == 0 {
            Some(Replica::<H>::default().digest())
        } else {
            self.digests.get(usize::try_from(lsn - 1).ok()?).copied()
        }
    }

    /// Returns a committed entry.
    pub fn entry(&self, lsn: Lsn) -> Option<&Entry> {
        self.entries.get(usize::try_from(lsn.checked_sub(1)?).ok()?)
    }

    /// The digest behind the last entry.
    pub(super) fn last_digest(&self) -> u64 {
        self.history.digest()
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        self.set_backs += u64::from(self.format.sets_clock_back(&entry.changes));
        self.history.apply(self.format, entry)
    }

    /// Returns whether the last takeover found the group released, and the chosen node; none if it created the group.
    pub(super) fn before_takeover(&self) -> Option<(bool, Option<NodeId>)> {
        self.taken.map(|line| (line.holder().is_none(), line.node))
    }

    /// Forgets the entries behind `last`: a new store begins with this line.
    pub(super) fn cut(&mut self, last: Lsn, line: Tail) -> Result<(), String> {
        self.entries.truncate(usize::try_from(last).unwrap_or(usize::MAX));
        self.digests.truncate(self.entries.len());
        (self.history, self.set_backs) = (Replica::default(), 0);
        for entry in std::mem::take(&mut self.entries) {
            self.apply(&entry)?;
            self.entries.push(entry);
        }
        self.parts.clear();
        self.tail = Some(line);
        Ok(())
    }

    /// Takes a transaction that has taken effect.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<(), String> {
        let mut tail = None;
        let mut batches = Vec::new();
        for (key, value) in &transaction.puts {
            if key == "tail" {
                tail = Some(Tail::parse(value)?);
            } else if let Some(seq) = key.strip_prefix(LOG) {
                let seq: u64 = seq.parse().map_err(|_| format!("{key} is put"))?;
                batches.push((seq, Batch::decode(value)?));
            }
        }
        let Some(tail) = tail else {
            return if batches.is_empty() { Ok(()) } else { Err("a batch without a line".into()) };
        };
        let (old, set_backs) = (self.tail, self.set_backs);
        self.line(tail, &batches)?;
        for (_, batch) in batches {
            self.batch(batch)?;
        }
        self.time(old, tail, self.set_backs > set_backs)?;
        if tail.lsn != self.last() {
            return Err(format!("the line says entry {}, the log has {}", tail.lsn, self.last()));
        }
        self.tail = Some(tail);
        Ok(())
    }

    fn line(&mut self, tail: Tail, batches: &[(u64, Batch)]) -> Result<(), String> {
        let old = self.tail;
        let (seq, epoch, chain) =
            old.map_or_else(Default::default, |old| (old.seq, old.epoch, old.chain));
        if tail.seq != seq + batches.len() as u64 || batches.iter().any(|(at, _)| *at != seq + 1) {
            return Err(format!("the log has a gap, or is overwritten: {old:?}, then {tail:?}"));
        }
        if tail.epoch != epoch && tail.epoch != epoch + 1 {
            return Err(format!("the epoch leaps: {old:?}, then {tail:?}"));
        }
        let begins = tail.epoch != epoch;
        if begins && (batches.len() != 1 || tail.holder().is_none()) {
            return Err(format!("an epoch begins without an entry: {tail:?}"));
        }
        if let Some((_, batch)) = batches.first() {
            if batch.before != chain || batch.after() != tail.chain || batch.epoch != tail.epoch {
                return Err(format!("the chain of {tail:?} is wrong"));
            }
        } else if tail.chain != chain {
            return Err(format!("the chain of {tail:?} changes without a batch"));
        }
        if begins {
            self.holders.extend(tail.node);
            self.taken = old;
            if !self.parts.is_empty() {
                self.abandoned += 1;
                self.parts.clear();
            }
        }
        Ok(())
    }

    /// Checks the time of a line whose batches were replayed. `set_back`: one of them sets the clock back.
    fn time(&mut self, old: Option<Tail>, tail: Tail, set_back: bool) -> Result<(), String> {
        if tail.time < self.history.time {
            let latest = self.history.time;
            return Err(format!("an entry of {latest} is later than its line: {tail:?}"));
        }
        if old.is_some_and(|old| tail.time < old.time) {
            if !set_back {
                return Err(format!("the time of the line goes back: {old:?}, then {tail:?}"));
            }
            self.set_back += 1;
        }
        Ok(())
    }

    fn batch(&mut self, batch: Batch) -> Result<(), String> {
        if batch.first != self.last() + 1 {
            return Err(format!(
                "a batch begins with entry {}, not {}",
                batch.first,
                self.last() + 1
            ));
        }
        if !self.parts.is_empty() && self.parts_epoch != batch.epoch {
            return Err("an entry goes on in another epoch".into());
        }
        let raw = match batch.piece {
            BatchPiece::Whole if !self.parts.is_empty() => {
                return Err("an entry ends without its last part".into());
            }
            BatchPiece::Whole => batch.raw,
            BatchPiece::Part | BatchPiece::LastPart => {
                self.parts.extend_from_slice(&batch.raw);
                self.parts_epoch = batch.epoch;
                if batch.piece == BatchPiece::Part {
                    return Ok(());
                }
                self.joined += 1;
                std::mem::take(&mut self.parts)
            }
        };
        for entry in batch::decode_entries(&raw, batch.first, batch.entries)? {
            self.apply(&entry)?;
            self.digests.push(self.last_digest());
            self.entries.push(entry);
        }
        Ok(())
    }
}
