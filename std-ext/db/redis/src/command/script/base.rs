//! Basic functions that are not Lua's own, because those would let scripts change what they share.

use crate::command::script::arguments::{string, table, wrong_type};
use crate::command::script::compile::compile;
use crate::command::script::control::{Control, error_here, plain_text, text_error};
use crate::command::script::substitutes::{READ_ONLY, Substitutes};
use crate::limits::SCRIPT_BYTES;
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// The error of Lua's own `setmetatable`, which does not know the position of our caller.
const PROTECTED: &str = "cannot change a protected metatable";

/// Adds the functions to the global table. The last argument has Lua's own global table, the environment of scripts,
/// and the tables that they get as the metatables of strings and of the global table.
pub(super) fn add(
    lua: &Lua,
    control: &Rc<Control>,
    globals: &Table,
    substitutes: &Rc<Substitutes>,
    (native, environment, of_strings, of_globals): (&Table, &Table, Table, Table),
) -> mlua::Result<()> {
    let natives = (native.get("getmetatable")?, native.get("setmetatable")?);
    let shown = (environment.clone(), of_strings, of_globals);
    add_metatables(lua, globals, substitutes, natives, shown)?;
    add_raw(lua, globals, substitutes, &native.get("next")?)?;
    add_load(lua, control, globals, environment, &native.get("pcall")?)?;
    add_garbage(lua, control, globals)
}

/// Adds `getmetatable` and `setmetatable`, which call Lua's own: [`Table::metatable`] panics if there is no room for a
/// reference, and scripts can take all.
fn add_metatables(
    lua: &Lua,
    globals: &Table,
    substitutes: &Rc<Substitutes>,
    (native_get, native_set): (Function, Function),
    (environment, of_strings, of_globals): (Table, Table, Table),
) -> mlua::Result<()> {
    let known = Rc::clone(substitutes);
    let get = lua.create_function(move |lua, arguments: MultiValue| match arguments.front() {
        None => Err(super::arguments::bad_argument(lua, 0, "getmetatable", "value expected")),
        Some(Value::String(_)) => Ok(Value::Table(of_strings.clone())),
        Some(Value::Table(table)) if *table == environment => Ok(Value::Table(of_globals.clone())),
        // The metatable of a substitute leads to the real table, which every later script shares.
        Some(Value::Table(table)) if known.real(table).is_some() => Ok(Value::Nil),
        Some(Value::Table(table)) => native_get.call::<Value>(table),
        Some(_) => Ok(Value::Nil),
    })?;
    globals.raw_set("getmetatable", get)?;
    let known = Rc::clone(substitutes);
    let set = lua.create_function(move |lua, arguments: MultiValue| {
        let table = table(lua, &arguments, 0, "setmetatable")?;
        let metatable = match arguments.get(1) {
            Some(Value::Nil) => None,
            Some(Value::Table(metatable)) => Some(metatable.clone()),
            _ => {
                let why = "nil or table expected";
                return Err(super::arguments::bad_argument(lua, 1, "setmetatable", why));
            }
        };
        if known.real(&table).is_some() {
            return Err(text_error(READ_ONLY));
        }
        native_set.call::<()>((&table, metatable)).map_err(|error| {
            let text = plain_text(&error);
            if text == PROTECTED { error_here(lua, text) } else { text_error(text) }
        })?;
        Ok(table)
    })?;
    globals.raw_set("setmetatable", set)
}

/// Adds the functions that look past metatables. Of a substitute, they see the real table.
fn add_raw(
    lua: &Lua,
    globals: &Table,
    substitutes: &Rc<Substitutes>,
    next: &Function,
) -> mlua::Result<()> {
    let known = Rc::clone(substitutes);
    let get = lua.create_function(move |lua, arguments: MultiValue| {
        let table = table(lua, &arguments, 0, "rawget")?;
        let Some(key) = arguments.get(1) else {
            return Err(super::arguments::bad_argument(lua, 1, "rawget", "value expected"));
        };
        known.real(&table).unwrap_or(&table).raw_get::<Value>(key)
    })?;
    globals.raw_set("rawget", get)?;
    let known = Rc::clone(substitutes);
    let set = lua.create_function(move |lua, arguments: MultiValue| {
        let table = table(lua, &arguments, 0, "rawset")?;
        for at in [1, 2] {
            if arguments.len() <= at {
                return Err(super::arguments::bad_argument(lua, at, "rawset", "value expected"));
            }
        }
        if known.real(&table).is_some() {
            return Err(text_error(READ_ONLY));
        }
        match &arguments[1] {
            Value::Nil => return Err(text_error("table index is nil")),
            Value::Number(n) if n.is_nan() => return Err(text_error("table index is NaN")),
            key => table.raw_set(key, &arguments[2])?,
        }
        Ok(table)
    })?;
    globals.raw_set("rawset", set)?;
    let (known, native) = (Rc::clone(substitutes), next.clone());
    let next_of_all = lua.create_function(move |lua, arguments: MultiValue| {
        let table = table(lua, &arguments, 0, "next")?;
        let key = arguments.get(1).cloned().unwrap_or(Value::Nil);
        let found = native.call::<MultiValue>((known.real(&table).unwrap_or(&table), key));
        found.map_err(|error| text_error(plain_text(&error)))
    })?;
    globals.raw_set("next", &next_of_all)?;
    let (known, native) = (Rc::clone(substitutes), next.clone());
    let pairs = lua.create_function(move |lua, arguments: MultiValue| {
        let table = table(lua, &arguments, 0, "pairs")?;
        // Lua's own `next` does not look for a substitute at each step.
        let next = if known.real(&table).is_some() { &next_of_all } else { &native };
        Ok((next.clone(), table, Value::Nil))
    })?;
    globals.raw_set("pairs", pairs)
}

/// Adds `load` and `loadstring`, for texts only.
fn add_load(
    lua: &Lua,
    control: &Rc<Control>,
    globals: &Table,
    environment: &Table,
    pcall: &Function,
) -> mlua::Result<()> {
    let (of, scope) = (Rc::clone(control), environment.clone());
    let load_text = lua.create_function(move |lua, arguments: MultiValue| {
        let text = string(lua, &arguments, 0, "loadstring")?;
        let name = match arguments.get(1) {
            None | Some(Value::Nil) => text.clone(),
            Some(_) => string(lua, &arguments, 1, "loadstring")?,
        };
        loaded(lua, &of, &text.as_bytes(), &chunk_name(&name.as_bytes()), &scope)
    })?;
    globals.raw_set("loadstring", load_text)?;
    let (of, scope, pcall) = (Rc::clone(control), environment.clone(), pcall.clone());
    let load = lua.create_function(move |lua, arguments: MultiValue| {
        let Some(Value::Function(reader)) = arguments.front() else {
            return Err(wrong_type(lua, (0, arguments.front()), "load", "function"));
        };
        let name = match arguments.get(1) {
            None | Some(Value::Nil) => "=(load)".to_owned(),
            Some(_) => chunk_name(&string(lua, &arguments, 1, "load")?.as_bytes()),
        };
        let mut text = Vec::new();
        loop {
            of.check()?;
            let (done, piece): (bool, Value) = pcall.call(reader)?;
            if !done {
                of.check_stopped()?;
                return Ok((Value::Nil, of.value_of(lua, piece)?));
            }
            match piece {
                Value::Nil => break,
                Value::String(piece) if piece.as_bytes().is_empty() => break,
                Value::String(piece) => text.extend_from_slice(&piece.as_bytes()),
                _ => {
                    let why = lua.create_string("reader function must return a string")?;
                    return Ok((Value::Nil, Value::String(why)));
                }
            }
            if text.len() > SCRIPT_BYTES {
                break;
            }
        }
        loaded(lua, &of, &text, &name, &scope)
    })?;
    globals.raw_set("load", load)
}

/// Returns the name of a chunk as mlua takes it.
fn chunk_name(name: &[u8]) -> String {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&name[..name.len().min(128)]).into_owned()
}

fn loaded(
    lua: &Lua,
    control: &Control,
    text: &[u8],
    name: &str,
    environment: &Table,
) -> mlua::Result<(Value, Value)> {
    control.check()?;
    if text.len() > SCRIPT_BYTES {
        let why = lua.create_string("the text is longer than a script may be")?;
        return Ok((Value::Nil, Value::String(why)));
    }
    match compile(lua, text, name) {
        Ok(function) => {
            function.set_environment(environment.clone())?;
            Ok((Value::Function(function), Value::Nil))
        }
        Err(error) => Ok((Value::Nil, Value::String(lua.create_string(plain_text(&error))?))),
    }
}

/// Adds `collectgarbage`, which changes nothing for other scripts, and `gcinfo`.
fn add_garbage(lua: &Lua, control: &Rc<Control>, globals: &Table) -> mlua::Result<()> {
    const OPTIONS: [&str; 7] =
        ["stop", "restart", "collect", "count", "step", "setpause", "setstepmul"];
    let of = Rc::clone(control);
    let collect = lua.create_function(move |lua, arguments: MultiValue| {
        of.check()?;
        let option = match arguments.front() {
            None | Some(Value::Nil) => "collect".to_owned(),
            Some(_) => {
                let given = string(lua, &arguments, 0, "collectgarbage")?;
                given.to_string_lossy()
            }
        };
        match option.as_str() {
            "count" => Ok(Value::Number(lua.used_memory() as f64 / 1024.0)),
            "collect" | "step" => {
                lua.gc_collect()?;
                Ok(if option == "step" { Value::Boolean(true) } else { Value::Integer(0) })
            }
            // Accepted without effect. A script that stops the collector would stop it for all later scripts of the
            // thread.
            _ if OPTIONS.contains(&option.as_str()) => Ok(Value::Integer(0)),
            _ => {
                let why = format!("invalid option '{option}'");
                Err(super::arguments::bad_argument(lua, 0, "collectgarbage", &why))
            }
        }
    })?;
    globals.raw_set("collectgarbage", collect)?;
    let info = lua.create_function(|lua, ()| Ok(lua.used_memory() / 1024))?;
    globals.raw_set("gcinfo", info)
}
