//! The library `table`: Lua's own, except that sorting takes no time that an adversary chooses, and that shared tables
//! cannot be changed.

use crate::command::script::arguments::{table as table_argument, wrong_type};
use crate::command::script::control::{Control, text_error};
use crate::command::script::raw;
use crate::command::script::substitutes::READ_ONLY;
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

/// Completes the table of the library.
pub(super) fn table(lua: &Lua, control: &Rc<Control>, natives: &Table) -> mlua::Result<Table> {
    let native: Function = natives.get("sort")?;
    let pcall: Function = lua.globals().get("pcall")?;
    let of = Rc::clone(control);
    let check = lua.create_function(move |_, ()| of.check())?;
    let control = Rc::clone(control);
    let sort = lua.create_function(move |lua, arguments: MultiValue| {
        control.check()?;
        let table = table_argument(lua, &arguments, 0, "sort")?;
        let compare = match arguments.get(1) {
            None | Some(Value::Nil) => None,
            Some(Value::Function(compare)) => Some(compare),
            other => return Err(wrong_type(lua, (1, other), "sort", "function")),
        };
        // Lua's own sort needs quadratic time for some tables.
        if compare.is_none() && sort_plain(&control, &table)? {
            return Ok(());
        }
        // Lua's sort calls the function of the script, which can be stopped at any time.
        let (done, error): (bool, Value) = pcall.call((&native, &table, compare))?;
        if done {
            return Ok(());
        }
        control.check_stopped()?;
        let error = control.value_of(lua, error)?;
        Err(control.raise(error))
    })?;
    natives.raw_set("sort", sort)?;
    let refuse = lua.create_function(|_, ()| -> mlua::Result<()> { Err(text_error(READ_ONLY)) })?;
    natives.raw_set("insert", raw::insert(lua, &refuse, &check)?)?;
    natives.raw_set("remove", raw::remove(lua, &check)?)?;
    Ok(natives.clone())
}

/// Sorts a table of numbers, or of strings. Returns whether it is one.
fn sort_plain(control: &Control, table: &Table) -> mlua::Result<bool> {
    let mut values = Vec::new();
    for at in 1..=table.raw_len() {
        if at % raw::CHECKED_EVERY as usize == 0 {
            control.check()?;
        }
        match table.raw_get(at)? {
            value @ (Value::Integer(_) | Value::Number(_) | Value::String(_)) => values.push(value),
            // The length of a table with holes may be far greater than the number of its entries.
            _ => return Ok(false),
        }
    }
    let numbers: Option<Vec<f64>> = values
        .iter()
        .map(|value| match value {
            Value::Integer(n) => Some(*n as f64),
            Value::Number(n) => Some(*n),
            _ => None,
        })
        .collect();
    if let Some(mut numbers) = numbers {
        numbers.sort_unstable_by(f64::total_cmp);
        for (at, number) in numbers.into_iter().enumerate() {
            table.raw_set(at + 1, number)?;
        }
        return Ok(true);
    }
    // Each text once: comparisons of equal ones could take long, and there may be very many.
    let mut texts: HashMap<*const c_void, (LuaString, usize)> = HashMap::new();
    for value in values {
        // Otherwise either a comparison of a script is called, or the first one fails.
        let Value::String(text) = value else { return Ok(false) };
        texts.entry(text.to_pointer()).or_insert((text, 0)).1 += 1;
    }
    let mut texts: Vec<(LuaString, usize)> = texts.into_values().collect();
    #[expect(clippy::unnecessary_sort_by, reason = "a key cannot borrow from its element")]
    texts.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(&other.as_bytes()));
    let all = texts.into_iter().flat_map(|(text, count)| std::iter::repeat_n(text, count));
    for (at, text) in all.enumerate() {
        table.raw_set(at + 1, text)?;
    }
    Ok(true)
}
