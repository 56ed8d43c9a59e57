//! Transactions: requests that are executed together, at one point in time, over all shards that they touch.
//!
//! A transaction locks all its shards, checks every reason to refuse it, and executes its requests one after the other.
//! Their changes are one log entry and are published together. So a crash, a follower and every reader see all or none.

use super::Session;
use super::multi_key::{self, ApplyMany, advance, lock_shards};
use super::read::answer_query;
use crate::bounds::{MAX_MULTI_KEY_BYTES, WATCHED_BYTES};
use crate::log::Lsn;
use crate::request::{Answer, MultiKeyOp, Request, RequestError};
use crate::slots::slot;
use crate::state::counters::Counters;
use crate::state::watched_keys::KeyWatch;
use crate::state::{LockedShards, State};
use std::sync::Arc;

/// The outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionOutcome {
    /// Every request was answered. The log entry that must be committed before the answers are shown.
    Done(Lsn),
    /// A watched key has changed, so no request was executed.
    Conflict,
    /// No request was executed, for this reason. The number is that of a request that the reason is about.
    Refused(RequestError, usize),
}

impl Session {
    /// Answers every request once and in order, by `answer(its number, ...)`, as of one point in time. Or none of them:
    /// if a key of `watch` has changed, or if one of the requests cannot be executed here and now.
    ///
    /// If an answer is an error, the other requests are executed nevertheless. `answer` is called under the locks of
    /// all keys, and must not use the database.
    pub fn transaction(
        &mut self,
        requests: &[Request<'_>],
        watch: Option<&KeyWatch>,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> TransactionOutcome {
        let state = Arc::clone(&self.state);
        let is_change = |request: &Request<'_>| {
            request.query().is_none()
                && !matches!(
                    request,
                    Request::Combine(..) | Request::Select(_) | Request::Database(_)
                )
        };
        let first_change = requests.iter().position(is_change);
        // Before the locks: making room for the changes may evict keys, for which it locks shards itself.
        let left = match admit(&state, requests, first_change) {
            Ok(left) => left,
            Err((error, at)) => return TransactionOutcome::Refused(error, at),
        };
        let mut cores = lock_shards(&state, || shards_of(&state, self.database, requests, watch));
        if let Some((error, at)) = refusal(&state, requests, first_change) {
            return TransactionOutcome::Refused(error, at);
        }
        // One time for all requests: a key does not expire between two of them.
        let time = advance(&mut cores, state.clock.now());
        if watch.is_some_and(|watch| has_conflict(&state, &cores, watch, time)) {
            return TransactionOutcome::Conflict;
        }
        self.entry.clear();
        let (of, bounds) = ((self.database, time), (left, state.most_held()));
        let mut apply = ApplyMany::new(&state, &mut cores, of, &mut self.entry, bounds);
        let mut selected = self.database;
        let (mut hits, mut misses) = (0, 0);
        for (number, request) in requests.iter().enumerate() {
            match request {
                Request::Read(key, query) | Request::MultiRead(key, query, _) => {
                    let alive = apply.read(key, request);
                    *if alive.is_some() { &mut hits } else { &mut misses } += 1;
                    let cold = state.cold.as_deref();
                    answer_query(alive, *query, state.usage_at(time), cold, |found| {
                        answer(number, found);
                    });
                }
                Request::Combine(combination, query) => {
                    let answer = |found: Answer<'_>| answer(number, found);
                    let found = apply.ask_combination(*combination, *query, answer);
                    (hits, misses) = (hits + found.0, misses + found.1);
                }
                // Counted one by one, because a request may lengthen the value that the next one copies.
                Request::Change(key, change) => match apply.admit_copy(request) {
                    Ok(()) => apply
                        .log(|apply| apply.change(key, change, &mut |made| answer(number, made))),
                    Err(error) => answer(number, Answer::Error(error)),
                },
                Request::MultiKey(op) => {
                    // An error of one request does not stop the others, as in Redis.
                    let checked = multi_key::check(&state, *op);
                    match checked {
                        Ok(()) => apply.run(*op, &mut |made| answer(number, made)),
                        Err(error) => answer(number, Answer::Error(error)),
                    }
                }
                Request::Database(query) => {
                    apply.ask_database(*query, |found| answer(number, found));
                }
                Request::Select(database) => {
                    answer(
                        number,
                        match state.databases.check(*database) {
                            Ok(()) => {
                                selected = *database;
                                apply.select(selected);
                                Answer::Done
                            }
                            Err(error) => Answer::Error(error),
                        },
                    );
                }
            }
        }
        Counters::add(&self.counters.hits, hits);
        Counters::add(&self.counters.misses, misses);
        let made = if first_change.is_some() {
            state.log_and_publish_all(&mut cores, time, &self.entry)
        } else {
            // Reads that have found nothing.
            state.publish_events(&mut cores);
            0
        };
        self.free_long_entry();
        self.set_database(selected);
        // The answers depend on all that these shards had published, even if the transaction has changed nothing.
        let seen = cores.iter().map(|(number, _)| state.shards[*number].stats().published_lsn());
        let lsn = seen.max().unwrap_or(0).max(made);
        state.serve_locked(&mut cores, time, &mut self.moves);
        drop(cores);
        self.serve_moves();
        TransactionOutcome::Done(lsn)
    }

    /// Returns whether the database would refuse a change that adds a key, because no key may be evicted.
    #[doc(hidden)]
    pub fn is_memory_full(&self) -> bool {
        self.state.admit_change(|| 0) == Ok(true)
    }

    /// Adds keys to a watch: a transaction with it fails if one of them changes from now on, even if the change is
    /// undone. Returns whether there was room for all of them.
    #[must_use]
    pub fn watch_keys(&mut self, watch: &mut KeyWatch, keys: &[&[u8]]) -> bool {
        for key in keys {
            // As Redis: the first WATCH of a key counts, so a change since then is not forgotten.
            if watch.contains(self.database, key) {
                continue;
            }
            // Watched keys are not part of the data set, so `maxmemory` does not limit them.
            if watch.bytes_with(key) > WATCHED_BYTES {
                return false;
            }
            let number = self.keyspace().first + self.state.shard_of(key);
            let (_, mut core) = self.state.lock_current((self.database, self.selected), number);
            let time = core.advance_time(self.state.clock.now());
            let existed = core.find(key).is_some_and(|record| !record.is_expired(time));
            core.watched_keys.watch(watch, self.database, key, existed);
        }
        true
    }
}

/// Checks what needs no lock. Returns the bytes that the log entry has room for besides keys and values.
fn admit(
    state: &State,
    requests: &[Request<'_>],
    first_change: Option<usize>,
) -> Result<usize, (RequestError, usize)> {
    let Some(first) = first_change else { return Ok(0) };
    let admitted = state.admit_change(|| Request::all_added_bytes(requests));
    let full = admitted.map_err(|error| (error, first))?;
    // As Redis's EXEC, which counts as `denyoom` if one of its commands does.
    if full && let Some(at) = requests.iter().position(Request::grows) {
        return Err((RequestError::OutOfMemory, at));
    }
    let bytes = requests.iter().map(Request::entry_bytes).fold(0, usize::saturating_add);
    let most = state.largest_request.min(MAX_MULTI_KEY_BYTES);
    let left = most.checked_sub(bytes).ok_or_else(|| (state.too_long(), first))?;
    Ok(left.min(state.most_produced()))
}

/// Returns the shards that have the keys of these requests, which begin with a database, and of watches.
fn shards_of(
    state: &State,
    mut database: u16,
    requests: &[Request<'_>],
    watch: Option<&KeyWatch>,
) -> Vec<usize> {
    let shard = |database: u16, key: &[u8]| state.keyspace(database).first + state.shard_of(key);
    let mut shards = Vec::new();
    for request in requests {
        match request {
            Request::Select(number) if state.databases.check(*number).is_ok() => database = *number,
            // These are answered with an error, so they need no shard.
            Request::MultiKey(MultiKeyOp::SwapDatabases(..)) | Request::Select(_) => {}
            Request::Database(_) => shards.extend(multi_key::all_shards_of(state, database)),
            Request::MultiKey(op) if multi_key::check(state, *op).is_err() => {}
            Request::MultiKey(op) => shards.extend(multi_key::shards_of(state, database, *op)),
            Request::Combine(combination, _) => {
                shards.extend(combination.keys.iter().map(|key| shard(database, key)));
            }
            _ => shards.extend(request.key().map(|key| shard(database, key))),
        }
    }
    let watched = watch.iter().flat_map(|watch| watch.keys());
    shards.extend(watched.map(|(database, key, _)| shard(database, key)));
    shards
}

/// Returns why the transaction cannot be executed, and the request that this is about. The shards are locked: no slot
/// is lost, and no rollback begins, until the changes are logged.
fn refusal(
    state: &State,
    requests: &[Request<'_>],
    first_change: Option<usize>,
) -> Option<(RequestError, usize)> {
    let owned = |key: &[u8]| state.ownership.has(|| slot(key));
    let lost = requests.iter().position(|request| match request {
        Request::MultiKey(op) => !op.keys().all(owned),
        Request::Combine(combination, _) => !combination.keys.iter().all(|key| owned(key)),
        _ => !request.key().is_none_or(owned),
    });
    if let Some(at) = lost {
        return Some((RequestError::SlotNotOwned, at));
    }
    first_change.and_then(|at| Some((state.check_writable().err()?, at)))
}

/// Returns whether a watched key was changed, has expired, or is another group's.
pub(super) fn has_conflict(
    state: &State,
    cores: &LockedShards<'_>,
    watch: &KeyWatch,
    time: u64,
) -> bool {
    let has_gone = |(database, key, existed): (u16, &[u8], bool)| {
        let keyspace = state.databases.get(database).expect("its keyspace was made for the watch");
        let shard = state.first_shard(keyspace) + state.shard_of(key);
        let place = cores.binary_search_by_key(&shard, |(number, _)| *number);
        let core = &cores[place.expect("the shard of each watched key is locked")].1;
        let exists = core.find(key).is_some_and(|record| !record.is_expired(time));
        // A key that has expired may have no entry yet, so that no flag was set.
        exists != existed || !state.ownership.has(|| slot(key))
    };
    watch.is_changed() || watch.keys().any(has_gone)
}
