//! Compiling texts of scripts.

use crate::command::script::control::text_error;
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua};

/// Compiles a text. Compiled code is refused, because the interpreter trusts it blindly.
pub(super) fn compile(lua: &Lua, text: &[u8], name: &str) -> mlua::Result<Function> {
    if text.first() == Some(&0x1b) {
        let shown = match name.strip_prefix(['@', '=']) {
            Some(name) => name.to_owned(),
            None => format!("[string \"{}\"]", name.lines().next().unwrap_or_default()),
        };
        return Err(text_error(format!("{shown}:1: unexpected symbol near 'char(27)'")));
    }
    // Lua has no reference of its own to the name until it has compiled some of the text (CVE-2025-49844). Equal
    // texts are one object, so this reference keeps it.
    let kept = lua.create_string(name)?;
    let function = lua.load(text).set_name(name).set_mode(ChunkMode::Text).into_function();
    drop(kept);
    function
}
