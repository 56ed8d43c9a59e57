//! A connection whose last command waits for an element or an entry (`BLPOP`, `XREAD` with `BLOCK` and their like).
//!
//! The commands behind it are not executed until it has its reply. Whoever serves the connection polls the
//! [waiter](Waiter), and calls [`end_wait`] with the outcome.

use crate::command::connection::Connection;
use crate::command::context::Context;
use crate::command::execute::ExecuteOutcome;
use crate::command::redirects::Redirects;
use crate::command::reply::error_text;
use crate::command::waiting::Waiting;
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_engine::state::waiters::{WaitEnd, WaitOutcome, Waiter};
use hedgerow_db_formats::resp::write::RespWriter;
use hedgerow_db_formats::slots::slot;
use std::sync::Arc;
use std::time::Instant;

const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
const ROLE_LOST: &str =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

impl Connection {
    /// Returns the waiter of the last command, if that waits.
    #[inline]
    pub(crate) fn waiter(&self) -> Option<&Arc<Waiter>> {
        self.waiting.as_ref().map(|waiting| &waiting.waiter)
    }

    /// Returns whether the last command waits.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Returns until when the last command waits, if it does not wait for ever.
    #[inline]
    pub(crate) fn wait_deadline(&self) -> Option<Instant> {
        self.waiting.as_ref()?.deadline
    }
}

/// Writes the reply of the command that has waited. The caller checks `rollbacks` and `epoch` of what it got.
pub(crate) fn end_wait(
    connection: &mut Connection,
    context: &mut Context<'_>,
    outcome: &WaitOutcome,
    out: &mut Vec<u8>,
) -> ExecuteOutcome {
    let mut done = ExecuteOutcome::default();
    let Some(waiting) = cancel_wait(connection, context) else { return done };
    let mut reply = Vec::new();
    let writer = &mut RespWriter::new(&mut reply, connection.protocol);
    match outcome {
        WaitOutcome::Served(served) => {
            if let Some(error) = waiting.kind.write(writer, served.answer.answer(), 0) {
                context.scratch.meter.diagnostics.count_error(error.as_bytes());
                context.scratch.meter.fail(waiting.command.into());
            }
            (done.lsn, done.shows_data) = (served.lsn, true);
        }
        WaitOutcome::Ended(WaitEnd::TimedOut) => writer.null_array(),
        WaitOutcome::Ended(why) => {
            let tls = connection.uses_tls;
            let redirects = Redirects { group: context.cluster, tls };
            let error = match why {
                WaitEnd::TimedOut | WaitEnd::Unblocked => UNBLOCKED.into(),
                WaitEnd::RoleLost => ROLE_LOST.into(),
                WaitEnd::Refused(RequestError::SlotNotOwned) => {
                    redirects.refused_slot(waiting.waiter.keys().next().map(slot), true)
                }
                WaitEnd::Refused(error) => error_text(*error).into(),
            };
            writer.error(error.as_bytes());
            context.scratch.meter.diagnostics.count_error(error.as_bytes());
            context.scratch.meter.fail(waiting.command.into());
        }
    }
    if !waiting.is_muted {
        out.extend_from_slice(&reply);
    }
    done
}

/// Ends the wait of a connection, without a reply. Returns it. An element that it has got is lost, as in Redis when the
/// client ends before it has read the reply.
pub(crate) fn cancel_wait(
    connection: &mut Connection,
    context: &mut Context<'_>,
) -> Option<Box<Waiting>> {
    let waiting = connection.waiting.take()?;
    waiting.waiter.cancel();
    context.session.forget_waiter(&waiting.waiter);
    context.server.note_waiter(connection.id, None);
    Some(waiting)
}
