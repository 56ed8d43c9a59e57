//! Commands about the whole database: its keys, their number, and persistence.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::{Execution, NextStep};
use crate::command::reply::ReplyKind;
use crate::request::{DatabaseQuery, KeyScan};
use crate::resp::write::RespWriter;
use crate::state::number;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SAVE_IN_PROGRESS: &str = "ERR Background save already in progress";
const INVALID_CURSOR: &str = "ERR invalid cursor";

impl<'a> Execution<'_, 'a> {
    /// SCAN.
    pub(super) fn scan(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let from: u64 = match arguments[1] {
            // `strtoul` reads an empty text as 0 (`parseScanCursorOrReply`).
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
        if !strings {
            // No key has another type, so the walk is over.
            self.reply(|out| {
                out.array(2);
                out.bulk(b"0");
                out.array(0);
            });
            return Ok(());
        }
        // `most` bounds what COUNT does not: the keys of one step may be long.
        let scan = KeyScan { cursor: from, count, pattern, most: self.room() };
        self.ask_database(DatabaseQuery::Scan(scan), ReplyKind::Scanned);
        Ok(())
    }

    /// KEYS.
    pub(super) fn keys(&mut self, pattern: &'a [u8]) {
        let (pattern, most) = (Some(pattern), self.room());
        let scan = KeyScan { cursor: 0, count: usize::MAX, pattern, most };
        self.ask_database(DatabaseQuery::Scan(scan), ReplyKind::Keys);
    }

    /// RANDOMKEY.
    pub(super) fn random_key(&mut self) {
        self.ask_database(DatabaseQuery::RandomKey, ReplyKind::Value);
    }

    /// DBSIZE.
    pub(super) fn dbsize(&mut self) {
        self.ask_database(DatabaseQuery::Count, ReplyKind::Integer);
    }

    /// Executes a question about the selected database alone, so that the time that it takes is its own; in a
    /// transaction, with the rest of that.
    fn ask_database(&mut self, query: DatabaseQuery<'a>, kind: ReplyKind) {
        self.execute_batch();
        self.batch.ask_database(query, kind);
        self.execute_batch();
    }

    /// Returns how many bytes of replies there is room for.
    pub(super) fn room(&self) -> usize {
        self.max_out.saturating_sub(self.out.len())
    }

    /// TIME.
    pub(super) fn time(&mut self) {
        self.reply(write_time);
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
        const STARTED: &str = "Background saving started";
        match &arguments[1..] {
            [] => {
                self.execute_batch();
                if !self.db.snapshot_soon() {
                    return Err(SAVE_IN_PROGRESS.into());
                }
                self.reply(|out| out.simple(STARTED));
            }
            [option] if is(option, "schedule") => {
                self.schedule_snapshot(STARTED, "Background saving scheduled");
            }
            _ => return Err(SYNTAX),
        }
        Ok(())
    }

    /// BGREWRITEAOF. The log of changes before a snapshot is deleted, so a snapshot is what makes the log short.
    pub(super) fn bgrewriteaof(&mut self) {
        const SCHEDULED: &str = "Background append only file rewriting scheduled";
        // Redis starts nothing before a transaction has ended.
        let at_once = !self.in_transaction;
        let started = "Background append only file rewriting started";
        self.schedule_snapshot(if at_once { started } else { SCHEDULED }, SCHEDULED);
    }

    /// Starts a snapshot, or another one after that which is being written.
    fn schedule_snapshot(&mut self, started: &str, scheduled: &str) {
        self.execute_batch();
        let text = if self.db.schedule_snapshot() { started } else { scheduled };
        self.reply(|out| out.simple(text));
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
        // No shutdown lasts here: Redis waits for replicas in between, during which ABORT can end it.
        if abort {
            return Err("ERR No shutdown in progress.".into());
        }
        self.execute_batch();
        self.next = NextStep::Shutdown { save };
        Ok(())
    }
}

/// Writes the seconds since 1970, and the microseconds of this second.
pub(super) fn write_time(out: &mut RespWriter<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    out.array(2);
    out.bulk(itoa::Buffer::new().format(now.as_secs()).as_bytes());
    out.bulk(itoa::Buffer::new().format(now.subsec_micros()).as_bytes());
}
