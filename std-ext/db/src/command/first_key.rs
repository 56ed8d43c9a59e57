//! The key by which a client of a cluster finds the node of a command.

use crate::command::subcommands;
use crate::command::table;
use crate::state::number;

/// Returns the first key of a command. A command that is not in the table has its key behind its name, as
/// most commands of Redis do.
pub(crate) fn first_key<T: AsRef<[u8]>>(arguments: &[T]) -> Option<&[u8]> {
    let argument = |at: usize| arguments.get(at).map(AsRef::as_ref);
    let name = argument(0)?;
    let Some(spec) = table::find(name) else { return argument(1) };
    if spec.counts_keys() {
        return argument(2).and_then(number::integer).filter(|count| *count > 0).and(argument(3));
    }
    let place = match spec.keys.0 {
        0 => subcommands::find(name, argument(1)?)?.keys.0,
        place => place,
    };
    usize::try_from(place).ok().filter(|place| *place != 0).and_then(argument)
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
