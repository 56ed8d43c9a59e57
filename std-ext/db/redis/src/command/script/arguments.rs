//! How functions of ours read their arguments, with the errors that functions of Lua raise.

use crate::command::script::control::error_here;
use mlua::{Lua, LuaString, MultiValue, Table, Value};

/// Returns the error for an argument. The first one has number 0 here.
pub(super) fn bad_argument(lua: &Lua, at: usize, function: &str, why: &str) -> mlua::Error {
    error_here(lua, format!("bad argument #{} to '{function}' ({why})", at + 1))
}

/// Returns the error for an argument of another type.
pub(super) fn wrong_type(
    lua: &Lua,
    (at, found): (usize, Option<&Value>),
    function: &str,
    wanted: &str,
) -> mlua::Error {
    let found = found.map_or("no value", type_name);
    bad_argument(lua, at, function, &format!("{wanted} expected, got {found}"))
}

/// Returns the name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        other => other.type_name(),
    }
}

/// Returns a string, or a number as a string.
pub(super) fn string(
    lua: &Lua,
    arguments: &MultiValue,
    at: usize,
    function: &str,
) -> mlua::Result<LuaString> {
    match arguments.get(at) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(number @ (Value::Integer(_) | Value::Number(_))) => {
            let text = lua.coerce_string(number.clone())?;
            text.ok_or_else(|| wrong_type(lua, (at, Some(number)), function, "string"))
        }
        other => Err(wrong_type(lua, (at, other), function, "string")),
    }
}

/// Bytes of a text that may be a number. A function may get one long text thousands of times.
const NUMBER_BYTES: usize = 1024;

/// Returns a number, also one that is given as a string.
pub(super) fn number(
    lua: &Lua,
    arguments: &MultiValue,
    at: usize,
    function: &str,
) -> mlua::Result<f64> {
    let given = arguments.get(at);
    let number = match given {
        Some(Value::Integer(n)) => Some(*n as f64),
        Some(Value::Number(n)) => Some(*n),
        Some(Value::String(text)) if text.as_bytes().len() <= NUMBER_BYTES => {
            lua.coerce_number(Value::String(text.clone()))?
        }
        _ => None,
    };
    number.ok_or_else(|| wrong_type(lua, (at, given), function, "number"))
}

/// Returns a number as an integer of C.
pub(super) fn int(
    lua: &Lua,
    arguments: &MultiValue,
    at: usize,
    function: &str,
) -> mlua::Result<i32> {
    number(lua, arguments, at, function).map(to_int)
}

/// Returns an optional number as an integer of C.
pub(super) fn int_or(
    lua: &Lua,
    arguments: &MultiValue,
    at: usize,
    (function, default): (&str, i64),
) -> mlua::Result<i64> {
    match arguments.get(at) {
        None | Some(Value::Nil) => Ok(default),
        Some(_) => Ok(number(lua, arguments, at, function)? as i64),
    }
}

/// Converts a number as a processor of x86-64 does: through 64 bits.
pub(super) fn to_int(number: f64) -> i32 {
    let limit = -(i64::MIN as f64);
    let wide = if number >= -limit && number < limit { number as i64 } else { i64::MIN };
    wide as i32
}

/// Returns a table.
pub(super) fn table(
    lua: &Lua,
    arguments: &MultiValue,
    at: usize,
    function: &str,
) -> mlua::Result<Table> {
    match arguments.get(at) {
        Some(Value::Table(table)) => Ok(table.clone()),
        other => Err(wrong_type(lua, (at, other), function, "table")),
    }
}
