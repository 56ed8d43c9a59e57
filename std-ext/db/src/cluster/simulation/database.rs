//! The real state and the real log of a simulated node.
//!
//! Shards, roles, marks, watermarks, the clock and the lease checks of answers are those of the program. The local log
//! and etcd are the world's. The simulated [`Store`] beside it applies the same entries, and says what the state must
//! contain.

use super::clients::Request;
use super::disk::{Disk, Section, Snapshot};
use super::process::Lease;
use super::store::Store;
use crate::clock::TimeSource;
use crate::cluster::changes::CHANGES;
use crate::cluster::clock::manual;
use crate::cluster::core::Entry;
use crate::cluster::local_log::LocalLog;
use crate::cluster::log::{EtcdLog, LogSettings};
use crate::gauge::Gauge;
use crate::log::file::FileLog;
use crate::log::folder::Folder;
use crate::log::{self, Fsync, Log, Lsn, ReadIndex};
use crate::options::Options;
use crate::request::{Answer, Query, Request as Call};
use crate::session::Session;
use crate::slots::SLOTS;
use crate::state::State;
use crate::state::follow::FollowError;
use crate::state::load::{LoadingShards, ReplayedState};
use crate::state::maintenance::run_cycle;
use crate::state::record::Record;
use crate::state::role::Role;
use crate::state::shard::Core;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The state of a process, and its log.
pub(super) struct Database {
    session: Session,
    state: Arc<State>,
    log: Arc<EtcdLog>,
    wall: Arc<AtomicU64>,
    /// How often the log has woken its driver.
    wakes: Arc<Gauge>,
    /// The time by which the state may have removed keys when it was the primary last.
    removed_by: u64,
    /// A snapshot that is being written.
    writing: Option<Snapshot>,
}

/// The entry that must be committed, and the evaluation that must be confirmed, before an answer leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) lsn: Lsn,
    read_index: ReadIndex,
}

/// Whether an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Leaves,
    Waits,
    Never,
}

/// A request that was executed.
pub(super) struct ExecutedRequest {
    /// Whether the change was made, as its answer says.
    pub(super) done: bool,
    /// The values of the keys, read in the same batch.
    pub(super) values: Vec<Option<Vec<u8>>>,
    pub(super) wait: Wait,
    /// The time of the evaluation.
    pub(super) time: u64,
    /// The entries that were appended.
    pub(super) entries: Vec<Entry>,
}

/// Returns a local log without entries. The world has disks of its own, but the log wants a local log.
pub(in crate::cluster) fn local_log() -> Arc<LocalLog> {
    thread_local! {
        static LOCAL_LOG: OnceCell<(Arc<LocalLog>, tempfile::TempDir)> = const { OnceCell::new() };
    }
    let make = || {
        let path = tempfile::tempdir().expect("a folder for temporary files");
        let folder = Folder::claim(path.path()).expect("an empty folder");
        let opened = FileLog::open(folder, Fsync::Never, 1, 0, &mut |_, _, _| Ok(()));
        let (file, _) = opened.expect("an empty log");
        (Arc::new(LocalLog::new(Arc::new(file), None).expect("a thread")), path)
    };
    LOCAL_LOG.with(|local_log| Arc::clone(&local_log.get_or_init(make).0))
}

/// Loads a folder as the program does. Returns the last watermark and the latest time.
fn load(disk: &Disk, shards: &LoadingShards) -> Result<(u64, u64), String> {
    let mut watermarks = vec![0; usize::from(SLOTS)];
    let (mut time, mut above) = (0, 0);
    if let Some(snapshot) = disk.snapshot() {
        for section in &snapshot.sections {
            watermarks[usize::from(section.slots.start)..usize::from(section.slots.end)]
                .fill(section.watermark);
            for (key, ends, value) in &section.records {
                shards.load(key, *ends, value);
            }
        }
        (time, above) = (snapshot.time, snapshot.last);
    }
    let least = watermarks.iter().copied().min().unwrap_or(0);
    let mut met = ReplayedState::default();
    for Entry { lsn, time: at, changes } in disk.entries().iter().filter(|one| one.lsn > least) {
        let from = |slot: u16| watermarks[usize::from(slot)] + 1;
        shards
            .replay(*lsn, *at, changes, from, &mut met)
            .map_err(|why| format!("entry {lsn} of the folder: {why}"))?;
        if *lsn > above {
            time = if met.set_back == *lsn { *at } else { time.max(*at) };
        }
    }
    Ok((met.watermark, time))
}

impl Database {
    /// Opens the folder of a node at a time of its wall clock.
    pub(super) fn open(disk: &Disk, shards: usize, wall: u64) -> Result<Self, String> {
        let wall = Arc::new(AtomicU64::new(wall));
        let mut options = Options::in_memory();
        options.shards = shards;
        options.time = TimeSource::Manual(Arc::clone(&wall));
        let loading = LoadingShards::clustered(&options);
        let times = load(disk, &loading)?;
        let settings =
            LogSettings { cluster: [1; 16], incarnation: 1, group: 0, largest_request: 64 << 20 };
        let wakes = Arc::new(Gauge::default());
        let of_log = Arc::clone(&wakes);
        let wake = Box::new(move || {
            of_log.add(1);
        });
        let log = Arc::new(EtcdLog::new(
            settings,
            local_log(),
            (disk.last(), crate::SlotSet::all()),
            wake,
        ));
        let shared: Arc<dyn Log> = Arc::clone(&log) as _;
        let state = Arc::new(State::clustered(loading, shared, times, &options));
        let session = Session::new(Arc::clone(&state));
        Ok(Self { session, state, log, wall, wakes, removed_by: 0, writing: None })
    }

    /// Sets the clocks before anything is done.
    pub(super) fn set_clocks(&self, wall: u64, boot: u64) {
        // Relaxed: one thread.
        self.wall.store(wall, Ordering::Relaxed);
        manual::set(boot * 1000);
    }

    /// Returns the time that an entry made now carries.
    pub(super) fn now(&self) -> u64 {
        self.state.clock.now()
    }

    /// Whether answers are those of a primary.
    pub(super) fn is_serving(&self) -> bool {
        !self.log.epoch().is_multiple_of(2)
    }

    /// Executes a request as a worker does, and reads its keys in the same batch.
    pub(super) fn execute(&mut self, request: &Request) -> Result<ExecutedRequest, String> {
        let keys = request.keys();
        let epoch = self.log.epoch();
        let (mut values, mut done, mut wrong) = (vec![None; keys.len()], false, None);
        let session = &mut self.session;
        let lsn = request.with_change(self.state.clock.now(), |change| {
            let mut requests: Vec<_> = change.into_iter().collect();
            let first = requests.len();
            requests.extend(keys.iter().enumerate().map(|(at, key)| match at {
                0 if keys.len() > 1 => Call::MultiRead(key, Query::Value, keys.len()),
                _ => Call::Read(key, Query::Value),
            }));
            session.execute(&requests, &mut |number, answer| match (
                number.checked_sub(first),
                answer,
            ) {
                (Some(at), Answer::Bytes(value)) => values[at] = Some(value.to_vec()),
                (Some(_) | None, Answer::Nil) => {}
                (None, Answer::Done) => done = true,
                (None, Answer::Int(number)) => done = number != 0,
                (_, other) => wrong = Some(format!("{request:?} is answered by {other:?}")),
            })
        });
        let wait = Wait { lsn, read_index: self.log.read_index(epoch) };
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        Ok(ExecutedRequest { done, values, wait, time: self.now(), entries: self.log.take(1) })
    }

    /// Returns whether an answer leaves now, as a worker decides it.
    pub(super) fn verdict(&self, wait: &Wait) -> Verdict {
        match self.log.commit(wait.lsn) {
            Err(_) => Verdict::Never,
            Ok(false) => Verdict::Waits,
            Ok(true) => match self.log.check_lease(&wait.read_index) {
                log::LeaseCheck::Passed => Verdict::Leaves,
                log::LeaseCheck::Pending => Verdict::Waits,
                log::LeaseCheck::Failed => Verdict::Never,
            },
        }
    }

    /// Whether the log has woken its driver since the last call.
    pub(super) fn was_woken(&self) -> bool {
        let woken = self.wakes.get() > 0;
        self.wakes.set(0);
        woken
    }

    /// Whether an answer waits for a lease check since the last call.
    pub(super) fn wants_lease_check(&self) -> bool {
        self.log.take_lease_check_wanted()
    }

    /// Goes through all shards once, as the maintenance thread does. Returns the entries that it has appended.
    pub(super) fn run_cycle(&mut self) -> Vec<Entry> {
        run_cycle(&self.state);
        let entries = self.log.take(1);
        self.forget_removals(&entries);
        entries
    }

    /// The log removes what had expired when it sets the clock back, so this node lacks nothing more.
    fn forget_removals(&mut self, entries: &[Entry]) {
        if entries.iter().any(|entry| CHANGES.sets_clock_back(&entry.changes)) {
            self.removed_by = 0;
        }
    }

    /// Applies committed entries as a follower.
    pub(super) fn follow(&mut self, entries: &[Entry]) -> Result<(), FollowError> {
        let borrowed: Vec<_> =
            entries.iter().map(|entry| (entry.lsn, entry.time, &entry.changes[..])).collect();
        self.state.follow(&borrowed, &|lsn| self.log.set_reached(lsn))?;
        self.forget_removals(entries);
        Ok(())
    }

    pub(super) fn become_follower(&self) {
        self.state.become_follower();
    }

    /// Counts the entry that begins the epoch of this node, before the state serves.
    pub(super) fn reach(&self, begin: Lsn) {
        self.log.set_reached(begin);
    }

    /// Becomes the primary, or accepts changes again. `begin` is the entry that begins the epoch.
    pub(super) fn lead(&self, begin: Lsn, time: u64, lease: Lease) {
        self.state.become_primary(time);
        if self.is_serving() {
            return self.log.accept_changes();
        }
        self.log.begin_term(begin, 1);
        self.renew_lease(lease);
    }

    /// Renews the lease, unless the state does not serve yet.
    pub(super) fn renew_lease(&self, lease: Lease) {
        if self.is_serving() {
            self.log.renew_lease(lease.until.saturating_mul(1000), lease.sent * 1000);
        }
    }

    pub(super) fn set_committed(&self, lsn: Lsn) {
        if self.is_serving() {
            self.log.set_committed(lsn);
        }
    }

    pub(super) fn refuse_changes(&self) {
        self.log.refuse_changes();
    }

    pub(super) fn end_term(&self) {
        self.log.end_term();
    }

    /// Makes the primary a follower. Returns the time by which it may have removed keys.
    pub(super) fn step_down(&mut self) -> u64 {
        let time = self.state.step_down().time;
        self.removed_by = self.removed_by.max(time);
        time
    }

    /// Writes a further shard of a snapshot, as of now. Returns the snapshot after the last one.
    pub(super) fn write_shard(&mut self) -> Option<Snapshot> {
        let writing = self.writing.get_or_insert_default();
        let number = writing.sections.len();
        let mut core = self.state.shards[number].lock();
        let records = core.begin_snapshot();
        let (watermark, time) = (self.log.last(), self.state.snapshot_time(&mut core));
        let records = records.into_iter().filter(|record| !record.is_expired(time));
        let records = records.map(|record| copy(&core, record)).collect();
        core.end_snapshot(None, self.log.committed());
        drop(core);
        writing.sections.push(Section {
            slots: self.state.sharding.slots(number),
            watermark,
            records,
        });
        if writing.sections.len() < self.state.shards.len() {
            return None;
        }
        let sealed = self.state.seal_snapshot();
        (writing.last, writing.time) = (self.log.last(), self.state.latest_time());
        self.writing.take().filter(|_| sealed)
    }

    /// Returns the time of the last end of keys that this state may lack.
    pub(super) fn removed_until(&self, store: &Store) -> u64 {
        match self.state.role.get() {
            Role::Alone | Role::Primary => self.now(),
            Role::Loading | Role::Follower => store.watermark.max(self.removed_by),
        }
    }

    /// Compares the state with the entries that it must contain.
    pub(super) fn compare(&self, store: &Store) -> Result<(), String> {
        if self.log.last() != store.last {
            return Err(format!("its log is at entry {}, not {}", self.log.last(), store.last));
        }
        let mut found = 0;
        for shard in self.state.shards.iter() {
            let mut core = shard.lock();
            let records = core.begin_snapshot();
            core.end_snapshot(None, self.log.committed());
            for (key, ends, value) in records.into_iter().map(|record| copy(&core, record)) {
                let name = String::from_utf8_lossy(&key).into_owned();
                match store.stored(&key) {
                    Some(record) if record.value == value && record.ends == ends => found += 1,
                    Some(record) => {
                        return Err(format!(
                            "{name} is {value:?} until {ends:?}, and the log says {record:?}"
                        ));
                    }
                    None if ends.is_some_and(|end| end <= store.watermark) => {}
                    None => return Err(format!("{name} is there, and the log has removed it")),
                }
            }
        }
        let until = self.removed_until(store);
        let (all, expired) = store.count(until);
        if found > all || found + expired < all {
            return Err(format!(
                "it has {found} of {all} keys, of which {expired} may be removed by {until}: {}",
                self.missing(store)
            ));
        }
        Ok(())
    }

    fn missing(&self, store: &Store) -> String {
        let lacks =
            |key: &&Vec<u8>| self.state.shards[self.state.shard_of(key)].lock().find(key).is_none();
        let names = store.keys().filter(lacks).map(|key| String::from_utf8_lossy(key).into_owned());
        names.collect::<Vec<_>>().join(" ")
    }
}

/// Returns a key, its expiration and its value.
fn copy(core: &Core, record: Record) -> (Vec<u8>, Option<u64>, Vec<u8>) {
    (record.key().to_vec(), record.expires_at(), core.read(record, <[u8]>::to_vec))
}
