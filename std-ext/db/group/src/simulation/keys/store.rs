//! The machine of [`Keys`](super::Keys): a small map that applies the entries of the log.

use super::super::machine::Machine;
use super::codec::{Codec, Lifetime, Op};
use crate::{Entry, Lsn};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// The contents of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The value.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub ends: Option<u64>,
}

/// The keys, and the entry that changed each one last.
#[derive(Clone, Debug, Default)]
pub struct Store<C> {
    records: BTreeMap<Vec<u8>, Record>,
    /// Also of keys that were removed.
    changed: BTreeMap<Vec<u8>, Lsn>,
    /// The same, without the removals of expired keys by a watermark.
    written: BTreeMap<Vec<u8>, Lsn>,
    /// No later entry has an earlier time.
    pub watermark: u64,
    /// The sum of the hashes of all records.
    digest: u64,
    codec: PhantomData<C>,
}

/// FNV-1a, with a last mixing: sums of it are compared.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&[0xFF]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    hash ^ (hash >> 29)
}

fn hash_of(key: &[u8], record: &Record) -> u64 {
    hash(&[key, &record.value, &record.ends.unwrap_or(0).to_le_bytes()])
}

impl<C: Codec> Store<C> {
    /// Returns the record of a key that has not expired at `time`.
    pub(super) fn get(&self, key: &[u8], time: u64) -> Option<&Record> {
        self.records.get(key).filter(|record| record.ends.is_none_or(|end| end > time))
    }

    /// Returns the record of a key, expired or not.
    pub fn stored(&self, key: &[u8]) -> Option<&Record> {
        self.records.get(key)
    }

    /// Returns the last entry that changed a key; 0 if none did.
    pub(super) fn changed(&self, key: &[u8]) -> Lsn {
        self.changed.get(key).copied().unwrap_or(0)
    }

    /// Returns the last entry that changed a key other than by a watermark; 0 if none did.
    pub fn written(&self, key: &[u8]) -> Lsn {
        self.written.get(key).copied().unwrap_or(0)
    }

    /// Returns all keys.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.records.keys()
    }

    /// Returns the number of keys, and of those that have expired at `time`.
    pub fn count(&self, time: u64) -> (usize, usize) {
        let expired = |record: &&Record| record.ends.is_some_and(|end| end <= time);
        (self.records.len(), self.records.values().filter(expired).count())
    }

    /// Returns the keys that an entry changed last.
    pub(super) fn changed_by(&self, lsn: Lsn) -> Vec<Vec<u8>> {
        self.changed.iter().filter(|(_, at)| **at == lsn).map(|(key, _)| key.clone()).collect()
    }

    /// Whether a key has an expiration.
    pub(super) fn expires(&self) -> bool {
        self.records.values().any(|record| record.ends.is_some())
    }

    fn put(&mut self, key: &[u8], record: Option<Record>, lsn: Lsn) {
        let added = record.as_ref().map_or(0, |record| hash_of(key, record));
        let old = match record {
            Some(record) => self.records.insert(key.to_vec(), record),
            None => self.records.remove(key),
        };
        let gone = old.map_or(0, |old| hash_of(key, &old));
        self.digest = self.digest.wrapping_add(added).wrapping_sub(gone);
        self.changed.insert(key.to_vec(), lsn);
    }

    /// Removes records that have expired by the watermark: the only removal without a change.
    fn raise_watermark(&mut self, watermark: u64, lsn: Lsn) -> Result<(), String> {
        if watermark < self.watermark {
            return Err(format!(
                "entry {lsn} sets the watermark back to {watermark} from {}",
                self.watermark
            ));
        }
        self.watermark = watermark;
        self.remove_expired(watermark, lsn);
        Ok(())
    }

    fn remove_expired(&mut self, time: u64, lsn: Lsn) -> Vec<Vec<u8>> {
        let expired =
            self.records.iter().filter(|(_, record)| record.ends.is_some_and(|end| end <= time));
        let keys: Vec<_> = expired.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.put(key, None, lsn);
        }
        keys
    }

    /// The clock was set back to `time`. Keys that had expired are gone.
    fn set_back(&mut self, latest: u64, time: u64, lsn: Lsn) {
        for key in self.remove_expired(latest, lsn) {
            self.written.insert(key, lsn);
        }
        self.watermark = time;
    }

    fn change(&mut self, op: &Op<'_>, time: u64, lsn: Lsn) -> Result<(), String> {
        let (Op::Set { key, .. } | Op::Delete(key) | Op::Add(key, _) | Op::Append(key, _)) = *op
        else {
            return Ok(());
        };
        let old = self.get(key, time).cloned();
        let ends = old.as_ref().and_then(|record| record.ends);
        let record = match op {
            Op::Set { value, lifetime, .. } => Some(Record {
                value: value.to_vec(),
                ends: match lifetime {
                    Lifetime::Unlimited => None,
                    Lifetime::Until(end) => Some(*end),
                    Lifetime::Kept => ends,
                },
            }),
            Op::Add(_, by) => {
                let number: i64 = match &old {
                    Some(record) => std::str::from_utf8(&record.value)
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .ok_or_else(|| format!("entry {lsn} adds to a value that is no number"))?,
                    None => 0,
                };
                Some(Record { value: (number + by).to_string().into_bytes(), ends })
            }
            Op::Append(_, tail) => {
                let mut value = old.map_or_else(Vec::new, |record| record.value);
                value.extend_from_slice(tail);
                Some(Record { value, ends })
            }
            _ => None,
        };
        self.put(key, record, lsn);
        self.written.insert(key.to_vec(), lsn);
        Ok(())
    }
}

impl<C: Codec> Machine for Store<C> {
    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        let Entry { lsn, time, changes } = entry;
        let (lsn, time) = (*lsn, *time);
        let operations = C::decode(changes)?;
        let set_back = matches!(operations.first(), Some(Op::Clock(_)));
        if time < self.watermark && !set_back {
            return Err(format!(
                "entry {lsn} of {time} is before the watermark {}",
                self.watermark
            ));
        }
        for operation in &operations {
            match operation {
                Op::Begin => self.raise_watermark(time, lsn)?,
                Op::Watermark(watermark) => self.raise_watermark(*watermark, lsn)?,
                Op::Clock(latest) => self.set_back(*latest, time, lsn),
                change => self.change(change, time, lsn)?,
            }
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}

/// The entry that changed a key, and the new contents.
type Version = (Lsn, Option<Record>);

/// The keys, and the contents of each one behind every entry that changed it.
#[derive(Clone, Debug, Default)]
pub struct KeyHistory<C> {
    store: Store<C>,
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
}

impl<C: Codec> KeyHistory<C> {
    /// The keys.
    pub fn store(&self) -> &Store<C> {
        &self.store
    }

    /// Returns what a key contained behind an entry. Keys that have expired are there until a watermark removes them.
    pub fn record(&self, key: &[u8], lsn: Lsn) -> Option<&Record> {
        let versions = self.versions.get(key)?;
        let later = versions.partition_point(|(at, _)| *at <= lsn);
        versions[..later].last()?.1.as_ref()
    }
}

impl<C: Codec> Machine for KeyHistory<C> {
    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        self.store.apply(entry)?;
        for key in self.store.changed_by(entry.lsn) {
            let record = self.store.stored(&key).cloned();
            self.versions.entry(key).or_default().push((entry.lsn, record));
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.store.digest
    }
}
