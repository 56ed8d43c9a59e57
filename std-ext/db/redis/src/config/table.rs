//! The table of all settings. The readers of all sources, `--help`, `CONFIG GET`, the sample file and the documentation
//! are made from it.

use super::value::{self, ValueKind};

/// A setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// The name: Redis's name if Redis has the same setting.
    pub name: &'static str,
    /// The values that it takes.
    pub kind: ValueKind,
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
pub struct SettingGroup {
    /// The group's title.
    pub name: &'static str,
    /// The group's settings.
    pub settings: &'static [Setting],
}

const fn immutable(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, kind, default, modifiable: false, help }
}

const fn modifiable(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, kind, default, modifiable: true, help }
}

/// The name of the setting of events about keys.
pub(crate) const KEY_EVENTS: &str = "notify-keyspace-events";
/// The setting for the number of keys that are remembered for tracking clients.
pub(crate) const TRACKED_KEYS: &str = "tracking-table-max-keys";

const PORT: ValueKind = ValueKind::Number { min: 0, max: 65_535 };

/// All settings.
pub const GROUPS: &[SettingGroup] = &[
    SettingGroup { name: "Network", settings: NETWORK },
    SettingGroup { name: "Clients", settings: CLIENTS },
    SettingGroup { name: "Durability", settings: DURABILITY },
    SettingGroup { name: "Memory and threads", settings: MEMORY },
    SettingGroup { name: "TLS", settings: TLS },
    SettingGroup { name: "Cluster", settings: CLUSTER },
    SettingGroup { name: "Autoscaling", settings: AUTOSCALING },
    SettingGroup { name: "Monitoring", settings: MONITORING },
];

const NETWORK: &[Setting] = &[
    immutable("port", PORT, "6379", "TCP port for clients; 0 disables it."),
    immutable(
        "bind",
        ValueKind::Addresses,
        "127.0.0.1 -::1",
        "Addresses to listen on. An address prefixed with `-` may be unavailable; `*` and `::*` are all IPv4 and \
         IPv6 addresses.",
    ),
    immutable(
        "grpc-port",
        PORT,
        "0",
        "Port for gRPC, on the first address of `bind`; 0 disables it. Clients send the password as `authorization: \
         Bearer`.",
    ),
    immutable("unixsocket", ValueKind::File, "", "Path of a Unix socket to listen on."),
    immutable(
        "unixsocketperm",
        ValueKind::Mode,
        "",
        "Permissions of the Unix socket, in octal; by default, the umask decides.",
    ),
];

const CLIENTS: &[Setting] = &[
    modifiable(
        "requirepass",
        ValueKind::Text,
        "",
        "Password of the user `default`, sent with `AUTH`.",
    ),
    immutable(
        "aclfile",
        ValueKind::File,
        "",
        "ACL file, which `ACL LOAD` reads and `ACL SAVE` writes. It must exist, and excludes `user` lines in the \
         configuration file. `requirepass` applies unless the file defines the user `default`.",
    ),
    modifiable(
        "acllog-max-len",
        ValueKind::Number { min: 0, max: 1_000_000 },
        "128",
        "Maximum number of `ACL LOG` entries.",
    ),
    modifiable(
        "acl-pubsub-default",
        ValueKind::Choice(&["resetchannels", "allchannels"]),
        "resetchannels",
        "Whether new users may access no channels or all channels.",
    ),
    modifiable(
        "protected-mode",
        ValueKind::Flag,
        "yes",
        "Refuse clients on other machines while no password is set.",
    ),
    modifiable(
        "maxclients",
        ValueKind::Number { min: 1, max: 10_000_000 },
        "10000",
        "Maximum number of client connections. At startup it is lowered to fit the limit on open files, which \
         `CONFIG SET` cannot exceed.",
    ),
    modifiable(
        "timeout",
        ValueKind::Number { min: 0, max: 2_147_483 },
        "0",
        "Close connections that are idle for this many seconds, except those of subscribers; 0 disables it.",
    ),
    immutable(
        "tcp-keepalive",
        ValueKind::Number { min: 0, max: 32_767 },
        "300",
        "Send TCP keepalive probes after this many idle seconds; 0 disables them.",
    ),
    modifiable(
        "client-output-buffer-limit",
        ValueKind::OutputLimits,
        value::DEFAULT_OUTPUT_LIMITS,
        "Disconnect a client when its unsent replies and messages exceed the first number of bytes, or the second \
         number for that many seconds; 0 means no limit. Subscribers have the class `pubsub`, other clients \
         `normal`. Classes that are not listed keep their limits.",
    ),
    modifiable(
        "client-query-buffer-limit",
        ValueKind::Bytes { min: 1 << 20 },
        "1gb",
        "Maximum size of a request; clients that exceed it are disconnected.",
    ),
    immutable(
        "shutdown-timeout",
        ValueKind::Number { min: 0, max: 86_400 },
        "10",
        "Seconds that a shutdown waits for clients to read their replies.",
    ),
];

const DURABILITY: &[Setting] = &[
    immutable(
        "dir",
        ValueKind::Folder,
        "./hedgerow-db-data",
        "Directory of the log and the snapshots, created if it is missing.",
    ),
    immutable(
        "appendonly",
        ValueKind::Flag,
        "yes",
        "Write data to disk. With `no`, all data is lost at shutdown.",
    ),
    immutable(
        "appendfsync",
        ValueKind::Choice(&["always", "everysec", "no"]),
        "everysec",
        "When the log is synced to disk: before a change is acknowledged, every second, or when the operating system \
         decides.",
    ),
    immutable(
        "snapshot-after",
        ValueKind::Bytes { min: 0 },
        "64mb",
        "Size of the log that triggers a snapshot, provided that the log is also twice as large as the last \
         snapshot; 0 disables it.",
    ),
];

const MEMORY: &[Setting] = &[
    immutable(
        "databases",
        ValueKind::Number { min: 1, max: 1024 },
        "16",
        "Number of databases (`SELECT`). Each allocates its tables on first use. Cluster nodes have database 0 only.",
    ),
    modifiable(
        "maxmemory",
        ValueKind::Bytes { min: 0 },
        "0",
        "Maximum memory for keys, values and their tables; 0 means no limit.",
    ),
    modifiable(
        "maxmemory-policy",
        ValueKind::Choice(&[
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
        "At `maxmemory`, refuse changes that need memory (`noeviction`), or evict keys. `volatile-` policies evict \
         only keys with an expiration time.",
    ),
    modifiable(
        "maxmemory-samples",
        ValueKind::Number { min: 1, max: 64 },
        "5",
        "Keys sampled per eviction, plus three, because Redis keeps some earlier samples. Higher values choose better \
         keys and take longer.",
    ),
    modifiable(
        "lfu-log-factor",
        ValueKind::Number { min: 0, max: 2_147_483_647 },
        "10",
        "How slowly the LFU counter of a key grows, from 0 to 255; with 10, it reaches 255 after a million accesses.",
    ),
    modifiable(
        "lfu-decay-time",
        ValueKind::Number { min: 0, max: 2_147_483_647 },
        "1",
        "Minutes without access after which the LFU counter of a key is decremented; 0 disables decay.",
    ),
    modifiable(
        "hash-max-listpack-entries",
        ValueKind::Number { min: 0, max: 9_223_372_036_854_775_807 },
        "512",
        "Fields up to which `OBJECT ENCODING` calls a hash a listpack. It changes nothing else.",
    ),
    modifiable(
        "hash-max-listpack-value",
        ValueKind::Bytes { min: 0 },
        "64",
        "Bytes of a field or value up to which `OBJECT ENCODING` calls a hash a listpack. It changes nothing else.",
    ),
    modifiable(
        "list-max-listpack-size",
        ValueKind::Signed { min: -2_147_483_648, max: 2_147_483_647 },
        "-2",
        "Accepted for programs that set it. It changes nothing: a list is not divided into listpacks.",
    ),
    modifiable(
        "list-compress-depth",
        ValueKind::Number { min: 0, max: 2_147_483_647 },
        "0",
        "Accepted for programs that set it. It changes nothing.",
    ),
    modifiable(
        "set-max-intset-entries",
        ValueKind::Number { min: 0, max: 9_223_372_036_854_775_807 },
        "512",
        "Members up to which `OBJECT ENCODING` calls a set of integers an intset, whose members are shown in order.",
    ),
    modifiable(
        "zset-max-listpack-entries",
        ValueKind::Number { min: 0, max: 9_223_372_036_854_775_807 },
        "128",
        "Members up to which `OBJECT ENCODING` calls a sorted set a listpack. It changes nothing else.",
    ),
    modifiable(
        "zset-max-listpack-value",
        ValueKind::Bytes { min: 0 },
        "64",
        "Bytes of a member up to which `OBJECT ENCODING` calls a sorted set a listpack. It changes nothing else.",
    ),
    modifiable(
        "stream-node-max-entries",
        ValueKind::Number { min: 0, max: 9_223_372_036_854_775_807 },
        "100",
        "Entries of a stream that `~` of `XADD` and `XTRIM` removes together; 0 means 100.",
    ),
    modifiable(
        "stream-node-max-bytes",
        ValueKind::Bytes { min: 0 },
        "4096",
        "Accepted for programs that set it. It changes nothing.",
    ),
    immutable(
        "compressed",
        ValueKind::Bytes { min: 0 },
        "0",
        "Memory for values of 64 bytes or more, which are compressed while they are not used; 0 disables \
         compression.",
    ),
    immutable(
        "shards",
        ValueKind::Number { min: 0, max: 16_384 },
        "0",
        "Shards per database, which accept changes concurrently, rounded up to a power of two; 0 means eight per \
         core.",
    ),
    immutable(
        "threads",
        ValueKind::Number { min: 0, max: 1024 },
        "0",
        "Maximum number of threads serving clients, activated as the load requires; 0 means one per core.",
    ),
    modifiable(
        "busy-reply-threshold",
        ValueKind::Number { min: 0, max: 86_400_000 },
        "5000",
        "Milliseconds that a script may run before other clients get `BUSY`, and that a command may occupy all \
         active threads before another one serves new connections; 0 disables both.",
    ),
    modifiable(
        "script-time-limit",
        ValueKind::Number { min: 0, max: 86_400_000 },
        "5000",
        "Milliseconds of CPU time after which a script is stopped and rolled back; 0 disables it. Thirty times as \
         much wall-clock time also stops it.",
    ),
    modifiable(
        "default-lua-flags",
        ValueKind::Choice(&["allow-undeclared-keys", "none"]),
        "allow-undeclared-keys",
        "Whether scripts without flags may access keys that are not in `KEYS`, and use commands on all keys. As in \
         Dragonfly, a script can set this flag in its first line, `--!df flags=allow-undeclared-keys`.",
    ),
];

const TLS: &[Setting] = &[
    immutable(
        "tls-port",
        PORT,
        "0",
        "TCP port for clients with TLS, on the addresses of `bind`; 0 disables it.",
    ),
    immutable("tls-cert-file", ValueKind::File, "", "Certificate chain of the server, in PEM."),
    immutable("tls-key-file", ValueKind::File, "", "Private key of the certificate, in PEM."),
    immutable(
        "tls-ca-cert-file",
        ValueKind::File,
        "",
        "CA certificates that verify client certificates, in PEM.",
    ),
    immutable(
        "tls-auth-clients",
        ValueKind::Choice(&["yes", "no", "optional"]),
        "yes",
        "Whether clients must present a certificate, need none, or may present one, which must then be valid.",
    ),
    immutable(
        "grpc-tls",
        ValueKind::Flag,
        "no",
        "Use TLS on `grpc-port`, with the same certificate and without client certificates.",
    ),
];

const CLUSTER: &[Setting] = &[
    immutable(
        "cluster",
        ValueKind::Flag,
        "no",
        "Run as a cluster node, with the log in etcd. Requires a build with the feature `cluster`. All nodes need \
         the same settings of this group, except for their own addresses.",
    ),
    immutable(
        "cluster-name",
        ValueKind::Text,
        "",
        "Name of the cluster: letters, digits, hyphens, underscores and dots. Its etcd keys begin with \
         `/hedgerow/NAME/`, so clusters can share an etcd.",
    ),
    immutable(
        "cluster-group",
        ValueKind::NumberOrAuto { min: 0, max: 4095 },
        "0",
        "Group of this node; the nodes of a group hold the same keys. With `auto`, a node without data waits until \
         the cluster assigns it to a group.",
    ),
    immutable(
        "cluster-groups",
        ValueKind::Number { min: 1, max: 4096 },
        "1",
        "Number of groups among which a new cluster divides its slots. Only the first node of a cluster uses it.",
    ),
    immutable(
        "cluster-replicas",
        ValueKind::Number { min: 0, max: 15 },
        "1",
        "Replicas per group. Nodes with `cluster-group auto` fill groups up to this number; the rest are spares.",
    ),
    immutable(
        "cluster-zone",
        ValueKind::Text,
        "",
        "Failure domain of this node, such as a machine or an availability zone: up to 255 letters, digits, hyphens, \
         underscores and dots. The nodes of a group are spread over zones where possible.",
    ),
    immutable(
        "cluster-ordinal",
        ValueKind::NumberOrAuto { min: 0, max: 65_535 },
        "auto",
        "Number of this node in a StatefulSet, which stops the highest first. With `auto`, the number that ends the \
         first label of `cluster-announce-hostname`, if any.",
    ),
    immutable(
        "cluster-forget",
        ValueKind::Number { min: 0, max: 31_536_000 },
        "600",
        "Seconds after which a missing member is removed from its group and replaced by a spare; 0 disables it. Must \
         be longer than a node takes to load its data.",
    ),
    immutable(
        "cluster-etcd",
        ValueKind::Endpoints,
        "",
        "Endpoints of etcd, to which all data is sent.",
    ),
    immutable("cluster-etcd-user", ValueKind::Text, "", "User name for etcd."),
    immutable("cluster-etcd-password", ValueKind::Text, "", "Password for etcd."),
    immutable(
        "cluster-etcd-ca-cert-file",
        ValueKind::File,
        "",
        "CA certificates that verify etcd's members, in PEM; by default, those of the system.",
    ),
    immutable(
        "cluster-etcd-cert-file",
        ValueKind::File,
        "",
        "Client certificate chain for etcd, in PEM.",
    ),
    immutable(
        "cluster-etcd-key-file",
        ValueKind::File,
        "",
        "Private key of the client certificate for etcd, in PEM.",
    ),
    immutable(
        "cluster-etcd-quota",
        ValueKind::Bytes { min: 0 },
        "0",
        "The `--quota-backend-bytes` of etcd, so that the database refuses changes before etcd does; 0 means the \
         limit that etcd 3.6 reports, or 2gb.",
    ),
    modifiable(
        "cluster-lease",
        ValueKind::Number { min: 500, max: 60_000 },
        "3000",
        "Milliseconds that a primary may be silent before another node takes over; should exceed the time of an etcd \
         election. The primary's value applies.",
    ),
    immutable(
        "cluster-reads",
        ValueKind::Choice(&["lease", "log"]),
        "lease",
        "How the primary proves that a read is not stale: by its lease, which assumes that clocks run at the same \
         rate within 10 %, or by asking etcd.",
    ),
    immutable(
        "cluster-max-stale",
        ValueKind::Number { min: 100, max: 86_400_000 },
        "10000",
        "Milliseconds by which a replica may lag behind the primary when it serves reads after `READONLY`.",
    ),
    immutable(
        "cluster-max-skew",
        ValueKind::Number { min: 100, max: 86_400_000 },
        "10000",
        "Milliseconds by which a node's clock may be ahead of the others' if it is to become primary.",
    ),
    immutable(
        "cluster-max-entry",
        ValueKind::Bytes { min: 1 << 20 },
        "32mb",
        "Maximum bytes that one command may add to the log; larger changes are refused.",
    ),
    immutable(
        "cluster-copies",
        ValueKind::Number { min: 1, max: 16 },
        "2",
        "Number of nodes that must have a change on disk before it is trimmed from etcd.",
    ),
    modifiable(
        "cluster-move-rate",
        ValueKind::Bytes { min: 0 },
        "8mb",
        "Maximum bytes per second that a primary sends for slot migration while clients change its keys; 0 means no \
         limit. A small key counts as about 200 bytes.",
    ),
    immutable(
        "cluster-peer-port",
        PORT,
        "0",
        "Port for connections between nodes; 0 means 10000 above `port`, or above `tls-port` if only that is set.",
    ),
    immutable(
        "cluster-peer-bind",
        ValueKind::AddressesOrNone,
        "",
        "Addresses of the peer port; by default, those of `bind`. The port uses mutual TLS if `tls-cert-file`, \
         `tls-key-file` and `tls-ca-cert-file` are set.",
    ),
    immutable(
        "cluster-insecure",
        ValueKind::Flag,
        "no",
        "Allow connections to etcd and between nodes to reach other machines without TLS.",
    ),
    immutable(
        "cluster-announce-ip",
        ValueKind::Text,
        "",
        "IP address announced to clients and nodes; by default, the only address of `bind`, or else the one from \
         which this machine reaches etcd.",
    ),
    immutable("cluster-announce-hostname", ValueKind::Text, "", "Host name announced to clients."),
    immutable("cluster-announce-port", PORT, "0", "Port announced to clients; 0 means `port`."),
    immutable(
        "cluster-announce-tls-port",
        PORT,
        "0",
        "TLS port announced to clients; 0 means `tls-port`.",
    ),
    immutable(
        "cluster-announce-peer-port",
        PORT,
        "0",
        "Peer port announced to other nodes; 0 means that of this node.",
    ),
    immutable(
        "cluster-preferred-endpoint-type",
        ValueKind::Choice(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        "What redirections name: an IP address, a host name, or nothing, so that clients keep the host that they \
         have used.",
    ),
];

const AUTOSCALING: &[Setting] = &[
    immutable(
        "cluster-autoscale",
        ValueKind::Flag,
        "no",
        "Let the cluster compute the number of nodes it needs (`desired` in etcd, `/cluster/desired` on the metrics \
         port), form groups of new nodes, and migrate slots to them. Requires `cluster-group auto`.",
    ),
    immutable(
        "cluster-autoscale-min",
        ValueKind::Number { min: 0, max: 65_536 },
        "0",
        "Minimum number of nodes, never below `cluster-groups` times (`cluster-replicas` + 1).",
    ),
    immutable(
        "cluster-autoscale-max",
        ValueKind::Number { min: 0, max: 65_536 },
        "0",
        "Maximum number of nodes. Required.",
    ),
    immutable(
        "cluster-autoscale-out",
        ValueKind::Number { min: 2, max: 100 },
        "75",
        "Percentage of a node's `maxmemory` or thread time above which the cluster asks for another group \
         (`cluster-replicas` + 1 nodes).",
    ),
    immutable(
        "cluster-autoscale-out-after",
        ValueKind::Number { min: 1, max: 86_400 },
        "120",
        "Seconds that the load must stay above that.",
    ),
    immutable(
        "cluster-autoscale-full-within",
        ValueKind::Number { min: 0, max: 604_800 },
        "600",
        "Ask for nodes early if memory, at its current growth, will be full within this many seconds; 0 disables it.",
    ),
    immutable(
        "cluster-autoscale-in",
        ValueKind::Number { min: 1, max: 99 },
        "40",
        "Percentage below which the load of all nodes must be before the cluster asks for fewer.",
    ),
    immutable(
        "cluster-autoscale-in-after",
        ValueKind::Number { min: 1, max: 2_592_000 },
        "1800",
        "Seconds that the load must stay below that.",
    ),
    immutable(
        "cluster-autoscale-rest",
        ValueKind::Number { min: 1, max: 99 },
        "60",
        "Percentage below which the expected load of the remaining nodes must be before the cluster asks for fewer.",
    ),
    immutable(
        "cluster-autoscale-average",
        ValueKind::Number { min: 1, max: 3600 },
        "120",
        "Seconds over which nodes average the load that they report.",
    ),
];

const MONITORING: &[Setting] = &[
    immutable(
        "loglevel",
        ValueKind::Choice(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice",
        "Lowest severity that is logged to standard error.",
    ),
    immutable(
        "metrics-port",
        PORT,
        "0",
        "HTTP port of `/metrics` for Prometheus, `/livez`, `/readyz` and `/cluster/desired`; 0 disables it.",
    ),
    immutable(
        "metrics-bind",
        ValueKind::Address,
        "127.0.0.1",
        "Address of the metrics port, which requires no password.",
    ),
    immutable(
        "enable-debug-command",
        ValueKind::Choice(&["no", "local", "yes"]),
        "no",
        "Who may use `DEBUG`: nobody, clients on this machine, or all clients. For tests of client libraries.",
    ),
    modifiable(
        "slowlog-log-slower-than",
        ValueKind::Signed { min: -1, max: 1 << 53 },
        "10000",
        "Microseconds from which a command is recorded in `SLOWLOG`; 0 records every command, -1 none.",
    ),
    modifiable(
        "slowlog-max-len",
        ValueKind::Number { min: 0, max: 1_000_000 },
        "128",
        "Maximum number of `SLOWLOG` entries.",
    ),
    modifiable(
        KEY_EVENTS,
        ValueKind::KeyEvents,
        "",
        "Keyspace notifications: `K` for keyspace channels, `E` for keyevent channels, and event types: `g` generic, \
         `$` string, `x` expired, `e` evicted, `n` new key, `m` key miss, `A` all except `n` and `m`. Empty disables \
         them.",
    ),
    modifiable(
        TRACKED_KEYS,
        ValueKind::Number { min: 0, max: i64::MAX.cast_unsigned() },
        "1000000",
        "Maximum number of keys remembered for `CLIENT TRACKING`. Beyond it, keys are invalidated; 0 means no limit \
         except 256 MiB of memory.",
    ),
    modifiable(
        "latency-monitor-threshold",
        ValueKind::Number { min: 0, max: 1 << 40 },
        "0",
        "Milliseconds from which an event is recorded for `LATENCY`; 0 disables it.",
    ),
    modifiable(
        "latency-tracking",
        ValueKind::Flag,
        "yes",
        "Record the latency of each command for `INFO latencystats` and `LATENCY HISTOGRAM`.",
    ),
    modifiable(
        "latency-tracking-info-percentiles",
        ValueKind::Percentiles,
        "50 99 99.9",
        "Percentiles shown by `INFO latencystats`.",
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
