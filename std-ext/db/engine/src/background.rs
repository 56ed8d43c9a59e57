//! Background tasks, in two threads: one runs the active expire cycle and eviction, the other writes snapshots when the
//! log has grown or a client requests one.

use crate::error::Error;
use crate::lock::lock;
use crate::log::folder::Folder;
use crate::log::{LogError, Lsn};
use crate::snapshot::{self, SnapshotWriter};
use crate::state::record::Record;
use crate::state::role::Role;
use crate::state::shard::Core;
use crate::state::{HeldRecords, State, maintenance};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause between two rounds over all shards; the pause if a round has left much to do.
const PAUSE: Duration = Duration::from_millis(100);
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// The delay after a failed snapshot before another one starts automatically.
const RETRY_DELAY: Duration = Duration::from_secs(10);

pub(crate) struct BackgroundTasks {
    shared: Arc<BackgroundShared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Whether the snapshot thread was started.
    can_snapshot: bool,
}

struct BackgroundShared {
    folder: Option<Arc<Folder>>,
    /// The log size from which on a snapshot is written; 0 for never.
    snapshot_after: u64,
    status: Mutex<TaskStatus>,
    wakeup: Condvar,
    /// Held while a snapshot is written, so that only one is written at a time.
    snapshot_lock: Mutex<()>,
}

#[derive(Default)]
struct TaskStatus {
    stopping: bool,
    /// The next round is due at once.
    woken: bool,
    /// The snapshot thread must start a snapshot.
    snapshot_requested: bool,
    snapshot: SnapshotStatus,
}

/// The name and the function of a thread.
type NamedTask = (&'static str, fn(&BackgroundShared, &State));

/// The state of snapshots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SnapshotStatus {
    /// A snapshot is being written, or was requested.
    pub(crate) in_progress: bool,
    /// When the last one was written, in seconds since 1970.
    pub at: u64,
    pub failed: bool,
    pub entry: Lsn,
    pub pause: Duration,
    bytes: u64,
}

impl BackgroundTasks {
    pub(crate) fn start(
        state: &Arc<State>,
        folder: Option<Arc<Folder>>,
        snapshot_after: u64,
    ) -> Self {
        let shared = Arc::new(BackgroundShared {
            folder,
            snapshot_after,
            status: Mutex::default(),
            wakeup: Condvar::new(),
            snapshot_lock: Mutex::default(),
        });
        // Two threads, so that keys expire while a snapshot is written.
        let work: [NamedTask; 2] = [
            ("hedgerow-db-expire", BackgroundShared::run_periodic),
            ("hedgerow-db-snapshot", BackgroundShared::run_snapshots),
        ];
        let started = work.map(|(name, work)| {
            let (shared, state) = (Arc::clone(&shared), Arc::clone(state));
            let thread = std::thread::Builder::new().name(name.into());
            // Without its thread, an expired key is removed only when a command accesses it.
            let thread = thread.spawn(move || work(&shared, &state));
            thread.map_err(|why| tracing::error!("cannot start the thread {name}: {why}")).ok()
        });
        let can_snapshot = started[1].is_some();
        Self { shared, threads: Mutex::new(started.into_iter().flatten().collect()), can_snapshot }
    }

    pub(crate) fn stop(&self) {
        self.shared.status().stopping = true;
        self.shared.wakeup.notify_all();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a background thread has panicked");
            }
        }
    }

    /// Starts the next round at once.
    pub(crate) fn wake(&self) {
        self.shared.status().woken = true;
        self.shared.wakeup.notify_all();
    }

    pub(crate) fn snapshot_status(&self) -> SnapshotStatus {
        self.shared.status().snapshot
    }

    pub(crate) fn snapshot_now(&self, state: &State) -> Result<(), Error> {
        self.shared.snapshot(state)
    }

    /// Starts a snapshot in the background. Returns false if one is being written already.
    pub(crate) fn snapshot_soon(&self) -> bool {
        self.can_snapshot && self.shared.request_snapshot()
    }

    /// As `snapshot_soon`, but if one is being written, another one starts after it.
    pub(crate) fn schedule_snapshot(&self) -> bool {
        self.can_snapshot && self.shared.schedule_snapshot()
    }
}

impl BackgroundShared {
    fn status(&self) -> MutexGuard<'_, TaskStatus> {
        lock(&self.status)
    }

    /// Requests a snapshot. Returns false if one is being written already.
    fn request_snapshot(&self) -> bool {
        let status = self.status();
        let is_idle = !status.snapshot.in_progress;
        if is_idle {
            self.begin_snapshot(status);
        }
        is_idle
    }

    /// Requests a snapshot that starts after the one that is being written. Returns false if there is one.
    fn schedule_snapshot(&self) -> bool {
        let status = self.status();
        let is_idle = !status.snapshot.in_progress;
        self.begin_snapshot(status);
        is_idle
    }

    fn begin_snapshot(&self, mut status: MutexGuard<'_, TaskStatus>) {
        (status.snapshot_requested, status.snapshot.in_progress) = (true, true);
        drop(status);
        self.wakeup.notify_all();
    }

    fn run_periodic(&self, state: &State) {
        let (mut pause, mut not_before) = (PAUSE, Instant::now());
        loop {
            let status = self
                .wakeup
                .wait_timeout_while(self.status(), pause, |now| !now.stopping && !now.woken);
            let snapshot = {
                let mut status = status.unwrap_or_else(PoisonError::into_inner).0;
                if status.stopping {
                    return;
                }
                status.woken = false;
                status.snapshot
            };
            pause = if maintenance::run_cycle(state) { SHORT_PAUSE } else { PAUSE };
            let due = self.snapshot_after.max(2 * snapshot.bytes);
            let due = self.snapshot_after != 0 && self.folder.is_some() && state.log.bytes() >= due;
            if due
                && !snapshot.in_progress
                && Instant::now() >= not_before
                && self.request_snapshot()
            {
                not_before = Instant::now() + RETRY_DELAY;
            }
            // The next growth of the log need not wait for the delay after a failure.
            if !due {
                not_before = Instant::now();
            }
        }
    }

    /// Writes snapshots when they are requested.
    fn run_snapshots(&self, state: &State) {
        loop {
            let idle = |now: &mut TaskStatus| !now.stopping && !now.snapshot_requested;
            let status = self.wakeup.wait_while(self.status(), idle);
            let mut status = status.unwrap_or_else(PoisonError::into_inner);
            if status.stopping {
                return;
            }
            status.snapshot_requested = false;
            drop(status);
            // Each snapshot frees what the one before holds: after a panic, the next one may succeed.
            let made = catch_unwind(AssertUnwindSafe(|| self.snapshot(state)));
            match made {
                Ok(Err(why)) if !self.status().stopping => tracing::error!("{why}"),
                Ok(_) => {}
                Err(_) => tracing::error!("a snapshot has panicked"),
            }
        }
    }

    fn snapshot(&self, state: &State) -> Result<(), Error> {
        /// Clears `in_progress`, even after a panic, unless another snapshot was requested.
        struct EndsSnapshot<'a>(&'a BackgroundShared);
        impl Drop for EndsSnapshot<'_> {
            fn drop(&mut self) {
                let mut status = self.0.status();
                status.snapshot.in_progress = status.snapshot_requested;
                status.snapshot.failed |= std::thread::panicking();
            }
        }
        let _one = lock(&self.snapshot_lock);
        let _ends = EndsSnapshot(self);
        let Some(folder) = &self.folder else { return Ok(()) };
        self.status().snapshot.in_progress = true;
        let _span = tracing::debug_span!("snapshot").entered();
        let made = write_snapshot(folder, state, &|| self.status().stopping);
        let snapshot = &mut self.status().snapshot;
        snapshot.failed = made.is_err();
        *snapshot = SnapshotStatus {
            in_progress: true,
            failed: false,
            at: state.clock.now() / 1000,
            ..made?
        };
        Ok(())
    }
}

/// Rotates the log, writes all shards, and drops the log before the snapshot.
fn write_snapshot(
    folder: &Arc<Folder>,
    state: &State,
    stopping: &dyn Fn() -> bool,
) -> Result<SnapshotStatus, Error> {
    let snapshot_error = |why| Error::Snapshot(Arc::new(why));
    let (first, rollbacks) = (state.log.rotate()?, state.rollbacks());
    let (writer, pause) = loop {
        let several = state.shards.len() > state.shards.per_keyspace();
        let create = match state.role.get() {
            Role::Alone if several => SnapshotWriter::create_several,
            Role::Alone => SnapshotWriter::create,
            _ => SnapshotWriter::create_clustered,
        };
        let mut writer = create(folder).map_err(snapshot_error)?;
        let written = write_shards(state, several, &mut writer, stopping);
        // The format has no room for a database that was first used meanwhile.
        if let Some(pause) = written.map_err(snapshot_error)? {
            break (writer, pause);
        }
    };
    if !state.seal_snapshot() {
        let why = "this node has just ceased to be the primary: the snapshot is postponed";
        return Err(snapshot_error(io::Error::other(why)));
    }
    let (last, time) = state.last_entry();
    // The snapshot holds changes up to `last`, so the log must not end before them after a crash.
    state.log.sync()?;
    // The flush has committed all entries up to `last`, unless a rollback undid some that the snapshot holds. From now
    // on, none of them can be undone.
    if state.rollbacks() != rollbacks {
        return Err(LogError::RolledBack.into());
    }
    // The log of one node has no position. The snapshot of a node of a cluster without one is an error: it would have
    // lost its place in the log.
    let position = state.log.position(last);
    let bytes = writer.finish_at(last, time, position).map_err(snapshot_error)?;
    state.log.drop_before(first)?;
    snapshot::remove_older(folder, last).map_err(|why| snapshot_error(io::Error::other(why)))?;
    Ok(SnapshotStatus { entry: last, pause, bytes, ..SnapshotStatus::default() })
}

/// Writes all shards. Returns the longest time for which one was locked; nothing if a second database was first used
/// meanwhile, and the snapshot has no room for `several`.
fn write_shards(
    state: &State,
    several: bool,
    writer: &mut SnapshotWriter,
    stopping: &dyn Fn() -> bool,
) -> io::Result<Option<Duration>> {
    let mut pause = Duration::ZERO;
    let _writing = state.begin_snapshot();
    for number in 0..state.shards.per_keyspace() {
        if stopping() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the database is closed"));
        }
        let Some(took) = write_shard(number, state, several, writer)? else { return Ok(None) };
        pause = pause.max(took);
    }
    Ok(Some(pause))
}

/// Writes the shard of this number of each keyspace, all as of one point in time: an entry may move keys from one
/// database to another. Returns how long the shards were locked; nothing if there are several keyspaces, and the
/// snapshot has no room for them.
fn write_shard(
    number: usize,
    state: &State,
    several: bool,
    writer: &mut SnapshotWriter,
) -> io::Result<Option<Duration>> {
    let keyspaces = |from: usize| {
        let numbers = (from..).map(|keyspace| state.first_shard(keyspace) + number);
        numbers.take_while(|number| *number < state.shards.len())
    };
    let mut cores = state.lock_all(keyspaces(0).collect());
    // Another thread may have made a keyspace before the first of these was locked, and none since.
    let more = keyspaces(cores.len()).map(|number| (number, state.shards[number].lock()));
    cores.extend(more.collect::<Vec<_>>());
    if cores.len() > 1 && !several {
        return Ok(None);
    }
    let began = Instant::now();
    // Entries are appended under these locks, so every change in these records has an entry up to this one.
    let watermark = state.log.last();
    let mut begin = |(shard, core): &mut (usize, MutexGuard<'_, Core>)| {
        let time = state.snapshot_time(core);
        (state.database_of(*shard), core.begin_snapshot(), time, *shard)
    };
    let begun: Vec<(u16, Vec<Record>, u64, usize)> = cores.iter_mut().map(&mut begin).collect();
    drop(cores);
    let pause = began.elapsed();
    let held = |(database, records, time, shard)| {
        let mut held = HeldRecords::new(state, shard);
        (database, held.name(records), time, held)
    };
    let mut sections: Vec<_> = begun.into_iter().map(held).collect();
    sections.sort_unstable_by_key(|(database, ..)| *database);
    for (database, records, time, _held) in sections {
        // Its slots have a section of database 0 in any case, which says up to which entry they are there.
        if database != 0 && records.is_empty() {
            continue;
        }
        writer.section_of(database, state.sharding.slots(number), watermark)?;
        for record in records.iter().filter(|record| !record.is_expired(time)) {
            let mut written = Ok(());
            record.value().each_part(state.cold.as_deref(), &mut |value| {
                if written.is_ok() {
                    written = writer.entry(record.key(), record.expires_at(), value);
                }
            });
            written?;
        }
    }
    Ok(Some(pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_snapshot_follows_the_one_that_is_written() {
        let shared = BackgroundShared {
            folder: None,
            snapshot_after: 0,
            status: Mutex::default(),
            wakeup: Condvar::new(),
            snapshot_lock: Mutex::default(),
        };
        assert!(shared.schedule_snapshot() && !shared.request_snapshot());
        // The thread has begun to write it.
        shared.status().snapshot_requested = false;
        assert!(!shared.request_snapshot() && !shared.status().snapshot_requested);
        assert!(!shared.schedule_snapshot() && shared.status().snapshot_requested);
    }
}
