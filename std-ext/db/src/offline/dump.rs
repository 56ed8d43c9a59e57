//! `hedgerow-db dump`.

use super::folder;
use super::report::{json_string, output_error};
use hedgerow_db_engine::request::{Packed, Score, StoredValue, ValueType};
use hedgerow_db_formats::number;
use hedgerow_db_redis::config::DataInvocation;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

/// Prints all keys of a directory: as commands for redis-cli, or as one object of JSON a line.
///
/// # Errors
/// If the directory cannot be read, or the result cannot be written.
pub(super) fn run(asked: &DataInvocation, out: &mut dyn Write) -> Result<bool, String> {
    let loaded = folder::load(&asked.dir).map_err(|why| why.to_string())?;
    let (mut out, mut result, mut selected) = (BufWriter::new(out), Ok(()), 0);
    // Follows the last part of a value: if the key expired between two parts, it would be made again, and stay.
    let mut expire = String::new();
    loaded.each_key(&mut |database, key, expires_at, value| {
        if result.is_err() {
            return;
        }
        let mut lines = String::new();
        if asked.json {
            lines = json_line(database, key, expires_at, value);
        } else {
            if !value.continues() {
                lines = std::mem::take(&mut expire);
            }
            if database != selected {
                selected = database;
                // Writing to a string does not fail.
                let _ = writeln!(lines, "SELECT {database}");
            }
            match value {
                StoredValue::Packed(value) => {
                    lines += &packed_commands(key, value);
                    expire = expires_at.map_or_else(String::new, |end| {
                        format!("PEXPIREAT {} {end}\n", quoted(key))
                    });
                }
                StoredValue::String(value) => lines += &command(key, expires_at, value),
            }
        }
        result = out.write_all(lines.as_bytes());
    });
    if result.is_ok() {
        result = out.write_all(expire.as_bytes());
    }
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

/// Returns lines that store a value of another type, or a further part of it. As SET does, they replace what there is.
fn packed_commands(key: &[u8], value: Packed<'_>) -> String {
    let key = quoted(key);
    if value.value_type() == ValueType::Stream {
        return format!("# the stream {key} is not shown\n");
    }
    let mut lines = if value.continues() { String::new() } else { format!("DEL {key}\n") };
    let name = match value.value_type() {
        ValueType::Hash | ValueType::String | ValueType::Stream => "HSET",
        ValueType::List => "RPUSH",
        ValueType::Set => "SADD",
        ValueType::SortedSet => "ZADD",
    };
    // Writing to a string does not fail.
    let _ = write!(lines, "{name} {key}");
    for (name, stored, _) in value.timed() {
        let name = quoted(name);
        let _ = match value.value_type() {
            ValueType::Hash | ValueType::String | ValueType::Stream => {
                write!(lines, " {name} {}", quoted(stored))
            }
            ValueType::List | ValueType::Set => write!(lines, " {name}"),
            ValueType::SortedSet => write!(lines, " {} {name}", score_text(stored)),
        };
    }
    for (field, _, time) in value.timed().filter(|(.., time)| *time != 0) {
        let _ = write!(lines, "\nHPEXPIREAT {key} {time} FIELDS 1 {}", quoted(field));
    }
    lines + "\n"
}

/// Returns a stored score as Redis writes it.
fn score_text(stored: &[u8]) -> String {
    // No other bytes were ever stored as one.
    Score::parse(stored).map_or_else(String::new, |score| number::general(score.get(), 17))
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

/// Returns an object with a key and its value. A long value of another type than string is several objects, all but the
/// first of which say that they continue it.
fn json_line(database: u16, key: &[u8], expires_at: Option<u64>, value: StoredValue<'_>) -> String {
    let shown = match value {
        StoredValue::Packed(value) => json_packed(value),
        StoredValue::String(value) => json_pair("value", value),
    };
    let mut line = format!("{{{}, {shown}", json_pair("key", key));
    if value.continues() {
        line += ", \"continues\": true";
    }
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
    format!("\"{name}_hex\": {}", hexadecimal(bytes))
}

/// Returns an array of elements or members, or an object of fields or members with their values: all in hexadecimal
/// digits if one of them is no text.
fn json_packed(value: Packed<'_>) -> String {
    let entries = |shown: &dyn Fn(&[u8]) -> Option<String>| {
        let entry = |(name, stored, _)| {
            let name = shown(name)?;
            Some(match value.value_type() {
                ValueType::Hash | ValueType::String | ValueType::Stream => {
                    format!("{name}: {}", shown(stored)?)
                }
                ValueType::List | ValueType::Set => name,
                ValueType::SortedSet => format!("{name}: {}", json_score(stored)),
            })
        };
        Some(value.timed().map(entry).collect::<Option<Vec<_>>>()?.join(", "))
    };
    let (entries, end) = match entries(&json_string) {
        Some(entries) => (entries, ""),
        None => (entries(&|bytes| Some(hexadecimal(bytes))).unwrap_or_default(), "_hex"),
    };
    let name = value.value_type().name();
    let times: Vec<String> = value
        .timed()
        .filter(|(.., time)| *time != 0)
        .map(|(field, _, time)| {
            let shown = json_string(field).filter(|_| end.is_empty());
            format!("{}: {time}", shown.unwrap_or_else(|| hexadecimal(field)))
        })
        .collect();
    let times = if times.is_empty() {
        String::new()
    } else {
        format!(", \"fields_expire_at{end}\": {{{}}}", times.join(", "))
    };
    match value.value_type() {
        ValueType::List | ValueType::Set => format!("\"{name}{end}\": [{entries}]"),
        _ => format!("\"{name}{end}\": {{{entries}}}{times}"),
    }
}

/// Returns a stored score as a number, or as a string if it is infinite.
fn json_score(stored: &[u8]) -> String {
    let text = score_text(stored);
    if text.ends_with("inf") { format!("\"{text}\"") } else { text }
}

/// Returns bytes as hexadecimal digits in quotes.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    format!("\"{digits}\"")
}
