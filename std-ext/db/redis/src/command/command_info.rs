//! COMMAND: information about the commands.

use crate::command::arguments::{CommandError, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::key_specs::{write_key_specs, write_tips};
use crate::command::rows::{Run, command, container};
use crate::command::syntax::write_arguments;
use crate::command::table::groups::Group;
use crate::command::table::{self, CommandSpec, Row};
use hedgerow_db_formats::glob::Glob;
use hedgerow_db_formats::resp::write::RespWriter;

const HELP: [&str; 19] = [
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
];

/// No command or subcommand has a longer name.
const LONGEST_NAME: usize = 64;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("command", -1, COMMAND)
    .flags("loading stale")
    .since("2.8.13", Group::Server)
    .summary("Returns information about all commands.")
    .also_in("connection")
    .takes_time("O(N), N is the length of the reply")
    .tips("nondeterministic_output_order")
    .without_data()
    .otherwise(|e, a| {
        if a.len() == 1 {
            e.infos(&[]);
            Ok(())
        } else {
            Err(e.unknown_part(a))
        }
    })];

const COMMAND: &[Row<Run>] = &[
    command("command|count", 2, "loading stale", |e, _| {
        e.answer(|out| out.integer(table::COMMANDS.len().cast_signed() as i64))
    })
    .since("2.8.13", Group::Server)
    .summary("Counts the commands.")
    .also_in("connection"),
    command("command|list", -2, "loading stale", |e, a| e.names(&a[2..]))
        .since("7.0.0", Group::Server)
        .syntax("[FILTERBY filterby:<MODULE module-name|ACLCAT category|PATTERN pattern/pattern>]")
        .summary("Lists the names of commands.")
        .also_in("connection")
        .takes_time("O(N), N is the length of the reply")
        .tips("nondeterministic_output_order"),
    command("command|info", -2, "loading stale", |e, a| {
        e.infos(&a[2..]);
        Ok(())
    })
    .since("2.8.13", Group::Server)
    .syntax("[command-name...]")
    .summary("Describes commands for clients: arity, flags, keys.")
    .also_in("connection")
    .takes_time("O(N), N is the length of the reply")
    .tips("nondeterministic_output_order"),
    command("command|docs", -2, "loading stale", |e, a| {
        e.command_docs(&a[2..]);
        Ok(())
    })
    .since("7.0.0", Group::Server)
    .syntax("[command-name...]")
    .summary("Describes commands for people.")
    .also_in("connection")
    .takes_time("O(N), N is the length of the reply")
    .tips("nondeterministic_output_order"),
    command("command|getkeys", -4, "loading stale", |e, a| e.getkeys(&a[2..], false))
        .since("2.8.13", Group::Server)
        .summary("Returns the keys of a command.")
        .also_in("connection"),
    command("command|getkeysandflags", -4, "loading stale", |e, a| e.getkeys(&a[2..], true))
        .since("7.0.0", Group::Server)
        .summary("Returns the keys of a command, and its use of them.")
        .also_in("connection"),
    command("command|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("5.0.0", Group::Server)
        .summary("Lists the subcommands.")
        .also_in("connection"),
];

impl<'a> Execution<'_, 'a> {
    /// COMMAND INFO; without names, for all commands.
    fn infos(&mut self, names: &[&[u8]]) {
        let most = self.max_out;
        self.reply(|out| {
            if names.is_empty() {
                out.array(table::COMMANDS.len());
                for spec in table::COMMANDS {
                    write_spec(spec, out);
                }
                return;
            }
            out.array(names.len());
            // Names may repeat. The client of a reply that is too long is closed, so the rest does not matter.
            for name in names {
                if out.len() > most {
                    break;
                }
                match table::find_spec(name) {
                    Some(spec) => write_spec(spec, out),
                    None => out.null(),
                }
            }
        });
    }

    fn names(&mut self, filter: &[&[u8]]) -> Result<(), CommandError> {
        let pattern;
        let is_wanted: &dyn Fn(&CommandSpec) -> bool = match filter {
            [] => &|_| true,
            [by, how, what] if is(by, "filterby") => match how {
                // There are no modules.
                how if is(how, "module") => &|_| false,
                how if is(how, "aclcat") => {
                    &|spec| spec.categories.names().any(|category| is(what, category))
                }
                how if is(how, "pattern") => {
                    pattern = Glob::folded(what, LONGEST_NAME);
                    &|spec| pattern.matches(spec.name.as_bytes())
                }
                _ => return Err(SYNTAX),
            },
            _ => return Err(SYNTAX),
        };
        let wanted = || table::in_order().filter(|spec| is_wanted(spec));
        self.reply(|out| {
            out.array(wanted().count());
            wanted().for_each(|spec| out.bulk(spec.name.as_bytes()));
        });
        Ok(())
    }

    /// COMMAND DOCS; without names, for all commands. Unknown names are left out, as in Redis.
    fn command_docs(&mut self, names: &[&[u8]]) {
        let found: Vec<&CommandSpec> = match names {
            [] => table::COMMANDS.iter().collect(),
            names => names.iter().filter_map(|name| table::find_spec(name)).collect(),
        };
        let most = self.max_out;
        self.reply(|out| {
            out.map(found.len());
            for spec in found {
                // As in `infos`.
                if out.len() > most {
                    break;
                }
                write_docs(spec, out);
            }
        });
    }

    /// COMMAND GETKEYS, and COMMAND GETKEYSANDFLAGS if `with_flags`.
    fn getkeys(&mut self, command: &[&'a [u8]], with_flags: bool) -> Result<(), CommandError> {
        let mut spec = table::find(command[0]);
        // If the command has subcommands, the second argument names one.
        if spec.is_some_and(|spec| !spec.parts().is_empty()) {
            spec = table::find_part(command[0], command[1]);
        }
        let spec = spec.ok_or("ERR Invalid command specified")?;
        if !spec.has_keys() {
            return Err("ERR The command has no key arguments".into());
        }
        if !spec.takes(command.len()) {
            return Err("ERR Invalid number of arguments specified for command".into());
        }
        let keys = spec.key_uses(command);
        // As `CMD_NO_MANDATORY_KEYS`: a number of keys may be 0.
        if !spec.is_eval() && keys.clone().next().is_none() {
            return Err("ERR Invalid arguments specified for command".into());
        }
        self.reply(|out| {
            out.array(keys.clone().count());
            for (place, key_use) in keys {
                if !with_flags {
                    out.bulk(command[place]);
                    continue;
                }
                out.array(2);
                out.bulk(command[place]);
                out.set(key_use.names().count());
                key_use.names().for_each(|name| out.simple(name));
            }
        });
        Ok(())
    }
}

/// Writes what COMMAND INFO replies for a command.
fn write_spec(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity.into());
    let words = |text: &'static str| text.split(' ').filter(|word| !word.is_empty());
    out.set(words(spec.flags).count());
    words(spec.flags).for_each(|flag| out.simple(flag));
    for place in <[i8; 3]>::from(spec.keys) {
        out.integer(place.into());
    }
    out.set(spec.categories.names().count());
    spec.categories.names().for_each(|category| out.simple(&format!("@{category}")));
    write_tips(spec, out);
    write_key_specs(spec, out);
    match spec.parts() {
        // A set, as in `addReplyCommandSubCommands`.
        [] => out.set(0),
        parts => out.array(parts.len()),
    }
    spec.parts().iter().for_each(|part| write_spec(part, out));
}

/// Writes what COMMAND DOCS replies for a command or a subcommand: its name, and a map.
fn write_docs(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    let (docs, parts) = (&spec.docs, spec.parts());
    out.bulk(spec.name.as_bytes());
    out.map(4 + usize::from(!docs.syntax.is_empty()) + usize::from(!parts.is_empty()));
    let texts = [
        ("summary", docs.summary),
        ("since", docs.since),
        ("group", docs.group.name()),
        ("complexity", docs.complexity),
    ];
    for (name, text) in texts {
        out.bulk(name.as_bytes());
        out.bulk(text.as_bytes());
    }
    if !docs.syntax.is_empty() {
        out.bulk(b"arguments");
        write_arguments(docs.syntax, out);
    }
    if !parts.is_empty() {
        out.bulk(b"subcommands");
        out.map(parts.len());
        for part in parts {
            write_docs(part, out);
        }
    }
}
