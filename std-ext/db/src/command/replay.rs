//! The commands of an append-only file of Redis.

use crate::command::flags::Flag;
use crate::command::table::{self, Id};

/// How a command of an append-only file is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
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
    /// This program does not have it.
    Unknown,
}

/// Returns how a command is handled, if one database is imported or all.
pub(crate) fn replay(arguments: &[&[u8]], all_databases: bool) -> Replay {
    let name = arguments.first().copied().unwrap_or_default();
    if name.eq_ignore_ascii_case(b"replconf") {
        return Replay::SendOffset;
    }
    let Some(spec) = table::find(name).filter(|spec| spec.takes(arguments.len())) else {
        return Replay::Unknown;
    };
    match spec.id {
        Id::Select => Replay::Select,
        Id::Multi => Replay::Multi,
        Id::Exec => Replay::Exec,
        // If only one database is imported, another one cannot give its keys.
        Id::SwapDb | Id::Move if !all_databases => Replay::Unknown,
        Id::Copy if arguments.len() > 4 && !all_databases => Replay::Unknown,
        // Before Redis 5, primaries send a script instead of its changes. Redis never writes MIGRATE, but the deletion:
        // executed, it would send keys to a server that the file names.
        Id::Eval | Id::EvalSha | Id::Migrate => Replay::Unknown,
        Id::SPublish => Replay::Ignore,
        Id::FlushAll => Replay::ExecuteAlways(spec.name),
        _ if spec.has_flag(Flag::Write) => Replay::Execute(spec.name),
        _ if spec.keys.0 == 0 => Replay::Ignore,
        _ => Replay::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_of_a_file_sends_its_keys_elsewhere() {
        let migrate: [&[u8]; 6] = [b"MIGRATE", b"203.0.113.1", b"6379", b"key", b"0", b"1000"];
        assert!(matches!(replay(&migrate, true), Replay::Unknown), "a file's MIGRATE is executed");
        let set: [&[u8]; 3] = [b"SET", b"key", b"value"];
        assert!(matches!(replay(&set, true), Replay::Execute("set")));
    }
}
