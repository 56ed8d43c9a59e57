//! SLOWLOG: the commands that took longest.

use crate::command::arguments::{CommandError, subcommand, wrong_part};
use crate::command::execute::Execution;
use crate::state::number;

#[derive(Clone, Copy)]
enum Subcommand {
    Get,
    Len,
    Reset,
    Help,
}

const SUBCOMMANDS: [(&str, i8, Subcommand); 4] = [
    ("get", -2, Subcommand::Get),
    ("len", 2, Subcommand::Len),
    ("reset", 2, Subcommand::Reset),
    ("help", 2, Subcommand::Help),
];

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

impl<'a> Execution<'_, 'a> {
    /// SLOWLOG.
    pub(super) fn slowlog(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let named = subcommand("slowlog", &SUBCOMMANDS, arguments)?;
        // Commands before this one may belong into the log.
        self.execute_batch();
        match named {
            Subcommand::Get => self.slow_commands(arguments)?,
            Subcommand::Len => {
                let length = self.meter.diagnostics.slow_log.len();
                self.reply(|out| out.integer(length.cast_signed() as i64));
            }
            Subcommand::Reset => {
                self.meter.diagnostics.slow_log.reset();
                self.reply(|out| out.ok());
            }
            Subcommand::Help => self.help(&HELP),
        }
        Ok(())
    }

    fn slow_commands(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
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
