//! What COMMAND DOCS says of each command.

/// What is said of a command.
pub(super) struct Docs {
    pub(super) name: &'static str,
    /// The version of Redis that had it first.
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
pub(super) static DOCS: [Docs; 62] = [
    docs("get", "1.0.0", "string", "Gives the value of a key"),
    docs(
        "set",
        "1.0.0",
        "string",
        "Stores a value, for ever or for some time, always or under a condition",
    ),
    docs("getdel", "6.2.0", "string", "Gives the value of a key and removes the key"),
    docs("getex", "6.2.0", "string", "Gives the value of a key and changes until when it lives"),
    docs("getset", "1.0.0", "string", "Stores a value and gives the one before"),
    docs("setex", "2.0.0", "string", "Stores a value for so many seconds"),
    docs("psetex", "2.6.0", "string", "Stores a value for so many milliseconds"),
    docs("del", "1.0.0", "generic", "Removes keys, all at once"),
    docs("unlink", "4.0.0", "generic", "Removes keys, all at once"),
    docs("exists", "1.0.0", "generic", "Counts those of the keys that are there"),
    docs(
        "touch",
        "3.2.1",
        "generic",
        "Counts those of the keys that are there, which are as good as used",
    ),
    docs("mget", "1.0.0", "string", "Gives the values of keys"),
    docs("mset", "1.0.1", "string", "Stores several values, all at once"),
    docs("msetnx", "1.0.1", "string", "Stores several values if none of the keys is there"),
    docs("setnx", "1.0.0", "string", "Stores a value if the key is not there"),
    docs("incr", "1.0.0", "string", "Adds one to a number"),
    docs("decr", "1.0.0", "string", "Takes one from a number"),
    docs("incrby", "1.0.0", "string", "Adds to a number"),
    docs("decrby", "1.0.0", "string", "Takes from a number"),
    docs("incrbyfloat", "2.6.0", "string", "Adds to a number with a fraction"),
    docs("append", "2.0.0", "string", "Appends to a value"),
    docs("strlen", "2.2.0", "string", "Gives the length of a value"),
    docs("getrange", "2.4.0", "string", "Gives a part of a value"),
    docs("substr", "1.0.0", "string", "Gives a part of a value"),
    docs("setrange", "2.2.0", "string", "Overwrites a part of a value"),
    docs("expire", "1.0.0", "generic", "Has a key end in so many seconds"),
    docs("pexpire", "2.6.0", "generic", "Has a key end in so many milliseconds"),
    docs("expireat", "1.2.0", "generic", "Has a key end at a moment, in seconds"),
    docs("pexpireat", "2.6.0", "generic", "Has a key end at a moment, in milliseconds"),
    docs("ttl", "1.0.0", "generic", "Tells how many seconds a key has yet"),
    docs("pttl", "2.6.0", "generic", "Tells how many milliseconds a key has yet"),
    docs("expiretime", "7.0.0", "generic", "Tells when a key ends, in seconds"),
    docs("pexpiretime", "7.0.0", "generic", "Tells when a key ends, in milliseconds"),
    docs("persist", "2.2.0", "generic", "Has a key live for ever"),
    docs("type", "1.0.0", "generic", "Tells the type of a value"),
    docs("scan", "2.8.0", "generic", "Walks through the keys, some at a time"),
    docs("keys", "1.0.0", "generic", "Gives all keys that a pattern describes"),
    docs("randomkey", "1.0.0", "generic", "Gives any key"),
    docs("rename", "1.0.0", "generic", "Gives a value another key"),
    docs("renamenx", "1.0.0", "generic", "Gives a value another key, if that is not there"),
    docs("dbsize", "1.0.0", "server", "Counts the keys"),
    docs("flushdb", "1.0.0", "server", "Removes all keys"),
    docs("flushall", "1.0.0", "server", "Removes all keys"),
    docs("ping", "1.0.0", "connection", "Answers"),
    docs("echo", "1.0.0", "connection", "Gives back what it is given"),
    docs("hello", "6.0.0", "connection", "Chooses the protocol, and says who is there"),
    docs("auth", "1.0.0", "connection", "Says the password"),
    docs("client", "2.4.0", "connection", "About connections"),
    docs("command", "2.8.13", "server", "About commands"),
    docs("config", "2.0.0", "server", "About settings"),
    docs("info", "1.0.0", "server", "Gives figures about the server"),
    docs("memory", "4.0.0", "server", "About memory"),
    docs("object", "2.2.3", "generic", "About how a value is kept"),
    docs("select", "1.0.0", "connection", "Chooses the database, of which there is one"),
    docs("time", "2.6.0", "server", "Gives the time"),
    docs("wait", "3.0.0", "generic", "Waits for replicas, of which there are none"),
    docs("lastsave", "1.0.0", "server", "Tells when the last snapshot was made"),
    docs("save", "1.0.0", "server", "Makes a snapshot"),
    docs("bgsave", "1.0.0", "server", "Makes a snapshot while others go on"),
    docs("shutdown", "1.0.0", "server", "Ends the server"),
    docs("reset", "6.2.0", "connection", "Makes the connection as it was at first"),
    docs("quit", "1.0.0", "connection", "Closes the connection"),
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
