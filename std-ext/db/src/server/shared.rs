//! What the threads of a server share: how far they are from their end, where connections are handed over, and who
//! waits for the log.

use super::client_list::ClientList;
#[cfg(feature = "metrics")]
use super::counters::Latencies;
use super::counters::{CounterTotals, Counters};
use super::listen::Accepted;
use super::runtime_config::RuntimeConfig;
use super::stream::Tls;
use crate::Db;
use crate::command::{ClientInfo, ServerApi, ServerStats, SettingError};
use crate::config::ServerConfig;
use crate::lock::lock;
use crate::log::Log;
use mio::Waker;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It serves.
    Serving,
    /// It takes no more connections, answers what has come, and ends.
    Stopping,
    /// It ends without a look back.
    StoppingNow,
}

/// What the threads of a server share.
pub(super) struct Shared {
    pub(super) db: Db,
    /// What acknowledges: the database's own, except in tests.
    pub(super) log: Arc<dyn Log>,
    pub(super) config: ServerConfig,
    pub(super) tls: Tls,
    pub(super) runtime_config: Arc<RuntimeConfig>,
    pub(super) started: Instant,
    /// The port that clients use; 0 without one.
    pub(super) port: u16,
    /// Forty hexadecimal digits, others at each start.
    pub(super) run_id: String,
    pub(super) workers: Vec<WorkerHandle>,
    next_id: AtomicU64,
    exit: Mutex<Exit>,
    /// Whether the end has begun: what threads look at each turn.
    stopping: AtomicBool,
    commands_per_second: Mutex<CommandRate>,
    /// What was counted when counting was begun anew.
    totals_at_reset: Mutex<CounterTotals>,
}

/// How many commands are obeyed in a second.
struct CommandRate {
    at: Instant,
    commands: u64,
    per_second: u64,
}

struct Exit {
    phase: Phase,
    save: Option<bool>,
}

/// Where one thread is reached by others.
pub(super) struct WorkerHandle {
    pub(super) waker: Waker,
    pub(super) counters: Arc<Counters>,
    /// Clients of this thread.
    pub(super) clients: AtomicUsize,
    pub(super) client_list: ClientList,
    /// Bytes in buffers of its clients, when it last looked.
    pub(super) buffers: AtomicUsize,
    inbox: Mutex<Vec<Accepted>>,
    /// Whether it has answers that wait for the log. A lock and no atomic: the thread sets it and then asks the log,
    /// the log's thread does the reverse, and one of the two has to see the other.
    waits_for_log: Mutex<bool>,
}

impl WorkerHandle {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            counters: Arc::default(),
            clients: AtomicUsize::new(0),
            client_list: ClientList::default(),
            buffers: AtomicUsize::new(0),
            inbox: Mutex::default(),
            waits_for_log: Mutex::default(),
        }
    }

    /// Says that this thread is to be woken when the log has made progress. The log has to be asked after this.
    pub(super) fn wait_for_log(&self) {
        *lock(&self.waits_for_log) = true;
    }

    /// Connections that other threads have taken for this one. Whoever brings some wakes it.
    pub(super) fn take_accepted(&self) -> Vec<Accepted> {
        std::mem::take(&mut *lock(&self.inbox))
    }

    pub(super) fn wake(&self) {
        if let Err(why) = self.waker.wake() {
            tracing::error!("a thread of the server cannot be woken: {why}");
        }
    }

    /// Clients of this thread, about.
    pub(super) fn load(&self) -> usize {
        // Relaxed: only a hint where the next client goes.
        self.clients.load(Ordering::Relaxed)
    }
}

impl Shared {
    pub(super) fn new(
        db: Db,
        log: Arc<dyn Log>,
        (config, tls): (ServerConfig, Tls),
        port: u16,
        workers: Vec<WorkerHandle>,
    ) -> Arc<Self> {
        let started = Instant::now();
        let shared = Arc::new(Self {
            db,
            log,
            runtime_config: Arc::new(RuntimeConfig::new(&config)),
            config,
            tls,
            started,
            port,
            run_id: run_id(),
            workers,
            next_id: AtomicU64::new(1),
            exit: Mutex::new(Exit { phase: Phase::Serving, save: None }),
            stopping: AtomicBool::new(false),
            commands_per_second: Mutex::new(CommandRate {
                at: started,
                commands: 0,
                per_second: 0,
            }),
            totals_at_reset: Mutex::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&shared);
        shared.log.on_progress(Box::new(move || {
            if let Some(shared) = weak.upgrade() {
                shared.wake_waiting();
            }
        }));
        shared
    }

    /// Wakes the threads that wait for the log.
    fn wake_waiting(&self) {
        for worker in &self.workers {
            if std::mem::take(&mut *lock(&worker.waits_for_log)) {
                worker.wake();
            }
        }
    }

    pub(super) fn phase(&self) -> Phase {
        // Relaxed: threads are woken after this was set, and waking orders; a turn later is as good.
        if self.stopping.load(Ordering::Relaxed) { lock(&self.exit).phase } else { Phase::Serving }
    }

    /// The end, more urgent each time.
    pub(super) fn stop(&self) {
        {
            let mut exit = lock(&self.exit);
            exit.phase =
                if exit.phase == Phase::Serving { Phase::Stopping } else { Phase::StoppingNow };
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        // Relaxed: as in `phase`.
        self.stopping.store(true, Ordering::Relaxed);
        self.workers.iter().for_each(WorkerHandle::wake);
    }

    /// The end, as a client asks for it.
    pub(super) fn shutdown(&self, save: bool) {
        {
            let mut exit = lock(&self.exit);
            exit.phase = exit.phase.max(Phase::Stopping);
            exit.save.get_or_insert(save);
        }
        self.wake_all();
    }

    /// What the client that asked for the end said about saving.
    pub(super) fn save(&self) -> Option<bool> {
        lock(&self.exit).save
    }

    pub(super) fn next_id(&self) -> u64 {
        // Relaxed: numbers have to differ, no more.
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Where a connection that `own` took is served: there, unless another has clearly less to do.
    pub(super) fn worker_for_next(&self, own: usize) -> usize {
        let least = (0..self.workers.len()).min_by_key(|&i| self.workers[i].load()).unwrap_or(own);
        if self.workers[least].load() + 1 < self.workers[own].load() { least } else { own }
    }

    /// Has another thread serve a connection.
    pub(super) fn hand_over(&self, to: usize, accepted: Accepted) {
        lock(&self.workers[to].inbox).push(accepted);
        self.workers[to].wake();
    }

    /// What all threads have counted.
    pub(super) fn totals(&self) -> CounterTotals {
        let mut all = CounterTotals::default();
        self.workers.iter().for_each(|worker| all.add(&worker.counters));
        all
    }

    /// How long commands took in all threads.
    #[cfg(feature = "metrics")]
    pub(super) fn latencies(&self) -> Latencies {
        let mut all = Latencies::default();
        self.workers.iter().for_each(|worker| all.add(&worker.counters.latency));
        all
    }

    /// What they have counted since that was forgotten.
    pub(super) fn totals_since_reset(&self) -> CounterTotals {
        self.totals().since(&lock(&self.totals_at_reset))
    }

    pub(super) fn reset_totals(&self) {
        *lock(&self.totals_at_reset) = self.totals();
    }

    /// Bytes in buffers of clients, about.
    pub(super) fn buffers(&self) -> u64 {
        // Relaxed: a figure for people.
        let of = |worker: &WorkerHandle| worker.buffers.load(Ordering::Relaxed);
        self.workers.iter().map(of).sum::<usize>() as u64
    }

    /// How many commands are obeyed in a second, as a stretch of a second or more has it.
    pub(super) fn commands_per_second(&self) -> u64 {
        let mut commands_per_second = lock(&self.commands_per_second);
        let (now, commands) = (Instant::now(), self.totals().commands);
        let time = now.saturating_duration_since(commands_per_second.at).as_millis() as u64;
        if time >= 1000 {
            let more = commands - commands_per_second.commands;
            *commands_per_second =
                CommandRate { at: now, commands, per_second: more * 1000 / time };
        }
        commands_per_second.per_second
    }
}

impl ServerApi for Shared {
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
            buffers: self.buffers(),
        }
    }

    fn settings(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.runtime_config.for_each_setting(each);
    }

    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)> {
        self.runtime_config.set(&self.db, changes)
    }

    fn reset_counters(&self) {
        self.reset_totals();
    }

    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        let now = Instant::now();
        for worker in &self.workers {
            worker.client_list.show(but, now, each);
        }
    }

    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64 {
        let now = Instant::now();
        let mut killed = 0;
        for worker in &self.workers {
            let of_worker = worker.client_list.kill(but, now, wanted);
            if of_worker > 0 {
                // The thread closes its clients itself.
                worker.wake();
            }
            killed += of_worker;
        }
        killed
    }

    fn password_is(&self, user: &[u8], password: &[u8]) -> bool {
        self.runtime_config.password_is(user, password)
    }

    fn has_password(&self) -> bool {
        self.runtime_config.has_password()
    }
}

/// Digits that differ at each start: the standard library's hash keys are random.
fn run_id() -> String {
    let hash = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let mut digits = format!("{:016x}{:016x}{:016x}", hash(), hash(), hash());
    digits.truncate(40);
    digits
}
