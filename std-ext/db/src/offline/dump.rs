//! `hedgerow-db dump`.

use super::folder;
use super::report::{json_string, output_error};
use crate::config::DataInvocation;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

/// Prints all keys of a directory: as commands for redis-cli, or as one object of JSON a line.
///
/// # Errors
/// If the directory cannot be read, or the result cannot be written.
pub(super) fn run(asked: &DataInvocation, out: &mut dyn Write) -> Result<bool, String> {
    let loaded = folder::load(&asked.dir).map_err(|why| why.to_string())?;
    let (mut out, mut result, mut selected) = (BufWriter::new(out), Ok(()), 0);
    loaded.each_key(&mut |database, key, expires_at, value| {
        if result.is_err() {
            return;
        }
        let mut line = String::new();
        if asked.json {
            line = json_line(database, key, expires_at, value);
        } else {
            if database != selected {
                selected = database;
                line = format!("SELECT {database}\n");
            }
            line += &command(key, expires_at, value);
        }
        result = out.write_all(line.as_bytes());
    });
    match result.and_then(|()| out.flush()) {
        // A reader such as `head` has enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        result => result.map(|()| true).map_err(|why| output_error(&why)),
    }
}

/// Returns a line that redis-cli executes.
fn command(key: &[u8], expires_at: Option<u64>, value: &[u8]) -> String {
    let mut line = format!("SET {} {}", quoted(key), quoted(value));
    if let Some(end) = expires_at {
        // Writing to a string does not fail.
        let _ = write!(line, " PXAT {end}");
    }
    line + "\n"
}

/// Returns bytes in quotes, as redis-cli reads them.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

fn json_line(database: u16, key: &[u8], expires_at: Option<u64>, value: &[u8]) -> String {
    let mut line = format!("{{{}, {}", json_pair("key", key), json_pair("value", value));
    if database != 0 {
        let _ = write!(line, ", \"database\": {database}");
    }
    if let Some(end) = expires_at {
        let _ = write!(line, ", \"expires_at\": {end}");
    }
    line + "}\n"
}

/// Returns bytes as text, or in hexadecimal digits if they are no text.
fn json_pair(name: &str, bytes: &[u8]) -> String {
    if let Some(text) = json_string(bytes) {
        return format!("\"{name}\": {text}");
    }
    let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    format!("\"{name}_hex\": \"{digits}\"")
}
