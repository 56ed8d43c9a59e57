//! The progress of a command, its errors, and JSON.

use std::time::{Duration, Instant};

/// How often the progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Reports the progress from time to time.
pub(super) struct ReportProgress<'a> {
    since: Instant,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> ReportProgress<'a> {
    pub(super) fn new(say: &'a mut dyn FnMut(&str)) -> Self {
        Self { since: Instant::now(), say }
    }

    /// Reports a line now.
    pub(super) fn say(&mut self, line: &str) {
        (self.say)(line);
    }

    /// Returns whether it is time for a report, and notes that there was one.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.since.elapsed() >= REPORT_INTERVAL;
        if due {
            self.since = Instant::now();
        }
        due
    }

    /// Reports a number of keys if it is time.
    pub(super) fn keys(&mut self, what: &str, keys: u64) {
        if self.is_due() {
            (self.say)(&format!("{what}: {keys} keys so far"));
        }
    }
}

/// Describes an error of writing the result.
pub(super) fn output_error(why: &std::io::Error) -> String {
    format!("cannot write the result: {why}")
}

/// Returns bytes as a string of JSON, if they are UTF-8.
pub(super) fn json_string(bytes: &[u8]) -> Option<String> {
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
