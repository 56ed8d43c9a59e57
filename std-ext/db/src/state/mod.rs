//! The state: all shards, and what they share.
//!
//! # Synchronization
//! A rollback undoes changes that readers may have seen. It holds the locks of all shards, and readers that
//! come meanwhile wait until all of it is shown ([TG](publish_gate)).
//! - **[RB-1]** the count of rollbacks is raised, and then each shard's figures name the entry of the rollback, with
//!   release → a session that is told that entry (acquire) and compares the count with the one from before it looked
//!   sees that it has changed, and does not tell what it saw.
//! - **[RB-2]** the count is raised with release before the log is asked about entries behind the rollback → a thread
//!   that was told that such an entry is safe sees the new count, and does not take it for an earlier one's.
//!
//! No model checks these two orderings: this crate uses the standard library's atomics, locks and threads, and whole
//! maps, which the model checker cannot replace; and x86-64 orders such stores and loads by itself. Tests and mutations
//! check the comparisons of the count. For the orderings, this argument stands in: both pairs pass a message. The count
//! is stored, then an entry with release; the entry is loaded with acquire, then the count. The library's model of
//! published blocks covers that shape (`PB-1`, `PB-2` in its `sync/published_loom.rs`).

pub(crate) mod apply;

pub(crate) mod cold;
pub(crate) mod counters;
pub(crate) mod evict;
pub(crate) mod heap;
pub(crate) mod limit;
pub(crate) mod load;
pub(crate) mod maintenance;
pub(crate) mod number;
pub(crate) mod publish_gate;
pub(crate) mod record;
pub(crate) mod rope;
pub(crate) mod shard;
pub(crate) mod slots;

use crate::clock::Clock;
use crate::log::change;
use crate::log::{Log, Lsn, Rollback};
use crate::options::Options;
use crate::request::Change;
use crate::watch::Watchers;
use apply::Apply;
use cold::ColdStore;
use counters::Counters;
use heap::HeapTrimmer;
use limit::MemoryLimit;
use load::LoadingShards;
use publish_gate::PublishGate;
use shard::{Core, Shard};
use slots::{Sharding, slot};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) struct State {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) sharding: Sharding,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) cold: Option<Arc<ColdStore>>,
    pub(crate) publish_gate: PublishGate,
    pub(crate) watchers: Watchers,
    pub(crate) limit: MemoryLimit,
    pub(crate) heap_trimmer: HeapTrimmer,
    /// Of all shards: records and tables.
    memory: AtomicUsize,
    /// What values in `cold` take, as it was looked up last.
    pub(crate) cold_memory: AtomicUsize,
    /// How often changes were undone.
    rollbacks: AtomicU64,
    /// The entry of the log that set the clock back last, and from when.
    set_back: Mutex<(Lsn, u64)>,
    pub(crate) expired: AtomicU64,
    pub(crate) evicted: AtomicU64,
    /// Snapshots that are being written. Raised before a shard is locked for one, so a thread that locks a shard
    /// after a snapshot has been through it sees the raised number.
    snapshots: AtomicUsize,
    /// Of all threads that ask, or have asked.
    counters: Mutex<Vec<Arc<Counters>>>,
}

impl State {
    pub(crate) fn new(
        shards: LoadingShards,
        log: Arc<dyn Log>,
        clock: Clock,
        options: &Options,
    ) -> Self {
        let memory = shards.finish_loading(options.folder.is_some()).into();
        let (all, sharding, cold) = shards.into_parts();
        Self {
            shards: all,
            sharding,
            clock,
            log,
            cold,
            publish_gate: PublishGate::default(),
            watchers: Watchers::default(),
            limit: MemoryLimit::new(options.max_memory, options.eviction),
            heap_trimmer: HeapTrimmer::default(),
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

    #[inline]
    pub(crate) fn shard_of(&self, key: &[u8]) -> usize {
        self.sharding.shard(slot(key))
    }

    /// Keys, values and tables, about.
    pub(crate) fn memory(&self) -> usize {
        // Relaxed: figures, each by itself.
        self.memory.load(Ordering::Relaxed) + self.cold_memory.load(Ordering::Relaxed)
    }

    /// Looks up what values in `cold` take.
    pub(crate) fn update_cold_memory(&self) {
        if let Some(cold) = &self.cold {
            // Relaxed: a figure by itself.
            self.cold_memory.store(cold.memory(), Ordering::Relaxed);
        }
    }

    fn add_memory(&self, by: isize) {
        if by != 0 {
            // Relaxed: a figure by itself; additions of all threads come to the same in any order.
            self.memory.fetch_add(by.cast_unsigned(), Ordering::Relaxed);
        }
    }

    /// Logs what was changed in a shard, and has readers see it. The entry, `Lsn::MAX` if there cannot be one any more.
    pub(crate) fn log_and_publish(
        &self,
        shard: &Shard,
        core: &mut Core,
        time: u64,
        log: &[u8],
    ) -> Lsn {
        // What has ended may have been removed, which the log knows by itself.
        let entry = (!log.is_empty()).then(|| self.log.append(time, log).unwrap_or(Lsn::MAX));
        self.add_memory(shard.update_stats(core, entry));
        shard.stats().begin_publish();
        core.publish(shard.stats().published_lsn(), self.log.safe());
        shard.stats().end_publish();
        self.notify_watchers(entry, log)
    }

    /// As `finish`, of shards whose changes readers are to see at once.
    pub(crate) fn log_and_publish_all(
        &self,
        cores: &mut LockedShards<'_>,
        time: u64,
        log: &[u8],
    ) -> Lsn {
        let entry = (!log.is_empty()).then(|| self.log.append(time, log).unwrap_or(Lsn::MAX));
        for (number, core) in cores.iter_mut() {
            self.add_memory(self.shards[*number].update_stats(core, entry));
            self.shards[*number].stats().begin_publish();
        }
        let _publishing = (cores.len() > 1).then(|| self.publish_gate.begin());
        self.publish_all(cores);
        self.notify_watchers(entry, log)
    }

    /// Has readers see locked shards whose figures say that they are being shown.
    fn publish_all(&self, cores: &mut LockedShards<'_>) {
        let safe = self.log.safe();
        for (number, core) in cores.iter_mut() {
            core.publish(self.shards[*number].stats().published_lsn(), safe);
        }
        for (number, _) in cores.iter() {
            self.shards[*number].stats().end_publish();
        }
    }

    /// Undoes what the log does not have, since it cannot be written: from then on all that is shown is committed. The
    /// caller holds no shard.
    pub(crate) fn roll_back(&self) {
        let mut cores = self.lock_all((0..self.shards.len()).collect());
        if self.log.writable() {
            return;
        }
        // Before the count is raised: a session that knows the new one waits until all is shown.
        let _publishing = self.publish_gate.begin();
        // [RB-1] [RB-2] Release: pairs with the acquire in `rollbacks`. Before the log calls anything safe behind what
        // is undone, and before that can be seen.
        self.rollbacks.fetch_add(1, Ordering::Release);
        let Some(Rollback { safe, mark }) = self.log.roll_back() else { return };
        for (number, core) in &mut cores {
            let shard = &self.shards[*number];
            let entry = (shard.stats().published_lsn() > safe).then_some(mark);
            core.roll_back(safe);
            self.add_memory(shard.update_stats(core, entry));
            shard.stats().begin_publish();
        }
        self.publish_all(&mut cores);
        let (entry, from) = *self.set_back.lock().unwrap_or_else(PoisonError::into_inner);
        if entry > safe && entry < mark {
            self.clock.raise(from);
        }
        tracing::warn!(
            "changes that the log could not keep are undone; their clients were not told of success"
        );
    }

    /// Follows a system clock that was set back: removes what had ended, says so in the log, and goes on from the
    /// system's time. Keys of a shard wait while it is walked, and then those of all for a moment.
    pub(crate) fn follow_clock(&self) {
        let Some(latest) = self.clock.ahead() else { return };
        for shard in &self.shards {
            let mut core = shard.lock();
            let time = core.advance_time(self.clock.now());
            core.remove_where(|record| record.is_expired(time));
            self.log_and_publish(shard, &mut core, time, &[]);
        }
        // Since then the time stands, so that nothing can have come that had ended by it.
        let mut cores = self.lock_all((0..self.shards.len()).collect());
        if !self.log.writable() {
            return;
        }
        let Some(now) = self.clock.set_back(latest) else { return };
        for (_, core) in &mut cores {
            core.set_back(now);
        }
        let mut entry = Vec::new();
        change::clock(latest, &mut entry);
        let entry = self.log_and_publish_all(&mut cores, now, &entry);
        *self.set_back.lock().unwrap_or_else(PoisonError::into_inner) = (entry, latest);
        drop(cores);
        let seconds = (latest - now) / 1000;
        tracing::warn!(
            "the system's clock was set back by {seconds} s; keys that had ended by then are removed"
        );
    }

    /// How often changes were undone. What was seen before the number changed may be gone.
    #[inline]
    pub(crate) fn rollbacks(&self) -> u64 {
        // [RB-1] [RB-2] Acquire: pairs with the release in `roll_back`, so a thread that has seen anything of a
        // rollback counts it.
        self.rollbacks.load(Ordering::Acquire)
    }

    /// Gives back the room of a shard's table, if most of it is empty and readers see all changes. Notes what the shard
    /// takes then.
    pub(crate) fn shrink(&self, shard: &Shard, core: &mut Core) {
        core.shrink(shard.stats().published_lsn(), self.log.safe());
        self.add_memory(shard.update_stats(core, None));
    }

    /// Tells watchers of an entry, under the locks of the shards that it changed; its number.
    #[inline]
    fn notify_watchers(&self, entry: Option<Lsn>, changes: &[u8]) -> Lsn {
        let entry = entry.unwrap_or(0);
        if entry != 0 {
            self.watchers.tell(entry, changes);
        }
        entry
    }

    /// Locks shards, in order of their numbers so that threads who do so never wait for each other in a circle.
    pub(crate) fn lock_all(&self, mut numbers: Vec<usize>) -> LockedShards<'_> {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| (number, self.shards[number].lock())).collect()
    }

    /// Says that a snapshot will be written, as long as the result lives.
    pub(crate) fn begin_snapshot(&self) -> SnapshotGuard<'_> {
        // Relaxed: the shards' locks order it.
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        SnapshotGuard(&self.snapshots)
    }

    /// Whether a snapshot is being written that may have been through one of the shards that the caller has locked, and
    /// not through another.
    pub(crate) fn is_snapshotting(&self) -> bool {
        // Relaxed: as in `begin_snapshot`.
        self.snapshots.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn register_counters(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        let mut all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= 64 {
            // What threads have counted that are gone is kept by the first.
            let first = Arc::clone(&all[0]);
            let mut number = 0;
            all.retain(|one| {
                number += 1;
                let gone = number > 1 && Arc::strong_count(one) == 1;
                if gone {
                    for (to, from) in [(&first.hits, &one.hits), (&first.misses, &one.misses)] {
                        // Relaxed: figures; who stored them has gone.
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

    /// Looks that found a value, and that found none.
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: figures, each by itself.
        let sum = |of: fn(&Counters) -> &AtomicU64| {
            // Relaxed: as above.
            all.iter().map(|one| of(one).load(Ordering::Relaxed)).sum()
        };
        (sum(|one| &one.hits), sum(|one| &one.misses))
    }
}

/// A snapshot is being written, as long as this lives.
pub(crate) struct SnapshotGuard<'a>(&'a AtomicUsize);

impl Drop for SnapshotGuard<'_> {
    fn drop(&mut self) {
        // Relaxed: a thread that sees this late logs more than is needed.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Locked shards, by number.
pub(crate) type LockedShards<'a> = Vec<(usize, std::sync::MutexGuard<'a, Core>)>;

/// Makes a change of a key whose shard is locked.
pub(crate) fn apply_change(
    core: &mut Core,
    (time, full): (u64, bool),
    key: &[u8],
    change: &Change<'_>,
    log: &mut Vec<u8>,
    answer: &mut dyn FnMut(crate::request::Answer<'_>),
) {
    Apply { core, time, full, log, key }.run(change, answer);
}
