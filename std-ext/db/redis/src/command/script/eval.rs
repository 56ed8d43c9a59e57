//! EVAL, EVALSHA, their read-only forms, and SCRIPT.

use crate::command::arguments::{CommandError, is};
use crate::command::execute::{Execution, NextStep};
use crate::command::reply::error_text;
use crate::command::script::call::{Call, NO_SCRIPT};
use crate::command::script::interpreter::{
    Forecast, Interpreter, Script, ScriptFailure, with_interpreter,
};
use crate::command::script::locked::LockedHost;
use crate::command::script::outbox::Outbox;
use crate::command::script::shebang;
use crate::command::table::Id;
use crate::scripts::{ScriptId, Scripts};
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_engine::session::{Breadth, LockedKeys};
use hedgerow_db_formats::resp::write::RespWriter;
use hedgerow_db_formats::slots::slot;

/// How a script has ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// With a reply. It has used these locks.
    Done(Breadth),
    /// It was stopped, so its changes must be undone.
    Stopped,
    /// It has no reply: its changes must be undone, and it must begin anew with these locks.
    NeedsLocks(Breadth),
}

impl<'a> Execution<'_, 'a> {
    /// EVAL, EVALSHA, EVAL_RO and EVALSHA_RO.
    pub(in crate::command) fn eval(
        &mut self,
        id: Id,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        self.execute_batch();
        if self.next != NextStep::Continue {
            return Ok(());
        }
        if self.session.is_memory_full() && self.script_needs_memory(id, arguments) {
            return Err(error_text(RequestError::OutOfMemory).into());
        }
        let call = Call::parse(id, arguments)?;
        let state = self.session.state();
        let scripts = Scripts::of(self.db).clone();
        let result = with_interpreter(&scripts, |interpreter| {
            let script = self.find(interpreter, &call)?;
            let changes = !(call.reads_only || script.flags.no_writes);
            let mut breadth = script.forecast.get().breadth();
            loop {
                let of = (&mut *self.session, &*state);
                let mut keys = match LockedKeys::lock(of, call.keys, None, (changes, breadth)) {
                    Ok(Some(keys)) => keys,
                    Ok(None) => return Ok(()),
                    Err(at) => {
                        return Err(self.redirects().refused_slot(Some(slot(call.keys[at])), true));
                    }
                };
                let mut outbox = Outbox::default();
                let ended = self.run_script(interpreter, &call, &script, (&mut keys, &mut outbox));
                let (hub, cluster) = (self.server.hub(), self.cluster);
                let lsn = match ended {
                    Ok(Ended::NeedsLocks(more)) => {
                        // Dropped, the locked keys are as they were. No message was sent, and nothing else remains.
                        breadth = breadth.max(more);
                        script.forecast.set(Forecast::wide(breadth));
                        continue;
                    }
                    Ok(Ended::Done(used)) => {
                        script.forecast.set(match script.forecast.get() {
                            forecast if used < breadth => forecast.after_unused(),
                            forecast if breadth == Breadth::Keys => forecast,
                            _ => Forecast::wide(breadth),
                        });
                        self.session.finish_locked(keys, || outbox.send(hub, cluster))
                    }
                    Ok(Ended::Stopped) | Err(_) => self.session.undo_locked(keys),
                };
                self.lsn = self.lsn.max(lsn);
                // Behind the reply: the script may have sent them to its own client.
                self.push_own_mail();
                return ended.map(|_| ());
            }
        });
        result.unwrap_or_else(|why| Err(format!("ERR no interpreter for scripts: {why}").into()))
    }

    /// Returns whether a script is refused while memory is full, as a command with the flag `denyoom`: one whose first
    /// line has flags, and neither `allow-oom` nor `no-writes`.
    pub(in crate::command) fn script_needs_memory(&self, id: Id, arguments: &[&[u8]]) -> bool {
        let needs = |text: &[u8]| shebang::parse(text).is_ok_and(|(flags, _)| flags.needs_memory());
        if matches!(id, Id::EVAL | Id::EVAL_RO) {
            return needs(arguments[1]);
        }
        let text = ScriptId::parse(arguments[1]).and_then(|id| Scripts::of(self.db).get(&id));
        text.is_some_and(|text| needs(&text))
    }

    /// Finds or compiles the script of a call.
    pub(super) fn find(
        &mut self,
        interpreter: &mut Interpreter,
        call: &Call<'_, 'a>,
    ) -> Result<Script, CommandError> {
        let error = |why: String| CommandError::from(format!("ERR {why}"));
        if let Some(script) = interpreter.find(&call.id).map_err(error)? {
            return Ok(script);
        }
        let text = call.text.ok_or(NO_SCRIPT)?;
        self.load(interpreter, call.id, text, true)
    }

    fn load(
        &mut self,
        interpreter: &mut Interpreter,
        id: ScriptId,
        text: &[u8],
        evaluated: bool,
    ) -> Result<Script, CommandError> {
        if text.len() > crate::limits::SCRIPT_BYTES {
            return Err("ERR the script is longer than 1 MiB".into());
        }
        let script = interpreter.compile(id, text).map_err(|why| format!("ERR {why}"))?;
        if !Scripts::of(self.db).insert(id, text, evaluated) {
            return Err("ERR there is no room for more loaded scripts; use SCRIPT FLUSH".into());
        }
        Ok(script)
    }

    /// Runs a script on locked keys, and writes its reply.
    pub(super) fn run_script(
        &mut self,
        interpreter: &mut Interpreter,
        call: &Call<'_, 'a>,
        script: &Script,
        (keys, outbox): (&mut LockedKeys<'_>, &mut Outbox),
    ) -> Result<Ended, CommandError> {
        let flags = script.flags;
        if flags.declared {
            self.check_flags(call, script, keys)?;
        }
        let (protocol, max_out, start) = (self.connection.protocol, self.max_out, self.out.len());
        interpreter.set_diagnostics(&self.meter.diagnostics);
        let mut out = std::mem::take(self.out);
        let command = self.connection.command;
        let mut host = LockedHost::new(self, (keys, outbox), call, flags);
        let mut writer = RespWriter::new(&mut out, protocol);
        let arguments = (call.keys, call.arguments);
        let ended = interpreter.run(&call.id, script, arguments, &mut host, &mut writer, max_out);
        let (used, needs) = (host.used, host.needs);
        (self.connection.command, self.connection.protocol) = (command, protocol);
        *self.out = out;
        let (text, stopped) = match ended {
            Ok(()) => {
                self.count_script_error(call.command, start, interpreter.has_counted_error());
                return Ok(Ended::Done(used));
            }
            Err(ScriptFailure::TooLong) => {
                self.out.truncate(start);
                self.next = NextStep::Drop;
                return Ok(Ended::Done(used));
            }
            Err(ScriptFailure::NeedsLocks) => {
                self.out.truncate(start);
                return Ok(Ended::NeedsLocks(needs.unwrap_or(Breadth::Everything)));
            }
            Err(ScriptFailure::Error(text)) => (text, false),
            Err(ScriptFailure::Stopped(text)) => (text, true),
        };
        self.out.truncate(start);
        RespWriter::new(self.out, protocol).error(text);
        let counted = !stopped && interpreter.has_counted_error();
        self.count_script_error(call.command, start, counted);
        Ok(if stopped { Ended::Stopped } else { Ended::Done(used) })
    }

    /// Counts the reply of a script from `start` on if it is an error. The error of a command that the script called
    /// has been counted then, and only the call of the script has failed.
    fn count_script_error(&mut self, command: Id, start: usize, counted: bool) {
        if let Some(text) = self.out[start..].strip_prefix(b"-") {
            self.meter.fail(command.number().into());
            if !counted {
                self.meter.diagnostics.count_error(text.trim_ascii_end());
            }
        }
    }

    /// Checks the flags of a script against the state of the node.
    fn check_flags(
        &self,
        call: &Call<'_, 'a>,
        script: &Script,
        keys: &LockedKeys<'_>,
    ) -> Result<(), CommandError> {
        let flags = script.flags;
        if flags.no_cluster && self.group().is_some() {
            return Err("ERR Can not run script on cluster, 'no-cluster' flag is set.".into());
        }
        if flags.no_writes {
            return Ok(());
        }
        if call.reads_only {
            let why = "ERR Can not execute a script with write flag using *_ro command.";
            return Err(why.into());
        }
        // It was not when the call was checked.
        if keys.is_full() && flags.needs_memory() {
            return Err(error_text(RequestError::OutOfMemory).into());
        }
        Ok(())
    }

    /// SCRIPT LOAD.
    pub(in crate::command) fn script_load(&mut self, text: &[u8]) -> Result<(), CommandError> {
        let (scripts, id) = (Scripts::of(self.db).clone(), ScriptId::of(text));
        let loaded = with_interpreter(&scripts, |interpreter| {
            self.load(interpreter, id, text, false).map(|_| ())
        });
        loaded.unwrap_or_else(|why| Err(format!("ERR {why}").into()))?;
        self.answer(|out| out.bulk(id.as_bytes()))
    }

    /// SCRIPT EXISTS.
    pub(in crate::command) fn script_exists(
        &mut self,
        ids: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let scripts = Scripts::of(self.db).clone();
        let is_known =
            |id: &&[u8]| ScriptId::parse(id).is_some_and(|id| scripts.get(&id).is_some());
        self.answer(|out| {
            out.array(ids.len());
            for id in ids {
                out.integer(is_known(id).into());
            }
        })
    }

    /// SCRIPT FLUSH.
    pub(in crate::command) fn script_flush(
        &mut self,
        options: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let is_mode = |mode: &&[u8]| is(mode, "sync") || is(mode, "async");
        if options.len() > 1 || !options.iter().all(is_mode) {
            return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into());
        }
        Scripts::of(self.db).clear();
        self.answer(|out| out.ok())
    }

    /// SCRIPT KILL. Kills also a script that has written, which Redis refuses (`UNKILLABLE`): its changes are undone
    /// here.
    pub(in crate::command) fn script_kill(&mut self) -> Result<(), CommandError> {
        if !Scripts::of(self.db).kill() {
            return Err("NOTBUSY No scripts in execution right now.".into());
        }
        self.answer(|out| out.ok())
    }

    /// SCRIPT DEBUG.
    pub(in crate::command) fn script_debug(&mut self, mode: &[u8]) -> Result<(), CommandError> {
        if is(mode, "no") {
            return self.answer(|out| out.ok());
        }
        Err("ERR SCRIPT DEBUG is not supported: there is no debugger".into())
    }
}
