//! Clients that move between workers, as event loops become active and retire (`server/event_loops.rs`).
//!
//! A worker gives a client away at the end of a cycle in which it has served the client or has written its replies, so
//! moves cost nothing for clients that are silent. Everything that the client is moves with it: its socket, input that
//! was not executed, replies that were not sent, and the state of the connection. Its places on the worker's lists stay
//! behind; the new worker puts it on its own.
//!
//! A client with replies that wait for the log stays until they are released. That and the other rules that a move
//! relies on are labelled [MV-1] to [MV-5].

use super::ServerWorker;
use crate::server::client::ServerClient;
use crate::server::event_loops::Moving;
use crate::server::inbox::Handover;
use crate::server::shared::ServerPhase;
use mio::Token;
use std::time::Instant;

/// Clients that a loop with too much work gives away in a cycle. Each costs some system calls, and the others wait.
const MOVES: usize = 16;

impl ServerWorker {
    /// Measures this loop's load, and decides about the number of loops and the clients to move.
    pub(super) fn measure_load(&mut self, now: Instant) {
        let time = self.shared.time(now);
        if !self.meter.is_over(time) {
            return;
        }
        let own = &self.shared.workers[self.number];
        let (served, is_full) = self.meter.end_window(time, own.idle.until(time));
        own.active_clients.set(served);
        let active = self.shared.event_loops.active();
        if self.number >= active {
            self.moving = Moving::All;
            return;
        }
        self.moving = Moving::No;
        if is_full && served > 1 {
            self.shared.event_loops.activate(time);
            self.share_clients(served);
        }
        if self.number + 1 == active && active > 1 {
            self.review_loops(time);
        } else {
            self.meter.end_review();
        }
    }

    /// Begins to give clients to the loop with the fewest, if that has clearly fewer than this one.
    fn share_clients(&mut self, served: u64) {
        let to = self.shared.least_active();
        let fewer = self.shared.workers[to].active_clients.get();
        let left = served.saturating_sub(fewer) / 2;
        if to != self.number && left > served / 6 {
            self.moving = Moving::Some { to, left: left as usize };
            // The next window of full load begins when the clients have moved.
            self.meter.restart();
        }
    }

    /// Retires this loop, the last active one, if the others can do its work.
    fn review_loops(&mut self, time: u64) {
        let event_loops = &self.shared.event_loops;
        let active = &self.shared.workers[..=self.number];
        let idle = active.iter().map(|worker| worker.idle.until(time)).collect();
        if let Some((period, worked)) = self.meter.review(time, event_loops.quiet(), idle) {
            event_loops.retire(time, period, &worked);
        }
    }

    /// Gives clients away that were served or written to in this cycle.
    pub(super) fn move_clients(&mut self, served: &[usize]) {
        #[cfg(test)]
        self.move_restless(served);
        if self.moving == Moving::No || self.shared.phase() != ServerPhase::Serving {
            return;
        }
        let active = self.shared.event_loops.active();
        let to = match self.moving {
            Moving::Some { to, .. } if to < active => to,
            Moving::All if self.number >= active => self.shared.least_active(),
            // The loops have changed since the last window.
            _ => return,
        };
        // A client that moves to an occupied loop would wait there.
        if self.shared.is_occupied(to, self.shared.time(self.context.now)) {
            return;
        }
        let mut moved = 0;
        for &key in served {
            if let Moving::Some { left, .. } = &mut self.moving {
                if *left == 0 || moved == MOVES {
                    break;
                }
                *left -= 1;
            }
            moved += usize::from(self.give_away(key, to));
        }
        if moved > 0 {
            self.shared.workers[to].wake();
        }
    }

    /// Gives all clients to the next worker, if a test wants that.
    #[cfg(test)]
    fn move_restless(&mut self, served: &[usize]) {
        if self.shared.event_loops.restless.get() == 0
            || self.shared.phase() != ServerPhase::Serving
        {
            return;
        }
        let to = (self.number + 1) % self.shared.workers.len();
        for &key in served {
            self.give_away(key, to);
        }
        self.shared.workers[to].wake();
    }

    /// Gives a client to another worker, which the caller wakes. Returns whether the client has moved.
    pub(super) fn give_away(&mut self, key: usize, to: usize) -> bool {
        if to == self.number || !self.clients.get(key).is_some_and(ServerClient::may_move) {
            return false;
        }
        let mut client = self.clients.remove(key);
        client.clear_address();
        // Fails only if the socket is closed already. Then the new worker cannot register it, and removes the client.
        let _ = client.stream().deregister(self.poll.registry());
        let (shared, id) = (&self.shared, client.id());
        let (own, other) = (&shared.workers[self.number], &shared.workers[to]);
        own.clients.sub(1);
        own.buffers.set(own.buffers.get().saturating_sub(client.buffers() as u64));
        self.reset_if_empty();
        other.clients.add(1);
        other.active_clients.add(1);
        // Before the new worker has the client, because it looks for a kill when it gets it.
        shared.client_list.move_to(to, id);
        let refused = self.inboxes[to].receive(Handover::Client(Box::new(client)));
        let Err(Handover::Client(client)) = refused else { return true };
        // [MV-2] The other worker has exited, so this one still answers what the client has sent.
        shared.client_list.move_to(self.number, id);
        other.clients.sub(1);
        own.clients.add(1);
        self.adopt(*client);
        false
    }

    /// Serves a client that another worker has given away.
    pub(super) fn adopt(&mut self, client: ServerClient) {
        let key = self.clients.insert(client);
        let token = Token(self.first_client + key);
        let client = &mut self.clients[key];
        client.begin_again();
        if let Some(mailbox) = self.shared.client_list.mailbox(client.id()) {
            client.adopt_mailbox(&self.shared.hub, mailbox);
        }
        // [MV-5] Messages that came while the client moved are announced to this worker.
        client.set_address(self.number, key);
        let own = &self.shared.workers[self.number];
        own.buffers.set(own.buffers.get() + client.buffers() as u64);
        let registered = client.stream().register(self.poll.registry(), token);
        // [MV-3] A kill while the client moved was for this worker, which did not have it yet.
        if registered.is_err() || self.shared.client_list.is_killed(client.id()) {
            return self.remove(key);
        }
        // This worker may have checked its clients before it had this one.
        client.refresh_user(self.shared.runtime_config.users());
        if self.stopping_since.is_some() {
            client.finish();
        }
        // [MV-4] No event reports what came before, nor requests that are in the client's buffer.
        self.update(key);
    }
}
