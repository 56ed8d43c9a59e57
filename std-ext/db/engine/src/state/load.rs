//! Loading a database at startup: the snapshot, and then the log entries after it.

use crate::log::change::{LoggedChanges, LoggedOp};
use crate::log::{BatchMark, Lsn};
use crate::options::{MAX_DATABASES, Options};
use crate::request::{Answer, Change, StoredValue};
use crate::slot_set::SlotSet;
use crate::slots::{SLOTS, slot};
use crate::state::apply::Apply;
use crate::state::cold::ColdStore;
use crate::state::databases::{Databases, Shards, new_shards};
use crate::state::encoding_limits::SharedEncodingLimits;
use crate::state::limit::MemoryLimit;
use crate::state::lost_slots::LostSlots;
use crate::state::shard::{Core, Shard, ShardContext};
use crate::state::sharding::Sharding;
use crate::state::value::collection::CollectionEdit;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The default number of shards for each processor.
const SHARDS: usize = 8;

/// The contents of entries besides changes of keys.
#[derive(Clone, Debug, Default)]
pub struct ReplayedState {
    /// The last watermark: no later entry has an earlier time.
    pub watermark: u64,
    /// The last mark of a batch, and its entry.
    pub batch: Option<(Lsn, BatchMark)>,
    /// The last entry that sets the clock back.
    pub set_back: Lsn,
    /// The slots that the group has got and lost, in order.
    pub slots: Vec<(SlotSet, bool)>,
}

/// Called with a key, its expiration and its value; several times with the parts of a long one.
pub(crate) type OnKey<'a> = dyn FnMut(&[u8], Option<u64>, StoredValue<'_>) + 'a;

/// The shards of the databases that are being loaded. No reader sees them yet.
///
/// The data may have keys of more databases than there will be: some may be removed, or swapped, by a later entry.
pub struct LoadingShards {
    all: Shards,
    databases: Databases,
    /// Held while a keyspace is made.
    making: Mutex<()>,
    sharding: Sharding,
    context: ShardContext,
    /// The number of databases that there will be.
    wanted: u16,
    pub(super) lost: LostSlots,
}

impl LoadingShards {
    pub fn new(options: &Options) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let number = if options.shards == 0 { cores * SHARDS } else { options.shards };
        // So that a shard's number is a shift of the slot's, and each shard has a range of slots.
        let number = number.next_power_of_two().clamp(1, SLOTS.into());
        let cold = (options.compressed != 0).then(|| Arc::new(ColdStore::new(options.compressed)));
        let limit = Arc::new(MemoryLimit::new(options));
        let encodings = Arc::new(SharedEncodingLimits::new(&options.encodings));
        let context = ShardContext { cold, limit, encodings };
        let sharding = Sharding::new(number);
        let most = usize::from(MAX_DATABASES);
        let all = Shards::new(vec![new_shards(sharding, &context)], most);
        let databases = Databases::new(most, &[0]);
        let wanted = options.databases.clamp(1, MAX_DATABASES);
        let (making, lost) = (Mutex::default(), LostSlots::default());
        Self { all, databases, making, sharding, context, wanted, lost }
    }

    /// As [`new`](Self::new), for a node of a cluster, which has one database: the keys of each slot are counted.
    pub fn clustered(options: &Options) -> Self {
        let shards = Self { wanted: 1, ..Self::new(options) };
        for (number, shard) in shards.all.iter().enumerate() {
            shard.lock().count_slots(shards.sharding.slots(number));
        }
        shards
    }

    /// Returns what the state of the loaded databases consists of. Database 0 has the first keyspace again, and empty
    /// databases have none.
    pub(super) fn into_parts(self) -> (Shards, Databases, Sharding, ShardContext) {
        let wanted = self.wanted;
        // A database that was used once, and is empty now, costs no shards.
        let is_used = |number: u16| number == 0 || self.len(number) != 0;
        let used: Vec<(u16, usize)> = (0..wanted)
            .filter(|number| is_used(*number))
            .filter_map(|number| Some((number, self.databases.get(number)?)))
            .collect();
        let mut keyspaces = self.all.into_keyspaces();
        let taken = used.iter().filter_map(|(_, keyspace)| keyspaces[*keyspace].take()).collect();
        let numbers: Vec<u16> = used.iter().map(|(number, _)| *number).collect();
        let databases = Databases::new(wanted.into(), &numbers);
        (Shards::new(taken, wanted.into()), databases, self.sharding, self.context)
    }

    /// Returns the last database that has keys and will not exist, if there is one, and the number of those that will.
    pub fn missing(&self) -> Option<(u16, u16)> {
        let last = (self.wanted..MAX_DATABASES).rev().find(|number| self.len(*number) != 0)?;
        Some((last, self.wanted))
    }

    /// Returns the number of keys of a database.
    fn len(&self, database: u16) -> usize {
        let Some(keyspace) = self.databases.get(database) else { return 0 };
        self.all.keyspace(keyspace).iter().map(|shard| shard.lock().len()).sum()
    }

    /// Returns the shards of a database.
    fn of(&self, database: u16) -> &[Shard] {
        let keyspace = self.databases.get(database).unwrap_or_else(|| self.make(database));
        self.all.keyspace(keyspace)
    }

    #[cold]
    fn make(&self, database: u16) -> usize {
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.databases.get(database).unwrap_or_else(|| {
            let keyspace = self.all.add(new_shards(self.sharding, &self.context));
            self.databases.assign(database, keyspace);
            keyspace
        })
    }

    fn at(&self, database: u16, key: &[u8]) -> &Shard {
        &self.of(database)[self.sharding.shard(slot(key))]
    }

    /// Reserves room for `keys` keys of these slots in a database.
    pub fn reserve(&self, database: u16, slots: Range<u16>, keys: usize) {
        let (first, last) = (self.sharding.shard(slots.start), self.sharding.shard(slots.end - 1));
        for shard in &self.of(database)[first..=last] {
            // Their hashes spread keys evenly. A shard that gets more grows.
            shard.lock().reserve(keys / (last - first + 1));
        }
    }

    /// Stores a key of a database from the snapshot, or adds a further part of its value.
    pub(crate) fn load_into(
        &self,
        database: u16,
        key: &[u8],
        expires_at: Option<u64>,
        value: StoredValue<'_>,
    ) {
        let mut core = self.at(database, key).lock();
        let stored = core.find(key);
        match value {
            StoredValue::String(value) => core.put(stored, key, value, expires_at),
            StoredValue::Packed(value) => {
                let current = stored.filter(|_| value.continues());
                let (value_type, records) = (value.value_type(), (stored, current));
                let add = |edit: &mut CollectionEdit<'_>| edit.add(value);
                core.edit_collection(value_type, records, key, expires_at, add);
                core.publish_if_large();
            }
        }
    }

    /// Stores a key of database 0 with a value of any type.
    #[cfg(any(test, feature = "test-support"))]
    pub fn load_value(&self, key: &[u8], expires_at: Option<u64>, value: StoredValue<'_>) {
        self.load_into(0, key, expires_at, value);
    }

    /// Stores a key of database 0.
    #[cfg(any(test, feature = "test-support"))]
    pub fn load(&self, key: &[u8], expires_at: Option<u64>, value: &[u8]) {
        self.load_into(0, key, expires_at, StoredValue::String(value));
    }

    /// Replays a log entry. `from` returns, for a hash slot, the first entry that the snapshot does not contain:
    /// changes of earlier entries are skipped. Adds to `met` what the entry says besides.
    pub fn replay(
        &self,
        entry: Lsn,
        time: u64,
        changes: &[u8],
        from: impl Fn(u16) -> Lsn,
        met: &mut ReplayedState,
    ) -> Result<(), &'static str> {
        let (mut log, mut database) = (Vec::new(), 0);
        for change in LoggedChanges::new(changes) {
            match change? {
                LoggedOp::Database(number) => database = number,
                LoggedOp::Change(key, change) => {
                    if entry >= from(slot(key)) {
                        let mut core = self.at(database, key).lock();
                        apply_logged(&mut core, time, key, &change, &mut log)?;
                        // Otherwise the records that the whole log has replaced would stay in memory until its end.
                        core.publish_if_large();
                    }
                }
                LoggedOp::Rename(key, to) => {
                    let (key_counts, to_counts) =
                        (entry >= from(slot(key)), entry >= from(slot(to)));
                    // No rename is logged by names while a snapshot is written. So this log is not the one that
                    // continues this snapshot.
                    if key_counts != to_counts {
                        return Err(
                            "an entry renames a key that the snapshot contains to one that it does not",
                        );
                    }
                    if key_counts && !self.rename(time, database, key, to) {
                        return Err("an entry renames a key that does not exist");
                    }
                }
                LoggedOp::Move(key, to) => {
                    if entry >= from(slot(key)) && !self.move_key(time, key, (database, to)) {
                        return Err(
                            "an entry moves a key that does not exist, or to its own database",
                        );
                    }
                }
                LoggedOp::Swap(one, other) => self.swap(entry, (one, other), &from),
                LoggedOp::Clear(begin, end) => self.clear(entry, database, begin..end, &from),
                LoggedOp::Clock(latest) => {
                    self.set_back(entry, time, latest, &from);
                    // Assigned, not raised: after this entry alone, earlier times count again.
                    (met.watermark, met.set_back) = (time, entry);
                }
                LoggedOp::Begin(..) => met.watermark = met.watermark.max(time),
                LoggedOp::Watermark(watermark) => met.watermark = met.watermark.max(watermark),
                LoggedOp::Batch(mark) => met.batch = Some((entry, mark)),
                LoggedOp::Out(of_move, slots) => {
                    self.lost.note(of_move, time);
                    met.slots.push((SlotSet::from_bits(slots), false));
                }
                LoggedOp::Own(_, slots) => met.slots.push((SlotSet::from_bits(slots), true)),
            }
        }
        Ok(())
    }

    /// Replays a rename. Returns whether the key was there.
    fn rename(&self, time: u64, database: u16, key: &[u8], to: &[u8]) -> bool {
        let mut numbers = [key, to].map(|key| self.sharding.shard(slot(key))).to_vec();
        let position = |numbers: &[usize], key: &[u8]| {
            let shard = self.sharding.shard(slot(key));
            numbers.iter().position(|number| *number == shard).expect("both are locked")
        };
        // The two names may share a shard, which must not be locked twice.
        numbers.sort_unstable();
        numbers.dedup();
        let shards = self.of(database);
        let mut cores: Vec<_> = numbers.iter().map(|number| shards[*number].lock()).collect();
        let places = (position(&numbers, key), position(&numbers, to));
        let mut locked: Vec<&mut Core> = cores.iter_mut().map(|core| &mut **core).collect();
        let was_there = move_logged(&mut locked, places, time, (key, to));
        for core in &mut cores {
            core.publish_if_large();
        }
        was_there
    }

    /// Replays a move of a key from one database to another. Returns whether the key was there.
    fn move_key(&self, time: u64, key: &[u8], (database, to): (u16, u16)) -> bool {
        // Such an entry would lock one shard twice.
        if database == to {
            return false;
        }
        let (mut source, mut target) = (self.at(database, key).lock(), self.at(to, key).lock());
        let cores = &mut [&mut *source, &mut *target];
        let was_there = move_logged(cores, (0, 1), time, (key, key));
        source.publish_if_large();
        target.publish_if_large();
        was_there
    }

    /// Replays a swap of two databases. Slots of which the snapshot contains it are swapped there already.
    fn swap(&self, entry: Lsn, (one, other): (u16, u16), from: &impl Fn(u16) -> Lsn) {
        let counts = |slot: &u16| entry >= from(*slot);
        // Before the keyspaces are made: a swap that the snapshot contains as a whole needs none.
        if one == other || !(0..SLOTS).any(|slot| counts(&slot)) {
            return;
        }
        let (of_one, of_other) = (self.of(one), self.of(other));
        if (0..SLOTS).all(|slot| counts(&slot)) {
            return self.databases.swap(one, other);
        }
        for (one, other) in of_one.iter().zip(of_other) {
            let (mut one, mut other) = (one.lock(), other.lock());
            let counts = |key: &[u8]| counts(&slot(key));
            // Both sides are taken out before either is put in. Otherwise the second walk would take the first side's
            // keys back.
            let to_other = one.take_moved(&counts);
            let to_one = other.take_moved(&counts);
            for record in to_one {
                one.put_moved_in(record);
            }
            for record in to_other {
                other.put_moved_in(record);
            }
            // Only now, because a record that was moved out is freed after that.
            one.publish(0, 0);
            other.publish(0, 0);
        }
    }

    /// Removes the keys that had expired when the clock was set back to `time`.
    fn set_back(&self, entry: Lsn, time: u64, expired_by: u64, from: &impl Fn(u16) -> Lsn) {
        for shard in self.all.iter() {
            let mut core = shard.lock();
            core.remove_where(|record| {
                record.is_expired(expired_by) && entry >= from(slot(record.key()))
            });
            core.set_back(time);
            core.publish(0, 0);
        }
    }

    fn clear(&self, entry: Lsn, database: u16, slots: Range<u16>, from: &impl Fn(u16) -> Lsn) {
        for (number, shard) in self.of(database).iter().enumerate() {
            let own = self.sharding.slots(number);
            if own.start < slots.end && slots.start < own.end {
                let mut core = shard.lock();
                core.remove_where(|record| {
                    let slot = slot(record.key());
                    slots.contains(&slot) && entry >= from(slot)
                });
                core.publish(0, 0);
            }
        }
    }

    /// Publishes all that was loaded.
    pub fn finish_loading(&self) {
        self.all.finish_loading(false);
    }

    /// Calls `each` with all keys of database 0, their expirations and their values.
    pub fn each_key(&self, each: &mut OnKey<'_>) {
        self.each_key_of(0, each);
    }

    /// Returns the numbers of the databases that have keys.
    pub fn used(&self) -> impl Iterator<Item = u16> {
        (0..MAX_DATABASES).filter(|number| self.len(*number) != 0)
    }

    /// Calls `each` with all keys of a database, their expirations and their values.
    pub fn each_key_of(&self, database: u16, each: &mut OnKey<'_>) {
        for shard in self.of(database) {
            let mut core = shard.lock();
            for record in core.begin_snapshot() {
                record.value().each_part(core.cold(), &mut |value| {
                    each(record.key(), record.expires_at(), value);
                });
            }
            core.end_snapshot(None, 0);
        }
    }
}

impl Shards {
    /// Publishes all that was loaded. If the log may fail, changes are recorded from now on so that a rollback can undo
    /// them. Returns the memory in bytes.
    pub(super) fn finish_loading(&self, records_undo: bool) -> usize {
        let publish = |shard: &Shard| {
            let mut core = shard.lock();
            core.publish(0, 0);
            if records_undo {
                core.enable_undo();
            }
            shard.update_stats(&core, None)
        };
        self.iter().map(publish).sum::<isize>().unsigned_abs()
    }
}

/// Applies a logged change of one key. `log` is a buffer: the change is encoded again, which nobody reads.
pub(super) fn apply_logged(
    core: &mut Core,
    time: u64,
    key: &[u8],
    change: &Change<'_>,
    log: &mut Vec<u8>,
) -> Result<(), &'static str> {
    // The time of the entry, although the shard may have seen a later one: keys that have expired since may have been
    // alive when the change was made.
    core.advance_time(time);
    let mut refused = false;
    // The code that decides for clients, so that replay cannot diverge from it.
    let mut apply = Apply { core, time, full: false, log, key };
    apply.run(change, &mut |made| refused = matches!(made, Answer::Error(_)));
    log.clear();
    if refused { Err("an entry contains a change that fails on this state") } else { Ok(()) }
}

/// Applies a logged rename. `places` are the indices of the keys' shards in `cores`. Returns whether the key was there.
pub(super) fn move_logged(
    cores: &mut [&mut Core],
    places: (usize, usize),
    time: u64,
    (from, to): (&[u8], &[u8]),
) -> bool {
    for place in [places.0, places.1] {
        cores[place].advance_time(time);
    }
    let found = cores[places.0].find(from).filter(|record| !record.is_expired(time));
    let Some(record) = found else { return false };
    let stored = cores[places.1].find(to);
    // This hands a compressed value's ticket on. It is correct within a shard, and between two that have no readers; a
    // client's rename between two shards stores the value again (`session/multi_key.rs`).
    cores[places.1].put_moved(stored, to, record, record.expires_at());
    cores[places.0].remove_moved(record);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::change;
    use crate::request::Expiry;

    /// Entries of different shards may have times out of order. With another number of shards at replay, their keys may
    /// share a shard.
    #[test]
    fn an_entry_is_replayed_at_its_own_time() {
        let mut options = Options::in_memory();
        options.shards = 1;
        let shards = LoadingShards::new(&options);
        shards.load(b"key", Some(103), b"5");
        let (mut first, mut second) = (Vec::new(), Vec::new());
        change::set(b"other", b"", Expiry::Never, &mut first);
        change::add(b"key", 1, &mut second);
        let met = &mut ReplayedState::default();
        shards.replay(1, 105, &first, |_| 1, met).unwrap();
        shards.replay(2, 100, &second, |_| 1, met).unwrap();
        let core = shards.at(0, b"key").lock();
        let record = core.find(b"key").unwrap();
        assert_eq!(record.expires_at(), Some(103), "replayed at another time");
        let value = record.string().unwrap();
        core.read(value, |value| assert_eq!(value, b"6", "replayed at another time"));
    }

    #[test]
    fn an_impossible_entry_is_rejected() {
        let shards = LoadingShards::new(&Options::in_memory());
        shards.load(b"key", None, b"rose");
        let mut entry = Vec::new();
        change::add(b"key", 1, &mut entry);
        let met = &mut ReplayedState::default();
        assert!(shards.replay(7, 100, &entry, |_| 8, met).is_ok(), "the snapshot has it");
        assert!(shards.replay(8, 100, &entry, |_| 8, met).is_err());
    }
}
