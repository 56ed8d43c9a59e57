//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.
//!
//! After MULTI, commands are checked and queued. EXEC turns those about keys into one batch, which the session executes
//! as one transaction. The commands without keys follow it, and their replies are inserted at their places. So a
//! transaction that is not executed changes nothing, not even a setting.

use crate::command::arguments::{CommandError, is, resolve, wrong_number};
use crate::command::batch::{BatchOutcome, transaction_refused};
use crate::command::dump;
use crate::command::execute::{Execution, NextStep};
use crate::command::pubsub::refused_to_subscriber;
use crate::command::queue::Queued;
use crate::command::reply::error_text;
use crate::command::rows::{Run, alone};
use crate::command::table::groups::Group;
use crate::command::table::keys::{RO, key};
use crate::command::table::{self, CommandSpec, Flag, Id, Row};
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_engine::state::watched_keys::KeyWatch;
use hedgerow_db_formats::number;

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
const NOT_ALLOWED: &str = "ERR Command not allowed inside a transaction";
const TOO_LONG: &str = "ERR the commands of this transaction exceed 64 MiB";
pub(super) const NO_SHARD_CHANNELS: &str =
    "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
const MISSING_DB: &str =
    "ERR not executed: the selected database does not exist; only SELECT 0 is valid";

/// Returns whether a command is executed by the session, as a part of the transaction.
pub(super) fn is_about_keys(spec: &CommandSpec) -> bool {
    // XGROUP and its like have none, but their subcommands do.
    let has_keys = spec.has_keys() || spec.parts().iter().any(CommandSpec::has_keys);
    let others = [Id::FLUSHDB, Id::FLUSHALL, Id::SELECT];
    has_keys && !spec.is_eval() || others.contains(&spec.id) || asks_database(spec)
}

/// Returns whether a command asks about all keys of a database.
pub(super) fn asks_database(spec: &CommandSpec) -> bool {
    matches!(spec.id, Id::KEYS | Id::SCAN | Id::RANDOMKEY | Id::DBSIZE)
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone("multi", 1, "noscript loading stale fast allow_busy", |e, _| e.multi())
        .since("1.2.0", Group::Transactions)
        .summary("Starts a transaction: commands are queued until EXEC.")
        .without_data()
        .brief(),
    alone("exec", 1, "noscript loading stale skip_slowlog", |e, _| e.exec())
        .since("1.2.0", Group::Transactions)
        .summary("Executes all queued commands, atomically.")
        .takes_time("Depends on the commands that are queued"),
    alone("discard", 1, "noscript loading stale fast allow_busy", |e, _| e.discard())
        .since("2.0.0", Group::Transactions)
        .summary("Discards a transaction.")
        .takes_time("Depends on the commands that are queued"),
    alone("watch", -2, "noscript loading stale fast allow_busy", |e, a| e.watch(&a[1..]))
        .keys(&[key(1, RO).to(-1, 1)])
        .since("2.2.0", Group::Transactions)
        .syntax("key#0...")
        .summary(
            "Watches keys: the next transaction is executed only if none of them changes before.",
        )
        .takes_time("O(N), N is the number of keys"),
    alone("unwatch", 1, "noscript loading stale fast allow_busy", |e, _| {
        e.unwatch();
        Ok(())
    })
    .since("2.2.0", Group::Transactions)
    .summary("Forgets the watched keys of a connection.")
    .takes_time("O(N), N is the number of keys"),
];

impl<'a> Execution<'_, 'a> {
    /// MULTI.
    pub(super) fn multi(&mut self) -> Result<(), CommandError> {
        if self.connection.queue.is_some() {
            return Err("ERR MULTI calls can not be nested".into());
        }
        self.connection.queue = Some(Box::default());
        self.connection.update_blocked();
        self.reply(|out| out.ok());
        Ok(())
    }

    /// DISCARD.
    pub(super) fn discard(&mut self) -> Result<(), CommandError> {
        if self.connection.queue.is_none() {
            return Err("ERR DISCARD without MULTI".into());
        }
        self.end_transaction();
        self.reply(|out| out.ok());
        Ok(())
    }

    /// WATCH.
    pub(super) fn watch(&mut self, keys: &[&'a [u8]]) -> Result<(), CommandError> {
        if self.connection.queue.is_some() {
            return Err("ERR WATCH inside MULTI is not allowed".into());
        }
        // The changes of earlier commands are no changes of watched keys.
        self.execute_batch();
        let watch = self.connection.watch.get_or_insert_default();
        if !watch.is_changed() && !self.session.watch_keys(watch, keys) {
            // A client that does not read this reply must not have its transaction executed.
            watch.set_changed();
            return Err("ERR this connection watches too many keys".into());
        }
        self.reply(|out| out.ok());
        Ok(())
    }

    /// UNWATCH.
    pub(super) fn unwatch(&mut self) {
        self.connection.watch = None;
        self.reply(|out| out.ok());
    }

    /// EXEC.
    pub(super) fn exec(&mut self) -> Result<(), CommandError> {
        // EXEC ends the watch whatever becomes of the transaction (`unwatchAllKeys` in `execCommand`).
        let watch = self.connection.watch.take();
        let Some(queue) = self.connection.queue.take() else {
            self.connection.watch = watch;
            return Err("ERR EXEC without MULTI".into());
        };
        self.connection.update_blocked();
        if queue.is_aborted() {
            return Err(ABORTED.into());
        }
        self.execute_batch();
        if self.next != NextStep::Continue {
            return Ok(());
        }
        let arguments = queue.arguments();
        let commands = queue.commands(&arguments);
        let needs_memory = commands.iter().any(|(spec, of)| self.needs_memory(spec, of));
        // Memory may have filled up since the commands were queued. Now is the last time: nothing is evicted under the
        // locks.
        if needs_memory && self.session.is_memory_full() {
            return Err(transaction_refused(error_text(RequestError::OutOfMemory)));
        }
        if self.connection.tracking.is_some() {
            self.remember_queued(&commands);
        }
        if let Some(group) = self.group() {
            self.route_transaction(group, &commands)?;
        }
        #[cfg(feature = "scripts")]
        if commands.iter().any(|(spec, _)| spec.is_eval()) {
            let executed = self.execute_with_scripts(&commands, watch.as_deref());
            self.push_own_mail();
            return executed;
        }
        let executed = self.execute_transaction(&commands, watch.as_deref());
        // Behind the reply: a message within it would be counted as one of its elements. Redis 7.0 does that.
        self.push_own_mail();
        executed
    }

    fn execute_transaction(
        &mut self,
        commands: &[Queued<'_>],
        watch: Option<&KeyWatch>,
    ) -> Result<(), CommandError> {
        let (redirects, protocol) = (self.redirects(), self.connection.protocol);
        let restored = dump::restore_all(commands)?;
        let mut next_restored = restored.iter();
        // SELECT changes it while the batch is made, before it is known whether the transaction is executed.
        let database = self.connection.database;
        let batch = std::mem::take(&mut self.batch).emptied();
        let mut execution = self.nested(batch);
        execution.collects = true;
        let mut places = Vec::new();
        for (spec, arguments) in commands {
            let restored = if spec.id == Id::RESTORE { next_restored.next() } else { None };
            if is_about_keys(spec)
                && let Some(error) = execution.refusal_at_exec(spec, arguments)
            {
                execution.error(error.as_ref());
            } else if let Some(restored) = restored {
                execution.restore_queued(arguments, restored);
            } else if is_about_keys(spec) {
                execution.dispatch_queued(spec, arguments);
            } else {
                places.push(execution.batch.place());
            }
            if execution.batch.reply_bytes() > execution.max_out {
                // Replies that need no data, such as HELP, are longer than the client may have. Nothing was executed.
                let batch = execution.batch;
                (self.next, self.batch) = (NextStep::Drop, batch.emptied());
                self.connection.database = database;
                return Ok(());
            }
        }
        let most = execution.max_out.saturating_sub(execution.out.len());
        let mut batch = execution.batch;
        let executed = batch.execute_transaction(execution.session, watch, redirects, most);
        let mut result = Ok(());
        if !matches!(executed, BatchOutcome::Done { .. }) {
            // None of its SELECTs was executed.
            self.connection.database = database;
        }
        match executed {
            BatchOutcome::Done { full: true, .. } => self.next = NextStep::Drop,
            BatchOutcome::Done { lsn, full: false } => {
                self.lsn = self.lsn.max(lsn);
                let (ends, replies) = self.execute_keyless(commands);
                if self.next != NextStep::Drop {
                    batch.insert_replies(&places, &ends, &replies);
                    let of = (&*self.session, commands.len());
                    if !batch.write_transaction(of, redirects, protocol, self.out, self.max_out) {
                        self.next = NextStep::Drop;
                    }
                }
            }
            BatchOutcome::Conflict => self.reply(|out| out.null_array()),
            BatchOutcome::Refused(error) => result = Err(error),
        }
        self.count_failures(&mut batch.failures);
        batch.clear();
        self.batch = batch.emptied();
        result
    }

    /// Executes those commands of a transaction that are about no key. Returns the end of each reply, and the replies.
    fn execute_keyless(&mut self, commands: &[Queued<'_>]) -> (Vec<usize>, Vec<u8>) {
        let (mut ends, mut replies) = (Vec::new(), Vec::new());
        let most = self.max_out.saturating_sub(self.out.len());
        let mut execution = self.nested(super::batch::RequestBatch::default());
        (execution.out, execution.max_out, execution.in_transaction) = (&mut replies, most, true);
        for (spec, arguments) in commands.iter().filter(|(spec, _)| !is_about_keys(spec)) {
            if let Some(error) = execution.refusal_at_exec(spec, arguments) {
                execution.error(error.as_ref());
            } else if spec.id == Id::SSUBSCRIBE {
                execution.error(NO_SHARD_CHANNELS);
            } else {
                execution.dispatch_queued(spec, arguments);
                execution.execute_batch();
            }
            ends.push(execution.out.len());
            if execution.next == NextStep::Drop {
                // The replies are longer than the client may have, and it is closed.
                break;
            }
        }
        (self.lsn, self.next, self.measured) = (execution.lsn, execution.next, execution.measured);
        (ends, replies)
    }

    /// Forgets the queue and the watched keys.
    pub(super) fn end_transaction(&mut self) {
        (self.connection.queue, self.connection.watch) = (None, None);
        self.connection.update_blocked();
    }

    /// Replies that a command has a wrong number of arguments.
    #[cold]
    pub(super) fn wrong_arity(&mut self, spec: &CommandSpec) {
        self.refuse(spec, wrong_number(spec.name));
    }

    /// Refuses a command before it is executed, and counts that for the command of this number. The transaction fails
    /// to which the command belongs.
    #[cold]
    pub(super) fn refuse(&mut self, spec: &CommandSpec, mut error: CommandError) {
        self.dataless += 1;
        self.meter.reject(spec.id.number().into());
        if spec.id == Id::EXEC {
            self.end_transaction();
            error = transaction_refused(&error);
        } else if let Some(queue) = &mut self.connection.queue {
            queue.abort();
        }
        self.error(error.as_ref());
    }

    /// Handles a command that must not be executed now: it is queued for EXEC, or an earlier SELECT has failed. Returns
    /// whether it did. If the client tracks keys, remembers those that the command reads.
    ///
    /// A client that pipelines does not wait for the reply to SELECT. Its commands were meant for another database, and
    /// must not run in database 0.
    #[cold]
    pub(super) fn handle_blocked(&mut self, arguments: &[&'a [u8]]) -> bool {
        let spec = table::find(arguments[0]);
        // Before the command is queued, or its keys are tracked.
        if !self.connection.is_unrestricted
            && let Some(spec) = spec.filter(|spec| spec.takes(arguments.len()))
            && !self.admits(spec, arguments)
        {
            return true;
        }
        if self.connection.tracking.is_some() {
            self.begin_tracked(spec.filter(|spec| spec.takes(arguments.len())), arguments);
        }
        if self.connection.is_confined()
            && let Some(spec) = spec
            && let Some(error) = refused_to_subscriber(spec, arguments)
        {
            self.refuse(spec.with_part(arguments), error);
            return true;
        }
        if self.meter.diagnostics.is_busy() && self.refuse_while_busy(spec, arguments) {
            return true;
        }
        let missing_db = self.connection.missing_db_selected;
        let checked = if missing_db && spec.is_some_and(CommandSpec::accesses_keys) {
            Err(MISSING_DB.into())
        } else if self.connection.queue.is_some() {
            self.check_queued(spec, arguments)
        } else {
            return false;
        };
        let queue = &mut self.connection.queue;
        let error = match checked {
            Ok(QueueDecision::Now) => return false,
            Ok(QueueDecision::Invalid) => {
                if let Some(queue) = queue {
                    queue.abort();
                }
                return false;
            }
            Ok(QueueDecision::Queue(spec)) => {
                if queue.as_mut().is_none_or(|queue| queue.push(spec, arguments)) {
                    self.connection.command = spec.name;
                    self.reply(|out| out.simple("QUEUED"));
                    return true;
                }
                TOO_LONG.into()
            }
            Err(error) => error,
        };
        if let Some(queue) = queue {
            queue.abort();
        }
        self.error(error.as_ref());
        true
    }

    /// Returns what becomes of a command behind MULTI.
    fn check_queued(
        &mut self,
        spec: Option<&'static CommandSpec>,
        arguments: &[&'a [u8]],
    ) -> Result<QueueDecision, CommandError> {
        // Their errors are those of a command that is executed at once.
        let Some(spec) = spec.filter(|spec| spec.takes(arguments.len())) else {
            return Ok(QueueDecision::Invalid);
        };
        match spec.id {
            // As in `processCommand`. A nested MULTI and a WATCH reply an error, and do not abort the transaction.
            Id::MULTI | Id::EXEC | Id::DISCARD | Id::WATCH | Id::RESET | Id::QUIT => {
                return Ok(QueueDecision::Now);
            }
            #[cfg(not(feature = "scripts"))]
            Id::EVAL | Id::EVALSHA | Id::EVAL_RO | Id::EVALSHA_RO | Id::SCRIPT => {
                return Ok(QueueDecision::Invalid);
            }
            // They would change how the replies of the transaction are written.
            Id::HELLO | Id::MONITOR => return Err(NOT_ALLOWED.into()),
            Id::CLIENT if is(arguments[1], "reply") => return Err(NOT_ALLOWED.into()),
            // In a cluster the commands behind it are meant for another database.
            Id::SELECT
                if self.group().is_some()
                    && number::integer(arguments[1]).is_some_and(|number| number != 0) =>
            {
                self.select(arguments[1])?;
            }
            // The locks of a transaction are those of the keyspaces with which it began.
            Id::SWAPDB => return Err(error_text(RequestError::SwapInTransaction).into()),
            // As in Redis, the client learns of it before EXEC.
            _ if self.needs_memory(spec, arguments) && self.session.is_memory_full() => {
                return Err(error_text(RequestError::OutOfMemory).into());
            }
            _ if spec.key_specs.is_empty() => check_keyless(spec, arguments)?,
            _ => {}
        }
        if let Some(group) = self.group() {
            self.route(group, spec, arguments)?;
        }
        Ok(QueueDecision::Queue(spec))
    }

    /// Returns whether a command is refused while memory is full, whatever it would change.
    #[cfg_attr(
        not(feature = "scripts"),
        expect(clippy::unused_self, reason = "only scripts look at it")
    )]
    fn needs_memory(&self, spec: &CommandSpec, arguments: &[&[u8]]) -> bool {
        #[cfg(feature = "scripts")]
        if spec.is_eval() {
            return self.script_needs_memory(spec.id, arguments);
        }
        let _ = arguments;
        spec.has_flag(Flag::DenyOom)
    }
}

/// How a command behind MULTI is handled.
enum QueueDecision {
    /// It is executed at once.
    Now,
    /// It is executed at once, which fails. The transaction fails, too.
    Invalid,
    /// It is queued.
    Queue(&'static CommandSpec),
}

/// Checks a command without keys, or with a subcommand.
fn check_keyless(spec: &'static CommandSpec, arguments: &[&[u8]]) -> Result<(), CommandError> {
    if spec.has_flag(Flag::NoMulti) {
        return Err(NOT_ALLOWED.into());
    }
    resolve(spec, arguments).map(drop)
}
