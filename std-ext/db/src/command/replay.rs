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
        // Before Redis 5, primaries send a script instead of its changes.
        Id::Eval | Id::EvalSha => Replay::Unknown,
        Id::SPublish => Replay::Ignore,
        Id::FlushAll => Replay::ExecuteAlways(spec.name),
        _ if spec.has_flag(Flag::Write) => Replay::Execute(spec.name),
        _ if spec.keys.0 == 0 => Replay::Ignore,
        _ => Replay::Unknown,
    }
}
