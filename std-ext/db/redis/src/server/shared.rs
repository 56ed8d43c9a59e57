//! State that the workers of a server share: the phase of its shutdown, a handle to each worker, and server-wide
//! statistics.

use super::client_list::ClientList;
use super::client_sizes;
#[cfg(feature = "metrics")]
use super::counters::Latencies;
use super::counters::{CounterTotals, Counters};
use super::event_loops::{EventLoops, IdleTime};
use super::listen::ServerListener;
use super::runtime_config::RuntimeConfig;
use super::stream::Tls;
use crate::command::{ClientInfo, ServerApi, ServerStats, SettingError, Users};
use crate::config::ServerConfig;
use crate::config::rewrite::{self, UserLines};
use crate::config::table::{KEY_EVENTS, TRACKED_KEYS};
use crate::pubsub::{Hub, Mailbox};
use crate::tracking::Tracking;
use crate::view::Views;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::Log;
use hedgerow_db_engine::state::waiters::{WaitEnd, Waiter};
use mio::Waker;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// How long a loop is in the same cycle beyond `busy-reply-threshold` before others serve its new connections.
const OCCUPIED: Duration = Duration::from_millis(100);
/// How long a worker may stand still after it was woken. A command on all keys may take seconds.
#[cfg(feature = "metrics")]
const STANDSTILL: Duration = Duration::from_secs(60);

/// The phase of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServerPhase {
    /// It serves clients.
    Serving,
    /// It accepts no more connections, answers what clients have sent, and exits.
    Stopping,
    /// It exits at once.
    StoppingNow,
}

/// State that the workers of a server share.
pub(super) struct ServerShared {
    pub(super) db: Db,
    /// The log that acknowledges changes: the database's own, except in tests.
    pub(super) log: Arc<dyn Log>,
    /// The cell in which a node of a cluster shows its group; `None` for a single node.
    pub(super) views: Option<Arc<Views>>,
    pub(super) config: ServerConfig,
    pub(super) tls: Tls,
    pub(super) runtime_config: Arc<RuntimeConfig>,
    pub(super) started: Instant,
    /// The TCP port for clients; 0 without one.
    pub(super) port: u16,
    /// Forty hexadecimal digits, different at each start, as `INFO` shows them.
    pub(super) run_id: String,
    pub(super) workers: Vec<WorkerHandle>,
    /// The number of workers that serve clients.
    pub(super) event_loops: EventLoops,
    pub(super) client_list: ClientList,
    pub(super) hub: Arc<Hub>,
    next_id: Gauge,
    exit: Mutex<Exit>,
    /// Whether shutdown has begun. Workers read it in each cycle, so it stands outside the lock.
    stopping: AtomicBool,
    commands_per_second: Mutex<CommandRate>,
    /// The settings that CONFIG REWRITE has written. The lock also keeps two of them apart.
    rewritten: Mutex<BTreeSet<String>>,
    /// The totals when `CONFIG RESETSTAT` was last used.
    totals_at_reset: Mutex<CounterTotals>,
}

/// Commands executed in a second.
struct CommandRate {
    at: Instant,
    commands: u64,
    per_second: u64,
}

struct Exit {
    phase: ServerPhase,
    save: Option<bool>,
}

/// How other threads reach a worker.
pub(super) struct WorkerHandle {
    pub(super) waker: Arc<Waker>,
    pub(super) counters: Arc<Counters>,
    /// Clients of this worker.
    pub(super) clients: Gauge,
    /// Clients that it has served lately, about.
    pub(super) active_clients: Gauge,
    pub(super) idle: IdleTime,
    /// Bytes in buffers of its clients, as of its last sweep.
    pub(super) buffers: Gauge,
    /// Cycles of its event loop.
    cycles: Gauge,
    /// When the last cycle began, in nanoseconds.
    pub(super) cycle_began: Gauge,
    /// Copies of its listeners, from which other workers accept connections while this one stands still.
    pub(super) spare_listeners: Mutex<Vec<ServerListener>>,
    /// The cycles when they were last found to have changed, and when that was. The worker was woken then.
    #[cfg(feature = "metrics")]
    checked: Mutex<Option<(u64, Instant)>>,
    /// Whether the worker has replies that wait for the log. This is a lock and no atomic: the worker sets it and then
    /// asks the log, the log's thread makes progress and then reads it, and one of the two must see the other.
    waits_for_log: Mutex<bool>,
}

impl WorkerHandle {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker: Arc::new(waker),
            counters: Arc::default(),
            clients: Gauge::default(),
            active_clients: Gauge::default(),
            idle: IdleTime::default(),
            buffers: Gauge::default(),
            cycles: Gauge::default(),
            cycle_began: Gauge::default(),
            spare_listeners: Mutex::default(),
            #[cfg(feature = "metrics")]
            checked: Mutex::default(),
            waits_for_log: Mutex::default(),
        }
    }

    /// Registers this worker to be woken when the log makes progress. The worker must ask the log again after this
    /// call.
    pub(super) fn wait_for_log(&self) {
        *lock(&self.waits_for_log) = true;
    }

    /// Copies the worker's listeners. Without a copy, connections to it wait while it stands still.
    pub(super) fn open_spare_listeners(&self, listeners: &[ServerListener]) {
        let copies = listeners.iter().filter_map(|listener| listener.try_clone().ok());
        *lock(&self.spare_listeners) = copies.collect();
    }

    pub(super) fn close_spare_listeners(&self) {
        lock(&self.spare_listeners).clear();
    }

    pub(super) fn wake(&self) {
        wake(&self.waker);
    }

    /// Counts a cycle. Only the worker calls this.
    pub(super) fn count_cycle(&self) {
        self.cycles.set(self.cycles.get() + 1);
    }

    /// Returns whether the worker has stood still since an earlier call woke it, a minute ago or more. An idle worker
    /// makes no cycles by itself, so this wakes it for the next call.
    #[cfg(feature = "metrics")]
    pub(super) fn stands_still(&self, now: Instant) -> bool {
        let mut checked = lock(&self.checked);
        let cycles = self.cycles.get();
        if let Some((before, since)) = *checked
            && before == cycles
        {
            return now.saturating_duration_since(since) >= STANDSTILL;
        }
        *checked = Some((cycles, now));
        self.wake();
        false
    }
}

pub(super) fn wake(waker: &Waker) {
    if let Err(why) = waker.wake() {
        tracing::error!("cannot wake a server thread: {why}");
    }
}

impl ServerShared {
    pub(super) fn new(
        db: Db,
        log: Arc<dyn Log>,
        views: Option<Arc<Views>>,
        (config, tls): (ServerConfig, Tls),
        port: u16,
        workers: Vec<WorkerHandle>,
    ) -> Arc<Self> {
        let started = Instant::now();
        let event_loops = EventLoops::new(workers.len());
        let hub = Hub::new(workers.len());
        let latency = Arc::clone(&db.state().latency);
        let runtime_config = RuntimeConfig::with_database(&config, latency, views.clone());
        let shared = Arc::new(Self {
            db,
            log,
            views,
            runtime_config: Arc::new(runtime_config),
            config,
            tls,
            started,
            port,
            run_id: run_id(),
            workers,
            event_loops,
            client_list: ClientList::default(),
            hub,
            next_id: Gauge::new(1),
            exit: Mutex::new(Exit { phase: ServerPhase::Serving, save: None }),
            stopping: AtomicBool::new(false),
            commands_per_second: Mutex::new(CommandRate {
                at: started,
                commands: 0,
                per_second: 0,
            }),
            rewritten: Mutex::default(),
            totals_at_reset: Mutex::default(),
        });
        // Weak, because the server owns the log: neither would ever be dropped.
        let weak: Weak<Self> = Arc::downgrade(&shared);
        shared.log.on_progress(Box::new(move || {
            if let Some(shared) = weak.upgrade() {
                shared.wake_waiting();
            }
        }));
        // Not the server: a thread that holds the lock of a shard must not be the last one that uses the database.
        let wakers = shared.workers.iter().map(|worker| Arc::clone(&worker.waker));
        let wakers: Vec<Arc<Waker>> = wakers.collect();
        let all = wakers.clone();
        shared
            .runtime_config
            .users()
            .on_change(Box::new(move || all.iter().for_each(|waker| wake(waker))));
        shared.hub.on_mail(Box::new(move |worker| wake(&wakers[worker])));
        shared.hub.set_limit(shared.runtime_config.buffer_limits().subscriber_output.hard);
        shared.publish_key_events();
        if let Some(views) = &shared.views {
            let weak = Arc::downgrade(&shared);
            views.on_work(Box::new(move || weak.upgrade().map(|shared| shared.work())));
            let hub = Arc::downgrade(&shared.hub);
            views.broadcast().on_received(Arc::new(move |channel, message| {
                if let Some(hub) = hub.upgrade() {
                    hub.publish(channel, message);
                }
            }));
        }
        shared
    }

    /// Returns the time that all workers have worked, in nanoseconds, and their number.
    fn work(&self) -> (u64, usize) {
        let now = self.time(Instant::now());
        let worked = |worker: &WorkerHandle| now.saturating_sub(worker.idle.until(now));
        // A worker whose loop has not begun has not waited either.
        (self.workers.iter().map(worked).sum(), self.workers.len())
    }

    /// Publishes the events about keys on the channels of this server from now on.
    fn publish_key_events(&self) {
        let hub = Arc::downgrade(&self.hub);
        self.db.on_key_event(Box::new(move |flags, database, event, key| {
            if let Some(hub) = hub.upgrade() {
                hub.publish_key_event(flags, database, (event, key));
            }
        }));
        let letters = self.config.settings.iter().find(|(name, _)| name == KEY_EVENTS);
        self.db.set_key_events(letters.map_or("", |(_, letters)| letters));
        let keys = self.config.settings.iter().find(|(name, _)| name == TRACKED_KEYS);
        if let Some(keys) = keys.and_then(|(_, keys)| keys.parse().ok()) {
            Tracking::of(self.db.state()).set_max_keys(keys);
        }
    }

    /// Wakes the workers whose replies wait for the log.
    fn wake_waiting(&self) {
        for worker in &self.workers {
            if std::mem::take(&mut *lock(&worker.waits_for_log)) {
                worker.wake();
            }
        }
    }

    pub(super) fn phase(&self) -> ServerPhase {
        // Relaxed: workers are woken after the store, and the wake-up orders the two. A worker that reads the old value
        // acts one cycle later.
        if self.stopping.load(Ordering::Relaxed) {
            lock(&self.exit).phase
        } else {
            ServerPhase::Serving
        }
    }

    /// Begins shutdown; a second call makes it immediate.
    pub(super) fn stop(&self) {
        {
            let mut exit = lock(&self.exit);
            exit.phase = if exit.phase == ServerPhase::Serving {
                ServerPhase::Stopping
            } else {
                ServerPhase::StoppingNow
            };
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        // Commands that wait for the end of a pause are answered first.
        self.runtime_config.diagnostics().unpause();
        // A script that runs for too long would hold the shutdown up.
        #[cfg(feature = "scripts")]
        if self.runtime_config.diagnostics().is_busy() {
            crate::scripts::Scripts::of(&self.db).kill();
        }
        // Relaxed: as in `phase`.
        self.stopping.store(true, Ordering::Relaxed);
        self.workers.iter().for_each(WorkerHandle::wake);
    }

    /// Begins the shutdown that a client has requested.
    pub(super) fn shutdown(&self, save: bool) {
        {
            let mut exit = lock(&self.exit);
            // Two clients that send SHUTDOWN are no second request to exit at once, unlike two signals.
            exit.phase = exit.phase.max(ServerPhase::Stopping);
            exit.save.get_or_insert(save);
        }
        self.wake_all();
    }

    /// Returns what the SHUTDOWN command said about a snapshot.
    pub(super) fn save(&self) -> Option<bool> {
        lock(&self.exit).save
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.add(1)
    }

    /// Returns a time in nanoseconds since the start.
    pub(super) fn time(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started).as_nanos() as u64
    }

    /// Returns whether a loop has been in the same cycle for longer than `busy-reply-threshold`, at this time since the
    /// start.
    pub(super) fn is_occupied(&self, worker: usize, now: u64) -> bool {
        let Some(after) = self.runtime_config.diagnostics().busy_after() else { return false };
        let worker = &self.workers[worker];
        // A script counts as busy a little later than its cycle begins. Until then, a command that needs the lock of
        // one of its keys' shards would occupy the next loop, too.
        let after = (after + OCCUPIED).as_nanos() as u64;
        !worker.idle.is_waiting() && now.saturating_sub(worker.cycle_began.get()) >= after
    }

    /// Returns the worker with the fewest clients that were served lately, of those whose loops are active. One that
    /// is occupied comes last.
    pub(super) fn least_active(&self) -> usize {
        let now = self.time(Instant::now());
        let load = |number: &usize| {
            let worker = &self.workers[*number];
            let is_occupied = self.is_occupied(*number, now);
            (is_occupied, worker.active_clients.get(), worker.clients.get())
        };
        (0..self.event_loops.active()).min_by_key(load).unwrap_or(0)
    }

    /// Chooses the worker for a connection that `own` has accepted: `own`, unless its loop is retired or another one is
    /// clearly less active.
    pub(super) fn worker_for_next(&self, own: usize) -> usize {
        let least = self.least_active();
        if least != own && self.is_occupied(least, self.time(Instant::now())) {
            // All active loops are occupied. This one has time, and is activated soon.
            return own;
        }
        let load = |worker: usize| self.workers[worker].active_clients.get();
        // Prefer the accepting worker: handing a connection over costs a wake-up.
        let is_fine = own < self.event_loops.active() && load(own) <= load(least) + 1;
        if is_fine { own } else { least }
    }

    /// Returns the sums of all workers' counters.
    pub(super) fn totals(&self) -> CounterTotals {
        let mut all = CounterTotals::default();
        self.workers.iter().for_each(|worker| all.add(&worker.counters));
        all
    }

    /// Returns the latency histogram of all workers.
    #[cfg(feature = "metrics")]
    pub(super) fn latencies(&self) -> Latencies {
        let mut all = Latencies::default();
        self.workers.iter().for_each(|worker| all.add(&worker.counters.latency));
        all
    }

    /// Returns the totals since `CONFIG RESETSTAT`.
    pub(super) fn totals_since_reset(&self) -> CounterTotals {
        // Before the present totals are read, so that none of them is less than at the reset.
        let at_reset = lock(&self.totals_at_reset);
        self.totals().since(&at_reset)
    }

    pub(super) fn reset_totals(&self) {
        let mut at_reset = lock(&self.totals_at_reset);
        *at_reset = self.totals();
    }

    /// Returns about how many bytes the clients' buffers have.
    pub(super) fn buffers(&self) -> u64 {
        self.workers.iter().map(|worker| worker.buffers.get()).sum()
    }

    /// Returns about how many bytes the clients take, with their buffers: the sum of what CLIENT LIST shows.
    pub(super) fn client_memory(&self) -> u64 {
        let clients: u64 = self.workers.iter().map(|worker| worker.clients.get()).sum();
        clients * client_sizes::bare().total + self.buffers()
    }

    /// Returns the commands executed in a second, measured over the last second or more.
    pub(super) fn commands_per_second(&self) -> u64 {
        let mut commands_per_second = lock(&self.commands_per_second);
        let (now, commands) = (Instant::now(), self.totals().commands);
        let time = now.saturating_duration_since(commands_per_second.at).as_millis() as u64;
        // Measured when it is read: a server that nobody watches spends nothing on it.
        if time >= 1000 {
            let more = commands - commands_per_second.commands;
            *commands_per_second =
                CommandRate { at: now, commands, per_second: more * 1000 / time };
        }
        commands_per_second.per_second
    }
}

impl ServerShared {
    /// Returns the lines of users for the configuration file, unless they are in a file of their own.
    fn user_lines(&self, settings: &[(String, String)]) -> Result<Option<UserLines>, String> {
        let users = self.runtime_config.users();
        // As Redis: with `aclfile`, the configuration file must not define users.
        if users.file().is_some() {
            return Ok(None);
        }
        let password = settings.iter().find(|(name, _)| name == "requirepass");
        let password = password.map_or("", |(_, password)| password);
        let are_implied = users.are_implied_by(password.as_bytes());
        let lines = users.lines().into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>();
        let lines = lines.map_err(|_| "rules of users that are not UTF-8 cannot be in a file")?;
        Ok(Some(UserLines::new(&lines, are_implied)))
    }
}

impl ServerApi for ServerShared {
    fn stats(&self) -> ServerStats {
        let totals = self.totals_since_reset();
        ServerStats {
            port: self.port,
            uptime: self.started.elapsed().as_secs(),
            run_id: self.run_id.clone(),
            config_file: self.config.config_file.clone(),
            threads: self.workers.len(),
            clients: self.runtime_config.clients() as u64,
            max_clients: self.runtime_config.max_clients() as u64,
            connections: totals.connections,
            rejected: totals.rejected,
            commands: totals.commands,
            commands_per_second: self.commands_per_second(),
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
            client_memory: self.client_memory(),
        }
    }

    fn settings(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.runtime_config.for_each_setting(each);
    }

    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)> {
        self.runtime_config.set(&self.db, changes)?;
        self.hub.set_limit(self.runtime_config.buffer_limits().subscriber_output.hard);
        Ok(())
    }

    fn rewrite_config(&self, settings: &[(String, String)]) -> Result<(), Option<String>> {
        let file = &self.config.config_file;
        if file.is_empty() {
            return Err(None);
        }
        let was = |name: &str| self.config.settings.iter().find(|(other, _)| other == name);
        // Once a setting was written, it is written again, also with the value of the start.
        let mut rewritten = lock(&self.rewritten);
        for (name, value) in settings {
            if was(name).is_some_and(|(_, was)| was != value) {
                rewritten.insert(name.clone());
            }
        }
        let changed: Vec<_> =
            settings.iter().filter(|(name, _)| rewritten.contains(name)).cloned().collect();
        let users = self.user_lines(settings).map_err(Some)?;
        rewrite::rewrite(Path::new(file), &changed, users.as_ref())
            .map_err(|why| Some(why.to_string()))
    }

    fn reset_counters(&self) {
        self.reset_totals();
    }

    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        self.client_list.show(but, Instant::now(), each);
    }

    fn is_stopping(&self) -> bool {
        self.phase() != ServerPhase::Serving
    }

    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64 {
        // A worker closes its own clients.
        self.client_list.kill(but, Instant::now(), wanted, |worker| self.workers[worker].wake())
    }

    fn is_killed(&self, client: u64) -> bool {
        self.client_list.is_killed(client)
    }

    fn note_waiter(&self, client: u64, waiter: Option<&Arc<Waiter>>) {
        self.client_list.note_waiter(client, waiter);
    }

    fn unblock(&self, client: u64, why: WaitEnd) -> bool {
        self.client_list.unblock(client, why)
    }

    fn users(&self) -> &Users {
        self.runtime_config.users()
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn own_mailbox(&self, client: u64) -> Arc<Mailbox> {
        self.client_list.own_mailbox(client)
    }

    fn mailbox_of(&self, client: u64) -> Option<Arc<Mailbox>> {
        self.client_list.mailbox_of(client, |worker| self.workers[worker].wake())
    }
}

/// Returns digits that differ at each start: the standard library's hash keys are random.
fn run_id() -> String {
    let hash = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let mut digits = format!("{:016x}{:016x}{:016x}", hash(), hash(), hash());
    digits.truncate(40);
    digits
}
