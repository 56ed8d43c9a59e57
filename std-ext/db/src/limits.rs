//! Limits: the memory that one client can use, the server's waits for clients, and the settings that each port honours.
//! The tables of the [page about them](crate::docs::limits) are made here.
//!
//! Every buffer that a client can grow, and every wait that a client can cause, has a row here.

use crate::resp::parse::{LONGEST_ARGUMENT, LONGEST_LINE, Limits, MOST_ARGUMENTS};
use std::fmt::{self, Display, Write};

/// While more bytes of entries than this wait for the log, the server reads from no client, and gRPC executes no call.
/// Then the clients' sockets fill up, and not this process's memory.
pub(crate) const LOG_BACKLOG: usize = 8 << 20;
/// Beyond this many bytes of unread replies, the server reads more commands only if the client takes none of the
/// replies: it may write all of a pipeline before it reads. A client that reads slowly is throttled, and costs no more
/// than this.
pub(crate) const OUTPUT_PAUSE: usize = 512 << 10;
/// The same for an unauthenticated client, which is always throttled until it reads.
pub(crate) const UNAUTHENTICATED_OUTPUT_PAUSE: usize = 64 << 10;
/// The longest name of a connection or a library, in bytes: names are stored for as long as the connection lives.
pub(crate) const LONGEST_NAME: usize = 1024;
/// Log entries that may wait for a watcher.
pub(crate) const WATCH_QUEUE: usize = 1 << 14;
/// Bytes of log entries that may wait for a watcher, not counting the last.
pub(crate) const WATCH_QUEUE_BYTES: usize = 64 << 20;
/// Concurrent connections of the metrics port.
pub(crate) const HTTP_CONNECTIONS: usize = 128;
/// Bytes of a request's head on the metrics port. A body is not read.
pub(crate) const HTTP_HEAD: usize = 8 << 10;
/// How long a connection of the metrics port may last until its answer is sent.
#[cfg(feature = "metrics")]
pub(crate) const HTTP_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// Bytes of one message of a gRPC request.
pub(crate) const GRPC_MESSAGE: usize = 64 << 20;
/// Parts (operations, keys) of one message: an empty part takes two bytes on the wire, but a hundred in memory.
pub(crate) const GRPC_PARTS: usize = 1 << 16;
/// Concurrent calls of a gRPC connection.
pub(crate) const GRPC_CALLS: u32 = 128;
/// The next batch of a gRPC stream is executed when fewer bytes than this of earlier responses are in memory.
pub(crate) const GRPC_PAUSE: usize = 1 << 20;
/// Bytes of a message of a gRPC scan, not counting the last value.
pub(crate) const GRPC_SCAN: usize = 1 << 20;
/// Bytes of values that may wait for a gRPC watcher, not counting the last.
pub(crate) const GRPC_WATCH_BYTES: usize = 4 << 20;
/// Concurrent gRPC watches: each has a thread.
pub(crate) const GRPC_WATCHES: usize = 256;

/// Concurrent connections while the data is being loaded.
pub(crate) const LOADING_CONNECTIONS: usize = 4096;
/// Bytes that each of them may have waiting in either direction: a longer request is not read to its end.
pub(crate) const LOADING_BYTES: usize = 64 << 10;
/// Bytes discarded after a connection's last reply.
pub(crate) const LOADING_LAST: usize = 64 << 20;
/// Bytes of the keys and values of one multi-key operation: a single log entry holds all of them.
pub(crate) const MAX_MULTI_KEY_BYTES: usize = 2 << 30;
/// Bytes of values that the commands of one transaction or script copy or compute, or `maxmemory` if that is between
/// the two: all of them are in one log entry, and a few short commands make gigabytes of copies.
pub(crate) const LEAST_PRODUCED_BYTES: usize = 64 << 20;
pub(crate) const MAX_PRODUCED_BYTES: usize = 512 << 20;
/// Bytes of a script, and of all scripts that are kept for EVALSHA.
pub(crate) const SCRIPT_BYTES: usize = 1 << 20;
pub(crate) const SCRIPT_CACHE_BYTES: usize = 32 << 20;
/// Bytes that the interpreter of a script takes at most.
pub(crate) const SCRIPT_MEMORY: usize = 64 << 20;
/// Bytes of the messages that a script, or a transaction with scripts, has sent: they wait for its end.
pub(crate) const SCRIPT_MESSAGES: usize = 64 << 20;
/// Bytes of the commands that a connection has queued in a transaction.
pub(crate) const TRANSACTION_BYTES: usize = 64 << 20;
/// Bytes of memory that the keys take which one connection watches.
pub(crate) const WATCHED_BYTES: usize = 1 << 20;

/// Bytes of memory that the subscriptions of one connection take.
pub(crate) const SUBSCRIPTION_BYTES: usize = 64 << 20;

/// Bytes of memory that the keys take which tracking clients have read.
pub(crate) const TRACKING_BYTES: usize = 256 << 20;
/// Prefixes of one client in broadcasting mode.
pub(crate) const TRACKING_PREFIXES: usize = 1024;
/// Bytes of all these prefixes.
pub(crate) const TRACKING_PREFIX_BYTES: usize = 1 << 20;

/// Bytes of messages about changed keys that others redirect to a client which has not asked for them.
pub(crate) const REDIRECTED_BYTES: usize = 1 << 20;

/// The size of a limit.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Bytes(usize),
    Number(usize),
    /// The value of a setting.
    Setting,
}

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            Self::Bytes(bytes) if bytes >= 1 << 10 => write!(f, "{} KiB", bytes >> 10),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Number(number) => number.fmt(f),
            Self::Setting => f.write_str("the setting"),
        }
    }
}

/// A buffer that one client can grow.
struct Buffer {
    what: &'static str,
    limit: Limit,
    /// The setting that changes the limit, if there is one.
    setting: &'static str,
    /// The consequence beyond the limit.
    then: &'static str,
}

const fn buffer(
    what: &'static str,
    limit: Limit,
    setting: &'static str,
    then: &'static str,
) -> Buffer {
    Buffer { what, limit, setting, then }
}

const CLOSED: &str = "the client is closed";
const STATUS: &str = "`RESOURCE_EXHAUSTED`";

/// All buffers that one client can grow.
const BUFFERS: &[Buffer] = &[
    buffer("connections", Limit::Setting, "maxclients", "the next one gets an error and is closed"),
    buffer("an incomplete request", Limit::Setting, "client-query-buffer-limit", CLOSED),
    buffer(
        "arguments of a request",
        Limit::Number(MOST_ARGUMENTS.cast_unsigned() as usize),
        "",
        CLOSED,
    ),
    buffer(
        "length of an argument",
        Limit::Bytes(LONGEST_ARGUMENT.cast_unsigned() as usize),
        "",
        CLOSED,
    ),
    buffer("an inline command", Limit::Bytes(LONGEST_LINE), "", CLOSED),
    buffer(
        "arguments of a request before authentication",
        Limit::Number(Limits::UNAUTHENTICATED.arguments()),
        "",
        CLOSED,
    ),
    buffer(
        "length of an argument before authentication",
        Limit::Bytes(Limits::UNAUTHENTICATED.argument()),
        "",
        CLOSED,
    ),
    buffer(
        "replies that a client has not read, and the one being made",
        Limit::Setting,
        "client-output-buffer-limit",
        CLOSED,
    ),
    buffer(
        "the same, while it reads slowly",
        Limit::Bytes(OUTPUT_PAUSE),
        "",
        "no more commands are read",
    ),
    buffer(
        "the same, before authentication",
        Limit::Bytes(UNAUTHENTICATED_OUTPUT_PAUSE),
        "",
        "no more commands are read",
    ),
    buffer(
        "values that a thread keeps while it executes a pipeline",
        Limit::Setting,
        "client-output-buffer-limit",
        "the client is closed",
    ),
    buffer("keys and values of an MSET", Limit::Bytes(MAX_MULTI_KEY_BYTES), "", "an error reply"),
    buffer(
        "commands of a transaction",
        Limit::Bytes(TRANSACTION_BYTES),
        "",
        "an error reply, and `EXECABORT`",
    ),
    buffer(
        "values that the commands of a transaction copy or compute, or that a script stores; \
         `maxmemory` if that is less, but 64 MiB at least",
        Limit::Bytes(MAX_PRODUCED_BYTES),
        "maxmemory",
        "an error reply to the command",
    ),
    buffer(
        "values of up to 16 KiB that a transaction or script changes, each time, with those that a script stores; \
         bounded by `maxmemory` in the same way",
        Limit::Bytes(MAX_MULTI_KEY_BYTES),
        "maxmemory",
        "an error reply to the command",
    ),
    buffer("a script", Limit::Bytes(SCRIPT_BYTES), "", "an error reply"),
    buffer(
        "scripts that are kept for `EVALSHA`, of all clients",
        Limit::Bytes(SCRIPT_CACHE_BYTES),
        "",
        "the oldest of `EVAL` are forgotten, or an error reply to `SCRIPT LOAD`",
    ),
    buffer(
        "memory of the interpreter of a script",
        Limit::Bytes(SCRIPT_MEMORY),
        "",
        "the script fails: `not enough memory`",
    ),
    buffer(
        "messages that a script sends, and all scripts of a transaction",
        Limit::Bytes(SCRIPT_MESSAGES),
        "",
        "an error reply to `PUBLISH`",
    ),
    buffer(
        "keys that a connection watches (`WATCH`), about 128 bytes each and their length twice",
        Limit::Bytes(WATCHED_BYTES),
        "",
        "an error reply, and `EXEC` answers null",
    ),
    buffer(
        "subscriptions of a connection, about 256 bytes each and their length, that of patterns thrice",
        Limit::Bytes(SUBSCRIPTION_BYTES),
        "",
        "an error reply",
    ),
    buffer(
        "keys that are remembered for `CLIENT TRACKING`, of all clients",
        Limit::Setting,
        "tracking-table-max-keys",
        "others are forgotten, and their clients told",
    ),
    buffer(
        "the same, about 128 bytes each and their length",
        Limit::Bytes(TRACKING_BYTES),
        "",
        "others are forgotten, and their clients told",
    ),
    buffer(
        "prefixes of a connection (`CLIENT TRACKING ON BCAST`)",
        Limit::Number(TRACKING_PREFIXES),
        "",
        "an error reply",
    ),
    buffer("bytes of these prefixes", Limit::Bytes(TRACKING_PREFIX_BYTES), "", "an error reply"),
    buffer(
        "messages that `CLIENT TRACKING ON REDIRECT` sends to a client that does not subscribe to \
         `__redis__:invalidate`",
        Limit::Bytes(REDIRECTED_BYTES),
        "",
        "the redirection is broken",
    ),
    buffer(
        "messages that a subscriber has not read",
        Limit::Setting,
        "client-output-buffer-limit",
        CLOSED,
    ),
    buffer(
        "while loading: connections",
        Limit::Number(LOADING_CONNECTIONS),
        "",
        "the next one is closed",
    ),
    buffer("while loading: a request, and replies", Limit::Bytes(LOADING_BYTES), "", CLOSED),
    buffer("while loading: input after the last reply", Limit::Bytes(LOADING_LAST), "", CLOSED),
    buffer(
        "a name (`CLIENT SETNAME`, `SETINFO`)",
        Limit::Bytes(LONGEST_NAME),
        "",
        "an error reply",
    ),
    buffer("gRPC: calls of a connection", Limit::Number(GRPC_CALLS as usize), "", "the next waits"),
    buffer("gRPC: a message of a request", Limit::Bytes(GRPC_MESSAGE), "", "`OUT_OF_RANGE`"),
    buffer("gRPC: parts of a message", Limit::Number(GRPC_PARTS), "", STATUS),
    buffer("gRPC: requests of a connection", Limit::Setting, "client-query-buffer-limit", STATUS),
    buffer("gRPC: responses of a connection", Limit::Setting, "client-output-buffer-limit", STATUS),
    buffer(
        "gRPC: unread responses of a `Pipeline`",
        Limit::Bytes(GRPC_PAUSE),
        "",
        "the next batch waits",
    ),
    buffer(
        "gRPC: a message of a `Scan`, except for its last value",
        Limit::Bytes(GRPC_SCAN),
        "",
        "the next message",
    ),
    buffer(
        "gRPC: values waiting for a `Watch`, except for the last",
        Limit::Bytes(GRPC_WATCH_BYTES),
        "",
        "the next waits",
    ),
    buffer("gRPC: watches of all clients", Limit::Number(GRPC_WATCHES), "", STATUS),
    buffer("changes waiting for a watcher", Limit::Number(WATCH_QUEUE), "", "the watch ends"),
    buffer("bytes of these changes", Limit::Bytes(WATCH_QUEUE_BYTES), "", "the watch ends"),
    buffer("HTTP: connections", Limit::Number(HTTP_CONNECTIONS), "", "the oldest is closed"),
    buffer("HTTP: the head of a request", Limit::Bytes(HTTP_HEAD), "", "status 431"),
];

/// The events that the server waits for, and how long at most.
const WAITS: &[(&str, &str)] = &[
    ("a command, or the rest of one; a TLS handshake", "`timeout`; without it, no limit"),
    ("a client that reads its replies", "`timeout`; without it, no limit of time"),
    ("a closing client that reads none of its last replies", "`timeout`, or a minute"),
    ("input from a client after its connection was closed", "a second; a tenth at shutdown"),
    ("shutdown: clients that read their last replies", "`shutdown-timeout`"),
    (
        "shutdown: calls over gRPC",
        "`shutdown-timeout`, and two seconds more for the operation that is executed then",
    ),
    (
        "replies that wait for the log",
        "as long as the disk takes; they are withdrawn if writing fails",
    ),
    (
        "requests, while 8 MiB of changes wait for the log, or a node hands its group over",
        "as long as the log takes; 2 seconds for a hand-over",
    ),
    (
        "a gRPC connection without a call, or whose calls wait for the rest of their requests",
        "`timeout`; without it, no limit",
    ),
    ("a gRPC `Watch` without changes", "no limit: the client has nothing to send"),
    ("a request over HTTP and its answer", "5 seconds"),
    (
        "clients of a thread that executes a script, and changes of the shards of its keys",
        "`script-time-limit` of processor time, and at most some seconds more",
    ),
    ("clients of a thread that executes `SAVE`, `KEYS` or `FLUSHALL`", "until it is done"),
];

/// The ports, in the order of the columns of [`PORT_SETTINGS`].
const PORTS: [&str; 5] = ["`port`", "`tls-port`", "`unixsocket`", "`grpc-port`", "`metrics-port`"];

/// How each port honours each setting about clients.
const PORT_SETTINGS: &[(&str, [&str; 5])] = &[
    ("bind", ["yes", "yes", "-", "the first address", "`metrics-bind` instead"]),
    (
        "requirepass",
        ["yes", "yes", "yes", "each call except health and reflection", "requires none"],
    ),
    ("aclfile", ["yes", "yes", "yes", "`default` must have all rights", "no"]),
    ("acllog-max-len", ["yes", "yes", "yes", "yes", "-"]),
    ("acl-pubsub-default", ["yes", "yes", "yes", "-", "-"]),
    ("protected-mode", ["yes", "yes", "-", "yes", "no"]),
    ("maxclients", ["yes", "yes", "yes", "yes, each connection", "128 of its own"]),
    ("timeout", ["yes", "yes", "yes", "yes, except watches", "5 seconds"]),
    ("tcp-keepalive", ["yes", "yes", "-", "yes", "no"]),
    ("client-output-buffer-limit", ["yes", "yes", "yes", "the first number", "no"]),
    ("client-query-buffer-limit", ["yes", "yes", "yes", "yes", "no"]),
    ("shutdown-timeout", ["yes", "yes", "yes", "yes", "stops at once"]),
    ("tls-auth-clients", ["-", "yes", "-", "requires none", "-"]),
];

/// Returns the tables of the page, in Markdown.
pub fn page() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |line: fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("# Limits of one client\n"));
    line(format_args!("| resource | limit | setting | beyond it |\n|---|---|---|---|"));
    for Buffer { what, limit, setting, then } in BUFFERS {
        let setting = if setting.is_empty() { String::new() } else { format!("`{setting}`") };
        line(format_args!("| {what} | {limit} | {setting} | {then} |"));
    }
    line(format_args!("\n# How long the server waits\n"));
    line(format_args!("| event | how long |\n|---|---|"));
    for (what, long) in WAITS {
        line(format_args!("| {what} | {long} |"));
    }
    line(format_args!("\n# Settings that each port honours\n"));
    line(format_args!("| setting | {} |\n|---|---|---|---|---|---|", PORTS.join(" | ")));
    for (setting, ports) in PORT_SETTINGS {
        line(format_args!("| `{setting}` | {} |", ports.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table;

    /// The committed page must contain these tables.
    #[test]
    fn the_page_lists_every_limit() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(&page()), "docs/limits.md does not hold:\n{}", page());
    }

    /// The committed page must count the failing tests of redis-py by reason, as listed in the file that
    /// `tests/clients/redis_py_suite.py` compares with.
    #[test]
    fn the_page_counts_failing_redis_py_tests() {
        assert_counted("redis_py_suite", "functions");
        assert_counted("redis_py_suite_cluster", "functions");
    }

    /// The same for Redis's own tests.
    #[test]
    fn the_page_counts_failing_tests_of_redis() {
        assert_counted("redis_tcl_suite", "tests");
    }

    fn assert_counted(suite: &str, unit: &str) {
        let read = |file: &str| {
            std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let list = read(&format!("tests/clients/{suite}.txt"));
        let mut table = format!("| why they fail | {unit} |\n|---|---|\n");
        let mut names = Vec::new();
        for group in list.split("\n# ").skip(1) {
            let mut lines = group.lines().filter(|line| !line.is_empty());
            let reason = lines.next().unwrap();
            let before = names.len();
            names.extend(lines);
            let _ = writeln!(table, "| {reason} | {} |", names.len() - before);
        }
        let page = read("docs/limits.md");
        assert!(page.contains(&table), "docs/limits.md does not count the failing tests:\n{table}");
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a test is listed twice");
    }

    #[test]
    fn client_settings_are_in_the_tables() {
        let listed = |name: &str| PORT_SETTINGS.iter().any(|(setting, _)| *setting == name);
        let group = table::GROUPS.iter().find(|group| group.name == "Clients").unwrap();
        for setting in group.settings {
            assert!(listed(setting.name), "no row says which ports honour {}", setting.name);
        }
        for setting in BUFFERS.iter().map(|buffer| buffer.setting).filter(|name| !name.is_empty()) {
            assert!(table::find(setting).is_some(), "unknown setting {setting}");
        }
    }
}
