//! One thread of the server: its listeners, its clients, and the turns in which it serves them.
//!
//! A turn: ask the system who has something; read and obey for each; ask the log once for all that was changed; write
//! what may be told. Answers that the log does not call safe yet are parked; its progress wakes the thread.

use super::client::{self, Client, Overdue};
use super::listen::{Arrival, Door};
use super::shared::{Phase, Shared};
use super::socket::Socket;
use super::stream::Stream;
use super::worker_context::Room;
use crate::command::Connection;
use crate::log::Lsn;
use mio::{Events, Poll, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The waker's token; doors follow, then clients.
pub(super) const WAKER: Token = Token(0);
/// Connections that are taken from one listener in a turn.
const ACCEPTS: usize = 128;
const EVENTS: usize = 1024;
const SWEEP: Duration = Duration::from_secs(1);
const SWEEP_SOON: Duration = Duration::from_millis(20);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";
const DENIED: &[u8] = b"-DENIED hedgerow-db is running in protected mode because protected mode is enabled and no \
password is set. In this mode connections are only accepted from the loopback interface. If you want to connect from \
other computers you may adopt one of the following solutions: 1) Set a password with the setting 'requirepass'. \
2) Turn protected mode off with 'protected-mode no', if you are sure that nobody who must not can reach the port. \
3) Connect from the machine on which the server runs.\r\n";

/// Numbers to go through, while others are noted for the next time; neither list is allocated each time.
#[derive(Default)]
struct List {
    now: Vec<usize>,
    spare: Vec<usize>,
}

impl List {
    fn take(&mut self) -> Vec<usize> {
        std::mem::replace(&mut self.now, std::mem::take(&mut self.spare))
    }

    fn give_back(&mut self, mut list: Vec<usize>) {
        list.clear();
        self.spare = list;
    }
}

/// One thread of the server.
pub(super) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    poll: Poll,
    doors: Vec<Door>,
    /// Tokens of clients begin here, also when the doors are closed.
    first_client: usize,
    clients: Slab<Client>,
    /// Who is served in the next turn.
    ready: List,
    /// Who is written to at the end of this turn.
    dirty: List,
    /// Whose answers wait for the log.
    parked: List,
    /// Clients that are not read from until they take answers.
    paused: List,
    /// When that is looked at again.
    next_look: Instant,
    /// What the log has to have safe before all of those are free.
    parked_until: Lsn,
    /// Up to where the log was safe when it was last asked: it stays so.
    safe: Lsn,
    /// How often changes had been undone then.
    rollbacks: u64,
    /// Doors at which more may wait.
    crowded: List,
    /// Another thread woke this one.
    woken: bool,
    /// Since when it is told to end.
    ending: Option<Instant>,
    next_sweep: Instant,
    lingering: bool,
    /// It was said that connections cannot be taken.
    warned: bool,
    room: Room,
}

impl Worker {
    pub(super) fn new(
        shared: &Arc<Shared>,
        number: usize,
        poll: Poll,
        doors: Vec<Door>,
    ) -> io::Result<Self> {
        let mut doors = doors;
        for (i, door) in doors.iter_mut().enumerate() {
            door.register(poll.registry(), Token(i + 1))?;
        }
        let counters = Arc::clone(&shared.desks[number].counters);
        let room = Room::new(shared, counters);
        Ok(Self {
            number,
            shared: Arc::clone(shared),
            poll,
            first_client: doors.len() + 1,
            // A door may have let connections in before it was registered.
            crowded: List { now: (0..doors.len()).collect(), spare: Vec::new() },
            woken: true,
            doors,
            clients: Slab::new(),
            ready: List::default(),
            dirty: List::default(),
            parked: List::default(),
            paused: List::default(),
            next_look: room.now,
            parked_until: 0,
            safe: 0,
            rollbacks: shared.db.rollbacks(),
            ending: None,
            next_sweep: room.now,
            lingering: false,
            warned: false,
            room,
        })
    }

    /// Serves until the end: clients that connected before there was a database, and later ones.
    pub(super) fn run(mut self, early: Vec<Arrival>) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        for arrival in early {
            self.receive(arrival);
        }
        while !self.is_over() {
            match self.poll.poll(&mut events, self.patience()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                done => done?,
            }
            self.room.begin();
            for event in &events {
                let token = event.token().0;
                if token >= self.first_client {
                    let readable = event.is_readable() || event.is_error();
                    let half_closed = event.is_read_closed() || event.is_error();
                    self.told(
                        token - self.first_client,
                        readable,
                        half_closed,
                        event.is_writable(),
                    );
                } else if token > WAKER.0 {
                    self.crowded.now.push(token - 1);
                } else {
                    self.woken = true;
                }
            }
            self.turn();
        }
        for _ in self.clients.drain() {
            self.shared.live.leave();
        }
        Ok(())
    }

    /// How long the system may let this thread sleep.
    fn patience(&self) -> Option<Duration> {
        if !self.ready.now.is_empty() || !self.dirty.now.is_empty() {
            Some(Duration::ZERO)
        } else if !self.paused.now.is_empty() {
            Some(client::LOOK)
        } else if !self.crowded.now.is_empty() || self.lingering || self.ending.is_some() {
            Some(SWEEP_SOON)
        } else if !self.clients.is_empty() {
            Some(SWEEP)
        } else {
            None
        }
    }

    fn is_over(&self) -> bool {
        self.ending.is_some_and(|since| {
            self.clients.is_empty()
                || since.elapsed() >= self.shared.config.stop_within
                || self.shared.phase() == Phase::EndsNow
        })
    }

    fn told(&mut self, key: usize, readable: bool, half_closed: bool, writable: bool) {
        // An event of a connection that is closed by now may meet its successor, whom it does no harm.
        let Some(client) = self.clients.get_mut(key) else { return };
        client.told(readable, half_closed, writable);
        self.queue(key);
    }

    /// Notes what a client wants of the next turn, or of the end of this one.
    fn queue(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.wants_turn(&self.room) {
            if !client.queued {
                client.queued = true;
                self.ready.now.push(key);
            }
        } else if !client.paused && client.is_paused(&self.room) {
            client.paused = true;
            self.paused.now.push(key);
        }
        if client.wants_write() && !client.dirty {
            client.dirty = true;
            self.dirty.now.push(key);
        }
    }

    /// Looks whether those that were not read from are read from again.
    fn look_after_paused(&mut self) {
        if self.paused.now.is_empty() || self.room.now < self.next_look {
            return;
        }
        self.next_look = self.room.now + client::LOOK;
        let paused = self.paused.take();
        for &key in &paused {
            if let Some(client) = self.clients.get_mut(key) {
                client.paused = false;
                client.probe(&mut self.room);
                self.after(key);
            }
        }
        self.paused.give_back(paused);
    }

    fn turn(&mut self) {
        self.arrivals();
        self.look_after_paused();
        if self.ending.is_none() && self.shared.phase() != Phase::Serves {
            self.begin_to_end();
        }
        if !self.ready.now.is_empty() {
            self.room.counters.turns.add(1);
        }
        if self.sees_rollback() {
            self.release(true);
        }
        let mut needs = 0;
        let served = self.ready.take();
        for &key in &served {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.queued = false;
            client.serve(&mut self.room);
            needs = needs.max(client.needs());
        }
        self.settle(&served, needs);
        for &key in &served {
            self.after(key);
        }
        self.ready.give_back(served);
        self.write();
        self.room.end();
        if self.room.now >= self.next_sweep || self.lingering || self.ending.is_some() {
            self.sweep();
        }
    }

    /// Asks the log what may be told of what was answered in this turn and before.
    fn settle(&mut self, served: &[usize], needs: Lsn) {
        let needs = needs.max(self.parked_until);
        let before = self.safe;
        let mut failed = needs > before && self.ask_log(needs);
        // [RB-2] Numbers behind those that were undone may be safe by now, so what is known from before counts.
        if self.sees_rollback() {
            (failed, self.safe) = (true, before);
        }
        for &key in served {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.settle(self.safe, &mut self.room);
            if client.is_held() && !client.parked {
                client.parked = true;
                self.parked.now.push(key);
            }
        }
        if failed || self.safe != before {
            self.release(failed);
        }
        self.parked_until = if self.parked.now.is_empty() { 0 } else { needs };
    }

    /// Whether changes were undone since this was last asked.
    fn sees_rollback(&mut self) -> bool {
        let rollbacks = self.shared.db.rollbacks();
        std::mem::replace(&mut self.rollbacks, rollbacks) != rollbacks
    }

    /// Has the log see to it that entries up to `needs` become safe; whether it says that they never will be.
    fn ask_log(&mut self, needs: Lsn) -> bool {
        let log = &self.shared.log;
        let mut outcome = log.commit(needs);
        if matches!(outcome, Ok(false)) {
            self.room.counters.parked.add(1);
            self.shared.desks[self.number].wait_for_log();
            // What became safe before that was said woke nobody.
            outcome = log.commit(needs);
        }
        self.safe = match outcome {
            Ok(true) => needs,
            _ => self.safe.max(log.safe()),
        };
        outcome.is_err()
    }

    /// Lets parked answers go as far as the log is safe, and takes back the others where it failed.
    fn release(&mut self, failed: bool) {
        let parked = self.parked.take();
        for &key in &parked {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.release(self.safe, &mut self.room);
            if failed && client.fail(&self.room) {
                tracing::debug!("a client is closed: the log failed before its answer was safe");
            }
            client.parked = client.is_held();
            if client.parked {
                self.parked.now.push(key);
            } else {
                self.queue(key);
            }
        }
        self.parked.give_back(parked);
    }

    fn write(&mut self) {
        let dirty = self.dirty.take();
        for &key in &dirty {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.dirty = false;
            client.write(&mut self.room);
            self.after(key);
        }
        self.dirty.give_back(dirty);
    }

    /// Follows up what became of a client.
    fn after(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.ask_for_room(self.poll.registry(), Token(self.first_client + key));
        if client.is_dead() {
            self.forget(key);
            return;
        }
        self.lingering |= client.is_lingering();
        if client.renamed {
            client.note(&self.shared.desks[self.number].register);
        }
        self.queue(key);
    }

    fn forget(&mut self, key: usize) {
        let Some(mut client) = self.clients.try_remove(key) else { return };
        // A socket that is closed is not told of anyway.
        let _ = client.stream().deregister(self.poll.registry());
        self.shared.desks[self.number].register.forget(client.id());
        self.room.counters.ended.add(1);
        if self.clients.is_empty() {
            // Nothing is swept then. Relaxed: a figure for people.
            self.shared.desks[self.number].buffers.store(0, Ordering::Relaxed);
        }
        self.leave();
    }

    fn leave(&self) {
        self.shared.live.leave();
        // Relaxed: only a hint where the next client goes.
        self.shared.desks[self.number].clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Closes whom nothing was heard of for too long.
    fn sweep(&mut self) {
        let now = self.room.now;
        let timeout = self.shared.live.timeout();
        let desk = &self.shared.desks[self.number];
        let notes = now >= self.next_sweep;
        if notes {
            self.next_sweep = now + SWEEP;
        }
        self.lingering = false;
        let mut gone = Vec::new();
        let mut buffers = 0;
        for (key, client) in &mut self.clients {
            if notes && client.used {
                client.note(&desk.register);
            }
            buffers += client.buffers();
            client.check_output(&self.room);
            match client.overdue(now, timeout) {
                None => {}
                Some(Overdue::Lingered) => client.kill(),
                Some(Overdue::Idle) => {
                    self.room.counters.idle.add(1);
                    client.kill();
                }
            }
            if client.is_dead() {
                gone.push(key);
            }
            self.lingering |= client.is_lingering();
        }
        // Relaxed: a figure for people.
        desk.buffers.store(buffers, Ordering::Relaxed);
        if notes && self.number == 0 {
            self.shared.pace();
        }
        for key in gone {
            self.forget(key);
        }
    }

    /// No more doors; who is here gets answers to what has come.
    fn begin_to_end(&mut self) {
        self.ending = Some(self.room.now);
        self.doors.clear();
        self.crowded.now.clear();
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.clients[key].finish_soon();
            self.queue(key);
        }
    }

    /// Takes connections, at the doors and from other threads.
    fn arrivals(&mut self) {
        if std::mem::take(&mut self.woken) {
            self.close_killed();
            for arrival in self.shared.desks[self.number].arrivals() {
                self.adopt(arrival);
            }
        }
        if self.crowded.now.is_empty() {
            return;
        }
        let crowded = self.crowded.take();
        for &door in &crowded {
            if self.accept(door) && !self.crowded.now.contains(&door) {
                self.crowded.now.push(door);
            }
        }
        self.crowded.give_back(crowded);
    }

    /// Closes the clients that others have killed.
    fn close_killed(&mut self) {
        let mut killed = self.shared.desks[self.number].register.killed();
        if killed.is_empty() {
            return;
        }
        killed.sort_unstable();
        let is_killed = |client: &Client| killed.binary_search(&client.id()).is_ok();
        let keys = self.clients.iter().filter(|(_, client)| is_killed(client));
        for key in keys.map(|(key, _)| key).collect::<Vec<_>>() {
            self.forget(key);
        }
    }

    /// Whether more may wait at this door.
    fn accept(&mut self, door: usize) -> bool {
        for _ in 0..ACCEPTS {
            let Some(door) = self.doors.get(door) else { return false };
            match door.accept() {
                Ok(arrival) => {
                    self.warned = false;
                    self.receive(arrival);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    // Out of descriptors, as a rule: it is tried again, when some may be free.
                    if !std::mem::replace(&mut self.warned, true) {
                        tracing::warn!("connections cannot be taken: {e}");
                    }
                    return true;
                }
            }
        }
        true
    }

    fn receive(&mut self, mut arrival: Arrival) {
        let live = &self.shared.live;
        if live.denies_others() && !arrival.local {
            self.room.counters.denied.add(1);
            refuse(&mut arrival.socket, DENIED);
            return;
        }
        if !self.shared.live.admit() {
            self.room.counters.rejected.add(1);
            refuse(&mut arrival.socket, TOO_MANY);
            return;
        }
        self.room.counters.connections.add(1);
        let desk = self.shared.desk_for_next(self.number);
        // Relaxed: only a hint where the next client goes.
        self.shared.desks[desk].clients.fetch_add(1, Ordering::Relaxed);
        if desk == self.number {
            self.adopt(arrival);
        } else {
            self.shared.hand_over(desk, arrival);
        }
    }

    fn adopt(&mut self, arrival: Arrival) {
        let stream = match Stream::new(arrival.socket, arrival.tls, &self.shared.tls) {
            Ok(stream) => stream,
            Err(why) => {
                tracing::warn!("{} cannot be served: {why}", arrival.name);
                return self.leave();
            }
        };
        let must_authenticate = self.shared.live.has_password();
        let (id, local) = (self.shared.next_id(), arrival.to);
        let connection = Connection::new(id, arrival.name, local, must_authenticate);
        let key = self.clients.insert(Client::new(stream, connection, self.room.now));
        let token = Token(self.first_client + key);
        let client = &mut self.clients[key];
        if client.stream().register(self.poll.registry(), token).is_err() {
            return self.forget(key);
        }
        client.note(&self.shared.desks[self.number].register);
        if self.ending.is_some() {
            client.finish_soon();
        }
        self.queue(key);
    }
}

/// Says why not, as far as the socket takes it at once.
fn refuse(socket: &mut Socket, why: &[u8]) {
    let _ = socket.write(why);
}

/// Ends the whole server where a thread of it ends by a panic: half of a server is worse than none, since its clients
/// would wait for ever.
pub(super) struct Guard(pub(super) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
