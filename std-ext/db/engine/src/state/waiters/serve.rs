//! Serving waiters, under the lock of the shard that has got an element.

use super::table::ReadyKey;
use super::waiter::{OwnedAnswer, Served, WaitEnd, WaitOutcome, Waiter, Wanted};
use crate::request::{Answer, ElementListBuilder};
use crate::state::shard::Core;
use crate::state::{LockedShards, State, apply_change};
use std::collections::VecDeque;
use std::sync::Arc;

/// A key of a database whose first waiter moves its element, so it is served without this lock.
pub(crate) type MoveKey = (u16, Box<[u8]>);

impl State {
    /// Serves the waiters for the keys of a locked shard that have got a value. Appends the changes to its entry.
    /// If that becomes long, some keys are left, and the caller calls this again with another entry.
    #[cold]
    pub(crate) fn serve_shard(
        &self,
        core: &mut Core,
        (database, time): (u16, u64),
        log: &mut Vec<u8>,
        moves: &mut VecDeque<MoveKey>,
    ) {
        let mut ready = core.waiters.take_ready().into_iter();
        while let Some(key) = ready.next() {
            if self.serve_key(core, (database, time), &key.1, log, moves) {
                core.waiters.give_back(std::iter::once(key).chain(ready));
                return;
            }
        }
    }

    /// Serves the waiters for all keys of locked shards that have got a value, in the order in which they got it. All
    /// changes are published.
    #[inline]
    pub(crate) fn serve_locked(
        &self,
        cores: &mut LockedShards<'_>,
        time: u64,
        moves: &mut VecDeque<MoveKey>,
    ) {
        if cores.iter().any(|(_, core)| core.waiters.has_ready()) {
            self.serve_all_locked(cores, time, moves);
        }
    }

    #[cold]
    fn serve_all_locked(
        &self,
        cores: &mut LockedShards<'_>,
        time: u64,
        moves: &mut VecDeque<MoveKey>,
    ) {
        let mut ready: Vec<(ReadyKey, usize)> = Vec::new();
        for (place, (_, core)) in cores.iter_mut().enumerate() {
            ready.extend(core.waiters.take_ready().into_iter().map(|key| (key, place)));
        }
        ready.sort_unstable_by_key(|((number, _), _)| *number);
        let mut entry = Vec::new();
        for ((_, key), place) in ready {
            let (number, core) = &mut cores[place];
            let database = self.database_of(*number);
            loop {
                entry.clear();
                self.begin_entry(*number, &mut entry);
                let head = entry.len();
                let is_long = self.serve_key(core, (database, time), &key, &mut entry, moves);
                if entry.len() > head {
                    self.log_and_publish(&self.shards[*number], core, time, &entry);
                } else {
                    // Readers have got what was published before.
                    core.waiters.tell_served(self.shards[*number].stats().published_lsn());
                }
                if !is_long {
                    break;
                }
            }
        }
    }

    /// Serves the waiters for keys of a locked shard that were removed without a log entry, or with one of its own. All
    /// changes are published.
    pub(crate) fn serve_gone(&self, (number, core): (usize, &mut Core), time: u64) {
        while core.waiters.has_ready() {
            let (mut entry, mut moves) = (Vec::new(), VecDeque::new());
            self.begin_entry(number, &mut entry);
            let head = entry.len();
            let of = (self.database_of(number), time);
            self.serve_shard(core, of, &mut entry, &mut moves);
            // Whoever has added an element serves those who move it.
            let changes = if entry.len() > head { &entry[..] } else { &[] };
            self.log_and_publish(&self.shards[number], core, time, changes);
        }
    }

    /// Serves the waiters for a key. Returns whether it has stopped because the entry is long.
    fn serve_key(
        &self,
        core: &mut Core,
        (database, time): (u16, u64),
        key: &[u8],
        log: &mut Vec<u8>,
        moves: &mut VecDeque<MoveKey>,
    ) -> bool {
        if self.serve_readers(core, time, key, log) {
            return true;
        }
        while let Some(waiter) = first_waiter(core, time, key) {
            let Wanted::Pop(popped, count) = waiter.wanted() else {
                moves.push_back((database, key.into()));
                return false;
            };
            // From here on it gets the element, whatever becomes of its client.
            if !waiter.claim() {
                continue;
            }
            let (change, mut taken) = (popped.change(*count, usize::MAX), None);
            apply_change(core, (time, false), key, &change, log, &mut |made| {
                behind_key(key, made, &mut |made| taken = Some(self.served(made)));
            });
            pass(core, &waiter, taken);
            core.waiters.remove(&waiter, key);
            if log.len() >= self.longest_entry {
                return true;
            }
        }
        false
    }

    /// Returns the answer to a waiter, by an entry that the log has not got yet.
    pub(crate) fn served(&self, answer: Answer<'_>) -> Served {
        // The epoch as of now: an entry of an epoch that ends before it is appended is not taken for one of the next.
        let (rollbacks, epoch) = (self.rollbacks(), self.log.epoch());
        Served { lsn: 0, rollbacks, epoch, answer: OwnedAnswer::of(answer) }
    }
}

/// Returns the waiter that gets the next element of a key, if it has one.
pub(crate) fn first_waiter(core: &mut Core, time: u64, key: &[u8]) -> Option<Arc<Waiter>> {
    let alive = core.find(key).filter(|record| !record.is_expired(time))?;
    core.waiters.first(key, alive.value().value_type())
}

/// Passes an answer to a waiter whose turn it was, once the change is published.
pub(crate) fn pass(core: &mut Core, waiter: &Arc<Waiter>, taken: Option<Served>) {
    match taken.map(|served| (served.answer.error(), served)) {
        Some((None, served)) => core.waiters.push_served(Arc::clone(waiter), served),
        Some((Some(error), _)) => {
            waiter.finish(WaitOutcome::Ended(WaitEnd::Refused(error)));
        }
        None => debug_assert!(false, "a change without an answer"),
    }
}

/// Answers elements that were taken from a key behind the key, and anything else as it is.
pub(crate) fn behind_key(key: &[u8], taken: Answer<'_>, answer: &mut dyn FnMut(Answer<'_>)) {
    let Answer::Elements(elements, next) = taken else { return answer(taken) };
    let mut all = ElementListBuilder::new(usize::MAX);
    all.push(key);
    elements.iter().for_each(|element| all.push_or_nil(element));
    answer(Answer::Elements(all.list(), next));
}
