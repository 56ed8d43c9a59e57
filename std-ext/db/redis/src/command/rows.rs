//! How a row of the command table begins.

use crate::command::arguments::CommandError;
use crate::command::execute::Execution;
use crate::command::table::{Kind, Row};

/// Executes a command, or adds it to the batch. The first argument is its name.
pub(super) type Run =
    for<'e, 'a> fn(&mut Execution<'e, 'a>, &[&'a [u8]]) -> Result<(), CommandError>;

/// A command whose requests are added to the batch.
pub(super) const fn command(
    name: &'static str,
    arity: i8,
    flags: &'static str,
    run: Run,
) -> Row<Run> {
    Row::new(name, arity, flags, Kind::Batched, (run, &[]))
}

/// A command that is executed and measured by itself.
pub(super) const fn alone(
    name: &'static str,
    arity: i8,
    flags: &'static str,
    run: Run,
) -> Row<Run> {
    Row::new(name, arity, flags, Kind::Alone, (run, &[]))
}

/// A command with subcommands, which have its group.
pub(super) const fn container(
    name: &'static str,
    arity: i8,
    parts: &'static [Row<Run>],
) -> Row<Run> {
    Row::new(name, arity, "", Kind::Container, (|e, a| Err(e.unknown_part(a)), parts))
}
