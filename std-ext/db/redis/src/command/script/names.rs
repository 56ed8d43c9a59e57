//! The names of fields that each script reads or writes, made once for an interpreter.
//!
//! While the limit of memory is set, making a string is a protected call: a sixth of the time of a short script went
//! into names.

use mlua::{Lua, LuaString};

macro_rules! names {
    ($($field:ident: $text:literal),+ $(,)?) => {
        /// The names, as strings of Lua.
        pub(super) struct Names {
            $(pub(super) $field: LuaString,)+
        }

        impl Names {
            pub(super) fn new(lua: &Lua) -> mlua::Result<Self> {
                Ok(Self { $($field: lua.create_string($text)?,)+ })
            }
        }
    };
}

names! {
    ok: "ok",
    error: "err",
    // Redis's name: scripts see the field in the tables of errors that a command has replied.
    counted: "ignore_error_stats_update",
    double: "double",
    big_number: "big_number",
    verbatim: "verbatim_string",
    format: "format",
    string: "string",
    map: "map",
    set: "set",
}
