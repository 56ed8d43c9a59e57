//! The key by which a client of a cluster finds the node of a command.

use crate::command::table;

/// Returns the first key, or channel, of a command. A command that is not in the table has its key behind its name, as
/// most commands of Redis do.
pub fn first_key<T: AsRef<[u8]>>(arguments: &[T]) -> Option<&[u8]> {
    let arguments: Vec<&[u8]> = arguments.iter().map(AsRef::as_ref).collect();
    let place = match table::find(arguments.first()?) {
        Some(spec) => spec.with_part(&arguments).key_range(&arguments).places().next()?,
        None => 1,
    };
    arguments.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_the_first_key() {
        for (command, key) in [
            ("get rose", Some("rose")),
            ("SET rose red EX 5", Some("rose")),
            ("mSet rose red daisy white", Some("rose")),
            ("MEMORY USAGE rose", Some("rose")),
            ("object encoding rose", Some("rose")),
            ("EVAL text 1 rose red", Some("rose")),
            ("EVALSHA text 0 rose", None),
            ("EVAL text", None),
            // Not in the table.
            ("LPUSH rose red", Some("rose")),
            ("EXEC", None),
            ("GET", None),
            ("PING rose", None),
            ("SCAN 0", None),
            ("MEMORY STATS", None),
            ("MEMORY", None),
            ("MEMORY USAGE", None),
            ("CLUSTER KEYSLOT rose", None),
        ] {
            let arguments: Vec<&str> = command.split(' ').collect();
            assert_eq!(first_key(&arguments), key.map(str::as_bytes), "{command}");
        }
        assert_eq!(first_key::<&str>(&[]), None);
    }
}
