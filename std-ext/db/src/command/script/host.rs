//! `redis.call`: a script's way to the database.

use crate::command::acl::user::User;
use crate::command::script::control::Control;
use crate::command::script::convert;
use crate::command::script::memory_limit::Lifted;
use crate::command::script::numbers;
use crate::command::subcommands;
use crate::command::table;
use mlua::{Lua, MultiValue, Value};
use std::sync::Arc;

/// The most bytes of arguments of one command.
const ARGUMENT_BYTES: usize = crate::limits::SCRIPT_MEMORY;

const NOT_IN_A_SCRIPT: &str = "ERR redis.call/pcall can only be called inside a script invocation";

/// `redis.call` and `redis.pcall`, of which only the former raises the error that a command replies.
pub(super) fn call(
    lua: &Lua,
    control: &Control,
    arguments: &MultiValue,
    raises: bool,
) -> mlua::Result<Value> {
    control.check()?;
    let mut out = Vec::new();
    let called = with_arguments(arguments, |arguments| {
        let called =
            control.host.with(|host| host.call(arguments, control.protocol.get(), &mut out));
        called.unwrap_or_else(|| Err(NOT_IN_A_SCRIPT.to_owned()))
    });
    let lifted = Lifted::for_values_of(lua, out.len());
    let reply = match called {
        Ok(()) => convert::reply_value(lua, control, &out)?,
        Err(text) => convert::error_value(lua, &control.names, text.as_bytes())?,
    };
    drop(lifted);
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
                let text = text.as_bytes();
                // The same string may be given many times, and is copied each time.
                if bytes.len() + text.len() > ARGUMENT_BYTES {
                    return Err(
                        "ERR the arguments of a command of a script are too long".to_owned()
                    );
                }
                bytes.extend_from_slice(&text);
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

/// `redis.acl_check_cmd`: returns whether the user of the client may execute a command.
pub(super) fn check_command(
    lua: &Lua,
    control: &Control,
    arguments: &MultiValue,
) -> mlua::Result<bool> {
    let mut allowed = None;
    let checked = with_arguments(arguments, |arguments| {
        let spec = table::find(arguments[0]);
        let has_parts = spec.is_some_and(|spec| subcommands::of(spec).next().is_some());
        let named = match arguments.get(1) {
            Some(part) if has_parts => subcommands::find(arguments[0], part),
            _ => spec,
        };
        let user = control.user.borrow();
        let may = |user: &Arc<User>| named.map(|spec| user.check(spec, arguments).is_ok());
        allowed = user.as_ref().and_then(may);
        Ok(())
    });
    let text = match (checked, allowed) {
        (Ok(()), Some(allowed)) => return Ok(allowed),
        (Ok(()), None) => "ERR Invalid command passed to redis.acl_check_cmd()".to_owned(),
        (Err(text), _) => text,
    };
    Err(control.raise(convert::error_value(lua, &control.names, text.as_bytes())?))
}
