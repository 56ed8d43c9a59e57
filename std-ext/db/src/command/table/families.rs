//! The rows of all families, in one array: first the commands, then their subcommands. A place in it is the number by
//! which a command is counted, compared and allowed.

use super::CommandSpec;
use crate::command::{
    acl, bits, client, cluster, command_info, config, databases, debug, dump, expiration,
    hyperloglog, info, keyspace, latency, memory, migrate, module, monitor, object, pubsub,
    replication, scripting, server, slowlog, sort, strings, transaction,
};

/// The rows of the families, in the order of `COMMAND`. Those that a server executes most often come first.
const FAMILIES: [&[CommandSpec]; 27] = [
    strings::COMMANDS,
    keyspace::COMMANDS,
    expiration::COMMANDS,
    bits::COMMANDS,
    hyperloglog::COMMANDS,
    sort::COMMANDS,
    databases::COMMANDS,
    dump::COMMANDS,
    migrate::COMMANDS,
    object::COMMANDS,
    client::COMMANDS,
    acl::COMMANDS,
    transaction::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    server::COMMANDS,
    command_info::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    memory::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    monitor::COMMANDS,
    debug::COMMANDS,
    module::COMMANDS,
    replication::COMMANDS,
    cluster::COMMANDS,
];

const COUNT: usize = count().0;
/// The number of commands and subcommands.
pub(crate) const NUMBERS: usize = count().1;

static ALL: [CommandSpec; NUMBERS] = numbered();
/// All commands.
pub(crate) static COMMANDS: &[CommandSpec] = ALL.split_at(COUNT).0;
/// All subcommands. Those of one command stand together.
pub(crate) static SUBCOMMANDS: &[CommandSpec] = ALL.split_at(COUNT).1;

/// Returns the number of commands, and that of commands and subcommands.
const fn count() -> (usize, usize) {
    let (mut commands, mut parts, mut family) = (0, 0, 0);
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            parts += FAMILIES[family][row].rows.len();
            row += 1;
        }
        commands += row;
        family += 1;
    }
    (commands, commands + parts)
}

#[allow(clippy::large_stack_arrays, reason = "only the compiler calls it")]
const fn numbered() -> [CommandSpec; NUMBERS] {
    let mut all = [FAMILIES[0][0]; NUMBERS];
    let (mut number, mut next, mut family) = (0, COUNT, 0);
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            let mut command = FAMILIES[family][row];
            command.id = Id(number as u16);
            command.parts = ((next - COUNT) as u16, command.rows.len() as u16);
            all[number] = command;
            let mut part = 0;
            while part < command.rows.len() {
                let mut spec = command.rows[part].with_group(command.docs.group);
                spec.id = Id(next as u16);
                spec.is_dataless = command.is_dataless && !spec.shows_data;
                spec.is_brief = command.is_brief;
                all[next] = spec;
                next += 1;
                part += 1;
            }
            number += 1;
            row += 1;
        }
        family += 1;
    }
    all
}

/// Returns the command or subcommand of a number.
pub(crate) fn by_number(number: usize) -> &'static CommandSpec {
    &ALL[number]
}

/// The number of a command or subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u16);

impl Id {
    pub(super) const UNKNOWN: Self = Self(u16::MAX);

    pub(crate) const fn number(self) -> u16 {
        self.0
    }

    /// Returns the number of the command with this name. Evaluated by the compiler, which refuses other names.
    const fn of(name: &str) -> Self {
        let (mut number, mut family) = (0, 0);
        while family < FAMILIES.len() {
            let mut row = 0;
            while row < FAMILIES[family].len() {
                if is_same(FAMILIES[family][row].name.as_bytes(), name.as_bytes()) {
                    return Self(number);
                }
                number += 1;
                row += 1;
            }
            family += 1;
        }
        panic!("no command has this name");
    }
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Names the numbers of the commands that other parts of the server treat in a way of their own.
macro_rules! ids {
    ($($id:ident $name:literal),* $(,)?) => {
        impl Id {
            $(
                #[cfg_attr(not(all(feature = "cli", feature = "scripts")), allow(dead_code))]
                pub(crate) const $id: Self = Self::of($name);
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
    SPUBLISH "spublish", SSUBSCRIBE "ssubscribe", SUBSCRIBE "subscribe", SUNSUBSCRIBE "sunsubscribe",
    SWAPDB "swapdb", TIME "time", UNSUBSCRIBE "unsubscribe", WATCH "watch",
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
