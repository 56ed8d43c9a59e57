//! Atomic changes of keys in several shards.

use super::Session;
use crate::limits::MAX_MULTI_KEY_BYTES;
use crate::log::{Lsn, change};
use crate::request::{
    Answer, Change, Expiry, LONGEST_KEY, LONGEST_VALUE, MultiKeyOp, Request, RequestError,
    SetCondition,
};
use crate::state::record::Record;
use crate::state::shard::{self, Core};
use crate::state::slots::slot;
use crate::state::{LockedShards, State};
use std::ops::Range;
use std::sync::Arc;

impl Session {
    /// Executes the operation. Returns the log entry that must be safe before the answer is shown.
    pub(super) fn multi_key(&mut self, op: MultiKeyOp<'_>) -> (Lsn, Answer<'static>) {
        let full = match self.state.admit_change(|| Request::MultiKey(op).added_bytes()) {
            Err(error) => return (0, Answer::Error(error)),
            Ok(full) => full,
        };
        let state = Arc::clone(&self.state);
        let shard = |key: &&[u8]| state.shard_of(key);
        let (grows, shards) = match op {
            MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIfAbsent(pairs) => {
                if let Err(error) = check_sizes(pairs) {
                    return (0, Answer::Error(error));
                }
                (true, pairs.iter().map(|(key, _)| shard(key)).collect())
            }
            MultiKeyOp::DeleteAll(keys) => (false, keys.iter().map(shard).collect()),
            MultiKeyOp::Rename { from, to, .. } => (true, vec![shard(&from), shard(&to)]),
            MultiKeyOp::Clear => (false, (0..state.shards.len()).collect()),
        };
        if state.exceeds_entry(&Request::MultiKey(op)) {
            return (0, Answer::Error(RequestError::EntryTooLong));
        }
        if grows && full {
            return (0, Answer::Error(RequestError::OutOfMemory));
        }
        let mut cores = state.lock_all(shards);
        // Checked under the locks: no slot can be lost between this and the change.
        if !op.keys().all(|key| state.ownership.has(|| slot(key))) {
            return (0, Answer::Error(RequestError::SlotNotOwned));
        }
        // Checked under the locks, too: a rollback takes all of them, so it cannot begin before the change is made.
        if let Err(error) = state.check_writable() {
            return (0, Answer::Error(error));
        }
        self.since.answer_locked(&state);
        let time = advance(&mut cores, state.clock.now());
        self.entry.clear();
        let left = state.largest_request.saturating_sub(Request::MultiKey(op).logged_bytes());
        let mut apply =
            Apply { state: &state, cores: &mut cores, time, entry: &mut self.entry, left };
        let answer = apply.run(op);
        let lsn = state.log_and_publish_all(&mut cores, time, &self.entry);
        let shown =
            cores.iter().map(|(number, _)| state.shards[*number].stats().published_lsn()).max();
        (lsn.max(shown.unwrap_or(0)), answer)
    }
}

/// Brings all locked shards to the same time, and returns it.
pub(super) fn advance(cores: &mut LockedShards<'_>, now: u64) -> u64 {
    let time = cores.iter_mut().map(|(_, core)| core.advance_time(now)).max().unwrap_or(now);
    for (_, core) in cores {
        core.advance_time(time);
    }
    time
}

pub(super) fn check_sizes(pairs: &[(&[u8], &[u8])]) -> Result<(), RequestError> {
    let mut all = 0_usize;
    for (key, value) in pairs {
        all = all.saturating_add(key.len()).saturating_add(value.len());
        if all > MAX_MULTI_KEY_BYTES {
            return Err(RequestError::ValueTooLong);
        }
        if key.len() > LONGEST_KEY {
            return Err(RequestError::KeyTooLong);
        }
        if value.len() > LONGEST_VALUE {
            return Err(RequestError::ValueTooLong);
        }
    }
    Ok(())
}

/// Changes keys of several shards, all of which are locked.
pub(super) struct Apply<'a, 'c> {
    pub(super) state: &'a State,
    pub(super) cores: &'a mut LockedShards<'c>,
    pub(super) time: u64,
    pub(super) entry: &'a mut Vec<u8>,
    /// Bytes that the log entry has room for besides the keys and values of the requests.
    pub(super) left: usize,
}

impl Apply<'_, '_> {
    /// Applies an operation, whose sizes were checked.
    pub(super) fn run(&mut self, op: MultiKeyOp<'_>) -> Answer<'static> {
        match op {
            MultiKeyOp::SetAll(pairs) => self.set_all(pairs),
            MultiKeyOp::SetAllIfAbsent(pairs) => {
                let absent = !pairs.iter().any(|(key, _)| self.find_alive(key).is_some());
                if absent {
                    self.set_all(pairs);
                }
                Answer::Int(absent.into())
            }
            MultiKeyOp::DeleteAll(keys) => {
                Answer::count(keys.iter().filter(|key| self.delete(key)).count())
            }
            MultiKeyOp::Rename { from, to, if_absent: absent } => self.rename(from, to, absent),
            MultiKeyOp::Clear => self.clear(),
        }
    }

    fn core(&mut self, key: &[u8]) -> &mut Core {
        let shard = self.state.shard_of(key);
        let place = self.cores.binary_search_by_key(&shard, |(number, _)| *number);
        &mut self.cores[place.expect("every shard of the operation is locked")].1
    }

    pub(super) fn find_alive(&mut self, key: &[u8]) -> Option<Record> {
        let time = self.time;
        self.core(key).find(key).filter(|record| !record.is_expired(time))
    }

    pub(super) fn change(
        &mut self,
        key: &[u8],
        change: &Change<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let (time, mut entry) = (self.time, std::mem::take(self.entry));
        crate::state::apply_change(self.core(key), (time, false), key, change, &mut entry, answer);
        *self.entry = entry;
    }

    fn set(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let change = Change::Set { value, condition: SetCondition::Always, expiry, get: false };
        self.change(key, &change, &mut |_| {});
    }

    fn set_all(&mut self, pairs: &[(&[u8], &[u8])]) -> Answer<'static> {
        for (key, value) in pairs {
            self.set(key, value, Expiry::Never);
        }
        Answer::Done
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let mut deleted = false;
        self.change(key, &Change::Delete, &mut |made| deleted = made == Answer::Int(1));
        deleted
    }

    fn rename(&mut self, from: &[u8], to: &[u8], absent: bool) -> Answer<'static> {
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        let Some(record) = self.find_alive(from) else {
            return Answer::Error(RequestError::NoSuchKey);
        };
        // Nothing is changed, so nothing is logged.
        if absent && self.find_alive(to).is_some() {
            return Answer::Int(0);
        }
        // A snapshot in progress may contain one of the keys before this change and the other after it. An entry that
        // names both keys could not be replayed on it, so the value is logged as well. In a cluster another node may
        // be writing a snapshot. There, keys of one slot are in one section of it.
        let names_both = !self.state.is_snapshotting()
            && (!self.state.has_slot_marks() || slot(from) == slot(to));
        let value = if names_both { 0 } else { record.value().length() };
        let Some(left) = self.left.checked_sub(value) else {
            return Answer::Error(self.state.too_long());
        };
        self.left = left;
        if from != to {
            let there = self.core(to).find(to);
            self.core(to).put_moved(there, to, record, record.expires_at());
            if names_both {
                change::rename(from, to, self.entry);
            } else {
                let expiry = record.expires_at().map_or(Expiry::Never, Expiry::At);
                let (cold, entry) = (self.state.cold.as_deref(), &mut *self.entry);
                shard::read(record, cold, |value| change::set(to, value, expiry, entry));
                change::delete(from, self.entry);
            }
            self.core(from).remove_moved(record);
        }
        if absent { Answer::Int(1) } else { Answer::Done }
    }

    fn clear(&mut self) -> Answer<'static> {
        for (number, core) in self.cores.iter_mut() {
            let slots = self.state.sharding.slots(*number);
            if !slots.clone().all(|slot| self.state.ownership.has(|| slot)) {
                clear_owned(self.state, core, slots, self.entry);
            } else if core.len() != 0 {
                core.clear();
                change::clear(slots, self.entry);
            }
        }
        Answer::Done
    }
}

/// Removes the keys of those slots of a shard that the group has. The others are being moved to it, or have been moved
/// to another group, which may not have got them yet.
#[cold]
fn clear_owned(state: &State, core: &mut Core, slots: Range<u16>, entry: &mut Vec<u8>) {
    let owned = |slot: u16| state.ownership.has(|| slot);
    let before = core.len();
    core.remove_where(|record| owned(slot(record.key())));
    if core.len() == before {
        return;
    }
    let mut begin = slots.start;
    while let Some(first) = (begin..slots.end).find(|slot| owned(*slot)) {
        let end = (first..slots.end).find(|slot| !owned(*slot)).unwrap_or(slots.end);
        change::clear(first..end, entry);
        begin = end;
    }
}
