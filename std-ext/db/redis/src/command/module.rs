//! MODULE, of a server without modules.
//!
//! RedisInsight and Redis Commander ask for the modules of a server when they connect, and redis-py's tests call
//! `module_list`. No client needs the stub of FUNCTION that Redis's other replies would suggest: a program that calls
//! functions loads them first, and the error of `FUNCTION` says what to use instead.

use crate::command::rows::{Run, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;

const HELP: [&str; 3] = [
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return a list of loaded modules.",
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("module", -2, MODULE)
    .since("4.0.0", Group::Server)
    .summary("A container for commands about modules, which do not exist.")];

const MODULE: &[Row<Run>] = &[
    command("module|list", 2, "admin noscript", |e, _| e.answer(|out| out.array(0)))
        .since("4.0.0", Group::Server)
        .summary("Lists the modules: there are none.")
        .tips("nondeterministic_output_order"),
    command("module|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("5.0.0", Group::Server)
        .summary("Lists the subcommands."),
];
