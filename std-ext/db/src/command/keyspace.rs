//! Commands about the whole database: its keys, their number, and persistence.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::{Execution, NextStep};
use crate::glob;
use crate::resp::write::Writer;
use crate::state::number;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SAVE_IN_PROGRESS: &str = "ERR Background save already in progress";
const INVALID_CURSOR: &str = "ERR invalid cursor";
/// Keys that KEYS visits between two checks of the output limit.
const STRIDE: usize = 4096;

impl<'a> Execution<'_, 'a> {
    /// SCAN.
    pub(super) fn scan(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let from: u64 = match arguments[1] {
            [] => 0,
            from => std::str::from_utf8(from)
                .ok()
                .and_then(|from| from.parse().ok())
                .ok_or(INVALID_CURSOR)?,
        };
        let (mut count, mut pattern, mut strings) = (10_usize, None, true);
        let mut options = &arguments[2..];
        loop {
            options = match options {
                [] => break,
                [option, value, rest @ ..] if is(option, "count") => {
                    let wanted = number::integer(value).ok_or(NOT_AN_INTEGER)?;
                    count = usize::try_from(wanted).ok().filter(|n| *n > 0).ok_or(SYNTAX)?;
                    rest
                }
                [option, value, rest @ ..] if is(option, "match") => {
                    pattern = Some(*value);
                    rest
                }
                [option, value, rest @ ..] if is(option, "type") => {
                    strings = is(value, "string");
                    rest
                }
                _ => return Err(SYNTAX),
            };
        }
        self.execute_batch();
        let mut found = FoundKeys::within(self.max_out - self.out.len().min(self.max_out));
        let next = self.session.scan(from, count, &mut |key| {
            if strings && pattern.is_none_or(|pattern| glob::matches(pattern, key, false)) {
                found.push(key);
            }
        });
        self.wait_for_last_entry();
        if !self.fits(found.bytes) {
            return Ok(());
        }
        self.reply(|out| {
            out.array(2);
            out.bulk(itoa::Buffer::new().format(next).as_bytes());
            found.write(out);
        });
        Ok(())
    }

    /// KEYS.
    pub(super) fn keys(&mut self, pattern: &[u8]) {
        self.execute_batch();
        let mut found = FoundKeys::within(self.max_out - self.out.len().min(self.max_out));
        let mut from = 0;
        loop {
            from = self.session.scan(from, STRIDE, &mut |key| {
                if glob::matches(pattern, key, false) {
                    found.push(key);
                }
            });
            if !self.fits(found.bytes) {
                return;
            }
            if from == 0 {
                break;
            }
        }
        self.wait_for_last_entry();
        self.reply(|out| found.write(out));
    }

    /// RANDOMKEY.
    pub(super) fn random_key(&mut self) {
        self.execute_batch();
        let key = self.session.random_key();
        self.wait_for_last_entry();
        self.reply(|out| match &key {
            Some(key) => out.bulk(key),
            None => out.null(),
        });
    }

    /// DBSIZE.
    pub(super) fn dbsize(&mut self) {
        self.execute_batch();
        let count = self.session.len();
        self.wait_for_last_entry();
        self.reply(|out| out.integer(count.cast_signed() as i64));
    }

    /// TIME.
    pub(super) fn time(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.reply(|out| {
            out.array(2);
            out.bulk(itoa::Buffer::new().format(now.as_secs()).as_bytes());
            out.bulk(itoa::Buffer::new().format(now.subsec_micros()).as_bytes());
        });
    }

    /// LASTSAVE.
    pub(super) fn last_save(&mut self) {
        let time = self.saved_at().cast_signed();
        self.reply(|out| out.integer(time));
    }

    /// Returns when the last snapshot was made, or else when the server started, in seconds since 1970.
    pub(super) fn saved_at(&self) -> u64 {
        let began = || (self.session.now() / 1000).saturating_sub(self.server.stats().uptime);
        match self.db.stats().last_snapshot_at {
            0 => began(),
            time => time,
        }
    }

    /// SAVE.
    pub(super) fn save(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        if self.db.stats().snapshot_in_progress {
            return Err(SAVE_IN_PROGRESS.into());
        }
        self.db.snapshot().map_err(|why| format!("ERR {why}"))?;
        self.reply(|out| out.ok());
        Ok(())
    }

    /// BGSAVE.
    pub(super) fn bgsave(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        match &arguments[1..] {
            [] => {}
            [option] if is(option, "schedule") => {}
            _ => return Err(SYNTAX),
        }
        self.start_snapshot("Background saving started", SAVE_IN_PROGRESS)
    }

    /// BGREWRITEAOF. The log of changes before a snapshot is deleted, so a snapshot is what makes the log short.
    pub(super) fn bgrewriteaof(&mut self) -> Result<(), CommandError> {
        let in_progress = "ERR Background append only file rewriting already in progress";
        self.start_snapshot("Background append only file rewriting started", in_progress)
    }

    /// Starts a snapshot, unless one is in progress.
    fn start_snapshot(
        &mut self,
        started: &str,
        in_progress: &'static str,
    ) -> Result<(), CommandError> {
        self.execute_batch();
        if !self.db.snapshot_soon() {
            return Err(in_progress.into());
        }
        self.reply(|out| out.simple(started));
        Ok(())
    }

    /// SHUTDOWN. It has no reply. Everything acknowledged is in the log, so a snapshot is written only if SAVE is
    /// given.
    pub(super) fn shutdown(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (mut save, mut not, mut abort) = (false, false, false);
        for option in &arguments[1..] {
            match *option {
                option if is(option, "nosave") => not = true,
                option if is(option, "save") => save = true,
                option if is(option, "abort") => abort = true,
                option if is(option, "now") || is(option, "force") => {}
                _ => return Err(SYNTAX),
            }
        }
        if save && not || abort && arguments.len() > 2 {
            return Err(SYNTAX);
        }
        if abort {
            return Err("ERR No shutdown in progress.".into());
        }
        self.execute_batch();
        self.next = NextStep::Shutdown { save };
        Ok(())
    }
}

/// Keys for a reply. They are counted before they are written.
struct FoundKeys {
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes that the reply needs at least, including keys that were left out for lack of room.
    bytes: usize,
    /// Bytes that the reply may have.
    most: usize,
}

impl FoundKeys {
    /// The least that a key takes of a reply: `$0\r\n\r\n`.
    const SHORTEST: usize = 6;

    fn within(most: usize) -> Self {
        Self { keys: Vec::new(), ends: Vec::new(), bytes: 0, most }
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes += key.len() + Self::SHORTEST;
        if self.bytes <= self.most {
            self.keys.extend_from_slice(key);
            self.ends.push(self.keys.len());
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(self.ends.len());
        let mut from = 0;
        for &end in &self.ends {
            out.bulk(&self.keys[from..end]);
            from = end;
        }
    }
}
