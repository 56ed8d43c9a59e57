//! Locked keys: requests that are decided one after the other, each by the answers before it, at one point in time.
//!
//! A script locks the shards of its keys, executes its requests on them, and ends. All its changes are one log entry
//! and are published together, as those of a transaction. Until then they can be undone: no reader has seen them.
//! MIGRATE uses the same locks.
//!
//! A script may reach a key that it has not named. Shards are locked in the order of their numbers, so the script must
//! not wait for that of the key: if it is free, it joins the others, and if not, all that was done is undone, and the
//! script begins anew with the locks of all shards. No lock is released before the end, so the script is serializable
//! nevertheless.

use super::Session;
use super::multi_key::{self, ApplyMany, advance, lock_shards};
use super::read::answer_query;
use super::transaction::has_conflict;
use crate::log::Lsn;
use crate::request::{Answer, Query, Request, RequestError};
use crate::slots::slot;
use crate::state::counters::Counters;
use crate::state::key_tracker::Invalidates;
use crate::state::shard::Core;
use crate::state::waiters::WaitEnd;
use crate::state::watched_keys::KeyWatch;
use crate::state::{LockedShards, State};
use std::sync::Arc;

/// Bytes that a change takes in memory besides keys and values.
const CHANGE_BYTES: usize = 128;

/// Which shards are locked from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[doc(hidden)]
pub enum Breadth {
    /// Those of the keys.
    Keys,
    /// All of the selected database.
    Database,
    /// All of all databases.
    Everything,
}

/// Why a key cannot be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum NotIncluded {
    /// Another thread has its shard: begin anew, with the locks of all.
    Busy,
    /// This node's group of a cluster does not have its slot.
    NotOwned,
}

/// Keys whose shards are locked, and the changes that were made so far.
#[doc(hidden)]
pub struct LockedKeys<'s> {
    state: &'s State,
    cores: LockedShards<'s>,
    /// The selected database: all keys are in it.
    database: u16,
    /// The version of the databases before the first shard was locked.
    version: u64,
    /// The database that the changes at the end of the entry are about.
    logged: u16,
    time: u64,
    entry: Vec<u8>,
    /// Bytes that the log entry has room for.
    left: usize,
    /// Bytes of memory that further changes may take. The replaced values stay in memory until the end.
    room: usize,
    /// Whether memory is full, or why changes are refused.
    admitted: Result<bool, RequestError>,
    hits: u64,
    misses: u64,
    /// Whether the changes were published, or undone.
    is_finished: bool,
}

impl Session {
    /// Returns the state, from which [`LockedKeys`] borrow.
    #[doc(hidden)]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Ends what [`LockedKeys`] began: logs the changes as one entry, and publishes them. Then calls `published`, still
    /// under the locks. Returns the log entry that must be committed before the answers are shown.
    #[doc(hidden)]
    pub fn finish_locked(&mut self, mut keys: LockedKeys<'_>, published: impl FnOnce()) -> Lsn {
        Counters::add(&self.counters.hits, keys.hits);
        Counters::add(&self.counters.misses, keys.misses);
        let made = if keys.admitted.is_ok() {
            keys.state.log_and_publish_all(&mut keys.cores, keys.time, &keys.entry)
        } else {
            // Reads that have found nothing.
            keys.state.publish_events(&mut keys.cores);
            0
        };
        keys.is_finished = true;
        published();
        let cores = &mut keys.cores;
        // Not before the end: waiters do not see what a script adds and removes again.
        keys.state.serve_locked(cores, keys.time, &mut self.moves);
        self.entry = std::mem::take(&mut keys.entry);
        self.free_long_entry();
        let shards = &keys.state.shards;
        let seen = keys.cores.iter().map(|(number, _)| shards[*number].stats().published_lsn());
        let lsn = seen.max().unwrap_or(0).max(made);
        drop(keys);
        self.serve_moves();
        lsn
    }

    /// Ends what [`LockedKeys`] began, without any of the changes. Readers, the log and watchers see nothing of them.
    #[cold]
    #[doc(hidden)]
    pub fn undo_locked(&mut self, mut keys: LockedKeys<'_>) -> Lsn {
        keys.undo();
        keys.admitted = Err(RequestError::LogUnavailable);
        // Without `admitted` it logs nothing, and publishes only the reads that have found nothing.
        self.finish_locked(keys, || {})
    }
}

impl<'s> LockedKeys<'s> {
    /// Locks the shards of `keys` and of watched keys, or more. Returns `None` if a watched key has changed.
    ///
    /// # Errors
    /// This node's group of a cluster does not have the slot of a key, whose number is returned.
    #[doc(hidden)]
    pub fn lock(
        (session, state): (&mut Session, &'s State),
        keys: &[&[u8]],
        watch: Option<&KeyWatch>,
        (changes, breadth): (bool, Breadth),
    ) -> Result<Option<Self>, usize> {
        let mut admitted =
            // A caller that makes no changes is refused them as one whose log has failed, so there are not three cases.
            if changes { state.admit_change(|| 0) } else { Err(RequestError::LogUnavailable) };
        let database = session.database;
        let shard =
            |(database, key): (u16, &[u8])| state.keyspace(database).first + state.shard_of(key);
        let version = state.databases.version();
        let mut cores = lock_shards(state, || {
            let watched = watch.iter().flat_map(|watch| watch.keys());
            let watched = watched.map(|(database, key, _)| (database, key));
            match breadth {
                Breadth::Keys => {
                    keys.iter().map(|key| (database, *key)).chain(watched).map(shard).collect()
                }
                Breadth::Database => {
                    multi_key::all_shards_of(state, database).chain(watched.map(shard)).collect()
                }
                Breadth::Everything => (0..state.shards.len()).collect(),
            }
        });
        // Checked under the locks: no slot is lost, and no rollback begins, until the changes are logged.
        if let Some(at) = keys.iter().position(|key| !state.ownership.has(|| slot(key))) {
            return Err(at);
        }
        // A script may only read after all, so the refusal is kept for its first change.
        if let (true, Err(error)) = (changes, state.check_writable()) {
            admitted = Err(error);
        }
        let time = advance(&mut cores, state.clock.now());
        if watch.is_some_and(|watch| has_conflict(state, &cores, watch, time)) {
            return Ok(None);
        }
        for (number, core) in &mut cores {
            begin(state, *number, core, admitted.is_ok());
        }
        let mut entry = std::mem::take(&mut session.entry);
        entry.clear();
        let (left, room) = (state.most_produced(), state.most_held());
        Ok(Some(Self {
            state,
            cores,
            database,
            version,
            logged: 0,
            time,
            entry,
            left,
            room,
            admitted,
            hits: 0,
            misses: 0,
            is_finished: false,
        }))
    }

    /// Locks the shard of a key, unless that has been done. Does not wait for it.
    ///
    /// # Errors
    /// The key cannot be accessed.
    #[doc(hidden)]
    pub fn include(&mut self, key: &[u8]) -> Result<(), NotIncluded> {
        let keyspace = self.state.databases.get(self.database).ok_or(NotIncluded::Busy)?;
        let shard = self.state.first_shard(keyspace) + self.state.shard_of(key);
        if !self.try_lock(shard) {
            return Err(NotIncluded::Busy);
        }
        // Under the lock, as for the keys that were named.
        if self.state.ownership.has(|| slot(key)) { Ok(()) } else { Err(NotIncluded::NotOwned) }
    }

    /// Locks more shards. Does not wait for them. Returns whether it has them.
    #[doc(hidden)]
    pub fn include_all(&mut self, breadth: Breadth) -> bool {
        let Some(keyspace) = self.state.databases.get(self.database) else { return false };
        let first = self.state.first_shard(keyspace);
        let mut shards = match breadth {
            Breadth::Everything => 0..self.state.shards.len(),
            _ => first..first + self.state.shards.per_keyspace(),
        };
        let has_all = shards.all(|shard| self.try_lock(shard));
        // No keyspace is made while a shard is locked. One may have been made before.
        has_all && (breadth < Breadth::Everything || self.cores.len() == self.state.shards.len())
    }

    fn try_lock(&mut self, shard: usize) -> bool {
        let Err(place) = self.cores.binary_search_by_key(&shard, |(number, _)| *number) else {
            return true;
        };
        let Some(mut core) = self.state.shards[shard].try_lock() else { return false };
        // [DB-2] Under the lock: if no other shard was locked yet, the database may have been swapped.
        let version = self.state.databases.version();
        if version != self.version || !version.is_multiple_of(2) {
            return false;
        }
        if self.cores.is_empty() {
            // What is read under the first lock: a rollback, or a clock that was set back, may have come between.
            let may_change = self.admitted.is_ok();
            if may_change && self.state.check_writable().is_err() {
                return false;
            }
            self.time = core.advance_time(self.state.clock.now());
        } else if core.advance_time(self.time) > self.time {
            // All keys have one time, and that of a shard does not go back.
            return false;
        }
        begin(self.state, shard, &mut core, self.admitted.is_ok());
        self.cores.insert(place, (shard, core));
        true
    }

    /// Returns the time of all requests, in milliseconds since 1970.
    #[doc(hidden)]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Returns why changes are refused.
    #[doc(hidden)]
    pub fn refusal(&self) -> Option<RequestError> {
        self.admitted.err()
    }

    /// Returns whether changes were made.
    #[doc(hidden)]
    pub fn has_changes(&self) -> bool {
        !self.entry.is_empty()
    }

    /// Returns whether the memory is full.
    #[doc(hidden)]
    pub fn is_full(&self) -> bool {
        self.admitted == Ok(true)
    }

    /// Answers every request once and in order, by `answer(its number, ...)`. The shards of all its keys are locked.
    ///
    /// `answer` must not use the database.
    #[doc(hidden)]
    pub fn execute(
        &mut self,
        requests: &[Request<'_>],
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) {
        for (number, request) in requests.iter().enumerate() {
            match request {
                Request::Database(query) => {
                    self.apply(|apply| apply.ask_database(*query, |found| answer(number, found)));
                }
                Request::Select(database) => answer(number, self.select(*database)),
                Request::Read(key, query) | Request::MultiRead(key, query, _) => {
                    self.read(request, (key, *query), |found| answer(number, found));
                }
                Request::Combine(combination, query) => {
                    let (hits, misses) = self.apply(|apply| {
                        apply.ask_combination(*combination, *query, |found| answer(number, found))
                    });
                    (self.hits, self.misses) = (self.hits + hits, self.misses + misses);
                }
                Request::Change(..) | Request::MultiKey(_) => match self.admit(request) {
                    Ok(()) => self.change(request, &mut |made| answer(number, made)),
                    Err(error) => answer(number, Answer::Error(error)),
                },
            }
        }
    }

    fn read(
        &mut self,
        request: &Request<'_>,
        (key, query): (&[u8], Query),
        answer: impl FnOnce(Answer<'_>),
    ) {
        let time = self.time;
        let alive = self.apply(|apply| apply.read(key, request));
        *if alive.is_some() { &mut self.hits } else { &mut self.misses } += 1;
        answer_query(alive, query, self.state.usage_at(time), self.state.cold.as_deref(), answer);
    }

    /// Selects the database that is selected: no shard of another one is locked. That is no change.
    fn select(&self, database: u16) -> Answer<'static> {
        if database == self.database {
            Answer::Done
        } else {
            Answer::Error(RequestError::OtherDatabase)
        }
    }

    fn change(&mut self, request: &Request<'_>, answer: &mut dyn FnMut(Answer<'_>)) {
        match request {
            Request::Change(key, change) => {
                self.apply(|apply| apply.log(|apply| apply.change(key, change, answer)));
            }
            Request::MultiKey(op) => {
                // The shards of other databases are not locked.
                if op.databases().any(|database| database != self.database) {
                    return answer(Answer::Error(RequestError::OtherDatabase));
                }
                let checked = multi_key::check(self.state, *op);
                match checked {
                    Ok(()) => self.apply(|apply| apply.run(*op, answer)),
                    Err(error) => answer(Answer::Error(error)),
                }
            }
            Request::Read(..)
            | Request::MultiRead(..)
            | Request::Combine(..)
            | Request::Select(_)
            | Request::Database(_) => {}
        }
    }

    /// Checks whether a change may be made, and takes its bytes from those that are left.
    fn admit(&mut self, request: &Request<'_>) -> Result<(), RequestError> {
        if self.admitted? && request.grows() {
            return Err(RequestError::OutOfMemory);
        }
        let taken = request.added_bytes().saturating_add(CHANGE_BYTES);
        let (Some(left), Some(room)) =
            (self.left.checked_sub(request.entry_bytes()), self.room.checked_sub(taken))
        else {
            return Err(self.state.too_long());
        };
        (self.left, self.room) = (left, room);
        self.apply(|apply| apply.admit_copy(request))
    }

    /// Admits changes although memory is full.
    #[doc(hidden)]
    pub fn ignore_full(&mut self) {
        if self.is_full() {
            // Only the limit of all memory is ignored: `left` and `room` still bound what is changed.
            self.admitted = Ok(false);
        }
    }

    fn undo(&mut self) {
        if self.cores.iter().any(|(_, core)| core.has_unpublished()) {
            self.state.undo_unpublished(&mut self.cores);
        }
        self.cores.iter_mut().for_each(|(_, core)| {
            core.events.discard();
            core.waiters.discard(WaitEnd::Refused(RequestError::LogUnavailable));
        });
        // Clients that track keys are told only of what was published.
        self.cores.iter_mut().for_each(|(_, core)| core.invalidates = Invalidates::Entry);
        self.entry.clear();
    }

    fn apply<R>(&mut self, with: impl FnOnce(&mut ApplyMany<'_, 's>) -> R) -> R {
        let Self { state, cores, database, time, entry, left, room, .. } = self;
        let mut apply = ApplyMany::new(state, cores, (*database, *time), entry, (*left, *room));
        apply.logged = self.logged;
        let result = with(&mut apply);
        // A rename may have logged a value, or stored one a second time.
        (self.left, self.room, self.logged) = (apply.left, apply.room, apply.logged);
        result
    }
}

/// Begins with a shard that was just locked.
fn begin(state: &State, number: usize, core: &mut Core, records_undo: bool) {
    // A thread that has panicked may have left changes. They are not undone together with later ones.
    if core.has_unpublished() {
        core.publish(state.shards[number].stats().published_lsn(), state.log.committed());
    }
    core.record_undo(records_undo);
}

impl Drop for LockedKeys<'_> {
    fn drop(&mut self) {
        // A panic came between: half of the changes must not become visible.
        if !self.is_finished {
            self.undo();
        }
        for (_, core) in &mut self.cores {
            core.record_undo(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimeSource;
    use crate::request::{Change, Expiry, SetCondition};
    use crate::{Db, Options};
    use std::sync::atomic::{AtomicU64, Ordering};

    fn set() -> Change<'static> {
        let (condition, expiry) = (SetCondition::Always, Expiry::Never);
        Change::Set { value: b"v", condition, expiry, get: false }
    }

    #[test]
    fn what_follows_changes_sees_them_under_their_locks() {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let mut session = db.session();
        let state = session.state();
        let keys = LockedKeys::lock((&mut session, &state), &[b"k"], None, (true, Breadth::Keys));
        let mut keys = keys.unwrap().unwrap();
        keys.execute(&[Request::Change(b"k", set())], &mut |_, _| {});
        assert_eq!(db.get("k").unwrap(), None, "a reader sees a change too early");
        let mut called = false;
        session.finish_locked(keys, || {
            let seen = db.get("k").unwrap();
            assert_eq!(seen.as_deref(), Some(&b"v"[..]), "it comes before the changes");
            let shard = &state.shards[state.shard_of(b"k")];
            assert!(shard.try_lock().is_none(), "it comes without the locks");
            called = true;
        });
        assert!(called);
    }

    fn lock<'s>(of: (&mut Session, &'s State), keys: &[&[u8]], breadth: Breadth) -> LockedKeys<'s> {
        LockedKeys::lock(of, keys, None, (true, breadth)).unwrap().unwrap()
    }

    #[test]
    fn a_shard_joins_only_if_it_could_have_been_locked_from_the_beginning() {
        // A clock that stands, and no background thread that locks a shard for a moment.
        let clock = Arc::new(AtomicU64::new(1));
        let time = TimeSource::Manual(Arc::clone(&clock));
        let options = Options { shards: 4, time, ..Options::in_memory() };
        let state = Arc::new(State::without_log(&options, |_| {}));
        let (mut session, mut other) =
            (Session::new(Arc::clone(&state)), Session::new(Arc::clone(&state)));
        let elsewhere = (0..).map(|number| format!("k{number}"));
        let elsewhere = elsewhere.into_iter().find(|key| {
            let shard = state.shard_of(key.as_bytes());
            shard != state.shard_of(b"k")
        });
        let elsewhere = elsewhere.unwrap();
        let busy = Err(NotIncluded::Busy);
        let mut keys = lock((&mut session, &state), &[b"k"], Breadth::Keys);
        let held = lock((&mut other, &state), &[elsewhere.as_bytes()], Breadth::Keys);
        assert_eq!(keys.include(elsewhere.as_bytes()), busy, "another thread has its shard");
        assert!(!keys.include_all(Breadth::Database), "another thread has one of the shards");
        drop(held);
        assert_eq!(keys.include(elsewhere.as_bytes()), Ok(()));
        assert!(keys.include_all(Breadth::Everything));
        drop(keys);
        // Its keys would have two times.
        let mut keys = lock((&mut session, &state), &[b"k"], Breadth::Keys);
        clock.store(2, Ordering::Relaxed);
        other.execute(&[Request::Change(elsewhere.as_bytes(), set())], &mut |_, _| {});
        assert_eq!(keys.include(elsewhere.as_bytes()), busy, "its shard has a later time");
        drop(keys);
        // Nothing was locked, so nothing has kept the database from being swapped.
        let mut keys = lock((&mut session, &state), &[], Breadth::Keys);
        assert_eq!(keys.include(b"k"), Ok(()));
        drop(keys);
        let mut keys = lock((&mut session, &state), &[], Breadth::Keys);
        let swap = Request::MultiKey(crate::request::MultiKeyOp::SwapDatabases(0, 1));
        other.execute(&[swap], &mut |_, answer| assert_eq!(answer, Answer::Done));
        assert_eq!(keys.include(b"k"), busy, "the database was swapped");
        assert!(!keys.include_all(Breadth::Database), "the database was swapped");
        drop(keys);
        let mut keys = lock((&mut session, &state), &[], Breadth::Database);
        assert_eq!(keys.include(b"k"), Ok(()));
    }
}
