//! The steps of every script, in Lua's own interface: its arguments, `redis.call` and `table.insert`. And the functions
//! of Lua that need bounds.
//!
//! A value that `mlua` makes is safe to use, and costs some hundred instructions. So these steps make none, if the
//! reply of a command is of a simple kind. `mlua` does the rest. With `mlua`'s functions in their place, the server
//! executes 50,100 instructions instead of 24,300 for each `EVALSHA` of a `GET` and a `SET`, and 201,000 instead of
//! 122,000 for one of twenty commands (callgrind; redis-benchmark, 16 requests in a pipeline). It takes 1.8 and 1.7
//! times the processor time.
//!
//! # Safety
//! - Lua raises an error by a jump (`longjmp`) over all frames up to a protected call. So a frame here that calls a
//!   function that raises errors has nothing to drop: it has references and numbers only. Comments name those calls.
//! - A panic must not unwind the frames of Lua. It is caught, and goes on in a function of `mlua`, which leads it past
//!   them.
//! - A function has room for `LUA_MINSTACK` (20) values beside its arguments. None here pushes more than five.

use crate::command::script::command_bytes::{Argument, ArgumentBytes};
use crate::command::script::control::Control;
use crate::command::script::host;
use crate::limits::SCRIPT_MEMORY;
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::Protocol;
use mlua::{Function, LightUserData, Lua, Table, Value, ffi};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::slice;

/// The most entries for which a table gets its memory at once.
const AT_ONCE: usize = 1 << 16;

/// The texts that a script gets.
struct Texts<'t> {
    keys: &'t [&'t [u8]],
    arguments: &'t [&'t [u8]],
}

/// The function that begins scripts.
pub(super) struct Runner(Function);

impl Runner {
    /// Makes it, for this global table of scripts. It calls them by `xpcall` with this handler of errors.
    /// `check` raises an error if the script must end.
    pub(super) fn new(
        lua: &Lua,
        globals: &Table,
        xpcall: &Function,
        (handler, check): (&Function, &Function),
    ) -> mlua::Result<Self> {
        // SAFETY: `exec_raw` pushes the four values, which become those of the closure, and returns the closure.
        let function = unsafe {
            lua.exec_raw((globals, xpcall, handler, check), |state| {
                ffi::lua_pushcclosure(state, run_script, 4);
            })
        };
        function.map(Self)
    }

    /// Runs a script with these keys and arguments. Returns its result, or false and the value of its error.
    pub(super) fn run(
        &self,
        script: &Function,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> mlua::Result<(bool, Value)> {
        let texts = Texts { keys, arguments };
        self.0.call((script, LightUserData((&raw const texts).cast_mut().cast())))
    }
}

/// Sets `KEYS` and `ARGV`, and runs a script. The function's values are those of `Runner::new`; its arguments are a
/// script, and the address of the texts.
unsafe extern "C-unwind" fn run_script(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: only `Runner::run` calls it, with the address of texts that live until it returns.
    let texts = unsafe { &*ffi::lua_touserdata(state, 2).cast_const().cast::<Texts<'_>>() };
    // SAFETY: it is the state of this function. The calls raise errors, and there are only references to drop. At the
    // end there are `xpcall`, the script and the handler on the stack, and then two results of `xpcall`.
    unsafe {
        ffi::lua_settop(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        set_texts(state, b"KEYS", texts.keys);
        set_texts(state, b"ARGV", texts.arguments);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_replace(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
        ffi::lua_call(state, 2, 2);
    }
    2
}

/// Sets a field of the table at 1 to an array of texts. Each may take long: Lua compares it with all texts that have
/// the same hash, and the hash of Lua 5.1 is no secret.
///
/// # Safety
/// There is a table at 1, the function that checks is the fourth value of the function that runs, and there is room for
/// three values. This function raises errors: the caller has nothing to drop.
unsafe fn set_texts(state: *mut ffi::lua_State, name: &[u8], texts: &[&[u8]]) {
    // SAFETY: the caller's promise; each line finds the values on the stack that the lines before it have pushed.
    unsafe {
        ffi::lua_pushlstring(state, name.as_ptr().cast(), name.len());
        ffi::lua_createtable(state, texts.len().min(AT_ONCE) as c_int, 0);
        for (at, text) in (1..).zip(texts) {
            check_after(state, ffi::lua_upvalueindex(4), at, CHECKED_OFTEN);
            ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len());
            ffi::lua_rawseti(state, -2, at);
        }
        ffi::lua_rawset(state, 1);
    }
}

/// Returns `redis.call`, or `redis.pcall`, which does not raise the error that a command replies.
pub(super) fn call(lua: &Lua, control: &Rc<Control>, raises: bool) -> mlua::Result<Function> {
    let of = Rc::clone(control);
    let finish = lua.create_function(move |lua, ()| match of.outcome.take() {
        Some(Ok(executed)) => host::reply(lua, &of, executed?, raises),
        Some(Err(panic)) => resume_unwind(panic),
        None => unreachable!("it is called by `execute_command` alone, with an outcome"),
    })?;
    // `finish` keeps the control for as long as the closure has `finish`.
    let control = LightUserData(Rc::as_ptr(control).cast_mut().cast());
    // SAFETY: `exec_raw` pushes the two values, which become those of the closure, and returns the closure.
    unsafe {
        lua.exec_raw((control, finish), |state| {
            ffi::lua_pushcclosure(state, execute_command, 2);
        })
    }
}

/// Its address is the key of a field in the metatables of shared tables. Scripts cannot make a key like it.
static SHARED: u8 = 0;

/// Marks the metatable of a shared table, which [`insert`] refuses to change.
pub(super) fn mark_shared(metatable: &Table) -> mlua::Result<()> {
    metatable.raw_set(LightUserData((&raw const SHARED).cast_mut().cast()), true)
}

/// Entries after which a function that goes through a table looks whether the script must end.
pub(super) const CHECKED_EVERY: u32 = 1 << 16;

/// Calls, or new texts, after which it does so. Each of them may take long.
pub(super) const CHECKED_OFTEN: u32 = 256;

/// Returns `unpack`. Lua's own counts the values in an `int`, which overflows: it then writes values of the script
/// behind its stack (CVE-2025-46817).
pub(super) fn unpack(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: `exec_raw` pushes nothing, and returns the function.
    unsafe { lua.exec_raw((), |state| ffi::lua_pushcclosure(state, unpack_values, 0)) }
}

/// `unpack`, as in Lua 5.1.
unsafe extern "C-unwind" fn unpack_values(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: it is the state of this function. The calls raise errors, and there is nothing to drop. `lua_checkstack`
    // has made room for all values.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        // As an `int` of C.
        let first = ffi::luaL_optinteger(state, 2, 1) as c_int;
        let length = ffi::lua_objlen(state, 1) as ffi::lua_Integer;
        let last = ffi::luaL_optinteger(state, 3, length) as c_int;
        let (first, last) = (ffi::lua_Integer::from(first), ffi::lua_Integer::from(last));
        if first > last {
            return 0;
        }
        let count = c_int::try_from(last - first + 1).unwrap_or(c_int::MAX);
        if ffi::lua_checkstack(state, count) == 0 {
            return ffi::luaL_error(state, c"too many results to unpack".as_ptr());
        }
        for at in first..=last {
            ffi::lua_rawgeti(state, 1, at);
        }
        count
    }
}

/// Returns `table.insert`. Lua's own looks at no metatable, so it would change shared tables. For those, it calls
/// `refuse`, which raises an error. It calls `check` now and then, since the length of a table with holes may be far
/// greater than the number of its entries.
pub(super) fn insert(lua: &Lua, refuse: &Function, check: &Function) -> mlua::Result<Function> {
    // SAFETY: `exec_raw` pushes the two values, which become those of the closure, and returns the closure.
    unsafe { lua.exec_raw((refuse, check), |state| ffi::lua_pushcclosure(state, insert_value, 2)) }
}

/// Returns `table.remove`, which calls `check` as `table.insert` does.
pub(super) fn remove(lua: &Lua, check: &Function) -> mlua::Result<Function> {
    // SAFETY: as above, with one value.
    unsafe { lua.exec_raw(check, |state| ffi::lua_pushcclosure(state, remove_value, 1)) }
}

/// Calls the function at this place after each `every` steps. It raises an error if the script must end.
///
/// # Safety
/// It is the state of the function that runs, with room for a value. The function raises errors: the caller has nothing
/// to drop.
unsafe fn check_after(
    state: *mut ffi::lua_State,
    check: c_int,
    steps: ffi::lua_Integer,
    every: u32,
) {
    if steps % ffi::lua_Integer::from(every) == 0 {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::lua_pushvalue(state, check);
            ffi::lua_call(state, 0, 0);
        }
    }
}

/// `table.remove`, as in Lua 5.1. Its value is the function that checks.
unsafe extern "C-unwind" fn remove_value(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: it is the state of this function. The calls raise errors, and there is nothing to drop. All pushed values
    // are stored again but the one that is returned.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let end = ffi::lua_objlen(state, 1) as ffi::lua_Integer;
        // As an `int` of C.
        let at = ffi::lua_Integer::from(ffi::luaL_optinteger(state, 2, end) as c_int);
        if !(1..=end).contains(&at) {
            return 0;
        }
        ffi::lua_rawgeti(state, 1, at);
        for place in at..end {
            check_after(state, ffi::lua_upvalueindex(1), place - at + 1, CHECKED_EVERY);
            ffi::lua_rawgeti(state, 1, place + 1);
            ffi::lua_rawseti(state, 1, place);
        }
        ffi::lua_pushnil(state);
        ffi::lua_rawseti(state, 1, end);
    }
    1
}

/// `table.insert`, as in Lua 5.1. Its values are the function that refuses, and the one that checks.
unsafe extern "C-unwind" fn insert_value(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: it is the state of this function. The calls raise errors, and there is nothing to drop. All pushed values
    // are popped or stored again, so at the end the last argument, which is inserted, is on top.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        if ffi::lua_getmetatable(state, 1) != 0 {
            ffi::lua_pushlightuserdata(state, (&raw const SHARED).cast_mut().cast());
            ffi::lua_rawget(state, -2);
            if ffi::lua_toboolean(state, -1) != 0 {
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
                ffi::lua_call(state, 0, 0);
            }
            ffi::lua_pop(state, 2);
        }
        let end = ffi::lua_objlen(state, 1) as ffi::lua_Integer + 1;
        let at = match ffi::lua_gettop(state) {
            2 => end,
            3 => {
                // As an `int` of C.
                let at = ffi::lua_Integer::from(ffi::luaL_checkinteger(state, 2) as c_int);
                let mut hole = end.max(at);
                while hole > at {
                    check_after(state, ffi::lua_upvalueindex(2), hole, CHECKED_EVERY);
                    ffi::lua_rawgeti(state, 1, hole - 1);
                    ffi::lua_rawseti(state, 1, hole);
                    hole -= 1;
                }
                at
            }
            _ => {
                let why = c"wrong number of arguments to 'insert'";
                return ffi::luaL_error(state, why.as_ptr());
            }
        };
        ffi::lua_rawseti(state, 1, at);
    }
    0
}

/// Returns `table.foreach`, or `table.foreachi` for arrays. Lua's own looks at no clock while it calls functions of C.
pub(super) fn for_each(lua: &Lua, check: &Function, is_array: bool) -> mlua::Result<Function> {
    let run = if is_array { for_each_item } else { for_each_entry };
    // SAFETY: `exec_raw` pushes the value, which becomes that of the closure, and returns the closure.
    unsafe { lua.exec_raw(check, |state| ffi::lua_pushcclosure(state, run, 1)) }
}

/// `table.foreachi`, as in Lua 5.1. Its value is the function that checks.
unsafe extern "C-unwind" fn for_each_item(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: it is the state of this function. The calls raise errors, and there is nothing to drop. A call takes the
    // three values that are pushed for it, and leaves one, which is popped or returned.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let end = ffi::lua_objlen(state, 1) as ffi::lua_Integer;
        ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
        for at in 1..=end {
            check_after(state, ffi::lua_upvalueindex(1), at, CHECKED_OFTEN);
            ffi::lua_pushvalue(state, 2);
            ffi::lua_pushnumber(state, at as f64);
            ffi::lua_rawgeti(state, 1, at);
            ffi::lua_call(state, 2, 1);
            if ffi::lua_isnil(state, -1) == 0 {
                return 1;
            }
            ffi::lua_pop(state, 1);
        }
    }
    0
}

/// `table.foreach`, as in Lua 5.1. Its value is the function that checks.
unsafe extern "C-unwind" fn for_each_entry(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above. Below the values of a call there is the key of its entry, which `lua_next` takes.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
        let mut count = 0;
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, 1) != 0 {
            count += 1;
            check_after(state, ffi::lua_upvalueindex(1), count, CHECKED_OFTEN);
            ffi::lua_pushvalue(state, 2);
            ffi::lua_insert(state, -2);
            ffi::lua_pushvalue(state, -3);
            ffi::lua_insert(state, -2);
            ffi::lua_call(state, 2, 1);
            if ffi::lua_isnil(state, -1) == 0 {
                return 1;
            }
            ffi::lua_pop(state, 1);
        }
    }
    0
}

/// Returns a function of Lua's libraries that reads all of its arguments, for texts of no more bytes than the memory of
/// a script. One long text may be thousands of arguments, and each would take long.
pub(super) fn bounded(lua: &Lua, native: &Function) -> mlua::Result<Function> {
    // SAFETY: `exec_raw` pushes the value, which becomes that of the closure, and returns the closure.
    unsafe { lua.exec_raw(native, |state| ffi::lua_pushcclosure(state, call_bounded, 1)) }
}

/// Calls its value, a function of Lua's libraries that has no values of its own.
unsafe extern "C-unwind" fn call_bounded(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: it is the state of this function. The calls raise errors, and there is nothing to drop. The function
    // finds its arguments as if Lua had called it, so that its errors have the right name and position.
    unsafe {
        let mut bytes = 0_usize;
        for at in 1..=ffi::lua_gettop(state) {
            if ffi::lua_type(state, at) == ffi::LUA_TSTRING {
                bytes = bytes.saturating_add(ffi::lua_objlen(state, at));
            }
        }
        if bytes > SCRIPT_MEMORY {
            let why = c"not enough memory";
            ffi::lua_pushlstring(state, why.as_ptr(), why.count_bytes());
            ffi::lua_error(state);
        }
        match ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)) {
            Some(native) => native(state),
            None => 0,
        }
    }
}

/// Returns the comparison that Lua's own sort calls. It looks at no clock either, so unless it calls a function of Lua,
/// which can be stopped at any time, it calls one that checks.
pub(super) fn comparison(
    lua: &Lua,
    compare: Option<&Function>,
    check: &Function,
) -> mlua::Result<Function> {
    // SAFETY: `exec_raw` pushes the two values, at 1 and 2. Either the first one is returned, or they and a number
    // become the values of the closure, which is returned.
    unsafe {
        lua.exec_raw((compare, check), |state| {
            let is_function = ffi::lua_type(state, 1) == ffi::LUA_TFUNCTION;
            if is_function && ffi::lua_iscfunction(state, 1) == 0 {
                ffi::lua_settop(state, 1);
            } else {
                ffi::lua_pushnumber(state, 0.0);
                ffi::lua_pushcclosure(state, compare_values, 3);
            }
        })
    }
}

/// Compares its two arguments. Its values are the function that compares, or nil for `<`, the one that checks, and the
/// number of comparisons.
unsafe extern "C-unwind" fn compare_values(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: it is the state of this function. The calls raise errors, and there is nothing to drop. Only Lua's sort
    // calls it, with two arguments, and all else that is pushed is popped but the result.
    unsafe {
        let count = ffi::lua_tonumber(state, ffi::lua_upvalueindex(3)) + 1.0;
        check_after(state, ffi::lua_upvalueindex(2), count as ffi::lua_Integer, CHECKED_OFTEN);
        ffi::lua_pushnumber(state, count);
        ffi::lua_replace(state, ffi::lua_upvalueindex(3));
        if ffi::lua_isnil(state, ffi::lua_upvalueindex(1)) != 0 {
            let is_less = ffi::lua_lessthan(state, 1, 2);
            ffi::lua_pushboolean(state, is_less);
        } else {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, 2, 1);
        }
    }
    1
}

/// A reply that Lua has a value for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Simple<'r> {
    Integer(i64),
    Text(&'r [u8]),
    Status(&'r [u8]),
    Null(Protocol),
}

/// Executes a command of a script. Its first value is the control, and its second one the function that returns replies
/// which are not simple.
unsafe extern "C-unwind" fn execute_command(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: only `call` makes this function, with the address of a control, which its second value keeps alive.
    let control = unsafe {
        &*ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast_const().cast::<Control>()
    };
    // SAFETY: it is the state of this function. Nothing here must be dropped if a function below raises an error:
    // `Simple` borrows from the buffer in `control`, which the next command empties.
    unsafe {
        match simple_reply(control, state) {
            Some(Simple::Integer(n)) => ffi::lua_pushnumber(state, n as f64),
            Some(Simple::Null(Protocol::Two)) => ffi::lua_pushboolean(state, 0),
            Some(Simple::Null(Protocol::Three)) => ffi::lua_pushnil(state),
            Some(Simple::Text(text)) => {
                ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len());
            }
            Some(Simple::Status(text)) => {
                ffi::lua_createtable(state, 0, 1);
                ffi::lua_pushlstring(state, c"ok".as_ptr(), 2);
                ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len());
                ffi::lua_rawset(state, -3);
            }
            None => {
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
                // Raises errors: those of commands, and the one that ends the script.
                ffi::lua_call(state, 0, 1);
            }
        }
    }
    1
}

/// Executes the command whose arguments are on the stack. Returns its reply if that is simple; otherwise the outcome is
/// in the control.
///
/// # Safety
/// It is the state of the function that runs. Until the next command nobody takes the buffers of the control.
unsafe fn simple_reply(control: &Control, state: *mut ffi::lua_State) -> Option<Simple<'_>> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's promise.
        host::execute(control, |texts| unsafe { add_arguments(texts, state) })
    }));
    if matches!(outcome, Ok(Ok(Ok(())))) {
        // SAFETY: nobody takes the buffers, as the caller promises, and `execute` has put them back.
        let bytes = unsafe { &*control.bytes.as_ptr() };
        if let Some(simple) = simple(&bytes.reply, control.protocol.get()) {
            return Some(simple);
        }
    }
    if outcome.is_err() {
        control.command_panicked.set(true);
    }
    control.outcome.set(Some(outcome));
    None
}

/// Adds the arguments on the stack. No function that it calls raises errors.
///
/// # Safety
/// It is the state of the function that runs.
unsafe fn add_arguments(
    texts: &mut ArgumentBytes,
    state: *mut ffi::lua_State,
) -> Result<(), String> {
    // SAFETY: the caller's promise.
    for at in 1..=unsafe { ffi::lua_gettop(state) } {
        // SAFETY: there is a value at `at`. Only of a number would `lua_tolstring` make a string, which could raise an
        // error. The bytes stay as long as the string is on the stack, and `add_one` copies them.
        let argument = unsafe {
            match ffi::lua_type(state, at) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let text = ffi::lua_tolstring(state, at, &raw mut len);
                    Argument::Text(slice::from_raw_parts(text.cast(), len))
                }
                ffi::LUA_TNUMBER => number_argument(ffi::lua_tonumber(state, at)),
                _ => Argument::Other,
            }
        };
        texts.add_one(argument)?;
    }
    texts.check_some()
}

/// Returns a number as an integer if it is one of 64 bits.
fn number_argument(number: f64) -> Argument<'static> {
    const LIMIT: f64 = -(i64::MIN as f64);
    let integer = number as i64;
    let is_same = (integer as f64).to_bits() == number.to_bits();
    if (-LIMIT..LIMIT).contains(&number) && is_same {
        Argument::Integer(integer)
    } else {
        Argument::Number(number)
    }
}

/// Returns a reply if it is simple.
fn simple(reply: &[u8], protocol: Protocol) -> Option<Simple<'_>> {
    let (&mark, rest) = reply.split_first()?;
    let end = memchr::memchr(b'\r', rest)?;
    let (line, rest) = (&rest[..end], rest.get(end + 2..)?);
    Some(match mark {
        b':' => Simple::Integer(number::integer(line)?),
        b'+' => Simple::Status(line),
        b'$' if line == b"-1" => Simple::Null(protocol),
        b'_' => Simple::Null(protocol),
        b'$' => Simple::Text(rest.strip_suffix(b"\r\n").filter(|text| {
            number::integer(line).and_then(|len| usize::try_from(len).ok()) == Some(text.len())
        })?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::acl::user::User;
    use crate::command::script::current_host::Host;
    use crate::command::script::interpreter::with_interpreter;
    use crate::scripts::{ScriptId, Scripts};
    use Protocol::{Three, Two};
    use hedgerow_db_formats::resp::write::RespWriter;
    use std::sync::Arc;

    struct Panicking;

    impl Host for Panicking {
        fn call(&mut self, _: &[&[u8]], _: Protocol, _: &mut Vec<u8>) -> Result<(), String> {
            panic!("in a command");
        }

        fn user(&self) -> Arc<User> {
            unreachable!("the script does not ask")
        }
    }

    #[test]
    fn a_panic_in_a_command_passes_through_the_script() {
        for text in [
            "redis.call('get', 'k')",
            "pcall(redis.call, 'get', 'k') return 1",
            "pcall(function() redis.pcall('get', 'k') end) return 1",
            "return coroutine.wrap(function() return redis.call('get', 'k') end)()",
        ] {
            let scripts = Arc::new(Scripts::with_defaults());
            let run = || {
                with_interpreter(&scripts, |interpreter| {
                    let id = ScriptId::of(text.as_bytes());
                    let script = interpreter.compile(id, text.as_bytes()).unwrap();
                    let mut out = Vec::new();
                    let mut out = RespWriter::new(&mut out, Two);
                    interpreter.run(&id, &script, (&[], &[]), &mut Panicking, &mut out, 1000)
                })
            };
            let caught = catch_unwind(AssertUnwindSafe(run)).expect_err("the panic was lost");
            assert_eq!(caught.downcast_ref(), Some(&"in a command"), "{text}");
        }
    }

    #[test]
    fn replies_of_one_line_and_texts_are_simple() {
        let cases: [(&[u8], Option<Simple<'_>>); 13] = [
            (b":-7\r\n", Some(Simple::Integer(-7))),
            (b"+OK\r\n", Some(Simple::Status(b"OK"))),
            (b"$-1\r\n", Some(Simple::Null(Two))),
            (b"_\r\n", Some(Simple::Null(Two))),
            (b"$0\r\n\r\n", Some(Simple::Text(b""))),
            (b"$4\r\na\r\nb\r\n", Some(Simple::Text(b"a\r\nb"))),
            (b"$5\r\na\r\nb\r\n", None),
            (b"$3\r\na\r\nb\r\n", None),
            (b"*0\r\n", None),
            (b"-ERR no\r\n", None),
            (b":1x\r\n", None),
            (b":1", None),
            (b"", None),
        ];
        for (reply, expected) in cases {
            assert_eq!(simple(reply, Two), expected, "{reply:?}");
        }
        assert_eq!(simple(b"_\r\n", Three), Some(Simple::Null(Three)));
    }

    #[test]
    fn numbers_are_integers_if_64_bits_have_them() {
        let is_integer = |number: f64| matches!(number_argument(number), Argument::Integer(_));
        let limit = -(i64::MIN as f64);
        assert!([0.0, -1.0, 1e15, -limit].into_iter().all(is_integer));
        assert!(![-0.0, 0.5, limit, f64::NAN, f64::INFINITY].into_iter().any(is_integer));
    }
}
