//! The state of a database: its shards, and the data that they share.
//!
//! # Synchronization
//! A rollback undoes changes that readers may have seen. It holds the locks of all shards. Readers that come meanwhile
//! wait at the [publish gate](publish_gate) until it is complete.
//!
//! - **[RB-1]** The rollback raises the count of rollbacks. Then it stores its entry's number as each shard's published
//!   LSN, with release → a session that loads this LSN (acquire) and compares the count with the one from before its
//!   read sees that it has changed, and discards what it read.
//! - **[RB-2]** The count is raised, with release, before the log counts any entry behind the rollback as committed → a
//!   thread that learns that one of these entries is committed sees the new count, and does not take the entry for one
//!   from before the rollback.
//!
//! No model checks these two orderings. This crate uses std's atomics, locks and threads, and whole maps, which the
//! model checker cannot replace. x86-64 orders these stores and loads in hardware, so no test there fails without them.
//! Tests and mutations check the comparisons of the count. For the orderings this argument stands in: both pairs pass a
//! message. The writer stores the count and then, with release, an LSN. The reader loads the LSN with acquire and then
//! the count. The library's model of published blocks covers this pattern (`PB-1`, `PB-2` in `sync/published_loom.rs`).

pub mod apply;
mod apply_bits;
mod apply_collection;
mod apply_hash;
mod apply_hash_times;
pub(crate) mod apply_hyperloglog;
mod apply_list;
mod apply_noting;
mod apply_set;
mod apply_sorted_set;
mod apply_stream;
mod apply_stream_group;
pub mod bits;
pub mod changed;
pub mod cold;
pub mod counters;
pub mod databases;
pub mod digest;
mod digest_cell;
pub mod encoding_limits;
pub mod evict;
mod extensions;
mod field_expiration;
mod filtered_counts;
pub mod follow;
pub mod heap;
pub mod hyperloglog;
mod invalidation;
mod key_events;
pub mod key_tracker;
mod keyspaces;
pub mod limit;
pub mod load;
mod logged_watermark;
mod lost_slots;
pub mod maintenance;
pub(crate) mod noted_events;
mod owned;
pub mod ownership;
pub(crate) mod publish_gate;
pub mod random;
pub mod record;
pub mod role;
pub(crate) mod rope;
pub mod shard;
mod shard_stats;
mod sharding;
pub mod slabs;
pub mod slot_counts;
pub(crate) mod slot_lsns;
mod stream_events;
mod subscriptions;
mod tracked;
pub mod transfer;
#[allow(dead_code)]
pub(crate) mod tree;
pub mod usage;
pub mod value;
pub mod waiters;
pub mod watched_keys;
mod watermark;
pub(crate) mod xxh3;

use crate::bounds::{LEAST_PRODUCED_BYTES, MAX_MULTI_KEY_BYTES, MAX_PRODUCED_BYTES};
use crate::clock::ExpiryClock;
use crate::latency_monitor::LatencyMonitor;
use crate::log::change;
use crate::log::{Log, Lsn, Rollback};
use crate::options::Options;
use crate::request::{Change, RequestError};
use crate::slots::slot;
use crate::watch::Watchers;
use apply::Apply;
use cold::ColdStore;
use counters::Counters;
use databases::{Databases, Shards};
use encoding_limits::SharedEncodingLimits;
use extensions::Extensions;
use heap::HeapTrimmer;
use key_tracker::TrackedKeys;
use limit::MemoryLimit;
use load::LoadingShards;
use logged_watermark::LoggedWatermark;
use noted_events::KeyEvents;
use ownership::Ownership;
use publish_gate::PublishGate;
use record::Record;
use role::{Role, RoleCell};
use shard::pins::{self, NamedRecords};
use shard::{Core, Shard, ShardContext};
use sharding::Sharding;
use slabs::SlabCompaction;
use slot_lsns::SlotLsns;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use usage::UsageClock;
use waiters::WaitEnd;

pub struct State {
    pub shards: Shards,
    pub databases: Databases,
    /// Whether changes are logged. A change whose entry cannot be logged is undone.
    is_logged: bool,
    pub sharding: Sharding,
    pub clock: ExpiryClock,
    pub log: Arc<dyn Log>,
    pub cold: Option<Arc<ColdStore>>,
    pub(crate) publish_gate: PublishGate,
    pub(crate) watchers: Watchers,
    pub(crate) key_events: KeyEvents,
    pub tracked: TrackedKeys,
    pub extensions: Extensions,
    pub limit: Arc<MemoryLimit>,
    pub encodings: Arc<SharedEncodingLimits>,
    /// The events of this database's threads that took long, and those of the server that serves it.
    pub latency: Arc<LatencyMonitor>,
    pub(crate) heap_trimmer: HeapTrimmer,
    compaction: SlabCompaction,
    pub role: RoleCell,
    slot_lsns: SlotLsns,
    pub ownership: Ownership,
    /// The moves that send keys of this group to another one.
    subscriptions: subscriptions::MoveSubscriptions,
    pub lost: lost_slots::LostSlots,
    /// The bounds of the log's entries and of requests, in bytes.
    pub longest_entry: usize,
    pub largest_request: usize,
    /// No later log entry has a time before this one.
    watermark: AtomicU64,
    logged_watermark: Mutex<LoggedWatermark>,
    digests: digest_cell::DigestCell,
    /// The latest time of the entries that a follower has applied, since the one that set the clock back last.
    latest_entry: AtomicU64,
    /// The time by which this node has removed expired keys when it was the primary last; 0 if it never was, or if the
    /// log has set the clock back since.
    removed_by: AtomicU64,
    /// Bytes of records and tables, in all shards.
    memory: AtomicUsize,
    /// Bytes of the values in `cold`, as of the last look-up.
    pub(crate) cold_memory: AtomicUsize,
    /// Number of rollbacks.
    rollbacks: AtomicU64,
    /// The log entry that set the clock back last, and the time before.
    set_back: Mutex<(Lsn, u64)>,
    pub expired: AtomicU64,
    pub evicted: AtomicU64,
    /// Number of snapshots that are being written. Raised before the first shard is locked for one. So a thread that
    /// locks a shard after the snapshot did sees the raised number.
    snapshots: AtomicUsize,
    /// The counters of all threads, also of threads that have ended.
    counters: Mutex<Vec<Arc<Counters>>>,
}

impl State {
    pub fn new(
        shards: LoadingShards,
        log: Arc<dyn Log>,
        clock: ExpiryClock,
        options: &Options,
    ) -> Self {
        // Without a folder no entry can fail, so nothing is kept for a rollback.
        Self::build(shards, log, clock, options.folder.is_some())
    }

    /// Creates a state without a log, of the keys that `load` loads.
    #[cfg(test)]
    pub(crate) fn without_log(options: &Options, load: impl FnOnce(&LoadingShards)) -> Self {
        let shards = LoadingShards::new(options);
        load(&shards);
        let clock = ExpiryClock::starting(options.time.clone(), 0);
        Self::new(shards, Arc::new(crate::log::none::NoLog::new()), clock, options)
    }

    /// Creates the state of a node of a cluster, which is loading. `watermark` is the time of the last watermark, and
    /// `latest` that of the last entry.
    pub fn clustered(
        shards: LoadingShards,
        log: Arc<dyn Log>,
        (watermark, latest): (u64, u64),
        options: &Options,
    ) -> Self {
        let clock = ExpiryClock::starting(options.time.clone(), latest);
        let ownership = Ownership::of(&log.slots());
        // The log contains all changes, with their values, also without a folder.
        let state = Self::build(shards, log, clock, true);
        let (role, slot_lsns) = (RoleCell::new(Role::Loading), SlotLsns::by_slot());
        Self {
            role,
            slot_lsns,
            ownership,
            watermark: watermark.into(),
            latest_entry: latest.into(),
            ..state
        }
    }

    fn build(
        shards: LoadingShards,
        log: Arc<dyn Log>,
        clock: ExpiryClock,
        is_logged: bool,
    ) -> Self {
        let lost = shards.lost.take();
        let (all, databases, sharding, context) = shards.into_parts();
        let ShardContext { cold, limit, encodings } = context;
        let memory = all.finish_loading(is_logged).into();
        Self {
            role: RoleCell::new(Role::Alone),
            slot_lsns: SlotLsns::default(),
            ownership: Ownership::default(),
            subscriptions: subscriptions::MoveSubscriptions::default(),
            lost,
            longest_entry: log.longest_entry(),
            largest_request: log.largest_request(),
            watermark: AtomicU64::new(0),
            logged_watermark: Mutex::default(),
            digests: digest_cell::DigestCell::default(),
            latest_entry: AtomicU64::new(0),
            removed_by: AtomicU64::new(0),
            shards: all,
            databases,
            is_logged,
            sharding,
            clock,
            log,
            cold,
            publish_gate: PublishGate::default(),
            latency: Arc::default(),
            watchers: Watchers::default(),
            key_events: KeyEvents::default(),
            tracked: TrackedKeys::default(),
            extensions: Extensions::default(),
            limit,
            encodings,
            heap_trimmer: HeapTrimmer::default(),
            compaction: SlabCompaction::default(),
            memory,
            cold_memory: AtomicUsize::new(0),
            rollbacks: AtomicU64::new(0),
            set_back: Mutex::default(),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            snapshots: AtomicUsize::new(0),
            counters: Mutex::default(),
        }
    }

    /// Returns how the use of a key at this time is recorded.
    #[inline]
    pub(crate) fn usage_at(&self, now: u64) -> UsageClock<'_> {
        UsageClock { now, limit: &self.limit }
    }

    /// Returns a key's shard among those of a keyspace.
    #[inline]
    pub fn shard_of(&self, key: &[u8]) -> usize {
        self.sharding.shard(slot(key))
    }

    /// Returns the log entry that must be committed before an answer may leave that has read a key of this slot, from
    /// the shard's published state or under its lock.
    #[inline]
    pub fn mark(&self, shard: usize, slot: impl FnOnce() -> u16) -> Lsn {
        self.slot_lsns.get(slot).unwrap_or_else(|| self.shards[shard].stats().published_lsn())
    }

    /// Whether answers wait for the entries of their slots, and not for those of their shards.
    #[inline]
    pub(crate) fn has_slot_marks(&self) -> bool {
        self.slot_lsns.get(|| 0).is_some()
    }

    /// Returns whether a change may begin, and why not. The caller holds the lock of a shard that it changes.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<(), RequestError> {
        match self.role.get() {
            Role::Alone | Role::Primary if self.log.writable() => Ok(()),
            Role::Alone => Err(RequestError::LogUnavailable),
            // Not `NotPrimary`, after which clients look for another primary and find the same log full.
            Role::Primary if self.log.is_full() => Err(RequestError::LogFull),
            Role::Loading | Role::Follower | Role::Primary => Err(RequestError::NotPrimary),
        }
    }

    /// Returns the bytes from which on a request must not be executed.
    #[inline]
    pub(crate) fn exceeds_entry(&self, request: &crate::request::Request<'_>) -> bool {
        self.largest_request != usize::MAX && request.logged_bytes() > self.largest_request
    }

    /// Returns how many bytes of values the commands of one transaction or script may copy or compute. A data set with
    /// a limit has no longer values than that.
    pub(crate) fn most_produced(&self) -> usize {
        let most = match self.limit.bytes() {
            0 => MAX_PRODUCED_BYTES,
            bytes => bytes.clamp(LEAST_PRODUCED_BYTES, MAX_PRODUCED_BYTES),
        };
        most.min(self.largest_request)
    }

    /// Returns how many bytes of memory the changes of one transaction or script may take, replaced values included:
    /// these stay until all is published.
    pub(crate) fn most_held(&self) -> usize {
        match self.limit.bytes() {
            0 => MAX_MULTI_KEY_BYTES,
            bytes => bytes.clamp(LEAST_PRODUCED_BYTES, MAX_MULTI_KEY_BYTES),
        }
    }

    /// Returns the error for changes that no log entry can hold.
    #[cold]
    pub fn too_long(&self) -> RequestError {
        match self.largest_request {
            usize::MAX => RequestError::ValuesTooLong,
            _ => RequestError::EntryTooLong,
        }
    }

    /// Returns the latest time that the log is known to contain since the clock was set back last, or a later one.
    pub fn latest_time(&self) -> u64 {
        // Relaxed: a number that orders nothing.
        self.clock.now().max(self.latest_entry.load(Ordering::Relaxed))
    }

    /// Returns the last entry of the log, and a time that is no earlier than those of the entries up to this one.
    pub fn last_entry(&self) -> (Lsn, u64) {
        // Under a lock: an entry that sets the clock back is appended under the locks of all shards. Between the two
        // loads, it would give an entry from before it the time from behind it.
        let _core = self.shards[0].lock();
        (self.log.last(), self.latest_time())
    }

    /// Returns the approximate bytes of keys, values and tables.
    pub fn memory(&self) -> usize {
        // Relaxed: counts, each by itself.
        self.memory.load(Ordering::Relaxed) + self.cold_memory.load(Ordering::Relaxed)
    }

    /// Looks up the bytes of the values in `cold`.
    pub(crate) fn update_cold_memory(&self) {
        if let Some(cold) = &self.cold {
            // Relaxed: a count.
            self.cold_memory.store(cold.memory(), Ordering::Relaxed);
        }
    }

    fn add_memory(&self, by: isize) {
        if by != 0 {
            // Relaxed: a count; additions commute.
            self.memory.fetch_add(by.cast_unsigned(), Ordering::Relaxed);
        }
    }

    /// Logs the changes that were made in a shard, and publishes them to readers. Returns the number of the log entry,
    /// 0 if there is nothing to log, and `Lsn::MAX` if the log accepts no entry.
    pub fn log_and_publish(&self, shard: &Shard, core: &mut Core, time: u64, log: &[u8]) -> Lsn {
        let entry = self.log_entry(time, log, core.replaced());
        // Before the publication: a client that has read the new value must find its watch broken.
        core.watched_keys.note(log, || None);
        let invalidation = self.collect_invalidation(log, std::iter::once(&mut *core));
        // The LSN is stored before the state is published. Otherwise a session could read the new state, get an older
        // LSN, and answer before the change is committed.
        self.slot_lsns.note(entry, log);
        self.add_memory(shard.update_stats(core, entry));
        shard.stats().begin_publish();
        core.publish(shard.stats().published_lsn(), self.log.committed());
        shard.stats().end_publish();
        let entry = self.notify_watchers(entry, log);
        // One load for each call, so that nothing else is done while no event is published.
        if core.events.is_on() {
            self.publish_noted(std::iter::once(&mut *core));
        }
        // After the publication: a client that reads the key then gets the new value.
        if let Some(invalidation) = invalidation {
            self.invalidate(&invalidation);
        }
        core.waiters.tell_served(shard.stats().published_lsn());
        entry
    }

    /// As `log_and_publish`, for several shards: readers see either none of the changes or all of them.
    pub(crate) fn log_and_publish_all(
        &self,
        cores: &mut LockedShards<'_>,
        time: u64,
        log: &[u8],
    ) -> Lsn {
        self.log_and_publish_with(cores, time, log, || {})
    }

    /// As `log_and_publish_all`. `publish` is called when the log has the entry, and each of its shards knows that.
    fn log_and_publish_with(
        &self,
        cores: &mut LockedShards<'_>,
        time: u64,
        log: &[u8],
        publish: impl FnOnce(),
    ) -> Lsn {
        let replaced = cores.iter().map(|(_, core)| core.replaced()).sum();
        let entry = self.log_entry(time, log, replaced);
        self.publish_with(cores, entry, log, publish)
    }

    /// Appends an entry of changes that have replaced this many bytes of values. Without changes there is none: then
    /// expired keys were removed. Replay removes them by itself, from their expiration.
    fn log_entry(&self, time: u64, changes: &[u8], replaced: usize) -> Option<Lsn> {
        if changes.is_empty() {
            return None;
        }
        if self.is_logged {
            changed::note(changes.len().saturating_add(replaced));
        }
        // An entry that was refused is never committed: `commit` returns the error for this number, and the reply is
        // dropped.
        Some(self.log.append_holding(time, changes, replaced).unwrap_or(Lsn::MAX))
    }

    /// Publishes the changes of an entry that the log has, in locked shards.
    fn publish_entry(
        &self,
        cores: &mut LockedShards<'_>,
        entry: Option<Lsn>,
        changes: &[u8],
    ) -> Lsn {
        self.publish_with(cores, entry, changes, || {})
    }

    fn publish_with(
        &self,
        cores: &mut LockedShards<'_>,
        entry: Option<Lsn>,
        changes: &[u8],
        publish: impl FnOnce(),
    ) -> Lsn {
        // Before any state is published, for the reason given in `log_and_publish`.
        self.slot_lsns.note(entry, changes);
        let all = cores.iter_mut().map(|(_, core)| &mut **core);
        let invalidation = self.collect_invalidation(changes, all);
        // All versions are odd before the first shard is published. So a multi-read that sees one of the new states
        // retries, and never combines it with an old one.
        for (number, core) in cores.iter_mut() {
            core.watched_keys.note(changes, || Some(self.database_of(*number)));
            self.add_memory(self.shards[*number].update_stats(core, entry));
            self.shards[*number].stats().begin_publish();
        }
        // One shard becomes visible at once by itself.
        let publishing = (cores.len() > 1).then(|| self.publish_gate.begin());
        publish();
        self.publish_all(cores);
        let entry = self.notify_watchers(entry, changes);
        // Readers that wait at the gate do not wait for the events as well.
        drop(publishing);
        self.publish_events(cores);
        if let Some(invalidation) = invalidation {
            self.invalidate(&invalidation);
        }
        for (number, core) in cores.iter_mut() {
            core.waiters.tell_served(self.shards[*number].stats().published_lsn());
        }
        entry
    }

    /// Publishes locked shards. Their versions are odd already.
    fn publish_all(&self, cores: &mut LockedShards<'_>) {
        let committed = self.log.committed();
        for (number, core) in cores.iter_mut() {
            core.publish(self.shards[*number].stats().published_lsn(), committed);
        }
        for (number, _) in cores.iter() {
            self.shards[*number].stats().end_publish();
        }
    }

    /// Undoes all changes since the last publish in locked shards that [record](Core::record_undo) them. No reader sees
    /// any of it.
    pub(crate) fn undo_unpublished(&self, cores: &mut LockedShards<'_>) {
        let committed = self.log.committed();
        for (number, core) in cores.iter_mut() {
            let shard = &self.shards[*number];
            core.undo_unpublished();
            self.add_memory(shard.update_stats(core, None));
            shard.stats().begin_publish();
            // As of entry 0: a later rollback must not undo the same steps again.
            core.publish(0, committed);
            shard.stats().end_publish();
        }
    }

    /// Undoes the changes whose log entries are not committed, because the log cannot be written. All that readers see
    /// afterwards is committed. The caller holds no shard's lock.
    pub fn roll_back(&self) {
        let mut cores = self.lock_every_shard();
        // The disk has room again, and the log has written all entries.
        if self.log.writable() {
            return;
        }
        // Before the count is raised: a session that sees the new count waits until all shards are published.
        let _publishing = self.publish_gate.begin();
        // [RB-1] [RB-2] Release: pairs with the acquire in `rollbacks`. It comes before the log counts entries behind
        // the rollback as committed, and before any shard publishes the rollback.
        self.rollbacks.fetch_add(1, Ordering::Release);
        // A list that is there again has elements for which others may wait by now. No change serves them, since the
        // log cannot be written. So they get the error that they would get if they came now.
        for (_, core) in &mut cores {
            core.waiters.end_where(WaitEnd::Refused(RequestError::LogUnavailable), |_| true);
        }
        let Some(Rollback { committed, mark }) = self.log.roll_back() else { return };
        self.slot_lsns.roll_back(committed, mark);
        self.databases.roll_back(committed);
        for (number, core) in &mut cores {
            let shard = &self.shards[*number];
            // A shard that has lost nothing keeps its entry, which is committed.
            let entry = (shard.stats().published_lsn() > committed).then_some(mark);
            core.roll_back(committed);
            // All of them: which keys are restored is not collected. A transaction that fails without need is repeated
            // by its client.
            core.watched_keys.note_all();
            self.add_memory(shard.update_stats(core, entry));
            shard.stats().begin_publish();
        }
        self.publish_all(&mut cores);
        // All keys, for the same reason: clients may have cached what was undone.
        if self.tracked.is_on() {
            self.tracked.all_changed();
        }
        let (entry, from) = *self.set_back.lock().unwrap_or_else(PoisonError::into_inner);
        // The log has discarded the entry that set the clock back, so the clock continues from where it was.
        if entry > committed && entry < mark {
            self.clock.raise(from);
        }
        tracing::warn!(
            "changes that the log could not write were rolled back; no client was told that they succeeded"
        );
    }

    /// Follows a system clock that was set back: removes the keys that had expired, logs that, and continues from the
    /// system's time. Blocks each shard while it is scanned, and then all shards for a moment.
    ///
    /// A follower removes nothing by its own clock, so it only sets the clock.
    pub(crate) fn follow_clock(&self) {
        let Some(latest) = self.clock.ahead() else { return };
        if self.role.get().follows() {
            return self.set_follower_clock(latest);
        }
        // One shard at a time first, so that the step under all locks has no key to look at.
        for shard in self.shards.iter() {
            let mut core = shard.lock();
            // Under the lock: a node that steps down says by which time it has removed keys. The next cycle sets its
            // clock.
            if self.role.get().follows() {
                return;
            }
            let time = core.advance_time(self.clock.now());
            core.remove_expired(time);
            self.log_and_publish(shard, &mut core, time, &[]);
        }
        // The clock has not moved since the scan, so no further key can have expired by it.
        let mut cores = self.lock_every_shard();
        // Checked under the locks: no change may begin on a log that cannot be written.
        if self.check_writable().is_err() {
            return;
        }
        // The clock has moved on, and keys may have expired that the scan has not seen. The next cycle begins again.
        let Some(now) = self.clock.set_back(latest) else { return };
        self.set_time_back(&mut cores, now);
        let mut entry = Vec::new();
        change::clock(latest, &mut entry);
        let entry = self.log_and_publish_all(&mut cores, now, &entry);
        *self.set_back.lock().unwrap_or_else(PoisonError::into_inner) = (entry, latest);
        drop(cores);
        let seconds = (latest - now) / 1000;
        tracing::warn!(
            "the system clock was set back by {seconds} s; keys that had already expired were removed"
        );
    }

    /// Continues from the time of an entry that sets the clock back. All shards are locked.
    ///
    /// The keys that had expired are removed by that entry at all nodes. So no time before it counts any more: neither
    /// that of an entry, nor that by which this node has removed keys. If they did, a later primary would begin at one
    /// of them, and keys would expire too early.
    fn set_time_back(&self, cores: &mut LockedShards<'_>, time: u64) {
        for (_, core) in cores.iter_mut() {
            core.set_back(time);
        }
        self.set_watermark(time);
        // Relaxed: ordered by the shards' locks.
        self.latest_entry.store(time, Ordering::Relaxed);
        // Relaxed: as above.
        self.removed_by.store(0, Ordering::Relaxed);
    }

    fn set_follower_clock(&self, latest: u64) {
        let mut cores = self.lock_every_shard();
        // Checked under the locks: a node that has become the primary must log that it sets its clock back.
        if !self.role.get().follows() {
            return;
        }
        if let Some(now) = self.clock.set_back(latest) {
            for (_, core) in &mut cores {
                core.set_back(now);
            }
        }
    }

    /// Returns the number of rollbacks. Data that was read before the number changed may have been undone.
    #[inline]
    pub fn rollbacks(&self) -> u64 {
        // [RB-1] [RB-2] Acquire: pairs with the release in `roll_back`, so a thread that has seen anything of a
        // rollback sees it counted.
        self.rollbacks.load(Ordering::Acquire)
    }

    /// Shrinks a shard's table if most of it is empty and readers see all changes. Updates the shard's memory.
    pub fn shrink(&self, shard: &Shard, core: &mut Core) {
        core.shrink(shard.stats().published_lsn(), self.log.committed());
        self.add_memory(shard.update_stats(core, None));
    }

    /// Publishes records that were relocated. Nothing is logged, and no client is told: nothing has changed.
    fn publish_relocated(&self, shard: &Shard, core: &mut Core) {
        core.publish(shard.stats().published_lsn(), self.log.committed());
        self.add_memory(shard.update_stats(core, None));
    }

    /// Notifies watchers of a log entry, under the locks of the shards that it changed. Returns its number.
    #[inline]
    fn notify_watchers(&self, entry: Option<Lsn>, changes: &[u8]) -> Lsn {
        let entry = entry.unwrap_or(0);
        if entry != 0 {
            self.watchers.push(entry, changes);
            self.subscriptions.push(changes);
        }
        entry
    }

    /// Locks shards in ascending order, so that threads that lock several cannot deadlock.
    pub(crate) fn lock_all(&self, mut numbers: Vec<usize>) -> LockedShards<'_> {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| (number, self.shards[number].lock())).collect()
    }

    /// Locks all shards of all keyspaces. No keyspace is made meanwhile.
    pub fn lock_every_shard(&self) -> LockedShards<'_> {
        let mut cores = self.lock_all((0..self.shards.len()).collect());
        // Another thread may have made a keyspace before the first shard was locked, and none since.
        let more = cores.len()..self.shards.len();
        cores.extend(more.map(|number| (number, self.shards[number].lock())));
        cores
    }

    /// Announces a snapshot for as long as the result lives.
    pub fn begin_snapshot(&self) -> SnapshotGuard<'_> {
        // Relaxed: ordered by the shards' locks.
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        SnapshotGuard(&self.snapshots)
    }

    /// Whether a snapshot may have been through one of the shards that the caller has locked, and not through another.
    pub(crate) fn is_snapshotting(&self) -> bool {
        // Relaxed: for the reason given in `begin_snapshot`.
        self.snapshots.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn register_counters(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        let mut all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads of an embedding program come and go. Without this, the list would grow with each.
        if all.len() >= 64 {
            // The first counters collect those of threads that have ended.
            let first = Arc::clone(&all[0]);
            let mut number = 0;
            all.retain(|one| {
                number += 1;
                let gone = number > 1 && Arc::strong_count(one) == 1;
                if gone {
                    for (to, from) in [(&first.hits, &one.hits), (&first.misses, &one.misses)] {
                        // Relaxed: counts. The thread that stored them has ended.
                        to.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                }
                !gone
            });
        }
        if all.is_empty() {
            all.push(Arc::default());
        }
        all.push(Arc::clone(&counters));
        counters
    }

    /// Returns the number of lookups that found a key, and of those that did not.
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: counts, each by itself.
        let sum = |of: fn(&Counters) -> &AtomicU64| {
            // Relaxed: as above.
            all.iter().map(|one| of(one).load(Ordering::Relaxed)).sum()
        };
        (sum(|one| &one.hits), sum(|one| &one.misses))
    }
}

/// A snapshot is being written while this lives.
pub struct SnapshotGuard<'a>(&'a AtomicUsize);

impl Drop for SnapshotGuard<'_> {
    fn drop(&mut self) {
        // Relaxed: a thread that sees this late logs more than it needs to.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a shard free its records again, after an error or a panic, too: [`Core::begin_snapshot`] was called.
pub(crate) struct HeldRecords<S: Deref<Target = State>> {
    state: S,
    shard: usize,
    named: Option<NamedRecords>,
}

impl<S: Deref<Target = State>> HeldRecords<S> {
    pub(crate) fn new(state: S, shard: usize) -> Self {
        Self { state, shard, named: None }
    }

    /// After [`Core::hold`], which has returned these.
    pub(crate) fn of(state: S, shard: usize, named: NamedRecords) -> Self {
        Self { state, shard, named: Some(named) }
    }

    /// Lets the shard free all records but these, which are all that are read. Returns them in another order.
    pub(crate) fn name(&mut self, records: Vec<Record>) -> NamedRecords {
        let records = pins::named(records);
        self.named = Some(Arc::clone(&records));
        self.state.shards[self.shard].lock().name_records(Arc::clone(&records));
        records
    }
}

impl<S: Deref<Target = State>> Drop for HeldRecords<S> {
    fn drop(&mut self) {
        let mut core = self.state.shards[self.shard].lock();
        core.end_snapshot(self.named.as_ref(), self.state.log.committed());
    }
}

/// Locked shards and their numbers.
pub(crate) type LockedShards<'a> = Vec<(usize, std::sync::MutexGuard<'a, Core>)>;

/// Applies a change of a key whose shard is locked.
#[inline]
pub(crate) fn apply_change(
    core: &mut Core,
    (time, full): (u64, bool),
    key: &[u8],
    change: &Change<'_>,
    log: &mut Vec<u8>,
    answer: &mut dyn FnMut(crate::request::Answer<'_>),
) {
    let mut apply = Apply { core, time, full, log, key };
    if apply.core.events.is_on() {
        return apply_noting::apply_noting(apply, change, answer);
    }
    apply.run(change, answer);
}
