//! Sorting a table of texts, in Lua's own interface: a table may have many more texts than `mlua` has references.
//!
//! # Safety
//! The module `raw` says how errors of Lua pass frames. Those here have references and numbers only.

use crate::command::script::control::Control;
use crate::command::script::raw::{CHECKED_EVERY, CHECKED_OFTEN};
use mlua::{Lua, Table, ffi};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::slice;

/// A text of a table.
#[derive(Clone, Copy)]
struct SortText {
    bytes: *const u8,
    length: usize,
    /// Where it is in the table that keeps it.
    place: ffi::lua_Integer,
    /// How many places of the sorted table it has.
    count: usize,
}

impl SortText {
    /// # Safety
    /// The table that keeps the text lives as long as the result.
    unsafe fn bytes<'b>(self) -> &'b [u8] {
        // SAFETY: it was the address and the length of a text, which Lua neither moves nor changes as long as a table
        // has it; and that holds by the caller's promise.
        unsafe { slice::from_raw_parts(self.bytes, self.length) }
    }
}

/// Sorts a table of texts. Returns whether it is one.
///
/// Equal texts are one object of Lua, so each is compared once: otherwise comparisons of equal ones could take long.
///
/// # Errors
/// The script must end, or there is no memory.
pub(super) fn sort_texts(lua: &Lua, control: &Control, table: &Table) -> mlua::Result<bool> {
    let kept = lua.create_table()?;
    let (mut texts, length) = (HashMap::new(), table.raw_len());
    for from in (1..=length).step_by(CHECKED_EVERY as usize) {
        control.check()?;
        let places = from..=length.min(from + CHECKED_EVERY as usize - 1);
        let mut all_are_texts = false;
        // SAFETY: `exec_raw` pushes the two tables, at 1 and 2. The closure has only references to drop.
        unsafe {
            lua.exec_raw::<()>((table, &kept), |state| {
                all_are_texts = keep_texts(state, places, &mut texts);
            })?;
        }
        if !all_are_texts {
            return Ok(false);
        }
    }
    let mut texts: Vec<SortText> = texts.into_values().collect();
    // SAFETY: `kept` lives until this function returns, and nothing is removed from it.
    texts.sort_unstable_by(|one, other| unsafe { one.bytes().cmp(other.bytes()) });
    let mut at = 1;
    for texts in texts.chunks(CHECKED_OFTEN as usize) {
        control.check()?;
        // SAFETY: as above.
        unsafe {
            lua.exec_raw::<()>((table, &kept), |state| at = put_texts(state, texts, at))?;
        }
    }
    Ok(true)
}

/// Puts each text at these places of the table at 1 once into the one at 2. Returns whether there are only texts.
///
/// # Safety
/// It is the state of a function with the two tables, and has room for two values. This function raises errors: the
/// caller has nothing to drop.
unsafe fn keep_texts(
    state: *mut ffi::lua_State,
    places: RangeInclusive<usize>,
    texts: &mut HashMap<*const u8, SortText>,
) -> bool {
    // SAFETY: the caller's promise. `lua_tolstring` gets a string, and changes nothing.
    unsafe {
        for at in places {
            ffi::lua_rawgeti(state, 1, at as ffi::lua_Integer);
            if ffi::lua_type(state, -1) != ffi::LUA_TSTRING {
                ffi::lua_settop(state, 0);
                return false;
            }
            let mut length = 0;
            let bytes = ffi::lua_tolstring(state, -1, &raw mut length).cast::<u8>();
            if let Some(text) = texts.get_mut(&bytes) {
                text.count += 1;
                ffi::lua_pop(state, 1);
            } else {
                let place = texts.len() as ffi::lua_Integer + 1;
                ffi::lua_rawseti(state, 2, place);
                texts.insert(bytes, SortText { bytes, length, place, count: 1 });
            }
        }
        ffi::lua_settop(state, 0);
    }
    true
}

/// Puts texts of the table at 2 into the one at 1, from this place on. Returns the next place.
///
/// # Safety
/// As of [`keep_texts`].
unsafe fn put_texts(
    state: *mut ffi::lua_State,
    texts: &[SortText],
    mut at: ffi::lua_Integer,
) -> ffi::lua_Integer {
    // SAFETY: the caller's promise.
    unsafe {
        for text in texts {
            ffi::lua_rawgeti(state, 2, text.place);
            for _ in 0..text.count {
                ffi::lua_pushvalue(state, -1);
                ffi::lua_rawseti(state, 1, at);
                at += 1;
            }
            ffi::lua_pop(state, 1);
        }
        ffi::lua_settop(state, 0);
    }
    at
}
