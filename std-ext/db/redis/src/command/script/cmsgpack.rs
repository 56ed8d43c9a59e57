//! The library `cmsgpack`: the functions of lua-cmsgpack 0.4.0.
//!
//! The crate `rmp` could write heads and numbers, 25 lines of these. The others are what lua-cmsgpack does: which
//! tables are arrays, its limits, and its errors.

use crate::command::script::arguments::{int_or, number as number_argument, string};
use crate::command::script::control::{Control, error_here, text_error};
use crate::command::script::convert::number;
use crate::command::script::output::{ScriptOutput, StepCounter};
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// Tables nested deeper than this are packed as nil.
const DEEPEST: usize = 16;
/// The greatest depth of tables that are unpacked.
const DEEPEST_INPUT: usize = 2000;
/// Values that a function may return.
const RESULTS: usize = 2000;

/// Returns the table of the library.
pub(super) fn table(lua: &Lua, control: &Rc<Control>, next: &Function) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let (of, next) = (Rc::clone(control), next.clone());
    let pack = lua.create_function(move |lua, arguments: MultiValue| {
        of.check()?;
        if arguments.is_empty() {
            // Argument 0, as lua-cmsgpack says.
            let why = "bad argument #0 to 'pack' (MessagePack pack needs input.)";
            return Err(error_here(lua, why));
        }
        pack(lua, &of, &next, &arguments)
    })?;
    table.raw_set("pack", pack)?;
    let of = Rc::clone(control);
    let all = lua.create_function(move |lua, arguments: MultiValue| {
        let text = string(lua, &arguments, 0, "unpack")?;
        unpack(lua, &of, &text, (0, 0))
    })?;
    table.raw_set("unpack", all)?;
    let of = Rc::clone(control);
    let one = lua.create_function(move |lua, arguments: MultiValue| {
        let text = string(lua, &arguments, 0, "unpack_one")?;
        let offset = int_or(lua, &arguments, 1, ("unpack_one", 0))?;
        unpack(lua, &of, &text, (1, offset))
    })?;
    table.raw_set("unpack_one", one)?;
    let of = Rc::clone(control);
    let limited = lua.create_function(move |lua, arguments: MultiValue| {
        let text = string(lua, &arguments, 0, "unpack_limit")?;
        let limit = number_argument(lua, &arguments, 1, "unpack_limit")? as i64;
        let offset = int_or(lua, &arguments, 2, ("unpack_limit", 0))?;
        unpack(lua, &of, &text, (limit, offset))
    })?;
    table.raw_set("unpack_limit", limited)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(
    lua: &Lua,
    control: &Control,
    next: &Function,
    values: &MultiValue,
) -> mlua::Result<LuaString> {
    let mut packer = Packer { next, out: ScriptOutput::new(control) };
    for value in values {
        packer.value(value, 0)?;
    }
    lua.create_string(packer.out.as_bytes())
}

struct Packer<'p> {
    next: &'p Function,
    out: ScriptOutput<'p>,
}

impl Packer<'_> {
    /// Packs a value that `depth` tables contain.
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        match value {
            Value::Boolean(yes) => self.out.push(if *yes { b"\xc3" } else { b"\xc2" }),
            Value::Integer(n) => self.number(*n as f64),
            Value::Number(n) => self.number(*n),
            Value::String(text) => {
                let text = text.as_bytes();
                match text.len() {
                    short @ 0..=31 => self.out.push(&[0xa0 | short as u8])?,
                    length @ 32..=255 => self.out.push(&[0xd9, length as u8])?,
                    length => self.length(length, (0xda, 0xdb))?,
                }
                self.out.push(&text)
            }
            Value::Table(table) if depth < DEEPEST => self.table(table, depth),
            _ => self.out.push(b"\xc0"),
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if let Some(length) = self.array_length(table)? {
            match length {
                short @ 0..=15 => self.out.push(&[0x90 | short as u8])?,
                length => self.length(length, (0xdc, 0xdd))?,
            }
            for at in 1..=length {
                self.value(&table.raw_get(at)?, depth + 1)?;
            }
            return Ok(());
        }
        let mut count = 0;
        for pair in table.pairs::<Value, Value>() {
            pair?;
            self.out.steps.step()?;
            count += 1;
        }
        match count {
            short @ 0..=15 => self.out.push(&[0x80 | short as u8])?,
            length => self.length(length, (0xde, 0xdf))?,
        }
        let mut key = Value::Nil;
        loop {
            let item;
            (key, item) = self.next.call((table, key))?;
            if key.is_nil() {
                return Ok(());
            }
            self.value(&key, depth + 1)?;
            self.value(&item, depth + 1)?;
        }
    }

    /// Returns the length of a table whose keys are the numbers from 1 on.
    fn array_length(&self, table: &Table) -> mlua::Result<Option<usize>> {
        let (mut last, mut count) = (0.0_f64, 0_usize);
        for pair in table.pairs::<Value, Value>() {
            self.out.steps.step()?;
            match number(&pair?.0) {
                Some(key) if key >= 1.0 && key.fract() == 0.0 => last = last.max(key),
                _ => return Ok(None),
            }
            count += 1;
        }
        Ok((last.to_bits() == (count as f64).to_bits()).then_some(count))
    }

    /// Packs a length of 16 or 32 bits, behind one of these marks.
    fn length(&mut self, length: usize, marks: (u8, u8)) -> mlua::Result<()> {
        match u16::try_from(length) {
            Ok(length) => self.marked(marks.0, &length.to_be_bytes()),
            // The memory of a script is less than 4 GiB.
            Err(_) => self.marked(marks.1, &(length as u32).to_be_bytes()),
        }
    }

    fn marked(&mut self, mark: u8, bytes: &[u8]) -> mlua::Result<()> {
        self.out.push(&[mark])?;
        self.out.push(bytes)
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        let limit = -(i64::MIN as f64);
        if number.fract() != 0.0 || !(-limit..limit).contains(&number) {
            let short = number as f32;
            return if !number.is_nan() && f64::from(short).to_bits() == number.to_bits() {
                self.marked(0xca, &short.to_be_bytes())
            } else {
                self.marked(0xcb, &number.to_be_bytes())
            };
        }
        let number = number as i64;
        match number {
            -32..=0x7f => self.out.push(&[low(number)]),
            0x80..=0xff => self.marked(0xcc, &[low(number)]),
            0x100..=0xffff => self.marked(0xcd, &(number as i16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.marked(0xce, &(number as i32).to_be_bytes()),
            0x1_0000_0000.. => self.marked(0xcf, &number.to_be_bytes()),
            -0x80..=-33 => self.marked(0xd0, &[low(number)]),
            -0x8000..=-0x81 => self.marked(0xd1, &(number as i16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => self.marked(0xd2, &(number as i32).to_be_bytes()),
            _ => self.marked(0xd3, &number.to_be_bytes()),
        }
    }
}

/// Returns the lowest byte.
fn low(number: i64) -> u8 {
    number.to_le_bytes()[0]
}

/// Unpacks up to `limit` values behind an offset. If they are limited, the first result is where the next one begins.
fn unpack(
    lua: &Lua,
    control: &Control,
    text: &LuaString,
    (limit, offset): (i64, i64),
) -> mlua::Result<MultiValue> {
    control.check()?;
    let text = text.as_bytes();
    let length = text.len();
    if offset < 0 || limit < 0 {
        let why =
            format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
        return Err(error_here(lua, why));
    }
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    if at > length {
        let why = format!("Start offset {offset} greater than input length {length}.");
        return Err(error_here(lua, why));
    }
    let mut unpacker =
        Unpacker { lua, text: &text, at, open: Vec::new(), steps: StepCounter::new(control) };
    let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut values = Vec::new();
    while unpacker.at < length && values.len() < limit {
        if values.len() == RESULTS {
            return Err(error_here(lua, "too many results to unpack"));
        }
        values.push(unpacker.next()?);
    }
    let mut values = MultiValue::from_vec(values);
    if limit != usize::MAX {
        let next = if unpacker.at < length { unpacker.at as f64 } else { -1.0 };
        values.push_front(Value::Number(next));
    }
    Ok(values)
}

/// A table that is not complete.
struct Open {
    table: Table,
    /// Items that have been added, and all of them.
    count: (usize, usize),
    is_map: bool,
    key: Option<Value>,
}

impl Open {
    fn add(&mut self, value: Value) -> mlua::Result<()> {
        if self.is_map {
            let Some(key) = self.key.take() else {
                self.key = Some(value);
                return Ok(());
            };
            match key {
                Value::Nil => return Err(text_error("table index is nil")),
                Value::Number(n) if n.is_nan() => return Err(text_error("table index is NaN")),
                _ => self.table.raw_set(key, value)?,
            }
        } else {
            self.table.raw_set(self.count.0 + 1, value)?;
        }
        self.count.0 += 1;
        Ok(())
    }
}

struct Unpacker<'u> {
    lua: &'u Lua,
    text: &'u [u8],
    at: usize,
    /// The tables around the current value. It is a list, so that deep input needs no stack.
    open: Vec<Open>,
    steps: StepCounter<'u>,
}

impl Unpacker<'_> {
    /// Unpacks a value.
    fn next(&mut self) -> mlua::Result<Value> {
        loop {
            self.steps.step()?;
            if let Some(mut value) = self.value()? {
                loop {
                    let Some(open) = self.open.last_mut() else { return Ok(value) };
                    open.add(value)?;
                    if open.count.0 < open.count.1 {
                        break;
                    }
                    let Some(done) = self.open.pop() else { return Ok(Value::Nil) };
                    value = Value::Table(done.table);
                }
            }
        }
    }

    /// Returns a value, or nothing if a table with items is open now.
    fn value(&mut self) -> mlua::Result<Option<Value>> {
        let mark = self.bytes::<1>()?[0];
        Ok(Some(match mark {
            0..=0x7f => Value::Number(mark.into()),
            0xe0.. => Value::Number(mark.cast_signed().into()),
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(mark == 0xc3),
            0xca => Value::Number(f32::from_be_bytes(self.bytes()?).into()),
            0xcb => Value::Number(f64::from_be_bytes(self.bytes()?)),
            0xcc => Value::Number(self.bytes::<1>()?[0].into()),
            0xcd => Value::Number(u16::from_be_bytes(self.bytes()?).into()),
            0xce => Value::Number(u32::from_be_bytes(self.bytes()?).into()),
            0xd0 => Value::Number(i8::from_be_bytes(self.bytes()?).into()),
            0xd1 => Value::Number(i16::from_be_bytes(self.bytes()?).into()),
            0xd2 => Value::Number(i32::from_be_bytes(self.bytes()?).into()),
            // Unsigned ones as well, as in Redis: 2^63 and above are negative.
            0xcf | 0xd3 => Value::Number(i64::from_be_bytes(self.bytes()?) as f64),
            0xa0..=0xbf => self.string(usize::from(mark & 0x1f))?,
            0xd9..=0xdb => {
                let length = self.length(mark - 0xd9)?;
                self.string(length)?
            }
            0x80..=0x8f => return self.table(usize::from(mark & 0xf), true),
            0x90..=0x9f => return self.table(usize::from(mark & 0xf), false),
            0xdc..=0xdf => {
                let length = self.length(1 + (mark & 1))?;
                return self.table(length, mark >= 0xde);
            }
            _ => return Err(error_here(self.lua, "Bad data format in input.")),
        }))
    }

    /// Returns a length of 1, 2 or 4 bytes.
    fn length(&mut self, size: u8) -> mlua::Result<usize> {
        Ok(match size {
            0 => self.bytes::<1>()?[0].into(),
            1 => u16::from_be_bytes(self.bytes()?).into(),
            _ => u32::from_be_bytes(self.bytes()?) as usize,
        })
    }

    fn string(&mut self, length: usize) -> mlua::Result<Value> {
        let text = self.text;
        let Some(found) = text[self.at..].get(..length) else { return Err(self.missing()) };
        self.at += length;
        self.lua.create_string(found).map(Value::String)
    }

    /// Opens a table. Its length is not believed: memory is taken for items that are there.
    fn table(&mut self, length: usize, is_map: bool) -> mlua::Result<Option<Value>> {
        if self.open.len() >= DEEPEST_INPUT {
            return Err(error_here(self.lua, "stack overflow"));
        }
        let table = self.lua.create_table()?;
        if length == 0 {
            return Ok(Some(Value::Table(table)));
        }
        self.open.push(Open { table, count: (0, length), is_map, key: None });
        Ok(None)
    }

    fn bytes<const N: usize>(&mut self) -> mlua::Result<[u8; N]> {
        let Some(found) = self.text[self.at..].first_chunk::<N>() else {
            return Err(self.missing());
        };
        self.at += N;
        Ok(*found)
    }

    fn missing(&self) -> mlua::Error {
        error_here(self.lua, "Missing bytes in input.")
    }
}
