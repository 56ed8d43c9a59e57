//! A look at each request before it is executed, while CLIENT PAUSE holds some.
//!
//! Requests are then executed one by one. Otherwise this costs one look at a flag for each batch.

use crate::command::arguments::is;
use crate::command::connection::Connection;
use crate::command::diagnostics::Diagnostics;
use crate::command::diagnostics::pause::PauseKind;
use crate::command::table::{self, CommandSpec, Id};
use crate::resp::inline;
use crate::resp::parse::{Found, Requests};
use std::time::Instant;

/// Returns whether the first request of the input must wait because the clients are paused.
#[cold]
pub(super) fn must_wait(diagnostics: &Diagnostics, connection: &Connection, input: &[u8]) -> bool {
    let Some(kind) = diagnostics.paused(Instant::now()) else { return false };
    let (mut parser, mut arguments) = (Requests::default(), Vec::new());
    let waits = |arguments: &[&[u8]]| {
        let spec = arguments.first().and_then(|name| table::find(name));
        spec.is_some_and(|spec| is_held(kind, connection, spec, arguments))
    };
    match parser.next(input, connection.limits(), &mut arguments) {
        Found::Request(_) => waits(&arguments),
        Found::Quoted(length) => inline::split(&input[..length])
            .is_ok_and(|words| waits(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())),
        Found::Nothing(_) | Found::Unfinished(_) | Found::Invalid(_) => false,
    }
}

/// Returns whether a command waits for the end of the pause. Errors are replied at once, and so is what ends the pause.
fn is_held(
    kind: PauseKind,
    connection: &Connection,
    spec: &CommandSpec,
    arguments: &[&[u8]],
) -> bool {
    if !spec.takes(arguments.len()) || !connection.authenticated {
        return false;
    }
    let ends_pause = spec.id == Id::Client && is(arguments[1], "unpause");
    let writes = match spec.id {
        Id::Exec => connection.queue.as_ref().is_some_and(|queue| queue.writes()),
        // Queueing a command changes nothing.
        _ => {
            connection.queue.is_none() && (spec.has_flag("write") || spec.has_flag("may_replicate"))
        }
    };
    !ends_pause && (kind == PauseKind::All || writes)
}
