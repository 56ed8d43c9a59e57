//! What one client can make the server hold, how long clients can wait, and which port honours which setting: the
//! limits themselves, and the tables of the [page about them](crate::docs::limits).
//!
//! A buffer that a client can grow, or a wait that it can begin, has a row here.

use crate::resp::parse::{LONGEST_ARGUMENT, LONGEST_LINE, Limits, MOST_ARGUMENTS};
use std::fmt::{self, Display, Write};

/// While this many bytes of answers wait, the server reads commands only if the client takes none of the answers: it
/// may write all of a pipeline before it reads. One that reads slowly is not read from, and costs no more than this.
pub(crate) const OUTPUT_PAUSE: usize = 512 << 10;
/// The same for a client that has not said the password, which is not read from until it reads.
pub(crate) const UNAUTHENTICATED_OUTPUT_PAUSE: usize = 64 << 10;
/// The longest name of a connection or a library, in bytes: all are kept for as long as the connection lives.
pub(crate) const LONGEST_NAME: usize = 1024;
/// Entries of the log that wait for a watcher.
pub(crate) const WATCH_QUEUE: usize = 1 << 14;
/// Bytes of those entries, but for the last.
pub(crate) const WATCH_QUEUE_BYTES: usize = 64 << 20;
/// Connections of the port for `/metrics` at a time.
pub(crate) const HTTP_CONNECTIONS: usize = 128;
/// Bytes of the head of a request there. A body is not read.
pub(crate) const HTTP_HEAD: usize = 8 << 10;
/// How long a connection there may take from its beginning until its answer is out.
#[cfg(feature = "metrics")]
pub(crate) const HTTP_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// Bytes of one message of a gRPC request.
pub(crate) const GRPC_MESSAGE: usize = 64 << 20;
/// Parts (operations, keys) that such a message may have: an empty one is two bytes long, and a hundred in memory.
pub(crate) const GRPC_PARTS: usize = 1 << 16;
/// Calls that a gRPC connection may have under way.
pub(crate) const GRPC_CALLS: u32 = 128;
/// The next batch of a gRPC stream is made when less than this many bytes of the answers before it are in memory.
pub(crate) const GRPC_PAUSE: usize = 1 << 20;
/// Bytes of a message of a walk over gRPC, but for the last value.
pub(crate) const GRPC_SCAN: usize = 1 << 20;
/// Bytes of values that wait for a watcher over gRPC, but for the last.
pub(crate) const GRPC_WATCH_BYTES: usize = 4 << 20;
/// Watches over gRPC at a time: each has a thread.
pub(crate) const GRPC_WATCHES: usize = 256;

/// Connections at a time while the data is being loaded.
pub(crate) const LOADING_CONNECTIONS: usize = 4096;
/// Bytes that each of them may have waiting in either direction: a longer request is not read to its end.
pub(crate) const LOADING_BYTES: usize = 64 << 10;
/// So much is read then and thrown away behind the last request of a connection.
pub(crate) const LOADING_LAST: usize = 64 << 20;
/// Bytes of keys and values that are stored together, at most: an entry of the log holds all of them.
pub(crate) const MAX_MULTI_KEY_BYTES: usize = 2 << 30;

/// How much a buffer can hold.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Bytes(usize),
    Number(usize),
    /// What a setting says.
    Set,
}

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            Self::Bytes(bytes) if bytes >= 1 << 10 => write!(f, "{} KiB", bytes >> 10),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Number(number) => number.fmt(f),
            Self::Set => f.write_str("the setting"),
        }
    }
}

/// A buffer that one client can grow.
struct Buffer {
    what: &'static str,
    limit: Limit,
    /// The setting that changes it, if one does.
    setting: &'static str,
    /// What happens there.
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

const CLOSED: &str = "it is closed";
const STATUS: &str = "`RESOURCE_EXHAUSTED`";

/// Every buffer that one client can grow.
const BUFFERS: &[Buffer] = &[
    buffer("connections", Limit::Set, "maxclients", "the next is told so and closed"),
    buffer(
        "a request that has not come as a whole",
        Limit::Set,
        "client-query-buffer-limit",
        CLOSED,
    ),
    buffer(
        "arguments of a request",
        Limit::Number(MOST_ARGUMENTS.cast_unsigned() as usize),
        "",
        CLOSED,
    ),
    buffer("an argument", Limit::Bytes(LONGEST_ARGUMENT.cast_unsigned() as usize), "", CLOSED),
    buffer("a line of words", Limit::Bytes(LONGEST_LINE), "", CLOSED),
    buffer(
        "arguments of a request before the password",
        Limit::Number(Limits::UNAUTHENTICATED.arguments()),
        "",
        CLOSED,
    ),
    buffer(
        "an argument before the password",
        Limit::Bytes(Limits::UNAUTHENTICATED.argument()),
        "",
        CLOSED,
    ),
    buffer(
        "answers that wait for a client, and one that is made",
        Limit::Set,
        "client-output-buffer-limit",
        CLOSED,
    ),
    buffer(
        "the same while it reads, but slowly",
        Limit::Bytes(OUTPUT_PAUSE),
        "",
        "it is not read from",
    ),
    buffer(
        "the same before the password",
        Limit::Bytes(UNAUTHENTICATED_OUTPUT_PAUSE),
        "",
        "it is not read from",
    ),
    buffer(
        "values that a thread keeps while it makes changes of a pipeline",
        Limit::Set,
        "client-output-buffer-limit",
        "the client is closed",
    ),
    buffer(
        "keys and values that are stored together",
        Limit::Bytes(MAX_MULTI_KEY_BYTES),
        "",
        "an error",
    ),
    buffer(
        "while loading: connections",
        Limit::Number(LOADING_CONNECTIONS),
        "",
        "the next is closed",
    ),
    buffer("while loading: a request, and answers", Limit::Bytes(LOADING_BYTES), "", CLOSED),
    buffer("while loading: what follows the last answer", Limit::Bytes(LOADING_LAST), "", CLOSED),
    buffer("a name (`CLIENT SETNAME`, `SETINFO`)", Limit::Bytes(LONGEST_NAME), "", "an error"),
    buffer("gRPC: calls of a connection", Limit::Number(GRPC_CALLS as usize), "", "the next waits"),
    buffer("gRPC: a message of a request", Limit::Bytes(GRPC_MESSAGE), "", "`OUT_OF_RANGE`"),
    buffer("gRPC: parts of a message", Limit::Number(GRPC_PARTS), "", STATUS),
    buffer("gRPC: requests of a connection", Limit::Set, "client-query-buffer-limit", STATUS),
    buffer("gRPC: answers of a connection", Limit::Set, "client-output-buffer-limit", STATUS),
    buffer(
        "gRPC: answers of a `Pipeline` that are not read",
        Limit::Bytes(GRPC_PAUSE),
        "",
        "the next batch waits",
    ),
    buffer(
        "gRPC: a message of a `Scan`, but for its last value",
        Limit::Bytes(GRPC_SCAN),
        "",
        "the next one",
    ),
    buffer(
        "gRPC: values for a `Watch`, but for the last",
        Limit::Bytes(GRPC_WATCH_BYTES),
        "",
        "the next waits",
    ),
    buffer("gRPC: watches of all clients", Limit::Number(GRPC_WATCHES), "", STATUS),
    buffer("changes that wait for a watcher", Limit::Number(WATCH_QUEUE), "", "the watch ends"),
    buffer("bytes of them", Limit::Bytes(WATCH_QUEUE_BYTES), "", "the watch ends"),
    buffer("HTTP: connections", Limit::Number(HTTP_CONNECTIONS), "", "the oldest is closed"),
    buffer("HTTP: the head of a request", Limit::Bytes(HTTP_HEAD), "", "status 431"),
];

/// What a client or the server waits for, and for how long at most.
const WAITS: &[(&str, &str)] = &[
    ("a command, or the rest of one; a TLS handshake", "`timeout`; without it, for ever"),
    ("a client that takes its answers", "`timeout`; without it, for ever, within the limits above"),
    ("a client that is to be closed and takes none of its last answers", "`timeout`, or a minute"),
    (
        "what still comes from a client that was told its end",
        "a second; a tenth at the end of the server",
    ),
    ("the end of the server: clients that take their last answers", "`shutdown-timeout`"),
    ("the end of the server: calls over gRPC", "`shutdown-timeout`"),
    ("answers that wait for the log", "the disk: they are withdrawn when writing fails"),
    ("a gRPC connection without a call", "`timeout`; without it, for ever"),
    ("a gRPC `Watch` without changes", "for ever: the client has nothing to say"),
    ("a request over HTTP and its answer", "5 seconds"),
    ("clients of a thread that runs `SAVE`, `KEYS` or `FLUSHALL`", "until it is done"),
];

/// The ports, in the order of the columns of [`PORT_SETTINGS`].
const PORTS: [&str; 5] = ["`port`", "`tls-port`", "`unixsocket`", "`grpc-port`", "`metrics-port`"];

/// Which port honours a setting of clients; what is said where one does not.
const PORT_SETTINGS: &[(&str, [&str; 5])] = &[
    ("bind", ["yes", "yes", "-", "the first address", "has `metrics-bind`"]),
    ("requirepass", ["yes", "yes", "yes", "each call but health and reflection", "asks for none"]),
    ("protected-mode", ["yes", "yes", "-", "yes", "no"]),
    ("maxclients", ["yes", "yes", "yes", "yes, each connection", "128 of its own"]),
    ("timeout", ["yes", "yes", "yes", "yes, but for watches", "5 seconds"]),
    ("tcp-keepalive", ["yes", "yes", "-", "yes", "no"]),
    ("client-output-buffer-limit", ["yes", "yes", "yes", "the first number", "no"]),
    ("client-query-buffer-limit", ["yes", "yes", "yes", "yes", "no"]),
    ("shutdown-timeout", ["yes", "yes", "yes", "yes", "ends at once"]),
    ("tls-auth-clients", ["-", "yes", "-", "asks for none", "-"]),
];

/// The tables of the page, in Markdown.
pub fn page() -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let mut line = |line: fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("# What one client can make the server hold\n"));
    line(format_args!("| what | at most | setting | there |\n|---|---|---|---|"));
    for Buffer { what, limit, setting, then } in BUFFERS {
        let setting = if setting.is_empty() { String::new() } else { format!("`{setting}`") };
        line(format_args!("| {what} | {limit} | {setting} | {then} |"));
    }
    line(format_args!("\n# How long somebody waits\n"));
    line(format_args!("| for what | how long |\n|---|---|"));
    for (what, long) in WAITS {
        line(format_args!("| {what} | {long} |"));
    }
    line(format_args!("\n# Which port honours which setting\n"));
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

    /// What is made of these tables, and stands in the repository for people.
    #[test]
    fn the_page_lists_every_limit() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(&page()), "docs/limits.md does not hold:\n{}", page());
    }

    /// How many tests of redis-py fail for each reason: the list that `tests/clients/redis_py_suite.py` compares with.
    #[test]
    fn the_page_counts_tests_of_redis_py_that_fail() {
        let read = |file: &str| {
            std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let list = read("tests/clients/redis_py_suite.txt");
        let mut table = String::from("| why they fail | functions |\n|---|---|\n");
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
        assert_eq!(names.len(), all, "a test has two reasons");
    }

    #[test]
    fn settings_of_clients_are_in_the_tables() {
        let listed = |name: &str| PORT_SETTINGS.iter().any(|(setting, _)| *setting == name);
        let group = table::GROUPS.iter().find(|group| group.name == "Clients").unwrap();
        for setting in group.settings {
            assert!(listed(setting.name), "it is not said which ports honour {}", setting.name);
        }
        for setting in BUFFERS.iter().map(|buffer| buffer.setting).filter(|name| !name.is_empty()) {
            assert!(table::find(setting).is_some(), "there is no setting {setting}");
        }
    }
}
