//! Sessions: how a thread sends requests to the database.
//!
//! [`Session::execute`] answers a batch of requests. Reads go straight to the shards' published states; changes are
//! queued by shard and made under the shard's lock, one shard after the other.

mod bitwise;
mod combination;
#[cfg(test)]
mod combination_tests;
mod database;
mod database_query;
mod deliver_streams;
mod locked;
mod merge_elements;
mod move_member;
#[cfg(test)]
mod moved_tests;
mod multi_key;
mod multi_read;

#[cfg(test)]
mod ownership_tests;
mod read;
mod read_geo;
mod read_hash;
mod read_list;
mod read_set;
mod read_sorted_set;
mod read_stream;
mod read_stream_group;
mod scan;
mod sorted;
mod store_combination;
mod store_range;
mod stored_sort;
mod taken_elements;
mod transaction;
mod waiting;

use crate::buffers::KEPT;
use crate::log::{Lsn, change};
use crate::request::{Answer, Query, Request, RequestError};
use crate::slots::slot;
use crate::state::State;
use crate::state::counters::Counters;
use crate::state::databases::Keyspace;
use crate::state::noted_events::missed_key;
use crate::state::ownership::Confirmed;
use crate::state::shard::{Core, Shard, ShardReader};
use crate::state::waiters::serve::MoveKey;
use hedgerow::left_right::Lookup;
use multi_read::MultiRead;
use read::answer_query;
use std::collections::VecDeque;
use std::iter::once;
use std::sync::Arc;

#[doc(hidden)]
pub use locked::NotIncluded;
#[doc(hidden)]
pub use locked::{Breadth, LockedKeys};
pub use transaction::TransactionOutcome;

/// Requests whose memory is prefetched at a time: more than a processor fetches at once, fewer than fill its
/// first-level cache.
const AHEAD: usize = 32;
/// With fewer requests than this, prefetching costs more than the wait that it saves.
const FEW: usize = 3;
/// Bytes by which a batch may exceed the limit of memory, beside those of its last request.
const ADMITTED_TOGETHER: usize = 1 << 20;

/// Events since this batch of requests began. They decide whether a rollback invalidates the answers.
#[derive(Clone, Copy, Default)]
struct Since {
    /// The number of rollbacks when the batch began, or when a lock was last taken.
    rollbacks: u64,
    /// A request was answered.
    answered: bool,
    /// A shard was read without its lock.
    read_unlocked: bool,
    /// A rollback came between two answers.
    split: bool,
}

impl Since {
    /// Notes an answer that is given under the locks of its shards. No change in them is undone meanwhile; a later
    /// rollback is covered by the answer's log entry.
    fn answer_locked(&mut self, state: &State) {
        let rollbacks = state.rollbacks();
        if rollbacks != self.rollbacks {
            self.split |= self.answered;
            self.rollbacks = rollbacks;
        }
        self.answered = true;
    }

    fn note_read(&mut self) {
        (self.read_unlocked, self.answered) = (true, true);
    }
}

/// A prefetched request.
#[derive(Clone, Copy)]
struct PrefetchedRequest {
    shard: u32,
    slot: u16,
    /// The key's hash and position.
    lookup: Lookup,
}

/// A thread's access to the database, made by [`Db::session`](crate::Db::session). One thread uses it at a time.
pub struct Session {
    readers: Vec<ShardReader>,
    /// For each shard, the numbers of the requests that wait for its lock.
    queues: Vec<Vec<u32>>,
    /// The selected database.
    database: u16,
    /// The keyspace that it had when the present batch began; `None` after it was selected.
    selected: Option<Keyspace>,
    /// The shards whose queue is not empty.
    queued: Vec<u32>,
    /// The prefetched requests.
    begun: Vec<PrefetchedRequest>,
    multi_read: MultiRead,
    /// The log entry that is being built.
    entry: Vec<u8>,
    /// The keys whose first waiters move the element that they get, which this thread does next.
    moves: VecDeque<MoveKey>,
    since: Since,
    counters: Arc<Counters>,
    // Declared last and so dropped last: the readers must be gone before the shards are.
    state: Arc<State>,
}

impl Session {
    #[doc(hidden)]
    pub fn new(state: Arc<State>) -> Self {
        let (readers, queues, database, selected) = (Vec::new(), Vec::new(), 0, None);
        let (queued, begun, entry) = (Vec::new(), Vec::with_capacity(AHEAD), Vec::new());
        let moves = VecDeque::new();
        let counters = state.register_counters();
        let multi_read = MultiRead::default();
        let since = Since::default();
        Self {
            readers,
            queues,
            database,
            selected,
            queued,
            begun,
            multi_read,
            entry,
            moves,
            since,
            counters,
            state,
        }
    }

    /// Answers every request once, by `answer(its number, ...)`. If the batch contains changes, answers come out of
    /// order.
    ///
    /// Requests for one key take effect in order. A change may be made after a later request for another key, until
    /// the first of the two is answered. Each request linearizes when its shard's state is published or read.
    ///
    /// Returns the log entry that must be committed ([`Log::commit`](crate::log::Log::commit)) before any of these
    /// answers may be shown to a client. This holds for reads too, which may have seen uncommitted changes.
    ///
    /// Reads are wait-free, except while a [`Request::MultiKey`] is being published, and while slots move to or from
    /// this node's group of a cluster; changes lock their shards.
    pub fn execute(
        &mut self,
        requests: &[Request<'_>],
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Lsn {
        let mut lsn = 0;
        // A panic in `answer` may have left queues from an earlier call.
        self.queued.drain(..).for_each(|shard| self.queues[shard as usize].clear());
        // Counted before any state is read, so that a rollback from now on is noticed at the end.
        self.since = Since { rollbacks: self.state.rollbacks(), ..Since::default() };
        let (now, mut hits, mut misses) = (self.now(), 0, 0);
        self.state.publish_gate.wait();
        let mut keyspace = self.keyspace();
        // Requests before this number are answered already.
        let mut next = 0;
        for (first, part) in requests.chunks(AHEAD).enumerate().map(|(at, part)| (at * AHEAD, part))
        {
            self.fetch(keyspace, part);
            for (at, request) in part.iter().enumerate() {
                let number = first + at;
                if number < next {
                    continue;
                }
                match request {
                    Request::MultiRead(_, _, several) => {
                        self.since.note_read();
                        // Queued changes come first, because the multi-read may be about their keys.
                        lsn = lsn.max(self.change_queued(requests, answer));
                        let others = requests[number + 1..].iter().take(several.saturating_sub(1));
                        let others = others.take_while(|next| matches!(next, Request::Read(..)));
                        next = number + 1 + others.count();
                        let group = &requests[number..next];
                        lsn = lsn.max(self.read_group(keyspace, (number, group), now, answer));
                    }
                    Request::Read(key, query) => {
                        let begun = self.begun[at];
                        let shard = begun.shard as usize;
                        // A read behind a queued change of its shard waits with it; otherwise it would overtake a
                        // change of the same key.
                        if !self.queues[shard].is_empty() {
                            self.queues[shard].push(number as u32);
                            continue;
                        }
                        self.since.note_read();
                        let answer = |found: Answer<'_>| answer(number, found);
                        let begun = (begun, keyspace.version);
                        let (found, shard) = self.read(begun, key, *query, now, answer);
                        if found {
                            hits += 1;
                        } else {
                            misses += 1;
                            self.note_misses(std::slice::from_ref(request));
                        }
                        // After the read: the entry that changed what was read, or a later one.
                        lsn = lsn.max(self.state.mark(shard, || begun.0.slot));
                    }
                    Request::Change(..) => {
                        let shard = self.begun[at].shard as usize;
                        if self.queues[shard].is_empty() {
                            self.queued.push(shard as u32);
                        }
                        self.queues[shard].push(number as u32);
                    }
                    Request::MultiKey(op) => {
                        lsn = lsn.max(self.change_queued(requests, answer));
                        let made = self.multi_key(*op, &mut |made| answer(number, made), None);
                        lsn = lsn.max(made);
                        self.state.publish_gate.wait();
                    }
                    Request::Database(query) => {
                        lsn = lsn.max(self.change_queued(requests, answer));
                        lsn = lsn.max(self.ask_database(*query, |found| answer(number, found)));
                        // It has looked up the database's keyspace, which another thread may have swapped.
                        keyspace = self.fetch_again(part);
                    }
                    Request::Combine(combination, query) => {
                        self.since.note_read();
                        // Queued changes come first, as for a multi-read.
                        lsn = lsn.max(self.change_queued(requests, answer));
                        let of = (number, *combination, *query);
                        lsn = lsn.max(self.combine(keyspace, of, now, answer));
                    }
                    Request::Select(database) => {
                        lsn = lsn.max(self.change_queued(requests, answer));
                        answer(number, self.select_answer(*database));
                        // The rest of these requests is about other keys.
                        keyspace = self.fetch_again(part);
                    }
                }
            }
        }
        Counters::add(&self.counters.hits, hits);
        Counters::add(&self.counters.misses, misses);
        let lsn = lsn.max(self.change_queued(requests, answer));
        self.free_long_entry();
        // [RB-1] A rollback may have undone what an unlocked read saw. That change is never committed, so neither are
        // these answers.
        let undone = self.since.read_unlocked && self.state.rollbacks() != self.since.rollbacks;
        if undone || self.since.split { Lsn::MAX } else { lsn }
    }

    /// Frees the buffer of the entry if it has become large. A session lives as long as its thread: without this, it
    /// would keep the memory of the longest entry.
    fn free_long_entry(&mut self) {
        if self.entry.capacity() > KEPT {
            self.entry = Vec::new();
        }
    }

    /// Prefetches the memory that these requests will touch, so that the cache misses overlap. Notes the shard of each
    /// request and the begun lookup of its key.
    fn fetch(&mut self, keyspace: Keyspace, requests: &[Request<'_>]) {
        self.begun.clear();
        for request in requests {
            let key = match request {
                Request::Read(key, _) | Request::MultiRead(key, ..) | Request::Change(key, _) => {
                    key
                }
                // What has several keys computes its shards when it enters or locks them.
                Request::Combine(..)
                | Request::MultiKey(_)
                | Request::Select(_)
                | Request::Database(_) => &&[][..],
            };
            let slot = slot(key);
            let shard = keyspace.first + self.state.sharding.shard(slot);
            let lookup = self.readers[shard].enter().begin_lookup(*key);
            self.begun.push(PrefetchedRequest { shard: shard as u32, slot, lookup });
        }
        if requests.len() < FEW {
            return;
        }
        for PrefetchedRequest { shard, lookup, .. } in &self.begun {
            let reader = &self.readers[*shard as usize];
            reader.enter().likely(*lookup, |record, ()| record.prefetch());
        }
    }

    /// Does what `fetch` does, in the keyspace that the selected database has by now. Returns that.
    fn fetch_again(&mut self, requests: &[Request<'_>]) -> Keyspace {
        let keyspace = self.keyspace();
        self.fetch(keyspace, requests);
        keyspace
    }

    /// Answers a read from its shard's published state. It was begun at this version of the databases' numbers. Returns
    /// whether the key exists, and its shard.
    #[inline]
    fn read(
        &mut self,
        (mut begun, mut version): (PrefetchedRequest, u64),
        key: &[u8],
        query: Query,
        now: u64,
        answer: impl FnOnce(Answer<'_>),
    ) -> (bool, usize) {
        loop {
            let changes = self.state.ownership.changes();
            let shard = begun.shard as usize;
            let snapshot = self.readers[shard].enter();
            let there = snapshot.end_lookup(begun.lookup, key).map(|(record, ())| *record);
            // [DB-1] After the lookup: the keyspace may be another database's by now, and changed since.
            if self.state.databases.version() != version {
                drop(snapshot);
                (begun, version) = self.begin_again(key, begun.slot);
                continue;
            }
            // After the lookup: the state may be one in which the keys of the slot are missing already.
            match self.state.ownership.confirm(changes, once(begun.slot)) {
                Confirmed::Owned => {}
                Confirmed::NotOwned => {
                    answer(Answer::Error(RequestError::SlotNotOwned));
                    return (false, shard);
                }
                Confirmed::Again => continue,
            }
            let alive = there.filter(|record| !record.is_expired(now));
            let usage = self.state.usage_at(now);
            answer_query(alive, query, usage, self.state.cold.as_deref(), answer);
            return (alive.is_some(), shard);
        }
    }

    /// Publishes that reads without a lock have not found their keys, if that event is published.
    #[inline(always)]
    fn note_misses(&self, requests: &[Request<'_>]) {
        if self.state.key_events.wants_misses() {
            self.publish_misses(requests);
        }
    }

    #[cold]
    fn publish_misses(&self, requests: &[Request<'_>]) {
        self.publish_missed_keys(requests.iter().filter_map(missed_key));
    }

    fn publish_missed_keys<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        // A read that was refused has missed nothing.
        let is_owned = |key: &&[u8]| self.state.ownership.has(|| slot(key));
        for key in keys.filter(is_owned) {
            self.state.key_events.publish_miss(self.database, key);
        }
    }

    /// Executes the queued requests, shard by shard.
    fn change_queued(
        &mut self,
        requests: &[Request<'_>],
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Lsn {
        if self.queued.is_empty() {
            return 0;
        }
        let mut last = 0;
        // A few requests may add gigabytes, so of those each is admitted by itself.
        let one_by_one =
            self.state.limit.bytes() != 0 && Request::all_added_bytes(requests) > ADMITTED_TOGETHER;
        let together =
            (!one_by_one).then(|| self.state.admit_change(|| Request::all_added_bytes(requests)));
        while let Some(shard) = self.queued.pop() {
            let mut queue = std::mem::take(&mut self.queues[shard as usize]);
            for part in queue.chunks(if one_by_one { 1 } else { queue.len().max(1) }) {
                let added = || requests[part[0] as usize].added_bytes();
                let admitted = together.unwrap_or_else(|| self.state.admit_change(added));
                let mut rest = part;
                while !rest.is_empty() {
                    let (made, done) =
                        self.change_shard(shard as usize, rest, requests, admitted, answer);
                    (last, rest) = (last.max(made), &rest[done..]);
                    self.serve_moves();
                }
            }
            queue.clear();
            self.queues[shard as usize] = queue;
        }
        last
    }

    /// Executes one shard's queue under its lock, and appends the changes to the log as one entry. Returns that entry,
    /// and the number of requests that were executed: the others come after waiters that need other locks.
    fn change_shard(
        &mut self,
        shard_number: usize,
        queue: &[u32],
        requests: &[Request<'_>],
        admitted: Result<bool, RequestError>,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> (Lsn, usize) {
        let state = &self.state;
        let begun = (self.database, self.selected);
        let (shard_number, mut core) = state.lock_current(begun, shard_number);
        let shard = &state.shards[shard_number];
        self.entry.clear();
        if self.database != 0 {
            change::database(self.database, &mut self.entry);
        }
        // An entry that is no longer has no change.
        let head = self.entry.len();
        self.since.answer_locked(state);
        let time = core.advance_time(state.clock.now());
        // Checked under the lock: after a rollback, no change is made until the log can be written again.
        let mut admitted = admitted;
        if let Err(error) = state.check_writable() {
            admitted = Err(error);
        }
        // An error because of the log says nothing about the state, so it need not wait for a log entry.
        let (mut made, mut shown, mut hits, mut misses) = (0, admitted.is_ok(), 0, 0);
        // The last entry that changed any of the keys, if it is known for each slot.
        let (by_slot, mut seen) = (state.has_slot_marks(), 0);
        let mut done = 0;
        for &number in queue {
            let number = number as usize;
            done += 1;
            if by_slot && let Some(key) = requests[number].key() {
                let slot = slot(key);
                // Checked under the lock, before anything is changed: the slot cannot be lost meanwhile. A build for
                // the check of the chaos run's checkers does not look.
                if !cfg!(hedgerow_no_ownership) && !state.ownership.has(|| slot) {
                    answer(number, Answer::Error(RequestError::SlotNotOwned));
                    continue;
                }
                seen = state.mark(shard_number, || slot).max(seen);
            }
            match (&requests[number], admitted) {
                (Request::Read(key, query), _) => {
                    shown = true;
                    let alive = core.find(key).filter(|record| !record.is_expired(time));
                    let cold = state.cold.as_deref();
                    if alive.is_some() {
                        hits += 1;
                    } else {
                        misses += 1;
                        if let Some(key) = missed_key(&requests[number]) {
                            core.events.note_miss(key);
                        }
                    }
                    let usage = self.state.usage_at(time);
                    answer_query(alive, *query, usage, cold, |found| answer(number, found));
                }
                (Request::Change(..), Err(error)) => answer(number, Answer::Error(error)),
                // Before anything is changed, since the log could not take it.
                (request @ Request::Change(..), Ok(_)) if state.exceeds_entry(request) => {
                    answer(number, Answer::Error(RequestError::EntryTooLong));
                }
                (Request::Change(key, change), Ok(full)) => {
                    let answer = &mut |made: Answer<'_>| answer(number, made);
                    let log = &mut self.entry;
                    crate::state::apply_change(&mut core, (time, full), key, change, log, answer);
                }
                (
                    Request::MultiRead(..)
                    | Request::Combine(..)
                    | Request::MultiKey(_)
                    | Request::Select(_)
                    | Request::Database(_),
                    _,
                ) => {
                    unreachable!("those are never queued")
                }
            }
            if self.entry.len() >= state.longest_entry || core.waiters.has_ready() {
                let of = (self.database, time);
                let written = (head, &mut self.entry, &mut self.moves);
                made = made.max(end_change((state, shard), &mut core, of, written));
                if !self.moves.is_empty() {
                    break;
                }
            }
        }
        let entry = if self.entry.len() == head { &[][..] } else { &self.entry };
        let made = state.log_and_publish(shard, &mut core, time, entry).max(made);
        Counters::add(&self.counters.hits, hits);
        Counters::add(&self.counters.misses, misses);
        // A read may have seen an earlier, uncommitted entry of the shard.
        match (shown, by_slot) {
            (false, _) => (made, done),
            (true, true) => (made.max(seen), done),
            (true, false) => (made.max(shard.stats().published_lsn()), done),
        }
    }

    /// Returns the time by which keys expire, in milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.state.clock.now()
    }

    /// Returns the number of keys of the selected database, including expired ones that have not been removed yet. In a
    /// cluster of several groups, these are the keys of the slots that this node's group has.
    pub fn len(&self) -> usize {
        self.state.publish_gate.wait();
        self.state.len_of(self.database)
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Writes an entry that has become long, and serves clients that wait, before the next change of a pipeline, as in
/// Redis. Returns the last entry that was written. The entry that is built begins with `head` bytes without a change.
/// Cold: nearly all changes are short, and nobody waits for them.
#[cold]
fn end_change(
    (state, shard): (&State, &Shard),
    core: &mut Core,
    (database, time): (u16, u64),
    (head, entry, moves): (usize, &mut Vec<u8>, &mut VecDeque<MoveKey>),
) -> Lsn {
    let mut made = 0;
    loop {
        if entry.len() >= state.longest_entry {
            made = state.log_and_publish(shard, core, time, entry);
            entry.truncate(head);
        }
        if !core.waiters.has_ready() {
            return made;
        }
        state.serve_shard(core, (database, time), entry, moves);
    }
}
