//! CLIENT PAUSE and CLIENT UNPAUSE.

use crate::command::arguments::{CommandError, is, wrong_part};
use crate::command::diagnostics::pause::PauseKind;
use crate::command::execute::Execution;
use hedgerow_db_formats::number;
use std::time::{Duration, Instant};

impl Execution<'_, '_> {
    /// CLIENT PAUSE.
    pub(super) fn pause(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let kind = match &arguments[2..] {
            [_] => PauseKind::All,
            [_, kind] if is(kind, "write") => PauseKind::Writes,
            [_, kind] if is(kind, "all") => PauseKind::All,
            [_, _] => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
            _ => return Err(wrong_part("CLIENT", arguments[1])),
        };
        let invalid = "ERR timeout is not an integer or out of range";
        let time = number::integer(arguments[2]).ok_or(invalid)?;
        let time = u64::try_from(time).map_err(|_| "ERR timeout is negative")?;
        // Commands before this one are executed.
        self.execute_batch();
        self.meter.diagnostics.pause(kind, Duration::from_millis(time), Instant::now());
        self.reply(|out| out.ok());
        Ok(())
    }

    /// CLIENT UNPAUSE.
    pub(super) fn unpause(&mut self) {
        self.meter.diagnostics.unpause();
        self.reply(|out| out.ok());
    }
}
