//! Locked keys: requests that are decided one after the other, each by the answers before it, at one point in time.
//!
//! A script locks the shards of its keys, executes its requests on them, and ends. All its changes are one log entry
//! and are published together, as those of a transaction. Until then they can be undone: no reader has seen them.
//! MIGRATE uses the same locks.

use super::Session;
use super::multi_key::{self, Apply, advance, lock_shards};
use super::read::answer_query;
use super::transaction::has_conflict;
use crate::log::Lsn;
use crate::request::{Answer, Query, Request, RequestError};
use crate::state::counters::Counters;
use crate::state::slots::slot;
use crate::state::watched_keys::KeyWatch;
use crate::state::{LockedShards, State};
use std::sync::Arc;

/// Bytes that a change takes in memory besides keys and values.
const CHANGE_BYTES: usize = 128;

/// Keys whose shards are locked, and the changes that were made so far.
pub(crate) struct LockedKeys<'s> {
    state: &'s State,
    cores: LockedShards<'s>,
    /// The selected database: all keys are in it.
    database: u16,
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
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Ends what [`LockedKeys`] began: logs the changes as one entry, and publishes them. Then calls `published`, still
    /// under the locks. Returns the log entry that must be safe before the answers are shown.
    pub(crate) fn finish_locked(
        &mut self,
        mut keys: LockedKeys<'_>,
        published: impl FnOnce(),
    ) -> Lsn {
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
        self.entry = std::mem::take(&mut keys.entry);
        self.free_long_entry();
        let shards = &keys.state.shards;
        let seen = keys.cores.iter().map(|(number, _)| shards[*number].stats().published_lsn());
        seen.max().unwrap_or(0).max(made)
    }

    /// Ends what [`LockedKeys`] began, without any of the changes. Readers, the log and watchers see nothing of them.
    #[cfg(feature = "scripts")]
    #[cold]
    pub(crate) fn undo_locked(&mut self, mut keys: LockedKeys<'_>) -> Lsn {
        keys.undo();
        keys.admitted = Err(RequestError::LogUnavailable);
        self.finish_locked(keys, || {})
    }
}

impl<'s> LockedKeys<'s> {
    /// Locks the shards of `keys` and of watched keys, or every shard. Returns `None` if a watched key has changed.
    ///
    /// # Errors
    /// This node's group of a cluster does not have the slot of a key, whose number is returned.
    pub(crate) fn lock(
        (session, state): (&mut Session, &'s State),
        keys: &[&[u8]],
        watch: Option<&KeyWatch>,
        (changes, every_shard): (bool, bool),
    ) -> Result<Option<Self>, usize> {
        let mut admitted =
            if changes { state.admit_change(|| 0) } else { Err(RequestError::LogUnavailable) };
        let database = session.database;
        let shard =
            |(database, key): (u16, &[u8])| state.keyspace(database).first + state.shard_of(key);
        let mut cores = lock_shards(state, || {
            if every_shard {
                return (0..state.shards.len()).collect();
            }
            let watched = watch.iter().flat_map(|watch| watch.keys());
            let watched = watched.map(|(database, key, _)| (database, key));
            keys.iter().map(|key| (database, *key)).chain(watched).map(shard).collect()
        });
        // Checked under the locks: no slot is lost, and no rollback begins, until the changes are logged.
        if let Some(at) = keys.iter().position(|key| !state.ownership.has(|| slot(key))) {
            return Err(at);
        }
        if let (true, Err(error)) = (changes, state.check_writable()) {
            admitted = Err(error);
        }
        let time = advance(&mut cores, state.clock.now());
        if watch.is_some_and(|watch| has_conflict(state, &cores, watch, time)) {
            return Ok(None);
        }
        for (number, core) in &mut cores {
            // A thread that has panicked may have left changes. They are not undone together with later ones.
            if core.has_unpublished() {
                core.publish(state.shards[*number].stats().published_lsn(), state.log.safe());
            }
            core.record_undo(admitted.is_ok());
        }
        let mut entry = std::mem::take(&mut session.entry);
        entry.clear();
        let (left, room) = (state.most_produced(), state.most_held());
        Ok(Some(Self {
            state,
            cores,
            database,
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

    /// Returns the time of all requests, in milliseconds since 1970.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// Returns why changes are refused.
    pub(crate) fn refusal(&self) -> Option<RequestError> {
        self.admitted.err()
    }

    /// Returns whether changes were made.
    #[cfg(feature = "scripts")]
    pub(crate) fn has_changes(&self) -> bool {
        !self.entry.is_empty()
    }

    /// Returns whether the memory is full.
    #[cfg(feature = "scripts")]
    pub(crate) fn is_full(&self) -> bool {
        self.admitted == Ok(true)
    }

    /// Answers every request once and in order, by `answer(its number, ...)`. The shards of all its keys are locked.
    ///
    /// `answer` must not use the database.
    pub(crate) fn execute(
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
                answer(checked.map_or_else(Answer::Error, |()| self.apply(|apply| apply.run(*op))));
            }
            Request::Read(..)
            | Request::MultiRead(..)
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
    #[cfg(feature = "scripts")]
    pub(crate) fn ignore_full(&mut self) {
        if self.is_full() {
            self.admitted = Ok(false);
        }
    }

    fn undo(&mut self) {
        if self.cores.iter().any(|(_, core)| core.has_unpublished()) {
            self.state.undo_unpublished(&mut self.cores);
        }
        self.cores.iter_mut().for_each(|(_, core)| core.events.discard());
        self.cores.iter_mut().for_each(|(_, core)| core.was_cleared = false);
        self.entry.clear();
    }

    fn apply<R>(&mut self, with: impl FnOnce(&mut Apply<'_, 's>) -> R) -> R {
        let Self { state, cores, database, time, entry, left, room, .. } = self;
        let mut apply = Apply::new(state, cores, (*database, *time), entry, (*left, *room));
        apply.logged = self.logged;
        let result = with(&mut apply);
        // A rename may have logged a value, or stored one a second time.
        (self.left, self.room, self.logged) = (apply.left, apply.room, apply.logged);
        result
    }
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
    use crate::request::{Change, Expiry, SetCondition};
    use crate::{Db, Options};

    #[test]
    fn what_follows_changes_sees_them_under_their_locks() {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let mut session = db.session();
        let state = session.state();
        let keys = LockedKeys::lock((&mut session, &state), &[b"k"], None, (true, false));
        let mut keys = keys.unwrap().unwrap();
        let (condition, expiry) = (SetCondition::Always, Expiry::Never);
        let set = Change::Set { value: b"v", condition, expiry, get: false };
        keys.execute(&[Request::Change(b"k", set)], &mut |_, _| {});
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
}
