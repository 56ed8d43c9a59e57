//! Functions by which all commands read their arguments, and the errors that they reply.

use crate::command::table::{CommandSpec, Kind};
use std::borrow::Cow;

/// The error that a command replies, with its code.
pub(super) type CommandError = Cow<'static, str>;

pub(super) const SYNTAX: CommandError = Cow::Borrowed("ERR syntax error");
pub(super) const NOT_AN_INTEGER: CommandError =
    Cow::Borrowed("ERR value is not an integer or out of range");

/// An error in the arguments of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentError {
    Syntax,
    NotAnInteger,
    NotAFloat,
    /// SETRANGE would make the value too long.
    ValueTooLong,
    /// LCS cannot reply both a length and ranges.
    LengthAndRanges,
    /// The time of GETEX is not positive, or too late.
    ExpireTime,
    /// DELEX has no such condition.
    Condition,
    /// A weight of ZUNION, ZINTER and their like is no number.
    Weight,
    /// What should be the ID of a stream's entry is none.
    StreamId,
    /// The limit of ZINTERCARD or SINTERCARD is negative, or no integer.
    Limit,
}

impl ArgumentError {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Syntax => "ERR syntax error",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::NotAFloat => "ERR value is not a valid float",
            Self::ValueTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::LengthAndRanges => {
                "ERR If you want both the length and indexes, please just use IDX."
            }
            Self::ExpireTime => "ERR invalid expire time in 'getex' command",
            Self::StreamId => "ERR Invalid stream ID specified as stream command argument",
            Self::Weight => "ERR weight value is not a float",
            Self::Limit => "ERR LIMIT can't be negative",
            Self::Condition => "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
        }
    }
}

impl From<ArgumentError> for Cow<'_, str> {
    fn from(error: ArgumentError) -> Self {
        Self::Borrowed(error.text())
    }
}

/// Returns at most this many bytes, up to the first zero byte: Redis formats them as a C string.
pub(super) fn shown(bytes: &[u8], most: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(most)];
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Returns the error for a wrong number of arguments.
pub(super) fn wrong_number(command: &str) -> CommandError {
    format!("ERR wrong number of arguments for '{command}' command").into()
}

/// Returns the error for an unknown subcommand.
pub(super) fn unknown_subcommand(container: &str, part: &[u8]) -> CommandError {
    let part = String::from_utf8_lossy(shown(part, 128)).into_owned();
    let container = container.to_uppercase();
    format!("ERR unknown subcommand '{part}'. Try {container} HELP.").into()
}

/// Returns the error for a subcommand whose number of arguments is checked by the subcommand.
pub(super) fn wrong_part(container: &str, part: &[u8]) -> CommandError {
    let part = String::from_utf8_lossy(shown(part, 128)).into_owned();
    let why = "unknown subcommand or wrong number of arguments for";
    format!("ERR {why} '{part}'. Try {container} HELP.").into()
}

/// Returns the subcommand that a command names, or the command if it has none.
///
/// # Errors
/// If there is no such subcommand, or it does not take this number of arguments.
pub(super) fn resolve(
    spec: &'static CommandSpec,
    arguments: &[&[u8]],
) -> Result<&'static CommandSpec, CommandError> {
    let (Some(part), Kind::Container) = (arguments.get(1), spec.kind) else {
        return Ok(spec);
    };
    let named = spec.part(part).ok_or_else(|| unknown_subcommand(spec.name, part))?;
    if named.takes(arguments.len()) { Ok(named) } else { Err(wrong_number(named.name)) }
}

/// Returns whether an argument is this word, in any case.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}
