//! The library `bit`: the functions of LuaBitOp 1.0.2, on integers of 32 bits.

use crate::command::script::arguments::number;
use mlua::{Lua, MultiValue, Table, Value};

/// A function of two numbers.
type Binary = fn(u32, u32) -> u32;

/// A function of one number.
type Unary = fn(u32) -> u32;

/// Functions of any count of numbers.
const FOLDS: [(&str, Binary); 3] =
    [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
/// Functions of a number and a count of bits, of which the lowest five bits count.
const SHIFTS: [(&str, Binary); 5] = [
    ("lshift", |bits, count| bits << (count & 31)),
    ("rshift", |bits, count| bits >> (count & 31)),
    ("arshift", |bits, count| (bits.cast_signed() >> (count & 31)).cast_unsigned()),
    ("rol", |bits, count| bits.rotate_left(count & 31)),
    ("ror", |bits, count| bits.rotate_right(count & 31)),
];
/// Functions of one number.
const UNARY: [(&str, Unary); 3] =
    [("tobit", |bits| bits), ("bnot", |bits| !bits), ("bswap", u32::swap_bytes)];

/// Returns the table of the library.
pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, apply) in UNARY {
        let function = lua.create_function(move |lua, arguments: MultiValue| {
            Ok(value(apply(bits_of(lua, &arguments, 0, name)?)))
        })?;
        table.raw_set(name, function)?;
    }
    for (name, apply) in SHIFTS {
        let function = lua.create_function(move |lua, arguments: MultiValue| {
            let number = bits_of(lua, &arguments, 0, name)?;
            Ok(value(apply(number, bits_of(lua, &arguments, 1, name)?)))
        })?;
        table.raw_set(name, function)?;
    }
    for (name, apply) in FOLDS {
        let function = lua.create_function(move |lua, arguments: MultiValue| {
            let mut all = bits_of(lua, &arguments, 0, name)?;
            for at in 1..arguments.len() {
                all = apply(all, bits_of(lua, &arguments, at, name)?);
            }
            Ok(value(all))
        })?;
        table.raw_set(name, function)?;
    }
    let function = lua.create_function(|lua, given: MultiValue| hexadecimal(lua, &given))?;
    table.raw_set("tohex", function)?;
    Ok(table)
}

fn hexadecimal(lua: &Lua, arguments: &MultiValue) -> mlua::Result<String> {
    let bits = bits_of(lua, arguments, 0, "tohex")?;
    let given = arguments.get(1).map(|_| bits_of(lua, arguments, 1, "tohex"));
    let digits = given.transpose()?.map_or(8, u32::cast_signed);
    let text = if digits < 0 { format!("{bits:08X}") } else { format!("{bits:08x}") };
    let count = usize::try_from(digits.unsigned_abs()).unwrap_or(8).min(8);
    Ok(text[8 - count..].to_owned())
}

/// Returns an argument modulo 2^32. A fraction is rounded, a half to the even number.
///
/// It adds 2^52 + 2^51, and takes the lowest bits of the sum: results above 2^51 are those of LuaBitOp.
fn bits_of(lua: &Lua, arguments: &MultiValue, at: usize, name: &str) -> mlua::Result<u32> {
    let sum = number(lua, arguments, at, name)? + 6_755_399_441_055_744.0;
    Ok(sum.to_bits() as u32)
}

fn value(bits: u32) -> Value {
    Value::Number(bits.cast_signed().into())
}
