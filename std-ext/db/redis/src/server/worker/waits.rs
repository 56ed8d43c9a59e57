//! The clients of a worker that wait for elements.
//!
//! Whoever serves one puts its place into this worker's inbox. A client that waits does not move, so that place stays
//! right; an entry that is left behind is one spurious look at another client.

use super::ServerWorker;
use crate::server::client::ServerClient;
use crate::server::inbox::{Handover, Inboxes};
use crate::server::shared::wake;
use hedgerow_db_engine::state::waiters::WaitEnd;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

/// Wakes the worker of a client that waits.
///
/// A thread that holds the lock of a shard may drop the last one, so it has no part of the database or the server.
struct WorkerWaker {
    inboxes: Inboxes,
    waker: Arc<mio::Waker>,
    worker: usize,
    place: usize,
}

impl Wake for WorkerWaker {
    fn wake(self: Arc<Self>) {
        // A worker that has exited has no clients.
        let _ = self.inboxes[self.worker].receive(Handover::Answered(self.place));
        wake(&self.waker);
    }
}

impl ServerWorker {
    /// Notes that a client was served that waited until `before`, or did not. It may wait now.
    #[cold]
    pub(super) fn note_wait(&mut self, key: usize, before: Option<Instant>) {
        let client = &mut self.clients[key];
        let deadline = client.wait_deadline();
        if before != deadline {
            self.deadlines.replace(key, before, deadline);
        }
        let Some(waiter) = client.waiter() else { return };
        let waker = Waker::from(Arc::new(WorkerWaker {
            inboxes: Arc::clone(&self.inboxes),
            waker: Arc::clone(&self.shared.workers[self.number].waker),
            worker: self.number,
            place: key,
        }));
        // It may have been served before it could be told whom to wake.
        if waiter.register(&waker) {
            client.note_outcome();
        }
        if self.stopping_since.is_some() {
            client.kill();
        }
    }

    /// Looks at a client that may have got an element.
    pub(super) fn note_answered(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            if client.waiter().is_some() {
                client.note_outcome();
            }
            self.queue(key);
        }
    }

    /// Ends the waits whose time is over.
    pub(super) fn end_due_waits(&mut self) {
        while let Some(key) = self.deadlines.take_due(self.context.now) {
            // If it fails, the client has just got an element, or another end.
            if let Some(waiter) = self.clients.get(key).and_then(|client| client.waiter()) {
                waiter.end(WaitEnd::TimedOut);
            }
            self.note_answered(key);
        }
    }

    /// Ends the wait of a client that ends.
    pub(super) fn cancel_wait(&mut self, client: &mut ServerClient, key: usize) {
        if client.waiter().is_some() {
            self.deadlines.replace(key, client.wait_deadline(), None);
            client.cancel_wait(&mut self.context);
        }
    }

    /// Closes the clients that wait, because the server stops. One that has just got an element gets its reply.
    pub(super) fn close_waiting(&mut self) {
        let ends = |client: &ServerClient| client.waiter().is_some_and(|waiter| waiter.cancel());
        let waiting = self.clients.iter().filter(|(_, client)| ends(client));
        for key in waiting.map(|(key, _)| key).collect::<Vec<_>>() {
            self.remove(key);
        }
    }
}
