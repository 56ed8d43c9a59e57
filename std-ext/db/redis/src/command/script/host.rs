//! `redis.call`: a script's way to the database.

use crate::command::script::command_bytes::{ArgumentBytes, CommandBytes};
use crate::command::script::control::{Control, Executed};
use crate::command::script::convert;
use crate::command::script::memory_limit::Lifted;
use crate::command::table;
use mlua::{Lua, MultiValue, Value};

const NOT_IN_A_SCRIPT: &str = "ERR redis.call/pcall can only be called inside a script invocation";

/// Executes a command with the arguments that `add` adds.
///
/// # Errors
/// The script must end.
pub(super) fn execute(
    control: &Control,
    add: impl FnOnce(&mut ArgumentBytes) -> Result<(), String>,
) -> mlua::Result<Executed> {
    control.check()?;
    let mut bytes = control.bytes.take().emptied();
    let CommandBytes { arguments: texts, reply: out } = &mut bytes;
    let executed = add(texts).and_then(|()| {
        let executed = control.host.with(|host| {
            let called = texts.with(|texts| host.call(texts, control.protocol.get(), out));
            // The error of that command is never seen: the whole script begins again.
            if called.is_err() && host.needs_locks() {
                control.stop_for_locks();
            }
            called
        });
        executed.unwrap_or_else(|| Err(NOT_IN_A_SCRIPT.to_owned()))
    });
    control.bytes.set(bytes);
    control.check_stopped()?;
    Ok(executed)
}

/// Returns the value of the reply to `redis.call` or `redis.pcall`, of which only the former raises the error that a
/// command replies.
pub(super) fn reply(
    lua: &Lua,
    control: &Control,
    executed: Executed,
    raises: bool,
) -> mlua::Result<Value> {
    let bytes = control.bytes.take();
    let out = &bytes.reply[..];
    let lifted = Lifted::for_values_of(lua, out.len());
    let is_error = executed.is_err() || out.first() == Some(&b'-');
    let reply = match executed {
        Ok(()) => convert::reply_value(lua, control, out)?,
        Err(text) => convert::error_value(lua, &control.names, text.as_bytes())?,
    };
    drop(lifted);
    control.bytes.set(bytes);
    match &reply {
        Value::Table(table) if raises && is_error => {
            Err(control.raise(Value::Table(table.clone())))
        }
        _ => Ok(reply),
    }
}

/// `redis.acl_check_cmd`: returns whether the user of the client may execute a command.
pub(super) fn check_command(
    lua: &Lua,
    control: &Control,
    arguments: &MultiValue,
) -> mlua::Result<bool> {
    let mut texts = ArgumentBytes::default();
    let checked = texts.add(arguments).map(|()| {
        texts.with(|arguments| {
            let spec = table::find(arguments[0]);
            let has_parts = spec.is_some_and(|spec| !spec.parts().is_empty());
            let named = match arguments.get(1) {
                Some(part) if has_parts => table::find_part(arguments[0], part),
                _ => spec,
            };
            let user = control.host.with(|host| host.user())?;
            named.map(|spec| user.check(spec, arguments).is_ok())
        })
    });
    let text = match checked {
        Ok(Some(allowed)) => return Ok(allowed),
        Ok(None) => "ERR Invalid command passed to redis.acl_check_cmd()".to_owned(),
        Err(text) => text,
    };
    Err(control.raise(convert::error_value(lua, &control.names, text.as_bytes())?))
}
