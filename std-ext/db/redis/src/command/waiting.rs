//! A command that waits for an element or an entry (`BLPOP`, `XREAD` with `BLOCK` and their like).

use crate::command::diagnostics::WaitingClient;
use crate::command::reply::ReplyKind;
use hedgerow_db_engine::state::waiters::Waiter;
use std::sync::Arc;
use std::time::Instant;

/// A command that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) waiter: Arc<Waiter>,
    /// When it ends without an element; nothing if it waits for ever.
    pub(super) deadline: Option<Instant>,
    /// What its reply is.
    pub(super) kind: ReplyKind,
    /// The number of the command.
    pub(super) command: u16,
    /// Whether the client does not want the reply.
    pub(super) is_muted: bool,
    pub(super) _counted: WaitingClient,
}
