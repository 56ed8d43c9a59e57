//! `redis.call`: a script's way to the database.

use crate::command::script::control::Control;
use crate::command::script::convert;
use crate::command::script::numbers;
use crate::command::table;
use crate::resp::Protocol;
use mlua::{Lua, MultiValue, Value};

/// Executes the commands of a script.
pub(super) trait Host {
    /// Executes a command, and appends its reply to `out`.
    ///
    /// # Errors
    /// Scripts must not call it. The text is the error that the script gets, with its code.
    fn call(
        &mut self,
        arguments: &[&[u8]],
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), String>;
}

/// The most bytes of arguments of one command.
const ARGUMENT_BYTES: usize = crate::limits::SCRIPT_MEMORY;

/// `redis.call` and `redis.pcall`, of which only the former raises the error that a command replies.
pub(super) fn call(
    lua: &Lua,
    control: &Control,
    host: &mut dyn Host,
    arguments: &MultiValue,
    raises: bool,
) -> mlua::Result<Value> {
    control.check()?;
    let mut out = Vec::new();
    let called = with_arguments(arguments, |arguments| {
        host.call(arguments, control.protocol.get(), &mut out)
    });
    let reply = match called {
        Ok(()) => convert::reply_value(lua, control.protocol.get(), &out)?,
        Err(text) => convert::error_value(lua, text.as_bytes())?,
    };
    match &reply {
        Value::Table(table) if raises && out.first().is_none_or(|&mark| mark == b'-') => {
            Err(control.raise(Value::Table(table.clone())))
        }
        _ => Ok(reply),
    }
}

/// Calls `with` with the bytes of the arguments of a command.
pub(super) fn with_arguments(
    arguments: &MultiValue,
    with: impl FnOnce(&[&[u8]]) -> Result<(), String>,
) -> Result<(), String> {
    if arguments.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call".to_owned());
    }
    let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(arguments.len()));
    for argument in arguments {
        match argument {
            Value::String(text) => {
                // The same string may be given many times, and is copied each time.
                if bytes.len() + text.as_bytes().len() > ARGUMENT_BYTES {
                    return Err(
                        "ERR the arguments of a command of a script are too long".to_owned()
                    );
                }
                bytes.extend_from_slice(&text.as_bytes());
            }
            Value::Integer(n) => bytes.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
            Value::Number(n) => bytes.extend_from_slice(numbers::general(*n, 17).as_bytes()),
            _ => {
                let why = "ERR Lua redis lib command arguments must be strings or integers";
                return Err(why.to_owned());
            }
        }
        ends.push(bytes.len());
    }
    let mut start = 0;
    let slices: Vec<&[u8]> =
        ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect();
    with(&slices)
}

/// `redis.acl_check_cmd`: a client that may run scripts may call every command.
pub(super) fn check_command(
    lua: &Lua,
    control: &Control,
    arguments: &MultiValue,
) -> mlua::Result<bool> {
    let mut is_known = false;
    let checked = with_arguments(arguments, |arguments| {
        is_known = table::find(arguments[0]).is_some();
        Ok(())
    });
    let text = match checked {
        Ok(()) if is_known => return Ok(true),
        Ok(()) => "ERR Invalid command passed to redis.acl_check_cmd()".to_owned(),
        Err(text) => text,
    };
    Err(control.raise(convert::error_value(lua, text.as_bytes())?))
}
