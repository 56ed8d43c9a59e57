//! Atomic changes of keys in several shards.

use super::Session;
use crate::bounds::MAX_MULTI_KEY_BYTES;
use crate::event_flags::EventFlags;
use crate::log::{Lsn, change};
use crate::request::{
    Answer, Change, Expiry, LONGEST_KEY, LONGEST_VALUE, MultiKeyOp, Request, RequestError,
    SetCondition, StoredValue,
};
use crate::slots::slot;
use crate::state::key_tracker::Invalidates;
use crate::state::noted_events::missed_key;
use crate::state::record::Record;
use crate::state::rope::MAX_INLINE;
use crate::state::shard::Core;
use crate::state::value::string;
use crate::state::{LockedShards, State};
use std::ops::Range;
use std::sync::Arc;

/// Begins to wait under the locks of the keys.
pub(super) type Wait<'w> = &'w mut dyn FnMut(&mut ApplyMany<'_, '_>);

impl Session {
    /// Executes the operation. Returns the log entry that must be committed before the answer is shown. If there is
    /// nothing to take, calls `wait` instead of `answer`, if there is one.
    pub(super) fn multi_key(
        &mut self,
        op: MultiKeyOp<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
        wait: Option<Wait<'_>>,
    ) -> Lsn {
        let lsn = self.execute_multi_key(op, answer, wait);
        self.serve_moves();
        lsn
    }

    fn execute_multi_key(
        &mut self,
        op: MultiKeyOp<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
        wait: Option<Wait<'_>>,
    ) -> Lsn {
        let mut refuse = |error: RequestError| {
            answer(Answer::Error(error));
            0
        };
        // Before the locks: it may evict keys, for which it locks shards itself.
        let full = match self.state.admit_change(|| Request::MultiKey(op).added_bytes()) {
            Err(error) => return refuse(error),
            Ok(full) => full,
        };
        let state = Arc::clone(&self.state);
        if let Err(error) = check(&state, op) {
            return refuse(error);
        }
        // A group of a cluster cannot replicate a longer entry, so it must not be made.
        if state.exceeds_entry(&Request::MultiKey(op)) {
            return refuse(RequestError::EntryTooLong);
        }
        if op.grows() && full {
            return refuse(RequestError::OutOfMemory);
        }
        let mut cores = lock_shards(&state, || shards_of(&state, self.database, op));
        // Checked under the locks: no slot can be lost between this and the change.
        if !op.keys().all(|key| state.ownership.has(|| slot(key))) {
            return refuse(RequestError::SlotNotOwned);
        }
        // Checked under the locks, too: a rollback takes all of them, so it cannot begin before the change is made.
        if let Err(error) = state.check_writable() {
            return refuse(error);
        }
        // Only now: a refusal says nothing about keys, so no rollback can make it wrong.
        self.since.answer_locked(&state);
        let time = advance(&mut cores, state.clock.now());
        if let MultiKeyOp::SwapDatabases(one, other) = op {
            // A database and itself: no shard was locked.
            let lsn = if one == other { 0 } else { state.swap(&mut cores, time, (one, other)) };
            answer(Answer::Done);
            state.serve_locked(&mut cores, time, &mut self.moves);
            return lsn;
        }
        self.entry.clear();
        let left = state.largest_request.saturating_sub(Request::MultiKey(op).logged_bytes());
        let (of, bounds) = ((self.database, time), (left, state.most_held()));
        let mut apply = ApplyMany::new(&state, &mut cores, of, &mut self.entry, bounds);
        let mut takes_nothing = false;
        apply.run(op, &mut |made| match made {
            Answer::Nil if wait.is_some() => takes_nothing = true,
            made => answer(made),
        });
        if let Some(wait) = wait.filter(|_| takes_nothing) {
            wait(&mut apply);
        }
        let lsn = state.log_and_publish_all(&mut cores, time, &self.entry);
        // Even an operation that changed nothing has seen these shards, so its answer waits for their last entries.
        let shown =
            cores.iter().map(|(number, _)| state.shards[*number].stats().published_lsn()).max();
        let lsn = lsn.max(shown.unwrap_or(0));
        state.serve_locked(&mut cores, time, &mut self.moves);
        lsn
    }
}

/// Locks the shards that `shards` returns, when their databases have them and no others.
pub(super) fn lock_shards(state: &State, shards: impl Fn() -> Vec<usize>) -> LockedShards<'_> {
    loop {
        let seen = || (state.databases.version(), state.shards.len());
        let before = seen();
        let cores = state.lock_all(shards());
        // [DB-2] Under the locks: none of these databases is swapped from now on. The number of shards counts for an
        // operation on all of them.
        if before.0.is_multiple_of(2) && seen() == before {
            return cores;
        }
    }
}

/// Returns the shards that an operation on a database changes.
pub(super) fn shards_of(state: &State, database: u16, op: MultiKeyOp<'_>) -> Vec<usize> {
    let all_of = |database: u16| all_shards_of(state, database);
    match op {
        MultiKeyOp::SwapDatabases(one, other) if one == other => Vec::new(),
        MultiKeyOp::SwapDatabases(one, other) => all_of(one).chain(all_of(other)).collect(),
        MultiKeyOp::Clear => all_of(database).collect(),
        MultiKeyOp::Sort { sort, .. } if sort.names_keys() => all_of(database).collect(),
        MultiKeyOp::ClearAll => (0..state.shards.len()).collect(),
        _ => {
            let first = state.keyspace(database).first;
            let mut shards: Vec<usize> = op.keys().map(|key| first + state.shard_of(key)).collect();
            match op {
                MultiKeyOp::Move { key, to } => {
                    shards.push(state.keyspace(to).first + state.shard_of(key));
                }
                MultiKeyOp::Copy { to, database, .. } => {
                    shards.push(state.keyspace(database).first + state.shard_of(to));
                }
                _ => {}
            }
            shards
        }
    }
}

/// Returns all shards of a database.
pub(super) fn all_shards_of(state: &State, database: u16) -> Range<usize> {
    let first = state.keyspace(database).first;
    first..first + state.shards.per_keyspace()
}

/// Returns why an operation cannot be executed, for any content of the database.
pub(super) fn check(state: &State, op: MultiKeyOp<'_>) -> Result<(), RequestError> {
    if let MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIf { pairs, .. } = op {
        check_sizes(pairs)?;
    }
    op.databases().try_for_each(|number| state.databases.check(number))
}

/// Brings all locked shards to the same time, and returns it.
pub(super) fn advance(cores: &mut LockedShards<'_>, now: u64) -> u64 {
    let time = cores.iter_mut().map(|(_, core)| core.advance_time(now)).max().unwrap_or(now);
    for (_, core) in cores {
        core.advance_time(time);
    }
    time
}

fn check_sizes(pairs: &[(&[u8], &[u8])]) -> Result<(), RequestError> {
    let mut all = 0_usize;
    for (key, value) in pairs {
        all = all.saturating_add(key.len()).saturating_add(value.len());
        // All pairs go into one log entry, and a caller may name the same bytes a million times.
        if all > MAX_MULTI_KEY_BYTES {
            return Err(RequestError::ValueTooLong);
        }
        if value.len() > LONGEST_VALUE {
            return Err(RequestError::ValueTooLong);
        }
    }
    Ok(())
}

/// Changes keys of several shards, all of which are locked.
pub(super) struct ApplyMany<'a, 'c> {
    pub(super) state: &'a State,
    pub(super) cores: &'a mut LockedShards<'c>,
    pub(super) time: u64,
    pub(super) entry: &'a mut Vec<u8>,
    /// Bytes that the log entry has room for besides the keys and values of the requests.
    pub(super) left: usize,
    /// Bytes of memory that further changes may take, besides the keys and values of the requests.
    pub(super) room: usize,
    /// The selected database, and its first shard.
    database: u16,
    first: usize,
    /// The database that the changes at the end of the entry are about.
    pub(super) logged: u16,
}

impl<'a, 'c> ApplyMany<'a, 'c> {
    /// Begins with a database, and an empty entry that has this much room besides the requests, as memory has.
    pub(super) fn new(
        state: &'a State,
        cores: &'a mut LockedShards<'c>,
        (database, time): (u16, u64),
        entry: &'a mut Vec<u8>,
        (left, room): (usize, usize),
    ) -> Self {
        let mut apply =
            Self { state, cores, time, entry, left, room, database, first: 0, logged: 0 };
        apply.select(database);
        apply
    }

    /// Selects another database. Its shards are locked, or none of its keys is accessed.
    pub(super) fn select(&mut self, database: u16) {
        let keyspace = self.state.databases.get(database).unwrap_or(0);
        (self.database, self.first) = (database, self.state.first_shard(keyspace));
    }

    /// Makes changes of the selected database, and logs that they are about that one.
    pub(super) fn log<R>(&mut self, make: impl FnOnce(&mut Self) -> R) -> R {
        if self.logged == self.database {
            return make(self);
        }
        let before = self.entry.len();
        change::database(self.database, self.entry);
        let head = self.entry.len();
        let made = make(self);
        // Nothing was changed: the name of a database alone would still be an entry to write and to wait for.
        if self.entry.len() == head {
            self.entry.truncate(before);
        } else {
            self.logged = self.database;
        }
        made
    }

    /// Applies an operation, which was checked, and answers it.
    pub(super) fn run(&mut self, op: MultiKeyOp<'_>, answer: &mut dyn FnMut(Answer<'_>)) {
        let made = match op {
            MultiKeyOp::Copy { from, to, database, replace } => {
                self.copy((from, to), database, replace)
            }
            MultiKeyOp::ClearAll => self.clear_all(),
            MultiKeyOp::MoveElement { from, to, take, put } => {
                return self.log(|apply| apply.move_element((from, take), (to, put), answer));
            }
            MultiKeyOp::Sort { from, to, sort } => {
                return self.log(|apply| apply.sort(from, to, sort, answer));
            }
            MultiKeyOp::PopFirst { keys, popped, count, most } => {
                return self.log(|apply| apply.pop_first(keys, (popped, count, most), answer));
            }
            MultiKeyOp::ReadStreams { keys, from, count, most } => {
                return self.read_streams((keys, from), (count, most), answer);
            }
            MultiKeyOp::DeliverStreams { changes, most, .. } => {
                return self.log(|apply| apply.deliver_streams(changes, most, answer));
            }
            op => self.log(|apply| apply.run_in_database(op)),
        };
        answer(made);
    }

    fn run_in_database(&mut self, op: MultiKeyOp<'_>) -> Answer<'static> {
        match op {
            MultiKeyOp::SetAll(pairs) => {
                let stored = self.set_all_if(pairs, None, Expiry::Never);
                stored.map_or_else(Answer::Error, |_| Answer::Done)
            }
            MultiKeyOp::SetAllIf { pairs, exist, expiry } => {
                let stored = self.set_all_if(pairs, exist, expiry);
                stored.map_or_else(Answer::Error, |stored| Answer::Int(stored.into()))
            }
            MultiKeyOp::DeleteAll(keys) => {
                Answer::count(keys.iter().filter(|key| self.delete(key)).count())
            }
            MultiKeyOp::Rename { from, to, if_absent: absent } => self.rename(from, to, absent),
            MultiKeyOp::StoreRange { from, selection, to } => {
                self.store_range((from, selection), to)
            }
            MultiKeyOp::StoreSearch { from, search, to, distances, event } => {
                self.store_search((from, search), to, (distances, event))
            }
            MultiKeyOp::StoreCombination(to, combination) => {
                self.store_combination(to, combination)
            }
            MultiKeyOp::MoveMember { from, to, member } => self.move_member((from, to), member),
            MultiKeyOp::MergeElements { to, keys } => self.merge_elements(to, keys),
            MultiKeyOp::Bitwise { op, to, keys } => self.bitwise(op, to, keys),
            MultiKeyOp::Move { key, to } => self.move_key(key, to),
            MultiKeyOp::Clear => self.clear(),
            MultiKeyOp::Copy { .. }
            | MultiKeyOp::ClearAll
            | MultiKeyOp::MoveElement { .. }
            | MultiKeyOp::PopFirst { .. }
            | MultiKeyOp::ReadStreams { .. }
            | MultiKeyOp::DeliverStreams { .. }
            | MultiKeyOp::Sort { .. } => unreachable!("answered by `run`"),
            MultiKeyOp::SwapDatabases(..) => Answer::Error(RequestError::SwapInTransaction),
        }
    }

    /// Returns the numbers of the shards of the selected database.
    pub(super) fn own_numbers(&self) -> Range<usize> {
        self.first..self.first + self.state.shards.per_keyspace()
    }

    pub(super) fn core(&mut self, key: &[u8]) -> &mut Core {
        let shard = self.first + self.state.shard_of(key);
        let place = self.cores.binary_search_by_key(&shard, |(number, _)| *number);
        &mut self.cores[place.expect("every shard of the operation is locked")].1
    }

    pub(super) fn find_alive(&mut self, key: &[u8]) -> Option<Record> {
        let time = self.time;
        self.core(key).find(key).filter(|record| !record.is_expired(time))
    }

    /// As `find_alive`, for a request that reads.
    pub(super) fn read(&mut self, key: &[u8], request: &Request<'_>) -> Option<Record> {
        let alive = self.find_alive(key);
        if alive.is_none()
            && let Some(key) = missed_key(request)
        {
            self.note_miss(key);
        }
        alive
    }

    /// As `find_alive`, for a key that an operation only reads, and thereby uses.
    pub(super) fn find_source(&mut self, key: &[u8]) -> Option<Record> {
        let alive = self.find_alive(key);
        match alive {
            Some(record) => self.core(key).touch(record),
            None => self.note_miss(key),
        }
        alive
    }

    pub(super) fn note_miss(&mut self, key: &[u8]) {
        self.core(key).events.note_miss(key);
    }

    /// Notes an event of a key of the selected database.
    fn note(&mut self, kind: EventFlags, name: &'static str, key: &[u8]) {
        self.core(key).events.note(kind, name, key);
    }

    /// Notes the next change of a key under another name.
    pub(super) fn name_next(&mut self, key: &[u8], kind: EventFlags, name: &'static str) {
        self.core(key).events.name_next(kind, name, false);
    }

    /// Notes that a key was moved to another name or database, which is selected. `there` is what was there before.
    fn note_moved_in(&mut self, key: &[u8], there: Option<Record>) {
        if there.is_some_and(|record| record.is_expired(self.time)) {
            self.note(EventFlags::EXPIRED, "expired", key);
        }
        self.note(EventFlags::NEW, "new", key);
    }

    /// Takes the bytes of a present value that a change copies from the room that is left. Of a long value, a thousand
    /// changes copy no more than one.
    ///
    /// # Errors
    /// There is no such room.
    pub(super) fn admit_copy(&mut self, request: &Request<'_>) -> Result<(), RequestError> {
        let key = match request {
            Request::Change(
                _,
                Change::Set { .. } | Change::Restore { .. } | Change::Delete | Change::GetDelete,
            ) => return Ok(()),
            Request::Change(key, _) => key,
            _ => return Ok(()),
        };
        let copied = self.find_alive(key).map_or(0, |record| record.value().stored_bytes());
        self.take_room(copied.min(MAX_INLINE))
    }

    pub(super) fn take_room(&mut self, bytes: usize) -> Result<(), RequestError> {
        self.room = self.room.checked_sub(bytes).ok_or(RequestError::ValuesTooLong)?;
        Ok(())
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

    pub(super) fn set(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let change = Change::Set { value, condition: SetCondition::Always, expiry, get: false };
        self.change(key, &change, &mut |_| {});
    }

    /// Stores all pairs, unless a key exists or is missing although it must not. Returns whether it did.
    ///
    /// # Errors
    /// A key is too long. Nothing was changed.
    fn set_all_if(
        &mut self,
        pairs: &[(&[u8], &[u8])],
        exist: Option<bool>,
        expiry: Expiry,
    ) -> Result<bool, RequestError> {
        // All keys are checked before any is stored: MSETNX stores all pairs or none.
        let mut fits = |key| exist.is_none_or(|exist| self.find_alive(key).is_some() == exist);
        if !pairs.iter().all(|(key, _)| fits(key)) {
            return Ok(false);
        }
        if pairs.iter().any(|(key, _)| key.len() > LONGEST_KEY) {
            return Err(RequestError::KeyTooLong);
        }
        for (key, value) in pairs {
            self.set(key, value, expiry);
        }
        Ok(true)
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> bool {
        let mut deleted = false;
        self.change(key, &Change::Delete, &mut |made| deleted = made == Answer::Int(1));
        deleted
    }

    fn rename(&mut self, from: &[u8], to: &[u8], absent: bool) -> Answer<'static> {
        let Some(record) = self.find_alive(from) else {
            return Answer::Error(RequestError::NoSuchKey);
        };
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        // Nothing is changed, so nothing is logged.
        if absent && self.find_alive(to).is_some() {
            return Answer::Int(0);
        }
        // A snapshot in progress may contain one of the keys before this change and the other after it. An entry that
        // names both keys could not be replayed on it, so the value is logged as well. In a cluster another node may
        // be writing a snapshot. There, keys of one slot are in one section of it.
        let names_both = !self.state.is_snapshotting()
            && (!self.state.has_slot_marks() || slot(from) == slot(to));
        let value = if names_both { 0 } else { record.value().stored_bytes() };
        let Some(left) = self.left.checked_sub(value) else {
            return Answer::Error(self.state.too_long());
        };
        self.left = left;
        if from != to {
            // Not `find_alive`: an expired record is still in its place in the table, and is replaced there.
            let there = self.core(to).find(to);
            let is_same_shard = self.state.shard_of(from) == self.state.shard_of(to);
            let has_ticket = match self.put_moved(record, (to, there), is_same_shard) {
                Ok(has_ticket) => has_ticket,
                Err(error) => return Answer::Error(error),
            };
            if names_both {
                change::rename(from, to, self.entry);
            } else {
                let expiry = record.expires_at().map_or(Expiry::Never, Expiry::At);
                let (cold, entry) = (self.state.cold.as_deref(), &mut *self.entry);
                let mut log = |part: StoredValue<'_>| change::stored(to, part, expiry, entry);
                record.value().each_part(cold, &mut log);
                change::delete(from, self.entry);
            }
            self.note_moved_in(to, there);
            self.note(EventFlags::GENERIC, "rename_from", from);
            self.note(EventFlags::GENERIC, "rename_to", to);
            self.remove_moved(record, has_ticket);
        }
        if absent { Answer::Int(1) } else { Answer::Done }
    }

    /// Moves a key to another database. Unlike a rename, it is logged by its name also while a snapshot is written,
    /// because the two keys have one slot.
    fn move_key(&mut self, key: &[u8], to: u16) -> Answer<'static> {
        let from = self.database;
        let Some(record) = self.find_alive(key).filter(|_| to != from) else {
            return Answer::Int(0);
        };
        self.select(to);
        // As Redis: MOVE never replaces a key of the other database.
        if self.find_alive(key).is_some() {
            self.select(from);
            return Answer::Int(0);
        }
        let there = self.core(key).find(key);
        let moved = self.put_moved(record, (key, there), false);
        if moved.is_ok() {
            self.note_moved_in(key, there);
        }
        self.select(from);
        let has_ticket = match moved {
            Ok(has_ticket) => has_ticket,
            Err(error) => return Answer::Error(error),
        };
        change::move_key(key, to, self.entry);
        self.note(EventFlags::GENERIC, "move_from", key);
        self.remove_moved(record, has_ticket);
        self.select(to);
        self.note(EventFlags::GENERIC, "move_to", key);
        self.select(from);
        Answer::Int(1)
    }

    /// Stores the value of a record under `key`, whose record is `there`. Returns whether the new record has the same
    /// ticket.
    ///
    /// A compressed value from another shard is stored again, and a tree is copied. With the ticket or the tree this
    /// shard would free it, while readers and snapshots of the other shard still use the old record.
    ///
    /// # Errors
    /// There is no room for a second copy of the value. Nothing was changed.
    fn put_moved(
        &mut self,
        record: Record,
        (key, there): (&[u8], Option<Record>),
        is_same_shard: bool,
    ) -> Result<bool, RequestError> {
        let moves = is_same_shard || record.ticket().is_none() && record.tree().is_none();
        if moves {
            self.core(key).put_moved(there, key, record, record.expires_at());
        } else {
            self.take_room(record.value().stored_bytes())?;
            let (cold, expires_at) = (self.state.cold.as_deref(), record.expires_at());
            let value = record.value();
            if let Some(value) = value.string() {
                let value = string::read(value, cold, <[u8]>::to_vec);
                self.core(key).put(there, key, &value, expires_at);
            } else {
                let (value_type, records) = (value.value_type(), (there, None));
                self.core(key).edit_collection(value_type, records, key, expires_at, |edit| {
                    value.each_part(cold, &mut |part| {
                        part.packed().into_iter().for_each(|part| edit.add(part));
                    });
                });
            }
            if let Some(new) = self.core(key).find(key) {
                // `put` has continued the uses of the record that was there before, which had another key's value.
                new.set_usage(record.usage());
                self.core(key).touch(new);
            }
        }
        Ok(moves)
    }

    /// Removes a record whose value was stored elsewhere.
    fn remove_moved(&mut self, record: Record, gave_ticket: bool) {
        let core = self.core(record.key());
        if gave_ticket { core.remove_moved(record) } else { core.remove(record) }
    }

    /// Copies a key. The log gets the value: a copy shares nothing with the original, which may change in place.
    fn copy(
        &mut self,
        (from, to): (&[u8], &[u8]),
        database: u16,
        replace: bool,
    ) -> Answer<'static> {
        let own = self.database;
        let Some(record) = self.find_source(from) else { return Answer::Int(0) };
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        self.select(database);
        let answer = if self.find_alive(to).is_some() && !replace {
            Answer::Int(0)
        } else if let Some(left) = self.left.checked_sub(record.value().stored_bytes()) {
            self.left = left;
            let (state, expiry) =
                (self.state, record.expires_at().map_or(Expiry::Never, Expiry::At));
            // The change that makes the copy must be published as `copy_to`, as Redis does, and not by its own name.
            self.core(to).events.name_next(EventFlags::GENERIC, "copy_to", true);
            record.value().each_part(state.cold.as_deref(), &mut |part| {
                let change = Change::Restore { value: part, expiry, replace: true, usage: None };
                self.log(|apply| apply.change(to, &change, &mut |_| {}));
            });
            Answer::Int(1)
        } else {
            Answer::Error(self.state.too_long())
        };
        self.select(own);
        answer
    }

    /// Removes all keys of all databases.
    fn clear_all(&mut self) -> Answer<'static> {
        let own = self.database;
        for database in 0..self.state.databases.count() {
            // A database that was never used has no keyspace, and clearing must not make one.
            if self.state.databases.get(database).is_some() {
                self.select(database);
                self.log(Self::clear);
            }
        }
        self.select(own);
        Answer::Done
    }

    fn clear(&mut self) -> Answer<'static> {
        let own = self.own_numbers();
        // A keyspace that was made since the shards were locked has no keys.
        for (number, core) in self.cores.iter_mut().filter(|(number, _)| own.contains(number)) {
            if self.state.tracked.is_on() {
                core.invalidates = Invalidates::Everything;
            }
            let slots = self.state.sharding.slots(*number);
            if !slots.clone().all(|slot| self.state.ownership.has(|| slot)) {
                clear_owned(self.state, core, slots, self.entry);
            } else if core.len() != 0 {
                core.clear();
                // By slots, not by shard: a replay may have another number of shards.
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
