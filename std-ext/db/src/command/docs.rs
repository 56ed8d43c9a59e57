//! The replies of COMMAND DOCS, by command.

/// The documentation of a command.
pub(super) struct Docs {
    pub(super) name: &'static str,
    /// The version of Redis that introduced it.
    pub(super) since: &'static str,
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
}

const fn docs(
    name: &'static str,
    since: &'static str,
    group: &'static str,
    summary: &'static str,
) -> Docs {
    Docs { name, since, group, summary }
}

/// In the order of [`COMMANDS`](super::table::COMMANDS).
pub(super) static DOCS: [Docs; 72] = [
    docs("get", "1.0.0", "string", "Returns the value of a key."),
    docs(
        "set",
        "1.0.0",
        "string",
        "Sets the value of a key and, optionally, its expiration. Conditions on the key can be given.",
    ),
    docs("getdel", "6.2.0", "string", "Returns the value of a key after deleting the key."),
    docs("getex", "6.2.0", "string", "Returns the value of a key after setting its expiration."),
    docs("getset", "1.0.0", "string", "Sets the value of a key and returns its old value."),
    docs("setex", "2.0.0", "string", "Sets the value of a key and its expiration in seconds."),
    docs(
        "psetex",
        "2.6.0",
        "string",
        "Sets the value of a key and its expiration in milliseconds.",
    ),
    docs("del", "1.0.0", "generic", "Deletes one or more keys, atomically."),
    docs("unlink", "4.0.0", "generic", "Deletes one or more keys, atomically."),
    docs("exists", "1.0.0", "generic", "Counts how many of the keys exist."),
    docs(
        "touch",
        "3.2.1",
        "generic",
        "Counts how many of the keys exist after updating their last access time.",
    ),
    docs("mget", "1.0.0", "string", "Returns the values of one or more keys, from one snapshot."),
    docs("mset", "1.0.1", "string", "Sets the values of one or more keys, atomically."),
    docs(
        "msetnx",
        "1.0.1",
        "string",
        "Sets the values of one or more keys, atomically, if none of them exists.",
    ),
    docs("setnx", "1.0.0", "string", "Sets the value of a key if the key does not exist."),
    docs("incr", "1.0.0", "string", "Increments the integer value of a key by one."),
    docs("decr", "1.0.0", "string", "Decrements the integer value of a key by one."),
    docs("incrby", "1.0.0", "string", "Increments the integer value of a key by a number."),
    docs("decrby", "1.0.0", "string", "Decrements the integer value of a key by a number."),
    docs(
        "incrbyfloat",
        "2.6.0",
        "string",
        "Increments the floating-point value of a key by a number.",
    ),
    docs("append", "2.0.0", "string", "Appends a string to the value of a key."),
    docs("strlen", "2.2.0", "string", "Returns the length of a value."),
    docs("getrange", "2.4.0", "string", "Returns a range of bytes of a value."),
    docs("substr", "1.0.0", "string", "Returns a range of bytes of a value."),
    docs("setrange", "2.2.0", "string", "Overwrites a part of a value, starting at an offset."),
    docs("expire", "1.0.0", "generic", "Sets the expiration of a key in seconds."),
    docs("pexpire", "2.6.0", "generic", "Sets the expiration of a key in milliseconds."),
    docs("expireat", "1.2.0", "generic", "Sets the expiration of a key to a Unix time in seconds."),
    docs(
        "pexpireat",
        "2.6.0",
        "generic",
        "Sets the expiration of a key to a Unix time in milliseconds.",
    ),
    docs("ttl", "1.0.0", "generic", "Returns the remaining time to live of a key in seconds."),
    docs(
        "pttl",
        "2.6.0",
        "generic",
        "Returns the remaining time to live of a key in milliseconds.",
    ),
    docs(
        "expiretime",
        "7.0.0",
        "generic",
        "Returns the expiration of a key as a Unix time in seconds.",
    ),
    docs(
        "pexpiretime",
        "7.0.0",
        "generic",
        "Returns the expiration of a key as a Unix time in milliseconds.",
    ),
    docs("persist", "2.2.0", "generic", "Removes the expiration of a key."),
    docs("type", "1.0.0", "generic", "Returns the type of a value."),
    docs("scan", "2.8.0", "generic", "Iterates over the keys of the database."),
    docs("keys", "1.0.0", "generic", "Returns all keys that match a pattern."),
    docs("randomkey", "1.0.0", "generic", "Returns a random key."),
    docs("rename", "1.0.0", "generic", "Renames a key and overwrites the destination."),
    docs("renamenx", "1.0.0", "generic", "Renames a key if the destination does not exist."),
    docs("dbsize", "1.0.0", "server", "Returns the number of keys."),
    docs("flushdb", "1.0.0", "server", "Removes all keys."),
    docs("flushall", "1.0.0", "server", "Removes all keys."),
    docs(
        "ping",
        "1.0.0",
        "connection",
        "Returns PONG or the given message, to test the connection.",
    ),
    docs("echo", "1.0.0", "connection", "Returns the given message."),
    docs(
        "hello",
        "6.0.0",
        "connection",
        "Selects the version of RESP and returns information about the server.",
    ),
    docs("auth", "1.0.0", "connection", "Authenticates the connection."),
    docs("client", "2.4.0", "connection", "A container for client connection commands."),
    docs("command", "2.8.13", "server", "Returns information about all commands."),
    docs("config", "2.0.0", "server", "A container for server configuration commands."),
    docs("info", "1.0.0", "server", "Returns information and statistics about the server."),
    docs("memory", "4.0.0", "server", "A container for memory diagnostics commands."),
    docs("object", "2.2.3", "generic", "A container for object introspection commands."),
    docs("select", "1.0.0", "connection", "Selects the database. There is only database 0."),
    docs("time", "2.6.0", "server", "Returns the server time."),
    docs(
        "wait",
        "3.0.0",
        "generic",
        "Waits until all changes are safe, and returns the number of live replicas; 0 without a cluster.",
    ),
    docs("role", "2.8.12", "server", "Returns the replication role."),
    docs("cluster", "3.0.0", "cluster", "A container for cluster commands."),
    docs(
        "readonly",
        "3.0.0",
        "cluster",
        "Enables reads that may be stale for a connection to a replica of a cluster.",
    ),
    docs(
        "readwrite",
        "3.0.0",
        "cluster",
        "Disables reads that may be stale for a connection to a replica of a cluster.",
    ),
    docs("asking", "3.0.0", "cluster", "Accepted without effect: no slot moves."),
    docs("lastsave", "1.0.0", "server", "Returns the Unix time of the last snapshot."),
    docs("save", "1.0.0", "server", "Writes a snapshot and waits until it is written."),
    docs("bgsave", "1.0.0", "server", "Writes a snapshot in the background."),
    docs("shutdown", "1.0.0", "server", "Shuts the server down."),
    docs("multi", "1.2.0", "transactions", "Starts a transaction: commands are queued until EXEC."),
    docs("exec", "1.2.0", "transactions", "Executes all queued commands, atomically."),
    docs("discard", "2.0.0", "transactions", "Discards a transaction."),
    docs(
        "watch",
        "2.2.0",
        "transactions",
        "Watches keys: the next transaction is executed only if none of them changes before.",
    ),
    docs("unwatch", "2.2.0", "transactions", "Forgets the watched keys of a connection."),
    docs("reset", "6.2.0", "connection", "Resets the connection."),
    docs("quit", "1.0.0", "connection", "Closes the connection."),
];

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
}
