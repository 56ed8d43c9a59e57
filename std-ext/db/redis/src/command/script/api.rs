//! The table `redis`, except for `call` and `pcall`.

use crate::command::script::control::Control;
use crate::command::script::{arguments, convert, host, raw};
use crate::scripts::ScriptId;
use hedgerow_db_formats::resp::Protocol;
use mlua::{Lua, MultiValue, Table, Value};
use std::rc::Rc;

const NUMBERS: [(&str, i64); 10] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
    ("REDIS_VERSION_NUM", 0x0007_000f),
];
/// Longer messages of scripts are cut.
const LOGGED: usize = 1024;

/// Returns the table.
pub(super) fn table(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, number) in NUMBERS {
        table.raw_set(name, number)?;
    }
    table.raw_set("REDIS_VERSION", crate::command::COMPATIBLE)?;
    // As without a debugger in Redis: scripts that contain these calls run.
    table.raw_set("breakpoint", lua.create_function(|_, _: MultiValue| Ok(false))?)?;
    table.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    table.raw_set("replicate_commands", lua.create_function(|_, _: MultiValue| Ok(true))?)?;
    add_replies(lua, control, &table)?;
    add_settings(lua, control, &table)?;
    Ok(table)
}

/// Returns the error with the text of Redis, which has no position.
fn raised(lua: &Lua, control: &Control, text: &str) -> mlua::Error {
    let table = convert::error_table(lua, &control.names, format!("ERR {text}").as_bytes());
    table.map_or_else(|error| error, |table| control.raise(Value::Table(table)))
}

fn add_replies(lua: &Lua, control: &Rc<Control>, table: &Table) -> mlua::Result<()> {
    const WRONG: &[u8] = b"ERR wrong number or type of arguments";
    let of = Rc::clone(control);
    let error = lua.create_function(move |lua, arguments: MultiValue| {
        let (1, Some(Value::String(text))) = (arguments.len(), arguments.front()) else {
            return convert::error_table(lua, &of.names, WRONG);
        };
        // As a string of C, it ends at the first zero byte.
        let text = text.as_bytes();
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        // As in `luaPushErrorBuff`, which also gives the code ERR to a text of one word, and trims line ends: a reply
        // is one line.
        let text = text.strip_prefix(b"-").unwrap_or(text);
        let (code, message) = match text.iter().position(|&byte| byte == b' ') {
            Some(end) => (&text[..end], &text[end + 1..]),
            None => (&b"ERR"[..], text),
        };
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let first = message.iter().position(|byte| !is_end(byte)).unwrap_or(message.len());
        let last = message.iter().rposition(|byte| !is_end(byte)).map_or(first, |at| at + 1);
        let text = [code, b" ", &message[first..last]].concat();
        convert::error_table(lua, &of.names, &text)
    })?;
    table.raw_set("error_reply", error)?;
    let of = Rc::clone(control);
    let status = lua.create_function(move |lua, arguments: MultiValue| {
        let (1, Some(text @ Value::String(_))) = (arguments.len(), arguments.front()) else {
            return convert::error_table(lua, &of.names, WRONG);
        };
        let table = lua.create_table_with_capacity(0, 1)?;
        table.raw_set(&of.names.ok, text)?;
        Ok(table)
    })?;
    table.raw_set("status_reply", status)?;
    let of = Rc::clone(control);
    let sha1 = lua.create_function(move |lua, arguments: MultiValue| {
        if arguments.len() != 1 {
            return Err(raised(lua, &of, "wrong number of arguments"));
        }
        // Redis takes what is no string for an empty one.
        let text = arguments::string(lua, &arguments, 0, "sha1hex");
        let id = text.map_or_else(|_| ScriptId::of(b""), |text| ScriptId::of(&text.as_bytes()));
        lua.create_string(id.as_bytes())
    })?;
    table.raw_set("sha1hex", sha1)?;
    let of = Rc::clone(control);
    let check = lua.create_function(move |lua, arguments: MultiValue| {
        host::check_command(lua, &of, &arguments)
    })?;
    table.raw_set("acl_check_cmd", check)
}

fn add_settings(lua: &Lua, control: &Rc<Control>, table: &Table) -> mlua::Result<()> {
    let of = Rc::clone(control);
    let protocol = lua.create_function(move |lua, arguments: MultiValue| {
        if arguments.len() != 1 {
            return Err(raised(lua, &of, "redis.setresp() requires one argument."));
        }
        let version = arguments::number(lua, &arguments, 0, "setresp").unwrap_or(0.0);
        of.protocol.set(match arguments::to_int(version) {
            2 => Protocol::Two,
            3 => Protocol::Three,
            _ => return Err(raised(lua, &of, "RESP version must be 2 or 3.")),
        });
        Ok(())
    })?;
    table.raw_set("setresp", protocol)?;
    let of = Rc::clone(control);
    // The log gets the effects of a script, in one entry, so there is nothing to choose.
    let replication = lua.create_function(move |lua, arguments: MultiValue| {
        if arguments.len() != 1 {
            return Err(raised(lua, &of, "redis.set_repl() requires two arguments."));
        }
        let flags = arguments::number(lua, &arguments, 0, "set_repl").unwrap_or(0.0);
        if arguments::to_int(flags) & !3 != 0 {
            let why =
                "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
            return Err(raised(lua, &of, why));
        }
        Ok(())
    })?;
    table.raw_set("set_repl", replication)?;
    let of = Rc::clone(control);
    let log = lua.create_function(move |lua, arguments: MultiValue| {
        of.check()?;
        if arguments.len() < 2 {
            return Err(raised(lua, &of, "redis.log() requires two arguments or more."));
        }
        let Ok(level) = arguments::number(lua, &arguments, 0, "log") else {
            return Err(raised(lua, &of, "First argument must be a number (log level)."));
        };
        let mut text = Vec::new();
        for value in arguments.iter().skip(1) {
            // A script may pass the same long string many times.
            if text.len() >= LOGGED {
                break;
            }
            let space = if text.is_empty() { &b""[..] } else { b" " };
            match value {
                Value::String(part) => {
                    let part = part.as_bytes();
                    text.extend([space, &part[..part.len().min(LOGGED)]].concat());
                }
                Value::Integer(_) | Value::Number(_) => {
                    text.extend([space, &convert::shown(lua, value)].concat());
                }
                _ => {}
            }
        }
        text.truncate(LOGGED);
        // Escaped: a script must not forge lines of the server's log.
        let text = String::from_utf8_lossy(&text).escape_debug().to_string();
        match arguments::to_int(level) {
            0 => tracing::trace!("script: {text}"),
            1 => tracing::debug!("script: {text}"),
            2 => tracing::info!("script: {text}"),
            3 => tracing::warn!("script: {text}"),
            _ => return Err(raised(lua, &of, "Invalid debug level.")),
        }
        Ok(())
    })?;
    table.raw_set("log", log)?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        table.raw_set(name, raw::call(lua, control, raises)?)?;
    }
    Ok(())
}
