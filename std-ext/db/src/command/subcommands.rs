//! The table of subcommands, as `COMMAND` shows them.

use super::table::{self, CommandSpec, Id, NONE, spec};

/// The key is the second argument.
const KEY: (i8, i8, i8) = (2, 2, 1);
const PLAIN: &str = "noscript loading stale";
const ADMIN: &str = "admin noscript loading stale";
const ABOUT: &str = "loading stale";
const STALE: &str = "stale";
const PUBSUB: &str = "pubsub loading stale";
const CLUSTER_ADMIN: &str = "admin stale";
const SCRIPTING: &str = "slow scripting";
const DANGEROUS: &str = "admin slow dangerous";

/// All subcommands: the command's name, a bar and the subcommand's name. Arities, keys, flags and categories are those
/// of Redis 7, and count the command's name as an argument.
pub(crate) static SUBCOMMANDS: [CommandSpec; 94] = [
    spec(("client|id", Id::Client, 2), NONE, PLAIN, "slow connection"),
    spec(("client|getname", Id::Client, 2), NONE, PLAIN, "slow connection"),
    spec(("client|setname", Id::Client, 3), NONE, PLAIN, "slow connection"),
    spec(("client|list", Id::Client, -2), NONE, ADMIN, "admin slow dangerous connection"),
    spec(("client|info", Id::Client, 2), NONE, PLAIN, "slow connection"),
    spec(("client|reply", Id::Client, 3), NONE, PLAIN, "slow connection"),
    spec(("client|setinfo", Id::Client, 4), NONE, PLAIN, "slow connection"),
    spec(("client|no-evict", Id::Client, 3), NONE, ADMIN, "admin slow dangerous connection"),
    spec(("client|no-touch", Id::Client, 3), NONE, PLAIN, "slow connection"),
    spec(("client|getredir", Id::Client, 2), NONE, PLAIN, "slow connection"),
    spec(("client|kill", Id::Client, -3), NONE, ADMIN, "admin slow dangerous connection"),
    spec(("client|unblock", Id::Client, -3), NONE, ADMIN, "admin slow dangerous connection"),
    spec(("client|tracking", Id::Client, -3), NONE, PLAIN, "slow connection"),
    spec(("client|caching", Id::Client, 3), NONE, PLAIN, "slow connection"),
    spec(("client|trackinginfo", Id::Client, 2), NONE, PLAIN, "slow connection"),
    spec(("client|pause", Id::Client, -3), NONE, ADMIN, "admin slow dangerous connection"),
    spec(("client|unpause", Id::Client, 2), NONE, ADMIN, "admin slow dangerous connection"),
    spec(("client|help", Id::Client, 2), NONE, ABOUT, "slow connection"),
    spec(("cluster|count-failure-reports", Id::Cluster, 3), NONE, CLUSTER_ADMIN, DANGEROUS),
    spec(("cluster|countkeysinslot", Id::Cluster, 3), NONE, STALE, "slow"),
    spec(("cluster|failover", Id::Cluster, -2), NONE, "admin stale no_async_loading", DANGEROUS),
    spec(("cluster|getkeysinslot", Id::Cluster, 4), NONE, STALE, "slow"),
    spec(("cluster|help", Id::Cluster, 2), NONE, ABOUT, "slow"),
    spec(("cluster|info", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("cluster|keyslot", Id::Cluster, 3), NONE, STALE, "slow"),
    spec(("cluster|links", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("cluster|myid", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("cluster|myshardid", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("cluster|nodes", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("cluster|replicas", Id::Cluster, 3), NONE, CLUSTER_ADMIN, DANGEROUS),
    spec(("cluster|shards", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("cluster|slaves", Id::Cluster, 3), NONE, CLUSTER_ADMIN, DANGEROUS),
    spec(("cluster|slot-stats", Id::Cluster, -4), NONE, STALE, "slow"),
    spec(("cluster|slots", Id::Cluster, 2), NONE, STALE, "slow"),
    spec(("command|count", Id::Command, 2), NONE, ABOUT, "slow connection"),
    spec(("command|list", Id::Command, -2), NONE, ABOUT, "slow connection"),
    spec(("command|info", Id::Command, -2), NONE, ABOUT, "slow connection"),
    spec(("command|docs", Id::Command, -2), NONE, ABOUT, "slow connection"),
    spec(("command|getkeys", Id::Command, -4), NONE, ABOUT, "slow connection"),
    spec(("command|getkeysandflags", Id::Command, -4), NONE, ABOUT, "slow connection"),
    spec(("command|help", Id::Command, 2), NONE, ABOUT, "slow connection"),
    spec(("config|get", Id::Config, -3), NONE, ADMIN, "admin slow dangerous"),
    spec(("config|set", Id::Config, -4), NONE, ADMIN, "admin slow dangerous"),
    spec(("config|resetstat", Id::Config, 2), NONE, ADMIN, "admin slow dangerous"),
    spec(("config|rewrite", Id::Config, 2), NONE, ADMIN, "admin slow dangerous"),
    spec(("config|help", Id::Config, 2), NONE, ABOUT, "slow"),
    spec(("memory|usage", Id::Memory, -3), KEY, "readonly", "read slow"),
    spec(("memory|stats", Id::Memory, 2), NONE, "", "slow"),
    spec(("memory|malloc-stats", Id::Memory, 2), NONE, "", "slow"),
    spec(("memory|purge", Id::Memory, 2), NONE, "", "slow"),
    spec(("memory|help", Id::Memory, 2), NONE, ABOUT, "slow"),
    spec(("object|encoding", Id::Object, 3), KEY, "readonly", "keyspace read slow"),
    spec(("object|idletime", Id::Object, 3), KEY, "readonly", "keyspace read slow"),
    spec(("object|freq", Id::Object, 3), KEY, "readonly", "keyspace read slow"),
    spec(("object|refcount", Id::Object, 3), KEY, "readonly", "keyspace read slow"),
    spec(("object|help", Id::Object, 2), NONE, ABOUT, "keyspace slow"),
    spec(("slowlog|get", Id::SlowLog, -2), NONE, "admin loading stale", DANGEROUS),
    spec(("slowlog|len", Id::SlowLog, 2), NONE, "admin loading stale", DANGEROUS),
    spec(("slowlog|reset", Id::SlowLog, 2), NONE, "admin loading stale", DANGEROUS),
    spec(("slowlog|help", Id::SlowLog, 2), NONE, ABOUT, "slow"),
    spec(("latency|doctor", Id::Latency, 2), NONE, ADMIN, DANGEROUS),
    spec(("latency|graph", Id::Latency, 3), NONE, ADMIN, DANGEROUS),
    spec(("latency|histogram", Id::Latency, -2), NONE, ADMIN, DANGEROUS),
    spec(("latency|history", Id::Latency, 3), NONE, ADMIN, DANGEROUS),
    spec(("latency|latest", Id::Latency, 2), NONE, ADMIN, DANGEROUS),
    spec(("latency|reset", Id::Latency, -2), NONE, ADMIN, DANGEROUS),
    spec(("latency|help", Id::Latency, 2), NONE, ABOUT, "slow"),
    spec(("acl|cat", Id::Acl, -2), NONE, PLAIN, "slow"),
    spec(("acl|deluser", Id::Acl, -3), NONE, ADMIN, DANGEROUS),
    spec(("acl|dryrun", Id::Acl, -4), NONE, ADMIN, DANGEROUS),
    spec(("acl|genpass", Id::Acl, -2), NONE, PLAIN, "slow"),
    spec(("acl|getuser", Id::Acl, 3), NONE, ADMIN, DANGEROUS),
    spec(("acl|list", Id::Acl, 2), NONE, ADMIN, DANGEROUS),
    spec(("acl|load", Id::Acl, 2), NONE, ADMIN, DANGEROUS),
    spec(("acl|log", Id::Acl, -2), NONE, ADMIN, DANGEROUS),
    spec(("acl|save", Id::Acl, 2), NONE, ADMIN, DANGEROUS),
    spec(("acl|setuser", Id::Acl, -3), NONE, ADMIN, DANGEROUS),
    spec(("acl|users", Id::Acl, 2), NONE, ADMIN, DANGEROUS),
    spec(("acl|whoami", Id::Acl, 2), NONE, PLAIN, "slow"),
    spec(("acl|help", Id::Acl, 2), NONE, ABOUT, "slow"),
    spec(("pubsub|channels", Id::PubSub, -2), NONE, PUBSUB, "pubsub slow"),
    spec(("pubsub|numsub", Id::PubSub, -2), NONE, PUBSUB, "pubsub slow"),
    spec(("pubsub|numpat", Id::PubSub, 2), NONE, PUBSUB, "pubsub slow"),
    spec(("pubsub|shardchannels", Id::PubSub, -2), NONE, PUBSUB, "pubsub slow"),
    spec(("pubsub|shardnumsub", Id::PubSub, -2), NONE, PUBSUB, "pubsub slow"),
    spec(("pubsub|help", Id::PubSub, 2), NONE, ABOUT, "slow"),
    spec(("script|load", Id::Script, 3), NONE, "noscript stale", SCRIPTING),
    spec(("script|help", Id::Script, 2), NONE, ABOUT, SCRIPTING),
    spec(("script|flush", Id::Script, -2), NONE, "noscript", SCRIPTING),
    spec(("script|exists", Id::Script, -3), NONE, "noscript", SCRIPTING),
    spec(("script|kill", Id::Script, 2), NONE, "noscript allow_busy", SCRIPTING),
    spec(("script|debug", Id::Script, 3), NONE, "noscript", SCRIPTING),
    spec(("module|list", Id::Module, 2), NONE, "admin noscript", DANGEROUS),
    spec(("module|help", Id::Module, 2), NONE, ABOUT, "slow"),
];

/// Returns the subcommands of a command.
pub(crate) fn of(command: &CommandSpec) -> impl Iterator<Item = &'static CommandSpec> + Clone {
    let id = command.id;
    SUBCOMMANDS.iter().filter(move |part| part.id == id)
}

/// Returns the subcommand of this name.
pub(crate) fn find(command: &[u8], name: &[u8]) -> Option<&'static CommandSpec> {
    SUBCOMMANDS.iter().find(|part| {
        let (container, part) = part.name.split_once('|').unwrap_or_default();
        command.eq_ignore_ascii_case(container.as_bytes())
            && name.eq_ignore_ascii_case(part.as_bytes())
    })
}

/// Returns the command of this name, or the subcommand if the name contains a bar.
pub(crate) fn find_spec(name: &[u8]) -> Option<&'static CommandSpec> {
    match name.iter().position(|&byte| byte == b'|') {
        None => table::find(name),
        Some(bar) => find(&name[..bar], &name[bar + 1..]),
    }
}
