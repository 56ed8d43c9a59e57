//! The limit of an interpreter's memory, and how it is lifted.
//!
//! While a limit is set, each step that may allocate is a protected call of Lua, which makes two closures: a third of
//! the time of a short script. So it is lifted while this crate, and not the script, makes a few small values.

use crate::limits::SCRIPT_MEMORY;
use mlua::Lua;

/// The most bytes of values that are made while the limit is lifted.
const SMALL: usize = 64 << 10;

/// Sets the limit.
pub(super) fn set(lua: &Lua) -> mlua::Result<()> {
    lua.set_memory_limit(SCRIPT_MEMORY).map(drop)
}

/// The limit is lifted until this is dropped.
pub(super) struct Lifted<'l>(&'l Lua);

impl<'l> Lifted<'l> {
    /// Lifts the limit, unless the values that will be made have more than a few bytes.
    pub(super) fn for_values_of(lua: &'l Lua, bytes: usize) -> Option<Self> {
        let lifted = bytes <= SMALL && lua.set_memory_limit(0).is_ok();
        lifted.then_some(Self(lua))
    }
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        // The allocator of the interpreter has had a limit before, so this cannot fail.
        let _ = set(self.0);
    }
}
