//! The table of all settings. The readers of all sources, `--help`, `CONFIG GET`, the sample file and the documentation
//! are made from it.

use super::value::{self, Kind};

/// A setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// The name: Redis's name if Redis has the same setting.
    pub name: &'static str,
    /// The values that it takes.
    pub kind: Kind,
    /// The default value.
    pub default: &'static str,
    /// Whether `CONFIG SET` can change it while the server runs.
    pub modifiable: bool,
    /// Its effect, as shown to users.
    pub help: &'static str,
}

/// A group of settings.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Group {
    /// The group's title.
    pub name: &'static str,
    /// The group's settings.
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

/// The name of the setting of events about keys.
pub(crate) const KEY_EVENTS: &str = "notify-keyspace-events";
/// The setting for the number of keys that are remembered for tracking clients.
pub(crate) const TRACKED_KEYS: &str = "tracking-table-max-keys";

const PORT: Kind = Kind::Number { min: 0, max: 65_535 };

/// All settings.
pub const GROUPS: &[Group] = &[
    Group { name: "Network", settings: NETWORK },
    Group { name: "Clients", settings: CLIENTS },
    Group { name: "Durability", settings: DURABILITY },
    Group { name: "Memory and threads", settings: MEMORY },
    Group { name: "TLS", settings: TLS },
    Group { name: "Cluster", settings: CLUSTER },
    Group { name: "Autoscaling", settings: AUTOSCALING },
    Group { name: "Monitoring", settings: MONITORING },
];

const NETWORK: &[Setting] = &[
    immutable("port", PORT, "6379", "TCP port for clients; 0 for none."),
    immutable(
        "bind",
        Kind::Addresses,
        "127.0.0.1 -::1",
        "Addresses of this machine to listen on. An address behind `-` may be missing. `*` is every IPv4 address, \
         `::*` every IPv6 address.",
    ),
    immutable(
        "grpc-port",
        PORT,
        "0",
        "Port for gRPC on the first address of `bind`; 0 for none. Clients send the password as `authorization: \
         Bearer`.",
    ),
    immutable("unixsocket", Kind::File, "", "Path of a Unix socket to listen on; empty for none."),
    immutable(
        "unixsocketperm",
        Kind::Mode,
        "",
        "Permissions of the Unix socket, in octal. Empty: the umask decides.",
    ),
];

const CLIENTS: &[Setting] = &[
    modifiable(
        "requirepass",
        Kind::Text,
        "",
        "Password of the user `default`, which clients must send with `AUTH`; empty for none.",
    ),
    immutable(
        "aclfile",
        Kind::File,
        "",
        "File of users and their rights, which `ACL LOAD` reads and `ACL SAVE` writes; empty for none. It must exist. \
         Without it, lines `user NAME RULES` of the file of settings make users. `requirepass` holds if the file has \
         no line `user default`.",
    ),
    modifiable(
        "acllog-max-len",
        Kind::Number { min: 0, max: 1_000_000 },
        "128",
        "Entries that `ACL LOG` keeps at most.",
    ),
    modifiable(
        "acl-pubsub-default",
        Kind::Choice(&["resetchannels", "allchannels"]),
        "resetchannels",
        "Whether new users may use no channel or all channels.",
    ),
    modifiable(
        "protected-mode",
        Kind::Flag,
        "yes",
        "Whether clients on other machines are refused while no password is set.",
    ),
    modifiable(
        "maxclients",
        Kind::Number { min: 1, max: 10_000_000 },
        "10000",
        "Maximum number of connected clients. It is lowered at the start if the limit of open files is \
         lower; CONFIG SET refuses more.",
    ),
    modifiable(
        "timeout",
        Kind::Number { min: 0, max: 2_147_483 },
        "0",
        "Seconds of silence after which a client without a subscription is disconnected; 0 for never.",
    ),
    immutable(
        "tcp-keepalive",
        Kind::Number { min: 0, max: 32_767 },
        "300",
        "Seconds of silence after which TCP keepalive probes a client; 0 for never.",
    ),
    modifiable(
        "client-output-buffer-limit",
        Kind::OutputLimits,
        value::DEFAULT_OUTPUT_LIMITS,
        "A client is disconnected if more bytes of replies and messages are waiting for it than the first number, or \
         more than the second number for the given seconds; 0 for no limit. Clients with a subscription are of the \
         class `pubsub`, others of `normal`. Classes that are not named keep their limits.",
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
        "Seconds that a shutdown waits for clients to read the replies to their requests.",
    ),
];

const DURABILITY: &[Setting] = &[
    immutable(
        "dir",
        Kind::Folder,
        "./hedgerow-db-data",
        "Directory of the log and the snapshots. It is created if it is missing.",
    ),
    immutable(
        "appendonly",
        Kind::Flag,
        "yes",
        "With `no`, nothing is written to disk, and all data is lost at shutdown.",
    ),
    immutable(
        "appendfsync",
        Kind::Choice(&["always", "everysec", "no"]),
        "everysec",
        "When the log is flushed to disk with fsync: before a change is acknowledged, every second, or when the \
         operating system decides.",
    ),
    immutable(
        "snapshot-after",
        Kind::Bytes { min: 0 },
        "64mb",
        "Size at which the log is replaced by a snapshot, provided that it has also reached twice the size of the \
         last snapshot; 0 for never.",
    ),
];

const MEMORY: &[Setting] = &[
    immutable(
        "databases",
        Kind::Number { min: 1, max: 1024 },
        "16",
        "Number of databases, which clients choose by `SELECT`. Each takes memory for its tables once it is used. A \
         node of a cluster has database 0 only.",
    ),
    modifiable(
        "maxmemory",
        Kind::Bytes { min: 0 },
        "0",
        "Maximum memory for keys, values and their tables; 0 for no limit.",
    ),
    modifiable(
        "maxmemory-policy",
        Kind::Choice(&[
            "noeviction",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
        ]),
        "noeviction",
        "The policy at `maxmemory`: changes that need memory are refused, or keys are evicted. `volatile-` \
         policies evict only keys with an expiration. `lfu` evicts the keys that are used least often.",
    ),
    modifiable(
        "maxmemory-samples",
        Kind::Number { min: 1, max: 64 },
        "5",
        "Keys that are compared for each one that is evicted: this number, and three more, because Redis \
         compares some from earlier samples as well. More of them find keys that are used less, and take more time.",
    ),
    modifiable(
        "lfu-log-factor",
        Kind::Number { min: 0, max: 2_147_483_647 },
        "10",
        "How slowly the counter of a key's uses, from 0 to 255, grows under the `lfu` policies: at 10 it is 255 after \
         a million uses.",
    ),
    modifiable(
        "lfu-decay-time",
        Kind::Number { min: 0, max: 2_147_483_647 },
        "1",
        "Minutes without a use after which the counter of a key's uses is decremented; 0 for never.",
    ),
    immutable(
        "compressed",
        Kind::Bytes { min: 0 },
        "0",
        "Memory in which values of 64 bytes and more are stored, and compressed while they are not used; 0 for no \
         compression.",
    ),
    immutable(
        "shards",
        Kind::Number { min: 0, max: 16_384 },
        "0",
        "Number of shards of each database that change independently, rounded up to a power of two; 0 for eight a \
         core.",
    ),
    immutable(
        "threads",
        Kind::Number { min: 0, max: 1024 },
        "0",
        "Threads that serve clients at most, if the load needs them; 0 for one a core.",
    ),
    modifiable(
        "busy-reply-threshold",
        Kind::Number { min: 0, max: 86_400_000 },
        "5000",
        "Milliseconds after which other clients' commands are answered with `BUSY` while a script runs, and after \
         which another thread serves new connections if a command occupies all active ones; 0 for never.",
    ),
    modifiable(
        "script-time-limit",
        Kind::Number { min: 0, max: 86_400_000 },
        "5000",
        "Milliseconds of processor time after which a script is stopped, and its changes are undone; 0 for never. \
         Thirty times as many by the clock stop it as well.",
    ),
    modifiable(
        "default-lua-flags",
        Kind::Choice(&["allow-undeclared-keys", "none"]),
        "allow-undeclared-keys",
        "What scripts may do without a flag of their own: access keys that are not in `KEYS`, and all keys, as by \
         `KEYS`. As in Dragonfly, a script may have the flag in its first line, `--!df flags=allow-undeclared-keys`.",
    ),
];

const TLS: &[Setting] = &[
    immutable(
        "tls-port",
        PORT,
        "0",
        "TCP port for clients with TLS, on the addresses of `bind`; 0 for none.",
    ),
    immutable("tls-cert-file", Kind::File, "", "Server certificate and its chain, in PEM."),
    immutable("tls-key-file", Kind::File, "", "Private key of the certificate, in PEM."),
    immutable(
        "tls-ca-cert-file",
        Kind::File,
        "",
        "Certificates that sign those of clients, in PEM.",
    ),
    immutable(
        "tls-auth-clients",
        Kind::Choice(&["yes", "no", "optional"]),
        "yes",
        "Whether clients must send a certificate, need none, or may send one, which must then be valid.",
    ),
    immutable(
        "grpc-tls",
        Kind::Flag,
        "no",
        "Whether `grpc-port` uses TLS, with the same certificate. It requires no client certificates.",
    ),
];

const CLUSTER: &[Setting] = &[
    immutable(
        "cluster",
        Kind::Flag,
        "no",
        "Whether this is a node of a cluster, whose log is in etcd. It requires a build with the feature `cluster`. \
         All nodes need the same settings of this group, except their own addresses.",
    ),
    immutable(
        "cluster-name",
        Kind::Text,
        "",
        "Name of the cluster: letters, digits, hyphens, underscores and dots. Its keys in etcd begin with \
         `/hedgerow/NAME/`, so several clusters can share one etcd.",
    ),
    immutable(
        "cluster-group",
        Kind::NumberOrAuto { min: 0, max: 4095 },
        "0",
        "Number of the group that this node belongs to. The nodes of a group have the same keys. With `auto`, a node \
         that has no data yet waits until the cluster places it in a group.",
    ),
    immutable(
        "cluster-groups",
        Kind::Number { min: 1, max: 4096 },
        "1",
        "Number of groups among which a new cluster divides its slots: groups 0 to one less than this. Only the first \
         node of a cluster uses it.",
    ),
    immutable(
        "cluster-replicas",
        Kind::Number { min: 0, max: 15 },
        "1",
        "Number of followers up to which each group is filled with nodes that have `cluster-group auto`. Further ones \
         are spares.",
    ),
    immutable(
        "cluster-zone",
        Kind::Text,
        "",
        "Name of the place where this node is, such as a machine or a zone of a cloud: up to 255 letters, digits, \
         hyphens, underscores and dots. The nodes of a group are placed in different zones if possible.",
    ),
    immutable(
        "cluster-ordinal",
        Kind::NumberOrAuto { min: 0, max: 65_535 },
        "auto",
        "Number of this node among those that are started and stopped together, as in a StatefulSet: nodes with the \
         highest numbers are stopped first. With `auto`, the number at the end of the first part of \
         `cluster-announce-hostname`, if there is one.",
    ),
    immutable(
        "cluster-forget",
        Kind::Number { min: 0, max: 31_536_000 },
        "600",
        "Seconds after which a member that is gone is removed from its group, and replaced by a spare; 0 for never. It \
         must be longer than a node takes to load its data.",
    ),
    immutable("cluster-etcd", Kind::Endpoints, "", "The members of etcd. All data goes to them."),
    immutable("cluster-etcd-user", Kind::Text, "", "User in etcd; empty for none."),
    immutable("cluster-etcd-password", Kind::Text, "", "Password of the user in etcd."),
    immutable(
        "cluster-etcd-ca-cert-file",
        Kind::File,
        "",
        "Certificates that sign those of etcd's members, in PEM. Without them, the system's count.",
    ),
    immutable(
        "cluster-etcd-cert-file",
        Kind::File,
        "",
        "Client certificate that is shown to etcd, and its chain, in PEM.",
    ),
    immutable(
        "cluster-etcd-key-file",
        Kind::File,
        "",
        "Private key of the client certificate for etcd, in PEM.",
    ),
    immutable(
        "cluster-etcd-quota",
        Kind::Bytes { min: 0 },
        "0",
        "The `--quota-backend-bytes` of etcd, so that the database stops before etcd does. 0 for the limit \
         that etcd 3.6 reports, or 2gb.",
    ),
    modifiable(
        "cluster-lease",
        Kind::Number { min: 500, max: 60_000 },
        "3000",
        "Milliseconds that a primary may be silent before another node takes over. It should be longer than an \
         election in etcd takes. The value of the primary counts.",
    ),
    immutable(
        "cluster-reads",
        Kind::Choice(&["lease", "log"]),
        "lease",
        "How the primary proves that a read is not stale: by its lease, which assumes that clocks run at the same \
         speed within 10 %, or by asking etcd.",
    ),
    immutable(
        "cluster-max-stale",
        Kind::Number { min: 100, max: 86_400_000 },
        "10000",
        "Milliseconds by which a follower's data may be older than the primary's when it serves reads after \
         `READONLY`.",
    ),
    immutable(
        "cluster-max-skew",
        Kind::Number { min: 100, max: 86_400_000 },
        "10000",
        "Milliseconds by which a node's clock may be ahead of the others'. A node beyond it does not become primary.",
    ),
    immutable(
        "cluster-max-entry",
        Kind::Bytes { min: 1 << 20 },
        "32mb",
        "The most bytes that one command may add to the log. A longer change is refused.",
    ),
    immutable(
        "cluster-copies",
        Kind::Number { min: 1, max: 16 },
        "2",
        "Number of nodes that must have a change on disk before it is removed from etcd.",
    ),
    modifiable(
        "cluster-move-rate",
        Kind::Bytes { min: 0 },
        "8mb",
        "The most bytes a second that a primary sends for a move of its slots to another group while clients change \
         its keys; 0 for no limit. A small key counts some 200 bytes.",
    ),
    immutable(
        "cluster-peer-port",
        PORT,
        "0",
        "Port on which nodes ask each other for data; 0 for 10000 above `port`, or above `tls-port` if that is the \
         only one.",
    ),
    immutable(
        "cluster-peer-bind",
        Kind::AddressesOrNone,
        "",
        "Addresses of the peer port; empty for those of `bind`. The port uses TLS in both directions if \
         `tls-cert-file`, `tls-key-file` and `tls-ca-cert-file` are set.",
    ),
    immutable(
        "cluster-insecure",
        Kind::Flag,
        "no",
        "Whether the peer port and the connection with etcd may reach other machines without TLS.",
    ),
    immutable(
        "cluster-announce-ip",
        Kind::Text,
        "",
        "IP address that clients and other nodes are told; empty for the only address of `bind`, or else the one \
         from which this machine reaches etcd.",
    ),
    immutable(
        "cluster-announce-hostname",
        Kind::Text,
        "",
        "Host name that clients are told; empty for none.",
    ),
    immutable("cluster-announce-port", PORT, "0", "Port that clients are told; 0 for `port`."),
    immutable(
        "cluster-announce-tls-port",
        PORT,
        "0",
        "Port that clients with TLS are told; 0 for `tls-port`.",
    ),
    immutable(
        "cluster-announce-peer-port",
        PORT,
        "0",
        "Peer port that other nodes are told; 0 for the one of this node.",
    ),
    immutable(
        "cluster-preferred-endpoint-type",
        Kind::Choice(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        "Address to which clients are sent: an IP address, a host name, or the one that they have used.",
    ),
];

const AUTOSCALING: &[Setting] = &[
    immutable(
        "cluster-autoscale",
        Kind::Flag,
        "no",
        "Whether the cluster says how many nodes it should have, makes groups of further nodes, and moves slots to \
         them. Its number is the key `desired` in etcd, and `/cluster/desired` on the metrics port. It requires \
         `cluster-group auto`.",
    ),
    immutable(
        "cluster-autoscale-min",
        Kind::Number { min: 0, max: 65_536 },
        "0",
        "The fewest nodes that the cluster wants; 0 for `cluster-groups` times one more than `cluster-replicas`, \
         which are the fewest in any case.",
    ),
    immutable(
        "cluster-autoscale-max",
        Kind::Number { min: 0, max: 65_536 },
        "0",
        "The most nodes that the cluster wants. It must be set.",
    ),
    immutable(
        "cluster-autoscale-out",
        Kind::Number { min: 2, max: 100 },
        "75",
        "Percent of a node's memory (`maxmemory`) or of its threads' time above which the cluster wants one more \
         than `cluster-replicas` further nodes.",
    ),
    immutable(
        "cluster-autoscale-out-after",
        Kind::Number { min: 1, max: 86_400 },
        "120",
        "Seconds that the load must have been so high.",
    ),
    immutable(
        "cluster-autoscale-full-within",
        Kind::Number { min: 0, max: 604_800 },
        "600",
        "Seconds within which the memory must be full, as fast as it grows, so that the cluster wants further nodes \
         before that; 0 for never.",
    ),
    immutable(
        "cluster-autoscale-in",
        Kind::Number { min: 1, max: 99 },
        "40",
        "Percent below which the load of all nodes must be before the cluster wants fewer nodes.",
    ),
    immutable(
        "cluster-autoscale-in-after",
        Kind::Number { min: 1, max: 2_592_000 },
        "1800",
        "Seconds that the load must have been so low.",
    ),
    immutable(
        "cluster-autoscale-rest",
        Kind::Number { min: 1, max: 99 },
        "60",
        "Percent below which the load of the remaining nodes must be expected before the cluster wants fewer nodes.",
    ),
    immutable(
        "cluster-autoscale-average",
        Kind::Number { min: 1, max: 3600 },
        "120",
        "Seconds of the moving averages of the load that nodes report.",
    ),
];

const MONITORING: &[Setting] = &[
    immutable(
        "loglevel",
        Kind::Choice(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice",
        "The least severe level that is logged to standard error.",
    ),
    immutable(
        "metrics-port",
        PORT,
        "0",
        "HTTP port of `/metrics` for Prometheus, `/livez`, `/readyz` and `/cluster/desired`; 0 for none.",
    ),
    immutable(
        "metrics-bind",
        Kind::Address,
        "127.0.0.1",
        "Address of the metrics port. It requires no password.",
    ),
    immutable(
        "enable-debug-command",
        Kind::Choice(&["no", "local", "yes"]),
        "no",
        "Whether clients may use `DEBUG`: none, those on this machine, or all. For tests of client libraries.",
    ),
    modifiable(
        "slowlog-log-slower-than",
        Kind::Signed { min: -1, max: 1 << 53 },
        "10000",
        "Microseconds from which on a command is kept for `SLOWLOG`; 0 for every command, -1 for none.",
    ),
    modifiable(
        "slowlog-max-len",
        Kind::Number { min: 0, max: 1_000_000 },
        "128",
        "Number of commands that are kept for `SLOWLOG`.",
    ),
    modifiable(
        KEY_EVENTS,
        Kind::KeyEvents,
        "",
        "Events about keys that are published on channels: `K` on the channel of the key, `E` on that of the event, \
         and kinds of events: `g` generic, `$` strings, `x` expired, `e` evicted, `n` new keys, `m` missing keys. `A` \
         means all kinds but `n` and `m`. Empty for none.",
    ),
    modifiable(
        TRACKED_KEYS,
        Kind::Number { min: 0, max: i64::MAX.cast_unsigned() },
        "1000000",
        "Number of keys that are remembered for clients with `CLIENT TRACKING`. Beyond it, a key is forgotten, and its \
         clients are told not to cache it any longer; 0 for no limit but 256 MiB of memory.",
    ),
    modifiable(
        "latency-monitor-threshold",
        Kind::Number { min: 0, max: 1 << 40 },
        "0",
        "Milliseconds from which on an event is kept for `LATENCY`; 0 for none.",
    ),
    modifiable(
        "latency-tracking",
        Kind::Flag,
        "yes",
        "Whether the latencies of each command are counted, for `INFO latencystats` and `LATENCY HISTOGRAM`.",
    ),
    modifiable(
        "latency-tracking-info-percentiles",
        Kind::Percentiles,
        "50 99 99.9",
        "Percentiles that `INFO latencystats` shows.",
    ),
];

/// Returns all settings in order.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// Returns the setting of this name, in any case.
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// Names of Redis's settings, and the settings here that come closest.
const FROM_REDIS: &[(&str, &str)] = &[
    ("auto-aof-rewrite-min-size", "snapshot-after"),
    ("save", "snapshot-after"),
    ("io-threads", "threads"),
    ("client-output-limit", "client-output-buffer-limit"),
    ("lua-time-limit", "busy-reply-threshold"),
    ("maxmemory-clients", "client-output-buffer-limit"),
    ("cluster-enabled", "cluster"),
    ("cluster-node-timeout", "cluster-lease"),
    ("cluster-port", "cluster-peer-port"),
    ("cluster-announce-bus-port", "cluster-announce-peer-port"),
];

/// Returns the setting that a wrong name may have meant.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    if let Some((_, ours)) = FROM_REDIS.iter().find(|(theirs, _)| *theirs == name) {
        return Some(ours);
    }
    let near = all().map(|setting| (distance(&name, setting.name), setting.name)).min()?;
    (near.0 <= 2.max(name.len() / 4)).then_some(near.1)
}

/// Returns the Levenshtein distance of two names.
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
    fn wrong_names_get_suggestions() {
        let cases = [
            ("max-memory", Some("maxmemory")),
            ("MAXMEMORY_POLICY", Some("maxmemory-policy")),
            ("prot", Some("port")),
            ("save", Some("snapshot-after")),
            ("io-threads", Some("threads")),
            ("cluster-enabled", Some("cluster")),
            ("lua-time-limit", Some("busy-reply-threshold")),
            ("active-defrag", None),
        ];
        for (name, expected) in cases {
            assert_eq!(suggestion(name), expected, "{name}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
    }
}
