//! A look at each request before it is executed, while CLIENT PAUSE holds some or somebody monitors.
//!
//! Requests are then executed one by one. Otherwise this costs one look at a flag for each batch.

use crate::command::arguments::is;
use crate::command::connection::Connection;
use crate::command::diagnostics::Diagnostics;
use crate::command::diagnostics::pause::PauseKind;
use crate::command::monitor_lines;
use crate::command::table::{self, CommandSpec, Id};
use hedgerow_db_formats::resp::inline;
use hedgerow_db_formats::resp::parse::{ParsedItem, Requests};
use std::time::Instant;

/// Looks at the first request of the input, behind requests without words, before it is executed. Returns whether it
/// must wait because the clients are paused. If it need not, the monitors see it.
#[cold]
pub(super) fn must_wait(diagnostics: &Diagnostics, connection: &Connection, input: &[u8]) -> bool {
    let (mut parser, mut arguments) = (Requests::default(), Vec::new());
    let mut input = input;
    let found = loop {
        match parser.next(input, connection.limits(), &mut arguments) {
            ParsedItem::Nothing(length) => input = &input[length..],
            found => break found,
        }
    };
    match found {
        ParsedItem::Request(_) => look_at(diagnostics, connection, &arguments),
        ParsedItem::Quoted(length) => inline::split(&input[..length]).is_ok_and(|words| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            look_at(diagnostics, connection, &words)
        }),
        ParsedItem::Nothing(_) | ParsedItem::Unfinished(_) | ParsedItem::Invalid(_) => false,
    }
}

fn look_at(diagnostics: &Diagnostics, connection: &Connection, arguments: &[&[u8]]) -> bool {
    let spec = arguments.first().and_then(|name| table::find(name));
    let Some(spec) = spec.filter(|spec| spec.takes(arguments.len())) else { return false };
    let kind = diagnostics.paused(Instant::now());
    if kind.is_some_and(|kind| is_postponed(kind, connection, spec, arguments)) {
        return true;
    }
    if diagnostics.is_monitored() {
        monitor_lines::show(diagnostics, connection, spec, arguments);
    }
    false
}

/// Returns whether a command waits for the end of the pause. Errors are replied at once, and so is what ends the pause.
fn is_postponed(
    kind: PauseKind,
    connection: &Connection,
    spec: &'static CommandSpec,
    arguments: &[&[u8]],
) -> bool {
    // An error is replied at once.
    if !connection.authenticated
        || !connection.is_unrestricted && connection.user.refuses(spec, arguments)
    {
        return false;
    }
    let ends_pause = spec.id == Id::CLIENT && is(arguments[1], "unpause");
    let writes = match spec.id {
        Id::EXEC => connection.queue.as_ref().is_some_and(|queue| queue.writes()),
        // Queueing a command changes nothing.
        _ => connection.queue.is_none() && spec.is_postponed_as_write(arguments),
    };
    !ends_pause && (kind == PauseKind::All || writes)
}
