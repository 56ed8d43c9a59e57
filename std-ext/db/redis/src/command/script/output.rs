//! The bytes that a function of ours makes, and its steps: both are bounded.

use crate::command::script::control::Control;
use crate::command::script::strings::no_memory;
use crate::limits::SCRIPT_MEMORY;
use std::cell::Cell;

/// Steps between two looks at the clock.
const STEPS: u32 = 1024;

/// Counts the steps of a function, and looks at the clock now and then.
pub(super) struct StepCounter<'c> {
    control: &'c Control,
    count: Cell<u32>,
}

impl<'c> StepCounter<'c> {
    pub(super) fn new(control: &'c Control) -> Self {
        Self { control, count: Cell::new(0) }
    }

    /// Counts a step.
    ///
    /// # Errors
    /// The script must end.
    pub(super) fn step(&self) -> mlua::Result<()> {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        if count.is_multiple_of(STEPS) { self.control.check() } else { Ok(()) }
    }
}

/// The bytes that a function makes. They are never more than the memory of a script.
pub(super) struct ScriptOutput<'c> {
    bytes: Vec<u8>,
    pub(super) steps: StepCounter<'c>,
}

impl<'c> ScriptOutput<'c> {
    pub(super) fn new(control: &'c Control) -> Self {
        Self { bytes: Vec::new(), steps: StepCounter::new(control) }
    }

    /// Adds bytes, as one step.
    ///
    /// # Errors
    /// The output would be too long, or the script must end.
    pub(super) fn push(&mut self, bytes: &[u8]) -> mlua::Result<()> {
        self.steps.step()?;
        if bytes.len() > SCRIPT_MEMORY - self.bytes.len() {
            return Err(no_memory());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
