//! MODULE, of a server without modules.
//!
//! RedisInsight and Redis Commander ask for the modules of a server when they connect, and redis-py's tests call
//! `module_list`. No client needs the stub of FUNCTION that Redis's other replies would suggest: a program that calls
//! functions loads them first, and the error of `FUNCTION` says what to use instead.

use crate::command::arguments::{CommandError, subcommand};
use crate::command::execute::Execution;

const HELP: [&str; 3] = [
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return a list of loaded modules.",
];

impl<'a> Execution<'_, 'a> {
    /// MODULE.
    pub(super) fn module(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        if subcommand("module", &[("list", 2, false), ("help", 2, true)], arguments)? {
            self.help(&HELP);
        } else {
            self.reply(|out| out.array(0));
        }
        Ok(())
    }
}
