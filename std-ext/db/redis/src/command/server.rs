//! Commands about the server's process: its clock, its snapshots, its end.

use crate::command::arguments::{CommandError, SYNTAX, is};
use crate::command::execute::{Execution, NextStep};
use crate::command::rows::{Run, alone};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use hedgerow_db_formats::resp::write::RespWriter;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SAVE_IN_PROGRESS: &str = "ERR Background save already in progress";

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone("time", 1, "loading stale fast", |e, _| e.answer(write_time))
        .since("2.6.0", Group::Server)
        .summary("Returns the server time.")
        .tips("nondeterministic_output")
        .without_data()
        .brief(),
    alone("lastsave", 1, "loading stale fast", |e, _| {
        e.last_save();
        Ok(())
    })
    .since("1.0.0", Group::Server)
    .summary("Returns the Unix time of the last snapshot.")
    .also_in("admin dangerous")
    .tips("nondeterministic_output"),
    alone("save", 1, "admin noscript no_async_loading no_multi", |e, _| e.save())
        .since("1.0.0", Group::Server)
        .summary("Writes a snapshot and waits until it is written.")
        .takes_time("O(N), N is the number of keys in the database"),
    alone("bgsave", -1, "admin noscript no_async_loading", |e, a| e.bgsave(a))
        .since("1.0.0", Group::Server)
        .syntax("[SCHEDULE@3.2.2]")
        .summary("Writes a snapshot in the background."),
    alone("bgrewriteaof", 1, "admin noscript no_async_loading", |e, _| {
        e.bgrewriteaof();
        Ok(())
    })
    .since("1.0.0", Group::Server)
    .summary("Writes a snapshot in the background, so that the log is short."),
    alone("shutdown", -1, "admin noscript loading stale no_multi allow_busy", |e, a| e.shutdown(a))
        .since("1.0.0", Group::Server)
        .syntax("[nosave_save:<NOSAVE|SAVE>] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
        .summary("Shuts the server down.")
        .without_data(),
];

impl<'a> Execution<'_, 'a> {
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
