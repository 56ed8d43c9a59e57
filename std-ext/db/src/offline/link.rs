//! The connections to a running Redis: one as its replica, and one that requests its offset.
//!
//! Redis sends a replica its data as an RDB file, and then the commands that it executes. The file goes to the disk.
//! Commands go through a queue of bounded length, so that Redis need not wait while the file is imported.

use super::endpoint::Endpoint;
use super::follower::Follower;
use super::input::{CHUNK, Input, connection_error};
use hedgerow_db_formats::resp::write::request;
use memchr::memmem;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The longest line of a reply.
const LONGEST_LINE: usize = 4096;
/// The longest reply to INFO.
const LONGEST_INFO: u64 = 1 << 20;
/// The longest RDB file: 16 TiB.
const LONGEST_FILE: u64 = 1 << 44;
/// The length of the mark behind an RDB file whose length Redis does not know.
const MARK: usize = 40;

/// A place in the commands that a Redis has executed.
pub(super) struct LinkPosition {
    /// The id of their history.
    pub(super) history: String,
    /// The bytes of commands before it.
    pub(super) offset: u64,
}

/// A connection to a running Redis.
pub(super) struct MasterLink<'a> {
    input: Input,
    stop: &'a dyn Fn() -> bool,
}

/// The end of an RDB file.
#[derive(Debug, PartialEq, Eq)]
enum FileEnd {
    /// It has this many bytes.
    Length(u64),
    /// These bytes follow it.
    Mark([u8; MARK]),
}

impl<'a> MasterLink<'a> {
    /// Connects and authenticates. Waiting ends with an error when `stop` returns true.
    ///
    /// # Errors
    /// If Redis cannot be reached, or refuses.
    pub(super) fn connect(endpoint: &Endpoint, stop: &'a dyn Fn() -> bool) -> Result<Self, String> {
        let stream = endpoint.connect()?;
        let input = Input::new(stream).map_err(|why| format!("{}: {why}", endpoint.address))?;
        let mut link = Self { input, stop };
        match (&endpoint.address.user, &endpoint.password) {
            (Some(user), password) => {
                let password = password.as_deref().unwrap_or_default();
                link.ask(&[b"AUTH", user, password])?;
            }
            (None, Some(password)) => drop(link.ask(&[b"AUTH", password])?),
            (None, None) => {}
        }
        link.ask(&[b"PING"])?;
        Ok(link)
    }

    /// Requests all data, as a replica. Returns the position of the first command behind it.
    ///
    /// # Errors
    /// If Redis refuses.
    pub(super) fn request_data(&mut self) -> Result<LinkPosition, String> {
        let reply = self.synchronize("?", "-1")?;
        position(&reply).ok_or_else(|| format!("Redis does not send its data: {reply}"))
    }

    /// Requests the commands from a position on, as a replica whose connection was lost. Returns whether Redis sends
    /// them: it keeps the last ones only. The history may go on under another id.
    ///
    /// # Errors
    /// If Redis refuses.
    pub(super) fn request_rest(&mut self, position: &mut LinkPosition) -> Result<bool, String> {
        // Redis is told the first byte that is missing. It counts from 1.
        let next = (position.offset + 1).to_string();
        let reply = self.synchronize(&position.history, &next)?;
        let mut words = reply.split(' ');
        let continues = words.next() == Some("+CONTINUE");
        if continues && let Some(history) = words.next() {
            history.clone_into(&mut position.history);
        }
        Ok(continues)
    }

    /// Becomes a replica that has everything before this byte of a history. Returns the reply.
    fn synchronize(&mut self, history: &str, next: &str) -> Result<String, String> {
        self.ask(&[b"REPLCONF", b"listening-port", b"0"])?;
        self.ask(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])?;
        self.ask(&[b"PSYNC", history.as_bytes(), next.as_bytes()])
    }

    /// Writes the data to a new file.
    ///
    /// # Errors
    /// If the connection ends before the data does, or the file cannot be written.
    pub(super) fn copy_data(
        &mut self,
        path: &Path,
        report: &mut dyn FnMut(u64),
    ) -> Result<(), String> {
        let line = self.line()?;
        let end = file_end(&line).ok_or_else(|| match line.strip_prefix('-') {
            Some(error) => format!("Redis does not send its data: {error}"),
            None => format!("Redis did not announce the end of its data: {line}"),
        })?;
        let named = |why: io::Error| format!("{}: {why}", path.display());
        let mut file = File::create_new(path).map_err(named)?;
        let mut written = 0;
        let mut write = |bytes: &[u8]| {
            written += bytes.len() as u64;
            report(written);
            file.write_all(bytes).map_err(named)
        };
        let copied = match end {
            FileEnd::Length(length) => self.copy_length(length, &mut write),
            FileEnd::Mark(mark) => self.copy_to_mark(&mark, &mut write),
        };
        copied.map_err(|why| {
            format!("{why}; nothing was imported, because not all data was received")
        })
    }

    fn copy_length(&mut self, mut left: u64, write: &mut WritePart<'_>) -> Result<(), String> {
        while left > 0 {
            self.wait()?;
            let part = self.input.bytes();
            let taken = usize::try_from(left).map_or(part.len(), |left| part.len().min(left));
            write(&part[..taken])?;
            self.input.consume(taken);
            left -= taken as u64;
        }
        Ok(())
    }

    /// Copies up to the mark, which may arrive in parts. The last bytes are held back, because the mark may begin in
    /// them.
    fn copy_to_mark(&mut self, mark: &[u8; MARK], write: &mut WritePart<'_>) -> Result<(), String> {
        let finder = memmem::Finder::new(mark);
        let mut held = Vec::with_capacity(CHUNK + MARK);
        loop {
            self.wait()?;
            let before = held.len();
            held.extend_from_slice(self.input.bytes());
            if let Some(end) = finder.find(&held) {
                // The mark does not end in the bytes of earlier reads, where it would have been found.
                self.input.consume((end + MARK).saturating_sub(before));
                return write(&held[..end]);
            }
            self.input.consume(held.len() - before);
            let done = held.len().saturating_sub(MARK - 1);
            write(&held[..done])?;
            held.drain(..done);
        }
    }

    /// Becomes the queue of the commands that Redis executes from this offset on.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn follow(self, offset: u64) -> Result<Follower, String> {
        let output = self.input.output().map_err(|why| connection_error(&why))?;
        Follower::start(self.input, output, offset).map_err(|why| connection_error(&why))
    }

    /// Returns the offset up to which Redis has executed commands.
    ///
    /// # Errors
    /// If Redis refuses, or the connection ends.
    pub(super) fn offset(&mut self) -> Result<u64, String> {
        let line = self.ask(&[b"INFO", b"replication"])?;
        let length = line.strip_prefix('$').and_then(|length| length.parse().ok());
        let length = length.filter(|length: &u64| *length <= LONGEST_INFO);
        let length = length.ok_or_else(|| format!("unexpected reply of Redis to INFO: {line}"))?;
        let mut info = Vec::new();
        self.copy_length(length + 2, &mut |part| {
            info.extend_from_slice(part);
            Ok(())
        })?;
        let info = String::from_utf8_lossy(&info);
        let offset = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
        let offset = offset.and_then(|offset| offset.trim_end().parse().ok());
        offset.ok_or_else(|| "Redis did not send its replication offset".to_owned())
    }

    /// Sends a command. Returns the reply, which is one line.
    fn ask(&mut self, words: &[&[u8]]) -> Result<String, String> {
        let mut bytes = Vec::new();
        request(&mut bytes, words);
        self.input.send(&bytes)?;
        let reply = self.line()?;
        match reply.strip_prefix('-') {
            Some(error) => {
                Err(format!("Redis refuses {}: {error}", String::from_utf8_lossy(words[0])))
            }
            None => Ok(reply),
        }
    }

    /// Returns the next line that is not empty. Empty ones say that Redis is not ready yet.
    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        loop {
            self.wait()?;
            self.input.read_line(&mut line, LONGEST_LINE)?;
            if line.ends_with(b"\n") {
                if !line.trim_ascii().is_empty() {
                    return Ok(String::from_utf8_lossy(line.trim_ascii()).into_owned());
                }
                line.clear();
            } else if line.len() >= LONGEST_LINE {
                return Err("Redis sent a line that is too long to be a reply".to_owned());
            }
        }
    }

    /// Waits until there are bytes.
    fn wait(&mut self) -> Result<(), String> {
        while !(self.stop)() {
            if self.input.has_more()? {
                return Ok(());
            }
        }
        Err("the import was stopped".to_owned())
    }
}

/// Writes a part of the data.
type WritePart<'a> = dyn FnMut(&[u8]) -> Result<(), String> + 'a;

/// Parses the reply of a Redis that sends all data.
fn position(reply: &str) -> Option<LinkPosition> {
    let mut words = reply.strip_prefix("+FULLRESYNC ")?.split(' ');
    let (history, offset) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    // An offset of more than 63 bits could overflow later.
    i64::try_from(offset).is_ok().then_some(LinkPosition { history, offset })
}

/// Parses the line before an RDB file.
fn file_end(line: &str) -> Option<FileEnd> {
    let text = line.strip_prefix('$')?;
    if let Some(mark) = text.strip_prefix("EOF:") {
        return Some(FileEnd::Mark(mark.as_bytes().try_into().ok()?));
    }
    let length = text.parse().ok().filter(|length| *length <= LONGEST_FILE)?;
    Some(FileEnd::Length(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_before_a_file_says_where_it_ends() {
        let mark = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(file_end("$7"), Some(FileEnd::Length(7)));
        let wanted = mark.as_bytes().try_into().unwrap();
        assert_eq!(file_end(&format!("$EOF:{mark}")), Some(FileEnd::Mark(wanted)));
        let wrong = ["", "7", "$", "$-1", "$99999999999999", "$x", "$99999999999999999999"];
        for line in wrong.into_iter().chain(["$EOF:", "$EOF:0123", "-ERR"]) {
            assert_eq!(file_end(line), None, "{line}");
        }
    }
}
