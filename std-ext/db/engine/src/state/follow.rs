//! A node of a cluster: applies the entries that the primary has committed, and changes its role.

use super::load::{apply_logged, move_logged};
use super::waiters::WaitEnd;
use super::{LockedShards, State};
use crate::log::Lsn;
use crate::log::change::{LoggedChanges, LoggedOp};
use crate::slot_set::SlotSet;
use crate::slots::{SLOTS, slot};
use crate::state::role::Role;
use std::error::Error;
use std::fmt;
use std::sync::atomic::Ordering;

/// Why a node cannot follow on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowError {
    /// This is not the entry after the last one.
    Gap {
        /// The entry that was expected.
        expected: Lsn,
        /// The entry that came.
        found: Lsn,
    },
    /// The entry contains an operation that is malformed, or that this version does not know.
    Unknown(Lsn, &'static str),
    /// The entry contains an operation that fails on this state, so the state is not that of the primary. The
    /// operations before it were applied.
    Impossible(Lsn, &'static str),
    /// The new primary begins at a time before that by which this node, when it was the primary, may have removed
    /// expired keys. The node has to load its folder again.
    TimeWentBack {
        /// The entry with which the new primary begins.
        entry: Lsn,
        /// The time of that entry.
        begins: u64,
        /// The time by which this node has removed keys.
        removed: u64,
    },
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Gap { expected, found } => {
                write!(f, "expected log entry {expected}, but got entry {found}")
            }
            Self::Unknown(entry, why) | Self::Impossible(entry, why) => {
                write!(f, "log entry {entry} cannot be applied: {why}")
            }
            Self::TimeWentBack { entry, begins, removed } => write!(
                f,
                "the primary of log entry {entry} begins at {begins} ms, but this node has removed keys that expired \
                 by {removed} ms"
            ),
        }
    }
}

impl Error for FollowError {}

/// The state of a primary that has stepped down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SteppedDown {
    /// The last entry that changed the state.
    pub last: Lsn,
    /// The time by which it may have removed expired keys. A primary that begins earlier has keys that this state
    /// lacks.
    pub time: u64,
}

impl State {
    /// See [`Db::follow`](crate::Db::follow).
    pub fn follow(
        &self,
        entries: &[(Lsn, u64, &[u8])],
        publish_last: &dyn Fn(Lsn),
    ) -> Result<(), FollowError> {
        entries.iter().try_for_each(|&(entry, time, changes)| {
            let expected = self.log.last() + 1;
            // Applied anyway, the entry would meet a state that is not the one for which its outcome was computed.
            if entry != expected {
                return Err(FollowError::Gap { expected, found: entry });
            }
            self.follow_entry((entry, time), changes, publish_last)
        })
    }

    fn follow_entry(
        &self,
        (entry, time): (Lsn, u64),
        changes: &[u8],
        publish_last: &dyn Fn(Lsn),
    ) -> Result<(), FollowError> {
        // Before anything is locked or changed: an entry that cannot be read changes nothing.
        let shards = self.shards_of((entry, time), changes)?;
        let mut cores = self.lock_all(shards);
        for (_, core) in &mut cores {
            core.advance_time(time);
        }
        let mut log = Vec::new();
        for operation in LoggedChanges::new(changes).map_while(Result::ok) {
            self.follow_operation(&mut cores, (entry, time), operation, &mut log)
                .map_err(|why| FollowError::Impossible(entry, why))?;
        }
        // Relaxed: only this thread stores it while the node follows. Before the entry is published: a snapshot that
        // has the entry must not have an earlier time.
        self.latest_entry.fetch_max(time, Ordering::Relaxed);
        // Under the locks: a snapshot that locks one of these shards afterwards must see that it contains this entry,
        // and one that has locked it before, that it does not. Before publishing: the records that this entry has
        // removed are freed once the log says that the entry is committed.
        publish_last(entry);
        self.publish_entry(&mut cores, Some(entry), changes);
        self.note_watermark(&mut cores, entry, changes);
        Ok(())
    }

    /// Returns the shards that an entry changes.
    fn shards_of(
        &self,
        (entry, time): (Lsn, u64),
        changes: &[u8],
    ) -> Result<Vec<usize>, FollowError> {
        let mut shards = Vec::new();
        for operation in LoggedChanges::new(changes) {
            match operation.map_err(|why| FollowError::Unknown(entry, why))? {
                LoggedOp::Change(key, _) => shards.push(self.shard_of(key)),
                LoggedOp::Rename(from, to) => {
                    shards.extend([self.shard_of(from), self.shard_of(to)]);
                }
                LoggedOp::Clear(begin, end) if begin < end && end <= SLOTS => {
                    shards.extend(self.sharding.shard(begin)..=self.sharding.shard(end - 1));
                }
                LoggedOp::Clear(..) => {
                    return Err(FollowError::Unknown(
                        entry,
                        "an entry clears an invalid range of slots",
                    ));
                }
                // The primary held all locks as well when it appended these (`follow_clock`, `gain_slots`).
                LoggedOp::Clock(_) | LoggedOp::Own(..) => shards.extend(0..self.shards.len()),
                LoggedOp::Out(_, slots) => {
                    shards.extend(self.shards_with(&SlotSet::from_bits(slots)));
                }
                LoggedOp::Begin(..) => {
                    // Relaxed: stored under the locks of all shards, before this node began to follow.
                    let removed = self.removed_by.load(Ordering::Relaxed);
                    // This node may have removed keys that the new primary still has, and has logged nothing about
                    // them.
                    if time < removed {
                        return Err(FollowError::TimeWentBack { entry, begins: time, removed });
                    }
                }
                LoggedOp::Watermark(watermark) if self.wants_digest_of(watermark) => {
                    shards.extend(0..self.shards.len());
                }
                LoggedOp::Watermark(_) | LoggedOp::Batch(_) => {}
                LoggedOp::Database(_) | LoggedOp::Move(..) | LoggedOp::Swap(..) => {
                    let why = "an entry is for a database other than 0, the only one of a cluster";
                    return Err(FollowError::Unknown(entry, why));
                }
            }
        }
        Ok(shards)
    }

    /// Returns the shards that have any of these slots, in ascending order.
    pub(super) fn shards_with(&self, slots: &SlotSet) -> Vec<usize> {
        let of = |(first, last): (u16, u16)| self.sharding.shard(first)..=self.sharding.shard(last);
        let mut shards: Vec<usize> = slots.ranges().into_iter().flat_map(of).collect();
        shards.dedup();
        shards
    }

    /// Applies an operation to locked shards at the time of its entry. `log` is a buffer.
    fn follow_operation(
        &self,
        cores: &mut LockedShards<'_>,
        (entry, time): (Lsn, u64),
        operation: LoggedOp<'_>,
        log: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let at = |cores: &LockedShards<'_>, key: &[u8]| {
            let shard = self.shard_of(key);
            let place = cores.binary_search_by_key(&shard, |(number, _)| *number);
            place.expect("every shard of the entry is locked")
        };
        match operation {
            LoggedOp::Change(key, change) => {
                let at = at(cores, key);
                apply_logged(&mut cores[at].1, time, key, &change, log)?;
            }
            LoggedOp::Rename(from, to) => {
                let places = (at(cores, from), at(cores, to));
                let mut cores: Vec<_> = cores.iter_mut().map(|(_, core)| &mut **core).collect();
                if !move_logged(&mut cores, places, time, (from, to)) {
                    return Err("an entry renames a key that does not exist");
                }
            }
            LoggedOp::Clear(begin, end) => {
                for (number, core) in cores {
                    let own = self.sharding.slots(*number);
                    // FLUSHALL clears whole shards: no record has to be compared, and the table is freed.
                    if begin <= own.start && own.end <= end {
                        core.clear();
                    } else if own.start < end && begin < own.end {
                        core.remove_where(|record| (begin..end).contains(&slot(record.key())));
                    }
                }
            }
            LoggedOp::Clock(latest) => {
                for (_, core) in cores.iter_mut() {
                    core.remove_where(|record| record.is_expired(latest));
                }
                self.set_time_back(cores, time);
            }
            LoggedOp::Begin(..) => self.set_watermark(self.watermark().max(time)),
            LoggedOp::Watermark(watermark) => self.set_watermark(self.watermark().max(watermark)),
            LoggedOp::Out(of_move, slots) => {
                self.lost.note(of_move, time);
                self.follow_slots(entry, &SlotSet::from_bits(slots), false);
            }
            LoggedOp::Own(_, slots) => self.follow_slots(entry, &SlotSet::from_bits(slots), true),
            LoggedOp::Batch(_)
            // `shards_of` has refused these.
            | LoggedOp::Database(_)
            | LoggedOp::Move(..)
            | LoggedOp::Swap(..) => {}
        }
        Ok(())
    }

    /// Notes that the group has got or lost slots. Their shards are locked. Their keys are published.
    fn follow_slots(&self, entry: Lsn, slots: &SlotSet, owned: bool) {
        self.ownership.assign(slots, owned);
        self.log.assign_slots(entry, slots, owned);
    }

    /// See [`Db::become_follower`](crate::Db::become_follower).
    pub fn become_follower(&self) {
        // A change holds a shard's lock from the check of the role to its entry, so none is in progress under the old
        // role.
        let mut cores = self.lock_every_shard();
        self.role.set(Role::Follower);
        end_waits(&mut cores);
    }

    /// See [`Db::become_primary`](crate::Db::become_primary).
    pub fn become_primary(&self, begin: u64) {
        let mut cores = self.lock_every_shard();
        // Relaxed: stored under the locks of all shards. A node that takes a hand-over back may have set its clock back
        // without an entry, as followers do. None of its entries may be earlier than the watermarks that it has logged.
        let begin = begin.max(self.removed_by.load(Ordering::Relaxed));
        let times = cores.iter_mut().map(|(_, core)| core.advance_time(begin));
        let latest = times.max().unwrap_or(begin);
        // A client's time to live is counted from this clock. A clock that is behind the last entry would give keys an
        // expiration that is over for their shards.
        self.clock.raise(latest);
        self.set_watermark(self.watermark().max(begin));
        self.role.set(Role::Primary);
    }

    /// See [`Db::step_down`](crate::Db::step_down).
    pub fn step_down(&self) -> SteppedDown {
        let mut cores = self.lock_every_shard();
        debug_assert!(!self.log.writable(), "a change may begin after the node has stepped down");
        // With 0, which is never later, this only reads the times.
        let time = cores.iter_mut().map(|(_, core)| core.advance_time(0)).max().unwrap_or(0);
        // Relaxed: ordered by the shards' locks.
        self.removed_by.fetch_max(time, Ordering::Relaxed);
        self.role.set(Role::Follower);
        end_waits(&mut cores);
        SteppedDown { last: self.log.last(), time }
    }
}

/// Ends the waits of clients, which only a primary serves.
fn end_waits(cores: &mut LockedShards<'_>) {
    for (_, core) in cores {
        core.waiters.end_where(WaitEnd::RoleLost, |_| true);
    }
}

#[cfg(test)]
mod tests;
