//! Commands with a time to live, rewritten to the time at which the key expires.
//!
//! Since version 7, Redis sends its replicas such times only. Older ones send the time to live, which counts from the
//! execution of the command. So does one in an AOF that another program than Redis wrote. While commands are imported,
//! the clock of the database stands still, so that no key expires: Redis decides when a key does, and sends a command
//! that removes it.

use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::write::request;

/// Returns the command with the time at which the key expires, if it has a time to live. `name` is in lower case.
/// Returns nothing as well if the time to live is no number: the command fails then, as it would have anyway.
pub(super) fn rewritten(name: &str, arguments: &[&[u8]], now: u64) -> Option<Vec<u8>> {
    let [_, key, others @ ..] = arguments else { return None };
    Some(match (name, others) {
        ("expire" | "pexpire", [time, flags @ ..]) => {
            let at = end(time, name == "expire", now)?;
            command(&[b"pexpireat", key, &at], flags)
        }
        ("setex" | "psetex", [time, value]) => {
            let at = end(time, name == "setex", now)?;
            command(&[b"set", key, value, b"pxat", &at], &[])
        }
        ("set", [value, options @ ..]) => {
            let options = with_end(options, now)?;
            command(&[b"set", key, value], &slices(&options))
        }
        ("getex", options) => command(&[b"getex", key], &slices(&with_end(options, now)?)),
        ("restore", [time, payload, options @ ..]) => {
            let is_absolute = options.iter().any(|option| option.eq_ignore_ascii_case(b"absttl"));
            if is_absolute || *time == b"0" {
                return None;
            }
            let at = end(time, false, now)?;
            command(&[b"restore", key, &at, payload, b"absttl"], options)
        }
        _ => return None,
    })
}

/// Returns the time in milliseconds, as digits, at which a time to live ends.
fn end(time: &[u8], is_seconds: bool, now: u64) -> Option<Vec<u8>> {
    let time = number::integer(time)?;
    let milliseconds = if is_seconds { time.checked_mul(1000)? } else { time };
    // The time to live may be negative.
    let at = now.checked_add_signed(milliseconds)?;
    Some(at.to_string().into_bytes())
}

/// Replaces the options EX and PX by PXAT. Returns nothing if there is neither.
fn with_end(options: &[&[u8]], now: u64) -> Option<Vec<Vec<u8>>> {
    let is =
        |option: &[u8]| option.eq_ignore_ascii_case(b"ex") || option.eq_ignore_ascii_case(b"px");
    let place = options.iter().position(|option| is(option))?;
    let (option, time) = (options[place], options.get(place + 1)?);
    let at = end(time, option.eq_ignore_ascii_case(b"ex"), now)?;
    let mut options: Vec<_> = options.iter().map(|option| option.to_vec()).collect();
    (options[place], options[place + 1]) = (b"pxat".to_vec(), at);
    Some(options)
}

fn slices(words: &[Vec<u8>]) -> Vec<&[u8]> {
    words.iter().map(|word| &word[..]).collect()
}

fn command(begin: &[&[u8]], rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    request(&mut bytes, &[begin, rest].concat());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> Option<String> {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let name = String::from_utf8_lossy(arguments[0]).to_lowercase();
        let bytes = rewritten(&name, &arguments, 1_000_000)?;
        let text = String::from_utf8(bytes).unwrap();
        Some(text.lines().skip(2).step_by(2).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn times_to_live_become_times() {
        for (given, wanted) in [
            ("EXPIRE k 10", "pexpireat k 1010000"),
            ("PEXPIRE k 10 GT", "pexpireat k 1000010 GT"),
            ("EXPIRE k -1", "pexpireat k 999000"),
            ("SETEX k 1 v", "set k v pxat 1001000"),
            ("PSETEX k 1 v", "set k v pxat 1000001"),
            ("SET k v NX EX 5", "set k v NX pxat 1005000"),
            ("SET ex px px 5 GET", "set ex px pxat 1000005 GET"),
            ("GETEX k EX 5", "getex k pxat 1005000"),
            ("RESTORE k 7 p REPLACE", "restore k 1000007 p absttl REPLACE"),
        ] {
            assert_eq!(line(given).as_deref(), Some(wanted), "{given}");
        }
    }

    #[test]
    fn other_commands_stay() {
        for given in [
            "SET k v",
            "SET k ex",
            "SET k v PXAT 5",
            "SET k v EX",
            "SET k v EX x",
            "GETEX k PERSIST",
            "EXPIRE k x",
            "EXPIRE k 9223372036854775807",
            "PEXPIREAT k 5",
            "RESTORE k 0 p",
            "RESTORE k 5 p ABSTTL",
            "DEL k",
            "FLUSHALL",
        ] {
            assert_eq!(line(given), None, "{given}");
        }
    }
}
