//! Transactions with scripts: the commands between MULTI and EXEC, if one of them is EVAL or the like.
//!
//! A script may change the keys of the next command, so the commands are executed one after the other, on the
//! locked keys of all of them.

use crate::command::arguments::CommandError;
use crate::command::batch::{RequestBatch, transaction_refused};
use crate::command::execute::{Execution, NextStep};
use crate::command::queue::Queued;
use crate::command::reply::error_text;
use crate::command::script::call::Call;
use crate::command::script::eval::Ended;
use crate::command::script::interpreter::with_interpreter;
use crate::command::script::locked::sends;
use crate::command::script::outbox::Outbox;
use crate::command::sort;
use crate::command::table::{CommandSpec, Flag, Id};
use crate::command::transaction::{NO_SHARD_CHANNELS, asks_database, is_about_keys};
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_engine::session::{Breadth, LockedKeys};
use hedgerow_db_engine::state::watched_keys::KeyWatch;
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::write::RespWriter;
use hedgerow_db_formats::slots::slot;

/// Returns of each command whether it is executed behind the others, without their locks.
///
/// A message keeps its order with those of scripts. But behind a command that comes last it comes last, too: that one
/// may subscribe to its channel, or take the right to send it.
fn coming_last(commands: &[Queued<'_>]) -> Vec<bool> {
    let mut before = false;
    let comes_last = |(spec, _): &Queued<'_>| {
        let has_place = is_about_keys(spec) || spec.is_eval() || spec.id == Id::SCRIPT;
        let comes_last = !has_place && (before || sends(spec).is_none());
        before |= comes_last;
        comes_last
    };
    commands.iter().map(comes_last).collect()
}

impl<'a> Execution<'_, 'a> {
    /// Executes a transaction with scripts, and writes its reply.
    pub(in crate::command) fn execute_with_scripts(
        &mut self,
        commands: &[Queued<'_>],
        watch: Option<&KeyWatch>,
    ) -> Result<(), CommandError> {
        if commands.iter().any(|(spec, _)| spec.id == Id::RESTORE) {
            return Err(transaction_refused(
                "RESTORE is not supported in a transaction with scripts",
            ));
        }
        let own = i64::from(self.connection.database);
        let selects_other = |(spec, arguments): &Queued<'_>| {
            spec.id == Id::SELECT && number::integer(arguments[1]) != Some(own)
        };
        if commands.iter().any(selects_other) {
            return Err(transaction_refused(error_text(RequestError::OtherDatabase)));
        }
        let state = self.session.state();
        let keys = keys_of(commands);
        let needs_all = |spec: &CommandSpec| {
            matches!(spec.id, Id::FLUSHDB | Id::FLUSHALL) || asks_database(spec)
        };
        let changes = |spec: &CommandSpec| {
            spec.has_flag(Flag::Write) || matches!(spec.id, Id::EVAL | Id::EVALSHA)
        };
        let changes = commands.iter().any(|(spec, _)| changes(spec));
        // SCRIPT FLUSH cannot be undone, so a transaction with it never begins anew.
        let mut breadth = match commands {
            _ if commands.iter().any(|(spec, _)| needs_all(spec)) => Breadth::Everything,
            _ if commands.iter().any(|(spec, arguments)| sort::names_keys(spec, arguments)) => {
                Breadth::Everything
            }
            _ if commands.iter().any(|(spec, _)| spec.id == Id::SCRIPT) => Breadth::Everything,
            _ => Breadth::Keys,
        };
        let coming_last = coming_last(commands);
        let mut replies = loop {
            let of = (&mut *self.session, &*state);
            let mut locked = match LockedKeys::lock(of, &keys, watch, (changes, breadth)) {
                Ok(Some(locked)) => locked,
                Ok(None) => {
                    self.reply(|out| out.null_array());
                    return Ok(());
                }
                Err(at) => return Err(self.redirects().refused_slot(Some(slot(keys[at])), true)),
            };
            let mut outbox = Outbox::default();
            let (mut replies, ended) =
                self.execute_all(commands, &coming_last, (&mut locked, &mut outbox));
            match ended {
                Ended::Done(_) => {
                    let (hub, cluster) = (self.server.hub(), self.cluster);
                    let lsn = self.session.finish_locked(locked, || outbox.send(hub, cluster));
                    self.lsn = self.lsn.max(lsn);
                    break replies;
                }
                Ended::Stopped => {
                    self.session.undo_locked(locked);
                    let reply = replies.pop().unwrap_or_default();
                    let error = String::from_utf8_lossy(reply.trim_ascii_end()).into_owned();
                    // A stopped script undoes the whole transaction: half of it would be neither Redis's EXEC nor a
                    // rollback.
                    return Err(transaction_refused(error.strip_prefix('-').unwrap_or(&error)));
                }
                // Dropped, the locked keys are as they were.
                Ended::NeedsLocks(more) => {
                    (breadth, self.next) = (breadth.max(more), NextStep::Continue);
                }
            }
        };
        let mut left = self.max_out.saturating_sub(self.out.len());
        left = left.saturating_sub(replies.iter().map(Vec::len).sum());
        let all = commands.iter().zip(&mut replies).zip(coming_last);
        for (((spec, arguments), reply), comes_last) in all {
            if comes_last && self.next == NextStep::Continue {
                let mut nested = self.nested(RequestBatch::default());
                (nested.out, nested.max_out) = (&mut *reply, left);
                nested.in_transaction = true;
                if let Some(error) = nested.refusal_at_exec(spec, arguments) {
                    nested.error(error.as_ref());
                } else if spec.id == Id::SSUBSCRIBE {
                    nested.error(NO_SHARD_CHANNELS);
                } else {
                    nested.dispatch_queued(spec, arguments);
                    nested.execute_batch();
                }
                (self.lsn, self.next, self.measured) = (nested.lsn, nested.next, nested.measured);
                left = left.saturating_sub(reply.len());
            }
        }
        if self.next != NextStep::Drop {
            RespWriter::new(self.out, self.connection.protocol).array(replies.len());
            for reply in &replies {
                self.out.extend_from_slice(reply);
            }
            self.fits(0);
        }
        Ok(())
    }

    /// Executes those commands that do not come last, on locked keys, until a script does not end by itself. Returns
    /// their replies, and how the last one has ended.
    fn execute_all(
        &mut self,
        commands: &[Queued<'_>],
        coming_last: &[bool],
        (locked, outbox): (&mut LockedKeys<'_>, &mut Outbox),
    ) -> (Vec<Vec<u8>>, Ended) {
        let mut replies = Vec::with_capacity(commands.len());
        let mut left = self.max_out.saturating_sub(self.out.len());
        for ((spec, arguments), comes_last) in commands.iter().zip(coming_last) {
            let (mut reply, mut ended) = (Vec::new(), Ended::Done(Breadth::Keys));
            if !comes_last {
                let with = (&mut *locked, &mut *outbox);
                ended = self.execute_queued((spec, arguments), with, (&mut reply, left));
            }
            left = left.saturating_sub(reply.len());
            replies.push(reply);
            if !matches!(ended, Ended::Done(_)) {
                return (replies, ended);
            }
        }
        (replies, Ended::Done(Breadth::Keys))
    }

    /// Executes a command on locked keys, and writes its reply. Returns how it has ended, if it is a script.
    fn execute_queued(
        &mut self,
        (spec, arguments): Queued<'_>,
        (locked, outbox): (&mut LockedKeys<'_>, &mut Outbox),
        (reply, max_out): (&mut Vec<u8>, usize),
    ) -> Ended {
        let (protocol, redirects) = (self.connection.protocol, self.redirects());
        let mut nested = self.nested(RequestBatch::default());
        (nested.out, nested.max_out) = (reply, max_out);
        let mut ended = Ok(Ended::Done(Breadth::Keys));
        if let Some(error) = nested.refusal_at_exec(spec, arguments) {
            nested.error(error.as_ref());
        } else if spec.is_eval() {
            nested.connection.command = spec.name;
            ended = nested.eval_locked(spec.id, arguments, (locked, outbox));
        } else if let Some(kind) = sends(spec) {
            nested.meter.count(spec.id.number().into());
            let to = (&**nested.server.hub(), nested.cluster);
            match outbox.add(to, kind, (arguments[1], arguments[2])) {
                Ok(receivers) => nested.reply(|out| out.integer(receivers.cast_signed())),
                Err(error) => nested.error(error),
            }
        } else if spec.id == Id::SCRIPT {
            nested.dispatch_queued(spec, arguments);
            nested.execute_batch();
        } else {
            (nested.collects, nested.time) = (true, Some(locked.time()));
            nested.dispatch_queued(spec, arguments);
            if !nested.batch.execute_locked(locked, redirects, protocol, nested.out, max_out) {
                nested.next = NextStep::Drop;
            }
            let mut failures = std::mem::take(&mut nested.batch.failures);
            nested.count_failures(&mut failures);
        }
        if let Err(error) = &ended {
            nested.meter.fail(spec.id.number().into());
            nested.error(error.as_ref());
        }
        self.next = nested.next;
        ended.unwrap_or(Ended::Done(Breadth::Keys))
    }

    fn eval_locked(
        &mut self,
        id: Id,
        arguments: &[&'a [u8]],
        with: (&mut LockedKeys<'_>, &mut Outbox),
    ) -> Result<Ended, CommandError> {
        let call = Call::parse(id, arguments)?;
        let scripts = crate::scripts::Scripts::of(self.db).clone();
        let ended = with_interpreter(&scripts, |interpreter| {
            let script = self.find(interpreter, &call)?;
            self.run_script(interpreter, &call, &script, with)
        });
        ended.unwrap_or_else(|why| Err(format!("ERR no interpreter for scripts: {why}").into()))
    }
}

/// Returns the keys of all commands.
fn keys_of<'q>(commands: &[Queued<'q>]) -> Vec<&'q [u8]> {
    let mut keys = Vec::new();
    for (spec, arguments) in commands {
        keys.extend(spec.with_part(arguments).keys_among(arguments));
    }
    keys
}
