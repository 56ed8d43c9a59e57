//! The state of one run: its limits, and errors on their way through Lua.

use crate::command::diagnostics::Diagnostics;
use crate::command::diagnostics::busy::BusyScript;
use crate::command::script::cjson_settings::Settings;
use crate::command::script::command_bytes::CommandBytes;
use crate::command::script::current_host::CurrentHost;
use crate::command::script::names::Names;
use crate::command::script::time_limit::{ExceededLimit, TimeLimit, processor_time};
use crate::limits::SCRIPT_MEMORY;
use crate::scripts::{Scripts, Switch};
use hedgerow_db_formats::resp::Protocol;
use mlua::{Lua, Value};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Values of replies between two looks at the clock.
const VALUES: usize = 256;

/// Why a script was stopped from outside. Its changes are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptStop {
    /// It took longer than the time limit.
    TimedOut(ExceededLimit),
    /// SCRIPT KILL.
    Killed,
    /// It has to begin anew, with the locks of more shards.
    NeedsLocks,
}

/// Whether a command was executed. If so, its reply is in [`Control::bytes`]. If not, the text is the error that the
/// script gets, with its code.
pub(super) type Executed = Result<(), String>;

/// The outcome of a command: it was executed or refused, or the script must end, or the command has panicked.
pub(super) type ScriptOutcome = std::thread::Result<mlua::Result<Executed>>;

/// Garbage is collected after this number of functions that keep values of Lua.
pub(super) const KEPT_FUNCTIONS: usize = 1024;

/// The state of one run.
pub(super) struct Control {
    switch: Arc<Switch>,
    limit: Cell<Option<TimeLimit>>,
    /// The diagnostics of the server that runs the script.
    diagnostics: RefCell<Option<Arc<Diagnostics>>>,
    /// When the script will have run for so long that other commands are refused; nothing from then on.
    busy_at: Cell<Option<Instant>>,
    /// Other commands are refused.
    busy: RefCell<Option<BusyScript>>,
    /// Set once, and never caught by the script.
    stop: Cell<Option<ScriptStop>>,
    /// The value of the last error that is no string.
    value: RefCell<Option<Value>>,
    /// Where the error came from that ended the script.
    pub(super) place: RefCell<Option<(String, usize)>>,
    /// Whether the error that the script replies was counted when a command replied it.
    pub(super) counted: Cell<bool>,
    /// The protocol of the replies that the script sees.
    pub(super) protocol: Cell<Protocol>,
    /// The state of `math.random`.
    pub(super) random: Cell<u64>,
    /// The settings of `cjson`.
    pub(super) json: Cell<Settings>,
    /// The host, which executes the commands of the script.
    pub(super) host: CurrentHost,
    pub(super) names: Names,
    /// The buffers of the commands.
    pub(super) bytes: Cell<CommandBytes>,
    /// How many functions scripts have made that keep values of Lua, since garbage was last collected between scripts.
    /// Together they keep some 8,000 values at most: the stack of references has no room for more.
    pub(super) functions: Cell<usize>,
    /// Bytes that functions of ours have made, outside of Lua's memory, and keep while they call the script.
    kept: Cell<usize>,
    /// The outcome of the last command, if its reply is not of the simple kind.
    pub(super) outcome: Cell<Option<ScriptOutcome>>,
    /// A command of the script has panicked.
    pub(super) command_panicked: Cell<bool>,
    /// Values of replies that were made.
    values: Cell<usize>,
}

/// Bytes that a function of ours keeps while it calls the script.
pub(super) struct KeptBytes<'c> {
    all: &'c Cell<usize>,
    bytes: usize,
}

impl Drop for KeptBytes<'_> {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.bytes);
    }
}

impl Control {
    pub(super) fn new(lua: &Lua, scripts: &Scripts) -> mlua::Result<Self> {
        Ok(Self {
            switch: scripts.add_switch(),
            limit: Cell::default(),
            diagnostics: RefCell::default(),
            busy_at: Cell::default(),
            busy: RefCell::default(),
            stop: Cell::default(),
            value: RefCell::default(),
            place: RefCell::default(),
            counted: Cell::default(),
            protocol: Cell::new(Protocol::Two),
            random: Cell::new(0),
            json: Cell::new(Settings::DEFAULT),
            host: CurrentHost::default(),
            names: Names::new(lua)?,
            bytes: Cell::default(),
            functions: Cell::default(),
            kept: Cell::default(),
            outcome: Cell::default(),
            command_panicked: Cell::default(),
            values: Cell::default(),
        })
    }

    /// Counts bytes outside of Lua's memory until the result is dropped. A function that keeps some calls this before
    /// it calls the script, which may call that function again. Returns nothing if all of them together are more than
    /// the memory of a script.
    pub(super) fn keep(&self, bytes: usize) -> Option<KeptBytes<'_>> {
        let all = self.kept.get().saturating_add(bytes);
        (all <= SCRIPT_MEMORY).then(|| {
            self.kept.set(all);
            KeptBytes { all: &self.kept, bytes }
        })
    }

    /// Notes whose diagnostics say how long scripts may run before other commands are refused.
    pub(super) fn set_diagnostics(&self, diagnostics: &Arc<Diagnostics>) {
        let mut own = self.diagnostics.borrow_mut();
        if own.as_ref().is_none_or(|own| !Arc::ptr_eq(own, diagnostics)) {
            *own = Some(Arc::clone(diagnostics));
        }
    }

    /// Counts a function that a script makes, and that keeps values of Lua. To Lua these are small, so it would collect
    /// them too late: long before, there would be no room for their values.
    ///
    /// # Errors
    /// The script must end.
    pub(super) fn count_function(&self, lua: &Lua) -> mlua::Result<()> {
        let count = self.functions.get() + 1;
        self.functions.set(count);
        if count.is_multiple_of(KEPT_FUNCTIONS) {
            self.check()?;
            lua.gc_collect()?;
        }
        Ok(())
    }

    /// Counts a value of a reply. Each text may take long: Lua compares it with all texts that have the same hash.
    ///
    /// # Errors
    /// The script must end.
    pub(super) fn count_value(&self) -> mlua::Result<()> {
        let count = self.values.get().wrapping_add(1);
        self.values.set(count);
        if count.is_multiple_of(VALUES) { self.check() } else { Ok(()) }
    }

    /// Begins a run.
    pub(super) fn begin(&self, limit: Option<Duration>) {
        let now = Instant::now();
        self.limit.set(limit.map(|limit| TimeLimit::new(limit, now)));
        let busy_after = self.diagnostics.borrow().as_ref().and_then(|own| own.busy_after());
        self.busy_at.set(busy_after.map(|after| now + after));
        self.stop.set(None);
        *self.value.borrow_mut() = None;
        *self.place.borrow_mut() = None;
        self.counted.set(false);
        self.command_panicked.set(false);
        self.protocol.set(Protocol::Two);
        // In Redis the settings of `cjson` outlive a script, so that one changes the results of the next.
        self.json.set(Settings::DEFAULT);
        self.switch.set_running(true);
    }

    /// Ends a run. Returns whether it was stopped.
    pub(super) fn end(&self) -> Option<ScriptStop> {
        self.switch.set_running(false);
        *self.busy.borrow_mut() = None;
        *self.value.borrow_mut() = None;
        self.bytes.set(self.bytes.take().emptied());
        self.outcome.set(None);
        let stop = self.stop.get();
        if stop == Some(ScriptStop::NeedsLocks) {
            // It ended as if its command had failed, and leaves the interpreter as clean.
            self.stop.set(None);
        }
        stop
    }

    /// Returns an error if the script must end now. Functions that may take long call it again and again.
    pub(super) fn check(&self) -> mlua::Result<()> {
        if self.stop.get().is_none() {
            // Before the time: SCRIPT KILL needs no look at the clock.
            if self.switch.is_killed() {
                self.stop.set(Some(ScriptStop::Killed));
            } else if self.limit.get().is_some() || self.busy_at.get().is_some() {
                self.check_time(Instant::now());
            }
        }
        self.check_stopped()
    }

    /// Stops the script, or refuses other commands, if its time for that has come.
    fn check_time(&self, now: Instant) {
        if let Some(mut limit) = self.limit.get() {
            if let Some(exceeded) = limit.check(now, processor_time) {
                self.stop.set(Some(ScriptStop::TimedOut(exceeded)));
            }
            self.limit.set(Some(limit));
        }
        if self.busy_at.get().is_some_and(|busy_at| now >= busy_at) {
            // Once in a run: the flag stays until the run ends.
            self.busy_at.set(None);
            *self.busy.borrow_mut() = self.diagnostics.borrow().as_ref().map(BusyScript::begin);
        }
    }

    /// Stops the script, which has to begin anew.
    pub(super) fn stop_for_locks(&self) {
        self.stop.set(Some(ScriptStop::NeedsLocks));
    }

    /// As [`check`](Self::check), without a look at the clock.
    pub(super) fn check_stopped(&self) -> mlua::Result<()> {
        if self.stop.get().is_some() { Err(text_error("script stopped")) } else { Ok(()) }
    }

    /// Returns an error with this value. Catch it with [`value_of`](Self::value_of).
    pub(super) fn raise(&self, value: Value) -> mlua::Error {
        if let Value::String(text) = &value {
            // A string travels in the error itself. An error of `mlua` cannot hold other values, so these stay here.
            return text_error(&text.as_bytes()[..]);
        }
        *self.value.borrow_mut() = Some(value);
        mlua::Error::external(Raised(None))
    }

    /// Returns the value of an error that Lua or a function of ours has raised.
    pub(super) fn value_of(&self, lua: &Lua, error: Value) -> mlua::Result<Value> {
        let Value::Error(error) = error else { return Ok(error) };
        let text = match cause(&error) {
            mlua::Error::ExternalError(raised) => match raised.downcast_ref::<Raised>() {
                Some(Raised(Some(text))) => text.clone(),
                Some(Raised(None)) => return Ok(self.value.take().unwrap_or(Value::Nil)),
                None => raised.to_string().into_bytes(),
            },
            error => plain_text(error).into_bytes(),
        };
        lua.create_string(text).map(Value::String)
    }
}

/// Returns the error in Lua's words.
pub(super) fn plain_text(error: &mlua::Error) -> String {
    match cause(error) {
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::RuntimeError(message) => {
            // The text of the error comes before the stack.
            message.split("\nstack traceback:").next().unwrap_or_default().to_owned()
        }
        error => error.to_string(),
    }
}

fn cause(error: &mlua::Error) -> &mlua::Error {
    let mut error = error;
    while let mlua::Error::CallbackError { cause, .. } = error {
        error = cause;
    }
    error
}

/// Returns an error with this text, without a position.
pub(super) fn text_error(text: impl AsRef<[u8]>) -> mlua::Error {
    mlua::Error::external(Raised(Some(text.as_ref().to_vec())))
}

/// Returns an error with this text behind the position of the caller, as `luaL_error` does.
pub(super) fn error_here(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
    let place = lua.inspect_stack(1, |frame| {
        let source = frame.source().short_src.map(std::borrow::Cow::into_owned);
        source.zip(frame.current_line())
    });
    let mut all = match place.flatten() {
        Some((source, line)) => format!("{source}:{line}: ").into_bytes(),
        None => Vec::new(),
    };
    all.extend_from_slice(text.as_ref());
    text_error(all)
}

/// An error with a text, or with the value that [`Control`] keeps.
#[derive(Debug)]
struct Raised(Option<Vec<u8>>);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_deref().unwrap_or(b"an error that is not a string");
        f.write_str(&String::from_utf8_lossy(text))
    }
}

impl std::error::Error for Raised {}
