//! SLOWLOG: the commands that took longest.

use crate::command::arguments::{CommandError, wrong_part};
use crate::command::execute::Execution;
use crate::command::rows::{Run, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use hedgerow_db_formats::number;

const HELP: [&str; 10] = [
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

/// The entries that SLOWLOG GET shows by default.
const DEFAULT_COUNT: usize = 10;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("slowlog", -2, SLOWLOG)
    .since("2.2.12", Group::Server)
    .summary("A container for slow log commands.")
    .without_data()];

const SLOWLOG: &[Row<Run>] = &[
    command("slowlog|get", -2, "admin loading stale", |e, a| e.slow_commands(a))
        .since("2.2.12", Group::Server)
        .syntax("[count/integer]")
        .summary("Returns the latest slow commands.")
        .takes_time("O(N), N is the length of the reply")
        .tips("request_policy:all_nodes nondeterministic_output"),
    command("slowlog|len", 2, "admin loading stale", |e, _| e.slow_commands_count())
        .since("2.2.12", Group::Server)
        .summary("Counts the entries of the slow log.")
        .tips("request_policy:all_nodes response_policy:agg_sum nondeterministic_output"),
    command("slowlog|reset", 2, "admin loading stale", |e, _| e.forget_slow_commands())
        .since("2.2.12", Group::Server)
        .summary("Removes all entries of the slow log.")
        .tips("request_policy:all_nodes response_policy:all_succeeded"),
    command("slowlog|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("6.2.0", Group::Server)
        .summary("Lists the subcommands."),
];

impl Execution<'_, '_> {
    /// SLOWLOG LEN.
    fn slow_commands_count(&mut self) -> Result<(), CommandError> {
        // Commands before this one may belong into the log.
        self.execute_batch();
        let length = self.meter.diagnostics.slow_log.len();
        self.answer(|out| out.integer(length.cast_signed() as i64))
    }

    /// SLOWLOG RESET.
    fn forget_slow_commands(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        self.meter.diagnostics.slow_log.reset();
        self.answer(|out| out.ok())
    }

    /// SLOWLOG GET.
    fn slow_commands(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        self.execute_batch();
        let count = match &arguments[2..] {
            [] => DEFAULT_COUNT,
            [count] => {
                let invalid = "ERR count should be greater than or equal to -1";
                match number::integer(count) {
                    Some(-1) => usize::MAX,
                    count => count.and_then(|count| usize::try_from(count).ok()).ok_or(invalid)?,
                }
            }
            _ => return Err(wrong_part("SLOWLOG", arguments[1])),
        };
        let commands = self.meter.diagnostics.slow_log.last(count);
        self.reply(|out| {
            out.array(commands.len());
            for command in &commands {
                out.array(6);
                out.integer(command.id.cast_signed());
                out.integer(command.at.cast_signed());
                out.integer(command.microseconds.cast_signed());
                out.array(command.arguments.len());
                for argument in &command.arguments {
                    out.bulk(argument);
                }
                out.bulk(command.address.as_bytes());
                out.bulk(&command.name);
            }
        });
        Ok(())
    }
}
