//! The commands about a directory that no server has open: `hedgerow-db import`, `export`, `check` and `dump`.
//!
//! `check`, `dump` and `export` load the directory into memory through a disk that cannot change anything
//! (`folder`). `import` reads its files twice: first to find damage and values that it cannot store, and then, if
//! there are none, to store the rest.

mod aof;
mod check;
mod dump;
mod export;
mod folder;
mod import;
mod replies;
mod sources;
mod summary;

#[cfg(test)]
mod tests;

use crate::config::{DataCommand, DataInvocation};
use std::io::Write;
use std::time::{Duration, Instant};

/// How often the progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Runs a command. Writes its result to `out`, and its progress to `progress`. Returns whether all is well.
///
/// # Errors
/// The reason why the command failed.
pub fn run(
    asked: &DataInvocation,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
) -> Result<bool, String> {
    let mut progress = Progress { since: Instant::now(), say: progress };
    match asked.command {
        DataCommand::Import => import::run(asked, out, &mut progress),
        DataCommand::Export => export::run(asked, out, &mut progress),
        DataCommand::Check => check::run(asked, out),
        DataCommand::Dump => dump::run(asked, out),
    }
}

/// Reports the progress from time to time.
struct Progress<'a> {
    since: Instant,
    say: &'a mut dyn FnMut(&str),
}

impl Progress<'_> {
    /// Reports a number of keys if it is time.
    fn keys(&mut self, what: &str, keys: u64) {
        if self.since.elapsed() >= REPORT_INTERVAL {
            self.since = Instant::now();
            (self.say)(&format!("{what}: {keys} keys so far"));
        }
    }
}

/// Describes an error of writing the result.
fn output_error(why: &std::io::Error) -> String {
    format!("cannot write the result: {why}")
}

/// Returns bytes as a string of JSON, if they are UTF-8.
fn json_string(bytes: &[u8]) -> Option<String> {
    use std::fmt::Write;
    let text = std::str::from_utf8(bytes).ok()?;
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            '\u{0}'..='\u{1F}' => {
                // Writing to a string does not fail.
                let _ = write!(json, "\\u{:04x}", letter as u32);
            }
            _ => json.push(letter),
        }
    }
    json.push('"');
    Some(json)
}
