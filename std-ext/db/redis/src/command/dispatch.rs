//! From a parsed request to the function of its command.

use crate::command::arguments::{
    ArgumentError, CommandError, is, shown, unknown_subcommand, wrong_number,
};
use crate::command::execute::{Execution, NextStep};
use crate::command::reply::{MissingKeyReply, ReplyKind, error_text};
use crate::command::runs::run_of;
use crate::command::strings::plain_set;
use crate::command::table::{self, CommandSpec, Flag, Id, Kind};
use hedgerow_db_engine::request::{Change, Query, RequestError, ValueType};
use hedgerow_db_formats::resp::write::RespWriter;

impl<'a> Execution<'_, 'a> {
    /// Executes a command, or adds it to the batch. The first argument is its name.
    pub(super) fn execute(&mut self, arguments: &[&'a [u8]]) {
        // Checked first: a blocked command must not reach the database, even if its arguments are wrong.
        if self.connection.blocked && self.handle_blocked(arguments) {
            return;
        }
        let Some(spec) = table::find(arguments[0]) else { return self.unknown(arguments) };
        if !spec.takes(arguments.len()) {
            return self.wrong_arity(spec);
        }
        // After the arity check, in Redis's order of errors. Nearly all clients may do everything.
        if !self.connection.is_unrestricted && !self.admits(spec, arguments) {
            return;
        }
        self.connection.command = spec.name;
        if let Some(group) = self.group()
            && let Err(error) = self.route(group, spec, arguments)
        {
            self.meter.reject(spec.id.number().into());
            return self.error(error.as_ref());
        }
        if let Err(error) = self.dispatch(spec, arguments) {
            self.fail(spec, arguments, error.as_ref());
        }
    }

    /// Dispatches a command of a transaction. Not inlined, so that the code of `execute` stays the same.
    #[inline(never)]
    pub(super) fn dispatch_queued(&mut self, spec: &'static CommandSpec, arguments: &[&'a [u8]]) {
        self.connection.command = spec.name;
        if let Err(error) = self.dispatch(spec, arguments) {
            self.fail(spec, arguments, error.as_ref());
        }
    }

    /// Inlined into its callers, which the compiler does not do by itself. It saves 26 instructions a command.
    #[inline(always)]
    fn dispatch(
        &mut self,
        spec: &'static CommandSpec,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let number = spec.id.number();
        self.batch.command = number;
        match spec.id {
            // The most frequent ones without a call.
            Id::GET => self.batch.read(arguments[1], Query::Pieces, ReplyKind::Value),
            Id::SET if arguments.len() == 3 => {
                self.batch.change(arguments[1], plain_set(arguments[2], false), ReplyKind::Done);
            }
            _ if spec.kind == Kind::Batched => run_of(spec)(self, arguments)?,
            _ => return self.dispatch_alone(spec, arguments),
        }
        self.meter.count(number.into());
        Ok(())
    }

    /// Dispatches a command that is not a part of the batch, or has subcommands, and counts it. Not inlined, because
    /// `dispatch` is.
    #[inline(never)]
    fn dispatch_alone(
        &mut self,
        spec: &'static CommandSpec,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let part = spec.with_part(arguments);
        self.batch.command = part.id.number();
        self.connection.command = part.name;
        self.dataless += usize::from(part.is_dataless);
        if !part.takes(arguments.len()) {
            return Err(wrong_number(part.name));
        }
        run_of(part)(self, arguments)?;
        self.count_measured(part);
        Ok(())
    }

    /// Returns the error for a command whose second argument names none of its subcommands.
    #[cold]
    pub(super) fn unknown_part(&self, arguments: &[&[u8]]) -> CommandError {
        unknown_subcommand(self.connection.command, arguments[1])
    }

    #[cold]
    pub(super) fn unknown(&mut self, arguments: &[&[u8]]) {
        self.dataless += 1;
        // A browser that a web page sends here (cross-protocol scripting): the following lines are under that page's
        // control, so close, as Redis does.
        if [&b"post"[..], b"host:"].iter().any(|name| name.eq_ignore_ascii_case(arguments[0])) {
            self.execute_batch();
            self.next = NextStep::Close;
            return;
        }
        let mut text = b"ERR unknown command '".to_vec();
        text.extend(shown(arguments[0], 128));
        if let Some((_, why)) = MISSING.iter().find(|(name, _)| is(arguments[0], name)) {
            text.extend(b"': ");
            text.extend(why.as_bytes());
            return self.error(text);
        }
        text.extend(b"', with args beginning with: ");
        let mut shown_bytes = 0;
        for argument in &arguments[1..] {
            if shown_bytes >= 128 {
                break;
            }
            let word = shown(argument, 128 - shown_bytes);
            text.push(b'\'');
            text.extend(word);
            text.extend(b"' ");
            shown_bytes += word.len() + 3;
        }
        self.error(text);
    }
}

/// Commands that programs rely on, with a reason why they do not exist here.
const MISSING: [(&str, &str); 8] = [
    ("eval", NO_SCRIPTS),
    ("eval_ro", NO_SCRIPTS),
    ("evalsha", NO_SCRIPTS),
    ("evalsha_ro", NO_SCRIPTS),
    ("script", NO_SCRIPTS),
    ("fcall", NO_FUNCTIONS),
    ("fcall_ro", NO_FUNCTIONS),
    ("function", NO_FUNCTIONS),
];
/// In a build without the feature `scripts`.
const NO_SCRIPTS: &str =
    "scripts are not supported, so a lock that a script would release stays until it expires";
const NO_FUNCTIONS: &str = "functions are not supported; use EVAL, or SCRIPT LOAD and EVALSHA";

/// For rows of the table that are one expression.
impl<'a> Execution<'_, 'a> {
    /// Adds a read of one key.
    pub(super) fn read(
        &mut self,
        key: &'a [u8],
        query: Query<'a>,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        self.batch.read(key, query, kind);
        Ok(())
    }

    /// Adds a read of several keys, in one snapshot.
    pub(super) fn read_all(
        &mut self,
        keys: &[&'a [u8]],
        query: Query<'a>,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        self.batch.multi_read(keys, query, kind);
        Ok(())
    }

    /// Adds a change of one key.
    pub(super) fn change(
        &mut self,
        key: &'a [u8],
        change: Change<'a>,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        self.batch.change(key, change, kind);
        Ok(())
    }

    /// Refuses the arguments of a command that looks for its key before it reads them: a missing key may have a reply
    /// of its own, and a value of another type has another error.
    pub(super) fn refuse_by_key(
        &mut self,
        key: &'a [u8],
        wanted: ValueType,
        error: ArgumentError,
        missing: MissingKeyReply,
    ) -> Result<(), CommandError> {
        let spec = table::by_number(self.batch.command.into());
        // The request only reads, so the database does not refuse it for memory.
        if spec.has_flag(Flag::DenyOom) && self.lacks_memory() {
            return Err(error_text(RequestError::OutOfMemory).into());
        }
        self.read(key, Query::Type, ReplyKind::Refused(wanted, error, missing))
    }

    /// Adds a reply that needs nothing from the database.
    pub(super) fn answer(
        &mut self,
        write: impl FnOnce(&mut RespWriter<'_>),
    ) -> Result<(), CommandError> {
        self.reply(write);
        Ok(())
    }
}
