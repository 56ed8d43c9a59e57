//! The arguments of EVAL and the like.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER};
use crate::command::table::Id;
use crate::scripts::ScriptId;
use hedgerow_db_formats::number;

pub(super) const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

/// A script, its keys and its arguments.
pub(super) struct Call<'c, 'a> {
    pub(super) command: Id,
    /// The text, for EVAL.
    pub(super) text: Option<&'a [u8]>,
    pub(super) id: ScriptId,
    pub(super) keys: &'c [&'a [u8]],
    pub(super) arguments: &'c [&'a [u8]],
    pub(super) reads_only: bool,
}

impl<'c, 'a> Call<'c, 'a> {
    /// Reads the arguments of EVAL and the like.
    pub(super) fn parse(id: Id, arguments: &'c [&'a [u8]]) -> Result<Self, CommandError> {
        let given = arguments[1];
        let text = matches!(id, Id::EVAL | Id::EVAL_RO).then_some(given);
        // Before the number is looked at, as in Redis.
        let script = match text {
            Some(text) => ScriptId::of(text),
            None => ScriptId::parse(given).ok_or(NO_SCRIPT)?,
        };
        let count = number::integer(arguments[2]).ok_or(NOT_AN_INTEGER)?;
        if count > (arguments.len() - 3) as i64 {
            return Err("ERR Number of keys can't be greater than number of args".into());
        }
        let Ok(count) = usize::try_from(count) else {
            return Err("ERR Number of keys can't be negative".into());
        };
        let (keys, arguments) = arguments[3..].split_at(count);
        let reads_only = matches!(id, Id::EVAL_RO | Id::EVALSHA_RO);
        Ok(Self { command: id, text, id: script, keys, arguments, reads_only })
    }
}
