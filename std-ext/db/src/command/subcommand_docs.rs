//! The replies of COMMAND DOCS, by subcommand.

use super::docs::Docs;

/// The group of a subcommand is that of its command.
const fn part(
    name: &'static str,
    since: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Docs {
    Docs { name, since, group: "", syntax, summary }
}

const HELP: &str = "Lists the subcommands.";

/// In the order of [`SUBCOMMANDS`](super::subcommands::SUBCOMMANDS).
pub(super) static SUBCOMMAND_DOCS: [Docs; 94] = [
    part("client|id", "5.0.0", "", "Returns the id of the connection."),
    part("client|getname", "2.6.9", "", "Returns the name of the connection."),
    part("client|setname", "2.6.9", "connection-name", "Names the connection."),
    part(
        "client|list",
        "2.4.0",
        "[TYPE normal_master_replica_pubsub:<NORMAL|MASTER|REPLICA|PUBSUB>@5.0.0] [ID id:(client-id/integer...)@6.2.0]",
        "Lists the connections.",
    ),
    part("client|info", "6.2.0", "", "Describes the connection."),
    part(
        "client|reply",
        "3.2.0",
        "on_off_skip:<ON|OFF|SKIP>",
        "Turns the replies to later commands on or off.",
    ),
    part(
        "client|setinfo",
        "7.2.0",
        "attr:<LIB-NAME libname|LIB-VER libver>",
        "Sets the name or the version of the client library.",
    ),
    part(
        "client|no-evict",
        "7.0.0",
        "enabled:<ON|OFF>",
        "Exempts the connection from client eviction.",
    ),
    part(
        "client|no-touch",
        "7.2.0",
        "enabled:<ON|OFF>",
        "Reads keys without updating their last access time.",
    ),
    part(
        "client|getredir",
        "6.0.0",
        "",
        "Returns the id of the connection that receives the invalidation messages.",
    ),
    part(
        "client|kill",
        "2.4.0",
        "filter:<ip:port!2.8.12|new-format:<[ID client-id/integer@2.8.12]|[TYPE \
            normal_master_slave_pubsub:<NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB>@2.8.12]|\
            [USER username]|[ADDR ip:port]|[LADDR ip:port@6.2.0]|[SKIPME yes/no]>...>",
        "Closes connections.",
    ),
    part(
        "client|unblock",
        "5.0.0",
        "client-id/integer [timeout_error:<TIMEOUT|ERROR>]",
        "Unblocks another connection.",
    ),
    part(
        "client|tracking",
        "6.0.0",
        "status:<ON|OFF> [REDIRECT client-id/integer] [PREFIX prefix...+] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        "Turns invalidation messages for the keys that the client has read on or off.",
    ),
    part(
        "client|caching",
        "6.0.0",
        "mode:<YES|NO>",
        "Includes the keys of the next command in tracking, or leaves them out.",
    ),
    part("client|trackinginfo", "6.2.0", "", "Describes the tracking of the connection."),
    part(
        "client|pause",
        "2.9.50",
        "timeout/integer [mode:<WRITE|ALL>@6.2.0]",
        "Suspends the commands of all clients for some milliseconds.",
    ),
    part("client|unpause", "6.2.0", "", "Ends CLIENT PAUSE."),
    part("client|help", "5.0.0", "", HELP),
    part(
        "cluster|count-failure-reports",
        "3.0.0",
        "node-id",
        "Counts the nodes that report the failure of a node.",
    ),
    part(
        "cluster|countkeysinslot",
        "3.0.0",
        "slot/integer",
        "Counts the keys of a slot at this node.",
    ),
    part(
        "cluster|failover",
        "3.0.0",
        "[options:<FORCE|TAKEOVER>]",
        "Makes this follower the primary of its group.",
    ),
    part(
        "cluster|getkeysinslot",
        "3.0.0",
        "slot/integer count/integer",
        "Returns keys of a slot at this node.",
    ),
    part("cluster|help", "5.0.0", "", HELP),
    part("cluster|info", "3.0.0", "", "Describes the state of the cluster."),
    part("cluster|keyslot", "3.0.0", "key", "Returns the slot of a key."),
    part("cluster|links", "7.0.0", "", "Lists the connections to other nodes."),
    part("cluster|myid", "3.0.0", "", "Returns the id of the node."),
    part("cluster|myshardid", "7.2.0", "", "Returns the id of the group of the node."),
    part("cluster|nodes", "3.0.0", "", "Lists the nodes with their slots, as lines of text."),
    part("cluster|replicas", "5.0.0", "node-id", "Lists the followers of a primary."),
    part("cluster|shards", "7.0.0", "", "Lists the groups with their slots and nodes."),
    part("cluster|slaves", "3.0.0", "node-id", "Lists the followers of a primary."),
    part(
        "cluster|slot-stats",
        "8.0.0",
        "filter:<SLOTSRANGE slotsrange:(start-slot/integer end-slot/integer)|ORDERBY \
            orderby:(metric [LIMIT limit/integer] [order:<ASC|DESC>])>",
        "Returns statistics of slots.",
    ),
    part("cluster|slots", "3.0.0", "", "Lists the ranges of slots with their nodes."),
    part("command|count", "2.8.13", "", "Counts the commands."),
    part(
        "command|list",
        "7.0.0",
        "[FILTERBY filterby:<MODULE module-name|ACLCAT category|PATTERN pattern/pattern>]",
        "Lists the names of commands.",
    ),
    part(
        "command|info",
        "2.8.13",
        "[command-name...]",
        "Describes commands for clients: arity, flags, keys.",
    ),
    part("command|docs", "7.0.0", "[command-name...]", "Describes commands for people."),
    part("command|getkeys", "2.8.13", "", "Returns the keys of a command."),
    part(
        "command|getkeysandflags",
        "7.0.0",
        "",
        "Returns the keys of a command, and its use of them.",
    ),
    part("command|help", "5.0.0", "", HELP),
    part(
        "config|get",
        "2.0.0",
        "parameter:(parameter)...",
        "Returns the settings that match patterns.",
    ),
    part(
        "config|set",
        "2.0.0",
        "parameter_value:(parameter value)...",
        "Changes settings, all or none.",
    ),
    part("config|resetstat", "2.0.0", "", "Sets the statistics of INFO to zero."),
    part("config|rewrite", "2.8.0", "", "Writes the changed settings to the configuration file."),
    part("config|help", "5.0.0", "", HELP),
    part(
        "memory|usage",
        "4.0.0",
        "key#0 [SAMPLES count/integer]",
        "Returns the bytes of memory of a key.",
    ),
    part("memory|stats", "4.0.0", "", "Returns the use of memory in detail."),
    part("memory|malloc-stats", "4.0.0", "", "Returns the statistics of the allocator."),
    part("memory|purge", "4.0.0", "", "Gives free memory back to the operating system."),
    part("memory|help", "4.0.0", "", HELP),
    part("object|encoding", "2.2.3", "key#0", "Returns the encoding of a value."),
    part(
        "object|idletime",
        "2.2.3",
        "key#0",
        "Returns the seconds since the last access to a key.",
    ),
    part(
        "object|freq",
        "4.0.0",
        "key#0",
        "Returns the logarithmic count of the accesses to a key.",
    ),
    part("object|refcount", "2.2.3", "key#0", "Returns the number of references to a value."),
    part("object|help", "6.2.0", "", HELP),
    part("slowlog|get", "2.2.12", "[count/integer]", "Returns the latest slow commands."),
    part("slowlog|len", "2.2.12", "", "Counts the entries of the slow log."),
    part("slowlog|reset", "2.2.12", "", "Removes all entries of the slow log."),
    part("slowlog|help", "6.2.0", "", HELP),
    part("latency|doctor", "2.8.13", "", "Reports slow events as text."),
    part("latency|graph", "2.8.13", "event", "Draws the latencies of an event."),
    part(
        "latency|histogram",
        "7.0.0",
        "[command...]",
        "Returns the distribution of the latencies of commands.",
    ),
    part("latency|history", "2.8.13", "event", "Returns the latest latencies of an event."),
    part("latency|latest", "2.8.13", "", "Returns the last latency of each event."),
    part("latency|reset", "2.8.13", "[event...]", "Removes the latencies of events."),
    part("latency|help", "2.8.13", "", HELP),
    part("acl|cat", "6.0.0", "[categoryname]", "Lists the categories, or the commands of one."),
    part("acl|deluser", "6.0.0", "username...", "Removes users, and closes their connections."),
    part(
        "acl|dryrun",
        "7.0.0",
        "username command [arg...]",
        "Tells whether a user may execute a command, without executing it.",
    ),
    part("acl|genpass", "6.0.0", "[bits/integer]", "Generates a password."),
    part("acl|getuser", "6.0.0", "username", "Returns the rules of a user."),
    part("acl|list", "6.0.0", "", "Lists the users with their rules, as lines of a file."),
    part("acl|load", "6.0.0", "", "Reads the users from the file."),
    part(
        "acl|log",
        "6.0.0",
        "[operation:<count/integer|RESET>]",
        "Returns the latest commands and logins that were denied.",
    ),
    part("acl|save", "6.0.0", "", "Writes the users to the file."),
    part("acl|setuser", "6.0.0", "username [rule...]", "Creates a user, or changes one."),
    part("acl|users", "6.0.0", "", "Lists the names of all users."),
    part("acl|whoami", "6.0.0", "", "Returns the user of the connection."),
    part("acl|help", "6.0.0", "", HELP),
    part(
        "pubsub|channels",
        "2.8.0",
        "[pattern/pattern]",
        "Lists the channels that have subscribers.",
    ),
    part("pubsub|numsub", "2.8.0", "[channel...]", "Counts the subscribers of channels."),
    part("pubsub|numpat", "2.8.0", "", "Counts the patterns that have subscribers."),
    part(
        "pubsub|shardchannels",
        "7.0.0",
        "[pattern/pattern]",
        "Lists the channels of hash slots that have subscribers.",
    ),
    part(
        "pubsub|shardnumsub",
        "7.0.0",
        "[shardchannel...]",
        "Counts the subscribers of channels of hash slots.",
    ),
    part("pubsub|help", "6.2.0", "", HELP),
    part("script|load", "2.6.0", "script", "Stores a script, and returns its SHA-1."),
    part("script|help", "5.0.0", "", HELP),
    part("script|flush", "2.6.0", "[async:<ASYNC|SYNC>@6.2.0]", "Removes all scripts."),
    part("script|exists", "2.6.0", "sha1...", "Tells which scripts the server knows."),
    part("script|kill", "2.6.0", "", "Stops a script that has changed nothing."),
    part("script|debug", "3.2.0", "mode:<YES|SYNC|NO>", "Is refused: there is no debugger."),
    part("module|list", "4.0.0", "", "Lists the modules: there are none."),
    part("module|help", "5.0.0", "", HELP),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::subcommands::SUBCOMMANDS;

    #[test]
    fn every_subcommand_has_its_words() {
        let named: Vec<&str> = SUBCOMMAND_DOCS.iter().map(|docs| docs.name).collect();
        let wanted: Vec<&str> = SUBCOMMANDS.iter().map(|spec| spec.name).collect();
        assert_eq!(named, wanted);
    }
}
