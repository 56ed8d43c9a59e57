//! Substitutes: empty tables that scripts see instead of shared ones, which they must not change.

use crate::command::script::control::error_here;
use crate::command::script::raw;
use mlua::{Lua, MultiValue, Table};
use std::ffi::c_void;

/// The text of Redis for each attempt to change a shared table.
pub(super) const READ_ONLY: &str = "Attempt to modify a readonly table";

/// The tables that scripts see instead of the real ones.
#[derive(Default)]
pub(super) struct Substitutes {
    all: Vec<(*const c_void, Table, Table)>,
}

impl Substitutes {
    /// Returns the real table if this is a substitute.
    pub(super) fn real(&self, table: &Table) -> Option<&Table> {
        let address = table.to_pointer();
        self.all.iter().find(|(other, ..)| *other == address).map(|(_, _, real)| real)
    }

    /// Makes a substitute for a table.
    pub(super) fn add(&mut self, lua: &Lua, real: Table) -> mlua::Result<Table> {
        let substitute = lua.create_table()?;
        let metatable = lua.create_table()?;
        metatable.raw_set("__index", &real)?;
        let refuse = lua.create_function(|lua, _: MultiValue| -> mlua::Result<()> {
            Err(error_here(lua, READ_ONLY))
        })?;
        metatable.raw_set("__newindex", refuse)?;
        raw::mark_shared(&metatable)?;
        substitute.set_metatable(Some(metatable))?;
        self.all.push((substitute.to_pointer(), substitute.clone(), real));
        Ok(substitute)
    }
}
