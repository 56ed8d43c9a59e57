//! COMMAND: information about the commands.

use crate::command::acl::key_use::{has_keys, keys};
use crate::command::arguments::{CommandError, SYNTAX, is, subcommand};
use crate::command::docs::{DOCS, Docs, complexity};
use crate::command::execute::Execution;
use crate::command::key_specs::{write_key_specs, write_tips};
use crate::command::subcommand_docs::SUBCOMMAND_DOCS;
use crate::command::subcommands;
use crate::command::syntax::write_arguments;
use crate::command::table::{self, COMMANDS, CommandSpec, Id, NONE};
use crate::glob::Glob;
use crate::resp::write::RespWriter;

#[derive(Clone, Copy)]
enum Subcommand {
    Count,
    List,
    Info,
    Docs,
    GetKeys,
    GetKeysAndFlags,
    Help,
}

const SUBCOMMANDS: [(&str, i8, Subcommand); 7] = [
    ("count", 2, Subcommand::Count),
    ("list", -2, Subcommand::List),
    ("info", -2, Subcommand::Info),
    ("docs", -2, Subcommand::Docs),
    ("getkeys", -4, Subcommand::GetKeys),
    ("getkeysandflags", -4, Subcommand::GetKeysAndFlags),
    ("help", 2, Subcommand::Help),
];

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

impl<'a> Execution<'_, 'a> {
    /// COMMAND.
    pub(super) fn command(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        if arguments.len() == 1 {
            self.infos(&[]);
            return Ok(());
        }
        match subcommand("command", &SUBCOMMANDS, arguments)? {
            Subcommand::Count => self.reply(|out| out.integer(COMMANDS.len().cast_signed() as i64)),
            Subcommand::List => self.names(&arguments[2..])?,
            Subcommand::Info => self.infos(&arguments[2..]),
            Subcommand::Docs => self.docs(&arguments[2..]),
            Subcommand::GetKeys => self.getkeys(&arguments[2..], false)?,
            Subcommand::GetKeysAndFlags => self.getkeys(&arguments[2..], true)?,
            Subcommand::Help => self.help(&HELP),
        }
        Ok(())
    }

    /// COMMAND INFO; without names, for all commands.
    fn infos(&mut self, names: &[&[u8]]) {
        let most = self.max_out;
        self.reply(|out| {
            if names.is_empty() {
                out.array(COMMANDS.len());
                for spec in &COMMANDS {
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
                match subcommands::find_spec(name) {
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
                    &|spec| spec.categories.split(' ').any(|category| is(what, category))
                }
                how if is(how, "pattern") => {
                    pattern = Glob::folded(what, LONGEST_NAME);
                    &|spec| pattern.matches(spec.name.as_bytes())
                }
                _ => return Err(SYNTAX),
            },
            _ => return Err(SYNTAX),
        };
        let all =
            || COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(subcommands::of(spec)));
        let wanted = || all().filter(|spec| is_wanted(spec));
        self.reply(|out| {
            out.array(wanted().count());
            wanted().for_each(|spec| out.bulk(spec.name.as_bytes()));
        });
        Ok(())
    }

    /// COMMAND DOCS; without names, for all commands. Unknown names are left out, as in Redis.
    fn docs(&mut self, names: &[&[u8]]) {
        let found: Vec<&CommandSpec> = match names {
            [] => COMMANDS.iter().collect(),
            names => names.iter().filter_map(|name| subcommands::find_spec(name)).collect(),
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
        if spec.is_some_and(|spec| subcommands::of(spec).next().is_some()) {
            spec = subcommands::find(command[0], command[1]);
        }
        let spec = spec.ok_or("ERR Invalid command specified")?;
        if !has_keys(spec) {
            return Err("ERR The command has no key arguments".into());
        }
        if !spec.takes(command.len()) {
            return Err("ERR Invalid number of arguments specified for command".into());
        }
        let keys = keys(spec, command);
        // As `CMD_NO_MANDATORY_KEYS`: a number of keys may be 0.
        if !spec.counts_keys() && keys.clone().next().is_none() {
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
    // Redis shows no places if an argument tells the number of keys.
    let places = if spec.id == Id::MSetEx { NONE } else { spec.keys };
    for place in <[i8; 3]>::from(places) {
        out.integer(place.into());
    }
    out.set(words(spec.categories).count());
    words(spec.categories).for_each(|category| out.simple(&format!("@{category}")));
    write_tips(spec, out);
    write_key_specs(spec, out);
    let is_subcommand = spec.name.contains('|');
    let parts = || subcommands::of(spec).filter(|_| !is_subcommand);
    out.array(parts().count());
    parts().for_each(|part| write_spec(part, out));
}

/// Returns the documentation of a command or a subcommand.
fn find_docs(name: &str) -> Option<&'static Docs> {
    DOCS.iter().chain(&SUBCOMMAND_DOCS).find(|docs| docs.name == name)
}

/// Writes what COMMAND DOCS replies for a command or a subcommand: its name, and a map.
fn write_docs(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    let command = spec.name.split_once('|').map(|(command, _)| command);
    // Tests compare the tables.
    let Some(docs) = find_docs(spec.name) else { return };
    let group = command.and_then(find_docs).unwrap_or(docs).group;
    let parts = || subcommands::of(spec).filter(|_| command.is_none());
    let has_parts = parts().next().is_some();
    out.bulk(spec.name.as_bytes());
    out.map(4 + usize::from(!docs.syntax.is_empty()) + usize::from(has_parts));
    let texts = [
        ("summary", docs.summary),
        ("since", docs.since),
        ("group", group),
        ("complexity", complexity(spec.name, has_parts)),
    ];
    for (name, text) in texts {
        out.bulk(name.as_bytes());
        out.bulk(text.as_bytes());
    }
    if !docs.syntax.is_empty() {
        out.bulk(b"arguments");
        write_arguments(docs.syntax, out);
    }
    if has_parts {
        out.bulk(b"subcommands");
        out.map(parts().count());
        parts().for_each(|part| write_docs(part, out));
    }
}
