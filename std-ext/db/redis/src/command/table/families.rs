//! The commands of all families, in one array: first the commands, then their subcommands. A place in it is the number
//! by which a command is counted, compared and allowed.
//!
//! The families stand above this file, because their functions look commands up. Only the compiler reads their rows
//! here.

use super::{CommandSpec, Id};

/// Calls a macro with the modules of the families, in the order of `COMMAND`. Those whose commands are most frequent
/// come first.
macro_rules! with_families {
    ($then:ident) => {
        $then! {
            strings hashes hash_times lists blocking sets set_combinations sorted_sets sorted_set_combinations geo
            streams stream_reads stream_groups keyspace
            expiration bits hyperloglog sort databases dump migrate object client acl transaction pubsub scripting
            server command_info config info memory slowlog latency monitor debug module replication cluster
        }
    };
}
pub(crate) use with_families;

/// Defines what counts and numbers the rows.
macro_rules! number {
    ($($family:ident)*) => {
        /// Returns the number of commands, and that of commands and subcommands.
        const fn count() -> (usize, usize) {
            let (mut commands, mut all) = (0, 0);
            $(
                let (rows, mut row) = ($crate::command::$family::COMMANDS, 0);
                while row < rows.len() {
                    all += 1 + rows[row].parts.len();
                    row += 1;
                }
                commands += rows.len();
            )*
            (commands, all)
        }

        #[allow(clippy::large_stack_arrays, reason = "only the compiler calls it")]
        const fn numbered() -> [CommandSpec; NUMBERS] {
            let mut all = [$crate::command::strings::COMMANDS[0].spec; NUMBERS];
            let (mut number, mut next) = (0, COUNT);
            $(
                let (rows, mut row) = ($crate::command::$family::COMMANDS, 0);
                while row < rows.len() {
                    let (mut command, parts) = (rows[row].spec, rows[row].parts);
                    command.id = Id(number as u16);
                    command.parts = ((next - COUNT) as u16, parts.len() as u16);
                    all[number] = command;
                    let mut part = 0;
                    while part < parts.len() {
                        all[next] = parts[part].spec.part_of(&command, next);
                        next += 1;
                        part += 1;
                    }
                    number += 1;
                    row += 1;
                }
            )*
            all
        }
    };
}
with_families!(number);

impl CommandSpec {
    /// Returns the subcommand with the properties that it shares with its command.
    const fn part_of(self, command: &Self, number: usize) -> Self {
        let mut part = self.with_group(command.docs.group);
        part.id = Id(number as u16);
        part.is_dataless = command.is_dataless && !self.shows_data;
        part.is_brief = command.is_brief;
        part
    }
}

const COUNT: usize = count().0;
/// The number of commands and subcommands.
pub(crate) const NUMBERS: usize = count().1;

static ALL: [CommandSpec; NUMBERS] = numbered();
/// All commands.
pub(crate) static COMMANDS: &[CommandSpec] = ALL.split_at(COUNT).0;
/// All subcommands. Those of one command stand together.
pub(crate) static SUBCOMMANDS: &[CommandSpec] = ALL.split_at(COUNT).1;

/// Returns the command or subcommand of a number.
pub(crate) fn by_number(number: usize) -> &'static CommandSpec {
    &ALL[number]
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Returns the number of the command with this name. Evaluated by the compiler, which refuses other names.
const fn number_of(name: &str) -> Id {
    let mut number = 0;
    while number < COUNT {
        if is_same(ALL[number].name.as_bytes(), name.as_bytes()) {
            return ALL[number].id;
        }
        number += 1;
    }
    panic!("no command has this name");
}

/// Names the numbers of the commands that other parts of the server treat in a way of their own.
macro_rules! ids {
    ($($id:ident $name:literal),* $(,)?) => {
        impl Id {
            $(
                #[cfg_attr(not(all(feature = "cli", feature = "scripts")), allow(dead_code))]
                pub(crate) const $id: Self = number_of($name);
            )*
        }
    };
}

ids! {
    AUTH "auth", CLIENT "client", CLUSTER "cluster", COPY "copy", DBSIZE "dbsize", DISCARD "discard", ECHO "echo",
    EVAL "eval", EVAL_RO "eval_ro", EVALSHA "evalsha", EVALSHA_RO "evalsha_ro", EXEC "exec", FLUSHALL "flushall",
    FLUSHDB "flushdb", GET "get", HELLO "hello", KEYS "keys", MEMORY "memory", MIGRATE "migrate", MONITOR "monitor",
    MOVE "move", MULTI "multi", OBJECT "object", PFCOUNT "pfcount", PING "ping", PSUBSCRIBE "psubscribe",
    PUBLISH "publish", PUNSUBSCRIBE "punsubscribe", QUIT "quit", RANDOMKEY "randomkey", RESET "reset",
    RESTORE "restore", SCAN "scan", SCRIPT "script", SELECT "select", SET "set", SHUTDOWN "shutdown",
    SORT "sort", SORT_RO "sort_ro", SPUBLISH "spublish", SSUBSCRIBE "ssubscribe", SUBSCRIBE "subscribe",
    SUNSUBSCRIBE "sunsubscribe", SWAPDB "swapdb", TIME "time", UNSUBSCRIBE "unsubscribe", WATCH "watch",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete() {
        for spec in &ALL {
            let docs = &spec.docs;
            assert!(
                !docs.since.is_empty() && docs.summary.ends_with('.'),
                "{} has no docs",
                spec.name
            );
            assert_eq!(by_number(spec.id.number().into()).name, spec.name);
            for part in spec.parts() {
                let (command, _) = part.name.split_once('|').unwrap();
                assert_eq!(command, spec.name);
            }
        }
        assert_eq!(
            COMMANDS.len() + COMMANDS.iter().map(|spec| spec.parts().len()).sum::<usize>(),
            NUMBERS
        );
    }

    #[test]
    fn flags_are_those_of_the_texts() {
        use crate::command::table::Flag;
        for (flag, name) in Flag::ALL {
            for spec in COMMANDS {
                let shown = spec.flags.split(' ').any(|shown| shown == name);
                assert_eq!(spec.has_flag(flag), shown, "{name} of {}", spec.name);
            }
            assert!(ALL.iter().any(|spec| spec.has_flag(flag)), "no command has {name}");
        }
    }
}
