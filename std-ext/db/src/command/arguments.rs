//! Functions by which all commands read their arguments, and the errors that they reply.

use crate::command::subcommands;
use crate::command::table::{CommandSpec, takes};
use std::borrow::Cow;

/// The error that a command replies, with its code.
pub(super) type CommandError = Cow<'static, str>;

pub(super) const SYNTAX: CommandError = Cow::Borrowed("ERR syntax error");
pub(super) const NOT_AN_INTEGER: CommandError =
    Cow::Borrowed("ERR value is not an integer or out of range");

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
    let (Some(part), true) = (arguments.get(1), subcommands::of(spec).next().is_some()) else {
        return Ok(spec);
    };
    let named = subcommands::find(spec.name.as_bytes(), part);
    let named = named.ok_or_else(|| unknown_subcommand(spec.name, part))?;
    if named.takes(arguments.len()) { Ok(named) } else { Err(wrong_number(named.name)) }
}

/// Returns the subcommand that the second argument names, if it takes this number of arguments.
pub(super) fn subcommand<T: Copy>(
    container: &str,
    parts: &[(&str, i8, T)],
    arguments: &[&[u8]],
) -> Result<T, CommandError> {
    let named = parts.iter().find(|(name, ..)| is(arguments[1], name));
    let Some(&(name, arity, part)) = named else {
        return Err(unknown_subcommand(container, arguments[1]));
    };
    let spec = subcommands::find(container.as_bytes(), name.as_bytes());
    debug_assert!(
        spec.is_some_and(|spec| spec.arity == arity),
        "COMMAND INFO disagrees about {container} {name}"
    );
    if !takes(arity, arguments.len()) {
        return Err(wrong_number(&format!("{container}|{name}")));
    }
    Ok(part)
}

/// Returns whether an argument is this word, in any case.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}
