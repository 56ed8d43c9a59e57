//! The watermark: the time by which a follower may remove expired keys.
//!
//! The times of log entries are not in order. A worker reads the clock under its own shard's lock and appends later, so
//! an entry of another shard with a later time may come before. A follower that removed expired keys by the time of the
//! last entry would lose keys that a later entry, with an earlier time, still finds at the primary. So the primary logs
//! a watermark about once a second: no later entry has an earlier time.
//!
//! Snapshots of all nodes of a cluster leave out keys by the watermark only, those of the primary too. A primary that
//! is deposed may have left its successor behind its own clock.

use super::State;
use super::logged_watermark::LoggedWatermark;
use crate::log::change;
use crate::state::role::Role;
use crate::state::shard::Core;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

impl State {
    /// Returns the time of the last watermark.
    pub fn watermark(&self) -> u64 {
        // Relaxed: if the watermark goes back, it is stored and read under a shard's lock. If it rises, a thread that
        // reads the earlier time removes less.
        self.watermark.load(Ordering::Relaxed)
    }

    /// Sets the watermark. The caller holds the locks of all shards, or the new watermark is no earlier than the
    /// present one.
    pub(super) fn set_watermark(&self, time: u64) {
        // Relaxed: for the reason given in `watermark`.
        self.watermark.store(time, Ordering::Relaxed);
    }

    /// Returns the time by which expired keys of a locked shard may be removed.
    pub(crate) fn removal_time(&self, core: &mut Core) -> u64 {
        match self.role.get() {
            Role::Alone | Role::Primary => core.advance_time(self.clock.now()),
            Role::Loading | Role::Follower => self.watermark(),
        }
    }

    /// Returns the time by which a snapshot may leave out expired keys of a locked shard.
    pub fn snapshot_time(&self, core: &mut Core) -> u64 {
        match self.role.get() {
            Role::Alone => core.advance_time(self.clock.now()),
            Role::Loading | Role::Follower | Role::Primary => self.watermark(),
        }
    }

    /// Logs a watermark if this node is the primary, followers may have keys to remove, and the last watermark was
    /// logged a second ago.
    pub(crate) fn log_watermark_if_due(&self) {
        if self.role.get() != Role::Primary {
            return;
        }
        let mut logged = self.logged_watermark.lock().unwrap_or_else(PoisonError::into_inner);
        if self.log_watermark_for_digest(&mut logged) {
            return;
        }
        let now = self.clock.now();
        if !logged.is_old(now) {
            return;
        }
        let has_ttl = self.has_ttl();
        if logged.is_outdated(has_ttl, self.log.last()) {
            self.log_watermark(&mut logged, now, has_ttl);
        }
    }

    /// Prepares the end of a snapshot whose shards are written. Once the last entry is committed, no later entry has an
    /// earlier time than any by which keys were removed. Returns false if that cannot be.
    ///
    /// A primary removes expired keys by its own clock, and logs nothing. Its successor may begin earlier, and still
    /// have them. So the snapshot of a primary counts only with a watermark behind all removals. A former primary
    /// writes none before it follows a successor that begins late enough.
    pub fn seal_snapshot(&self) -> bool {
        match self.role.get() {
            Role::Alone => true,
            Role::Primary => {
                let mut logged =
                    self.logged_watermark.lock().unwrap_or_else(PoisonError::into_inner);
                self.log_watermark(&mut logged, self.clock.now(), self.has_ttl())
            }
            Role::Loading | Role::Follower => self.removed_by() <= self.watermark(),
        }
    }

    fn has_ttl(&self) -> bool {
        self.shards.iter().any(|shard| shard.stats().keys_with_ttl() != 0)
    }

    /// Logs a watermark, unless no change may begin. Returns whether it did.
    fn log_watermark(&self, logged: &mut LoggedWatermark, now: u64, has_ttl: bool) -> bool {
        // A thread that makes a change keeps its shard locked from the time that it reads to the entry that it
        // appends. So a change with an earlier time than this visit was appended before the watermark.
        let visits = self.shards.iter().map(|shard| shard.lock().advance_time(self.clock.now()));
        let watermark = visits.min().unwrap_or(now);
        let mut entry = Vec::new();
        change::watermark(watermark, &mut entry);
        // Checked under a lock: the thread that makes this node step down takes all of them.
        let _core = self.shards[0].lock();
        if self.check_writable().is_err() {
            return false;
        }
        let Ok(number) = self.log.append(watermark, &entry) else { return false };
        self.set_watermark(watermark);
        *logged = LoggedWatermark { at: now, entry: number, had_ttl: has_ttl };
        true
    }

    /// Returns the time by which this node has removed keys when it was the primary last.
    fn removed_by(&self) -> u64 {
        // Under a lock: the thread that makes this node step down holds all of them while it stores time and role.
        let _core = self.shards[0].lock();
        // Relaxed: ordered by that lock, so a thread that has read the new role reads the time of it.
        self.removed_by.load(Ordering::Relaxed)
    }
}
