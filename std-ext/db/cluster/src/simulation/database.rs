//! The real state and the real log of a simulated node.
//!
//! Shards, roles, marks, watermarks, the clock and the lease checks of answers are those of the program. The local log
//! and etcd are the simulation's. Its [`Store`] applies the same entries, and says what the state must contain.

use super::Changes;
use crate::log::changes::CHANGES;
use crate::log::local_log::LocalLog;
use crate::log::{EtcdLog, LogSettings};
use crate::measure::clock::manual;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{self, Fsync, Log, Lsn, ReadIndex};
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::request::{
    Answer, Change, End, Expiry, ListChange, MultiKeyOp, OwnedValue, Query, Request as Call,
    SetCondition, StoredValue,
};
use hedgerow_db_engine::session::Session;
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::follow::FollowError;
use hedgerow_db_engine::state::load::{LoadingShards, ReplayedState};
use hedgerow_db_engine::state::maintenance::run_cycle;
use hedgerow_db_engine::state::record::Record;
use hedgerow_db_engine::state::role::Role;
use hedgerow_db_engine::state::shard::Core;
use hedgerow_db_formats::slots::SLOTS;
use hedgerow_db_group::Entry;
use hedgerow_db_group::simulation::keys::{
    Evaluation, KeyAnswer, KeyHistory, KeyRequest, Keys, LARGE, PAIR, ShownKey, Store,
};
use hedgerow_db_group::simulation::{
    ApplyError, Disk, Executed, FollowerAnswer, Lease, Program, Replica, Scenario, Truth, Verdict,
};
use std::cell::OnceCell;
use std::ops::Range;
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

/// A snapshot. Its shards were written one after the other, while entries were applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    sections: Vec<Section>,
    /// The last entry that it may contain.
    last: Lsn,
    /// The latest time of these entries.
    time: u64,
}

/// The records of some slots behind the entry `watermark`.
#[derive(Clone, Debug)]
struct Section {
    slots: Range<u16>,
    watermark: Lsn,
    records: Vec<(Vec<u8>, Option<u64>, OwnedValue)>,
}

/// The entry that must be committed, and the evaluation that must be confirmed, before an answer leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    lsn: Lsn,
    read_index: ReadIndex,
}

/// What a request was answered.
pub(super) struct Output {
    /// Whether the change was made, as its answer says.
    done: bool,
    /// The values of the keys, read in the same batch.
    values: Vec<Option<Vec<u8>>>,
    /// The time of the evaluation.
    time: u64,
}

fn set<'a>(value: &'a [u8], condition: SetCondition<'a>, expiry: Expiry) -> Change<'a> {
    Change::Set { value, condition, expiry, get: false }
}

/// Returns whether the tokens that are appended to a key are elements of a list, and not the bytes of a string.
fn is_list(key: &[u8]) -> bool {
    key == b"list-1"
}

/// Returns the bytes of a string, or of all elements of a list, one after the other.
fn joined(value: StoredValue<'_>) -> Vec<u8> {
    match value {
        StoredValue::String(bytes) => bytes.to_vec(),
        StoredValue::Packed(list) => list.names().collect::<Vec<_>>().concat(),
    }
}

/// Passes the change of a request. `now` is the time from which clients count a time to live.
fn with_change<R>(request: &KeyRequest, now: u64, run: impl FnOnce(Option<Call<'_>>) -> R) -> R {
    let (value, pairs, elements);
    let change = match request {
        KeyRequest::Append { key, token } if is_list(key) => {
            elements = [&token[..]];
            let (end, elements) = (End::Back, &elements);
            Call::Change(key, Change::List(ListChange::Push { end, elements, if_present: false }))
        }
        KeyRequest::Append { key, token } => Call::Change(key, Change::Append(token)),
        KeyRequest::Add { key } => Call::Change(key, Change::Increment(1)),
        KeyRequest::SetNew { key, token } => {
            Call::Change(key, set(token, SetCondition::IfAbsent, Expiry::Never))
        }
        KeyRequest::SetPair { token } => {
            pairs = PAIR.map(|key| (key, &token[..]));
            Call::MultiKey(MultiKeyOp::SetAll(&pairs))
        }
        KeyRequest::SetFor { key, token, milliseconds } => {
            let expiry = Expiry::At(now + milliseconds);
            Call::Change(key, set(token, SetCondition::Always, expiry))
        }
        KeyRequest::Lock { key, token, milliseconds } => {
            let expiry = Expiry::At(now + milliseconds);
            Call::Change(key, set(token, SetCondition::IfAbsent, expiry))
        }
        KeyRequest::Unlock { key } => Call::Change(key, Change::Delete),
        KeyRequest::SetLarge { token, bytes } => {
            value = KeyRequest::large_value(token, *bytes);
            Call::Change(LARGE, set(&value, SetCondition::Always, Expiry::Never))
        }
        KeyRequest::Get { .. } | KeyRequest::GetPair => return run(None),
    };
    run(Some(change))
}

/// Returns a local log without entries. The world has disks of its own, but the log wants a local log.
pub(crate) fn local_log() -> Arc<LocalLog> {
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
fn load(disk: &Disk<Snapshot>, shards: &LoadingShards) -> Result<(u64, u64), String> {
    let mut watermarks = vec![0; usize::from(SLOTS)];
    let (mut time, mut above) = (0, 0);
    if let Some(snapshot) = disk.snapshot() {
        for section in &snapshot.sections {
            watermarks[usize::from(section.slots.start)..usize::from(section.slots.end)]
                .fill(section.watermark);
            for (key, ends, value) in &section.records {
                shards.load_value(key, *ends, value.stored());
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
    /// The log removes what had expired when it sets the clock back, so this node lacks nothing more.
    fn forget_removals(&mut self, entries: &[Entry]) {
        if entries.iter().any(|entry| CHANGES.sets_clock_back(&entry.changes)) {
            self.removed_by = 0;
        }
    }

    /// Writes a further shard of a snapshot, as of now. Returns the snapshot after the last one.
    fn write_shard(&mut self) -> Option<Snapshot> {
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
    fn removed_until(&self, store: &Store<Changes>) -> u64 {
        match self.state.role.get() {
            Role::Alone | Role::Primary => self.now(),
            Role::Loading | Role::Follower => store.watermark.max(self.removed_by),
        }
    }

    fn missing(&self, store: &Store<Changes>) -> String {
        let lacks =
            |key: &&Vec<u8>| self.state.shards[self.state.shard_of(key)].lock().find(key).is_none();
        let names = store.keys().filter(lacks).map(|key| String::from_utf8_lossy(key).into_owned());
        names.collect::<Vec<_>>().join(" ")
    }
}

impl Program<Keys<Changes>> for Database {
    type Wait = Wait;
    type Output = Output;
    type Snapshot = Snapshot;

    fn open(
        disk: &Disk<Snapshot>,
        node: usize,
        scenario: Scenario,
        wall: u64,
    ) -> Result<Option<Self>, String> {
        if scenario != Scenario::Whole {
            return Ok(None);
        }
        let wall = Arc::new(AtomicU64::new(wall));
        let mut options = Options::in_memory();
        options.shards = 2 << node;
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
            (disk.last(), hedgerow_db_formats::slot_set::SlotSet::all()),
            wake,
        ));
        let shared: Arc<dyn Log> = Arc::clone(&log) as _;
        let state = Arc::new(State::clustered(loading, shared, times, &options));
        let session = Session::new(Arc::clone(&state));
        Ok(Some(Self { session, state, log, wall, wakes, removed_by: 0, writing: None }))
    }

    fn end_run() {
        manual::clear();
    }

    fn set_clocks(&self, wall: u64, boot: u64) {
        // Relaxed: one thread.
        self.wall.store(wall, Ordering::Relaxed);
        manual::set(boot * 1000);
    }

    fn now(&self) -> u64 {
        self.state.clock.now()
    }

    fn is_serving(&self) -> bool {
        !self.log.epoch().is_multiple_of(2)
    }

    fn execute(&mut self, request: &KeyRequest) -> Result<Executed<Output, Wait>, String> {
        let keys = request.keys();
        let epoch = self.log.epoch();
        let (mut values, mut done, mut wrong) = (vec![None; keys.len()], false, None);
        let session = &mut self.session;
        let lsn = with_change(request, self.state.clock.now(), |change| {
            let mut requests: Vec<_> = change.into_iter().collect();
            let first = requests.len();
            requests.extend(keys.iter().enumerate().map(|(at, key)| match at {
                0 if keys.len() > 1 => Call::MultiRead(key, Query::Value, keys.len()),
                _ if is_list(key) => Call::Read(key, Query::Stored),
                _ => Call::Read(key, Query::Value),
            }));
            session.execute(&requests, &mut |number, answer| match (
                number.checked_sub(first),
                answer,
            ) {
                (Some(at), Answer::Bytes(value)) => values[at] = Some(value.to_vec()),
                (Some(at), Answer::Stored(value)) => values[at] = Some(joined(value)),
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
        let output = Output { done, values, time: self.now() };
        Ok(Executed { output, wait, entries: self.log.take(1) })
    }

    fn answer(
        output: Output,
        request: &KeyRequest,
        store: &Store<Changes>,
        known: Vec<Lsn>,
    ) -> KeyAnswer {
        let Output { done, values, time } = output;
        let keys = request.keys().into_iter().zip(values).zip(known);
        let shown = keys.map(|((key, value), required)| ShownKey {
            key: key.to_vec(),
            value,
            changed: store.written(key),
            gone: store.stored(key).is_none(),
            required,
        });
        KeyAnswer { shown: shown.collect(), evaluation: Some(Evaluation { done, time }) }
    }

    fn read_as_follower(
        &mut self,
        request: &KeyRequest,
        store: &Store<Changes>,
        truth: &Truth<KeyHistory<Changes>>,
    ) -> Result<FollowerAnswer, String> {
        let executed = self.execute(request)?;
        if self.verdict(&executed.wait) != Verdict::Leaves {
            return Ok(FollowerAnswer::None);
        }
        let hidden = executed.output.time.max(self.removed_until(store));
        let mut answer = FollowerAnswer::Right;
        for (key, value) in request.keys().into_iter().zip(&executed.output.values) {
            let record = truth.history().record(key, store.written(key));
            let agrees = if let Some(value) = value {
                record.is_some_and(|record| record.value == *value)
            } else {
                // A watermark may have removed it, or the own clock hides it.
                let gone = store.stored(key).is_none();
                let hides = |end: u64| gone || end <= hidden;
                record.is_none_or(|record| record.ends.is_some_and(hides))
            };
            if !agrees {
                let name = String::from_utf8_lossy(key).into_owned();
                let wrong = format!("as a follower it shows {name} as it never was: {value:?}");
                answer = FollowerAnswer::Wrong(wrong);
            }
        }
        Ok(answer)
    }

    fn verdict(&self, wait: &Wait) -> Verdict {
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

    fn was_woken(&self) -> bool {
        let woken = self.wakes.get() > 0;
        self.wakes.set(0);
        woken
    }

    fn wants_lease_check(&self) -> bool {
        self.log.take_lease_check_wanted()
    }

    /// Writes a further shard of a snapshot, and goes through all shards once, as the maintenance thread does.
    fn maintain(&mut self) -> (Vec<Entry>, Option<(Lsn, Snapshot)>) {
        let snapshot = self.write_shard().map(|snapshot| (snapshot.last, snapshot));
        run_cycle(&self.state);
        let entries = self.log.take(1);
        self.forget_removals(&entries);
        (entries, snapshot)
    }

    fn follow(&mut self, entries: &[Entry]) -> Result<(), ApplyError> {
        let borrowed: Vec<_> =
            entries.iter().map(|entry| (entry.lsn, entry.time, &entry.changes[..])).collect();
        let followed = self.state.follow(&borrowed, &|lsn| self.log.set_reached(lsn));
        followed.map_err(|why| match why {
            FollowError::TimeWentBack { .. } => ApplyError::Restart,
            why => ApplyError::Wrong(why.to_string()),
        })?;
        self.forget_removals(entries);
        Ok(())
    }

    fn become_follower(&self) {
        self.state.become_follower();
    }

    fn reach(&self, begin: Lsn) {
        self.log.set_reached(begin);
    }

    fn lead(&self, begin: Lsn, time: u64, lease: Lease) {
        self.state.become_primary(time);
        if self.is_serving() {
            return self.log.accept_changes();
        }
        self.log.begin_term(begin, 1);
        self.renew_lease(lease);
    }

    fn renew_lease(&self, lease: Lease) {
        if self.is_serving() {
            self.log.renew_lease(lease.until.saturating_mul(1000), lease.sent * 1000);
        }
    }

    fn set_committed(&self, lsn: Lsn) {
        if self.is_serving() {
            self.log.set_committed(lsn);
        }
    }

    fn refuse_changes(&self) {
        self.log.refuse_changes();
    }

    fn end_term(&self) {
        self.log.end_term();
    }

    fn step_down(&mut self) -> u64 {
        let time = self.state.step_down().time;
        self.removed_by = self.removed_by.max(time);
        time
    }

    fn compare(&self, replica: &Replica<Store<Changes>>) -> Result<(), String> {
        let store = &replica.machine;
        if self.log.last() != replica.last {
            return Err(format!("its log is at entry {}, not {}", self.log.last(), replica.last));
        }
        let mut found = 0;
        for shard in self.state.shards.iter() {
            let mut core = shard.lock();
            let records = core.begin_snapshot();
            core.end_snapshot(None, self.log.committed());
            for (key, ends, value) in records.into_iter().map(|record| copy(&core, record)) {
                let name = String::from_utf8_lossy(&key).into_owned();
                let value = joined(value.stored());
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
}

/// Returns a key, its expiration and its value.
fn copy(core: &Core, record: Record) -> (Vec<u8>, Option<u64>, OwnedValue) {
    (record.key().to_vec(), record.expires_at(), core.stored_value(record))
}
