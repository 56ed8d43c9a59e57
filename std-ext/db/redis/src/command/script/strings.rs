//! The library `string`: Lua's own, except for the functions that can take very long.

use crate::command::script::arguments::{bad_argument, int_or, string, type_name};
use crate::command::script::control::{Control, error_here, text_error};
use crate::command::script::convert::shown;
use crate::command::script::pattern::{Capture, PatternError, PatternSearch};
use crate::command::script::raw;
use crate::limits::SCRIPT_MEMORY;
use memchr::memmem;
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// The bytes that make a text a pattern.
const SPECIAL: &[u8] = b"^$*+?.([%-";

/// Completes the table of the library.
pub(super) fn table(lua: &Lua, control: &Rc<Control>, natives: &Table) -> mlua::Result<Table> {
    let of = Rc::clone(control);
    let find = lua.create_function(move |lua, arguments: MultiValue| {
        find_or_match(lua, &of, &arguments, true)
    })?;
    let of = Rc::clone(control);
    let matches = lua.create_function(move |lua, arguments: MultiValue| {
        find_or_match(lua, &of, &arguments, false)
    })?;
    let of = Rc::clone(control);
    let gmatch =
        lua.create_function(move |lua, arguments: MultiValue| gmatch(lua, &of, &arguments))?;
    let (of, pcall) = (Rc::clone(control), lua.globals().get("pcall")?);
    let gsub =
        lua.create_function(move |lua, arguments: MultiValue| gsub(lua, &of, &arguments, &pcall))?;
    let rep = lua.create_function(|lua, arguments: MultiValue| {
        let text = string(lua, &arguments, 0, "rep")?;
        let count = super::arguments::int(lua, &arguments, 1, "rep")?;
        let count = usize::try_from(count).unwrap_or(0);
        let text = text.as_bytes();
        // Before it is made: the limit of Lua's memory does not see what is allocated here.
        if text.len().saturating_mul(count) > SCRIPT_MEMORY {
            return Err(no_memory());
        }
        // A loop over nothing takes time as well.
        let count = if text.is_empty() { 0 } else { count };
        lua.create_string(text.repeat(count))
    })?;
    for name in ["char", "format"] {
        natives.raw_set(name, raw::bounded(lua, &natives.get(name)?)?)?;
    }
    natives.raw_set("find", find)?;
    natives.raw_set("match", matches)?;
    natives.raw_set("gfind", &gmatch)?;
    natives.raw_set("gmatch", gmatch)?;
    natives.raw_set("gsub", gsub)?;
    natives.raw_set("rep", rep)?;
    Ok(natives.clone())
}

/// Returns the error of Lua for lack of memory.
pub(super) fn no_memory() -> mlua::Error {
    text_error("not enough memory")
}

fn pattern_error(lua: &Lua, control: &Control, error: PatternError) -> mlua::Error {
    match error {
        PatternError::Invalid(why) => error_here(lua, why),
        PatternError::Stopped => {
            control.check_stopped().err().unwrap_or_else(|| text_error("script stopped"))
        }
    }
}

fn capture_value(lua: &Lua, text: &[u8], capture: Capture) -> mlua::Result<Value> {
    match capture {
        Capture::Text(from, to) => lua.create_string(&text[from..to]).map(Value::String),
        Capture::Position(at) | Capture::Open(at) => Ok(Value::Number(at as f64 + 1.0)),
    }
}

fn find_or_match(
    lua: &Lua,
    control: &Control,
    arguments: &MultiValue,
    finds: bool,
) -> mlua::Result<MultiValue> {
    let name = if finds { "find" } else { "match" };
    let text = string(lua, arguments, 0, name)?;
    let pattern = string(lua, arguments, 1, name)?;
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let length = text.len() as i64;
    let given = int_or(lua, arguments, 2, (name, 1))?;
    let from = if given >= 0 { given } else { (length + given + 1).max(0) };
    let start = usize::try_from((from - 1).clamp(0, length)).unwrap_or(0);
    let is_plain = || {
        arguments.get(3).is_some_and(|plain| !matches!(plain, Value::Nil | Value::Boolean(false)))
    };
    let special = || {
        let end = memchr::memchr(0, &pattern).unwrap_or(pattern.len());
        pattern[..end].iter().any(|byte| SPECIAL.contains(byte))
    };
    // A search for plain text cannot take exponential time, so it needs no `PatternSearch`.
    if finds && (is_plain() || !special()) {
        let Some(at) = memmem::find(&text[start..], &pattern) else { return Ok(nil()) };
        let at = start + at;
        return Ok(numbers(at + 1, at + pattern.len()));
    }
    let go_on = || control.check().is_ok();
    let mut search = PatternSearch::new(&text, &pattern, &go_on);
    let anchored = pattern.first() == Some(&b'^');
    for at in start..=text.len() {
        let end = search.match_at(at, anchored.into());
        if let Some(end) = end.map_err(|error| pattern_error(lua, control, error))? {
            let whole = (!finds).then_some((at, end));
            let captures = search.captures(whole);
            let captures = captures.map_err(|error| pattern_error(lua, control, error))?;
            let mut values = if finds { numbers(at + 1, end) } else { MultiValue::new() };
            for capture in captures {
                values.push_back(capture_value(lua, &text, capture)?);
            }
            return Ok(values);
        }
        if anchored {
            break;
        }
    }
    Ok(nil())
}

fn nil() -> MultiValue {
    MultiValue::from_vec(vec![Value::Nil])
}

fn numbers(one: usize, other: usize) -> MultiValue {
    MultiValue::from_vec(vec![Value::Number(one as f64), Value::Number(other as f64)])
}

fn gmatch(lua: &Lua, control: &Rc<Control>, arguments: &MultiValue) -> mlua::Result<Function> {
    let text = string(lua, arguments, 0, "gmatch")?;
    let pattern = string(lua, arguments, 1, "gmatch")?;
    control.count_function(lua)?;
    let (control, next) = (Rc::clone(control), Cell::new(0));
    lua.create_function(move |lua, _: MultiValue| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let go_on = || control.check().is_ok();
        let mut search = PatternSearch::new(&text, &pattern, &go_on);
        for at in next.get()..=text.len() {
            let end = search.match_at(at, 0);
            let Some(end) = end.map_err(|error| pattern_error(lua, &control, error))? else {
                continue;
            };
            // An empty match must not be found again at the same place.
            next.set(if end == at { end + 1 } else { end });
            let captures = search.captures(Some((at, end)));
            let captures = captures.map_err(|error| pattern_error(lua, &control, error))?;
            let values = captures.into_iter().map(|capture| capture_value(lua, &text, capture));
            return values.collect::<mlua::Result<Vec<_>>>().map(MultiValue::from_vec);
        }
        next.set(text.len() + 1);
        Ok(MultiValue::new())
    })
}

/// The replacement of a match.
enum Replacement<'r> {
    Text(LuaString),
    Table(&'r Table),
    Function(&'r Function),
}

fn gsub(
    lua: &Lua,
    control: &Control,
    arguments: &MultiValue,
    pcall: &Function,
) -> mlua::Result<(LuaString, usize)> {
    let text = string(lua, arguments, 0, "gsub")?;
    let pattern = string(lua, arguments, 1, "gsub")?;
    let replacement = match arguments.get(2) {
        Some(Value::Table(table)) => Replacement::Table(table),
        Some(Value::Function(function)) => Replacement::Function(function),
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => {
            Replacement::Text(string(lua, arguments, 2, "gsub")?)
        }
        _ => return Err(bad_argument(lua, 2, "gsub", "string/function/table expected")),
    };
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let most = int_or(lua, arguments, 3, ("gsub", text.len() as i64 + 1))?;
    let anchored = pattern.first() == Some(&b'^');
    let go_on = || control.check().is_ok();
    let mut search = PatternSearch::new(&text, &pattern, &go_on);
    let (mut made, mut count, mut at) = (Vec::new(), 0_usize, 0);
    while (count as i64) < most {
        let end = search.match_at(at, anchored.into());
        let end = end.map_err(|error| pattern_error(lua, control, error))?;
        if let Some(end) = end {
            count += 1;
            let part = FormatPart { lua, control, text: &text, search: &search, whole: (at, end) };
            part.replace(&replacement, pcall, &mut made)?;
            if made.len() > SCRIPT_MEMORY {
                return Err(no_memory());
            }
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                made.push(text[at]);
                at += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
    }
    made.extend_from_slice(&text[at..]);
    Ok((lua.create_string(made)?, count))
}

/// A part of a text that matches.
struct FormatPart<'p, 's> {
    lua: &'p Lua,
    control: &'p Control,
    text: &'p [u8],
    search: &'p PatternSearch<'s>,
    whole: (usize, usize),
}

impl FormatPart<'_, '_> {
    fn replace(
        &self,
        replacement: &Replacement<'_>,
        pcall: &Function,
        made: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        // A function, or a table's `__index`, may call `gsub` again, and so on.
        let keep = || self.control.keep(made.capacity()).ok_or_else(no_memory);
        let found = match replacement {
            Replacement::Text(text) => return self.replace_by_text(&text.as_bytes(), made),
            Replacement::Table(table) => {
                let _kept = keep()?;
                table.get::<Value>(self.capture(0)?)?
            }
            Replacement::Function(function) => {
                let _kept = keep()?;
                let captures = self.search.captures(Some(self.whole));
                let captures =
                    captures.map_err(|why| pattern_error(self.lua, self.control, why))?;
                let mut given = MultiValue::from_vec(vec![Value::Function((*function).clone())]);
                for capture in captures {
                    given.push_back(capture_value(self.lua, self.text, capture)?);
                }
                let (done, found): (bool, Value) = pcall.call(given)?;
                if !done {
                    self.control.check_stopped()?;
                    let error = self.control.value_of(self.lua, found)?;
                    return Err(self.control.raise(error));
                }
                found
            }
        };
        match found {
            Value::Nil | Value::Boolean(false) => {
                made.extend_from_slice(&self.text[self.whole.0..self.whole.1]);
            }
            Value::String(_) | Value::Integer(_) | Value::Number(_) => {
                made.extend(shown(self.lua, &found));
            }
            other => {
                let why = format!("invalid replacement value (a {})", type_name(&other));
                return Err(error_here(self.lua, why));
            }
        }
        Ok(())
    }

    fn capture(&self, number: usize) -> mlua::Result<Value> {
        let capture = self.search.capture(number, self.whole);
        let capture = capture.map_err(|why| pattern_error(self.lua, self.control, why))?;
        capture_value(self.lua, self.text, capture)
    }

    /// Adds a text in which `%1` stands for a capture.
    fn replace_by_text(&self, text: &[u8], made: &mut Vec<u8>) -> mlua::Result<()> {
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                made.push(byte);
                continue;
            }
            match bytes.next() {
                Some(b'0') => made.extend_from_slice(&self.text[self.whole.0..self.whole.1]),
                Some(digit @ b'1'..=b'9') => {
                    made.extend(shown(self.lua, &self.capture(usize::from(digit - b'1'))?));
                }
                Some(other) => made.push(other),
                // As in Lua, whose strings have a zero byte behind them.
                None => made.push(0),
            }
            if made.len() > SCRIPT_MEMORY {
                return Err(no_memory());
            }
        }
        Ok(())
    }
}
