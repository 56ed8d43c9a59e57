//! A client whose last command waits for an element (`BLPOP` and its like).
//!
//! Nothing is read from it or executed for it meanwhile. It stays at its worker, which is told of the outcome. As in
//! Redis, a client that closes its side ends the wait, although it could still read the reply.

use super::{ClientState, ROLLED_BACK, ServerClient};
use crate::command::{self, cancel_wait};
use crate::server::worker_context::WorkerContext;
use hedgerow_db_engine::state::waiters::{WaitOutcome, Waiter};
use std::sync::Arc;
use std::time::Instant;

impl ServerClient {
    /// Returns what the client waits for, if it waits.
    pub(in crate::server) fn waiter(&self) -> Option<&Arc<Waiter>> {
        self.connection.waiter()
    }

    /// Returns until when the client waits, if it waits and not for ever.
    #[inline]
    pub(in crate::server) fn wait_deadline(&self) -> Option<Instant> {
        self.connection.wait_deadline()
    }

    /// Returns whether the client may still get replies to commands.
    pub(in crate::server) fn is_open(&self) -> bool {
        self.state == ClientState::Open
    }

    /// Notes that the wait has an outcome.
    pub(in crate::server) fn note_outcome(&mut self) {
        self.has_outcome = true;
    }

    /// Returns whether a service would end the wait.
    pub(super) fn may_end_wait(&self) -> bool {
        self.has_outcome || self.half_closed
    }

    /// Ends the wait if it has an outcome, with its reply, or if the client is gone. Returns whether commands may be
    /// executed.
    pub(super) fn end_wait(&mut self, context: &mut WorkerContext) -> bool {
        self.has_outcome = false;
        let outcome = self.connection.waiter().and_then(|waiter| waiter.take_outcome());
        let Some(outcome) = outcome else {
            if self.half_closed {
                self.kill();
            }
            return false;
        };
        let served = if let WaitOutcome::Served(served) = &outcome { Some(served) } else { None };
        let noticed = context.noticed;
        let out = self.output.open(|| context.pool.take());
        // Which of the log's entries has its number now, nobody knows. Held replies were withdrawn by now, and the
        // client with them.
        if let Some(served) = served
            && (served.rollbacks, served.epoch) != noticed
        {
            if served.rollbacks != noticed.0 {
                out.extend_from_slice(ROLLED_BACK);
            }
            self.cancel_wait(context);
            self.state = ClientState::Closing;
            return false;
        }
        let done =
            command::end_wait(&mut self.connection, &mut context.command_context(), &outcome, out);
        self.lsn = self.lsn.max(done.lsn);
        self.shows_data |= done.shows_data;
        (self.last_active, self.used) = (context.now, true);
        true
    }

    /// Ends the wait without a reply: the client ends.
    pub(in crate::server) fn cancel_wait(&mut self, context: &mut WorkerContext) {
        if self.connection.waits() {
            cancel_wait(&mut self.connection, &mut context.command_context());
        }
    }
}
