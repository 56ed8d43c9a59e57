//! `cjson.encode`: a value of Lua as JSON.

use crate::command::script::arguments::type_name;
use crate::command::script::cjson_settings::{InvalidSetting, Settings};
use crate::command::script::control::{Control, error_here};
use crate::command::script::convert::number;
use crate::command::script::output::ScriptOutput;
use hedgerow_db_formats::number::general;
use mlua::{Function, Lua, LuaString, Table, Value};

/// The greatest depth, also if a script sets a greater one: each level takes two references to values of Lua.
const DEEPEST: usize = 2000;
/// Bytes of a string that are one step.
const STEP_BYTES: usize = 4096;

/// Returns the JSON text of a value.
///
/// # Errors
/// JSON has no such value, the script has no memory, or it must end.
pub(super) fn encode(
    lua: &Lua,
    control: &Control,
    next: &Function,
    value: &Value,
    settings: Settings,
) -> mlua::Result<LuaString> {
    let out = ScriptOutput::new(control);
    let mut encoder = JsonEncoder { lua, next, settings, out, open: Vec::new() };
    encoder.value(value)?;
    encoder.finish()?;
    lua.create_string(encoder.out.as_bytes())
}

/// A table whose beginning is written.
enum OpenTable {
    /// The items of an array that are written, and all of them.
    Array(Table, usize, usize),
    /// The last key of an object that is written.
    Object(Table, Value),
}

struct JsonEncoder<'e> {
    lua: &'e Lua,
    next: &'e Function,
    settings: Settings,
    out: ScriptOutput<'e>,
    /// The tables around the current value. It is a list, so that deep tables need no stack.
    open: Vec<OpenTable>,
}

impl JsonEncoder<'_> {
    /// Writes what is left of the open tables.
    fn finish(&mut self) -> mlua::Result<()> {
        while let Some(last) = self.open.last_mut() {
            match last {
                OpenTable::Array(_, done, length) if done == length => {
                    self.open.pop();
                    self.out.push(b"]")?;
                }
                OpenTable::Array(table, done, _) => {
                    *done += 1;
                    let (item, is_first) = (table.raw_get(*done)?, *done == 1);
                    self.out.push(if is_first { b"" } else { b"," })?;
                    self.value(&item)?;
                }
                OpenTable::Object(table, last_key) => {
                    let is_first = last_key.is_nil();
                    let (key, item): (Value, Value) = self.next.call((&*table, &*last_key))?;
                    if key.is_nil() {
                        self.open.pop();
                        self.out.push(b"}")?;
                        continue;
                    }
                    *last_key = key.clone();
                    self.out.push(if is_first { b"" } else { b"," })?;
                    self.key(&key)?;
                    self.value(&item)?;
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> mlua::Result<()> {
        if let Value::String(text) = key {
            self.string(&text.as_bytes())?;
            return self.out.push(b":");
        }
        let Some(number) = number(key) else {
            return Err(self.refused(key, "table key must be a number or string"));
        };
        self.out.push(b"\"")?;
        self.number(number)?;
        self.out.push(b"\":")
    }

    /// Writes a value, or the beginning of a table.
    fn value(&mut self, value: &Value) -> mlua::Result<()> {
        match value {
            Value::Nil => self.out.push(b"null"),
            // This is `cjson.null`. A table cannot hold nil.
            Value::LightUserData(pointer) if pointer.0.is_null() => self.out.push(b"null"),
            Value::Boolean(yes) => self.out.push(if *yes { b"true" } else { b"false" }),
            Value::Integer(n) => self.number(*n as f64),
            Value::Number(n) => self.number(*n),
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Table(table) => self.table(table),
            other => Err(self.refused(other, "type not supported")),
        }
    }

    fn table(&mut self, table: &Table) -> mlua::Result<()> {
        let depth = self.open.len() + 1;
        let allowed = usize::try_from(self.settings.encode_depth).unwrap_or(0).min(DEEPEST);
        if depth > allowed {
            let why = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(error_here(self.lua, why));
        }
        if let Some(length) = self.length(table)? {
            self.out.push(b"[")?;
            self.open.push(OpenTable::Array(table.clone(), 0, length));
        } else {
            self.out.push(b"{")?;
            self.open.push(OpenTable::Object(table.clone(), Value::Nil));
        }
        Ok(())
    }

    /// Returns the length of an array, and nothing for an object.
    fn length(&self, table: &Table) -> mlua::Result<Option<usize>> {
        let (mut last, mut items) = (0.0_f64, 0.0_f64);
        for pair in table.pairs::<Value, Value>() {
            self.out.steps.step()?;
            match number(&pair?.0) {
                Some(key) if key >= 1.0 && key.fract() == 0.0 => {
                    last = last.max(key);
                    items += 1.0;
                }
                // A key that is not a positive integer makes it an object (`lua_array_length`).
                _ => return Ok(None),
            }
        }
        let ratio = f64::from(self.settings.sparse_ratio);
        // More items than C counts are sparse as well.
        let is_sparse = last > f64::from(i32::MAX)
            || ratio > 0.0 && last > items * ratio && last > f64::from(self.settings.sparse_safe);
        if is_sparse {
            if !self.settings.sparse_convert {
                let table = Value::Table(table.clone());
                return Err(self.refused(&table, "excessively sparse array"));
            }
            return Ok(None);
        }
        Ok((last > 0.0).then(|| usize::try_from(last as i64).unwrap_or(0)))
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                InvalidSetting::Refused => {
                    return Err(self.refused(&Value::Number(number), "must not be NaN or Inf"));
                }
                // C may write `-nan`, so lua-cjson writes this itself.
                InvalidSetting::Written if number.is_nan() => return self.out.push(b"nan"),
                InvalidSetting::Written => {}
                InvalidSetting::Null => return self.out.push(b"null"),
            }
        }
        let digits = usize::try_from(self.settings.precision).unwrap_or(1);
        self.out.push(general(number, digits).as_bytes())
    }

    fn string(&mut self, text: &[u8]) -> mlua::Result<()> {
        self.out.push(b"\"")?;
        let mut escaped = Vec::new();
        for part in text.chunks(STEP_BYTES) {
            escaped.clear();
            for &byte in part {
                escape(byte, &mut escaped);
            }
            self.out.push(&escaped)?;
        }
        self.out.push(b"\"")
    }

    fn refused(&self, value: &Value, why: &str) -> mlua::Error {
        error_here(self.lua, format!("Cannot serialise {}: {why}", type_name(value)))
    }
}

/// Adds a byte of a string.
fn escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        // lua-cjson escapes `/` and 127, which JSON does not require.
        b'"' | b'\\' | b'/' => out.extend([b'\\', byte]),
        b'\n' => out.extend(b"\\n"),
        b'\r' => out.extend(b"\\r"),
        b'\t' => out.extend(b"\\t"),
        8 => out.extend(b"\\b"),
        12 => out.extend(b"\\f"),
        0..=31 | 127 => out.extend(format!("\\u{byte:04x}").as_bytes()),
        _ => out.push(byte),
    }
}
