//! What the threads of a server share: how far they are from their end, where connections are handed over, and who
//! waits for the log.

use super::client_list::Register;
#[cfg(feature = "metrics")]
use super::counters::Latencies;
use super::counters::{Counted, Counters};
use super::listen::Arrival;
use super::runtime_config::Live;
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
    Serves,
    /// It takes no more connections, answers what has come, and ends.
    Ends,
    /// It ends without a look back.
    EndsNow,
}

/// What the threads of a server share.
pub(super) struct Shared {
    pub(super) db: Db,
    /// What acknowledges: the database's own, except in tests.
    pub(super) log: Arc<dyn Log>,
    pub(super) config: ServerConfig,
    pub(super) tls: Tls,
    pub(super) live: Arc<Live>,
    pub(super) began: Instant,
    /// The port that clients use; 0 without one.
    pub(super) port: u16,
    /// Forty hexadecimal digits, others at each start.
    pub(super) run_id: String,
    pub(super) desks: Vec<Desk>,
    next_id: AtomicU64,
    end: Mutex<End>,
    /// Whether the end has begun: what threads look at each turn.
    ends: AtomicBool,
    pace: Mutex<Pace>,
    /// What was counted when counting was begun anew.
    forgotten: Mutex<Counted>,
}

/// How many commands are obeyed in a second.
struct Pace {
    at: Instant,
    commands: u64,
    a_second: u64,
}

struct End {
    phase: Phase,
    save: Option<bool>,
}

/// Where one thread is reached by others.
pub(super) struct Desk {
    pub(super) waker: Waker,
    pub(super) counters: Arc<Counters>,
    /// Clients of this thread.
    pub(super) clients: AtomicUsize,
    pub(super) register: Register,
    /// Bytes in buffers of its clients, when it last looked.
    pub(super) buffers: AtomicUsize,
    inbox: Mutex<Vec<Arrival>>,
    /// Whether it has answers that wait for the log. A lock and no atomic: the thread sets it and then asks the log,
    /// the log's thread does the reverse, and one of the two has to see the other.
    waits: Mutex<bool>,
}

impl Desk {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            counters: Arc::default(),
            clients: AtomicUsize::new(0),
            register: Register::default(),
            buffers: AtomicUsize::new(0),
            inbox: Mutex::default(),
            waits: Mutex::default(),
        }
    }

    /// Says that this thread is to be woken when the log has made progress. The log has to be asked after this.
    pub(super) fn wait_for_log(&self) {
        *lock(&self.waits) = true;
    }

    /// Connections that other threads have taken for this one. Whoever brings some wakes it.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
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
        desks: Vec<Desk>,
    ) -> Arc<Self> {
        let began = Instant::now();
        let shared = Arc::new(Self {
            db,
            log,
            live: Arc::new(Live::new(&config)),
            config,
            tls,
            began,
            port,
            run_id: run_id(),
            desks,
            next_id: AtomicU64::new(1),
            end: Mutex::new(End { phase: Phase::Serves, save: None }),
            ends: AtomicBool::new(false),
            pace: Mutex::new(Pace { at: began, commands: 0, a_second: 0 }),
            forgotten: Mutex::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&shared);
        shared.log.on_progress(Box::new(move || {
            if let Some(shared) = weak.upgrade() {
                shared.log_moved();
            }
        }));
        shared
    }

    /// Wakes the threads that wait for the log.
    fn log_moved(&self) {
        for desk in &self.desks {
            if std::mem::take(&mut *lock(&desk.waits)) {
                desk.wake();
            }
        }
    }

    pub(super) fn phase(&self) -> Phase {
        // Relaxed: threads are woken after this was set, and waking orders; a turn later is as good.
        if self.ends.load(Ordering::Relaxed) { lock(&self.end).phase } else { Phase::Serves }
    }

    /// The end, more urgent each time.
    pub(super) fn stop(&self) {
        {
            let mut end = lock(&self.end);
            end.phase = if end.phase == Phase::Serves { Phase::Ends } else { Phase::EndsNow };
        }
        self.wake_to_end();
    }

    fn wake_to_end(&self) {
        // Relaxed: as in `phase`.
        self.ends.store(true, Ordering::Relaxed);
        self.desks.iter().for_each(Desk::wake);
    }

    /// The end, as a client asks for it.
    pub(super) fn shutdown(&self, save: bool) {
        {
            let mut end = lock(&self.end);
            end.phase = end.phase.max(Phase::Ends);
            end.save.get_or_insert(save);
        }
        self.wake_to_end();
    }

    /// What the client that asked for the end said about saving.
    pub(super) fn save(&self) -> Option<bool> {
        lock(&self.end).save
    }

    pub(super) fn next_id(&self) -> u64 {
        // Relaxed: numbers have to differ, no more.
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Where a connection that `own` took is served: there, unless another has clearly less to do.
    pub(super) fn desk_for_next(&self, own: usize) -> usize {
        let least = (0..self.desks.len()).min_by_key(|&i| self.desks[i].load()).unwrap_or(own);
        if self.desks[least].load() + 1 < self.desks[own].load() { least } else { own }
    }

    /// Has another thread serve a connection.
    pub(super) fn hand_over(&self, to: usize, arrival: Arrival) {
        lock(&self.desks[to].inbox).push(arrival);
        self.desks[to].wake();
    }

    /// What all threads have counted.
    pub(super) fn counted(&self) -> Counted {
        let mut all = Counted::default();
        self.desks.iter().for_each(|desk| all.add(&desk.counters));
        all
    }

    /// How long commands took in all threads.
    #[cfg(feature = "metrics")]
    pub(super) fn latencies(&self) -> Latencies {
        let mut all = Latencies::default();
        self.desks.iter().for_each(|desk| all.add(&desk.counters.latency));
        all
    }

    /// What they have counted since that was forgotten.
    pub(super) fn counted_anew(&self) -> Counted {
        self.counted().since(&lock(&self.forgotten))
    }

    pub(super) fn forget_counted(&self) {
        *lock(&self.forgotten) = self.counted();
    }

    /// Bytes in buffers of clients, about.
    pub(super) fn buffers(&self) -> u64 {
        // Relaxed: a figure for people.
        let of = |desk: &Desk| desk.buffers.load(Ordering::Relaxed);
        self.desks.iter().map(of).sum::<usize>() as u64
    }

    /// How many commands are obeyed in a second, as a stretch of a second or more has it.
    pub(super) fn pace(&self) -> u64 {
        let mut pace = lock(&self.pace);
        let (now, commands) = (Instant::now(), self.counted().commands);
        let time = now.saturating_duration_since(pace.at).as_millis() as u64;
        if time >= 1000 {
            let more = commands - pace.commands;
            *pace = Pace { at: now, commands, a_second: more * 1000 / time };
        }
        pace.a_second
    }
}

impl ServerApi for Shared {
    fn stats(&self) -> ServerStats {
        let counted = self.counted_anew();
        ServerStats {
            port: self.port,
            uptime: self.began.elapsed().as_secs(),
            run_id: self.run_id.clone(),
            config_file: self.config.config_file.clone(),
            threads: self.desks.len(),
            clients: self.live.clients() as u64,
            max_clients: self.live.max_clients() as u64,
            connections: counted.connections,
            rejected: counted.rejected,
            commands: counted.commands,
            commands_per_second: self.pace(),
            bytes_in: counted.bytes_in,
            bytes_out: counted.bytes_out,
            buffers: self.buffers(),
        }
    }

    fn settings(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.live.show(each);
    }

    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)> {
        self.live.set(&self.db, changes)
    }

    fn reset_counters(&self) {
        self.forget_counted();
    }

    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        let now = Instant::now();
        for desk in &self.desks {
            desk.register.show(but, now, each);
        }
    }

    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64 {
        let now = Instant::now();
        let mut killed = 0;
        for desk in &self.desks {
            let of_desk = desk.register.kill(but, now, wanted);
            if of_desk > 0 {
                // The thread closes its clients itself.
                desk.wake();
            }
            killed += of_desk;
        }
        killed
    }

    fn password_is(&self, user: &[u8], password: &[u8]) -> bool {
        self.live.password_is(user, password)
    }

    fn has_password(&self) -> bool {
        self.live.has_password()
    }
}

/// Digits that differ at each start: the standard library's hash keys are random.
fn run_id() -> String {
    let hash = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let mut digits = format!("{:016x}{:016x}{:016x}", hash(), hash(), hash());
    digits.truncate(40);
    digits
}
