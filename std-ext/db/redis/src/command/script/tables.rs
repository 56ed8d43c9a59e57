//! The library `table`: Lua's own, except that no function takes a time that an adversary chooses, and that shared
//! tables cannot be changed.

use crate::command::script::arguments::{table as table_argument, wrong_type};
use crate::command::script::control::{Control, text_error};
use crate::command::script::raw;
use crate::command::script::sort;
use crate::command::script::substitutes::READ_ONLY;
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// Completes the table of the library.
pub(super) fn table(lua: &Lua, control: &Rc<Control>, natives: &Table) -> mlua::Result<Table> {
    let native: Function = natives.get("sort")?;
    let pcall: Function = lua.globals().get("pcall")?;
    let of = Rc::clone(control);
    let check = lua.create_function(move |_, ()| of.check())?;
    let (control, check_sort) = (Rc::clone(control), check.clone());
    let sort = lua.create_function(move |lua, arguments: MultiValue| {
        control.check()?;
        let table = table_argument(lua, &arguments, 0, "sort")?;
        let compare = match arguments.get(1) {
            None | Some(Value::Nil) => None,
            Some(Value::Function(compare)) => Some(compare),
            other => return Err(wrong_type(lua, (1, other), "sort", "function")),
        };
        // Lua's own sort needs quadratic time for some tables.
        if compare.is_none() && sort_plain(lua, &control, &table)? {
            return Ok(());
        }
        let compare = raw::comparison(lua, compare, &check_sort)?;
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
    natives.raw_set("foreach", raw::for_each(lua, &check, false)?)?;
    natives.raw_set("foreachi", raw::for_each(lua, &check, true)?)?;
    Ok(natives.clone())
}

/// Sorts a table of numbers, or of strings. Returns whether it is one. If not, either a comparison of a script is
/// called, or the first one fails.
fn sort_plain(lua: &Lua, control: &Control, table: &Table) -> mlua::Result<bool> {
    if let Value::String(_) = table.raw_get(1)? {
        return sort::sort_texts(lua, control, table);
    }
    let mut numbers = Vec::new();
    for at in 1..=table.raw_len() {
        if at % raw::CHECKED_EVERY as usize == 0 {
            control.check()?;
        }
        match table.raw_get(at)? {
            Value::Integer(n) => numbers.push(n as f64),
            Value::Number(n) => numbers.push(n),
            // The length of a table with holes may be far greater than the number of its entries.
            _ => return Ok(false),
        }
    }
    // A total order, also with NaN, for which Lua raises `invalid order function` or leaves the table unsorted.
    numbers.sort_unstable_by(f64::total_cmp);
    for (at, number) in numbers.into_iter().enumerate() {
        table.raw_set(at + 1, number)?;
    }
    Ok(true)
}
