//! A store in memory, for examples and tests, and to show what a driver does with a real one.

use super::api::{Action, Event, Read, ReadAnswer, WatchedChange};
use super::halt::{Halt, HaltOutcome, Objections};
use super::key::Key;
use super::names::{NodeId, Seq};
use super::tail::Tail;
use super::txn::{Txn, TxnOutcome, ValueCompare};
use std::collections::BTreeMap;

/// The keys of one group, with the guarantees that the protocol needs of a [store](crate#what-the-store-must-do): every
/// method is atomic, and reads what was written last.
///
/// It keeps all changes, for watches, and is never full.
///
/// # Examples
/// ```
/// use hedgerow_db_group::{Key, MemoryStore, Put, Txn, TxnOutcome, ValueCompare};
///
/// let mut store = MemoryStore::default();
/// let txn = Txn {
///     tail: ValueCompare::Absent,
///     members: ValueCompare::Any,
///     halt: ValueCompare::Any,
///     puts: vec![Put::Tail("a line".into())],
/// };
/// assert_eq!(store.transact(&txn), TxnOutcome::Done { revision: 1 });
/// assert!(matches!(store.transact(&txn), TxnOutcome::Refused { .. }), "there is a line now");
/// assert_eq!(store.get(Key::Tail), Some(&b"a line"[..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    revision: u64,
    values: BTreeMap<Key, Vec<u8>>,
    /// Each change, and its revision.
    history: Vec<(u64, Key, Option<Vec<u8>>)>,
}

impl MemoryStore {
    /// Returns the value of a key.
    pub fn get(&self, key: Key) -> Option<&[u8]> {
        self.values.get(&key).map(Vec::as_slice)
    }

    /// Answers [`Action::Read`], [`Action::Transact`], [`Action::Trim`] and [`Action::Halt`]; `None` for other actions.
    pub fn answer(&mut self, action: &Action) -> Option<Event> {
        match action {
            Action::Read { id, read } => Some(Event::Read { id: *id, answer: Ok(self.read(read)) }),
            Action::Transact { id, txn } => {
                Some(Event::Transacted { id: *id, outcome: self.transact(txn) })
            }
            Action::Trim { id, primary, members, below } => {
                let outcome = Ok(self.trim(primary, members, *below));
                Some(Event::Trimmed { id: *id, outcome })
            }
            Action::Halt { id, halt } => {
                Some(Event::Halted { id: *id, outcome: Ok(self.halt(halt)) })
            }
            _ => None,
        }
    }

    /// Reads: all values of an answer are of one revision.
    pub fn read(&self, read: &Read) -> ReadAnswer {
        match read {
            Read::Tail => ReadAnswer::Tail {
                revision: self.revision,
                tail: self.values.get(&Key::Tail).cloned(),
                members: self.values.get(&Key::Members).cloned(),
                objections: Objections {
                    halt: self.values.get(&Key::Halt).cloned(),
                    durable: self.durable(),
                },
            },
            Read::Batches(from, to) => ReadAnswer::Batches(
                self.batches(*from, *to).map(|(seq, v)| (seq, v.clone())).collect(),
            ),
            Read::Durable => ReadAnswer::Durable {
                revision: self.revision,
                members: self.values.get(&Key::Members).cloned(),
                first: self.batches(0, Seq::MAX).next().map(|(seq, _)| seq),
                durable: self.durable(),
            },
        }
    }

    fn batches(&self, from: Seq, to: Seq) -> impl Iterator<Item = (Seq, &Vec<u8>)> {
        let range = self.values.range(Key::Batch(from)..=Key::Batch(to));
        range.filter_map(|(key, value)| match key {
            Key::Batch(seq) => Some((*seq, value)),
            _ => None,
        })
    }

    fn durable(&self) -> Vec<(NodeId, Seq)> {
        let records = self.values.iter().filter_map(|(key, value)| match key {
            Key::Durable(node) => Some((*node, str::from_utf8(value).ok()?.parse().ok()?)),
            _ => None,
        });
        records.collect()
    }

    fn holds(&self, key: Key, compare: &ValueCompare) -> bool {
        match compare {
            ValueCompare::Any => true,
            ValueCompare::Absent => !self.values.contains_key(&key),
            ValueCompare::Is(value) => self.values.get(&key) == Some(value),
        }
    }

    fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        match &value {
            Some(value) => _ = self.values.insert(key, value.clone()),
            None => _ = self.values.remove(&key),
        }
        self.history.push((self.revision, key, value));
    }

    /// Puts all keys if all comparisons hold; else reads `tail` and `members`.
    pub fn transact(&mut self, txn: &Txn) -> TxnOutcome {
        if !txn.compares().all(|(key, compare)| self.holds(key, compare)) {
            return TxnOutcome::Refused {
                revision: self.revision,
                tail: self.values.get(&Key::Tail).cloned(),
                members: self.values.get(&Key::Members).cloned(),
            };
        }
        self.revision += 1;
        for put in &txn.puts {
            self.set(put.key(), Some(put.value().to_vec()));
        }
        TxnOutcome::Done { revision: self.revision }
    }

    /// Deletes the batches below a number if `primary` and `members` have these values. Returns whether they do.
    pub fn trim(&mut self, primary: &str, members: &ValueCompare, below: Seq) -> bool {
        let is_primary = self.get(Key::Primary) == Some(primary.as_bytes());
        if !is_primary || !self.holds(Key::Members, members) {
            return false;
        }
        let gone: Vec<Seq> = self.batches(0, Seq::MAX).map(|(seq, _)| seq).collect();
        self.revision += 1;
        for seq in gone.into_iter().take_while(|seq| *seq < below) {
            self.set(Key::Batch(seq), None);
        }
        true
    }

    /// Puts the record of a node that has more than the store, unless it says no more than is known.
    pub fn halt(&mut self, halt: &Halt) -> HaltOutcome {
        let tail = self.get(Key::Tail).and_then(|line| Tail::parse(line).ok());
        let known = self.get(Key::Halt).and_then(Halt::parse);
        halt.outcome(tail.as_ref(), known.as_ref()).unwrap_or_else(|| {
            self.revision += 1;
            self.set(Key::Halt, Some(halt.print().into_bytes()));
            HaltOutcome::Recorded(tail.map_or(0, |tail| tail.lsn))
        })
    }

    /// Puts the record of the batch that a node begins with after a restart.
    pub fn put_durable(&mut self, node: NodeId, seq: Seq) {
        self.revision += 1;
        self.set(Key::Durable(node), Some(seq.to_string().into_bytes()));
    }

    /// Returns what a watch tells that begins with revision `from`: an [`Event::Watched`], and the revision to go on
    /// with. `None` if nothing has changed.
    pub fn watch(&self, from: u64) -> Option<(Event, u64)> {
        let at = self.history.partition_point(|(revision, ..)| *revision < from);
        let seen: Vec<_> = self.history[at..]
            .iter()
            .filter_map(|(_, key, value)| match (key, value) {
                (Key::Tail, value) => Some(WatchedChange::Tail(value.clone())),
                (Key::Members, value) => Some(WatchedChange::Members(value.clone())),
                (Key::Batch(seq), Some(value)) => Some(WatchedChange::Batch(*seq, value.clone())),
                _ => None,
            })
            .collect();
        let revision = self.revision;
        (!seen.is_empty()).then_some((Event::Watched { revision, seen }, revision + 1))
    }
}
