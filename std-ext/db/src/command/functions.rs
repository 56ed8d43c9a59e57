//! FUNCTION and MODULE, of a server without functions and modules.
//!
//! Test suites of clients call FUNCTION FLUSH before they begin, and tools list modules, so these have the replies of a
//! Redis without functions and modules.

use crate::command::arguments::{CommandError, is, subcommand, wrong_part};
use crate::command::dispatch::NO_FUNCTIONS;
use crate::command::execute::Execution;

impl<'a> Execution<'_, 'a> {
    /// FUNCTION.
    pub(in crate::command) fn function(
        &mut self,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        match subcommand("function", &SUBCOMMANDS, arguments)? {
            Subcommand::Flush => {
                check_flush(arguments)?;
                self.reply(|out| out.ok());
            }
            Subcommand::List => {
                check_list(&arguments[2..])?;
                self.reply(|out| out.array(0));
            }
            Subcommand::Stats => self.reply(|out| {
                out.map(2);
                out.bulk(b"running_script");
                out.null();
                out.bulk(b"engines");
                out.map(1);
                out.bulk(b"LUA");
                out.map(2);
                for name in ["libraries_count", "functions_count"] {
                    out.bulk(name.as_bytes());
                    out.integer(0);
                }
            }),
            Subcommand::Kill => return Err("NOTBUSY No scripts in execution right now.".into()),
            Subcommand::Unsupported => return Err(format!("ERR {NO_FUNCTIONS}").into()),
            Subcommand::Help => self.help(&HELP),
        }
        Ok(())
    }

    /// MODULE.
    pub(in crate::command) fn module(
        &mut self,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let is_help = subcommand("module", &[("list", 2, false), ("help", 2, true)], arguments)?;
        if is_help {
            self.help(&MODULE_HELP);
        } else {
            self.reply(|out| out.array(0));
        }
        Ok(())
    }
}

fn check_flush(arguments: &[&[u8]]) -> Result<(), CommandError> {
    if arguments.len() > 3 {
        return Err(wrong_part("FUNCTION", arguments[1]));
    }
    if arguments[2..].iter().all(|mode| is(mode, "sync") || is(mode, "async")) {
        Ok(())
    } else {
        Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option".into())
    }
}

/// Checks the options of FUNCTION LIST. Each may be given once.
fn check_list(options: &[&[u8]]) -> Result<(), CommandError> {
    let (mut has_code, mut has_name) = (false, false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if !has_code && is(option, "withcode") {
            has_code = true;
        } else if !has_name && is(option, "libraryname") {
            has_name = true;
            options.next().ok_or("ERR library name argument was not given")?;
        } else {
            let shown = String::from_utf8_lossy(&option[..option.len().min(128)]);
            return Err(format!("ERR Unknown argument {shown}").into());
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Subcommand {
    Flush,
    List,
    Stats,
    Kill,
    Help,
    /// It needs functions.
    Unsupported,
}

const SUBCOMMANDS: [(&str, i8, Subcommand); 9] = [
    ("flush", -2, Subcommand::Flush),
    ("list", -2, Subcommand::List),
    ("stats", 2, Subcommand::Stats),
    ("kill", 2, Subcommand::Kill),
    ("help", 2, Subcommand::Help),
    ("dump", 2, Subcommand::Unsupported),
    ("restore", -3, Subcommand::Unsupported),
    ("load", -3, Subcommand::Unsupported),
    ("delete", 3, Subcommand::Unsupported),
];

const MODULE_HELP: [&str; 3] = [
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return a list of loaded modules.",
];

const HELP: [&str; 38] = [
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using \
     FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
];
