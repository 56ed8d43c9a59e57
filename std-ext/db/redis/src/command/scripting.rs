//! EVAL, EVALSHA and SCRIPT: their rows, also of a build that cannot execute scripts.

use crate::command::rows::{Run, alone, command, container};
#[cfg(feature = "scripts")]
use crate::command::table::Id;
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, RO, RW, UPDATE, key};

/// Returns the function of a command, in a build that can execute scripts.
#[cfg(feature = "scripts")]
macro_rules! scripted {
    ($run:expr) => {
        $run
    };
}
/// Returns a function that knows no such command.
#[cfg(not(feature = "scripts"))]
macro_rules! scripted {
    ($run:expr) => {
        |e, a| {
            e.unknown(a);
            Ok(())
        }
    };
}

const HELP: [&str; 15] = [
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone(
        "eval",
        -3,
        "noscript stale skip_monitor no_mandatory_keys movablekeys",
        scripted!(|e, a| e.eval(Id::EVAL, a)),
    )
    .keys(&[key(2, RW | ACCESS | UPDATE)
        .counted(1)
        .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")])
    .since("2.6.0", Group::Scripting)
    .syntax("script numkeys/integer [key#0...] [arg...]")
    .summary("Executes a script in Lua.")
    .takes_time("Depends on the script"),
    alone(
        "evalsha",
        -3,
        "noscript stale skip_monitor no_mandatory_keys movablekeys",
        scripted!(|e, a| e.eval(Id::EVALSHA, a)),
    )
    .keys(&[key(2, RW | ACCESS | UPDATE).counted(1)])
    .since("2.6.0", Group::Scripting)
    .syntax("sha1 numkeys/integer [key#0...] [arg...]")
    .summary("Executes a script that the server knows, by its SHA-1.")
    .takes_time("Depends on the script"),
    alone(
        "eval_ro",
        -3,
        "readonly noscript stale skip_monitor no_mandatory_keys movablekeys",
        scripted!(|e, a| e.eval(Id::EVAL_RO, a)),
    )
    .keys(&[key(2, RO | ACCESS)
        .counted(1)
        .notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")])
    .since("7.0.0", Group::Scripting)
    .syntax("script numkeys/integer [key#0...] [arg...]")
    .summary("Executes a script in Lua that changes nothing.")
    .takes_time("Depends on the script"),
    alone(
        "evalsha_ro",
        -3,
        "readonly noscript stale skip_monitor no_mandatory_keys movablekeys",
        scripted!(|e, a| e.eval(Id::EVALSHA_RO, a)),
    )
    .keys(&[key(2, RO | ACCESS).counted(1)])
    .since("7.0.0", Group::Scripting)
    .syntax("sha1 numkeys/integer [key#0...] [arg...]")
    .summary("Executes a script that the server knows, by its SHA-1, and that changes nothing.")
    .takes_time("Depends on the script"),
    container("script", -2, SCRIPT)
        .otherwise(scripted!(|e, a| Err(e.unknown_part(a))))
        .since("2.6.0", Group::Scripting)
        .summary("A container for commands about scripts."),
];

const SCRIPT: &[Row<Run>] = &[
    command("script|load", 3, "noscript stale", scripted!(|e, a| e.script_load(a[2])))
        .since("2.6.0", Group::Scripting)
        .syntax("script")
        .summary("Stores a script, and returns its SHA-1.")
        .tips("request_policy:all_nodes response_policy:all_succeeded"),
    command("script|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("5.0.0", Group::Scripting)
        .summary("Lists the subcommands."),
    command("script|flush", -2, "noscript", scripted!(|e, a| e.script_flush(&a[2..])))
        .since("2.6.0", Group::Scripting)
        .syntax("[async:<ASYNC|SYNC>@6.2.0]")
        .summary("Removes all scripts.")
        .tips("request_policy:all_nodes response_policy:all_succeeded"),
    command("script|exists", -3, "noscript", scripted!(|e, a| e.script_exists(&a[2..])))
        .since("2.6.0", Group::Scripting)
        .syntax("sha1...")
        .summary("Tells which scripts the server knows.")
        .tips("request_policy:all_shards response_policy:agg_logical_and"),
    command("script|kill", 2, "noscript allow_busy", scripted!(|e, _| e.script_kill()))
        .since("2.6.0", Group::Scripting)
        .summary("Stops a script that has changed nothing.")
        .tips("request_policy:all_shards response_policy:one_succeeded"),
    command("script|debug", 3, "noscript", scripted!(|e, a| e.script_debug(a[2])))
        .since("3.2.0", Group::Scripting)
        .syntax("mode:<YES|SYNC|NO>")
        .summary("Is refused: there is no debugger."),
];
