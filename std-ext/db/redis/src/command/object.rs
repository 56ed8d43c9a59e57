//! OBJECT.

use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{RO, key};
use hedgerow_db_engine::request::Query;

const HELP: [&str; 13] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("object", -2, OBJECT)
    .since("2.2.3", Group::Generic)
    .summary("A container for object introspection commands.")
    .brief()];

const OBJECT: &[Row<Run>] = &[
    command("object|encoding", 3, "readonly", |e, a| {
        e.read(a[2], Query::Encoding, ReplyKind::Value)
    })
    .keys(&[key(2, RO)])
    .since("2.2.3", Group::Generic)
    .syntax("key#0")
    .summary("Returns the encoding of a value.")
    .tips("nondeterministic_output"),
    command("object|idletime", 3, "readonly", |e, a| {
        e.read(a[2], Query::IdleTime, ReplyKind::IntegerOrNull)
    })
    .keys(&[key(2, RO)])
    .since("2.2.3", Group::Generic)
    .syntax("key#0")
    .summary("Returns the seconds since the last access to a key.")
    .tips("nondeterministic_output"),
    command("object|freq", 3, "readonly", |e, a| {
        e.read(a[2], Query::Frequency, ReplyKind::IntegerOrNull)
    })
    .keys(&[key(2, RO)])
    .since("4.0.0", Group::Generic)
    .syntax("key#0")
    .summary("Returns the logarithmic count of the accesses to a key.")
    .tips("nondeterministic_output"),
    command("object|refcount", 3, "readonly", |e, a| {
        // Unlike `Query::Exists`, it reports no miss.
        e.read(a[2], Query::Encoding, ReplyKind::Shared)
    })
    .keys(&[key(2, RO)])
    .since("2.2.3", Group::Generic)
    .syntax("key#0")
    .summary("Returns the number of references to a value.")
    .tips("nondeterministic_output"),
    command("object|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("6.2.0", Group::Generic)
        .summary("Lists the subcommands."),
];
