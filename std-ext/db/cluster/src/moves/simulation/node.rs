//! A node: the real state and the real log, and the part that commits its entries.

use super::env::SimEnv;
use super::executor::Handle;
use super::world::{GROUPS, World, keys, node_id};
use crate::log::changes::CHANGES;
use crate::log::{EtcdLog, LogSettings};
use crate::measure::clock;
use crate::moves::{self, Mover};
use crate::peer::{Asked, Asks};
use crate::simulation::local_log;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::{Log, Lsn};
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::session::Session;
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::load::{LoadingShards, ReplayedState};
use hedgerow_db_engine::state::maintenance::run_cycle;
use hedgerow_db_formats::slot_set::{SlotSet, share};
use hedgerow_db_group::Entry;
use hedgerow_db_group::format::time_behind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How often the maintenance thread goes through all shards.
const CYCLE: Duration = Duration::from_millis(250);

/// A state with its log.
pub(super) struct Node {
    pub(super) state: Arc<State>,
    pub(super) log: Arc<EtcdLog>,
    wake: Arc<Notify>,
}

impl Node {
    /// Makes a follower from the committed entries, as a node that opens its folder.
    pub(super) fn load(world: &World, group: u32, entries: &[Entry]) -> Result<Self, String> {
        let mut options = Options::in_memory();
        options.shards = 4;
        options.time = TimeSource::Manual(world.clock(group));
        let loading = LoadingShards::clustered(&options);
        let (mut met, mut time) = (ReplayedState::default(), 0);
        for entry in entries {
            let replayed = loading.replay(entry.lsn, entry.time, &entry.changes, |_| 0, &mut met);
            replayed.map_err(|why| format!("entry {} of group {group}: {why}", entry.lsn))?;
            time = time_behind(CHANGES, time, [entry]);
        }
        let first = SlotSet::of_range(share(group, GROUPS));
        let change = |slots: SlotSet, (by, owned): &(SlotSet, bool)| match owned {
            true => slots.union(by),
            false => slots.difference(by),
        };
        let slots = met.slots.iter().fold(first, change);
        let settings =
            LogSettings { cluster: [1; 16], incarnation: 1, group, largest_request: 64 << 20 };
        let wake = Arc::new(Notify::new());
        let of_log = Arc::clone(&wake);
        let last = entries.len() as Lsn;
        let log = EtcdLog::new(
            settings,
            local_log(),
            (last, slots),
            Box::new(move || of_log.notify_one()),
        );
        let log = Arc::new(log);
        let shared: Arc<dyn Log> = Arc::clone(&log) as _;
        let state = Arc::new(State::clustered(loading, shared, (met.watermark, time), &options));
        state.become_follower();
        Ok(Self { state, log, wake })
    }

    /// Applies the committed entries that it lacks.
    pub(super) fn follow(&self, entries: &[Entry]) -> Result<(), String> {
        let further = &entries[self.log.last() as usize..];
        let further: Vec<_> =
            further.iter().map(|entry| (entry.lsn, entry.time, &entry.changes[..])).collect();
        self.state.follow(&further, &|lsn| self.log.set_reached(lsn)).map_err(|why| why.to_string())
    }
}

/// A process that has become the primary of its group.
pub(super) struct Process {
    pub(super) group: u32,
    pub(super) epoch: u64,
    pub(super) state: Arc<State>,
    pub(super) log: Arc<EtcdLog>,
    pub(super) session: Mutex<Session>,
    pub(super) asks: Asks,
    asked: Mutex<Option<UnboundedReceiver<Asked>>>,
    alive: AtomicBool,
    tasks: Mutex<Vec<u64>>,
}

impl Process {
    pub(super) fn start(world: &World, node: Node, group: u32, epoch: u64) -> Arc<Self> {
        let (asks, asked) = unbounded_channel();
        let Node { state, log, wake } = node;
        let process = Arc::new(Self {
            group,
            epoch,
            session: Mutex::new(Session::new(Arc::clone(&state))),
            state,
            log,
            asks,
            asked: Mutex::new(Some(asked)),
            alive: AtomicBool::new(true),
            tasks: Mutex::default(),
        });
        process.spawn(&world.handle, commit(world.clone(), Arc::clone(&process), wake));
        process.spawn(&world.handle, maintain(world.clone(), Arc::clone(&process)));
        process
    }

    /// Takes part in moves.
    pub(super) fn run_mover(self: &Arc<Self>, env: SimEnv) {
        let Some(asked) = lock(&self.asked).take() else { return };
        let handle = env.handle().clone();
        let (keys, groups) = (Arc::new(keys(self.group)), GROUPS);
        let (state, log) = (Arc::clone(&self.state), Arc::clone(&self.log));
        let process = (node_id(self.group), self.epoch);
        let mover = Mover { env, keys, process, state, log, groups, counters: Arc::default() };
        self.spawn(&handle, moves::run(mover, asked));
    }

    /// Runs a task until the process ends.
    pub(super) fn spawn(&self, handle: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).push(handle.spawn(task));
    }

    pub(super) fn is_alive(&self) -> bool {
        // Relaxed: one thread.
        self.alive.load(Ordering::Relaxed)
    }

    /// Ends the process. A task of it that runs right now ends at its next wait.
    pub(super) fn kill(&self, handle: &Handle) {
        // Relaxed: one thread.
        self.alive.store(false, Ordering::Relaxed);
        self.log.end_term();
        lock(&self.tasks).drain(..).for_each(|task| handle.kill(task));
    }
}

/// Commits what the process appends, and proves to it that it is the primary.
async fn commit(world: World, process: Arc<Process>, wake: Arc<Notify>) {
    loop {
        // At first, the log wakes nobody.
        loop {
            world.delay(1, 4).await;
            let entries = process.log.take(1);
            let lease_check_wanted = process.log.take_lease_check_wanted();
            if entries.is_empty() && !lease_check_wanted {
                break;
            }
            let sent = clock::micros();
            let slow = world.scene().plan.slow_commits;
            let most = if world.chance(slow) { 150 } else { 6 };
            world.delay(1, most).await;
            let last = world.commit(&process, entries);
            let leads = world.scene().groups[process.group as usize].epoch == process.epoch;
            if !process.is_alive() {
                return;
            }
            if let Some(last) = last {
                process.log.set_committed(last);
            }
            if leads {
                process.log.renew_lease(0, sent);
            }
        }
        wake.notified().await;
    }
}

async fn maintain(world: World, process: Arc<Process>) {
    loop {
        world.handle.sleep(CYCLE).await;
        run_cycle(&process.state);
    }
}
