//! The sandbox: the part of Lua that scripts see, which none of them can change for the next one.
//!
//! Scripts get substitutes for the global table and for each library: empty tables whose metatables read the real one
//! and refuse changes. So do the functions that look past metatables: `rawset` and `table.insert`.

use crate::command::script::arguments::bad_argument;
use crate::command::script::base;
use crate::command::script::control::{Control, error_here};
use crate::command::script::raw::Runner;
use crate::command::script::substitutes::Substitutes;
use crate::command::script::{
    api, bits, cjson, cmsgpack, convert, prelude, random, raw, strings, structs, tables,
};
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// Functions of Lua that scripts call as they are.
const PLAIN: [&str; 8] =
    ["assert", "error", "ipairs", "rawequal", "select", "tonumber", "tostring", "type"];

/// Libraries of Lua, and their functions that scripts call as they are, or that ours call.
const STRINGS: [&str; 9] =
    ["byte", "char", "dump", "format", "len", "lower", "reverse", "sub", "upper"];
const TABLES: [&str; 9] =
    ["concat", "foreach", "foreachi", "getn", "insert", "maxn", "remove", "setn", "sort"];
const COROUTINES: [&str; 6] = ["create", "resume", "running", "status", "wrap", "yield"];

/// Makes the sandbox of an interpreter. Returns the function that runs scripts in it.
pub(super) fn runner(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Runner> {
    let native = lua.globals();
    let globals = lua.create_table()?;
    let mut substitutes = Substitutes::default();
    let environment = substitutes.add(lua, globals.clone())?;
    let libraries = [
        ("redis", api::table(lua, control)?),
        ("string", strings::table(lua, control, &picked(&native, "string", &STRINGS)?)?),
        ("table", tables::table(lua, control, &picked(&native, "table", &TABLES)?)?),
        ("math", math(lua, control, &native.get("math")?)?),
        ("coroutine", picked(&native, "coroutine", &COROUTINES)?),
        ("bit", bits::table(lua)?),
        ("cmsgpack", cmsgpack::table(lua, control, &native.get("next")?)?),
        ("struct", structs::table(lua, control)?),
        ("cjson", cjson::table(lua, control, &native.get("next")?)?),
    ];
    let (wrapped, xpcall) = wrapped(lua, control, &native)?;
    for (name, real) in libraries {
        if name == "coroutine" {
            real.raw_set("resume", &wrapped[2])?;
        }
        if name == "string"
            && let Some(metatable) = lua.type_metatable::<LuaString>()
        {
            metatable.raw_set("__index", &real)?;
        }
        globals.raw_set(name, substitutes.add(lua, real)?)?;
    }
    for name in PLAIN {
        globals.raw_set(name, native.get::<Value>(name)?)?;
    }
    globals.raw_set("unpack", raw::unpack(lua)?)?;
    globals.raw_set("pcall", &wrapped[0])?;
    globals.raw_set("xpcall", &wrapped[1])?;
    globals.raw_set("_VERSION", native.get::<Value>("_VERSION")?)?;
    globals.raw_set("_G", &environment)?;
    globals.set_metatable(Some(refuse_unknown(lua)?))?;
    // Scripts may look at the metatables of strings and of the global table, and not change them.
    let strings = lua.create_table()?;
    strings.raw_set("__index", globals.raw_get::<Value>("string")?)?;
    let strings = substitutes.add(lua, strings)?;
    let of_globals = substitutes.add(lua, lua.create_table()?)?;
    let substitutes = Rc::new(substitutes);
    base::add(lua, control, &globals, &substitutes, (&native, &environment, strings, of_globals))?;
    // Texts that are compiled later get the environment, too.
    lua.set_globals(environment)?;
    let of = Rc::clone(control);
    let check = lua.create_function(move |_, ()| of.check())?;
    Runner::new(lua, &globals, &xpcall, (&handler(lua, control)?, &check))
}

/// Returns a table with some functions of a library of Lua.
fn picked(native: &Table, library: &str, names: &[&str]) -> mlua::Result<Table> {
    let all: Table = native.get(library)?;
    let unwanted: Vec<String> = all
        .pairs::<String, Value>()
        .map(|pair| Ok(pair?.0))
        .filter(|name: &mlua::Result<String>| {
            name.as_ref().map_or(true, |name| !names.contains(&name.as_str()))
        })
        .collect::<mlua::Result<_>>()?;
    // The other functions are not reachable for scripts, also not from another table.
    let natives = all.clone();
    for name in unwanted {
        natives.raw_set(name, Value::Nil)?;
    }
    Ok(natives)
}

fn math(lua: &Lua, control: &Rc<Control>, math: &Table) -> mlua::Result<Table> {
    random::add(lua, control, math)?;
    for name in ["max", "min"] {
        math.raw_set(name, raw::bounded(lua, &math.get(name)?)?)?;
    }
    Ok(math.clone())
}

/// Returns `pcall`, `xpcall` and `resume`, and Lua's own `xpcall`.
fn wrapped(
    lua: &Lua,
    control: &Rc<Control>,
    native: &Table,
) -> mlua::Result<([Function; 3], Function)> {
    let coroutine: Table = native.get("coroutine")?;
    let of = Rc::clone(control);
    let convert = lua.create_function(move |lua, value: Value| {
        of.check_stopped()?;
        of.value_of(lua, value)
    })?;
    let of = Rc::clone(control);
    let check = lua.create_function(move |_, ()| of.check_stopped())?;
    let xpcall: Function = native.get("xpcall")?;
    let pcall: Function = native.get("pcall")?;
    let (resume, create): (Function, Function) =
        (coroutine.get("resume")?, coroutine.get("create")?);
    add_wrap(lua, control, &coroutine, (create, resume.clone()))?;
    let type_of: Function = native.get("type")?;
    let chunk = lua.load(prelude::PRELUDE).set_name("=prelude").into_function()?;
    let (pcall, xpcall_of_scripts, resume) =
        chunk.call((convert, check, pcall, &xpcall, resume, type_of))?;
    Ok(([pcall, xpcall_of_scripts, resume], xpcall))
}

/// Sets `coroutine.wrap`. It is no function of Lua, so that an error has the position of its caller.
fn add_wrap(
    lua: &Lua,
    control: &Rc<Control>,
    coroutine: &Table,
    (create, resume): (Function, Function),
) -> mlua::Result<()> {
    let of = Rc::clone(control);
    let wrap = lua.create_function(move |lua, run: Value| {
        if !matches!(run, Value::Function(_)) {
            return Err(bad_argument(lua, 0, "wrap", "Lua function expected"));
        }
        of.count_function(lua)?;
        let (thread, resume, of) = (create.call::<Value>(run)?, resume.clone(), Rc::clone(&of));
        lua.create_function(move |lua, mut arguments: MultiValue| {
            arguments.push_front(thread.clone());
            let mut results: MultiValue = resume.call(arguments)?;
            if results.pop_front() == Some(Value::Boolean(true)) {
                return Ok(results);
            }
            of.check_stopped()?;
            let error = of.value_of(lua, results.pop_front().unwrap_or(Value::Nil))?;
            Err(match error {
                Value::String(text) => error_here(lua, text.as_bytes()),
                other => of.raise(other),
            })
        })
    })?;
    coroutine.raw_set("wrap", wrap)
}

/// Returns the metatable that refuses to read a variable that does not exist.
fn refuse_unknown(lua: &Lua) -> mlua::Result<Table> {
    let refuse = lua.create_function(|lua, (_, name): (Value, Value)| -> mlua::Result<()> {
        if !matches!(name, Value::String(_) | Value::Integer(_) | Value::Number(_)) {
            let why = "Second argument to luaProtectedTableError must be a string or number";
            return Err(error_here(lua, why));
        }
        let mut text = b"Script attempted to access nonexistent global variable '".to_vec();
        text.extend(convert::shown(lua, &name));
        text.push(b'\'');
        Err(error_here(lua, text))
    })?;
    let metatable = lua.create_table()?;
    metatable.raw_set("__index", refuse)?;
    Ok(metatable)
}

/// Returns the handler of the errors that end scripts. It notes the place in the script, and makes an error's table.
fn handler(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Function> {
    let control = Rc::clone(control);
    lua.create_function(move |lua, error: Value| {
        let error = control.value_of(lua, error)?;
        for level in 1.. {
            let frame = lua.inspect_stack(level, |frame| {
                let source = frame.source();
                let name = source.source.map(std::borrow::Cow::into_owned).unwrap_or_default();
                (source.what == "C", name, frame.current_line())
            });
            match frame {
                None => break,
                // The position is that of the script's function that has called others.
                Some((is_native, name, _)) if is_native || name == "=prelude" => {}
                Some((_, name, line)) => {
                    *control.place.borrow_mut() = line.map(|line| (name, line));
                    break;
                }
            }
        }
        if matches!(error, Value::Table(_)) {
            return Ok(error);
        }
        let text = [b"ERR ".as_slice(), &convert::shown(lua, &error)].concat();
        convert::error_table(lua, &control.names, &text).map(Value::Table)
    })
}
