//! The table of all settings, of which everything else about them is made: how each source is read, `--help`,
//! `CONFIG GET`, the sample file and the page of documentation.

use super::value::Kind;

/// One setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its name: that of Redis where Redis has one like it.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its value where nobody gives one.
    pub default: &'static str,
    /// Whether `CONFIG SET` changes it while the server runs.
    pub modifiable: bool,
    /// What it does.
    pub help: &'static str,
}

/// Settings of one subject.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Group {
    /// The subject.
    pub name: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

const fn immutable(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, kind, default, modifiable: false, help }
}

const fn modifiable(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, kind, default, modifiable: true, help }
}

const PORT: Kind = Kind::Number { min: 0, max: 65_535 };

/// All settings.
pub const GROUPS: &[Group] = &[
    Group { name: "Where it listens", settings: LISTENING },
    Group { name: "Clients", settings: CLIENTS },
    Group { name: "Durability", settings: DURABILITY },
    Group { name: "Memory and threads", settings: MEMORY },
    Group { name: "TLS", settings: TLS },
    Group { name: "Watching it", settings: WATCHING },
];

const LISTENING: &[Setting] = &[
    immutable("port", PORT, "6379", "Port for clients; 0 for none."),
    immutable(
        "bind",
        Kind::Addresses,
        "127.0.0.1 -::1",
        "Addresses to listen on, of this machine. One behind a `-` may be missing there. `*` is all of IPv4, `::*` all \
         of IPv6.",
    ),
    immutable(
        "grpc-port",
        PORT,
        "0",
        "Port for gRPC on the first address of `bind`; 0 for none. The password goes into `authorization: Bearer`.",
    ),
    immutable("unixsocket", Kind::File, "", "Path of a Unix socket to listen on as well."),
    immutable(
        "unixsocketperm",
        Kind::Mode,
        "",
        "Permissions of that socket, in octal. Empty: as the process makes files.",
    ),
];

const CLIENTS: &[Setting] = &[
    modifiable(
        "requirepass",
        Kind::Text,
        "",
        "The password that clients must say (`AUTH`). Empty: none.",
    ),
    modifiable(
        "protected-mode",
        Kind::Flag,
        "yes",
        "Without a password, whether clients of other machines are turned away.",
    ),
    modifiable(
        "maxclients",
        Kind::Number { min: 1, max: 10_000_000 },
        "10000",
        "How many clients may be connected at once. Lower where the system allows fewer open files.",
    ),
    modifiable(
        "timeout",
        Kind::Number { min: 0, max: 2_147_483 },
        "0",
        "Seconds of silence after which a client is disconnected; 0 for never.",
    ),
    immutable(
        "tcp-keepalive",
        Kind::Number { min: 0, max: 32_767 },
        "300",
        "Seconds of silence after which the system asks whether a client's machine is still there; 0 for never.",
    ),
    modifiable(
        "client-output-buffer-limit",
        Kind::OutputLimits,
        "normal 1gb 0 0",
        "A client is disconnected when more bytes of answers than the first number wait for it, or more than the \
         second for as many seconds as the third says; 0 for no limit. Other classes than `normal` are taken and have \
         no effect.",
    ),
    modifiable(
        "client-query-buffer-limit",
        Kind::Bytes { min: 1 << 20 },
        "1gb",
        "A client that sends a longer request is disconnected.",
    ),
    immutable(
        "shutdown-timeout",
        Kind::Number { min: 0, max: 86_400 },
        "10",
        "Seconds that the end waits for clients to take the answers to what they have sent.",
    ),
];

const DURABILITY: &[Setting] = &[
    immutable(
        "dir",
        Kind::Folder,
        "./hedgerow-db-data",
        "The folder of log and snapshots; made where it is missing.",
    ),
    immutable(
        "persistence",
        Kind::Flag,
        "yes",
        "With `no` nothing is kept in files: the end loses all.",
    ),
    immutable(
        "appendfsync",
        Kind::Choice(&["always", "everysec", "no"]),
        "everysec",
        "When the log is forced to the disk: before a change is acknowledged, once a second, or when the system likes.",
    ),
    immutable(
        "snapshot-after",
        Kind::Bytes { min: 0 },
        "64mb",
        "A snapshot is made when the log has grown to so many bytes, and to twice the last snapshot; 0 for never.",
    ),
];

const MEMORY: &[Setting] = &[
    modifiable(
        "maxmemory",
        Kind::Bytes { min: 0 },
        "0",
        "Bytes of memory for keys, values and their tables; 0 for as much as there is.",
    ),
    modifiable(
        "maxmemory-policy",
        Kind::Choice(&[
            "noeviction",
            "allkeys-lru",
            "allkeys-random",
            "volatile-lru",
            "volatile-random",
            "volatile-ttl",
        ]),
        "noeviction",
        "What happens at that limit: changes that need memory are refused, or keys go. `volatile-` takes only keys \
         that have an end.",
    ),
    immutable(
        "compressed",
        Kind::Bytes { min: 0 },
        "0",
        "Bytes of memory in which values of 64 bytes and more are kept, compressed where they are cold; 0 for none.",
    ),
    immutable(
        "shards",
        Kind::Number { min: 0, max: 16_384 },
        "0",
        "Parts of the keys that change independently, made a power of two; 0 for eight a core.",
    ),
    immutable(
        "threads",
        Kind::Number { min: 0, max: 1024 },
        "0",
        "Threads that serve clients; 0 for one a core.",
    ),
];

const TLS: &[Setting] = &[
    immutable(
        "tls-port",
        PORT,
        "0",
        "Port for clients that speak TLS, on the same addresses; 0 for none.",
    ),
    immutable(
        "tls-cert-file",
        Kind::File,
        "",
        "The server's certificate and those it leads to, in PEM.",
    ),
    immutable("tls-key-file", Kind::File, "", "The key of that certificate, in PEM."),
    immutable(
        "tls-ca-cert-file",
        Kind::File,
        "",
        "Certificates in PEM that sign those of clients.",
    ),
    immutable(
        "tls-auth-clients",
        Kind::Choice(&["yes", "no", "optional"]),
        "yes",
        "Whether clients must show a certificate, need none, or may show one, which then must be good.",
    ),
    immutable(
        "grpc-tls",
        Kind::Flag,
        "no",
        "Whether `grpc-port` speaks TLS, with the same certificate; it asks clients \
          for none.",
    ),
];

const WATCHING: &[Setting] = &[
    immutable(
        "loglevel",
        Kind::Choice(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice",
        "What is written to standard error.",
    ),
    immutable(
        "metrics-port",
        PORT,
        "0",
        "Port of `/metrics` for Prometheus, `/livez` and `/readyz`, by HTTP; 0 for none.",
    ),
    immutable(
        "metrics-bind",
        Kind::Address,
        "127.0.0.1",
        "The address of that port. It asks for no password.",
    ),
];

/// All settings, in order.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// The setting of a name, in whatever case.
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// What to write instead of names that somebody may bring from Redis.
const FROM_REDIS: &[(&str, &str)] = &[
    ("appendonly", "persistence"),
    ("save", "snapshot-after"),
    ("io-threads", "threads"),
    ("client-output-limit", "client-output-buffer-limit"),
    ("maxmemory-clients", "client-output-buffer-limit"),
];

/// The name that somebody may have meant.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    if let Some((_, ours)) = FROM_REDIS.iter().find(|(theirs, _)| *theirs == name) {
        return Some(ours);
    }
    let near = all().map(|setting| (distance(&name, setting.name), setting.name)).min()?;
    (near.0 <= 2.max(name.len() / 4)).then_some(near.1)
}

/// How many letters have to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let change = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn defaults_are_values_and_names_are_unique() {
        let mut names = BTreeSet::new();
        for setting in all() {
            assert!(names.insert(setting.name), "{} is there twice", setting.name);
            let read = setting.kind.parse(setting.default);
            assert!(read.is_ok(), "{}: {read:?}", setting.name);
            assert!(setting.help.ends_with('.'), "{}", setting.name);
        }
    }

    #[test]
    fn mistaken_names_lead_to_those_that_were_meant() {
        let cases = [
            ("max-memory", Some("maxmemory")),
            ("MAXMEMORY_POLICY", Some("maxmemory-policy")),
            ("prot", Some("port")),
            ("appendonly", Some("persistence")),
            ("io-threads", Some("threads")),
            ("lua-time-limit", None),
        ];
        for (name, expected) in cases {
            assert_eq!(suggestion(name), expected, "{name}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
    }
}
