//! Moving hash slots between groups: the parts of the two groups' states.
//!
//! The source sends keys with their values, never operations: first all keys of the slots, and meanwhile and afterwards
//! each key that has changed, looked up anew. So the target needs neither the source's log nor its clock. A key may be
//! sent several times; the last one counts. The target stores them by its own log, as keys of slots that it does not
//! own.
//!
//! Keys are read under the lock of their shard, but for long values: their records are kept, as by a snapshot, and read
//! in parts. What changes meanwhile, that value included, is sent after its last part.
//!
//! The source loses the slots by one entry under the locks of their shards. From then on their keys do not change there
//! until [`Clearing`] removes them, but for those that expire. Its entries name each key.

use super::apply::Apply;
use super::record::Record;
use super::shard::Core;
use super::subscriptions::Subscription;
use super::waiters::WaitEnd;
use super::{HeldRecords, LockedShards, State};
use crate::log::Lsn;
use crate::log::change;
use crate::request::{Answer, Change, Expiry, OwnedValue, RequestError};
use crate::slot_set::SlotSet;
use crate::slots::slot;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

mod key_count;
mod long_value;

pub use key_count::KeyCount;
use long_value::LongValue;

/// The buckets that are scanned under a shard's lock at a time: some 20 µs.
const BUCKETS: usize = 256;
/// The cost of a key beside its bytes, in bytes. Measured: 64-byte values at 35,000 keys/s, and 4-KiB
/// values at 8 MB/s, leave other clients the same part of their rate.
const KEY: usize = 128;
/// As `BUCKETS`, if their keys are removed, too: at most some 300.
const BUCKETS_TO_CLEAR: usize = 64;
/// The bytes of entries that a step of [`Clearing`] appends, and a little more.
const CLEARED: usize = 16 << 10;
/// As `CLEARED`, if no group has the slots meanwhile: each step waits for etcd. Two of them wait there at most, which
/// is less than holds clients back.
const EXPIRED_CLEARED: usize = 1 << 20;
/// Keys that have changed and are looked up at a time.
const CHANGED: usize = 256;

/// A piece of the data that the source sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferItem {
    /// A key with its expiration and its value, or a further part of the value: that follows the one before.
    Set(Vec<u8>, Option<u64>, OwnedValue),
    /// A key that is not there any more.
    Removed(Vec<u8>),
    /// All keys were removed. The pieces before this one do not count.
    Cleared,
}

impl TransferItem {
    fn of(record: Record, value: OwnedValue) -> Self {
        Self::Set(record.key().to_vec(), record.expires_at(), value)
    }

    /// Returns the approximate bytes that it takes.
    pub fn bytes(&self) -> usize {
        32 + match self {
            Self::Set(key, _, value) => key.len() + value.len(),
            Self::Removed(key) => key.len(),
            Self::Cleared => 0,
        }
    }
}

/// Reads the keys of some slots, and then those that change. Dropping it ends that.
pub struct Export {
    state: Arc<State>,
    subscription: Arc<Subscription>,
    shards: Vec<usize>,
    /// Where the scan goes on: an index of `shards`, and a position within the shard.
    at: (usize, u64),
    /// Long values that were found and are not sent to their end. What has changed since is sent after them.
    long: VecDeque<LongValue>,
    /// The cost of the keys that the scan has read.
    scanned: usize,
    key_count: Option<KeyCount>,
}

impl Drop for Export {
    fn drop(&mut self) {
        self.state.subscriptions.end(&self.subscription);
    }
}

impl Export {
    /// Begins to note changes, and to read keys.
    pub fn new(state: Arc<State>, slots: SlotSet) -> Self {
        let shards = state.shards_with(&slots);
        let subscription = state.subscriptions.begin(slots);
        let long = VecDeque::new();
        Self { state, subscription, shards, at: (0, 0), long, scanned: 0, key_count: None }
    }

    /// Returns a count of the keys that do not expire by some time, which is `from` or later. If there is no such count
    /// from before, begins one for a time that is later by `ahead`.
    pub fn key_count(&mut self, from: u64, ahead: u64) -> &KeyCount {
        let usable = self.key_count.take().filter(|count| count.horizon() >= from);
        let begin = || {
            KeyCount::begin(Arc::clone(&self.state), self.subscription.slots.clone(), from + ahead)
        };
        self.key_count.insert(usable.unwrap_or_else(begin))
    }

    /// Returns the next pieces: some of the keys that have changed, and some that were not sent yet, of a little more
    /// than `most` bytes. Nothing: at present there is no more to send.
    pub fn next(&mut self, most: usize) -> Vec<TransferItem> {
        let mut items = Vec::new();
        // The target forgets what it has. What was written since is found by the scan, which begins again.
        if self.subscription.take_cleared() {
            self.at = (0, 0);
            self.long.clear();
            return vec![TransferItem::Cleared];
        }
        self.send_long(most, &mut items);
        if !self.long.is_empty() {
            return items;
        }
        // The target makes one entry of keys of one shard that follow each other.
        let mut some = self.subscription.take_changed(CHANGED);
        some.sort_by_cached_key(|key| slot(key));
        // After it was taken from the set: a later change puts the key there again.
        for key in some {
            self.look_up(key, &mut items);
        }
        let mut bytes: usize = items.iter().map(TransferItem::bytes).sum();
        while bytes < most && self.at.0 < self.shards.len() && self.long.is_empty() {
            let before = items.len();
            self.scan(&mut items);
            let more = items[before..].iter().map(TransferItem::bytes).sum::<usize>();
            bytes += more;
            self.scanned += more + (items.len() - before) * KEY;
        }
        self.send_long(most.saturating_sub(bytes), &mut items);
        items
    }

    /// Adds parts of the long values that were found, of a little more than `most` bytes.
    fn send_long(&mut self, most: usize, items: &mut Vec<TransferItem>) {
        let mut bytes = 0;
        while bytes < most {
            let Some(value) = self.long.front_mut() else { return };
            let (part, is_last) = value.next();
            let part = TransferItem::of(value.record, part);
            bytes += part.bytes();
            if value.is_scanned {
                self.scanned += part.bytes() + KEY;
            }
            items.push(part);
            if is_last {
                self.long.pop_front();
            }
        }
    }

    /// Adds a key with its value, which a long one has later.
    fn add(
        &mut self,
        (core, shard): (&mut Core, usize),
        record: Record,
        is_scanned: bool,
        items: &mut Vec<TransferItem>,
    ) {
        if LongValue::is_long(record) {
            let held = HeldRecords::of(Arc::clone(&self.state), shard, core.hold(record));
            self.long.push_back(LongValue::new(record, held, is_scanned));
        } else {
            record.value().each_part(core.cold(), &mut |value| {
                items.push(TransferItem::of(record, value.to_owned()));
            });
        }
    }

    /// Returns the cost of the keys that were read since the last call, in bytes. Keys that have changed cost nothing:
    /// if they waited for their turn, a move beside many writes would never end.
    pub fn take_cost(&mut self) -> usize {
        std::mem::take(&mut self.scanned)
    }

    fn look_up(&mut self, key: Vec<u8>, items: &mut Vec<TransferItem>) {
        let (state, shard) = (Arc::clone(&self.state), self.state.shard_of(&key));
        let mut core = state.shards[shard].lock();
        let time = core.advance_time(state.clock.now());
        match core.find(&key).filter(|record| !record.is_expired(time)) {
            Some(record) => self.add((&mut core, shard), record, false, items),
            None => items.push(TransferItem::Removed(key)),
        }
    }

    /// Reads some buckets of a shard.
    fn scan(&mut self, items: &mut Vec<TransferItem>) {
        let (state, shard) = (Arc::clone(&self.state), self.shards[self.at.0]);
        let mut core = state.shards[shard].lock();
        let time = core.advance_time(state.clock.now());
        let subscription = Arc::clone(&self.subscription);
        for _ in 0..BUCKETS {
            let mut found = Vec::new();
            let next = core.scan(self.at.1, |record| {
                if subscription.slots.contains(slot(record.key())) && !record.is_expired(time) {
                    found.push(record);
                }
            });
            // Copied or held under the lock. Afterwards nothing keeps the record from being freed.
            for record in found {
                self.add((&mut core, shard), record, true, items);
            }
            let Some(next) = next else {
                self.at = (self.at.0 + 1, 0);
                return;
            };
            self.at.1 = next;
        }
    }
}

/// Removes the keys of slots that the group does not own, in steps that hold a shard's lock for a short time. Other
/// threads get the lock between them, so each entry names its keys: one that cleared whole slots would need all of them
/// to be removed at once.
pub struct Clearing {
    slots: SlotSet,
    /// Only keys that have expired by this time are removed.
    expired_by: Option<u64>,
    shards: Vec<usize>,
    /// As in [`Export`].
    at: (usize, u64),
    /// Whether there was a key.
    logged: bool,
}

impl Clearing {
    pub fn new(state: &State, slots: SlotSet) -> Self {
        let shards = state.shards_with(&slots);
        Self { slots, expired_by: None, shards, at: (0, 0), logged: false }
    }

    /// As [`new`](Self::new), for the keys that have expired by a time, which may be ahead of this group's clock.
    pub fn of_expired(state: &State, slots: SlotSet, time: u64) -> Self {
        Self { expired_by: Some(time), ..Self::new(state, slots) }
    }

    /// Removes keys until their entries have some KiB, or a MiB if only expired ones are removed. Returns the last of
    /// these, and whether all keys are gone. There is an entry even if there was no key, unless only expired ones are
    /// removed: once it is committed, this node was still the primary when it looked.
    pub fn step(&mut self, state: &State) -> Result<(Lsn, bool), RequestError> {
        let (mut last, mut bytes) = (0, 0);
        let most = if self.expired_by.is_some() { EXPIRED_CLEARED } else { CLEARED };
        while self.at.0 < self.shards.len() {
            if bytes >= most {
                return Ok((last, false));
            }
            let (entry, more) = self.clear_some(state)?;
            (last, bytes) = (last.max(entry), bytes + more);
        }
        match self.shards.last() {
            Some(number) if !self.logged && self.expired_by.is_none() => {
                Ok((self.clear_nothing(state, *number)?, true))
            }
            _ => Ok((last, true)),
        }
    }

    /// Removes the keys in some buckets of a shard. Returns the entry, or 0 if there was no key, and its bytes.
    ///
    /// No client changes these slots. So each key that is not visited has expired meanwhile.
    fn clear_some(&mut self, state: &State) -> Result<(Lsn, usize), RequestError> {
        let shard = &state.shards[self.shards[self.at.0]];
        let mut core = shard.lock();
        self.check(state)?;
        let time = core.advance_time(state.clock.now());
        let (mut at, mut entry) = (Some(self.at.1), Vec::new());
        for _ in 0..BUCKETS_TO_CLEAR {
            let Some(from) = at else { break };
            let mut found = Vec::new();
            at = core.scan(from, |record| {
                let counts = self.expired_by.is_none_or(|time| record.is_expired(time));
                if counts && self.slots.contains(slot(record.key())) {
                    found.push(record);
                }
            });
            for record in found {
                change::delete(record.key(), &mut entry);
                core.remove(record);
            }
        }
        self.at = at.map_or((self.at.0 + 1, 0), |next| (self.at.0, next));
        if entry.is_empty() {
            return Ok((0, 0));
        }
        self.logged = true;
        let last = state.log_and_publish(shard, &mut core, time, &entry);
        state.shrink(shard, &mut core);
        Ok((last, entry.len()))
    }

    fn clear_nothing(&self, state: &State, number: usize) -> Result<Lsn, RequestError> {
        let shard = &state.shards[number];
        let mut core = shard.lock();
        self.check(state)?;
        let (time, mut entry) = (core.advance_time(state.clock.now()), Vec::new());
        for range in within(&self.slots, &state.sharding.slots(number)) {
            change::clear(range, &mut entry);
        }
        Ok(state.log_and_publish(shard, &mut core, time, &entry))
    }

    fn check(&self, state: &State) -> Result<(), RequestError> {
        // At each step. Since the last one this node may have been deposed, or the group may have got the slots back,
        // and clients write their keys again.
        state.check_writable()?;
        if state.ownership.slots().overlaps(&self.slots) {
            return Err(RequestError::SlotNotOwned);
        }
        Ok(())
    }
}

impl State {
    /// Takes slots away from the group. From now on no command is executed for them. Returns the entry, and its time.
    pub fn lose_slots(&self, of_move: u64, slots: &SlotSet) -> Result<(Lsn, u64), RequestError> {
        let mut cores = self.lock_all(self.shards_with(slots));
        self.check_writable()?;
        if !self.ownership.slots().contains_all(slots) {
            return Err(RequestError::SlotNotOwned);
        }
        let time = advance(&mut cores, self.clock.now());
        let mut entry = Vec::new();
        change::out(of_move, slots.bits(), &mut entry);
        // Before the entry is appended: commands that are evaluated from now on are behind it.
        self.ownership.assign(slots, false);
        self.lost.note(of_move, time);
        for (_, core) in &mut cores {
            let is_lost = |key: &[u8]| slots.contains(slot(key));
            core.waiters.end_where(WaitEnd::Refused(RequestError::SlotNotOwned), is_lost);
        }
        Ok((self.log_and_publish_all(&mut cores, time, &entry), time))
    }

    /// Gives the group slots whose keys it has. `time` is that of the entry by which another group has lost them: no
    /// key that had expired there may be back here. Returns the entry.
    pub fn gain_slots(
        &self,
        of_move: u64,
        slots: &SlotSet,
        time: u64,
    ) -> Result<Lsn, RequestError> {
        let mut cores = self.lock_every_shard();
        self.check_writable()?;
        if self.ownership.slots().overlaps(slots) {
            return Err(RequestError::SlotNotOwned);
        }
        let time = advance(&mut cores, self.clock.now().max(time));
        self.clock.raise(time);
        let mut entry = Vec::new();
        change::own(of_move, slots.bits(), &mut entry);
        let entry = self.log_and_publish_all(&mut cores, time, &entry);
        // After the entry was noted at the slots: an answer from them waits for it.
        self.ownership.assign(slots, true);
        Ok(entry)
    }

    /// Appends an entry that changes nothing. Once it is committed, this node was still the primary when it appended
    /// the entry, so its state was that of the log.
    pub fn log_nothing(&self, of_move: u64) -> Result<Lsn, RequestError> {
        self.gain_slots(of_move, &SlotSet::of_range(0..0), 0)
    }

    /// Returns whether the last changes of slots are committed.
    pub fn is_committed(&self, slots: &SlotSet) -> bool {
        let committed = self.log.committed();
        let ends = slots.ranges().into_iter().flat_map(|(first, last)| first..=last);
        ends.into_iter().all(|slot| self.mark(self.sharding.shard(slot), || slot) <= committed)
    }

    /// Stores pieces that another group has sent. Returns the last entry. None of this group's own keys is evicted for
    /// them: without `may_exceed`, there must be room.
    pub fn import(
        &self,
        slots: &SlotSet,
        items: &[TransferItem],
        may_exceed: bool,
    ) -> Result<Lsn, RequestError> {
        let (mut last, most) = (0, self.limit.bytes());
        let added: usize = items.iter().map(TransferItem::bytes).sum();
        if !may_exceed && most != 0 && self.memory().saturating_add(added) > most {
            return Err(RequestError::OutOfMemory);
        }
        let mut rest = items;
        while let Some(first) = rest.first() {
            let (part, behind) = match first {
                TransferItem::Cleared => {
                    last = self.clear_slots(slots)?.max(last);
                    rest = &rest[1..];
                    continue;
                }
                TransferItem::Set(key, ..) | TransferItem::Removed(key) => {
                    let shard = self.shard_of(key);
                    let is_other = |item: &TransferItem| match item {
                        TransferItem::Set(key, ..) | TransferItem::Removed(key) => {
                            self.shard_of(key) != shard
                        }
                        TransferItem::Cleared => true,
                    };
                    rest.split_at(rest.iter().position(is_other).unwrap_or(rest.len()))
                }
            };
            last = self.import_into_shard(slots, part)?.max(last);
            rest = behind;
        }
        Ok(last)
    }

    fn import_into_shard(
        &self,
        slots: &SlotSet,
        items: &[TransferItem],
    ) -> Result<Lsn, RequestError> {
        let Some(TransferItem::Set(key, ..) | TransferItem::Removed(key)) = items.first() else {
            return Ok(0);
        };
        let shard = &self.shards[self.shard_of(key)];
        let mut core = shard.lock();
        self.check_writable()?;
        // The source sends keys of these slots only, and the group does not own any of them. Checked before the first
        // change: an error must leave nothing that is not logged.
        let is_wrong = |item: &TransferItem| match item {
            TransferItem::Set(key, ..) | TransferItem::Removed(key) => {
                !slots.contains(slot(key)) || self.ownership.has(|| slot(key))
            }
            TransferItem::Cleared => false,
        };
        if items.iter().any(is_wrong) {
            return Err(RequestError::SlotNotOwned);
        }
        let time = core.advance_time(self.clock.now());
        let (mut entry, mut last) = (Vec::new(), 0);
        for item in items {
            let (key, change) = match item {
                TransferItem::Set(key, expires_at, value) => {
                    let expiry = expires_at.map_or(Expiry::Never, Expiry::At);
                    let value = value.stored();
                    // The key has expired since the part before, or was evicted. The rest would be a key without
                    // expiration that has some of the fields.
                    if value.continues()
                        && core.find(key).is_none_or(|found| found.is_expired(time))
                    {
                        continue;
                    }
                    (key, Change::Restore { value, expiry, replace: true, usage: None })
                }
                TransferItem::Removed(key) => (key, Change::Delete),
                TransferItem::Cleared => continue,
            };
            let mut refused = None;
            let mut note = |made: Answer<'_>| {
                if let Answer::Error(why) = made {
                    refused = Some(why);
                }
            };
            // Not noted as an event: the key moves with its slot.
            let mut apply = Apply { core: &mut core, time, full: false, log: &mut entry, key };
            apply.run(&change, &mut note);
            if let Some(why) = refused {
                // What was stored before the refusal is logged. Unlogged, readers would see it, and a restart would
                // lose it.
                self.log_and_publish(shard, &mut core, time, &entry);
                return Err(why);
            }
            if entry.len() >= self.longest_entry {
                last = self.log_and_publish(shard, &mut core, time, &entry);
                entry.clear();
            }
        }
        Ok(self.log_and_publish(shard, &mut core, time, &entry).max(last))
    }

    /// Removes the keys of slots that the group does not own. Returns the last entry, of which there is at least one.
    pub(crate) fn clear_slots(&self, slots: &SlotSet) -> Result<Lsn, RequestError> {
        let (mut clearing, mut last) = (Clearing::new(self, slots.clone()), 0);
        loop {
            let (entry, done) = clearing.step(self)?;
            last = entry.max(last);
            if done {
                return Ok(last);
            }
        }
    }

    /// Sets the most bytes a second that are sent for each move from this group while clients write; 0 for no limit.
    pub fn set_move_rate(&self, bytes: u64) {
        self.subscriptions.rate.set(bytes);
    }

    /// Returns what was set.
    pub fn move_rate(&self) -> u64 {
        self.subscriptions.rate.get()
    }
}

/// Brings all locked shards to the same time. Returns it.
fn advance(cores: &mut LockedShards<'_>, now: u64) -> u64 {
    let mut time = now;
    for (_, core) in cores.iter_mut() {
        time = time.max(Core::advance_time(core, now));
    }
    for (_, core) in cores.iter_mut() {
        core.advance_time(time);
    }
    time
}

/// Returns the ranges of a set that are within a range.
fn within(slots: &SlotSet, range: &Range<u16>) -> impl Iterator<Item = Range<u16>> {
    let (begin, end) = (range.start, range.end);
    slots.ranges().into_iter().filter_map(move |(first, last)| {
        let part = first.max(begin)..(last + 1).min(end);
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
pub mod tests;
