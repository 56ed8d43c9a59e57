//! The lines that monitors see.

use crate::command::connection::Connection;
use crate::command::diagnostics::Diagnostics;
use crate::command::redact::redacted;
use crate::command::table::{self, CommandSpec, Flag, Id};
use crate::pubsub::Message;
use std::borrow::Cow;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of an argument that a line shows at most.
const MAX_BYTES: usize = 64 << 10;
/// Bytes of a line from which on no more arguments are shown. Every monitor keeps the line until it has read it.
const MAX_LINE: usize = 1 << 20;

/// Shows a request that will be executed to the monitors.
pub(super) fn show(
    diagnostics: &Diagnostics,
    connection: &Connection,
    spec: &'static CommandSpec,
    arguments: &[&[u8]],
) {
    let refuses = || connection.user.refuses(spec, arguments);
    if !connection.authenticated && !spec.allowed_unauthenticated()
        || !connection.is_unrestricted && refuses()
    {
        return;
    }
    match &connection.queue {
        None => show_one(diagnostics, connection, spec, arguments),
        // Commands of a transaction are shown when they are executed.
        Some(queue) if spec.id == Id::EXEC && !queue.is_aborted() => {
            let all = queue.arguments();
            for (spec, arguments) in queue.commands(&all) {
                show_one(diagnostics, connection, spec, arguments);
            }
            show_one(diagnostics, connection, spec, arguments);
        }
        Some(_) if matches!(spec.id, Id::EXEC | Id::DISCARD | Id::RESET | Id::QUIT) => {
            show_one(diagnostics, connection, spec, arguments);
        }
        Some(_) => {}
    }
}

/// Shows a command that a script of this connection will execute.
#[cfg(feature = "scripts")]
pub(super) fn show_called(
    diagnostics: &Diagnostics,
    connection: &Connection,
    spec: &CommandSpec,
    arguments: &[&[u8]],
) {
    show_of(diagnostics, (connection.database, "lua"), spec, arguments);
}

fn show_one(
    diagnostics: &Diagnostics,
    connection: &Connection,
    spec: &CommandSpec,
    arguments: &[&[u8]],
) {
    show_of(diagnostics, (connection.database, &source(&connection.address)), spec, arguments);
}

fn show_of(
    diagnostics: &Diagnostics,
    source: (u16, &str),
    spec: &CommandSpec,
    arguments: &[&[u8]],
) {
    let part = arguments.get(1).filter(|_| !spec.parts().is_empty());
    let part = part.and_then(|part| table::find_part(arguments[0], part));
    // Redis does not show commands of administrators.
    if !part.unwrap_or(spec).has_flag(Flag::Admin) {
        diagnostics.show_to_monitors(&Message::line(&line(source, arguments)));
    }
}

/// Returns an address as a line shows it.
fn source(address: &str) -> Cow<'_, str> {
    if address.starts_with('/') {
        Cow::Owned(format!("unix:{}", address.trim_end_matches(":0")))
    } else {
        Cow::Borrowed(address)
    }
}

/// Formats a request to a database, without the first byte of the reply.
fn line((database, source): (u16, &str), arguments: &[&[u8]]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line = Vec::new();
    // Writing to memory does not fail.
    let _ = write!(line, "{}.{:06} [{database} {source}]", now.as_secs(), now.subsec_micros());
    for (at, argument) in redacted(arguments).into_iter().enumerate() {
        if line.len() > MAX_LINE {
            let _ = write!(line, " ... ({} more arguments)", arguments.len() - at);
            break;
        }
        line.extend_from_slice(b" \"");
        escape(&argument[..argument.len().min(MAX_BYTES)], &mut line);
        if argument.len() > MAX_BYTES {
            let _ = write!(line, "... ({} more bytes)", argument.len() - MAX_BYTES);
        }
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            7 => line.extend(b"\\a"),
            8 => line.extend(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => {
                // Writing to memory does not fail.
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_redis() {
        let shown = |address: &str, words: &[&[u8]]| {
            let line = String::from_utf8(line((3, &source(address)), words)).unwrap();
            let (time, rest) = line.split_once(' ').unwrap();
            let (seconds, micros) = time.split_once('.').unwrap();
            assert!(seconds.parse::<u64>().unwrap() > 1_600_000_000 && micros.len() == 6, "{line}");
            rest.to_owned()
        };
        let text = shown("127.0.0.1:5", &[b"SET", b"a \"\\", b"\n\r\t\x07\x08\x00\xff"]);
        assert_eq!(
            text,
            "[3 127.0.0.1:5] \"SET\" \"a \\\"\\\\\" \"\\n\\r\\t\\a\\b\\x00\\xff\"\r\n"
        );
        let text = shown("/run/socket:0", &[b"AUTH", b"sesame"]);
        assert_eq!(text, "[3 unix:/run/socket] \"AUTH\" \"(redacted)\"\r\n", "a secret is shown");
        let text = shown("127.0.0.1:5", &[b"GET", &b"x".repeat(70_000)]);
        assert!(text.ends_with("x... (4464 more bytes)\"\r\n"), "a line takes any memory");
        let text = shown("127.0.0.1:5", &vec![b"key".as_slice(); 1 << 18]);
        assert!(text.len() < MAX_LINE + 100, "a line of many arguments takes any memory");
        let (_, more) = text.rsplit_once(" \"key\" ... (").unwrap();
        let more: usize = more.strip_suffix(" more arguments)\r\n").unwrap().parse().unwrap();
        let shown = text.matches("\"key\"").count();
        assert_eq!(shown + more, 1 << 18, "an argument is neither shown nor counted");
    }
}
