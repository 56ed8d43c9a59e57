//! The library `cjson`: the functions of lua-cjson 2.1.0. Its errors, its numbers and what it accepts beyond JSON are
//! not those of `serde_json`.

use crate::command::script::arguments::{bad_argument, int, string};
use crate::command::script::cjson_decode::decode;
use crate::command::script::cjson_encode::encode;
use crate::command::script::cjson_settings::{InvalidSetting, Settings};
use crate::command::script::control::Control;
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// Returns the table of the library. Its settings are those of the run, and end with it.
pub(super) fn table(lua: &Lua, control: &Rc<Control>, next: &Function) -> mlua::Result<Table> {
    // Shared, because the interpreter keeps few thousand references, and scripts make many instances.
    let next = Rc::new(next.clone());
    let table = instance(lua, control, &next, &None)?;
    let of = Rc::clone(control);
    let new = lua.create_function(move |lua, _: MultiValue| {
        of.count_function(lua)?;
        let settings = Rc::new(Cell::new(Settings::DEFAULT));
        instance(lua, &of, &next, &Some(settings))
    })?;
    table.raw_set("new", new)?;
    Ok(table)
}

/// The settings of an instance, or none for those of the run.
type OwnSettings = Option<Rc<Cell<Settings>>>;

/// Returns an instance of the library, without `new`.
fn instance(
    lua: &Lua,
    control: &Rc<Control>,
    next: &Rc<Function>,
    own: &OwnSettings,
) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let (of, next, settings) = (Rc::clone(control), Rc::clone(next), own.clone());
    let encode = lua.create_function(move |lua, arguments: MultiValue| {
        of.check()?;
        let (1, Some(value)) = (arguments.len(), arguments.front()) else {
            return Err(bad_argument(lua, 0, "encode", "expected 1 argument"));
        };
        encode(lua, &of, &next, value, settings.as_deref().unwrap_or(&of.json).get())
    })?;
    table.raw_set("encode", encode)?;
    let (of, settings) = (Rc::clone(control), own.clone());
    let decode = lua.create_function(move |lua, arguments: MultiValue| {
        of.check()?;
        if arguments.len() != 1 {
            return Err(bad_argument(lua, 0, "decode", "expected 1 argument"));
        }
        let text = string(lua, &arguments, 0, "decode")?;
        decode(lua, &of, &text.as_bytes(), settings.as_deref().unwrap_or(&of.json).get())
    })?;
    table.raw_set("decode", decode)?;
    for (name, count, set) in SETTERS {
        let (of, own) = (Rc::clone(control), own.clone());
        let function = lua.create_function(move |lua, arguments: MultiValue| {
            if arguments.len() > count {
                return Err(bad_argument(lua, count, name, "found too many arguments"));
            }
            let cell = own.as_deref().unwrap_or(&of.json);
            let mut settings = cell.get();
            let result = set(&SettingArguments { lua, arguments: &arguments, name }, &mut settings);
            // Also after an error: lua-cjson has set the arguments before the wrong one by then.
            cell.set(settings);
            result
        })?;
        table.raw_set(name, function)?;
    }
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// Sets what the arguments say, and returns the values that are set.
type Setter = fn(&SettingArguments<'_>, &mut Settings) -> mlua::Result<MultiValue>;

/// Functions that set something: the name, and the greatest number of arguments.
const SETTERS: [(&str, usize, Setter); 7] = [
    ("encode_sparse_array", 3, |given, settings| {
        given.switch(0, &mut settings.sparse_convert)?;
        given.integer(1, &mut settings.sparse_ratio, (0, i32::MAX))?;
        given.integer(2, &mut settings.sparse_safe, (0, i32::MAX))?;
        Ok(MultiValue::from_vec(vec![
            Value::Boolean(settings.sparse_convert),
            number(settings.sparse_ratio),
            number(settings.sparse_safe),
        ]))
    }),
    ("encode_max_depth", 1, |given, settings| {
        given.integer(0, &mut settings.encode_depth, (1, i32::MAX))?;
        Ok(one(number(settings.encode_depth)))
    }),
    ("decode_max_depth", 1, |given, settings| {
        given.integer(0, &mut settings.decode_depth, (1, i32::MAX))?;
        Ok(one(number(settings.decode_depth)))
    }),
    ("encode_number_precision", 1, |given, settings| {
        given.integer(0, &mut settings.precision, (1, 14))?;
        Ok(one(number(settings.precision)))
    }),
    ("encode_keep_buffer", 1, |given, settings| {
        given.switch(0, &mut settings.keep_buffer)?;
        Ok(one(Value::Boolean(settings.keep_buffer)))
    }),
    ("encode_invalid_numbers", 1, |given, settings| {
        const ALL: [InvalidSetting; 3] =
            [InvalidSetting::Refused, InvalidSetting::Written, InvalidSetting::Null];
        if let Some(at) = given.option(0, &["off", "on", "null"])? {
            settings.encode_invalid = ALL[at];
        }
        Ok(one(match settings.encode_invalid {
            InvalidSetting::Refused => Value::Boolean(false),
            InvalidSetting::Written => Value::Boolean(true),
            InvalidSetting::Null => Value::String(given.lua.create_string("null")?),
        }))
    }),
    ("decode_invalid_numbers", 1, |given, settings| {
        given.switch(0, &mut settings.decode_invalid)?;
        Ok(one(Value::Boolean(settings.decode_invalid)))
    }),
];

fn number(number: i32) -> Value {
    Value::Number(number.into())
}

fn one(value: Value) -> MultiValue {
    MultiValue::from_vec(vec![value])
}

/// The arguments of a function that sets something.
struct SettingArguments<'a> {
    lua: &'a Lua,
    arguments: &'a MultiValue,
    name: &'static str,
}

impl SettingArguments<'_> {
    /// Sets a number if an argument is given.
    fn integer(&self, at: usize, setting: &mut i32, (min, max): (i32, i32)) -> mlua::Result<()> {
        if matches!(self.arguments.get(at), None | Some(Value::Nil)) {
            return Ok(());
        }
        let given = int(self.lua, self.arguments, at, self.name)?;
        if !(min..=max).contains(&given) {
            // The first argument, as lua-cjson says.
            let why = format!("expected integer between {min} and {max}");
            return Err(bad_argument(self.lua, 0, self.name, &why));
        }
        *setting = given;
        Ok(())
    }

    /// Sets a switch if an argument is given.
    fn switch(&self, at: usize, setting: &mut bool) -> mlua::Result<()> {
        if let Some(chosen) = self.option(at, &["off", "on"])? {
            *setting = chosen == 1;
        }
        Ok(())
    }

    /// Returns which option an argument names, if it is given. The first two options are false and true.
    fn option(&self, at: usize, options: &[&str]) -> mlua::Result<Option<usize>> {
        match self.arguments.get(at) {
            None | Some(Value::Nil) => return Ok(None),
            Some(Value::Boolean(on)) => return Ok(Some((*on).into())),
            Some(_) => {}
        }
        let given = string(self.lua, self.arguments, at, self.name)?;
        let found = options.iter().position(|option| option.as_bytes() == &*given.as_bytes());
        found.map(Some).ok_or_else(|| {
            let given = given.to_string_lossy();
            bad_argument(self.lua, at, self.name, &format!("invalid option '{given:.200}'"))
        })
    }
}
