//! The state of a simulated node: a small map that applies the entries of the log.

use crate::log::Lsn;
use crate::log::change::{LoggedChanges, LoggedOp};
use crate::request::{Change, Expiry};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) value: Vec<u8>,
    pub(super) ends: Option<u64>,
}

/// The keys, and the entry that changed each one last.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    records: BTreeMap<Vec<u8>, Record>,
    /// Also of keys that were removed.
    changed: BTreeMap<Vec<u8>, Lsn>,
    /// The same, without the removals of expired keys by a watermark.
    written: BTreeMap<Vec<u8>, Lsn>,
    /// The last entry that was applied.
    pub(super) last: Lsn,
    /// The latest time of an entry since the clock was set back last.
    pub(super) time: u64,
    /// No later entry has an earlier time.
    pub(super) watermark: u64,
    /// The sum of the hashes of all records.
    pub(super) digest: u64,
    /// How often the clock was set back.
    pub(super) set_backs: u64,
}

/// FNV-1a, with a last mixing: sums of it are compared.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
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

impl Store {
    /// Returns the record of a key that has not expired at `time`.
    pub(super) fn get(&self, key: &[u8], time: u64) -> Option<&Record> {
        self.records.get(key).filter(|record| record.ends.is_none_or(|end| end > time))
    }

    /// Returns the record of a key, expired or not.
    pub(super) fn stored(&self, key: &[u8]) -> Option<&Record> {
        self.records.get(key)
    }

    /// Returns the last entry that changed a key; 0 if none did.
    pub(super) fn changed(&self, key: &[u8]) -> Lsn {
        self.changed.get(key).copied().unwrap_or(0)
    }

    /// Returns the last entry that changed a key other than by a watermark; 0 if none did.
    pub(super) fn written(&self, key: &[u8]) -> Lsn {
        self.written.get(key).copied().unwrap_or(0)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.records.keys()
    }

    /// Returns the number of keys, and of those that have expired at `time`.
    pub(super) fn count(&self, time: u64) -> (usize, usize) {
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
        (self.watermark, self.time) = (time, time);
    }

    fn change(
        &mut self,
        key: &[u8],
        change: &Change<'_>,
        time: u64,
        lsn: Lsn,
    ) -> Result<(), String> {
        let old = self.get(key, time).cloned();
        let ends = old.as_ref().and_then(|record| record.ends);
        let record = match change {
            Change::Set { value, expiry, .. } => Some(Record {
                value: value.to_vec(),
                ends: match expiry {
                    Expiry::Never => None,
                    Expiry::At(end) => Some(*end),
                    Expiry::Keep => ends,
                },
            }),
            Change::Delete => None,
            Change::Increment(by) => {
                let number: i64 = match &old {
                    Some(record) => std::str::from_utf8(&record.value)
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .ok_or_else(|| format!("entry {lsn} adds to a value that is no number"))?,
                    None => 0,
                };
                Some(Record { value: (number + by).to_string().into_bytes(), ends })
            }
            Change::Append(tail) => {
                let mut value = old.map_or_else(Vec::new, |record| record.value);
                value.extend_from_slice(tail);
                Some(Record { value, ends })
            }
            other => {
                return Err(format!("entry {lsn} has a change that no client made: {other:?}"));
            }
        };
        self.put(key, record, lsn);
        self.written.insert(key.to_vec(), lsn);
        Ok(())
    }

    /// Applies one entry at its own time.
    pub(super) fn apply(&mut self, lsn: Lsn, time: u64, changes: &[u8]) -> Result<(), String> {
        if lsn != self.last + 1 {
            return Err(format!("entry {lsn} is applied after entry {}", self.last));
        }
        let set_back = matches!(LoggedChanges::new(changes).next(), Some(Ok(LoggedOp::Clock(_))));
        if time < self.watermark && !set_back {
            return Err(format!(
                "entry {lsn} of {time} is before the watermark {}",
                self.watermark
            ));
        }
        for operation in LoggedChanges::new(changes) {
            match operation? {
                LoggedOp::Change(key, change) => self.change(key, &change, time, lsn)?,
                LoggedOp::Begin(..) => self.raise_watermark(time, lsn)?,
                LoggedOp::Watermark(watermark) => self.raise_watermark(watermark, lsn)?,
                LoggedOp::Clock(latest) => {
                    self.set_backs += 1;
                    self.set_back(latest, time, lsn);
                }
                LoggedOp::Batch(_) => {}
                other => return Err(format!("entry {lsn} has what no node made: {other:?}")),
            }
        }
        self.last = lsn;
        self.time = self.time.max(time);
        Ok(())
    }
}
