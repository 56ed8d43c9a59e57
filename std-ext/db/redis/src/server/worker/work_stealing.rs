//! Relief for occupied loops: one command has run on each for longer than `busy-reply-threshold`.
//!
//! New connections arrive at the listeners of all workers, and workers hand them over to the active loops. If all of
//! these are occupied, nobody could stop the command: SCRIPT KILL would wait behind it. So the other workers look once
//! a second whether a loop is occupied. They activate another loop if all active ones are, and take over the
//! connections that wait for an occupied loop, at its listeners or in its inbox.
//!
//! Clients that a loop already serves stay with it until it goes on: only its own thread may touch them.

use super::{ACCEPTS, ServerWorker};
use crate::server::event_loops::OtherEventLoops;
use crate::server::listen::AcceptedConnection;
use hedgerow_db_engine::lock::lock;
use std::io::ErrorKind;
use std::sync::Arc;

impl ServerWorker {
    /// Looks whether other loops are occupied, if that is due, and serves the connections that wait for them.
    pub(super) fn relieve_others(&mut self) {
        let now = self.context.now;
        if now < self.next_stealing || self.stopping_since.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let time = shared.time(now);
        let occupied = |worker: &usize| *worker != self.number && shared.is_occupied(*worker, time);
        let all: Vec<usize> = (0..shared.workers.len()).filter(occupied).collect();
        self.other_loops =
            if all.is_empty() { OtherEventLoops::Free } else { OtherEventLoops::Occupied };
        self.next_stealing = now + self.other_loops.pause();
        let active = shared.event_loops.active();
        if !all.is_empty() && (0..active).all(|worker| all.contains(&worker)) {
            shared.event_loops.activate(time);
        }
        for worker in all {
            self.take_connections_of(worker);
        }
    }

    /// Serves the connections that wait for another worker.
    fn take_connections_of(&mut self, worker: usize) {
        let shared = Arc::clone(&self.shared);
        let other = &shared.workers[worker];
        for accepted in self.inboxes[worker].take_accepted() {
            other.clients.sub(1);
            other.active_clients.set(other.active_clients.get().saturating_sub(1));
            self.serve_accepted(accepted);
        }
        for listener in &*lock(&other.spare_listeners) {
            for _ in 0..ACCEPTS {
                match listener.accept() {
                    Ok(accepted) => self.admit(accepted),
                    Err(why) if why.kind() == ErrorKind::ConnectionAborted => {}
                    // Usually none waits. The next look tries again after any other error.
                    Err(_) => break,
                }
            }
        }
    }

    /// Serves a connection that was admitted already.
    fn serve_accepted(&mut self, accepted: AcceptedConnection) {
        let own = &self.shared.workers[self.number];
        own.clients.add(1);
        own.active_clients.add(1);
        self.add_client(accepted);
    }
}
