//! A worker: one thread of the server, with its listeners, its clients and its event loop.
//!
//! A cycle polls for events, executes the commands of each ready client, asks the log once to commit all changes, and
//! writes replies. Those whose log entry is not committed yet, or that need a [`LeaseCheck`], wait for the log.

use super::client::{self, ServerClient, Withdrawal};
use super::event_loops::{Meter, Moving, OtherEventLoops};
use super::inbox::{Handover, Inboxes};
use super::listen::{AcceptedConnection, ServerListener};
use super::output::SendBound;
use super::shared::{ServerPhase, ServerShared};
use super::socket::Socket;
use super::stream::Stream;
use super::worker_context::WorkerContext;
use crate::command::Connection;
use crate::pubsub;
use deadlines::Deadlines;
use hedgerow_db_engine::log::{Epoch, LeaseCheck, LogError, Lsn, ReadIndex};
use hedgerow_db_engine::state::changed;
use mio::{Events, Poll, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod all_clients;
mod deadlines;
mod mail;
#[cfg(test)]
mod move_tests;
mod moves;
mod waits;
mod work_stealing;
#[cfg(all(test, feature = "scripts"))]
mod work_stealing_tests;

/// The waker's token. The listeners' tokens follow, then the clients'.
pub(super) const WAKER: Token = Token(0);
/// Connections accepted from one listener in a cycle.
const ACCEPTS: usize = 128;
/// Events that one poll reports at most; the next poll reports the rest. So a cycle serves no more clients, and the
/// replies to the first of them do not wait for those to ten thousand others.
const EVENTS: usize = 1024;
/// How often a worker looks at all of its clients. `timeout` counts in seconds, and monitors read the memory of buffers
/// as of a second ago or less.
const SWEEP: Duration = Duration::from_secs(1);
/// The same while clients linger or the server stops, and while connections wait that could not be accepted. At a stop
/// clients linger for a tenth of a second, so this is a part of that.
const SWEEP_SOON: Duration = Duration::from_millis(20);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";
const PROTECTED_MODE: &[u8] = b"-DENIED hedgerow-db is running in protected mode because protected mode is enabled and \
no password is set. In this mode connections are only accepted from the loopback interface. If you want to connect \
from other computers you may adopt one of the following solutions: 1) Set a password with the setting 'requirepass'. \
2) Turn protected mode off with 'protected-mode no', if only trusted machines can reach the port. 3) Connect from the \
machine on which the server runs.\r\n";

/// A list of indices: one is processed while the next is filled. The two buffers alternate, so that no cycle allocates.
#[derive(Default)]
struct WorkList {
    now: Vec<usize>,
    spare: Vec<usize>,
}

impl WorkList {
    fn take(&mut self) -> Vec<usize> {
        std::mem::replace(&mut self.now, std::mem::take(&mut self.spare))
    }

    fn give_back(&mut self, mut list: Vec<usize>) {
        list.clear();
        self.spare = list;
    }
}

/// One thread of the server.
pub(super) struct ServerWorker {
    number: usize,
    shared: Arc<ServerShared>,
    /// The inboxes of this worker and of the others.
    inboxes: Inboxes,
    poll: Poll,
    listeners: Vec<ServerListener>,
    /// The first client token. It does not change when the listeners are closed.
    first_client: usize,
    clients: Slab<ServerClient>,
    /// Clients to serve in the next cycle.
    ready: WorkList,
    /// Clients with output to write at the end of this cycle.
    dirty: WorkList,
    /// Clients whose replies wait for the log.
    parked: WorkList,
    /// Clients whose input is not read for now ([`ServerClient::is_throttled`]).
    throttled: WorkList,
    /// When the throttled clients are checked next.
    next_recheck: Instant,
    /// The log entry that must be committed before all parked replies are released.
    parked_until: Lsn,
    /// The last entry known to be committed.
    committed: Lsn,
    /// The number of rollbacks when the log was last asked.
    rollbacks: u64,
    /// The version of the users when the clients were last checked.
    users_version: u64,
    /// The log's epoch before the last cycle. No reply of an earlier epoch is parked.
    epoch: Epoch,
    /// The last evaluation that was confirmed.
    confirmed: Option<ReadIndex>,
    /// The earliest evaluation of parked replies that was not confirmed yet, when the log was last asked.
    unconfirmed: Option<ReadIndex>,
    /// Listeners that may have more connections waiting.
    pending_accepts: WorkList,
    /// Another thread woke this one.
    woken: bool,
    /// When shutdown began.
    stopping_since: Option<Instant>,
    next_sweep: Instant,
    /// When this worker looks next whether other loops are occupied, and their state at its last look.
    next_stealing: Instant,
    other_loops: OtherEventLoops,
    lingering: bool,
    /// A warning that connections cannot be accepted was logged.
    warned: bool,
    /// The load of this loop.
    meter: Meter,
    /// The clients that it gives away.
    moving: Moving,
    /// Clients that have got messages.
    with_mail: Vec<usize>,
    /// When those of its clients that wait give up.
    deadlines: Deadlines,
    context: WorkerContext,
    _spares: SpareListeners,
}

/// The spare listeners of a worker, which are closed when it ends.
struct SpareListeners(Arc<ServerShared>, usize);

impl Drop for SpareListeners {
    fn drop(&mut self) {
        self.0.workers[self.1].close_spare_listeners();
    }
}

impl ServerWorker {
    pub(super) fn new(
        shared: &Arc<ServerShared>,
        inboxes: Inboxes,
        number: usize,
        poll: Poll,
        listeners: Vec<ServerListener>,
    ) -> io::Result<Self> {
        let mut listeners = listeners;
        for (i, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(i + 1))?;
        }
        if shared.workers.len() > 1 {
            shared.workers[number].open_spare_listeners(&listeners);
        }
        let counters = Arc::clone(&shared.workers[number].counters);
        let context = WorkerContext::new(shared, counters);
        Ok(Self {
            number,
            shared: Arc::clone(shared),
            inboxes,
            poll,
            first_client: listeners.len() + 1,
            // Connections may have arrived before the listener was registered with the poll, which reports only new
            // ones.
            pending_accepts: WorkList { now: (0..listeners.len()).collect(), spare: Vec::new() },
            woken: true,
            listeners,
            clients: Slab::new(),
            ready: WorkList::default(),
            dirty: WorkList::default(),
            parked: WorkList::default(),
            throttled: WorkList::default(),
            next_recheck: context.now,
            parked_until: 0,
            committed: 0,
            rollbacks: shared.db.rollbacks(),
            users_version: shared.runtime_config.users().version(),
            epoch: shared.log.epoch(),
            confirmed: None,
            unconfirmed: None,
            stopping_since: None,
            next_sweep: context.now,
            next_stealing: context.now,
            other_loops: OtherEventLoops::Free,
            _spares: SpareListeners(Arc::clone(shared), number),
            lingering: false,
            warned: false,
            meter: Meter::default(),
            moving: Moving::No,
            with_mail: Vec::new(),
            deadlines: Deadlines::default(),
            context,
        })
    }

    /// Runs the event loop until shutdown. `early` are connections accepted while the data was being loaded.
    pub(super) fn run(mut self, early: Vec<AcceptedConnection>) -> io::Result<()> {
        pubsub::run_worker(self.number);
        let mut events = Events::with_capacity(EVENTS);
        for accepted in early {
            self.admit(accepted);
        }
        let shared = Arc::clone(&self.shared);
        let own = &shared.workers[self.number];
        while !self.is_finished() {
            let began = shared.time(self.context.end);
            own.idle.begin_wait(began);
            let polled = self.poll.poll(&mut events, self.poll_timeout());
            self.context.begin_cycle();
            let now = shared.time(self.context.now);
            own.idle.end_wait(began, now);
            own.cycle_began.set(now);
            match polled {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                done => done?,
            }
            own.count_cycle();
            for event in &events {
                let token = event.token().0;
                if token >= self.first_client {
                    let readable = event.is_readable() || event.is_error();
                    let half_closed = event.is_read_closed() || event.is_error();
                    self.on_event(
                        token - self.first_client,
                        readable,
                        half_closed,
                        event.is_writable(),
                    );
                } else if token > WAKER.0 {
                    self.pending_accepts.now.push(token - 1);
                } else {
                    self.woken = true;
                }
            }
            self.run_cycle();
        }
        for _ in self.clients.drain() {
            self.shared.runtime_config.leave();
        }
        Ok(())
    }

    /// Returns how long the poll may block.
    fn poll_timeout(&self) -> Option<Duration> {
        let (until_work, until_deadline) =
            (self.until_work(), self.deadlines.until_first(self.context.end));
        until_work.into_iter().chain(until_deadline).min()
    }

    /// Returns how long the poll may block but for clients that wait for elements.
    fn until_work(&self) -> Option<Duration> {
        let has_work = !self.ready.now.is_empty() || !self.dirty.now.is_empty();
        if has_work || self.shared.hub.has_announced(self.number) {
            Some(Duration::ZERO)
        } else if !self.throttled.now.is_empty() {
            Some(client::RECHECK)
        } else if !self.pending_accepts.now.is_empty()
            || self.lingering
            || self.stopping_since.is_some()
        {
            Some(SWEEP_SOON)
        } else if self.other_loops == OtherEventLoops::Occupied {
            Some(self.other_loops.pause())
        } else if !self.clients.is_empty() || self.is_last_active() || self.looks_for_occupied() {
            Some(SWEEP)
        } else {
            None
        }
    }

    /// Returns whether this loop has to check now and then whether it is needed: the last active one, unless it is the
    /// only one.
    fn is_last_active(&self) -> bool {
        self.number > 0 && self.number + 1 == self.shared.event_loops.active()
    }

    /// Returns whether this loop has to check now and then whether others are occupied: the first one, and the next to
    /// become active.
    fn looks_for_occupied(&self) -> bool {
        self.shared.workers.len() > 1
            && (self.number == 0 || self.number == self.shared.event_loops.active())
    }

    fn is_finished(&self) -> bool {
        self.stopping_since.is_some_and(|since| {
            // [MV-2] A client that is given to this worker from now on stays where it is.
            self.clients.is_empty() && self.inboxes[self.number].close()
                || since.elapsed() >= self.shared.config.shutdown_timeout
                || self.shared.phase() == ServerPhase::StoppingNow
        })
    }

    fn on_event(&mut self, key: usize, readable: bool, half_closed: bool, writable: bool) {
        // The event may be one of a closed client whose key was reused. For the new client it is only a spurious event.
        let Some(client) = self.clients.get_mut(key) else { return };
        client.on_event(readable, half_closed, writable);
        self.queue(key);
    }

    /// Puts a client on the lists for the steps that it needs: service in the next cycle, a later check, or a write at
    /// the end of this cycle.
    fn queue(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.wants_service(&self.context) {
            if !client.queued {
                client.queued = true;
                self.ready.now.push(key);
            }
        } else if !client.throttled && client.is_throttled(&self.context) {
            client.throttled = true;
            self.throttled.now.push(key);
        }
        if client.wants_write() && !client.dirty {
            client.dirty = true;
            self.dirty.now.push(key);
        }
    }

    /// Checks whether throttled clients may be read again.
    fn recheck_throttled(&mut self) {
        if self.throttled.now.is_empty() || self.context.now < self.next_recheck {
            return;
        }
        self.next_recheck = self.context.now + client::RECHECK;
        let throttled = self.throttled.take();
        for &key in &throttled {
            if let Some(client) = self.clients.get_mut(key) {
                client.throttled = false;
                client.probe(&mut self.context);
                self.update(key);
            }
        }
        self.throttled.give_back(throttled);
    }

    fn run_cycle(&mut self) {
        self.relieve_others();
        self.accept_connections();
        self.notice_users();
        self.recheck_throttled();
        // Before clients are served, so that the requests that they have sent by now are still read.
        if self.stopping_since.is_none() && self.shared.phase() != ServerPhase::Serving {
            self.begin_shutdown();
        }
        if !self.ready.now.is_empty() {
            self.context.counters.eventloop_cycles.add(1);
        }
        if self.notice_rollback() {
            self.release_parked(Some(Withdrawal::RolledBack));
        }
        // Before the first request is evaluated, so that a lease check covers the whole evaluation.
        let epoch = self.notice_epoch();
        // After the epoch: a node that is deposed publishes its view before its log has the next epoch. So no read is
        // executed by a view of the primary and confirmed by the epoch of a follower.
        self.context.refresh_view();
        self.context.noticed = (self.rollbacks, epoch);
        self.end_due_waits();
        let (mut required_lsn, mut needs_lease_check) = (0, false);
        let served = self.ready.take();
        for &key in &served {
            let Some(client) = self.clients.get_mut(key) else { continue };
            // Those before may each have made long changes. The rest are first in the next cycle, after the commit.
            if changed::is_much() {
                self.ready.now.push(key);
                continue;
            }
            // A client that has moved away has left its entry behind, and another one may have its place. To serve that
            // one twice in a cycle would deliver messages behind replies that are not held yet.
            if !std::mem::take(&mut client.queued) {
                continue;
            }
            self.meter.note_served(&mut client.window);
            let waited_until = client.wait_deadline();
            client.serve(&mut self.context);
            client.set_address(self.number, key);
            required_lsn = required_lsn.max(client.required_lsn());
            needs_lease_check |= client.needs_lease_check();
            if waited_until.is_some() || client.waiter().is_some() {
                self.note_wait(key, waited_until);
            }
        }
        // After the last request was evaluated, for the same reason.
        let read_index = self.shared.log.read_index(epoch);
        // One commit for all clients of the cycle: under `always`, they share one flush.
        self.commit_replies(&served, (required_lsn, needs_lease_check), read_index);
        for &key in &served {
            self.update(key);
        }
        self.deliver_mail();
        self.write_replies();
        self.context.end_cycle();
        self.measure_load(self.context.end);
        self.move_clients(&served);
        self.ready.give_back(served);
        if self.context.now >= self.next_sweep || self.lingering || self.stopping_since.is_some() {
            self.sweep();
        }
    }

    /// Asks the log which replies of this and earlier cycles may be sent, once for all clients.
    fn commit_replies(
        &mut self,
        served: &[usize],
        (required_lsn, needs_lease_check): (Lsn, bool),
        read_index: ReadIndex,
    ) {
        let required_lsn = required_lsn.max(self.parked_until);
        let before = self.committed;
        let mut failed = None;
        // Nothing to ask if all that this cycle showed was committed before.
        if required_lsn > before {
            failed = self.request_commit(required_lsn);
        }
        if needs_lease_check {
            // Also if no entry waits: an answer of a deposed primary that changed nothing shows old values.
            failed = self.request_lease_check(read_index).or(failed);
        }
        // [RB-2] Entries after the undone ones may be committed by now, so this number says nothing about a reply that
        // waits for an undone entry. After a rollback, only the number that was known before counts.
        if self.notice_rollback() {
            (failed, self.committed) = (Some(Withdrawal::RolledBack), before);
        }
        // The same for an epoch that has ended: entries committed since may be others with the same numbers.
        if self.shared.log.epoch() != self.epoch {
            (failed, self.committed) = (Some(Withdrawal::Deposed), before);
        }
        let (log, committed, confirmed) = (&*self.shared.log, self.committed, self.confirmed);
        let allowed = SendBound { log, committed, confirmed };
        for &key in served {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.finish_cycle(read_index, &allowed, &mut self.context);
            if client.has_held_replies() && !client.parked {
                client.parked = true;
                self.parked.now.push(key);
                self.context.counters.clients_held.add(1);
            }
        }
        if failed.is_some() || self.committed != before {
            self.release_parked(failed);
        }
        self.check_pending_lease_checks();
        self.parked_until = if self.parked.now.is_empty() { 0 } else { required_lsn };
    }

    /// Returns whether changes were rolled back since the last call.
    fn notice_rollback(&mut self) -> bool {
        let rollbacks = self.shared.db.rollbacks();
        std::mem::replace(&mut self.rollbacks, rollbacks) != rollbacks
    }

    /// Withdraws the replies of an epoch that is over, and returns the present one.
    fn notice_epoch(&mut self) -> Epoch {
        let epoch = self.shared.log.epoch();
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.release_parked(Some(Withdrawal::Deposed));
        }
        epoch
    }

    /// Asks the log whether the answers of this cycle may leave. Returns why they never may.
    fn request_lease_check(&mut self, read_index: ReadIndex) -> Option<Withdrawal> {
        match self.shared.log.check_lease(&read_index) {
            LeaseCheck::Passed => self.confirmed = Some(read_index),
            LeaseCheck::Pending => {
                self.unconfirmed.get_or_insert(read_index);
            }
            LeaseCheck::Failed => return Some(Withdrawal::Deposed),
        }
        None
    }

    /// Releases parked replies whose lease check has passed, and registers this worker if others still wait.
    fn check_pending_lease_checks(&mut self) {
        while let Some(first) = self.unconfirmed {
            let log = &self.shared.log;
            let mut lease_check = log.check_lease(&first);
            if lease_check == LeaseCheck::Pending {
                self.shared.workers[self.number].wait_for_log();
                // Ask again: a check that passed before this worker was registered woke nobody.
                lease_check = log.check_lease(&first);
            }
            match lease_check {
                LeaseCheck::Pending => return,
                LeaseCheck::Passed => self.release_parked(None),
                LeaseCheck::Failed => self.release_parked(Some(Withdrawal::Deposed)),
            }
        }
    }

    /// Asks the log to commit entries up to `required_lsn`. If that never happens, returns why.
    fn request_commit(&mut self, required_lsn: Lsn) -> Option<Withdrawal> {
        let log = &self.shared.log;
        let mut outcome = log.commit(required_lsn);
        if matches!(outcome, Ok(false)) {
            self.context.counters.waits_for_log.add(1);
            self.shared.workers[self.number].wait_for_log();
            // Ask again: entries that were committed before this worker was registered woke nobody.
            outcome = log.commit(required_lsn);
        }
        self.committed = match outcome {
            Ok(true) => required_lsn,
            _ => self.committed.max(log.committed()),
        };
        outcome.err().map(|why| match why {
            LogError::Deposed => Withdrawal::Deposed,
            _ => Withdrawal::RolledBack,
        })
    }

    /// Releases parked replies as far as the log allows, and withdraws the others if the log failed.
    fn release_parked(&mut self, failed: Option<Withdrawal>) {
        let parked = self.parked.take();
        self.unconfirmed = None;
        let (committed, confirmed) = (self.committed, self.confirmed);
        for &key in &parked {
            let Some(client) = self.clients.get_mut(key) else { continue };
            let allowed = SendBound { log: &*self.shared.log, committed, confirmed };
            client.release(&allowed, &mut self.context);
            if let Some(why) = failed
                && client.withdraw_replies(why, &self.context)
            {
                tracing::debug!("closing a client: its replies may not be sent: {why:?}");
            }
            client.parked = client.has_held_replies();
            if !client.parked {
                self.queue(key);
                continue;
            }
            self.parked.now.push(key);
            // The log is not asked again: if the check passed since `release`, nobody would send the replies.
            if let Some(awaited) = client.awaited_lease_check(committed) {
                self.unconfirmed = Some(self.unconfirmed.map_or(awaited, |one| one.min(awaited)));
            }
        }
        self.parked.give_back(parked);
    }

    fn write_replies(&mut self) {
        let dirty = self.dirty.take();
        for &key in &dirty {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.dirty = false;
            client.write(&mut self.context);
            self.update(key);
        }
        // Also those whose replies waited for the log, and that were not served in this cycle.
        self.move_clients(&dirty);
        self.dirty.give_back(dirty);
    }

    /// Updates lists and poll registrations after something happened to a client.
    fn update(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else { return };
        // A client that gets no more replies would lose an element.
        if client.waiter().is_some() && !client.is_open() {
            self.deadlines.replace(key, client.wait_deadline(), None);
            client.cancel_wait(&mut self.context);
        }
        client.request_writable_event(self.poll.registry(), Token(self.first_client + key));
        if client.is_dead() {
            self.remove(key);
            return;
        }
        self.lingering |= client.is_lingering();
        if client.renamed {
            client.note(self.number, &self.shared.client_list);
        }
        self.queue(key);
        // If a write follows in this cycle, the sizes are shown behind it.
        if let Some(client) = self.clients.get_mut(key).filter(|client| !client.dirty)
            && client.show_sizes()
        {
            client.note(self.number, &self.shared.client_list);
        }
    }

    fn remove(&mut self, key: usize) {
        let Some(mut client) = self.clients.try_remove(key) else { return };
        // Before the peer can notice the end.
        client.end_subscriptions();
        self.cancel_wait(&mut client, key);
        // Fails only if the socket is closed already, which removes it from the poll as well.
        let _ = client.stream().deregister(self.poll.registry());
        self.shared.client_list.forget(client.id());
        self.context.counters.ended.add(1);
        self.reset_if_empty();
        self.leave();
    }

    /// Resets what other threads see of this worker's clients. Without clients, no sweep would do that.
    fn reset_if_empty(&self) {
        if self.clients.is_empty() {
            let own = &self.shared.workers[self.number];
            own.buffers.set(0);
            own.active_clients.set(0);
        }
    }

    fn leave(&self) {
        self.shared.runtime_config.leave();
        self.shared.workers[self.number].clients.sub(1);
    }

    /// Closes the listeners; connected clients still get replies to the requests that they have sent.
    fn begin_shutdown(&mut self) {
        self.stopping_since = Some(self.context.now);
        // First: the poll reports events of a listener until all of its copies are closed.
        self.shared.workers[self.number].close_spare_listeners();
        self.listeners.clear();
        self.pending_accepts.now.clear();
        self.close_waiting();
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.clients[key].finish();
            self.queue(key);
        }
    }

    /// Accepts connections from the listeners and from other workers.
    fn accept_connections(&mut self) {
        if std::mem::take(&mut self.woken) {
            for handover in self.inboxes[self.number].take() {
                match handover {
                    Handover::Accepted(accepted) => self.add_client(accepted),
                    Handover::Client(client) => self.adopt(*client),
                    Handover::Answered(key) => self.note_answered(key),
                }
            }
            self.close_killed();
            self.give_mailboxes();
        }
        if self.pending_accepts.now.is_empty() {
            return;
        }
        let pending_accepts = self.pending_accepts.take();
        for &listener in &pending_accepts {
            if self.accept(listener) && !self.pending_accepts.now.contains(&listener) {
                self.pending_accepts.now.push(listener);
            }
        }
        self.pending_accepts.give_back(pending_accepts);
    }

    /// Accepts connections. Returns whether more may be waiting.
    fn accept(&mut self, listener: usize) -> bool {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.listeners.get(listener) else { return false };
            match listener.accept() {
                Ok(accepted) => {
                    self.warned = false;
                    self.admit(accepted);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    // Usually the process is out of file descriptors. Try again later, and warn once.
                    if !std::mem::replace(&mut self.warned, true) {
                        tracing::warn!("cannot accept connections: {e}");
                    }
                    return true;
                }
            }
        }
        true
    }

    fn admit(&mut self, mut accepted: AcceptedConnection) {
        let runtime_config = &self.shared.runtime_config;
        if runtime_config.denies_remote() && !accepted.local {
            self.context.counters.denied.add(1);
            refuse(&mut accepted.socket, PROTECTED_MODE);
            return;
        }
        if !self.shared.runtime_config.admit() {
            self.context.counters.rejected.add(1);
            refuse(&mut accepted.socket, TOO_MANY);
            return;
        }
        self.context.counters.connections.add(1);
        let worker = self.shared.worker_for_next(self.number);
        self.shared.workers[worker].clients.add(1);
        self.shared.workers[worker].active_clients.add(1);
        if worker == self.number {
            return self.add_client(accepted);
        }
        // A worker that has exited takes none: the server stops, and the connection is closed.
        if self.inboxes[worker].receive(Handover::Accepted(accepted)).is_ok() {
            self.shared.workers[worker].wake();
        }
    }

    fn add_client(&mut self, accepted: AcceptedConnection) {
        let mut stream = match Stream::new(accepted.socket, accepted.tls, &self.shared.tls) {
            Ok(stream) => stream,
            Err(why) => {
                tracing::warn!("cannot serve {}: {why}", accepted.name);
                return self.leave();
            }
        };
        let users = self.shared.runtime_config.users();
        let (id, local) = (self.shared.next_id(), accepted.to);
        let mut connection = Connection::new(id, accepted.name, local, users);
        connection.set_tls(accepted.tls);
        connection.set_descriptor(stream.descriptor());
        let key = self.clients.insert(ServerClient::new(stream, connection, self.context.now));
        let token = Token(self.first_client + key);
        let client = &mut self.clients[key];
        if client.stream().register(self.poll.registry(), token).is_err() {
            return self.remove(key);
        }
        client.note(self.number, &self.shared.client_list);
        if self.stopping_since.is_some() {
            client.finish();
        }
        self.queue(key);
    }
}

/// Tells a client why it is refused, if the socket takes the text at once.
fn refuse(socket: &mut Socket, why: &[u8]) {
    let _ = socket.write(why);
}

/// Stops the whole server if a worker panics: otherwise the clients of that worker would wait for ever while the server
/// looks healthy.
pub(super) struct WorkerGuard(pub(super) Arc<ServerShared>);

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
