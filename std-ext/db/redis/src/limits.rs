//! Limits: the memory that one client can use, the server's waits for clients, and the settings that each port honours.
//! The tables of the page about them are made here.
//!
//! Every buffer that a client can grow, and every wait that a client can cause, has a row here.

use hedgerow_db_engine::bounds::{
    LEAST_PRODUCED_BYTES, MAX_MULTI_KEY_BYTES, MAX_PRODUCED_BYTES, WATCH_QUEUE, WATCH_QUEUE_BYTES,
    WATCHED_BYTES,
};
use hedgerow_db_formats::resp::parse::{LONGEST_ARGUMENT, LONGEST_LINE, Limits, MOST_ARGUMENTS};
use std::fmt::{self, Display, Write};

/// Beyond this many bytes of unread replies, the server reads more commands only if the client takes none of the
/// replies: it may write all of a pipeline before it reads. A client that reads slowly is throttled, and costs no more
/// than this.
pub(crate) const OUTPUT_PAUSE: usize = 512 << 10;
/// The same for an unauthenticated client, which is always throttled until it reads.
pub(crate) const UNAUTHENTICATED_OUTPUT_PAUSE: usize = 64 << 10;
/// The longest name of a connection or a library, in bytes: names are stored for as long as the connection lives.
pub(crate) const LONGEST_NAME: usize = 1024;
/// Concurrent connections of the metrics port.
pub(crate) const HTTP_CONNECTIONS: usize = 128;
/// Bytes of a request's head on the metrics port. A body is not read.
pub(crate) const HTTP_HEAD: usize = 8 << 10;
/// How long a connection of the metrics port may last until its answer is sent.
#[cfg(feature = "metrics")]
pub(crate) const HTTP_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// Bytes of one message of a gRPC request.
pub const GRPC_MESSAGE: usize = 64 << 20;
/// Parts (operations, keys) of one message: an empty part takes two bytes on the wire, but a hundred in memory.
pub const GRPC_PARTS: usize = 1 << 16;
/// Concurrent calls of a gRPC connection.
pub const GRPC_CALLS: u32 = 128;
/// The next batch of a gRPC stream is executed when fewer bytes than this of earlier responses are in memory.
pub const GRPC_PAUSE: usize = 1 << 20;
/// Bytes of a message of a gRPC scan, not counting the last value.
pub const GRPC_SCAN: usize = 1 << 20;
/// Bytes of values that may wait for a gRPC watcher, not counting the last.
pub const GRPC_WATCH_BYTES: usize = 4 << 20;
/// Concurrent gRPC watches: each has a thread.
pub const GRPC_WATCHES: usize = 256;

/// Concurrent connections while the data is being loaded.
pub(crate) const LOADING_CONNECTIONS: usize = 4096;
/// Bytes that each of them may have waiting in either direction: a longer request is not read to its end.
pub(crate) const LOADING_BYTES: usize = 64 << 10;
/// Bytes discarded after a connection's last reply.
pub(crate) const LOADING_LAST: usize = 64 << 20;
/// Bytes of a script, and of all scripts that are kept for EVALSHA.
pub(crate) const SCRIPT_BYTES: usize = 1 << 20;
pub(crate) const SCRIPT_CACHE_BYTES: usize = 32 << 20;
/// Bytes that the interpreter of a script takes at most.
pub(crate) const SCRIPT_MEMORY: usize = 64 << 20;
/// Bytes of the messages that a script, or a transaction with scripts, has sent: they wait for its end.
pub(crate) const SCRIPT_MESSAGES: usize = 64 << 20;
/// Bytes of the commands that a connection has queued in a transaction.
pub(crate) const TRANSACTION_BYTES: usize = 64 << 20;

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
    Setting(&'static str),
    /// `maxmemory`, clamped to these bytes.
    Memory(usize, usize),
}

/// A number of bytes, in its largest binary unit.
struct Size(usize);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 30 => write!(f, "{} GiB", bytes >> 30),
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) => Size(bytes).fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Setting(name) => write!(f, "`{name}`"),
            Self::Memory(least, most) => {
                write!(f, "`maxmemory`, but between {} and {}", Size(least), Size(most))
            }
        }
    }
}

/// A buffer that one client can grow.
struct Buffer {
    what: &'static str,
    limit: Limit,
    /// The consequence beyond the limit.
    then: &'static str,
}

const fn buffer(what: &'static str, limit: Limit, then: &'static str) -> Buffer {
    Buffer { what, limit, then }
}

const CLOSED: &str = "disconnected";
const ERROR: &str = "error";
const PAUSED: &str = "the server stops reading";
const STATUS: &str = "`RESOURCE_EXHAUSTED`";
const OUTPUT: Limit = Limit::Setting("client-output-buffer-limit");
const INPUT: Limit = Limit::Setting("client-query-buffer-limit");

/// All buffers that one client can grow.
const BUFFERS: &[Buffer] = &[
    buffer("connections", Limit::Setting("maxclients"), "new ones refused with an error"),
    buffer("request", INPUT, CLOSED),
    buffer(
        "arguments of a request",
        Limit::Number(MOST_ARGUMENTS.cast_unsigned() as usize),
        CLOSED,
    ),
    buffer("argument", Limit::Bytes(LONGEST_ARGUMENT.cast_unsigned() as usize), CLOSED),
    buffer("inline command", Limit::Bytes(LONGEST_LINE), CLOSED),
    buffer(
        "arguments of a request before authentication",
        Limit::Number(Limits::UNAUTHENTICATED.arguments()),
        CLOSED,
    ),
    buffer(
        "argument before authentication",
        Limit::Bytes(Limits::UNAUTHENTICATED.argument()),
        CLOSED,
    ),
    buffer("unread replies", OUTPUT, CLOSED),
    buffer("unread replies of a client that reads slowly", Limit::Bytes(OUTPUT_PAUSE), PAUSED),
    buffer(
        "unread replies before authentication",
        Limit::Bytes(UNAUTHENTICATED_OUTPUT_PAUSE),
        PAUSED,
    ),
    buffer("values held while a pipeline executes", OUTPUT, CLOSED),
    buffer("unread Pub/Sub messages", OUTPUT, CLOSED),
    buffer("keys and values of one `MSET`", Limit::Bytes(MAX_MULTI_KEY_BYTES), ERROR),
    buffer(
        "queued commands of a transaction",
        Limit::Bytes(TRANSACTION_BYTES),
        "error, then `EXECABORT`",
    ),
    buffer(
        "values that `RESTORE` decompresses in a transaction",
        Limit::Bytes(TRANSACTION_BYTES),
        "`EXECABORT`",
    ),
    buffer(
        "values that a transaction computes or copies, or a script stores",
        Limit::Memory(LEAST_PRODUCED_BYTES, MAX_PRODUCED_BYTES),
        ERROR,
    ),
    buffer(
        "memory for the changes of a transaction or script, replaced values included",
        Limit::Memory(LEAST_PRODUCED_BYTES, MAX_MULTI_KEY_BYTES),
        ERROR,
    ),
    buffer(
        "watched keys (`WATCH`): 128 bytes and twice the length each",
        Limit::Bytes(WATCHED_BYTES),
        "error, and `EXEC` returns null",
    ),
    buffer("script", Limit::Bytes(SCRIPT_BYTES), ERROR),
    buffer(
        "script cache, all clients",
        Limit::Bytes(SCRIPT_CACHE_BYTES),
        "oldest `EVAL` scripts dropped, or `SCRIPT LOAD` fails",
    ),
    buffer(
        "Lua interpreter",
        Limit::Bytes(SCRIPT_MEMORY),
        "the script fails with `not enough memory`",
    ),
    buffer(
        "messages published by a script, or by all scripts of a transaction",
        Limit::Bytes(SCRIPT_MESSAGES),
        ERROR,
    ),
    buffer(
        "subscriptions: 256 bytes and the length each, three times that of a pattern",
        Limit::Bytes(SUBSCRIPTION_BYTES),
        ERROR,
    ),
    buffer(
        "`CLIENT TRACKING`: keys, all clients",
        Limit::Setting("tracking-table-max-keys"),
        "other keys invalidated",
    ),
    buffer(
        "`CLIENT TRACKING`: 128 bytes and the length of each key, all clients",
        Limit::Bytes(TRACKING_BYTES),
        "other keys invalidated",
    ),
    buffer("`CLIENT TRACKING`: prefixes", Limit::Number(TRACKING_PREFIXES), ERROR),
    buffer("`CLIENT TRACKING`: bytes of prefixes", Limit::Bytes(TRACKING_PREFIX_BYTES), ERROR),
    buffer(
        "`CLIENT TRACKING`: messages redirected to a client that is not subscribed to them",
        Limit::Bytes(REDIRECTED_BYTES),
        "redirection broken",
    ),
    buffer("name of a client or library", Limit::Bytes(LONGEST_NAME), ERROR),
    buffer("during loading: connections", Limit::Number(LOADING_CONNECTIONS), "new ones closed"),
    buffer("during loading: request, replies", Limit::Bytes(LOADING_BYTES), CLOSED),
    buffer("during loading: input after the last reply", Limit::Bytes(LOADING_LAST), CLOSED),
    buffer("gRPC: concurrent calls of a connection", Limit::Number(GRPC_CALLS as usize), "wait"),
    buffer("gRPC: request message", Limit::Bytes(GRPC_MESSAGE), "`OUT_OF_RANGE`"),
    buffer("gRPC: parts of a message", Limit::Number(GRPC_PARTS), STATUS),
    buffer("gRPC: requests of a connection", INPUT, STATUS),
    buffer("gRPC: responses of a connection", OUTPUT, STATUS),
    buffer("gRPC: unread `Pipeline` responses", Limit::Bytes(GRPC_PAUSE), "the next batch waits"),
    buffer(
        "gRPC: `Scan` response, without its last value",
        Limit::Bytes(GRPC_SCAN),
        "a new message",
    ),
    buffer(
        "gRPC: values queued for a `Watch`, without the last",
        Limit::Bytes(GRPC_WATCH_BYTES),
        "wait",
    ),
    buffer("gRPC: watches, all clients", Limit::Number(GRPC_WATCHES), STATUS),
    buffer("changes queued for a watch", Limit::Number(WATCH_QUEUE), "the watch ends"),
    buffer(
        "bytes of changes queued for a watch",
        Limit::Bytes(WATCH_QUEUE_BYTES),
        "the watch ends",
    ),
    buffer("HTTP: connections", Limit::Number(HTTP_CONNECTIONS), "oldest closed"),
    buffer("HTTP: request head", Limit::Bytes(HTTP_HEAD), "status 431"),
];

/// The events that the server waits for, and how long at most.
const WAITS: &[(&str, &str)] = &[
    ("a request or the rest of one, a TLS handshake, a client reading its replies", "`timeout`"),
    ("a gRPC connection without a call or with incomplete requests", "`timeout`"),
    ("a gRPC `Watch` without changes", "no limit"),
    ("a closing client that reads none of its last replies", "`timeout`, or a minute"),
    ("input discarded after a connection was closed", "1 second, 0.1 during shutdown"),
    ("shutdown: clients reading their last replies", "`shutdown-timeout`"),
    ("shutdown: gRPC calls", "`shutdown-timeout`, 2 seconds more for a running operation"),
    ("an HTTP request and its response", "5 seconds"),
    ("replies waiting for the log", "as long as the disk takes; withdrawn if the write fails"),
    ("requests while 8 MiB of changes wait for the log", "as long as the log takes"),
    ("requests while a primary hands over", "2 seconds"),
    (
        "other clients of a thread running a script, changes to the shards of its keys",
        "`script-time-limit` of CPU time, and a few seconds more",
    ),
    ("other clients of a thread running `SAVE`, `KEYS` or `FLUSHALL`", "until it is done"),
];

/// The ports, in the order of the columns of [`PORT_SETTINGS`].
const PORTS: [&str; 5] = ["`port`", "`tls-port`", "`unixsocket`", "`grpc-port`", "`metrics-port`"];

/// How each port honours each setting about clients.
const PORT_SETTINGS: &[(&str, [&str; 5])] = &[
    ("bind", ["yes", "yes", "-", "first address only", "`metrics-bind`"]),
    ("requirepass", ["yes", "yes", "yes", "except health and reflection", "no password"]),
    ("aclfile", ["yes", "yes", "yes", "only `default` with all rights", "no"]),
    ("acllog-max-len", ["yes", "yes", "yes", "yes", "-"]),
    ("acl-pubsub-default", ["yes", "yes", "yes", "-", "-"]),
    ("protected-mode", ["yes", "yes", "-", "yes", "no"]),
    ("maxclients", ["yes", "yes", "yes", "yes", "128"]),
    ("timeout", ["yes", "yes", "yes", "except watches", "5 seconds"]),
    ("tcp-keepalive", ["yes", "yes", "-", "yes", "no"]),
    ("client-output-buffer-limit", ["yes", "yes", "yes", "hard limit only", "no"]),
    ("client-query-buffer-limit", ["yes", "yes", "yes", "yes", "no"]),
    ("shutdown-timeout", ["yes", "yes", "yes", "yes", "stops at once"]),
    ("tls-auth-clients", ["-", "yes", "-", "no certificates", "-"]),
];

/// Returns the tables of the page, in Markdown.
pub fn page() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |line: fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("## Limits of one client\n"));
    line(format_args!("| resource | limit | beyond it |\n|---|---|---|"));
    for Buffer { what, limit, then } in BUFFERS {
        line(format_args!("| {what} | {limit} | {then} |"));
    }
    line(format_args!("\n## Timeouts\n"));
    line(format_args!("| wait | limit |\n|---|---|"));
    for (what, long) in WAITS {
        line(format_args!("| {what} | {long} |"));
    }
    line(format_args!("\n## Settings by port\n"));
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
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(&page()), "docs/limits.md does not hold:\n{}", page());
    }

    /// The committed page must count the failing tests of redis-py as they are listed in the files that
    /// `tests/clients/redis_py_suite.py` compares with.
    #[test]
    fn the_page_counts_failing_redis_py_tests() {
        assert_counted("redis_py_suite");
        assert_counted("redis_py_suite_cluster");
    }

    /// The same for Redis's own tests.
    #[test]
    fn the_page_counts_failing_tests_of_redis() {
        assert_counted("redis_tcl_suite");
    }

    /// Tests that do not run are listed, but not counted.
    fn assert_counted(suite: &str) {
        let read = |file: &str| {
            std::fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let list = read(&format!("tests/clients/{suite}.txt"));
        let (mut names, mut failing, mut types) = (Vec::new(), 0, 0);
        for group in list.split("\n# ").skip(1) {
            let mut lines = group.lines().filter(|line| !line.is_empty());
            let reason = lines.next().unwrap();
            let before = names.len();
            names.extend(lines);
            let count = names.len() - before;
            types += if reason.starts_with("Missing type: ") { count } else { 0 };
            failing += if reason.starts_with("Left out: ") { 0 } else { count };
        }
        let end = format!("| {failing} | {types} | `{suite}.txt` |\n");
        let page = read("docs/limits.md");
        assert!(page.contains(&end), "docs/limits.md does not count the failing tests: {end}");
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
        for buffer in BUFFERS {
            if let Limit::Setting(name) = buffer.limit {
                assert!(table::find(name).is_some(), "unknown setting {name}");
            }
        }
    }
}
