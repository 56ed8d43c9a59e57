//! A digest of all keys as of one entry of the log, by which the nodes of a cluster are compared.
//!
//! The nodes take their digests as of the same entry without talking to each other: the first watermark in the log that
//! is not before a given time. Each node is asked before that. The primary logs this watermark once its clock has
//! reached the time. At the watermark each node notes its records under the locks of all shards, as a snapshot does for
//! one shard, and hashes them afterwards. So clients wait for the noting only.
//!
//! Keys that had expired by the watermark are left out, because a node may or may not have removed them. The primary
//! advances all shards to the watermark's time, so it has not removed any other key.

use super::digest_cell::{DigestProgress, DigestRecords};
use super::shard::pins::NamedRecords;
use super::{HeldRecords, LockedShards, State};
use crate::lock::lock;
use crate::log::Lsn;
use crate::log::change::{self, LoggedChanges, LoggedOp};
use crate::request::{StoredValue, ValueType};
use crate::slots::{SLOTS, slot};
use crate::state::logged_watermark::LoggedWatermark;
use crate::state::role::Role;
use sha2::{Digest as _, Sha256};
use std::error::Error;
use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

/// The parts of a digest: each is about the same number of slots.
pub const PARTS: usize = 16;
/// The slots of a part.
const PART: usize = SLOTS as usize / PARTS;

/// A digest of all keys as of one entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The entry.
    pub lsn: Lsn,
    /// The time of its watermark.
    pub time: u64,
    /// The digests of ranges of slots, in their order.
    pub parts: [DigestPart; PARTS],
}

/// A digest of the keys of a range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DigestPart {
    /// The number of keys.
    pub keys: u64,
    /// The sum of the hashes of keys, values and expirations. It does not depend on an order.
    pub hash: u128,
}

/// Why there is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestError {
    /// The node's log has reached the time already.
    Late,
    /// Another digest is being taken.
    Busy,
    /// The node is loading.
    Loading,
    /// No watermark of that time came in time.
    TimedOut,
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "its log is already past the time of the digest",
            Self::Busy => "it is computing another digest: try again",
            Self::Loading => "it is loading: try again later",
            Self::TimedOut => "its log did not reach the time of the digest in time",
        })
    }
}

impl Error for DigestError {}

impl State {
    /// Returns a digest of all keys as of the first watermark in the log that is not before `from`, and that comes
    /// within a time.
    pub fn digest(&self, from: u64, within: Duration) -> Result<Digest, DigestError> {
        self.want_digest(from)?;
        // Created before the wait: a digest that times out must not leave the node `Busy` for ever.
        let _ends = EndsDigest(self);
        let waits = |wanted: &mut DigestProgress| matches!(wanted, DigestProgress::From(_));
        let wanted = lock(&self.digests.wanted);
        let waited = self.digests.noted.wait_timeout_while(wanted, within, waits);
        let mut wanted = waited.unwrap_or_else(PoisonError::into_inner).0;
        let DigestProgress::Noted(noted) = &mut *wanted else { return Err(DigestError::TimedOut) };
        let (lsn, time, records) = (noted.lsn, noted.time, std::mem::take(&mut noted.records));
        // `name` locks a shard, and this cell is locked after shards.
        drop(wanted);
        let hold = |(shard, records)| {
            let mut held = HeldRecords::new(self, shard);
            (held.name(records), held)
        };
        let records: Vec<_> = records.into_iter().enumerate().map(hold).collect();
        Ok(Digest { lsn, time, parts: self.hash_records(records, time) })
    }

    fn want_digest(&self, from: u64) -> Result<(), DigestError> {
        let mut wanted = lock(&self.digests.wanted);
        if !matches!(*wanted, DigestProgress::Nothing) {
            return Err(DigestError::Busy);
        }
        let reached = match self.role.get() {
            Role::Loading => return Err(DigestError::Loading),
            Role::Follower => self.watermark(),
            // A primary may just be logging a watermark of its present time: its followers might then take the digest
            // of that one.
            Role::Alone | Role::Primary => self.watermark().max(self.clock.now()),
        };
        if reached >= from {
            return Err(DigestError::Late);
        }
        *wanted = DigestProgress::From(from);
        Ok(())
    }

    /// Returns the time from which on a watermark is wanted for a digest.
    pub(super) fn digest_from(&self) -> Option<u64> {
        match *lock(&self.digests.wanted) {
            DigestProgress::From(from) => Some(from),
            _ => None,
        }
    }

    /// Logs the watermark that a digest waits for, as the primary, once its clock has reached the time. Returns false
    /// if no digest is wanted. Until then no other watermark is logged: it could be the one that the followers take.
    pub(super) fn log_watermark_for_digest(&self, logged: &mut LoggedWatermark) -> bool {
        let Some(from) = self.digest_from() else { return false };
        if self.clock.now() < from {
            return true;
        }
        let mut cores = self.lock_all((0..self.shards.len()).collect());
        if self.check_writable().is_err() {
            return true;
        }
        let now = self.clock.now();
        // A shard may be ahead of the clock. The watermark is the latest of all times, and every shard advances to it:
        // no later entry may be earlier, and no key that expires after it may have been removed.
        let times = cores.iter_mut().map(|(_, core)| core.advance_time(now));
        let watermark = times.max().unwrap_or(now);
        for (_, core) in &mut cores {
            core.advance_time(watermark);
        }
        let mut entry = Vec::new();
        change::watermark(watermark, &mut entry);
        if let Ok(lsn) = self.log.append(watermark, &entry) {
            self.set_watermark(watermark);
            *logged = LoggedWatermark { at: now, entry: lsn, had_ttl: true };
            self.note_records(&mut cores, lsn, watermark);
        }
        true
    }

    /// Whether a digest waits for a watermark of this time or an earlier one. Then the caller locks all shards.
    pub(super) fn wants_digest_of(&self, watermark: u64) -> bool {
        self.digest_from().is_some_and(|from| from <= watermark)
    }

    /// Notes the records if all shards are locked, and the entry has the watermark that a digest waits for.
    pub(super) fn note_watermark(&self, cores: &mut LockedShards<'_>, entry: Lsn, changes: &[u8]) {
        if cores.len() < self.shards.len() || self.digest_from().is_none() {
            return;
        }
        for operation in LoggedChanges::new(changes).map_while(Result::ok) {
            if let LoggedOp::Watermark(watermark) = operation {
                self.note_records(cores, entry, watermark);
            }
        }
    }

    fn note_records(&self, cores: &mut LockedShards<'_>, lsn: Lsn, watermark: u64) {
        let mut wanted = lock(&self.digests.wanted);
        if matches!(*wanted, DigestProgress::From(from) if from <= watermark) {
            // Under all locks only pointers are copied. The values are hashed when the locks are free again.
            let records = cores.iter_mut().map(|(_, core)| core.begin_snapshot()).collect();
            *wanted = DigestProgress::Noted(DigestRecords { lsn, time: watermark, records });
            self.digests.noted.notify_all();
        }
    }

    /// Hashes the records of all shards. Each shard may free its records as soon as they are hashed.
    fn hash_records(
        &self,
        shards: Vec<(NamedRecords, HeldRecords<&State>)>,
        watermark: u64,
    ) -> [DigestPart; PARTS] {
        let mut sum = DigestSum::default();
        // Each shard's hold ends with its iteration, so that its records wait for no other shard's hashes.
        for (records, _held) in shards {
            for record in records.iter().filter(|record| !record.is_expired(watermark)) {
                record.value().each_part(self.cold.as_deref(), &mut |value| {
                    sum.add(record.key(), record.expires_at(), value);
                });
            }
        }
        sum.parts()
    }
}

/// Digests of ranges of slots to which keys are added.
#[derive(Default)]
pub struct DigestSum {
    parts: [DigestPart; PARTS],
    /// The entries of the last key's value so far.
    entries: u64,
}

impl DigestSum {
    /// Returns the digests.
    pub fn parts(&self) -> [DigestPart; PARTS] {
        self.parts
    }

    /// Adds a key, or a further part of the value of the last one.
    pub fn add(&mut self, key: &[u8], expires_at: Option<u64>, value: StoredValue<'_>) {
        let part = &mut self.parts[usize::from(slot(key)) / PART];
        // Added, not combined by XOR, in which a record that was counted twice would vanish.
        let mut add = |value: &[&[u8]]| {
            part.hash = part.hash.wrapping_add(hash(key, expires_at, value));
        };
        if !value.continues() {
            part.keys += 1;
            self.entries = 0;
        }
        match value {
            StoredValue::String(value) => add(&[value]),
            // By entry: the digest does not depend on the parts in which they come, nor on their order, unless this is
            // a list.
            StoredValue::Packed(packed) => {
                let is_list = packed.value_type() == ValueType::List;
                for (name, value) in packed.iter() {
                    let place = if is_list { self.entries } else { 0 };
                    let [place, length] = [place, name.len() as u64].map(u64::to_le_bytes);
                    add(&[packed.value_type().name().as_bytes(), &place, &length, name, value]);
                    self.entries += 1;
                }
            }
        }
    }
}

/// Ends a digest, also one that failed: records that were noted but never hashed may be freed.
struct EndsDigest<'a>(&'a State);

impl Drop for EndsDigest<'_> {
    fn drop(&mut self) {
        let wanted = std::mem::take(&mut *lock(&self.0.digests.wanted));
        if let DigestProgress::Noted(noted) = wanted {
            for shard in 0..noted.records.len() {
                drop(HeldRecords::new(self.0, shard));
            }
        }
    }
}

fn hash(key: &[u8], expires_at: Option<u64>, value: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    // Lengths in front: otherwise a key's end could be a value's beginning.
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update([u8::from(expires_at.is_some())]);
    hash.update(expires_at.unwrap_or(0).to_le_bytes());
    for part in value {
        hash.update(part);
    }
    let full = hash.finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&full[..16]);
    u128::from_le_bytes(half)
}
