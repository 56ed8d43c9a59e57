//! The database that a session has selected, and the keyspace that its number leads to.
//!
//! A batch takes the keyspace when it begins. Each request checks that the number still leads there: a read after its
//! lookup, and a change under the lock of its shard. If not, it begins again. The queues of a batch stay those of the
//! keyspace with which it began.

use super::multi_read::MultiReadResult;
use super::{PrefetchedRequest, Session};
use crate::log::Lsn;
use crate::request::{Answer, Combination, CombinationQuery, Request, RequestError};
use crate::state::counters::Counters;
use crate::state::databases::Keyspace;

impl Session {
    /// Selects a database: the requests from now on are about its keys.
    ///
    /// # Errors
    /// [`RequestError::NoSuchDatabase`]; then the database that was selected stays so.
    pub fn select(&mut self, number: u16) -> Result<(), RequestError> {
        self.state.databases.check(number)?;
        self.set_database(number);
        Ok(())
    }

    /// Returns the number of the selected database.
    pub fn database(&self) -> u16 {
        self.database
    }

    /// As `select`, of a database that exists.
    #[inline]
    #[doc(hidden)]
    pub fn set_database(&mut self, number: u16) {
        if self.database != number {
            // The keyspace is looked up only when a request needs it: a pipeline may select several databases and use
            // one.
            (self.database, self.selected) = (number, None);
        }
    }

    pub(super) fn select_answer(&mut self, number: u16) -> Answer<'static> {
        self.select(number).map_or_else(Answer::Error, |()| Answer::Done)
    }

    /// Returns the number of databases.
    #[doc(hidden)]
    pub fn databases(&self) -> u16 {
        self.state.databases.count()
    }

    /// Returns a number that changes when databases are swapped.
    pub(crate) fn swaps(&self) -> u64 {
        self.state.databases.version()
    }

    /// Returns the keyspace of the selected database.
    #[inline]
    pub(super) fn keyspace(&mut self) -> Keyspace {
        match self.selected {
            Some(keyspace) if keyspace.version == self.state.databases.version() => keyspace,
            _ => self.find_keyspace(),
        }
    }

    #[inline(never)]
    fn find_keyspace(&mut self) -> Keyspace {
        let keyspace = self.state.keyspace(self.database);
        self.selected = Some(keyspace);
        self.add_readers();
        keyspace
    }

    /// Makes readers of the shards that were made since the last time.
    fn add_readers(&mut self) {
        let shards = self.state.shards.len();
        for number in self.readers.len()..shards {
            self.readers.push(self.state.shards[number].reader());
            self.queues.push(Vec::new());
        }
    }

    /// Begins a read again, in the keyspace that the selected database has by now.
    #[cold]
    pub(super) fn begin_again(&mut self, key: &[u8], slot: u16) -> (PrefetchedRequest, u64) {
        let keyspace = self.state.keyspace(self.database);
        self.add_readers();
        let shard = keyspace.first + self.state.sharding.shard(slot);
        let lookup = self.readers[shard].enter().begin_lookup(key);
        (PrefetchedRequest { shard: shard as u32, slot, lookup }, keyspace.version)
    }

    /// Answers a question about several keys in one snapshot, the request of a number. Returns the log entry that must
    /// be committed before the answer is shown.
    pub(super) fn combine(
        &mut self,
        mut keyspace: Keyspace,
        (number, combination, query): (usize, Combination<'_>, CombinationQuery),
        now: u64,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Lsn {
        loop {
            let (shards, of) = ((&*self.state, &*self.readers, keyspace), (combination, query));
            let answer = &mut |found: Answer<'_>| answer(number, found);
            if let Some(found) = self.multi_read.combine(shards, of, now, answer) {
                let missed = found.missed.iter().map(|at| combination.keys[*at]);
                self.publish_missed_keys(missed);
                return self.count_found(&found, combination.keys.len());
            }
            keyspace = self.state.keyspace(self.database);
            self.add_readers();
        }
    }

    /// Answers a group of reads in one snapshot. Returns the same.
    pub(super) fn read_group(
        &mut self,
        mut keyspace: Keyspace,
        (first, group): (usize, &[Request<'_>]),
        now: u64,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Lsn {
        loop {
            let shards = (&*self.state, &*self.readers, keyspace);
            if let Some(found) = self.multi_read.execute(shards, (first, group), now, answer) {
                found.missed.iter().for_each(|at| self.note_misses(&group[*at..=*at]));
                return self.count_found(&found, group.len());
            }
            keyspace = self.state.keyspace(self.database);
            self.add_readers();
        }
    }

    fn count_found(&self, found: &MultiReadResult, keys: usize) -> Lsn {
        Counters::add(&self.counters.hits, found.hits);
        Counters::add(&self.counters.misses, keys as u64 - found.hits);
        found.lsn
    }
}
