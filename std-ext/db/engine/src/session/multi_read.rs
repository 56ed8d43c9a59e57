//! Reads of several keys in one snapshot across shards.
//!
//! Each shard publishes its state separately, and a single read sees one shard. A multi-read enters all its shards and
//! then checks that none of them has published a new state since before it entered the first one. If so, all entered
//! states were current at one point in time. Otherwise it tries again, and after some attempts it locks the shards.
//!
//! # Synchronization
//! A shard's version ([`Figures`](crate::state::shard::ShardStats)) is odd while the writer publishes a state.
//! - **[MO-1]** The writer stores the odd version, followed by a fence, before it publishes → a reader that has entered
//!   the new state and then loads the version behind its own fence sees that the version has changed.
//! - **[MO-2]** The writer stores the even version with release after it has published → a reader that loads it with
//!   acquire enters that state or a later one.
//! - **[MO-3]** The fence between entering and the second load of the versions is sequentially consistent: of two
//!   multi-reads, the one whose fence comes later sees everything that the other saw. So all multi-reads agree on the
//!   order in which shards published.

use super::combination::answer_combination;
use super::read::answer_query;
use crate::buffers::emptied;
use crate::encodings::EncodingLimit;
use crate::log::Lsn;
use crate::request::{Answer, Combination, CombinationQuery, Request, RequestError};
use crate::slots::slot;
use crate::state::State;
use crate::state::databases::Keyspace;
use crate::state::ownership::Confirmed;
use crate::state::record::Record;
use crate::state::shard::{Entered, ShardReader};
use std::sync::atomic::{Ordering, fence};

/// Attempts without locks.
const ATTEMPTS: usize = 32;

/// The result of a multi-read.
#[derive(Default)]
pub(super) struct MultiReadResult {
    /// The log entry that must be committed before the answers are shown.
    pub(super) lsn: Lsn,
    /// How many of the keys exist.
    pub(super) hits: u64,
    /// The reads that have found nothing, counted from the first one, if events are published about them.
    pub(super) missed: Vec<usize>,
}

/// The buffers of multi-reads, kept from one to the next.
#[derive(Default)]
pub(super) struct MultiRead {
    /// The shards of all keys, sorted.
    shards: Vec<usize>,
    versions: Vec<u64>,
    /// Memory for the entered states, as a type without a lifetime: the session may move to another thread between
    /// two calls.
    entered: Vec<EnteredMemory>,
}

/// As large as [`Entered`].
type EnteredMemory = [usize; size_of::<Entered<'static>>() / size_of::<usize>()];

/// What all keys have at one point in time.
struct KeySnapshot<'f> {
    time: u64,
    /// Returns the record of a key, which may have expired.
    find: &'f dyn Fn(&[u8]) -> Option<Record>,
}

impl KeySnapshot<'_> {
    fn find(&self, key: &[u8]) -> Option<Record> {
        (self.find)(key).filter(|record| !record.is_expired(self.time))
    }
}

impl MultiRead {
    /// Answers reads, numbered from `first` on, in one snapshot. Returns nothing, and has answered none, if the
    /// database does not have the keyspace any more.
    pub(super) fn execute(
        &mut self,
        of: (&State, &[ShardReader], Keyspace),
        (first, requests): (usize, &[Request<'_>]),
        now: u64,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Option<MultiReadResult> {
        let (state, keys) = (of.0, requests.iter().filter_map(|request| Some(request.query()?.0)));
        let mut found = MultiReadResult::default();
        found.lsn = self.in_snapshot(of, keys, now, |snapshot| {
            let Some(snapshot) = snapshot else {
                for number in first..first + requests.len() {
                    answer(number, Answer::Error(RequestError::SlotNotOwned));
                }
                return;
            };
            let notes = state.key_events.wants_misses();
            for (at, request) in requests.iter().enumerate() {
                let Some((key, query)) = request.query() else { continue };
                let alive = snapshot.find(key);
                found.count(at, alive, notes);
                let usage = state.usage_at(snapshot.time);
                answer_query(alive, query, usage, state.cold.as_deref(), |read| {
                    answer(first + at, read);
                });
            }
        })?;
        Some(found)
    }

    /// Answers a question about the sets of several keys in one snapshot. Returns nothing, as `execute`.
    pub(super) fn combine(
        &mut self,
        of: (&State, &[ShardReader], Keyspace),
        (combination, query): (Combination<'_>, CombinationQuery),
        now: u64,
        answer: &mut impl FnMut(Answer<'_>),
    ) -> Option<MultiReadResult> {
        let (state, keys) = (of.0, combination.keys);
        let mut found = MultiReadResult::default();
        found.lsn = self.in_snapshot(of, keys.iter().copied(), now, |snapshot| {
            let Some(snapshot) = snapshot else {
                return answer(Answer::Error(RequestError::SlotNotOwned));
            };
            let notes = state.key_events.wants_misses();
            let records: Vec<Option<Record>> = keys.iter().map(|key| snapshot.find(key)).collect();
            for (at, alive) in records.iter().enumerate() {
                found.count(at, *alive, notes);
                if let Some(record) = alive {
                    state.usage_at(snapshot.time).touch(*record);
                }
            }
            let most_integers = state.encodings.get(EncodingLimit::SetIntegers);
            answer_combination(&records, (combination, query), most_integers, &mut *answer);
        })?;
        Some(found)
    }

    /// Calls `with` with a snapshot of these keys, or without one if the group does not have all of their slots.
    /// Returns the log entry that must be committed before anything of it is shown; nothing, without a call, if the
    /// database does not have the keyspace any more.
    fn in_snapshot<'k>(
        &mut self,
        (state, readers, keyspace): (&State, &[ShardReader], Keyspace),
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        now: u64,
        with: impl FnOnce(Option<KeySnapshot<'_>>),
    ) -> Option<Lsn> {
        let Self { mut shards, mut versions, entered } = std::mem::take(self);
        let mut entered = emptied(entered);
        shards.clear();
        shards.extend(keys.clone().map(|key| keyspace.first + state.shard_of(key)));
        shards.sort_unstable();
        shards.dedup();
        let index = |key: &[u8]| {
            let shard = keyspace.first + state.shard_of(key);
            shards.binary_search(&shard).expect("each key's shard is there")
        };
        let is_swapped = || state.databases.version() != keyspace.version;
        let slots = || keys.clone().map(slot);
        let confirmed = (0..ATTEMPTS).find_map(|_| {
            let changes = state.ownership.changes();
            if !enter_all((state, readers), &shards, &mut versions, &mut entered) {
                return None;
            }
            // After the states were entered: they may be some in which the keys of a slot are missing already.
            let confirmed = state.ownership.confirm(changes, slots());
            (confirmed != Confirmed::Again).then_some(confirmed)
        });
        let mut is_there = true;
        match confirmed {
            // [DB-1] After the states were entered, as for a single read.
            Some(_) if is_swapped() => is_there = false,
            Some(Confirmed::Owned) => {
                let find =
                    |key: &[u8]| entered[index(key)].get_key_value(key).map(|(there, ())| *there);
                with(Some(KeySnapshot { time: now, find: &find }));
            }
            Some(_) => with(None),
            None => {
                // Leave the read sections first: a writer that waits for them holds a lock that this thread needs.
                entered.clear();
                let mut cores = state.lock_all(shards.clone());
                if is_swapped() {
                    is_there = false;
                } else if slots().all(|slot| state.ownership.has(|| slot)) {
                    let now = state.clock.now();
                    let times = cores.iter_mut().map(|(_, core)| core.advance_time(now));
                    let time = times.max().unwrap_or(now);
                    let find = |key: &[u8]| cores[index(key)].1.find(key);
                    with(Some(KeySnapshot { time, find: &find }));
                } else {
                    with(None);
                }
            }
        }
        let seen = is_there.then(|| last_seen(state, &shards, keys));
        let entered = emptied(entered);
        // One element a key until duplicates are removed: a long MGET must not leave a large buffer.
        let shards = emptied(shards);
        *self = Self { shards, versions, entered };
        seen
    }
}

impl MultiReadResult {
    /// Counts a key, which may be missing.
    fn count(&mut self, at: usize, alive: Option<Record>, notes: bool) {
        self.hits += u64::from(alive.is_some());
        if notes && alive.is_none() {
            self.missed.push(at);
        }
    }
}

/// Returns the last entry that changed any of the keys, or of their shards.
fn last_seen<'k>(state: &State, shards: &[usize], keys: impl Iterator<Item = &'k [u8]>) -> Lsn {
    let seen = if state.has_slot_marks() {
        keys.map(|key| state.mark(state.shard_of(key), || slot(key))).max()
    } else {
        shards.iter().map(|shard| state.shards[*shard].stats().published_lsn()).max()
    };
    seen.unwrap_or(0)
}

/// Enters the states of these shards. Returns whether they form one snapshot: not if a shard published meanwhile.
fn enter_all<'s>(
    (state, readers): (&State, &'s [ShardReader]),
    shards: &[usize],
    versions: &mut Vec<u64>,
    entered: &mut Vec<Entered<'s>>,
) -> bool {
    let stats = |shard: &usize| state.shards[*shard].stats();
    versions.clear();
    entered.clear();
    for shard in shards {
        // A shard that is publishing has no version to compare with: try again.
        let Some(version) = stats(shard).version() else {
            std::hint::spin_loop();
            return false;
        };
        versions.push(version);
    }
    entered.extend(shards.iter().map(|shard| readers[*shard].enter()));
    // [MO-3] SeqCst: every multi-read passes this fence, so their order is the same for all.
    fence(Ordering::SeqCst);
    shards.iter().zip(versions).all(|(shard, version)| stats(shard).is_still(*version))
}
