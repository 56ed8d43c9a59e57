//! The keyspaces of the databases: how they are made, found, locked, swapped and counted.

use super::databases::{DatabaseStats, Keyspace, new_shards};
use super::shard::{Core, Shard, ShardContext};
use super::{LockedShards, State};
use crate::log::{Lsn, change};
use std::sync::{Arc, MutexGuard};

/// Bits of a cursor: some clients store numbers as 64-bit floats, which have 53 bits.
const CURSOR_BITS: u32 = 53;

impl State {
    /// Returns the keyspace of a database, and makes it if the database has none yet. The caller holds no shard's lock.
    ///
    /// # Panics
    /// If there is no database of this number.
    pub fn keyspace(&self, number: u16) -> Keyspace {
        let found = self.databases.find(number).unwrap_or_else(|| self.make_keyspace(number));
        Keyspace { first: self.first_shard(found.0), version: found.1 }
    }

    /// Returns the number of a keyspace's first shard.
    pub(crate) fn first_shard(&self, keyspace: usize) -> usize {
        keyspace * self.shards.per_keyspace()
    }

    #[cold]
    fn make_keyspace(&self, number: u16) -> (usize, u64) {
        // Under all locks: a thread that has locked all shards, as for a rollback, misses none.
        let _cores = self.lock_every_shard();
        if self.databases.get(number).is_none() {
            let (cold, limit) = (self.cold.clone(), Arc::clone(&self.limit));
            let encodings = Arc::clone(&self.encodings);
            let shards = new_shards(self.sharding, &ShardContext { cold, limit, encodings });
            let (events, made) = (self.key_events.flags(), self.shards.len() / shards.len());
            for shard in &shards {
                let mut core = shard.lock();
                core.events.set(events, made);
                if self.is_logged {
                    core.enable_undo();
                }
                self.add_memory(shard.update_stats(&core, None));
            }
            self.databases.assign(number, self.shards.add(shards));
        }
        self.databases.find(number).expect("it was just made")
    }

    /// Returns the database of a shard. The caller holds the shard's lock, or that of another one of its keyspace.
    pub(crate) fn database_of(&self, shard: usize) -> u16 {
        self.databases.of_keyspace(shard / self.shards.per_keyspace())
    }

    /// Writes to an empty entry that its changes are about this shard's database. The caller holds the shard's lock.
    pub(crate) fn begin_entry(&self, shard: usize, entry: &mut Vec<u8>) {
        let database = self.database_of(shard);
        if database != 0 {
            change::database(database, entry);
        }
    }

    /// Swaps two databases, all of whose shards are locked. Returns the number of the log entry.
    pub fn swap(&self, cores: &mut LockedShards<'_>, time: u64, (one, other): (u16, u16)) -> Lsn {
        let half = self.shards.per_keyspace();
        let (lower, upper) = cores.split_at_mut(half);
        for ((_, lower), (_, upper)) in lower.iter_mut().zip(upper) {
            // Before the swap, while each shard still has the keys that its watchers have seen.
            lower.swap_watched_keys(upper, time);
            lower.swap_waiters(upper);
        }
        let mut entry = Vec::new();
        change::swap(one, other, &mut entry);
        let lsn =
            self.log_and_publish_with(cores, time, &entry, || self.databases.swap(one, other));
        // After the entry has its number. A rollback cannot come between: it needs the locks that the caller holds.
        self.databases.note((lsn, one, other), self.log.committed());
        lsn
    }

    /// Returns how many bits of a walk's cursor are a place within a shard. Those above are the shard.
    pub(crate) fn cursor_bits(&self) -> u32 {
        CURSOR_BITS - self.shards.per_keyspace().ilog2()
    }

    /// Returns the number of keys of a database, including expired ones that have not been removed yet.
    pub(crate) fn len_of(&self, number: u16) -> usize {
        if self.has_slot_marks() {
            return self.owned().keys;
        }
        loop {
            let version = self.databases.version();
            let keys = self.stats_of(number).map_or(0, |stats| stats.keys as usize);
            if version.is_multiple_of(2) && self.databases.version() == version {
                return keys;
            }
            std::hint::spin_loop();
        }
    }

    fn stats_of(&self, number: u16) -> Option<DatabaseStats> {
        let shards = self.shards.keyspace(self.databases.get(number)?).iter().map(Shard::stats);
        let (keys, expires) = shards.fold((0, 0), |(keys, expires), stats| {
            (keys + stats.keys() as u64, expires + stats.keys_with_ttl() as u64)
        });
        Some(DatabaseStats { number, keys, expires })
    }

    /// Returns the statistics of the databases that have keys. They are exact while no other thread uses the database.
    pub fn database_stats(&self) -> Vec<DatabaseStats> {
        if self.has_slot_marks() {
            let owned = self.owned_at_once();
            let (keys, expires) = (owned.keys as u64, owned.with_ttl as u64);
            return Vec::from_iter((keys != 0).then_some(DatabaseStats {
                number: 0,
                keys,
                expires,
            }));
        }
        let all = (0..self.databases.count()).filter_map(|number| self.stats_of(number));
        all.filter(|stats| stats.keys != 0).collect()
    }

    /// Locks the shard to which a queue of a database belongs, in the keyspace that the database has by now. `begun` is
    /// the keyspace with which the batch began. Returns the shard's number, too.
    #[inline]
    pub(crate) fn lock_current(
        &self,
        (database, begun): (u16, Option<Keyspace>),
        number: usize,
    ) -> (usize, MutexGuard<'_, Core>) {
        let core = self.shards[number].lock();
        // [DB-2] Under the lock, which the thread that swaps the database needs as well.
        if begun.is_some_and(|keyspace| keyspace.version == self.databases.version()) {
            return (number, core);
        }
        drop(core);
        self.lock_swapped(database, number)
    }

    #[cold]
    fn lock_swapped(&self, database: u16, number: usize) -> (usize, MutexGuard<'_, Core>) {
        loop {
            let keyspace = self.keyspace(database);
            let number = keyspace.first + number % self.shards.per_keyspace();
            let core = self.shards[number].lock();
            if keyspace.version == self.databases.version() {
                return (number, core);
            }
        }
    }
}
