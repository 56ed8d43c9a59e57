//! Loading a database at startup: the snapshot, and then the log entries after it.

use crate::log::Lsn;
use crate::log::change::{Changes, LoggedOp};
use crate::options::Options;
use crate::request::Answer;
use crate::state::apply::Apply;
use crate::state::cold::ColdStore;
use crate::state::shard::Shard;
use crate::state::slots::{SLOTS, Sharding, slot};
use std::ops::Range;
use std::sync::Arc;

/// The default number of shards for each processor.
const SHARDS: usize = 8;

/// The shards of a database that is being loaded. No reader sees them yet.
pub(crate) struct LoadingShards {
    all: Box<[Shard]>,
    sharding: Sharding,
    cold: Option<Arc<ColdStore>>,
}

impl LoadingShards {
    pub(crate) fn new(options: &Options) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let number = if options.shards == 0 { cores * SHARDS } else { options.shards };
        let number = number.next_power_of_two().clamp(1, SLOTS.into());
        let cold = (options.compressed != 0).then(|| Arc::new(ColdStore::new(options.compressed)));
        let shards = (0..number).map(|_| Shard::new(cold.clone())).collect();
        Self { all: shards, sharding: Sharding::new(number), cold }
    }

    pub(super) fn into_parts(self) -> (Box<[Shard]>, Sharding, Option<Arc<ColdStore>>) {
        (self.all, self.sharding, self.cold)
    }

    fn at(&self, key: &[u8]) -> &Shard {
        &self.all[self.sharding.shard(slot(key))]
    }

    /// Reserves room for `keys` keys of these slots.
    pub(crate) fn reserve(&self, slots: Range<u16>, keys: usize) {
        let (first, last) = (self.sharding.shard(slots.start), self.sharding.shard(slots.end - 1));
        for shard in &self.all[first..=last] {
            shard.lock().reserve(keys / (last - first + 1));
        }
    }

    /// Stores a key from the snapshot.
    pub(crate) fn load(&self, key: &[u8], expires_at: Option<u64>, value: &[u8]) {
        let mut core = self.at(key).lock();
        let stored = core.find(key);
        core.put(stored, key, value, expires_at);
    }

    /// Replays a log entry. `from` returns, for a hash slot, the first entry that the snapshot does not contain:
    /// changes of earlier entries are skipped.
    pub(crate) fn replay(
        &self,
        entry: Lsn,
        time: u64,
        changes: &[u8],
        from: impl Fn(u16) -> Lsn,
    ) -> Result<(), &'static str> {
        let mut log = Vec::new();
        for change in Changes::new(changes) {
            match change? {
                LoggedOp::Change(key, change) => {
                    if entry >= from(slot(key)) {
                        let mut core = self.at(key).lock();
                        // The time of the entry, although the shard may have seen a later one: keys that have expired
                        // since may have been alive when the change was made.
                        core.advance_time(time);
                        let apply =
                            &mut Apply { core: &mut core, time, full: false, log: &mut log, key };
                        let mut refused = false;
                        apply.run(&change, &mut |made| {
                            refused = matches!(made, Answer::Error(_));
                        });
                        core.publish_if_large();
                        log.clear();
                        if refused {
                            return Err("an entry contains a change that fails on this state");
                        }
                    }
                }
                LoggedOp::Rename(key, to) => {
                    let (key_counts, to_counts) =
                        (entry >= from(slot(key)), entry >= from(slot(to)));
                    if key_counts != to_counts {
                        return Err(
                            "an entry renames a key that the snapshot contains to one that it does not",
                        );
                    }
                    if key_counts && !self.rename(time, key, to) {
                        return Err("an entry renames a key that does not exist");
                    }
                }
                LoggedOp::Clear(begin, end) => self.clear(entry, begin..end, &from),
                LoggedOp::Clock(latest) => self.set_back(entry, time, latest, &from),
            }
        }
        Ok(())
    }

    /// Replays a rename. Returns whether the key was there.
    fn rename(&self, time: u64, key: &[u8], to: &[u8]) -> bool {
        let mut numbers = [key, to].map(|key| self.sharding.shard(slot(key))).to_vec();
        let position = |numbers: &[usize], key: &[u8]| {
            let shard = self.sharding.shard(slot(key));
            numbers.iter().position(|number| *number == shard).expect("both are locked")
        };
        numbers.sort_unstable();
        numbers.dedup();
        let mut cores: Vec<_> = numbers.iter().map(|number| self.all[*number].lock()).collect();
        for core in &mut cores {
            core.advance_time(time);
        }
        let (one, other) = (position(&numbers, key), position(&numbers, to));
        let found = cores[one].find(key).filter(|record| !record.is_expired(time));
        let Some(record) = found else { return false };
        let stored = cores[other].find(to);
        cores[other].put_moved(stored, to, record, record.expires_at());
        cores[one].remove_moved(record);
        for core in &mut cores {
            core.publish_if_large();
        }
        true
    }

    /// Removes the keys that had expired when the clock was set back to `time`.
    fn set_back(&self, entry: Lsn, time: u64, expired_by: u64, from: &impl Fn(u16) -> Lsn) {
        for shard in &self.all {
            let mut core = shard.lock();
            core.remove_where(|record| {
                record.is_expired(expired_by) && entry >= from(slot(record.key()))
            });
            core.set_back(time);
            core.publish(0, 0);
        }
    }

    fn clear(&self, entry: Lsn, slots: Range<u16>, from: &impl Fn(u16) -> Lsn) {
        for (number, shard) in self.all.iter().enumerate() {
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

    /// Publishes all that was loaded. If the log may fail, changes are recorded from now on so that a rollback can undo
    /// them. Returns the memory in bytes.
    pub(crate) fn finish_loading(&self, records_undo: bool) -> usize {
        let publish = |shard: &Shard| {
            let mut core = shard.lock();
            core.publish(0, 0);
            if records_undo {
                core.enable_undo();
            }
            shard.update_stats(&core, None)
        };
        self.all.iter().map(publish).sum::<isize>().unsigned_abs()
    }
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
        shards.replay(1, 105, &first, |_| 1).unwrap();
        shards.replay(2, 100, &second, |_| 1).unwrap();
        let core = shards.at(b"key").lock();
        let record = core.find(b"key").unwrap();
        assert_eq!(record.expires_at(), Some(103), "replayed at another time");
        core.read(record, |value| assert_eq!(value, b"6", "replayed at another time"));
    }

    #[test]
    fn an_impossible_entry_is_rejected() {
        let shards = LoadingShards::new(&Options::in_memory());
        shards.load(b"key", None, b"rose");
        let mut entry = Vec::new();
        change::add(b"key", 1, &mut entry);
        assert!(shards.replay(7, 100, &entry, |_| 8).is_ok(), "the snapshot has it");
        assert!(shards.replay(8, 100, &entry, |_| 8).is_err());
    }
}
