//! Commands about keys whose arguments need parsing.

use crate::command::arguments::{
    CommandError, NOT_AN_INTEGER, SYNTAX, is, subcommand, wrong_number,
};
use crate::command::execute::Execution;
use crate::command::expiration::comparison;
use crate::command::lcs::LcsOptions;
use crate::command::reply::{ArgumentError, EMBSTR_MAX, ReplyKind};
use crate::request::{Change, Expiry, LONGEST_VALUE, LongDouble, MultiKeyOp, Query};
use crate::state::number;

fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    number::integer(argument).ok_or(NOT_AN_INTEGER)
}

impl<'a> Execution<'_, 'a> {
    /// MSET and MSETNX.
    pub(super) fn mset(
        &mut self,
        arguments: &[&'a [u8]],
        name: &'static str,
    ) -> Result<(), CommandError> {
        if arguments.len().is_multiple_of(2) {
            return Err(wrong_number(name));
        }
        if name == "msetnx" {
            self.batch.set_all_if(&arguments[1..], Some(false), Expiry::Never);
        } else {
            self.batch.set_all(&arguments[1..]);
        }
        Ok(())
    }

    /// DELEX.
    pub(super) fn del_ex(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let key = arguments[1];
        match &arguments[2..] {
            [] => self.batch.change(key, Change::Delete, ReplyKind::Integer),
            [option, value] => {
                if let Some(condition) = comparison(option, value) {
                    self.batch.change(key, Change::DeleteIf(condition), ReplyKind::Integer);
                } else {
                    // Redis looks at the key first.
                    let kind = ReplyKind::Refused(ArgumentError::Condition, Some(0));
                    self.batch.read(key, Query::Exists, kind);
                }
            }
            _ => return Err(wrong_number("delex")),
        }
        Ok(())
    }

    /// INCRBY and DECRBY.
    pub(super) fn incrby(
        &mut self,
        arguments: &[&'a [u8]],
        less: bool,
    ) -> Result<(), CommandError> {
        let mut by = integer(arguments[2])?;
        if less {
            // The least integer has no negative. `decrbyCommand` refuses it, too.
            by = by.checked_neg().ok_or("ERR decrement would overflow")?;
        }
        self.batch.change(arguments[1], Change::Increment(by), ReplyKind::Integer);
        Ok(())
    }

    /// INCRBYFLOAT.
    pub(super) fn incrbyfloat(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let by = LongDouble::parse(arguments[2]).ok_or("ERR value is not a valid float")?;
        self.batch.change(arguments[1], Change::IncrementFloat(by), ReplyKind::Value);
        Ok(())
    }

    /// GETRANGE.
    pub(super) fn getrange(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let query = Query::RangePieces(integer(arguments[2])?, integer(arguments[3])?);
        self.batch.read(arguments[1], query, ReplyKind::Range);
        Ok(())
    }

    /// SETRANGE.
    pub(super) fn setrange(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let at = integer(arguments[2])?;
        let bytes = arguments[3];
        let at = usize::try_from(at).map_err(|_| "ERR offset is out of range")?;
        let too_long = at.checked_add(bytes.len()).is_none_or(|end| end > LONGEST_VALUE);
        // `setrangeCommand` checks the length only if there is something to write.
        if too_long && !bytes.is_empty() {
            return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
        }
        self.batch.change(arguments[1], Change::SetRange { offset: at, bytes }, ReplyKind::Integer);
        Ok(())
    }

    /// FLUSHDB and FLUSHALL.
    pub(super) fn flush(
        &mut self,
        arguments: &[&'a [u8]],
        op: MultiKeyOp<'a>,
    ) -> Result<(), CommandError> {
        match &arguments[1..] {
            [] => {}
            // No difference here: the keys are gone at once, and their memory is freed when no reader needs it.
            [how] if is(how, "async") || is(how, "sync") => {}
            _ => return Err(SYNTAX),
        }
        self.batch.multi_key(op, ReplyKind::Done);
        Ok(())
    }

    /// OBJECT.
    pub(super) fn object(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        const HELP: [&str; 13] = [
            "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ];
        let parts = [
            ("encoding", 3, Some((Query::Prefix(EMBSTR_MAX + 1), ReplyKind::Encoding))),
            ("idletime", 3, Some((Query::IdleTime, ReplyKind::IntegerOrNull))),
            ("freq", 3, Some((Query::Frequency, ReplyKind::IntegerOrNull))),
            ("refcount", 3, Some((Query::Prefix(0), ReplyKind::Shared))),
            ("help", 2, None),
        ];
        match subcommand("object", &parts, arguments)? {
            Some((query, kind)) => self.batch.read(arguments[2], query, kind),
            None => self.help(&HELP),
        }
        Ok(())
    }

    /// LCS.
    pub(super) fn lcs(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let options = LcsOptions::read(&arguments[3..])?;
        self.batch.lcs(&arguments[1..3], options);
        Ok(())
    }

    /// Replies the lines of a HELP subcommand.
    pub(super) fn help(&mut self, lines: &[&str]) {
        self.reply(|out| {
            out.array(lines.len() + 2);
            for line in lines.iter().chain(&["HELP", "    Prints this help."]) {
                out.simple(line);
            }
        });
    }
}
