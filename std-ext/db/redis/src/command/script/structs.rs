//! The library `struct`: the functions of struct 0.2 by Roberto Ierusalimschy, as Redis has it.

use crate::command::script::arguments::{bad_argument, int_or, number, string};
use crate::command::script::control::{Control, error_here};
use crate::command::script::convert;
use crate::command::script::output::{ScriptOutput, StepCounter};
use mlua::{Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// The longest integer.
const INTEGER_BYTES: usize = 32;
/// The alignment of `!` without a number.
const ALIGNMENT: usize = 8;
/// Values that `unpack` may return.
const RESULTS: usize = 2000;

/// Returns the table of the library.
pub(super) fn table(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let of = Rc::clone(control);
    table.raw_set(
        "pack",
        lua.create_function(move |lua, given: MultiValue| pack(lua, &of, &given))?,
    )?;
    let of = Rc::clone(control);
    let unpack = lua.create_function(move |lua, given: MultiValue| unpack(lua, &of, &given))?;
    table.raw_set("unpack", unpack)?;
    let of = Rc::clone(control);
    table.raw_set(
        "size",
        lua.create_function(move |lua, given: MultiValue| size(lua, &of, &given))?,
    )?;
    Ok(table)
}

/// Reads a format, option by option.
struct PackFormat<'f> {
    lua: &'f Lua,
    function: &'static str,
    rest: &'f [u8],
    big_endian: bool,
    alignment: usize,
    steps: StepCounter<'f>,
}

impl<'f> PackFormat<'f> {
    /// As a string of C, the format ends at the first zero byte.
    fn new(lua: &'f Lua, control: &'f Control, function: &'static str, text: &'f [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        let (rest, steps) = (&text[..end], StepCounter::new(control));
        Self { lua, function, rest, big_endian: cfg!(target_endian = "big"), alignment: 1, steps }
    }

    /// Returns the next option and its size.
    fn option(&mut self) -> mlua::Result<Option<(u8, usize)>> {
        self.steps.step()?;
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            // The sizes of C on x86-64 Linux, on any machine: what one node packs another unpacks.
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES {
                    let why =
                        format!("integral size {size} is larger than limit of {INTEGER_BYTES}");
                    return Err(error_here(self.lua, why));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// Reads a number, which fits an integer of C.
    fn number(&mut self, default: usize) -> mlua::Result<usize> {
        let mut number = None;
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            self.rest = rest;
            let next = number.unwrap_or(0_usize) * 10 + usize::from(digit - b'0');
            if i32::try_from(next).is_err() {
                return Err(error_here(self.lua, "integral size overflow"));
            }
            number = Some(next);
        }
        Ok(number.unwrap_or(default))
    }

    /// Executes an option that has no value.
    fn control(&mut self, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    let why = format!("alignment {alignment} is not a power of 2");
                    return Err(error_here(self.lua, why));
                }
                self.alignment = alignment;
            }
            _ => {
                let option = char::from(option);
                let why = format!("invalid format option '{option}'");
                return Err(bad_argument(self.lua, 0, self.function, &why));
            }
        }
        Ok(())
    }

    /// Returns the bytes before an option that make it aligned.
    fn padding(&self, at: usize, (option, size): (u8, usize)) -> usize {
        // As `gettoalign`, also for a size that is no power of two, such as that of `i3`: its formula is part of the
        // format.
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }
}

fn is_integer(option: u8) -> bool {
    matches!(option, b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I')
}

fn pack(lua: &Lua, control: &Control, given: &MultiValue) -> mlua::Result<LuaString> {
    control.check()?;
    let text = string(lua, given, 0, "pack")?;
    let text = text.as_bytes();
    let mut format = PackFormat::new(lua, control, "pack", &text);
    let (mut out, mut at) = (ScriptOutput::new(control), 1);
    while let Some((option, size)) = format.option()? {
        let padding = format.padding(out.len(), (option, size));
        out.push(&[0; INTEGER_BYTES][..padding])?;
        match option {
            b'x' => out.push(&[0])?,
            b'c' | b's' => {
                needed(lua, given, at, "string")?;
                let value = string(lua, given, at, "pack")?;
                let value = value.as_bytes();
                at += 1;
                let size = if size == 0 { value.len() } else { size };
                let Some(value) = value.get(..size) else {
                    // The next argument, as in Redis.
                    return Err(bad_argument(lua, at, "pack", "string too short"));
                };
                out.push(value)?;
                if option == b's' {
                    out.push(&[0])?;
                }
            }
            _ if is_integer(option) || matches!(option, b'f' | b'd') => {
                needed(lua, given, at, "number")?;
                let value = number(lua, given, at, "pack")?;
                at += 1;
                let mut bytes = match option {
                    b'f' => (value as f32).to_le_bytes().to_vec(),
                    b'd' => value.to_le_bytes().to_vec(),
                    _ => integer_bytes(value, size),
                };
                if format.big_endian {
                    bytes.reverse();
                }
                out.push(&bytes)?;
            }
            other => format.control(other)?,
        }
    }
    lua.create_string(out.as_bytes())
}

/// Refuses the argument behind the last one, which is nil in Redis.
fn needed(lua: &Lua, given: &MultiValue, at: usize, wanted: &str) -> mlua::Result<()> {
    if at < given.len() {
        return Ok(());
    }
    Err(bad_argument(lua, at, "pack", &format!("{wanted} expected, got nil")))
}

/// Converts a number to an integer as a processor of x86-64 does. Bytes above the eighth are zero.
fn integer_bytes(value: f64, size: usize) -> Vec<u8> {
    let limit = -(i64::MIN as f64);
    let bits = if value.is_nan() {
        1 << 63
    } else if value < limit {
        (value as i64).cast_unsigned()
    } else if value < 2.0 * limit {
        ((value - limit) as i64).cast_unsigned() | 1 << 63
    } else {
        0
    };
    let mut bytes = bits.to_le_bytes().to_vec();
    bytes.resize(size, 0);
    bytes
}

fn unpack(lua: &Lua, control: &Control, given: &MultiValue) -> mlua::Result<MultiValue> {
    control.check()?;
    let (text, data) = (string(lua, given, 0, "unpack")?, string(lua, given, 1, "unpack")?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let from = int_or(lua, given, 2, ("unpack", 1))?;
    if from == 0 {
        return Err(bad_argument(lua, 2, "unpack", "offset must be 1 or greater"));
    }
    let too_short = || bad_argument(lua, 1, "unpack", "data string too short");
    // A negative offset is a very large `size_t` in Redis: past the end of the data, and not below 1.
    let mut at = usize::try_from(from).map_err(|_| too_short())? - 1;
    let mut format = PackFormat::new(lua, control, "unpack", &text);
    let mut values = Vec::new();
    while let Some((option, mut size)) = format.option()? {
        at = at.saturating_add(format.padding(at, (option, size)));
        let rest = data.get(at..).ok_or_else(too_short)?;
        let mut found = rest.get(..size).ok_or_else(too_short)?;
        // Lua's stack has room for some thousand values (`LUAI_MAXCSTACK`).
        if values.len() == RESULTS {
            return Err(error_here(lua, "stack overflow (too many results)"));
        }
        match option {
            b'x' => {}
            b'c' => {
                if size == 0 {
                    let length = values.pop().as_ref().and_then(convert::number);
                    let why = "format 'c0' needs a previous size";
                    let length = length.ok_or_else(|| error_here(lua, why))? as i64;
                    size = usize::try_from(length).unwrap_or(usize::MAX);
                    found = rest.get(..size).ok_or_else(too_short)?;
                }
                values.push(Value::String(lua.create_string(found)?));
            }
            b's' => {
                let end = memchr::memchr(0, rest);
                let end = end.ok_or_else(|| error_here(lua, "unfinished string in data"))?;
                values.push(Value::String(lua.create_string(&rest[..end])?));
                size = end + 1;
            }
            _ if is_integer(option) || matches!(option, b'f' | b'd') => {
                values.push(Value::Number(value_of(option, found, format.big_endian)));
            }
            other => format.control(other)?,
        }
        at += size;
    }
    values.push(Value::Number(at as f64 + 1.0));
    Ok(MultiValue::from_vec(values))
}

/// Returns the number that bytes are.
fn value_of(option: u8, bytes: &[u8], big_endian: bool) -> f64 {
    let mut bits = 0_u64;
    let mut add = |byte: &u8| bits = bits << 8 | u64::from(*byte);
    if big_endian {
        bytes.iter().for_each(&mut add);
    } else {
        bytes.iter().rev().for_each(&mut add);
    }
    match option {
        b'f' => f32::from_bits(bits as u32).into(),
        b'd' => f64::from_bits(bits),
        b'b' | b'h' | b'l' | b'i' => {
            // As a processor does, it shifts by 6 bits of the count.
            let mask = u64::MAX << ((bytes.len() * 8).wrapping_sub(1) & 63);
            let bits = if bits & mask == 0 { bits } else { bits | mask };
            bits.cast_signed() as f64
        }
        _ => bits as f64,
    }
}

fn size(lua: &Lua, control: &Control, given: &MultiValue) -> mlua::Result<f64> {
    control.check()?;
    let text = string(lua, given, 0, "size")?;
    let text = text.as_bytes();
    let mut format = PackFormat::new(lua, control, "size", &text);
    let mut all = 0_usize;
    while let Some((option, size)) = format.option()? {
        all = all.saturating_add(format.padding(all, (option, size)));
        if option == b's' || option == b'c' && size == 0 {
            let name = if option == b's' { "s" } else { "c0" };
            let why = format!("option '{name}' has no fixed size");
            return Err(bad_argument(lua, 0, "size", &why));
        }
        // As `b_size`, to which an unknown letter is no error.
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
        all = all.saturating_add(size);
    }
    Ok(all as f64)
}
