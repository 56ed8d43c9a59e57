//! The replies of COMMAND DOCS, by command.

/// The documentation of a command or a subcommand.
pub(super) struct Docs {
    pub(super) name: &'static str,
    /// The version of Redis that introduced it.
    pub(super) since: &'static str,
    pub(super) group: &'static str,
    /// The arguments, in the notation of [`syntax`](super::syntax).
    pub(super) syntax: &'static str,
    pub(super) summary: &'static str,
}

const fn docs(
    name: &'static str,
    since: &'static str,
    group: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Docs {
    Docs { name, since, group, syntax, summary }
}

/// In the order of [`COMMANDS`](super::table::COMMANDS).
pub(super) static DOCS: [Docs; 119] = [
    docs("get", "1.0.0", "string", "key#0", "Returns the value of a key."),
    docs(
        "set",
        "1.0.0",
        "string",
        "key#0 value [condition:<NX|XX|IFEQ ifeq-value@8.4.0|IFNE ifne-value@8.4.0|IFDEQ \
            ifdeq-digest/integer@8.4.0|IFDNE ifdne-digest/integer@8.4.0>@2.6.12] [GET@6.2.0] \
            [expiration:<EX seconds/integer@2.6.12|PX milliseconds/integer@2.6.12|EXAT \
            unix-time-seconds/unix-time@6.2.0|PXAT unix-time-milliseconds/unix-time@6.2.0|\
            KEEPTTL@6.0.0>]",
        "Sets the value of a key and, optionally, its expiration. Conditions on the key can be given.",
    ),
    docs(
        "getdel",
        "6.2.0",
        "string",
        "key#0",
        "Returns the value of a key after deleting the key.",
    ),
    docs(
        "getex",
        "6.2.0",
        "string",
        "key#0 [expiration:<EX seconds/integer|PX milliseconds/integer|EXAT \
            unix-time-seconds/unix-time|PXAT unix-time-milliseconds/unix-time|PERSIST>]",
        "Returns the value of a key after setting its expiration.",
    ),
    docs(
        "getset",
        "1.0.0",
        "string",
        "key#0 value",
        "Sets the value of a key and returns its old value.",
    ),
    docs(
        "setex",
        "2.0.0",
        "string",
        "key#0 seconds/integer value",
        "Sets the value of a key and its expiration in seconds.",
    ),
    docs(
        "psetex",
        "2.6.0",
        "string",
        "key#0 milliseconds/integer value",
        "Sets the value of a key and its expiration in milliseconds.",
    ),
    docs("del", "1.0.0", "generic", "key#0...", "Deletes one or more keys, atomically."),
    docs("delifeq", "9.0.0", "string", "key#0 value", "Deletes a key if it has the given value."),
    docs(
        "delex",
        "8.4.0",
        "string",
        "key#0 [condition:<IFEQ ifeq-value|IFNE ifne-value|IFDEQ ifdeq-digest/integer|IFDNE ifdne-digest/integer>]",
        "Deletes a key if its value, or the digest of that, is the given one or another one.",
    ),
    docs("unlink", "4.0.0", "generic", "key#0...", "Deletes one or more keys, atomically."),
    docs("exists", "1.0.0", "generic", "key#0...", "Counts how many of the keys exist."),
    docs(
        "touch",
        "3.2.1",
        "generic",
        "key#0...",
        "Counts how many of the keys exist after updating their last access time.",
    ),
    docs(
        "mget",
        "1.0.0",
        "string",
        "key#0...",
        "Returns the values of one or more keys, from one snapshot.",
    ),
    docs(
        "mset",
        "1.0.1",
        "string",
        "key_value:(key#0 value)...",
        "Sets the values of one or more keys, atomically.",
    ),
    docs(
        "msetnx",
        "1.0.1",
        "string",
        "key_value:(key#0 value)...",
        "Sets the values of one or more keys, atomically, if none of them exists.",
    ),
    docs(
        "msetex",
        "8.4.0",
        "string",
        "numkeys/integer data:(key#0 value)... [condition:<NX|XX>] [expiration:<EX seconds/integer|PX \
            milliseconds/integer|EXAT unix-time-seconds/unix-time|PXAT unix-time-milliseconds/unix-time|KEEPTTL>]",
        "Sets the values of one or more keys and, optionally, their expiration, atomically.",
    ),
    docs(
        "setnx",
        "1.0.0",
        "string",
        "key#0 value",
        "Sets the value of a key if the key does not exist.",
    ),
    docs("incr", "1.0.0", "string", "key#0", "Increments the integer value of a key by one."),
    docs("decr", "1.0.0", "string", "key#0", "Decrements the integer value of a key by one."),
    docs(
        "incrby",
        "1.0.0",
        "string",
        "key#0 increment/integer",
        "Increments the integer value of a key by a number.",
    ),
    docs(
        "decrby",
        "1.0.0",
        "string",
        "key#0 decrement/integer",
        "Decrements the integer value of a key by a number.",
    ),
    docs(
        "incrbyfloat",
        "2.6.0",
        "string",
        "key#0 increment/double",
        "Increments the floating-point value of a key by a number.",
    ),
    docs("append", "2.0.0", "string", "key#0 value", "Appends a string to the value of a key."),
    docs("strlen", "2.2.0", "string", "key#0", "Returns the length of a value."),
    docs(
        "digest",
        "8.4.0",
        "string",
        "key#0",
        "Returns the XXH3 of a value, in hexadecimal digits.",
    ),
    docs(
        "getrange",
        "2.4.0",
        "string",
        "key#0 start/integer end/integer",
        "Returns a range of bytes of a value.",
    ),
    docs(
        "substr",
        "1.0.0",
        "string",
        "key#0 start/integer end/integer",
        "Returns a range of bytes of a value.",
    ),
    docs(
        "setrange",
        "2.2.0",
        "string",
        "key#0 offset/integer value",
        "Overwrites a part of a value, starting at an offset.",
    ),
    docs(
        "setbit",
        "2.2.0",
        "bitmap",
        "key#0 offset/integer value/integer",
        "Sets or clears a bit of a value, and returns the old one.",
    ),
    docs("getbit", "2.2.0", "bitmap", "key#0 offset/integer", "Returns a bit of a value."),
    docs(
        "bitcount",
        "2.6.0",
        "bitmap",
        "key#0 [index:(start/integer end/integer [index_unit:<BYTE|BIT>@7.0.0])]",
        "Counts the set bits in a value or a part of it.",
    ),
    docs(
        "bitpos",
        "2.8.7",
        "bitmap",
        "key#0 bit/integer [index:(start/integer [end_index:(end/integer [index_unit:<BYTE|BIT>@7.0.0])])]",
        "Finds the first set or clear bit in a value or a part of it.",
    ),
    docs(
        "bitop",
        "2.6.0",
        "bitmap",
        "operation destkey#0 key#1...",
        "Performs a bitwise operation on several values, and stores the result.",
    ),
    docs(
        "bitfield",
        "3.2.0",
        "bitmap",
        "key#0 [operation:<GET encoding_offset:(encoding offset/integer)|write:([OVERFLOW \
            wrap_sat_fail:<WRAP|SAT|FAIL>] write_operation:<SET encoding_offset_value:(encoding \
            offset/integer value/integer)|INCRBY encoding_offset_increment:(encoding offset/integer \
            increment/integer)>)>...]",
        "Reads and changes integers of any width in a value.",
    ),
    docs(
        "bitfield_ro",
        "6.0.0",
        "bitmap",
        "key#0 [GET encoding_offset:(encoding offset/integer)...+]",
        "Reads integers of any width in a value.",
    ),
    docs(
        "lcs",
        "7.0.0",
        "string",
        "key1#0 key2#0 [LEN] [IDX] [MINMATCHLEN len/integer] [WITHMATCHLEN]",
        "Finds the longest common subsequence of two values.",
    ),
    docs(
        "sort",
        "1.0.0",
        "generic",
        "key#0 [BY pattern/pattern#1] [LIMIT offset_count:(offset/integer count/integer)] [GET \
            pattern/pattern#1...+] [order:<ASC|DESC>] [sorting:ALPHA] [STORE destination#2]",
        "Sorts the elements of a key. Strings have none.",
    ),
    docs(
        "sort_ro",
        "7.0.0",
        "generic",
        "key#0 [BY pattern/pattern#1] [LIMIT offset_count:(offset/integer count/integer)] [GET \
            pattern/pattern#1...+] [order:<ASC|DESC>] [sorting:ALPHA]",
        "Sorts the elements of a key. Strings have none.",
    ),
    docs("pfadd", "2.8.9", "hyperloglog", "key#0 [element...]", "Adds elements to a HyperLogLog."),
    docs(
        "pfcount",
        "2.8.9",
        "hyperloglog",
        "key#0...",
        "Estimates the number of elements of one or more HyperLogLogs.",
    ),
    docs(
        "pfmerge",
        "2.8.9",
        "hyperloglog",
        "destkey#0 sourcekey#1...",
        "Stores the union of HyperLogLogs.",
    ),
    docs(
        "expire",
        "1.0.0",
        "generic",
        "key#0 seconds/integer [condition:<NX|XX|GT|LT>@7.0.0]",
        "Sets the expiration of a key in seconds.",
    ),
    docs(
        "pexpire",
        "2.6.0",
        "generic",
        "key#0 milliseconds/integer [condition:<NX|XX|GT|LT>@7.0.0]",
        "Sets the expiration of a key in milliseconds.",
    ),
    docs(
        "expireat",
        "1.2.0",
        "generic",
        "key#0 unix-time-seconds/unix-time [condition:<NX|XX|GT|LT>@7.0.0]",
        "Sets the expiration of a key to a Unix time in seconds.",
    ),
    docs(
        "pexpireat",
        "2.6.0",
        "generic",
        "key#0 unix-time-milliseconds/unix-time [condition:<NX|XX|GT|LT>@7.0.0]",
        "Sets the expiration of a key to a Unix time in milliseconds.",
    ),
    docs(
        "ttl",
        "1.0.0",
        "generic",
        "key#0",
        "Returns the remaining time to live of a key in seconds.",
    ),
    docs(
        "pttl",
        "2.6.0",
        "generic",
        "key#0",
        "Returns the remaining time to live of a key in milliseconds.",
    ),
    docs(
        "expiretime",
        "7.0.0",
        "generic",
        "key#0",
        "Returns the expiration of a key as a Unix time in seconds.",
    ),
    docs(
        "pexpiretime",
        "7.0.0",
        "generic",
        "key#0",
        "Returns the expiration of a key as a Unix time in milliseconds.",
    ),
    docs("persist", "2.2.0", "generic", "key#0", "Removes the expiration of a key."),
    docs("type", "1.0.0", "generic", "key#0", "Returns the type of a value."),
    docs(
        "dump",
        "2.6.0",
        "generic",
        "key#0",
        "Returns a key's value in Redis's format, for RESTORE.",
    ),
    docs(
        "restore",
        "2.6.0",
        "generic",
        "key#0 ttl/integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME \
            seconds/integer@5.0.0] [FREQ frequency/integer@5.0.0]",
        "Stores a value that DUMP has returned.",
    ),
    docs(
        "migrate",
        "2.6.0",
        "generic",
        "host port/integer key_or_empty_string:<key#0|empty_string:> destination-db/integer \
            timeout/integer [COPY@3.0.0] [REPLACE@3.0.0] [authentication:<[AUTH password@4.0.7]|\
            [AUTH2 username_password:(username password)@6.0.0]>] [KEYS key#1@3.0.6...]",
        "Moves or copies keys to another server.",
    ),
    docs(
        "scan",
        "2.8.0",
        "generic",
        "cursor/integer [MATCH pattern/pattern] [COUNT count/integer] [TYPE type@6.0.0]",
        "Iterates over the keys of the database.",
    ),
    docs("keys", "1.0.0", "generic", "pattern/pattern", "Returns all keys that match a pattern."),
    docs("randomkey", "1.0.0", "generic", "", "Returns a random key."),
    docs(
        "rename",
        "1.0.0",
        "generic",
        "key#0 newkey#1",
        "Renames a key and overwrites the destination.",
    ),
    docs(
        "renamenx",
        "1.0.0",
        "generic",
        "key#0 newkey#1",
        "Renames a key if the destination does not exist.",
    ),
    docs(
        "copy",
        "6.2.0",
        "generic",
        "source#0 destination#1 [DB destination-db/integer] [REPLACE]",
        "Copies the value of a key to another key.",
    ),
    docs("move", "1.0.0", "generic", "key#0 db/integer", "Moves a key to another database."),
    docs("swapdb", "4.0.0", "server", "index1/integer index2/integer", "Swaps two databases."),
    docs("dbsize", "1.0.0", "server", "", "Returns the number of keys."),
    docs("flushdb", "1.0.0", "server", "[async:<ASYNC@4.0.0|SYNC@6.2.0>]", "Removes all keys."),
    docs("flushall", "1.0.0", "server", "[async:<ASYNC@4.0.0|SYNC@6.2.0>]", "Removes all keys."),
    docs(
        "ping",
        "1.0.0",
        "connection",
        "[message]",
        "Returns PONG or the given message, to test the connection.",
    ),
    docs("echo", "1.0.0", "connection", "message", "Returns the given message."),
    docs(
        "hello",
        "6.0.0",
        "connection",
        "[arguments:(protover/integer [AUTH username_password:(username password)] [SETNAME clientname])]",
        "Selects the version of RESP and returns information about the server.",
    ),
    docs(
        "auth",
        "1.0.0",
        "connection",
        "[username@6.0.0] password",
        "Authenticates the connection.",
    ),
    docs("client", "2.4.0", "connection", "", "A container for client connection commands."),
    docs("command", "2.8.13", "server", "", "Returns information about all commands."),
    docs("config", "2.0.0", "server", "", "A container for server configuration commands."),
    docs(
        "info",
        "1.0.0",
        "server",
        "[section...]",
        "Returns information and statistics about the server.",
    ),
    docs("memory", "4.0.0", "server", "", "A container for memory diagnostics commands."),
    docs("object", "2.2.3", "generic", "", "A container for object introspection commands."),
    docs(
        "select",
        "1.0.0",
        "connection",
        "index/integer",
        "Selects the database of the following commands.",
    ),
    docs("time", "2.6.0", "server", "", "Returns the server time."),
    docs(
        "wait",
        "3.0.0",
        "generic",
        "numreplicas/integer timeout/integer",
        "Waits until all changes are durable, and returns the number of live replicas; 0 without a cluster.",
    ),
    docs(
        "waitaof",
        "7.2.0",
        "generic",
        "numlocal/integer numreplicas/integer timeout/integer",
        "Syncs the log, and returns whether it is synced and the number of live replicas.",
    ),
    docs("role", "2.8.12", "server", "", "Returns the replication role."),
    docs("cluster", "3.0.0", "cluster", "", "A container for cluster commands."),
    docs(
        "readonly",
        "3.0.0",
        "cluster",
        "",
        "Enables reads that may be stale for a connection to a replica of a cluster.",
    ),
    docs(
        "readwrite",
        "3.0.0",
        "cluster",
        "",
        "Disables reads that may be stale for a connection to a replica of a cluster.",
    ),
    docs("asking", "3.0.0", "cluster", "", "Accepted without effect: no slot moves."),
    docs("lastsave", "1.0.0", "server", "", "Returns the Unix time of the last snapshot."),
    docs("save", "1.0.0", "server", "", "Writes a snapshot and waits until it is written."),
    docs("bgsave", "1.0.0", "server", "[SCHEDULE@3.2.2]", "Writes a snapshot in the background."),
    docs(
        "bgrewriteaof",
        "1.0.0",
        "server",
        "",
        "Writes a snapshot in the background, so that the log is short.",
    ),
    docs(
        "replicaof",
        "5.0.0",
        "server",
        "args:<host-port:(host port/integer)|no-one:(NO ONE)>",
        "Accepts NO ONE: the server cannot be a replica.",
    ),
    docs(
        "slaveof",
        "1.0.0",
        "server",
        "args:<host-port:(host port/integer)|no-one:(NO ONE)>",
        "Accepts NO ONE: the server cannot be a replica.",
    ),
    docs(
        "shutdown",
        "1.0.0",
        "server",
        "[nosave_save:<NOSAVE|SAVE>] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]",
        "Shuts the server down.",
    ),
    docs("slowlog", "2.2.12", "server", "", "A container for slow log commands."),
    docs("latency", "2.8.13", "server", "", "A container for latency diagnostics commands."),
    docs("acl", "6.0.0", "server", "", "A container for access list control commands."),
    docs("debug", "1.0.0", "server", "", "A container for debugging commands."),
    docs(
        "monitor",
        "1.0.0",
        "server",
        "",
        "Listens for all requests received by the server in real-time.",
    ),
    docs(
        "multi",
        "1.2.0",
        "transactions",
        "",
        "Starts a transaction: commands are queued until EXEC.",
    ),
    docs("exec", "1.2.0", "transactions", "", "Executes all queued commands, atomically."),
    docs("discard", "2.0.0", "transactions", "", "Discards a transaction."),
    docs(
        "watch",
        "2.2.0",
        "transactions",
        "key#0...",
        "Watches keys: the next transaction is executed only if none of them changes before.",
    ),
    docs("unwatch", "2.2.0", "transactions", "", "Forgets the watched keys of a connection."),
    docs("reset", "6.2.0", "connection", "", "Resets the connection."),
    docs("quit", "1.0.0", "connection", "", "Closes the connection."),
    docs("subscribe", "2.0.0", "pubsub", "channel...", "Subscribes to channels."),
    docs("unsubscribe", "2.0.0", "pubsub", "[channel...]", "Ends subscriptions to channels."),
    docs(
        "psubscribe",
        "2.0.0",
        "pubsub",
        "pattern:(pattern/pattern)...",
        "Subscribes to all channels that match patterns.",
    ),
    docs(
        "punsubscribe",
        "2.0.0",
        "pubsub",
        "[pattern/pattern...]",
        "Ends subscriptions to patterns.",
    ),
    docs(
        "ssubscribe",
        "7.0.0",
        "pubsub",
        "shardchannel...",
        "Subscribes to channels of a hash slot.",
    ),
    docs(
        "sunsubscribe",
        "7.0.0",
        "pubsub",
        "[shardchannel...]",
        "Ends subscriptions to channels of a hash slot.",
    ),
    docs(
        "publish",
        "2.0.0",
        "pubsub",
        "channel message",
        "Sends a message to the subscribers of a channel.",
    ),
    docs(
        "spublish",
        "7.0.0",
        "pubsub",
        "shardchannel message",
        "Sends a message to the subscribers of a hash slot's channel.",
    ),
    docs("pubsub", "2.8.0", "pubsub", "", "A container for commands about subscriptions."),
    docs(
        "eval",
        "2.6.0",
        "scripting",
        "script numkeys/integer [key#0...] [arg...]",
        "Executes a script in Lua.",
    ),
    docs(
        "evalsha",
        "2.6.0",
        "scripting",
        "sha1 numkeys/integer [key#0...] [arg...]",
        "Executes a script that the server knows, by its SHA-1.",
    ),
    docs(
        "eval_ro",
        "7.0.0",
        "scripting",
        "script numkeys/integer [key#0...] [arg...]",
        "Executes a script in Lua that changes nothing.",
    ),
    docs(
        "evalsha_ro",
        "7.0.0",
        "scripting",
        "sha1 numkeys/integer [key#0...] [arg...]",
        "Executes a script that the server knows, by its SHA-1, and that changes nothing.",
    ),
    docs("script", "2.6.0", "scripting", "", "A container for commands about scripts."),
    docs(
        "module",
        "4.0.0",
        "server",
        "",
        "A container for commands about modules, which do not exist.",
    ),
];

/// The time that commands take, and the commands and subcommands that take it. All others take the same time always.
const COMPLEXITIES: [(&str, &[&str]); 11] = [
    (
        "O(N), N is the number of keys",
        &[
            "del", "unlink", "exists", "touch", "mget", "mset", "msetnx", "msetex", "pfcount",
            "pfmerge", "watch", "unwatch",
        ],
    ),
    (
        "O(N), N is the number of bytes",
        &[
            "getrange",
            "substr",
            "setrange",
            "bitcount",
            "bitpos",
            "bitop",
            "dump",
            "restore",
            "copy",
            "move",
            "getdel",
            "digest",
            "delex",
            "migrate",
            "memory|usage",
        ],
    ),
    ("O(N*M), N and M are the numbers of bytes", &["lcs"]),
    ("O(N), N is the number of integers", &["bitfield", "bitfield_ro", "pfadd"]),
    ("O(N), N is the number of keys in the database", &["keys", "flushdb", "flushall", "save"]),
    ("O(1) for each call, O(N) for all calls, N is the number of keys in the database", &["scan"]),
    (
        "O(N), N is the number of subscribers and of patterns",
        &[
            "publish",
            "spublish",
            "pubsub|channels",
            "pubsub|shardchannels",
            "pubsub|numsub",
            "pubsub|shardnumsub",
            "subscribe",
            "unsubscribe",
            "psubscribe",
            "punsubscribe",
            "ssubscribe",
            "sunsubscribe",
        ],
    ),
    ("Depends on the script", &["eval", "evalsha", "eval_ro", "evalsha_ro"]),
    ("Depends on the commands that are queued", &["exec", "discard"]),
    ("O(N), N is the number of connections", &["client|list", "client|kill"]),
    (
        "O(N), N is the length of the reply",
        &[
            "command",
            "command|docs",
            "command|info",
            "command|list",
            "config|get",
            "info",
            "slowlog|get",
            "latency|history",
            "latency|histogram",
            "acl|list",
            "acl|log",
            "cluster|slots",
            "cluster|shards",
            "cluster|nodes",
            "cluster|getkeysinslot",
        ],
    ),
];

/// Returns the time that a command or a subcommand takes.
pub(super) fn complexity(name: &str, is_container: bool) -> &'static str {
    let found = COMPLEXITIES.iter().find(|(_, names)| names.contains(&name));
    match found {
        Some((text, _)) => text,
        None if is_container => "Depends on the subcommand",
        None => "O(1)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::COMMANDS;

    #[test]
    fn every_command_has_its_words() {
        let named: Vec<&str> = DOCS.iter().map(|docs| docs.name).collect();
        let wanted: Vec<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
        assert_eq!(named, wanted);
    }

    #[test]
    fn complexities_are_of_commands() {
        for name in COMPLEXITIES.iter().flat_map(|(_, names)| *names) {
            assert!(crate::command::subcommands::find_spec(name.as_bytes()).is_some(), "{name}");
        }
        assert_eq!(complexity("get", false), "O(1)");
        assert_eq!(complexity("acl", true), "Depends on the subcommand");
    }
}
