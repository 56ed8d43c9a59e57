//! The commands of an append-only file of Redis.

use crate::command::arguments::is;
use crate::command::table::{self, Flag, Id};

/// How a command of an append-only file is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It is executed, if its database is imported.
    Execute(&'static str),
    /// It is executed in any database.
    ExecuteAlways(&'static str),
    /// It selects a database.
    Select,
    /// It begins a transaction.
    Multi,
    /// It ends a transaction.
    Exec,
    /// A primary asks its replica for the offset.
    SendOffset,
    /// It changes no key.
    Ignore,
    /// It loads a library of functions, which is left out.
    Library,
    /// It cannot be executed.
    Refused(Refusal),
}

/// Why a command of an append-only file is not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// This program does not have it.
    Unknown,
    /// It is a script, whose effects depend on the server that wrote the file.
    Script,
    /// It takes keys from a database or gives them to one, and only one database is imported.
    OtherDatabase,
    /// Redis writes no such command to the file: it changes nothing, or has a wrong number of arguments.
    Unexpected,
}

/// Returns how a command is handled, if one database is imported or all.
pub fn replay(arguments: &[&[u8]], all_databases: bool) -> Replay {
    let name = arguments.first().copied().unwrap_or_default();
    if is(name, "replconf") {
        return Replay::SendOffset;
    }
    if is(name, "function") {
        let loads = |part: &&[u8]| is(part, "load") || is(part, "restore");
        return if arguments.get(1).is_some_and(loads) { Replay::Library } else { Replay::Ignore };
    }
    let Some(spec) = table::find(name) else {
        return Replay::Refused(Refusal::Unknown);
    };
    if !spec.takes(arguments.len()) {
        return Replay::Refused(Refusal::Unexpected);
    }
    match spec.id {
        Id::SELECT => Replay::Select,
        Id::MULTI => Replay::Multi,
        Id::EXEC => Replay::Exec,
        // If only one database is imported, another one cannot give its keys.
        Id::SWAPDB | Id::MOVE if !all_databases => Replay::Refused(Refusal::OtherDatabase),
        Id::COPY if arguments.len() > 4 && !all_databases => {
            Replay::Refused(Refusal::OtherDatabase)
        }
        // Before Redis 5, a script is logged and sent instead of its changes. It may call what scripts cannot call
        // here: executed, it could silently have other effects.
        Id::EVAL | Id::EVALSHA => Replay::Refused(Refusal::Script),
        // Redis never writes MIGRATE, but the deletion: executed, it would send keys to a server that the file names.
        Id::MIGRATE => Replay::Refused(Refusal::Unexpected),
        // Redis logs PFCOUNT because it may store the number in the value. This program does not.
        Id::SPUBLISH | Id::PFCOUNT => Replay::Ignore,
        Id::FLUSHALL => Replay::ExecuteAlways(spec.name),
        _ if spec.has_flag(Flag::Write) => Replay::Execute(spec.name),
        _ if spec.key_specs.is_empty() => Replay::Ignore,
        _ => Replay::Refused(Refusal::Unexpected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_of_a_file_sends_its_keys_elsewhere() {
        let migrate: [&[u8]; 6] = [b"MIGRATE", b"203.0.113.1", b"6379", b"key", b"0", b"1000"];
        let refused = Replay::Refused(Refusal::Unexpected);
        assert_eq!(replay(&migrate, true), refused, "a file's MIGRATE is executed");
        let set: [&[u8]; 3] = [b"SET", b"key", b"value"];
        assert!(matches!(replay(&set, true), Replay::Execute("set")));
    }
}
