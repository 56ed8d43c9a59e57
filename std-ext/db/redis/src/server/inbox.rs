//! Handovers between workers: connections that one has accepted for another, and clients that move.

use super::client::ServerClient;
use super::listen::AcceptedConnection;
use hedgerow_db_engine::lock::lock;
use std::sync::{Arc, Mutex};

/// The inboxes of all workers, by the workers' numbers.
pub(super) type Inboxes = Arc<[WorkerInbox]>;

/// Makes the inboxes of this number of workers.
pub(super) fn inboxes(workers: usize) -> Inboxes {
    (0..workers).map(|_| WorkerInbox::default()).collect()
}

/// A thing that another thread hands over to a worker.
pub(super) enum Handover {
    /// A connection that another worker has accepted.
    Accepted(AcceptedConnection),
    /// A client that another worker has served.
    Client(Box<ServerClient>),
    /// The client of this worker in this place, which waits for an element, may have got one.
    Answered(usize),
}

/// The handovers that a worker has not taken yet.
#[derive(Default)]
pub(super) struct WorkerInbox(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    handovers: Vec<Handover>,
    /// The worker has exited.
    closed: bool,
}

impl WorkerInbox {
    /// Hands something over to the worker, which the caller wakes. Returns it if the worker has exited.
    pub(super) fn receive(&self, handover: Handover) -> Result<(), Handover> {
        let mut inbox = lock(&self.0);
        if inbox.closed {
            return Err(handover);
        }
        inbox.handovers.push(handover);
        Ok(())
    }

    /// Takes what other workers have handed over.
    pub(super) fn take(&self) -> Vec<Handover> {
        std::mem::take(&mut lock(&self.0).handovers)
    }

    /// Takes the connections that other workers have handed over, and leaves the rest.
    pub(super) fn take_accepted(&self) -> Vec<AcceptedConnection> {
        let mut inbox = lock(&self.0);
        let mut taken = Vec::new();
        for handover in std::mem::take(&mut inbox.handovers) {
            match handover {
                Handover::Accepted(accepted) => taken.push(accepted),
                // The list of clients says that it is this worker's, to which kills are sent.
                Handover::Client(_) | Handover::Answered(_) => inbox.handovers.push(handover),
            }
        }
        taken
    }

    /// Closes the inbox, because the worker exits, if nothing is in it. Returns whether it is closed.
    pub(super) fn close(&self) -> bool {
        let mut inbox = lock(&self.0);
        // Only an empty one: a client that was handed over just now must still be served or closed by its worker.
        inbox.closed |= inbox.handovers.is_empty();
        inbox.closed
    }
}
