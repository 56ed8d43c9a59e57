//! A thread that looks after the state, and makes snapshots when the log has grown.

use crate::error::Error;
use crate::log::folder::Folder;
use crate::log::{LogError, Lsn};
use crate::snapshot::{self, Writer};
use crate::state::record::Record;
use crate::state::{State, care, shard};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between rounds over all shards; between rounds that leave much to do.
const PAUSE: Duration = Duration::from_millis(100);
const SHORT_PAUSE: Duration = Duration::from_millis(2);

pub(crate) struct Watchman {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    folder: Option<Arc<Folder>>,
    /// Bytes of the log from which on a snapshot is made; 0 for never.
    after: u64,
    status: Mutex<Status>,
    changed: Condvar,
    /// One snapshot at a time.
    making: Mutex<()>,
}

#[derive(Default)]
struct Status {
    stops: bool,
    done: Done,
}

/// What became of snapshots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) runs: bool,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) failed: bool,
    pub(crate) entry: Lsn,
    pub(crate) pause: Duration,
    bytes: u64,
}

impl Watchman {
    pub(crate) fn start(state: Arc<State>, folder: Option<Arc<Folder>>, after: u64) -> Self {
        let shared = Arc::new(Shared {
            folder,
            after,
            status: Mutex::default(),
            changed: Condvar::new(),
            making: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let work = move || own.watch(&state);
        let thread = std::thread::Builder::new().name("hedgerow-db-care".into()).spawn(work);
        // Without a thread there is nobody to remove what has ended but those who come across it.
        let thread = Mutex::new(thread.map_err(|why| tracing::error!("no thread: {why}")).ok());
        Self { shared, thread }
    }

    pub(crate) fn stop(&self) {
        self.shared.status().stops = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks after the database has panicked");
        }
    }

    pub(crate) fn done(&self) -> Done {
        self.shared.status().done
    }

    pub(crate) fn snapshot_now(&self, state: &State) -> Result<(), Error> {
        self.shared.snapshot(state)
    }
}

impl Shared {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, state: &State) {
        let mut pause = PAUSE;
        loop {
            let status = self.changed.wait_timeout_while(self.status(), pause, |now| !now.stops);
            if status.unwrap_or_else(PoisonError::into_inner).0.stops {
                return;
            }
            pause = if care::round(state) { SHORT_PAUSE } else { PAUSE };
            let due = self.after.max(2 * self.status().done.bytes);
            let due = self.after != 0 && self.folder.is_some() && state.log.bytes() >= due;
            if due && let Err(why) = self.snapshot(state) {
                tracing::error!("{why}");
                pause = PAUSE * 100;
            }
        }
    }

    fn snapshot(&self, state: &State) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.status().done.runs = true;
        let made = make(folder, state);
        let done = &mut self.status().done;
        done.runs = false;
        done.failed = made.is_err();
        let made = made?;
        *done = Done { runs: false, failed: false, at: state.clock.now() / 1000, ..made };
        Ok(())
    }
}

/// Has the log begin anew, writes all shards, and drops the log before.
fn make(folder: &Arc<Folder>, state: &State) -> Result<Done, Error> {
    let wrong = |why| Error::Snapshot(Arc::new(why));
    let (first, rollbacks) = (state.log.rotate()?, state.rollbacks());
    let mut writer = Writer::create(folder).map_err(wrong)?;
    let mut pause = Duration::ZERO;
    for number in 0..state.shards.len() {
        let took = write_shard(number, state, &mut writer).map_err(wrong)?;
        pause = pause.max(took);
    }
    let last = state.log.last();
    // The log must not end before what the snapshot holds of it.
    state.log.force()?;
    // All up to `last` is safe, unless it was undone. Nothing of it can be undone from now on.
    if state.rollbacks() != rollbacks {
        return Err(LogError::RolledBack.into());
    }
    let bytes = writer.finish(last, state.clock.now()).map_err(wrong)?;
    state.log.drop_before(first)?;
    snapshot::remove_older(folder, last).map_err(|why| wrong(std::io::Error::other(why)))?;
    Ok(Done { entry: last, pause, bytes, ..Done::default() })
}

/// Writes a shard as it is at one moment; for how long it was locked.
fn write_shard(number: usize, state: &State, writer: &mut Writer) -> std::io::Result<Duration> {
    /// The records may go, also after a panic or an error.
    struct Held<'a>(&'a State, &'a shard::Shard);
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.1.lock().end_snapshot(self.0.log.safe());
        }
    }
    let shard = &state.shards[number];
    let mut core = shard.lock();
    let began = Instant::now();
    let records: Vec<Record> = core.begin_snapshot();
    // Entries are appended under the lock, so all that changed this shard are among those up to this one.
    let floor = state.log.last();
    let time = core.at(state.clock.now());
    drop(core);
    let pause = began.elapsed();
    let _held = Held(state, shard);
    writer.section(state.deal.slots(number), floor)?;
    for record in records.into_iter().filter(|record| !record.has_ended(time)) {
        shard::read(record, state.cold.as_deref(), |value| {
            writer.entry(record.key(), record.ends(), value)
        })?;
    }
    Ok(pause)
}
