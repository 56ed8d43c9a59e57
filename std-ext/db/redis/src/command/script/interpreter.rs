//! The interpreter of a thread: it compiles scripts and runs them in a sandbox.
//!
//! All scripts of a thread have one interpreter, and none sees what another has left. A script that was stopped, or has
//! taken much memory, takes its interpreter with it.

use crate::command::diagnostics::Diagnostics;
use crate::command::script::compile::compile;
use crate::command::script::control::{Control, KEPT_FUNCTIONS, ScriptStop, plain_text};
use crate::command::script::convert;
use crate::command::script::current_host::Host;
use crate::command::script::memory_limit;
use crate::command::script::random;
use crate::command::script::raw::Runner;
use crate::command::script::sandbox;
use crate::command::script::shebang::{self, Flags};
use crate::command::script::time_limit::ExceededLimit;
use crate::scripts::{ScriptId, Scripts};
use hedgerow_db_engine::session::Breadth;
use hedgerow_db_formats::resp::write::RespWriter;
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Value, VmState};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// Instructions of Lua between two looks at the clock. Each may copy as much memory as a script may have.
const INSTRUCTIONS: u32 = 250;
/// Compiled scripts that a thread keeps at most.
const COMPILED: usize = 1024;
/// An interpreter that has more memory than this collects its garbage after the script. So does one whose scripts have
/// made more than [`KEPT_FUNCTIONS`].
const KEPT_MEMORY: usize = 4 << 20;
/// One that has more memory than this nevertheless is dropped.
const MOST_MEMORY: usize = 16 << 20;

/// The reply to a script whose interpreter has panicked.
const PANICKED: &[u8] =
    b"ERR Script stopped, because its interpreter failed; its changes are undone";

/// A compiled script.
#[derive(Clone)]
pub(super) struct Script {
    function: Function,
    pub(super) flags: Flags,
    /// With which locks it begins. Each thread finds that out by itself.
    pub(super) forecast: Rc<Cell<Forecast>>,
}

/// Calls that begin with the locks of more shards than those of their keys, after one that had to begin anew. Then the
/// script may have changed its ways.
const WIDE_CALLS: u8 = 16;

/// With which locks the next calls of a script begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    breadth: Breadth,
    calls: u8,
}

impl Forecast {
    pub(super) fn breadth(self) -> Breadth {
        if self.calls == 0 { Breadth::Keys } else { self.breadth }
    }

    /// Returns the forecast after a call that had to begin anew with these locks, or has used all that it had.
    pub(super) fn wide(breadth: Breadth) -> Self {
        Self { breadth, calls: if breadth == Breadth::Keys { 0 } else { WIDE_CALLS } }
    }

    /// Returns the forecast after a call that had more locks than it has used.
    pub(super) fn after_unused(self) -> Self {
        Self { calls: self.calls.saturating_sub(1), ..self }
    }
}

/// Why a script has no reply of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScriptFailure {
    /// It ended with this error. Its changes remain.
    Error(Vec<u8>),
    /// It was stopped. Its changes must be undone.
    Stopped(Vec<u8>),
    /// Its reply is longer than the client may have.
    TooLong,
    /// It must begin anew, with the locks of more shards. Its changes must be undone.
    NeedsLocks,
}

/// The interpreter of a thread.
pub(super) struct Interpreter {
    lua: Lua,
    scripts: Arc<Scripts>,
    control: Rc<Control>,
    runner: Runner,
    compiled: HashMap<ScriptId, Script>,
    /// The number of removals when the scripts were compiled.
    removals: u64,
    /// It has panicked. Or a script has failed outside of the sandbox: the stack or the memory of the interpreter was
    /// exhausted, and its garbage may leave too little of them for the next script.
    is_exhausted: bool,
}

thread_local! {
    // In a box: it is taken out for each script.
    static INTERPRETER: RefCell<Option<Box<Interpreter>>> = const { RefCell::new(None) };
}

/// Calls `with` with the thread's interpreter.
pub(super) fn with_interpreter<R>(
    scripts: &Arc<Scripts>,
    with: impl FnOnce(&mut Interpreter) -> R,
) -> Result<R, String> {
    // Taken out, so that one that panics is dropped.
    let kept = INTERPRETER.with(RefCell::take);
    let kept = kept.filter(|kept| Arc::ptr_eq(&kept.scripts, scripts));
    let mut interpreter = match kept {
        Some(kept) => kept,
        None => Box::new(Interpreter::new(scripts).map_err(|error| plain_text(&error))?),
    };
    let result = with(&mut interpreter);
    if interpreter.is_clean() {
        INTERPRETER.with(|place| place.replace(Some(interpreter)));
    }
    Ok(result)
}

impl Interpreter {
    fn new(scripts: &Arc<Scripts>) -> mlua::Result<Self> {
        // No `io`, `os`, `package` or `debug`: a script reaches the database and nothing else of the machine.
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(libraries, options)?;
        let control = Rc::new(Control::new(&lua, scripts)?);
        let runner = sandbox::runner(&lua, &control)?;
        let hook = Rc::clone(&control);
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        lua.set_global_hook(triggers, move |_, _| hook.check().map(|()| VmState::Continue))?;
        memory_limit::set(&lua)?;
        let (compiled, removals) = (HashMap::new(), scripts.removals());
        Ok(Self {
            lua,
            scripts: Arc::clone(scripts),
            control,
            runner,
            compiled,
            removals,
            is_exhausted: false,
        })
    }

    /// Returns a compiled script that all connections know.
    pub(super) fn find(&mut self, id: &ScriptId) -> Result<Option<Script>, String> {
        let removals = self.scripts.removals();
        if removals != self.removals {
            self.compiled.clear();
            self.removals = removals;
        }
        if let Some(script) = self.compiled.get(id) {
            return Ok(Some(script.clone()));
        }
        let Some(text) = self.scripts.get(id) else { return Ok(None) };
        self.compile(*id, &text).map(Some)
    }

    /// Compiles a script.
    pub(super) fn compile(&mut self, id: ScriptId, text: &[u8]) -> Result<Script, String> {
        let (flags, body) = shebang::parse(text)?;
        let compiled = compile(&self.lua, body, "@user_script");
        let function = compiled.map_err(|why| {
            format!("Error compiling script (new function): {}", plain_text(&why))
        })?;
        let forecast = Forecast { breadth: Breadth::Keys, calls: 0 };
        let script = Script { function, flags, forecast: Rc::new(Cell::new(forecast)) };
        // All of them: scripts in use are compiled again at their next call, and no order of use has to be kept.
        if self.compiled.len() >= COMPILED {
            self.compiled.clear();
        }
        self.compiled.insert(id, script.clone());
        Ok(script)
    }

    /// Notes whose diagnostics say how long scripts may run before other commands are refused.
    pub(super) fn set_diagnostics(&self, diagnostics: &Arc<Diagnostics>) {
        self.control.set_diagnostics(diagnostics);
    }

    /// Runs a script and writes its reply.
    pub(super) fn run(
        &mut self,
        id: &ScriptId,
        script: &Script,
        texts: (&[&[u8]], &[&[u8]]),
        host: &mut dyn Host,
        out: &mut RespWriter<'_>,
        max_out: usize,
    ) -> Result<(), ScriptFailure> {
        self.control.begin(self.scripts.settings().time_limit());
        // Redis 7 continues its sequence from script to script. Here each thread would have a sequence of its own, and
        // the numbers would depend on the thread.
        self.control.random.set(random::SEED);
        let run = || self.run_begun(id, script, texts, host, (out, max_out));
        // `mlua` panics where it has no error to return. That concerns this interpreter alone, which is dropped.
        let ran = catch_unwind(AssertUnwindSafe(run));
        let stop = self.control.end();
        match (ran, stop) {
            // The state of the database may be wrong.
            (Err(panic), _) if self.control.command_panicked.get() => resume_unwind(panic),
            (Err(panic), _) => {
                self.is_exhausted = true;
                let why = panic.downcast_ref::<&str>().copied();
                let why = why.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                tracing::error!("the interpreter of scripts has panicked: {}", why.unwrap_or("?"));
                Err(ScriptFailure::Stopped(PANICKED.to_vec()))
            }
            (Ok(_), Some(ScriptStop::NeedsLocks)) => Err(ScriptFailure::NeedsLocks),
            (Ok(replied), None) => replied,
            (Ok(_), Some(stop)) => Err(ScriptFailure::Stopped(self.stopped_reply(id, stop))),
        }
    }

    /// Runs a script and writes its reply, between the beginning and the end of its run.
    fn run_begun(
        &mut self,
        id: &ScriptId,
        script: &Script,
        (keys, arguments): (&[&[u8]], &[&[u8]]),
        host: &mut dyn Host,
        (out, max_out): (&mut RespWriter<'_>, usize),
    ) -> Result<(), ScriptFailure> {
        let result = self.call(script, keys, arguments, host);
        if let Ok(Ok(value) | Err(value)) = &result {
            self.control.counted.set(convert::is_counted(&self.control, value));
        }
        match result {
            Ok(Ok(value)) => {
                let written = convert::write_reply(&self.control, out, &value, max_out);
                if written.is_ok_and(|fits| fits) { Ok(()) } else { Err(ScriptFailure::TooLong) }
            }
            Ok(Err(value)) => {
                // The handler of errors makes a table of each error that it sees.
                self.is_exhausted = !matches!(value, Value::Table(_));
                Err(ScriptFailure::Error(self.error_reply(id, &value)))
            }
            Err(error) => {
                self.is_exhausted = true;
                let id = String::from_utf8_lossy(id.as_bytes());
                let text = plain_text(&error);
                let text = format!("ERR Error running script {id}, {text:.100}");
                Err(ScriptFailure::Error(text.into_bytes()))
            }
        }
    }

    /// Calls the script in a protected call. Returns its result, or the value of its error.
    fn call(
        &self,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        host: &mut dyn Host,
    ) -> mlua::Result<Result<Value, Value>> {
        let run = || self.runner.run(&script.function, keys, arguments);
        let (done, found) = self.control.host.set_during(host, run)?;
        Ok(if done { Ok(found) } else { Err(found) })
    }

    /// Returns whether the error that the last script replied was counted when a command replied it.
    pub(super) fn has_counted_error(&self) -> bool {
        self.control.counted.get()
    }

    /// Returns the error reply for an error that ended the script.
    fn error_reply(&self, id: &ScriptId, value: &Value) -> Vec<u8> {
        let mut text = match value {
            Value::Table(table) => match convert::error_text(table) {
                Some(text) => text,
                None => b"ERR unknown error".to_vec(),
            },
            // The handler has not seen it: an error for lack of memory, or in the handler.
            other => {
                let text = convert::shown(&self.lua, other);
                let id = String::from_utf8_lossy(id.as_bytes());
                let text = String::from_utf8_lossy(&text).into_owned();
                return format!("ERR Error running script {id}, {text:.100}").into_bytes();
            }
        };
        self.add_place(id, &mut text);
        text
    }

    fn stopped_reply(&self, id: &ScriptId, stop: ScriptStop) -> Vec<u8> {
        let mut text = match stop {
            ScriptStop::NeedsLocks => unreachable!("it begins anew"),
            ScriptStop::Killed => b"ERR Script killed by user with SCRIPT KILL...".to_vec(),
            ScriptStop::TimedOut(exceeded) => {
                let (limit, of) = match exceeded {
                    ExceededLimit::Processor(limit) => (limit, " of processor time"),
                    ExceededLimit::Wall(limit) => (limit, ""),
                };
                let limit = limit.as_millis();
                format!(
                    "ERR Script stopped, because it has run for {limit} ms{of}; its changes are undone"
                )
                .into_bytes()
            }
        };
        self.add_place(id, &mut text);
        text
    }

    /// Adds where in the script the error came from.
    fn add_place(&self, id: &ScriptId, text: &mut Vec<u8>) {
        if let Some((source, line)) = &*self.control.place.borrow() {
            text.extend_from_slice(b" script: ");
            text.extend_from_slice(id.as_bytes());
            text.extend_from_slice(format!(", on {source}:{line}.").as_bytes());
        }
    }

    /// Returns whether the next script may use the interpreter.
    fn is_clean(&self) -> bool {
        if self.is_exhausted || self.control.check_stopped().is_err() {
            return false;
        }
        if self.lua.used_memory() > KEPT_MEMORY || self.control.functions.get() > KEPT_FUNCTIONS {
            if self.lua.gc_collect().is_err() {
                return false;
            }
            self.control.functions.set(0);
        }
        self.lua.used_memory() <= MOST_MEMORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::acl::user::User;
    use hedgerow_db_formats::resp::Protocol;

    struct NoHost;

    impl Host for NoHost {
        fn call(&mut self, _: &[&[u8]], _: Protocol, _: &mut Vec<u8>) -> Result<(), String> {
            unreachable!("the script calls no command")
        }

        fn user(&self) -> Arc<User> {
            unreachable!("the script calls no command")
        }
    }

    #[test]
    fn an_interpreter_without_references_is_replaced() {
        let scripts = Arc::new(Scripts::with_defaults());
        // Their places on the stack of references stay taken.
        let mut texts = Vec::new();
        let mut run = |fills: bool| {
            with_interpreter(&scripts, |interpreter| {
                let text = b"return cjson.encode({1, 2})";
                let id = ScriptId::of(text);
                let Ok(script) = interpreter.compile(id, text) else { return (false, Vec::new()) };
                while fills && let Ok(text) = interpreter.lua.create_string("x") {
                    texts.push(text);
                }
                let mut out = Vec::new();
                let mut writer = RespWriter::new(&mut out, Protocol::Two);
                let no_keys = (&[][..], &[][..]);
                let ran = interpreter.run(&id, &script, no_keys, &mut NoHost, &mut writer, 100);
                (ran.is_ok(), out)
            })
        };
        assert!(!run(true).unwrap().0, "there were references left");
        assert_eq!(run(false), Ok((true, b"$5\r\n[1,2]\r\n".to_vec())), "it is kept");
    }

    #[test]
    fn an_interpreter_that_panics_is_replaced() {
        let scripts = Arc::new(Scripts::with_defaults());
        let run = |text: &[u8]| {
            with_interpreter(&scripts, |interpreter| {
                let id = ScriptId::of(text);
                let script = interpreter.compile(id, text).unwrap();
                let mut out = Vec::new();
                let mut writer = RespWriter::new(&mut out, Protocol::Two);
                let no_keys = (&[][..], &[][..]);
                interpreter.run(&id, &script, no_keys, &mut NoHost, &mut writer, 100)
            })
        };
        // The host panics, and no command has been called.
        for text in ["redis.acl_check_cmd('get', 'k')", "pcall(redis.acl_check_cmd, 'get', 'k')"] {
            let failed = ScriptFailure::Stopped(PANICKED.to_vec());
            assert_eq!(run(text.as_bytes()), Ok(Err(failed)));
            assert!(INTERPRETER.with_borrow(Option::is_none), "it is kept");
            assert_eq!(run(b"return 1"), Ok(Ok(())));
        }
    }
}
