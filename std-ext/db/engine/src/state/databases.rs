//! The databases of a node, which clients select by number.
//!
//! A *keyspace* is a set of shards: one for each range of slots. Each number leads to a keyspace, and to another one
//! after the number was swapped (`SWAPDB`). So a swap moves no key. A keyspace is made when its number is first used,
//! and then stays. All shards of all keyspaces have consecutive numbers: those of keyspace 1 begin behind those of
//! keyspace 0, which database 0 has until it is swapped.
//!
//! The log and the snapshots name databases by their numbers, and a start begins with database 0 in keyspace 0 again.
//!
//! # Synchronization
//! Numbers are swapped, and a keyspace is made, under the locks of all shards concerned: those of both keyspaces, or
//! those of all. So a thread that holds the lock of a shard of a database's keyspace knows that the number leads there.
//! A thread looks up the keyspace first, and compares the version under the lock. A read without a lock compares it
//! after its lookup:
//!
//! - **[DB-1]** A swap makes the version odd before it stores the numbers with release → a thread that gets a keyspace
//!   (acquire) that is stored by a swap, and then loads the version, sees that the swap has begun.
//! - **[DB-2]** A swap makes the version even, with release, after it has stored both numbers → a thread that sees this
//!   version (acquire) sees both. So no reader sees one of the numbers as it is after the swap, and later the other one
//!   as it was before. The thread also sees the swap's entry as the last one of each shard: its answers wait for it.
//! - A read that finds the version unchanged after its lookup has looked up a state of before the swap: a thread that
//!   changes a shard after the swap has taken the lock that the swap held, so a reader of that change sees the new
//!   version.
//!
//! No model checks these orderings, for the reason given in [`super`].

use super::shard::{Shard, ShardContext};
use crate::log::Lsn;
use crate::request::RequestError;
use crate::state::sharding::Sharding;
use std::ops::Index;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Stands for the keyspace of a number that was not used yet.
const NONE: u32 = u32::MAX;

/// The shards of all keyspaces.
#[doc(hidden)]
pub struct Shards {
    first: Box<[Shard]>,
    others: Box<[OnceLock<Box<[Shard]>>]>,
    /// The number of keyspaces.
    made: AtomicUsize,
}

impl Shards {
    /// Returns the shards of keyspaces, with room for keyspaces up to this number.
    ///
    /// # Panics
    /// Without a keyspace.
    pub(super) fn new(keyspaces: Vec<Box<[Shard]>>, most: usize) -> Self {
        let made = AtomicUsize::new(keyspaces.len());
        let mut keyspaces = keyspaces.into_iter();
        let first = keyspaces.next().expect("there is a keyspace");
        let mut others: Vec<_> = keyspaces.map(OnceLock::from).collect();
        others.resize_with(most.max(1) - 1, OnceLock::new);
        Self { first, others: others.into(), made }
    }

    /// Returns the shards by keyspace.
    pub(super) fn into_keyspaces(self) -> Vec<Option<Box<[Shard]>>> {
        let others = self.others.into_iter().map_while(OnceLock::into_inner);
        std::iter::once(self.first).chain(others).map(Some).collect()
    }

    /// Returns the number of shards of a keyspace.
    #[inline]
    pub(crate) fn per_keyspace(&self) -> usize {
        self.first.len()
    }

    /// Returns the number of all shards. Exact if the caller holds the lock of the first one.
    #[doc(hidden)]
    pub fn len(&self) -> usize {
        // Acquire: pairs with the release in `add`, so the caller finds the shards.
        self.made.load(Ordering::Acquire) * self.first.len()
    }

    /// Returns the shards of a keyspace.
    #[doc(hidden)]
    pub fn keyspace(&self, number: usize) -> &[Shard] {
        match number {
            0 => &self.first,
            _ => self.others[number - 1].get().expect("the keyspace was made"),
        }
    }

    /// Returns all shards, in the order of their numbers.
    #[doc(hidden)]
    pub fn iter(&self) -> impl Iterator<Item = &Shard> {
        (0..self.len() / self.first.len()).flat_map(|number| self.keyspace(number))
    }

    /// Adds a keyspace, and returns its number. One thread at a time may call this.
    pub(super) fn add(&self, shards: Box<[Shard]>) -> usize {
        // Relaxed: only the caller stores it.
        let number = self.made.load(Ordering::Relaxed);
        assert!(self.others[number - 1].set(shards).is_ok(), "a keyspace is made twice");
        // Release: pairs with the acquire in `len`, so a thread that sees the number finds the shards.
        self.made.store(number + 1, Ordering::Release);
        number
    }

    /// Returns a shard that is not in the first keyspace.
    #[cold]
    fn other(&self, number: usize) -> &Shard {
        // The number of shards is a power of two.
        &self.keyspace(number >> self.first.len().ilog2())[number & (self.first.len() - 1)]
    }
}

impl Index<usize> for Shards {
    type Output = Shard;

    #[inline]
    fn index(&self, number: usize) -> &Shard {
        match self.first.get(number) {
            Some(shard) => shard,
            None => self.other(number),
        }
    }
}

/// A keyspace that a database has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Keyspace {
    /// The number of its first shard.
    #[doc(hidden)]
    pub first: usize,
    /// The version of the numbers at which the database had it.
    #[doc(hidden)]
    pub version: u64,
}

/// A swap of two databases by a log entry.
pub(super) type Swap = (Lsn, u16, u16);

/// The keyspaces of the databases.
#[doc(hidden)]
pub struct Databases {
    /// Odd while numbers are being swapped.
    version: AtomicU64,
    /// The keyspace of each database.
    keyspaces: Box<[AtomicU32]>,
    /// The swaps whose entries may not be committed, in order. A rollback undoes them.
    swaps: Mutex<Vec<Swap>>,
}

impl Databases {
    /// Returns this many databases. The first ones have keyspaces, and `by_keyspace` their numbers.
    pub(super) fn new(count: usize, by_keyspace: &[u16]) -> Self {
        let keyspaces: Box<[AtomicU32]> = (0..count).map(|_| AtomicU32::new(NONE)).collect();
        for (keyspace, number) in by_keyspace.iter().enumerate() {
            // Relaxed: no other thread has them yet.
            keyspaces[usize::from(*number)].store(keyspace as u32, Ordering::Relaxed);
        }
        Self { version: AtomicU64::new(0), keyspaces, swaps: Mutex::default() }
    }

    /// Returns the number of databases.
    #[doc(hidden)]
    pub fn count(&self) -> u16 {
        self.keyspaces.len() as u16
    }

    /// Returns an error if there is no database of this number.
    #[doc(hidden)]
    pub fn check(&self, number: u16) -> Result<(), RequestError> {
        if number < self.count() { Ok(()) } else { Err(RequestError::NoSuchDatabase) }
    }

    /// Returns the version of the numbers.
    #[inline]
    #[doc(hidden)]
    pub fn version(&self) -> u64 {
        // [DB-1] [DB-2] Acquire: pairs with the releases in `swap`. For a thread that has acquired a state, or a
        // shard's lock, the version is no older than the swap which that state was made after.
        self.version.load(Ordering::Acquire)
    }

    /// Returns the keyspace of a database; `None` if it has none yet. The number is constant while the caller holds the
    /// lock of one of its shards.
    #[doc(hidden)]
    pub fn get(&self, number: u16) -> Option<usize> {
        // [DB-1] Acquire: pairs with the release in `swap`, so the caller sees that the swap has begun. Also pairs with
        // `assign`, so the caller finds the keyspace.
        let keyspace = self.keyspaces[usize::from(number)].load(Ordering::Acquire);
        (keyspace != NONE).then_some(keyspace as usize)
    }

    /// Returns the keyspace of a database, and the version at which it has that.
    pub(super) fn find(&self, number: u16) -> Option<(usize, u64)> {
        loop {
            let version = self.version();
            let keyspace = self.get(number);
            if version.is_multiple_of(2) && self.version() == version {
                return keyspace.map(|keyspace| (keyspace, version));
            }
            std::hint::spin_loop();
        }
    }

    /// Returns the database that has a keyspace. The caller holds the lock of one of its shards.
    pub(crate) fn of_keyspace(&self, keyspace: usize) -> u16 {
        // A linear search instead of a reverse table that a swap would have to update: nearly all changes are of
        // database 0, where it ends at once.
        let number = (0..self.count()).find(|number| self.get(*number) == Some(keyspace));
        number.expect("each keyspace belongs to a database")
    }

    /// Gives a database its first keyspace.
    pub(super) fn assign(&self, number: u16, keyspace: usize) {
        // Release: pairs with the acquire in `get`, so a thread that sees the keyspace finds its shards.
        self.keyspaces[usize::from(number)].store(keyspace as u32, Ordering::Release);
    }

    /// Swaps two databases, which have keyspaces. The caller holds the locks of all shards of both.
    pub(super) fn swap(&self, one: u16, other: u16) {
        let [one, other] = [one, other].map(|number| &self.keyspaces[usize::from(number)]);
        // Two swaps of four databases hold different locks.
        let swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: stored under the locks that the caller holds.
        let (of_one, of_other) = (one.load(Ordering::Relaxed), other.load(Ordering::Relaxed));
        // [DB-1] Relaxed: the stores of the numbers below release it.
        self.version.fetch_add(1, Ordering::Relaxed);
        // [DB-1] Release: pairs with the acquire in `get`, so a thread that sees the number sees the odd version.
        one.store(of_other, Ordering::Release);
        // [DB-1] Release: as above.
        other.store(of_one, Ordering::Release);
        // [DB-2] Release: pairs with the acquire in `version`, so a thread that sees it even sees both numbers.
        self.version.fetch_add(1, Ordering::Release);
        drop(swaps);
    }

    /// Notes that an entry has swapped two databases, until it is committed.
    pub(super) fn note(&self, swap: Swap, committed: Lsn) {
        let mut swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner);
        swaps.retain(|(entry, ..)| *entry > committed);
        swaps.push(swap);
    }

    /// Undoes the swaps of entries behind `committed`. The caller holds the locks of all shards.
    pub(super) fn roll_back(&self, committed: Lsn) {
        let swaps = {
            let mut swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *swaps)
        };
        // The last swap first: a database may have been swapped twice.
        for (_, one, other) in swaps.into_iter().filter(|(entry, ..)| *entry > committed).rev() {
            self.swap(one, other);
        }
    }
}

/// The keys of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// The database.
    pub number: u16,
    /// Keys, including expired ones that have not been removed yet.
    pub keys: u64,
    /// Keys with an expiration.
    pub expires: u64,
}

/// Makes the shards of a keyspace.
pub(super) fn new_shards(sharding: Sharding, context: &ShardContext) -> Box<[Shard]> {
    (0..sharding.count()).map(|_| Shard::new(context.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_seen_as_a_whole() {
        let databases = Databases::new(3, &[0, 1]);
        let before = databases.version();
        assert_eq!(
            (databases.get(0), databases.get(1), databases.get(2)),
            (Some(0), Some(1), None)
        );
        databases.swap(0, 1);
        assert_eq!((databases.get(0), databases.get(1)), (Some(1), Some(0)));
        assert_eq!(databases.of_keyspace(0), 1);
        assert_ne!(databases.version(), before, "a reader does not notice the swap");
        assert_eq!(databases.find(0), Some((1, databases.version())));
    }

    #[test]
    fn a_rollback_undoes_the_swaps_behind_the_last_committed_entry() {
        let databases = Databases::new(3, &[0, 1, 2]);
        for (entry, one, other) in [(7, 0, 1), (8, 1, 2), (9, 0, 2)] {
            databases.swap(one, other);
            databases.note((entry, one, other), 0);
        }
        databases.roll_back(7);
        let keyspaces = [0, 1, 2].map(|number| databases.get(number));
        assert_eq!(keyspaces, [Some(1), Some(0), Some(2)]);
        databases.roll_back(0);
        assert_eq!(databases.get(0), Some(1), "a committed swap is undone");
    }
}
