//! A fake store: keys with revisions, transactions that compare values, a history for watches, an alarm, and
//! backups.
//!
//! It is one copy of the data, as linearizable requests see it. Delays, losses and the lag of watches are the
//! [world](super::world)'s.

use crate::Tail;
use std::collections::BTreeMap;

/// The bytes of a request that the store takes. Its default is half as much again.
pub(super) const LARGEST_REQUEST: usize = 1 << 20;

/// The value of a key, and the revision that put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    pub(super) revision: u64,
}

/// One change: a key and its new value; none if the key was deleted.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) key: String,
    pub(super) value: Option<Vec<u8>>,
}

/// Why the store refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The alarm NOSPACE is raised and the request puts. The request that raises it may have been done.
    NoSpace { done: bool },
    /// The request is larger than the store takes.
    TooLarge,
}

/// A transaction: if all keys have these values, delete and then put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transaction {
    /// Keys and the values they must have; none for a key that must not exist.
    pub(super) compares: Vec<(String, Option<Vec<u8>>)>,
    pub(super) puts: Vec<(String, Vec<u8>)>,
    /// Ranges, without their ends.
    pub(super) deletes: Vec<(String, String)>,
}

/// A way in which comparisons are weaker than the protocol needs: negative controls of this file's tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests construct them"))]
enum Weakness {
    None,
    /// A comparison of a line looks at the number of its batch only.
    ComparesSequence,
    /// A comparison looks at the revision that has put the value, not at the value.
    ComparesRevision,
}

/// The data of the store, copied for a backup.
#[derive(Clone, Debug)]
pub(super) struct FakeStore {
    pub(super) revision: u64,
    /// The history up to this revision is gone.
    pub(super) compacted: u64,
    keys: BTreeMap<String, Stored>,
    history: Vec<Change>,
    /// Bytes of keys and values that raise the alarm.
    pub(super) quota: usize,
    pub(super) alarm: bool,
    pub(super) largest_request: usize,
    weakness: Weakness,
    /// For comparisons of revisions: the revision at which a client has seen a value. A restore does not change it.
    seen: BTreeMap<Vec<u8>, u64>,
}

impl Default for FakeStore {
    fn default() -> Self {
        Self::new(Weakness::None)
    }
}

impl FakeStore {
    fn new(weakness: Weakness) -> Self {
        Self {
            revision: 1,
            compacted: 0,
            keys: BTreeMap::new(),
            history: Vec::new(),
            quota: usize::MAX,
            alarm: false,
            largest_request: LARGEST_REQUEST,
            weakness,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Stored> {
        self.keys.get(key)
    }

    /// Returns the keys from `from` up to, and without, `to`: at most `limit`.
    pub(super) fn range(&self, from: &str, to: &str, limit: usize) -> Vec<(String, Stored)> {
        let range = self
            .keys
            .range::<str, _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        range.take(limit).map(|(key, stored)| (key.clone(), stored.clone())).collect()
    }

    /// Returns the bytes of all keys and values, and of the history.
    pub(super) fn bytes(&self) -> usize {
        let size = |key: &str, value: usize| key.len() + value;
        let now: usize = self.keys.iter().map(|(key, stored)| size(key, stored.value.len())).sum();
        let before: usize = self.history.iter().map(|change| size(&change.key, 0)).sum();
        now + before
    }

    /// Returns whether all compares hold. If they do, the transaction has taken effect.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<bool, Refusal> {
        let bytes: usize =
            transaction.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > self.largest_request {
            return Err(Refusal::TooLarge);
        }
        // Under the alarm, the store refuses each transaction that contains a put, also if its compares fail.
        if !transaction.puts.is_empty() && self.alarm {
            return Err(Refusal::NoSpace { done: false });
        }
        if !transaction.puts.is_empty() && self.bytes() > self.quota {
            self.alarm = true;
            let done = self.revision.is_multiple_of(2) && self.apply(transaction);
            return Err(Refusal::NoSpace { done });
        }
        Ok(self.apply(transaction))
    }

    fn holds(&self, key: &str, expected: Option<&[u8]>) -> bool {
        let stored = self.keys.get(key);
        let (Some(stored), Some(expected)) = (stored, expected) else {
            return stored.is_none() && expected.is_none();
        };
        let seq = |line: &[u8]| Tail::parse(line).map(|tail| tail.seq);
        match self.weakness {
            Weakness::ComparesSequence if key == "tail" => seq(&stored.value) == seq(expected),
            Weakness::ComparesRevision => self.seen.get(expected) == Some(&stored.revision),
            _ => stored.value == expected,
        }
    }

    fn apply(&mut self, transaction: &Transaction) -> bool {
        let holds = |(key, value): &(String, Option<Vec<u8>>)| self.holds(key, value.as_deref());
        if !transaction.compares.iter().all(holds) {
            return false;
        }
        let revision = self.revision + 1;
        let mut changed = false;
        for (from, to) in &transaction.deletes {
            for (key, _) in self.range(from, to, usize::MAX) {
                self.keys.remove(&key);
                self.history.push(Change { revision, key, value: None });
                changed = true;
            }
        }
        for (key, value) in &transaction.puts {
            if self.weakness == Weakness::ComparesRevision {
                self.seen.insert(value.clone(), revision);
            }
            self.keys.insert(key.clone(), Stored { value: value.clone(), revision });
            self.history.push(Change { revision, key: key.clone(), value: Some(value.clone()) });
            changed = true;
        }
        if changed {
            self.revision = revision;
        }
        true
    }

    /// Returns the changes from `revision` up to, and with, `last`; the compacted revision if they are gone.
    pub(super) fn changes(&self, revision: u64, last: u64) -> Result<&[Change], u64> {
        if revision <= self.compacted {
            return Err(self.compacted);
        }
        let from = self.history.partition_point(|change| change.revision < revision);
        let to = self.history.partition_point(|change| change.revision <= last);
        Ok(&self.history[from..to.max(from)])
    }

    pub(super) fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision.min(self.revision));
        let gone = self.history.partition_point(|change| change.revision <= self.compacted);
        self.history.drain(..gone);
    }
}

#[test]
fn transactions_compare_values_and_watches_see_history() {
    let mut store = FakeStore::default();
    let put = |key: &str, value: &[u8], expected: Option<&[u8]>| Transaction {
        compares: vec![(key.into(), expected.map(<[u8]>::to_vec))],
        puts: vec![(key.into(), value.to_vec())],
        deletes: Vec::new(),
    };
    assert_eq!(store.commit(&put("a", b"1", None)), Ok(true));
    assert_eq!(store.commit(&put("a", b"2", None)), Ok(false));
    assert_eq!(store.commit(&put("a", b"2", Some(b"1"))), Ok(true));
    assert_eq!(store.changes(2, 9).map(<[Change]>::len), Ok(2));
    let backup = store.clone();
    store.compact(2);
    assert_eq!(store.changes(2, 9).map(<[Change]>::len), Err(2));
    assert_eq!(store.changes(3, 9).map(<[Change]>::len), Ok(1));
    store.quota = 1;
    assert_eq!(store.commit(&put("b", b"1", None)), Err(Refusal::NoSpace { done: false }));
    assert_eq!(store.commit(&put("b", b"1", None)), Err(Refusal::NoSpace { done: false }));
    let delete = Transaction { deletes: vec![("a".into(), "b".into())], ..Transaction::default() };
    assert_eq!(store.commit(&delete), Ok(true), "a trim deletes also under the alarm");
    assert_eq!((store.get("a"), store.revision), (None, 4));
    assert_eq!(backup.revision, 3);
}

/// A primary that slept through a restore must not write. Revisions are used again, values never are [C-4].
#[test]
fn a_restored_etcd_uses_revisions_again() {
    let put = |value: &[u8], expected: &[u8]| Transaction {
        compares: vec![("tail".into(), Some(expected.to_vec()))],
        puts: vec![("tail".into(), value.to_vec())],
        deletes: Vec::new(),
    };
    let written_after_restore = |weakness| {
        let mut store = FakeStore::new(weakness);
        store.commit(&Transaction { compares: Vec::new(), ..put(b"1", b"") }).unwrap();
        let backup = store.clone();
        assert_eq!(store.commit(&put(b"2", b"1")), Ok(true));
        let seen = std::mem::take(&mut store.seen);
        store = FakeStore { seen, ..backup };
        assert_eq!(store.commit(&put(b"another 2", b"1")), Ok(true));
        store.commit(&put(b"3", b"2")).unwrap()
    };
    assert!(!written_after_restore(Weakness::None), "a lost history goes on");
    assert!(written_after_restore(Weakness::ComparesRevision), "the control finds nothing");
}

/// A candidate must not win against a beat that it has not seen: a beat has no batch, so it keeps the sequence [C-4].
#[test]
fn a_beat_keeps_the_sequence() {
    let line = |epoch, beat| Tail { epoch, beat, seq: 5, ..Tail::parse(LINE).unwrap() }.to_string();
    let put = |expected: &str, line: String| Transaction {
        compares: vec![("tail".into(), Some(expected.into()))],
        puts: vec![("tail".into(), line.into_bytes())],
        deletes: Vec::new(),
    };
    let taken_from_live = |weakness| {
        let mut store = FakeStore::new(weakness);
        store.commit(&Transaction { compares: Vec::new(), ..put("", line(1, 1)) }).unwrap();
        assert_eq!(store.commit(&put(&line(1, 1), line(1, 2))), Ok(true), "the primary beats");
        store.commit(&put(&line(1, 1), line(2, 0))).unwrap()
    };
    assert!(!taken_from_live(Weakness::None), "a primary that beats is deposed");
    assert!(taken_from_live(Weakness::ComparesSequence), "the control finds nothing");
}

/// A line of the primary 01.
#[cfg(test)]
const LINE: &[u8] = b"2 1 0101010101010101010101010101010101010101 0000000000000001 5 5 1 1 1000 \
    00000000000000000000000000000000";
